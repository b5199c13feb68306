//! What to do next: the file list, transfers, retry, checkpoints and grants as a pure state machine.
//!
//! Pure: no I/O, no clock, no async; builds for wasm32-unknown-unknown unchanged.
#![no_std]
extern crate alloc;

mod aborts;
mod access;
mod answer;
mod checkpoint;
mod clock;
mod complete;
mod config;
mod desk;
mod engine;
mod fault;
mod flight;
mod grant;
mod limit;
mod list;
mod map;
mod parts;
mod plan;
mod progress;
mod ready;
mod retry;
#[cfg(test)]
mod script;
mod transfer;
mod upload;
mod vocab;

pub use checkpoint::{BadRecord, Begin, Checkpoint, Record};
pub use config::{
    Backoff, Budget, Config, DEFAULT_PARALLEL, DEFAULT_PART_SIZE, MAX_PART_SIZE, MAX_PARTS,
    OnCancel, OnPartFailure, Retry, SMALL_FILE,
};
pub use engine::Engine;
pub use vocab::*;

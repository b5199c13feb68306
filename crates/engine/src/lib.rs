//! What to do next: the file list, transfers, retry, checkpoints and grants as a pure state machine.
//!
//! Pure: no I/O, no clock, no async; builds for wasm32-unknown-unknown unchanged.
#![no_std]
extern crate alloc;

mod checkpoint;
mod config;
mod vocab;

pub use checkpoint::{Begin, Checkpoint, Record};
pub use config::{
    Backoff, Budget, Config, DEFAULT_PART_SIZE, MAX_PARTS, MAX_PART_SIZE, OnCancel, Retry, SMALL_FILE,
};
pub use vocab::*;

/// The machine. See `docs/adr/0001-engine-io-and-time.md`.
#[derive(Debug)]
pub struct Engine {
    _config: Config,
}

/// The interface below is settled; the bodies follow.
#[allow(unused_variables, clippy::unimplemented)]
impl Engine {
    /// An empty list, stopped. `seed` feeds the jitter.
    pub fn new(config: Config, seed: u64) -> Result<Engine, Misuse> {
        unimplemented!()
    }
    /// Puts a file at the end of the list.
    pub fn add(&mut self, now: Now, spec: FileSpec) -> Result<FileId, Misuse> {
        unimplemented!()
    }
    /// Takes a file out of the list; nothing more is told about it.
    pub fn remove(&mut self, now: Now, file: FileId) -> Result<(), Misuse> {
        unimplemented!()
    }
    /// Skips a file.
    pub fn cancel(&mut self, now: Now, file: FileId) -> Result<(), Misuse> {
        unimplemented!()
    }
    /// Queues a cancelled or failed file again.
    pub fn restore(&mut self, now: Now, file: FileId) -> Result<(), Misuse> {
        unimplemented!()
    }
    /// Removes all files.
    pub fn clear(&mut self, now: Now) {
        unimplemented!()
    }
    /// Begins a run; no-op while one is under way.
    pub fn start(&mut self, now: Now) {
        unimplemented!()
    }
    /// Ends the run; files under way wait for the next one.
    pub fn stop(&mut self, now: Now) {
        unimplemented!()
    }
    /// Pauses the list, or one file (which frees its place).
    pub fn pause(&mut self, now: Now, file: Option<FileId>) -> Result<(), Misuse> {
        unimplemented!()
    }
    /// Undoes `pause`.
    pub fn resume(&mut self, now: Now, file: Option<FileId>) -> Result<(), Misuse> {
        unimplemented!()
    }
    /// Gives a file its (next) grant.
    pub fn authorize(&mut self, now: Now, file: FileId, grant: Grant) -> Result<(), Misuse> {
        unimplemented!()
    }
    /// The way to the network changed: requests under way are sent anew, waiting ends.
    pub fn network_changed(&mut self, now: Now) {
        unimplemented!()
    }
    /// Takes an answer.
    pub fn handle(&mut self, now: Now, input: Input) {
        unimplemented!()
    }
    /// Gives the next thing to do.
    pub fn poll(&mut self, now: Now) -> Output {
        unimplemented!()
    }
    /// The list, in order.
    pub fn files(&self) -> alloc::vec::Vec<FileView> {
        unimplemented!()
    }
}

//! For tests only: a world around the engine that can be lived again from a seed.
//!
//! [`world::run`] lives one seed: virtual time ([`time`]), a model of the object store ([`store`]) and of the checkpoint
//! store ([`journal`]), a shell and an application that suffer what [`faults`] has in store, and a [`checker`] that
//! knows the engine's promises. [`script`] is the same world by hand, for tests that read as scripts. No content exists:
//! [`content`] names it.
//!
//! Beside it, behind the feature `conformance`, is a suite that asks a real server whether it does what the protocol says.

pub mod authority;
pub mod checker;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod content;
pub mod coverage;
pub mod faults;
pub mod journal;
#[cfg(feature = "net")]
pub mod net;
pub mod pairs;
pub mod rng;
pub mod scenario;
pub mod script;
pub mod skip;
pub mod store;
pub mod time;
pub mod world;

mod app;
mod commands;
mod shell;
mod wire;
mod writer;

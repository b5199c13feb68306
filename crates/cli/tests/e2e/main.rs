//! Real binaries over real sockets, for as long as it takes: one program, so that tests that wait do it side by side.
//!
//! `cargo test -p vodferry-cli --test e2e faults::` runs one module.

#[path = "../common/mod.rs"]
mod common;

mod bad_input;
mod bucket;
mod described;
mod doctor;
mod expiries;
mod faults;
mod folders;
#[cfg(target_os = "linux")]
mod keys;
mod kill;
mod lists;
mod reach;
mod roaming;
mod sizes;
mod storm;
#[cfg(target_os = "linux")]
mod synced;
mod ways;

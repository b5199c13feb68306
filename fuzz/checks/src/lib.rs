//! What must hold of any bytes whatever: one function per door through which bytes come in from outside.
//!
//! A function takes bytes and panics when something is wrong with what became of them: when reading them panicked, when
//! what was read is not what is read again after it was written, when a forged signature passed. The fuzz targets in
//! `fuzz/fuzz_targets` call these functions, and so does `tests/replay.rs`, with every file of `fuzz/corpus` and
//! mutations of it, on stable Rust.
//!
//! The formats of the client's journal and of the server's tokens and forms are private to their crates. Their files are included
//! here rather than made public, and rather than depended on: an HTTP client and a database, built once more with
//! instrumentation, would cost minutes before the first byte is fuzzed.

// The included files bring unit tests, which run where they belong.
#![cfg(not(test))]

mod blobs;
mod checkpoints;
mod forms;
mod policies;
mod requests;
mod times;
mod xml;

#[allow(dead_code, unreachable_pub)]
#[path = "../../../crates/server/src/http/oss/form_grammar.rs"]
mod form_grammar;
#[allow(dead_code, unreachable_pub)]
#[path = "../../../crates/server/src/http/oss/form_policy.rs"]
mod form_policy;
#[allow(dead_code, unreachable_pub)]
#[path = "../../../crates/client/src/hint.rs"]
mod hint;
#[allow(dead_code, unreachable_pub)]
#[path = "../../../crates/client/src/journal.rs"]
mod journal;
#[allow(dead_code, unreachable_pub, unused_imports)]
#[path = "../../../crates/server/src/policy/mod.rs"]
mod policy;
#[allow(dead_code, unreachable_pub)]
#[path = "../../../crates/server/src/token.rs"]
mod token;

mod keys;

pub use blobs::blobs;
pub use checkpoints::checkpoints;
pub use forms::forms;
pub use policies::policies;
pub use requests::{headers, queries};
pub use times::times;
pub use xml::xml;

/// A check by its name, which is that of its corpus and of its fuzz target.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[
    ("blobs", blobs),
    ("checkpoints", checkpoints),
    ("forms", forms),
    ("headers", headers),
    ("policies", policies),
    ("queries", queries),
    ("times", times),
    ("xml", xml),
];

//! The engine and the exchange for the browser shell: a bare wasm module without imports.
//!
//! Bytes of files never come here. The shell gives commands and answers, takes effects and events, has its requests signed and
//! its replies read; it keeps the secrets, the timers, the checkpoints and the `Blob`s.

mod boundary;
mod codec;
mod shell;

pub use boundary::*;
pub use codec::{Wire, decode};
pub use shell::{Command, Prepared, Shell, exchange_answer, exchange_authority, exchange_request};

//! The engine and the exchange for the browser shell: a bare wasm module without imports.
//!
//! Bytes of files never come here. The shell gives commands and answers, takes effects and events, has its requests signed and
//! its replies read; it keeps the secrets, the timers, the checkpoints and the `Blob`s.
//!
//! In the browser there is no standard library: its panic messages, its formatting and its heap would be half of the download. A
//! panic, which would be a defect, traps; the shell sees a `WebAssembly.RuntimeError`.
#![cfg_attr(target_arch = "wasm32", no_std)]
extern crate alloc;

mod boundary;
mod codec;
#[cfg(any(target_arch = "wasm32", test))]
mod heap;
mod shell;

pub use boundary::*;
pub use codec::{Reader, Wire, decode};
pub use shell::{Command, Prepared, Shell, exchange_answer, exchange_request};

#[cfg(target_arch = "wasm32")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}

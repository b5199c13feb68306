//! What the module exports: one buffer in, one buffer out, and the calls.
//!
//! The other side asks [`vf_input`] for room, writes its bytes there, calls, and reads as many bytes as the call returned from
//! where [`vf_output`] points. Both pointers hold until the next call. What the bytes mean is told in `shell` and `codec`.
//!
//! `unsafe` is allowed here for the exported names (each begins with `vf_`, and none is defined twice) and for the one global. No
//! pointer from outside is ever followed: the buffers are ours, only the other side reaches into them, between calls.
#![allow(unsafe_code)]

use alloc::vec::Vec;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};

use crate::shell::{Shell, exchange_answer, exchange_request};

struct Boundary {
    shell: Shell,
    input: Vec<u8>,
    output: Vec<u8>,
}

/// The one boundary of the module, for one call at a time.
struct Global {
    busy: AtomicBool,
    boundary: UnsafeCell<Boundary>,
}

// SAFETY: only `with` touches the boundary, and only who finds it idle.
unsafe impl Sync for Global {}

static GLOBAL: Global = Global {
    busy: AtomicBool::new(false),
    boundary: UnsafeCell::new(Boundary {
        shell: Shell::new(),
        input: Vec::new(),
        output: Vec::new(),
    }),
};

/// Makes room for the next call's input: exactly `length` bytes, zeroed.
// SAFETY: the name is exported once.
#[unsafe(no_mangle)]
pub extern "C" fn vf_input(length: usize) -> *mut u8 {
    with(|boundary| {
        boundary.input.clear();
        boundary.input.resize(length, 0);
        boundary.input.as_mut_ptr()
    })
    .unwrap_or(core::ptr::null_mut())
}

/// Where the last call's output begins.
// SAFETY: the name is exported once.
#[unsafe(no_mangle)]
pub extern "C" fn vf_output() -> *const u8 {
    with(|boundary| boundary.output.as_ptr()).unwrap_or(core::ptr::null())
}

/// See [`Shell::engine_new`]. Like all that follow it returns the length of the output.
// SAFETY: the name is exported once.
#[unsafe(no_mangle)]
pub extern "C" fn vf_engine_new() -> usize {
    call(Shell::engine_new)
}

/// See [`Shell::engine_free`]. No output.
// SAFETY: the name is exported once.
#[unsafe(no_mangle)]
pub extern "C" fn vf_engine_free(number: u32) {
    with(|boundary| boundary.shell.engine_free(number));
}

/// See [`Shell::engine_command`].
// SAFETY: the name is exported once.
#[unsafe(no_mangle)]
pub extern "C" fn vf_engine_command(number: u32) -> usize {
    call(|shell, input| shell.engine_command(number, input))
}

/// See [`Shell::engine_handle`].
// SAFETY: the name is exported once.
#[unsafe(no_mangle)]
pub extern "C" fn vf_engine_handle(number: u32) -> usize {
    call(|shell, input| shell.engine_handle(number, input))
}

/// See [`Shell::engine_poll`].
// SAFETY: the name is exported once.
#[unsafe(no_mangle)]
pub extern "C" fn vf_engine_poll(number: u32) -> usize {
    call(|shell, input| shell.engine_poll(number, input))
}

/// See [`Shell::engine_files`].
// SAFETY: the name is exported once.
#[unsafe(no_mangle)]
pub extern "C" fn vf_engine_files(number: u32) -> usize {
    call(|shell, _| shell.engine_files(number))
}

/// See [`exchange_request`].
// SAFETY: the name is exported once.
#[unsafe(no_mangle)]
pub extern "C" fn vf_exchange_request() -> usize {
    call(|_, input| exchange_request(input))
}

/// See [`exchange_answer`].
// SAFETY: the name is exported once.
#[unsafe(no_mangle)]
pub extern "C" fn vf_exchange_answer() -> usize {
    call(|_, input| exchange_answer(input))
}

/// Takes the input, so that a secret in it does not outlive the call's buffer longer than it must, and keeps the output.
fn call(f: impl FnOnce(&mut Shell, &[u8]) -> Vec<u8>) -> usize {
    with(|boundary| {
        boundary.output = f(&mut boundary.shell, &boundary.input);
        boundary.input.fill(0);
        boundary.output.len()
    })
    .unwrap_or(0)
}

/// `None` only while another call goes on, which cannot be in a module: nothing here calls out.
fn with<T>(f: impl FnOnce(&mut Boundary) -> T) -> Option<T> {
    if GLOBAL.busy.swap(true, Ordering::Acquire) {
        return None;
    }
    // SAFETY: who finds it idle has it alone until it is idle again.
    let result = f(unsafe { &mut *GLOBAL.boundary.get() });
    GLOBAL.busy.store(false, Ordering::Release);
    Some(result)
}

#[cfg(test)]
mod tests {
    use vodferry_engine::{Config, Now, Output};

    use super::*;
    use crate::codec::{Wire, decode};

    fn give(value: &impl Wire) {
        let mut bytes = vec![];
        value.put(&mut bytes);
        let input = vf_input(bytes.len());
        // SAFETY: `vf_input` made room for exactly so many bytes, and no call came between.
        unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), input, bytes.len()) };
    }

    fn take<T: Wire>(length: usize) -> T {
        // SAFETY: the last call returned `length`; the output stays until the next.
        let output = unsafe { core::slice::from_raw_parts(vf_output(), length) };
        decode(output).unwrap()
    }

    #[test]
    fn bytes_go_in_and_come_out() {
        give(&(Config::default(), 1u64));
        let engine: Result<u32, String> = take(vf_engine_new());
        let engine = engine.unwrap();
        give(&Now { mono_ms: 1, wall_ms: 1 });
        let output: Result<Output, String> = take(vf_engine_poll(engine));
        assert_eq!(output, Ok(Output::Timeout(None)));
        vf_engine_free(engine);
        let output: Result<Output, String> = take(vf_engine_poll(engine));
        assert!(output.is_err());
    }
}

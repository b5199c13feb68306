//! The terminal while keys are read from it: each key at once and unseen, everything else as it was. Ctrl-C, Ctrl-Z and Ctrl-\ stay what
//! they are, and output too.
//!
//! The modes are a property of the terminal and not of the process, so whoever leaves must put them back: [`close`] at every way out,
//! [`suspend`] before the process is stopped. Who is in the background must not touch them: it would be stopped for it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios};
use rustix::{process, stdio, termios};

/// How the terminal was, and whether it is ours now.
enum Mode {
    /// Not touched yet, or given back for good.
    Closed,
    /// To be taken at the next look.
    Open,
    /// Taken: these modes go back.
    Taken(Box<Termios>),
    /// Given back because the process stops.
    Suspended,
}

static MODE: Mutex<Mode> = Mutex::new(Mode::Closed);

fn mode() -> MutexGuard<'static, Mode> {
    MODE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on [`read`] takes the terminal, whenever the process is in its foreground.
pub(crate) fn open() {
    *mode() = Mode::Open;
}

/// Gives it back for good. No harm when it was never taken.
pub(crate) fn close() {
    leave(&mut mode(), Mode::Closed);
}

/// Gives it back until [`wake`].
pub(crate) fn suspend() {
    let mut mode = mode();
    if !matches!(*mode, Mode::Closed) {
        leave(&mut mode, Mode::Suspended);
    }
}

/// The process goes on.
pub(crate) fn wake() {
    let mut mode = mode();
    if let Mode::Suspended = *mode {
        *mode = Mode::Open;
    }
}

/// What was typed within `wait`; `Err` when nothing will ever be typed again.
pub(crate) fn read(wait: Duration, keys: &mut [u8]) -> Result<usize, ()> {
    if !take() {
        std::thread::sleep(wait);
        return Ok(0);
    }
    let stdin = stdio::stdin();
    let mut watched = [PollFd::new(&stdin, PollFlags::IN)];
    let wait = Timespec::try_from(wait).ok();
    if poll(&mut watched, wait.as_ref()).is_err() {
        return Ok(0);
    }
    let events = watched.iter().fold(PollFlags::empty(), |all, one| all | one.revents());
    if events.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) {
        return Err(());
    }
    // Reading in the background stops the process, as does reading in lines wait for one.
    if !events.contains(PollFlags::IN) || !in_foreground() || !is_taken() {
        return Ok(0);
    }
    Ok(rustix::io::read(stdin, keys).unwrap_or(0))
}

/// Sees to it that keys come one by one; `false` while the terminal is another's.
fn take() -> bool {
    let mut mode = mode();
    if !matches!(*mode, Mode::Open | Mode::Taken(_)) || !in_foreground() {
        return false;
    }
    let stdin = stdio::stdin();
    let Ok(found) = termios::tcgetattr(stdin) else { return false };
    if !found.local_modes.contains(LocalModes::ICANON) {
        return matches!(*mode, Mode::Taken(_));
    }
    // Ours were replaced too where a shell stopped this process and brought it back.
    let mut wanted = found.clone();
    wanted.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
    wanted.special_codes[SpecialCodeIndex::VMIN] = 0;
    wanted.special_codes[SpecialCodeIndex::VTIME] = 0;
    *mode = Mode::Taken(Box::new(found));
    termios::tcsetattr(stdin, OptionalActions::Now, &wanted).is_ok()
}

fn is_taken() -> bool {
    matches!(*mode(), Mode::Taken(_))
}

fn leave(mode: &mut Mode, next: Mode) {
    if let Mode::Taken(found) = std::mem::replace(mode, next)
        && in_foreground()
    {
        let _ = termios::tcsetattr(stdio::stdin(), OptionalActions::Now, &found);
    }
}

fn in_foreground() -> bool {
    termios::tcgetpgrp(stdio::stdin()).is_ok_and(|group| group == process::getpgrp())
}

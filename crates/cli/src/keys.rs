//! Keys while bars are shown: pause, go on, skip, faster, slower, stop.

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// What is shown below the bars.
pub(crate) const HINT: &str = "p pause  c skip  +/- limit  n try now  q stop, to go on later";

/// And while the list is paused.
pub(crate) const PAUSED_HINT: &str = "paused: r goes on  c skip  q stop, to go on later";

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// `p`: nothing moves until it is undone.
    Pause,
    /// `r`.
    Resume,
    /// Space: the one of the two that makes sense.
    PauseOrResume,
    /// `c`, `s`: the file under way is cancelled, the next one starts.
    Skip,
    /// `+`: twice the limit.
    Faster,
    /// `-`: half the limit, or half of what was measured.
    Slower,
    /// `0`: no limit.
    Unlimited,
    /// `n`: the network may be back, or be another.
    TryNow,
    /// `q`: as Ctrl-C, and the checkpoint stays whatever was asked for.
    Stop,
}

impl Key {
    fn of(byte: u8) -> Option<Key> {
        Some(match byte {
            b'p' => Key::Pause,
            b'r' => Key::Resume,
            b' ' => Key::PauseOrResume,
            b'c' | b's' => Key::Skip,
            b'+' | b'=' => Key::Faster,
            b'-' | b'_' => Key::Slower,
            b'0' => Key::Unlimited,
            b'n' => Key::TryNow,
            b'q' => Key::Stop,
            _ => return None,
        })
    }

    /// The keys in what came at once. Behind an escape stand the letters of an arrow or a function key: they are not meant.
    pub(crate) fn all(bytes: &[u8]) -> Vec<Key> {
        let mut keys = Vec::new();
        let mut bytes = bytes.iter().copied();
        while let Some(byte) = bytes.next() {
            match byte {
                0x1b => match bytes.next() {
                    // Parameters, then one byte from `@` to `~`.
                    Some(b'[') => {
                        while bytes.next().is_some_and(|byte| !(0x40..0x7f).contains(&byte)) {}
                    }
                    Some(b'O') => drop(bytes.next()),
                    _ => {}
                },
                _ => keys.extend(Key::of(byte)),
            }
        }
        keys
    }
}

/// The keyboard. The terminal is given back when it is dropped.
pub(crate) struct Keys {
    typed: UnboundedReceiver<Key>,
}

impl Keys {
    /// Listens, where stdin is a terminal. Must be called inside of a runtime.
    #[cfg(unix)]
    pub(crate) fn listen() -> Option<Keys> {
        use std::io::IsTerminal;
        use std::time::Duration;

        use crate::{signals, terminal};

        /// A shell may have taken the terminal meanwhile, or given it back.
        const LOOK: Duration = Duration::from_millis(250);

        if !std::io::stdin().is_terminal() {
            return None;
        }
        let (tell, typed) = unbounded_channel();
        let told = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            terminal::close();
            told(info);
        }));
        terminal::open();
        tokio::spawn(signals::suspended(terminal::suspend, terminal::wake));
        let read = move || {
            let mut bytes = [0; 64];
            while !tell.is_closed()
                && let Ok(length) = terminal::read(LOOK, &mut bytes)
            {
                for key in Key::all(bytes.get(..length).unwrap_or_default()) {
                    let _ = tell.send(key);
                }
            }
        };
        // A thread of its own: the process must not wait for it when it ends.
        std::thread::Builder::new().name("keys".to_owned()).spawn(read).ok()?;
        Some(Keys { typed })
    }

    /// There are none on this system: its terminals know no modes of this kind.
    #[cfg(not(unix))]
    pub(crate) fn listen() -> Option<Keys> {
        let _ = unbounded_channel::<Key>;
        None
    }

    /// The next key. Never comes back when there is no keyboard any more.
    pub(crate) async fn next(keys: &mut Option<Keys>) -> Key {
        let typed = match keys {
            Some(keys) => keys.typed.recv().await,
            None => None,
        };
        match typed {
            Some(key) => key,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        give_terminal_back();
    }
}

/// Before the process ends in any other way than by the end of `main`.
pub(crate) fn give_terminal_back() {
    #[cfg(unix)]
    crate::terminal::close();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arrow_is_no_word() {
        assert_eq!(Key::all(b"p+x"), [Key::Pause, Key::Faster]);
        assert_eq!(Key::all(b"\x1b[cc"), [Key::Skip]);
        assert_eq!(Key::all(b"q\x1bOp\x1b[15~r"), [Key::Stop, Key::Resume]);
        assert_eq!(Key::all(b"\xff\x00Q\x1b[1;"), []);
    }
}

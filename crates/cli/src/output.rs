//! Lines to stdout (data) and stderr (everything for people). A reader that went away is no reason to stop an upload, so that nothing
//! here fails or panics; but data that was lost is told by the exit code. Names of files and words of servers are not trusted to leave
//! the terminal alone.

use std::io::Write;
use std::path::Path;
use std::sync::OnceLock;

use crate::error::Failure;
use crate::exit_code::ExitCode;

/// Why a line of data did not reach its reader.
static LOST: OnceLock<std::io::Error> = OnceLock::new();

/// One line of data. After one that was lost no other is written: a gap would not be seen.
pub(crate) fn data(line: &str) {
    if LOST.get().is_some() {
        return;
    }
    let mut stdout = std::io::stdout().lock();
    if let Err(error) = writeln!(stdout, "{line}").and_then(|()| stdout.flush()) {
        let _ = LOST.set(error);
    }
}

/// The failure to end with when data was lost.
pub(crate) fn lost() -> Option<Failure> {
    LOST.get().map(unwritten)
}

/// Stdout took no more.
pub(crate) fn unwritten(error: &std::io::Error) -> Failure {
    Failure::new(ExitCode::File, format!("cannot write to stdout: {error}"))
}

/// Lines for people.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", tame_lines(text));
}

/// Lines for people without what would move the cursor.
pub(crate) fn tame_lines(text: &str) -> String {
    tame(text, |c| c != '\n' && is_unfit(c))
}

/// One line for people, or one field of a line.
pub(crate) fn tame_line(text: &str) -> String {
    tame(text, is_unfit)
}

/// A path in one field of one line: what is not UTF-8, and what [`is_unfit`], is replaced.
pub(crate) fn name(path: &Path) -> String {
    tame_line(&path.to_string_lossy())
}

/// Whether a terminal would do something else than show it: control characters, line separators, and those that change the direction
/// of what follows.
pub(crate) fn is_unfit(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn tame(text: &str, unfit: impl Fn(char) -> bool) -> String {
    text.chars().map(|c| if unfit(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_moves_the_cursor_or_makes_a_field() {
        assert_eq!(name(Path::new("a\tb\nc\u{1b}[2J.mp4")), "a\u{fffd}b\u{fffd}c\u{fffd}[2J.mp4");
        assert_eq!(name(Path::new("a\u{202e}4pm.exe")), "a\u{fffd}4pm.exe");
        assert_eq!(name(Path::new("电影 🎬.mp4")), "电影 🎬.mp4");
    }
}

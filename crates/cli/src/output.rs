//! Lines to stdout (data) and stderr (everything for people). A reader that went away is no reason to stop an upload, so that nothing
//! here fails or panics. Names of files and words of servers are not trusted to leave the terminal alone.

use std::io::Write;
use std::path::Path;

/// One line of data.
pub(crate) fn data(line: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}

/// Lines for people.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", tame_lines(text));
}

/// Lines for people without what would move the cursor.
pub(crate) fn tame_lines(text: &str) -> String {
    tame(text, |c| c != '\n' && c.is_control())
}

/// A path in one field of one line: what is not UTF-8, and control characters, are replaced.
pub(crate) fn name(path: &Path) -> String {
    tame(&path.to_string_lossy(), char::is_control)
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
        assert_eq!(name(Path::new("电影 🎬.mp4")), "电影 🎬.mp4");
    }
}

//! Lines to stdout (data) and stderr (everything for people). A reader that went away is no reason to stop an upload, so that nothing
//! here fails or panics.

use std::io::Write;

/// One line of data.
pub(crate) fn data(line: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}

/// One line for people.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

//! What this machine cannot run is told in one line that `scripts/suites.sh` counts.

use std::fs::OpenOptions;
use std::io::{self, Write};

/// Tells that `test` does not run here, and why: on stderr, past the capture of the test harness, and as a line of the file that the
/// environment variable `VODFERRY_SKIPPED` names, where it names one.
///
/// # Panics
/// When that file cannot be written: a skipped test that nobody counts would look like one that passed.
pub fn skipped(test: &str, why: &str) {
    let why = why.replace('\n', " ");
    let line = format!("skipped: {test}: {why}\n");
    // One write each, so that tests side by side do not mix their lines.
    let _ = io::stderr().write_all(line.as_bytes());
    if let Some(list) = std::env::var_os("VODFERRY_SKIPPED") {
        let list = OpenOptions::new().create(true).append(true).open(list);
        list.and_then(|mut list| list.write_all(line.as_bytes())).expect("VODFERRY_SKIPPED");
    }
}

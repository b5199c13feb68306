//! Dates, as the wire counts them: milliseconds since 1970, UTC.

use std::time::{SystemTime, UNIX_EPOCH};

/// Now, by the clock of this machine.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// As `2026-11-21T14:39:08Z`; `None` for 0, which is how a reply that names no date is told.
pub(crate) fn text(ms: i64) -> Option<String> {
    (ms != 0).then(|| vodferry::time::format_iso(ms))
}

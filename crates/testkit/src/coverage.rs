//! What a set of runs reached, and what it should have reached: a world in which nothing happens proves nothing.

use std::collections::BTreeMap;
use std::fmt;

/// Everything that a simulation must have reached at least once, by group.
const EXPECTED: &[(&str, &[&str])] = &[
    (
        "fault",
        &[
            "append failure",
            "clock skew",
            "credential expired",
            "duplicated reply",
            "fatal refusal",
            "head refused",
            "integrity: refused",
            "integrity: reply garbled",
            "invalid part: damaged",
            "invalid part: lost",
            "invalid part: spurious",
            "late reply",
            "list parts refused",
            "reply lost",
            "reply lost: complete",
            "request lost",
            "server error after",
            "server error before",
            "slow down",
            "slow down with retry-after",
            "source changed between runs",
            "source changed while read",
            "source unreadable",
            "upload dropped",
        ],
    ),
    (
        "grant",
        &[
            "authorizer answers",
            "authorizer fails for a while",
            "authorizer refuses",
            "dead on arrival",
            "given with the file",
            "other place",
            "pushed in a handler",
            "pushed late",
            "soon dying",
            "video gone",
        ],
    ),
    ("death", &["crash", "crash between outputs", "power loss", "request carried out after death"]),
    (
        "command",
        &[
            "add",
            "authorize",
            "cancel",
            "clear",
            "network_changed",
            "pause file",
            "pause list",
            "remove",
            "restore",
            "resume file",
            "resume list",
            "start",
            "stop",
        ],
    ),
    ("state", &["Active", "Canceled", "Expired", "Failed", "Paused", "Succeeded", "Waiting"]),
    (
        "operation",
        &[
            "Abort",
            "Complete",
            "Head",
            "Initiate",
            "ListParts",
            "ListParts, next page",
            "ListUploads",
            "Put",
            "UploadPart",
        ],
    ),
    (
        "event",
        &[
            "Canceled",
            "Ended",
            "Failed",
            "PartAcknowledged",
            "Progress",
            "Resumed",
            "Retry",
            "RetryResume",
            "Started",
            "Succeeded",
            "Succeeded unverified",
            "TokenExpired",
            "Warning",
        ],
    ),
    (
        "effect",
        &["Abandon", "Append", "AskGrant: create", "AskGrant: refresh", "Close", "Load", "Perform"],
    ),
    (
        "story",
        &[
            "checkpoint found",
            "completion found by head",
            "completion replayed",
            "completion unknown",
            "file of many parts",
            "file of one part",
            "file of zero bytes",
            "journal held by another file",
            "late answer after abandon",
            "part sent again after a lost reply",
            "resumed a subset that is no prefix",
            "small file",
            "upload begun anew",
        ],
    ),
];

/// Counts by group and name.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    counts: BTreeMap<(&'static str, &'static str), u64>,
}

impl Coverage {
    /// Once more.
    pub fn hit(&mut self, group: &'static str, name: &'static str) {
        *self.counts.entry((group, name)).or_default() += 1;
    }

    /// How often.
    pub fn count(&self, group: &'static str, name: &'static str) -> u64 {
        self.counts.get(&(group, name)).copied().unwrap_or(0)
    }

    /// Adds another run's counts.
    pub fn merge(&mut self, other: &Coverage) {
        for (name, count) in &other.counts {
            *self.counts.entry(*name).or_default() += count;
        }
    }

    /// What should have been reached and was not.
    pub fn missing(&self) -> Vec<String> {
        let all =
            EXPECTED.iter().flat_map(|(group, names)| names.iter().map(move |n| (*group, *n)));
        all.filter(|(g, n)| self.count(g, n) == 0).map(|(g, n)| format!("{g}: {n}")).collect()
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut group = "";
        for ((of, name), count) in &self.counts {
            if *of != group {
                writeln!(f, "{of}")?;
                group = of;
            }
            writeln!(f, "  {count:>9}  {name}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_never_reached_is_named() {
        let mut coverage = Coverage::default();
        let all = coverage.missing().len();
        coverage.hit("fault", "request lost");
        assert_eq!(coverage.missing().len(), all - 1);
        assert!(!coverage.missing().contains(&"fault: request lost".to_owned()));
        assert!(coverage.to_string().contains("request lost"));
    }
}

//! What a set of runs reached, and what it should have reached: a world in which nothing happens proves nothing.

use std::collections::BTreeMap;
use std::fmt;

use vodferry_engine::{Event, FileState, Op};

use crate::pairs::Pairs;

/// Everything that a simulation must have reached at least once, by group.
const EXPECTED: &[(&str, &[&str])] = &[
    (
        "fault",
        &[
            "append failure",
            "append failure: end",
            "another kind of reply",
            "checkpoint of other content",
            "clock jump",
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
            "server error with retry-after",
            "slow down",
            "slow down with retry-after",
            "source changed between runs",
            "source changed while read",
            "source unreadable",
            "upload dropped",
            "writer gives up",
            "writer takes back what it announced",
        ],
    ),
    ("grant", &["authorizer answers", "given with the file", "pushed in a handler", "pushed late"]),
    (
        "grant fault",
        &[
            "authorizer asks for patience",
            "authorizer fails for a while",
            "authorizer refuses",
            "dead on arrival",
            "other place",
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
            "set_priority",
            "start",
            "stop",
            "supplied",
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
            "abort skipped without a credential",
            "an answer of old",
            "cancelled while paused, with its upload open",
            "checkpoint found",
            "completion found by head",
            "completion replayed",
            "completion unknown",
            "dead grant refused unused",
            "file of many parts",
            "file of one part",
            "file of zero bytes",
            "file too large for any part size",
            "file that grows",
            "file whose parts are made larger",
            "first part sent last",
            "grant renewed after a failed renewal",
            "grant renewed ahead of its end",
            "held part differs",
            "held part is equal",
            "impossible part size refused",
            "jitter: first quarter",
            "jitter: last quarter",
            "jitter: second quarter",
            "jitter: third quarter",
            "journal held by another file",
            "late answer after abandon",
            "later pause: first half",
            "later pause: second half",
            "more parts than a climb begins with",
            "others finished after a part failed for good",
            "part refused by an old grant",
            "part sent again after a lost reply",
            "patience with the authorizer spent",
            "resumed a subset that is no prefix",
            "small file",
            "part of a growing source twice as long",
            "started before its turn in the list",
            "turned out small",
            "whole upload compared after its completion",
            "upload begun anew",
        ],
    ),
];

/// The groups whose members are misfortunes: of requests, of credentials, of the machine.
const FAULTS: &[&str] = &["fault", "grant fault", "death"];

/// Counts by group and name.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    counts: BTreeMap<(&'static str, &'static str), u64>,
    /// Which input met which state.
    pub pairs: Pairs,
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
        self.pairs.merge(&other.pairs);
    }

    /// What should have been reached and was not.
    pub fn missing(&self) -> Vec<String> {
        self.below(1, |_| true)
    }

    /// Faults of all kinds that were reached fewer than `least` times.
    pub fn rare_faults(&self, least: u64) -> Vec<String> {
        self.below(least, |group| FAULTS.contains(&group))
    }

    fn below(&self, least: u64, wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let groups = EXPECTED.iter().filter(|(group, _)| wanted(group));
        let all = groups.flat_map(|(group, names)| names.iter().map(move |n| (*group, *n)));
        let few = all.map(|(g, n)| (g, n, self.count(g, n))).filter(|(_, _, n)| *n < least);
        few.map(|(group, name, count)| format!("{group}: {name} ({count})")).collect()
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

/// As coverage names an operation.
pub(crate) fn op_name(op: &Op) -> &'static str {
    match op {
        Op::AbortMultipartUpload { .. } => "Abort",
        Op::CompleteMultipartUpload { .. } => "Complete",
        Op::HeadObject { .. } => "Head",
        Op::InitiateMultipartUpload => "Initiate",
        Op::ListMultipartUploads => "ListUploads",
        Op::ListParts { .. } => "ListParts",
        Op::PutObject { .. } => "Put",
        Op::UploadPart { .. } => "UploadPart",
    }
}

/// An event.
pub(crate) fn event_name(event: &Event) -> &'static str {
    match event {
        Event::Canceled { .. } => "Canceled",
        Event::Ended { .. } => "Ended",
        Event::Failed { .. } => "Failed",
        Event::PartAcknowledged { .. } => "PartAcknowledged",
        Event::Progress { .. } => "Progress",
        Event::Resumed { .. } => "Resumed",
        Event::Retry { .. } => "Retry",
        Event::RetryResume { .. } => "RetryResume",
        Event::Started { .. } => "Started",
        Event::Succeeded { object, .. } if !object.verified => "Succeeded unverified",
        Event::Succeeded { .. } => "Succeeded",
        Event::TokenExpired { .. } => "TokenExpired",
        Event::Warning { .. } => "Warning",
    }
}

/// A state of a file.
pub(crate) fn state_name(state: FileState) -> &'static str {
    match state {
        FileState::Waiting => "Waiting",
        FileState::Active => "Active",
        FileState::Paused => "Paused",
        FileState::Expired => "Expired",
        FileState::Succeeded => "Succeeded",
        FileState::Failed => "Failed",
        FileState::Canceled => "Canceled",
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
        assert!(!coverage.missing().contains(&"fault: request lost (0)".to_owned()));
        assert!(coverage.rare_faults(2).contains(&"fault: request lost (1)".to_owned()));
        assert!(!coverage.rare_faults(1).contains(&"story: small file (0)".to_owned()));
        assert!(coverage.to_string().contains("request lost"));
    }
}

//! Which input met a file (and the list) in which state: each pair is reached, or listed as impossible with the reason.
//!
//! A state is what the list shows; of a file under way, what it last asked of the shell. An answer is *wanted* when the
//! engine still waits for it; an answer that is late, repeated or of an attempt long over has columns of its own, as all it
//! may do is nothing.

use std::fmt;

use vodferry_engine::{EffectId, FaultKind, FileId, FileState, Input, Reply};

/// What a file under way waits for, by the last thing that it asked of the shell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// The source and its checkpoint are looked at.
    #[default]
    Loading,
    /// The source is known; nothing was sent since.
    Granting,
    /// PutObject.
    Putting,
    /// ListMultipartUploads, or the parts of what it found.
    Searching,
    /// InitiateMultipartUpload.
    Initiating,
    /// Begin is being stored.
    SavingBegin,
    /// ListParts.
    Listing,
    /// UploadPart.
    Sending,
    /// The record that makes the set whole is being stored.
    SavingLast,
    /// CompleteMultipartUpload.
    Completing,
    /// HeadObject.
    Looking,
}

/// All states: of files under way, of other files, of the list.
const ROWS: [&str; 22] = [
    "Loading",
    "Granting",
    "Putting",
    "Searching",
    "Initiating",
    "SavingBegin",
    "Listing",
    "Sending",
    "SavingLast",
    "Completing",
    "Looking",
    "Expired",
    "Waiting",
    "Paused",
    "Succeeded",
    "Failed",
    "Canceled",
    "Removed",
    "list running",
    "list paused",
    "list stopped",
    "list stopped, paused",
];

/// All inputs: commands, the timer, a wall clock that is set, announcements of writers, wanted answers, late ones.
const COLUMNS: [&str; 56] = [
    "add",
    "authorize",
    "cancel",
    "clear",
    "network_changed",
    "pause",
    "pause list",
    "remove",
    "restore",
    "resume",
    "resume list",
    "set_priority",
    "start",
    "stop",
    "supplied",
    "timer",
    "clock jump",
    "Broken",
    "Finished",
    "Grown",
    "Abort done",
    "Abort fails",
    "Aborted",
    "Completed",
    "Head",
    "Initiated",
    "PartUploaded",
    "Parts",
    "Put",
    "Uploads",
    "ClockSkew",
    "Expired",
    "Fatal",
    "NoSuchUpload",
    "Relist",
    "SlowDown",
    "SourceChanged",
    "Transient",
    "Sent",
    "Appended",
    "Append fails",
    "Granted",
    "Grant: Fatal",
    "Grant: NoSuchUpload",
    "Grant: SlowDown",
    "Grant: Transient",
    "Loaded",
    "Loaded, checkpoint",
    "Load fails",
    "late Abort",
    "late Answer",
    "late Append",
    "late Grant",
    "late Load",
    "late Sent",
    "unknown id",
];

const LOADED: &[&str] = &[
    "Granting",
    "Putting",
    "Searching",
    "Initiating",
    "SavingBegin",
    "Listing",
    "Sending",
    "SavingLast",
    "Completing",
    "Looking",
    "Expired",
];
const AT_REST: &[&str] = &["Waiting", "Paused", "Succeeded", "Failed", "Canceled", "Removed"];
/// Answers to a request that is no Abort.
const ANSWERS: &[&str] = &[
    "Aborted",
    "Completed",
    "Head",
    "Initiated",
    "PartUploaded",
    "Parts",
    "Put",
    "Uploads",
    "ClockSkew",
    "Expired",
    "Fatal",
    "NoSuchUpload",
    "Relist",
    "SlowDown",
    "SourceChanged",
    "Transient",
    "Sent",
];
const APPENDS: &[&str] = &["Appended", "Append fails"];
const GRANTS: &[&str] =
    &["Granted", "Grant: Fatal", "Grant: NoSuchUpload", "Grant: SlowDown", "Grant: Transient"];
const LOADS: &[&str] = &["Loaded", "Loaded, checkpoint", "Load fails"];

const ABORTS: &[&str] = &["Abort done", "Abort fails", "late Abort"];

/// Pairs that cannot be: every state of the first with every input of the second, and why.
const IMPOSSIBLE: &[(&[&str], &[&str], &str)] = &[
    (AT_REST, ANSWERS, "what is in flight of a file is cut, and wanted no longer, when it is left"),
    (AT_REST, APPENDS, "who leaves a file waits no longer for its checkpoint"),
    (AT_REST, GRANTS, "who leaves a file takes its question back"),
    (AT_REST, LOADS, "who leaves a file waits no longer for its source"),
    (&["list paused"], ANSWERS, "pausing the list cuts what is in flight"),
    (&["list stopped", "list stopped, paused"], ANSWERS, "stop leaves every file"),
    (&["list stopped", "list stopped, paused"], APPENDS, "stop leaves every file"),
    (&["list stopped", "list stopped, paused"], GRANTS, "stop leaves every file"),
    (&["list stopped", "list stopped, paused"], LOADS, "stop leaves every file"),
    (
        &["Loading", "Granting"],
        ANSWERS,
        "nothing is sent before the source is known and a grant is there",
    ),
    (&["Loading"], APPENDS, "nothing is written before the source is known"),
    (&["Loading"], GRANTS, "no grant is asked for before the source is known"),
    (LOADED, LOADS, "a source is looked at once per attempt"),
    (&["SavingBegin"], ANSWERS, "nothing is sent before Begin is on disk"),
    (&["SavingLast"], ANSWERS, "every part is acknowledged, and Complete waits for the disk"),
    (
        &["Completing", "Looking"],
        APPENDS,
        "journals answer in order, and the last record was waited for",
    ),
    (&["Expired"], GRANTS, "TokenExpired was told: nobody is asked any more"),
    (
        &["Putting", "Initiating", "Looking"],
        &["NoSuchUpload"],
        "names no upload (that there is no object is a reply)",
    ),
    (
        &["Putting", "Searching", "Initiating", "Listing", "Sending", "Looking"],
        &["Relist"],
        "InvalidPart answers Complete alone",
    ),
    (
        &["Searching", "Initiating", "Listing", "Completing", "Looking"],
        &["SourceChanged", "Sent"],
        "has no body",
    ),
    (
        &[
            "Loading",
            "Granting",
            "Putting",
            "Searching",
            "Initiating",
            "SavingBegin",
            "Listing",
            "Sending",
            "SavingLast",
            "Completing",
            "Looking",
            "Expired",
            "Waiting",
            "Paused",
            "Succeeded",
            "Failed",
        ],
        ABORTS,
        "is of an upload that its file has left: counted by the state of the list",
    ),
    (
        &["Removed"],
        &[
            "add",
            "clear",
            "network_changed",
            "pause list",
            "resume list",
            "start",
            "stop",
            "supplied",
            "timer",
            "clock jump",
            "unknown id",
        ],
        "is for the list, of which the file is no part",
    ),
];

/// How often each pair was reached.
#[derive(Clone, Debug)]
pub struct Pairs {
    counts: Vec<u64>,
}

/// The row of a file. `None` is a file that is no longer in the list.
pub fn row(state: Option<FileState>, stage: Stage) -> &'static str {
    match state {
        None => "Removed",
        Some(FileState::Waiting) => "Waiting",
        Some(FileState::Paused) => "Paused",
        Some(FileState::Expired) => "Expired",
        Some(FileState::Succeeded) => "Succeeded",
        Some(FileState::Failed) => "Failed",
        Some(FileState::Canceled) => "Canceled",
        Some(FileState::Active) => match stage {
            Stage::Loading => "Loading",
            Stage::Granting => "Granting",
            Stage::Putting => "Putting",
            Stage::Searching => "Searching",
            Stage::Initiating => "Initiating",
            Stage::SavingBegin => "SavingBegin",
            Stage::Listing => "Listing",
            Stage::Sending => "Sending",
            Stage::SavingLast => "SavingLast",
            Stage::Completing => "Completing",
            Stage::Looking => "Looking",
        },
    }
}

/// The row of the list.
pub fn list_row(running: bool, paused: bool) -> &'static str {
    match (running, paused) {
        (true, false) => "list running",
        (true, true) => "list paused",
        (false, false) => "list stopped",
        (false, true) => "list stopped, paused",
    }
}

/// The column of an answer that the engine waits for.
pub fn wanted(input: &Input, abort: bool) -> &'static str {
    match input {
        Input::Answer { result, .. } if abort => match result {
            Ok(_) => "Abort done",
            Err(_) => "Abort fails",
        },
        Input::Answer { result: Ok(reply), .. } => match reply {
            Reply::Aborted => "Aborted",
            Reply::Completed(_) => "Completed",
            Reply::Head(_) => "Head",
            Reply::Initiated { .. } => "Initiated",
            Reply::PartUploaded { .. } => "PartUploaded",
            Reply::Parts { .. } => "Parts",
            Reply::Put(_) => "Put",
            Reply::Uploads(_) => "Uploads",
        },
        Input::Answer { result: Err(fault), .. } => match fault.kind {
            FaultKind::ClockSkew => "ClockSkew",
            FaultKind::Expired => "Expired",
            FaultKind::Fatal(_) => "Fatal",
            FaultKind::NoSuchUpload => "NoSuchUpload",
            FaultKind::Relist => "Relist",
            FaultKind::SlowDown => "SlowDown",
            FaultKind::SourceChanged => "SourceChanged",
            FaultKind::Transient(_) => "Transient",
        },
        Input::Appended { result: Ok(()), .. } => "Appended",
        Input::Appended { result: Err(_), .. } => "Append fails",
        Input::Granted { result: Ok(_), .. } => "Granted",
        Input::Granted { result: Err(fault), .. } => match fault.kind {
            FaultKind::NoSuchUpload => "Grant: NoSuchUpload",
            FaultKind::SlowDown => "Grant: SlowDown",
            FaultKind::Transient(_) => "Grant: Transient",
            _ => "Grant: Fatal",
        },
        Input::Loaded { result: Ok((_, None)), .. } => "Loaded",
        Input::Loaded { result: Ok((_, Some(_))), .. } => "Loaded, checkpoint",
        Input::Loaded { result: Err(_), .. } => "Load fails",
        Input::Sent { .. } => "Sent",
        Input::Broken { .. } => "Broken",
        Input::Finished { .. } => "Finished",
        Input::Grown { .. } => "Grown",
    }
}

/// The column of an answer that the engine waits for no longer.
pub fn late(input: &Input, abort: bool) -> &'static str {
    match input {
        Input::Answer { .. } if abort => "late Abort",
        Input::Answer { .. } => "late Answer",
        Input::Appended { .. } => "late Append",
        Input::Granted { .. } => "late Grant",
        Input::Loaded { .. } => "late Load",
        Input::Sent { .. } => "late Sent",
        Input::Broken { .. } => "Broken",
        Input::Finished { .. } => "Finished",
        Input::Grown { .. } => "Grown",
    }
}

/// The effect that an input answers; `None` for what answers nothing.
pub fn id_of(input: &Input) -> Option<EffectId> {
    match input {
        Input::Answer { id, .. }
        | Input::Appended { id, .. }
        | Input::Granted { id, .. }
        | Input::Loaded { id, .. }
        | Input::Sent { id, .. } => Some(*id),
        Input::Broken { .. } | Input::Finished { .. } | Input::Grown { .. } => None,
    }
}

/// The file that a writer's announcement is about; `None` for answers.
pub fn announced_of(input: &Input) -> Option<FileId> {
    match input {
        Input::Broken { file, .. } | Input::Finished { file, .. } | Input::Grown { file, .. } => {
            Some(*file)
        }
        _ => None,
    }
}

impl Default for Pairs {
    fn default() -> Pairs {
        Pairs { counts: vec![0; ROWS.len() * COLUMNS.len()] }
    }
}

impl Pairs {
    /// This input met a file (or the list) in this state. Panics on a name that is in no table: a typing error.
    pub fn hit(&mut self, row: &str, column: &str) {
        self.counts[at(&ROWS, row) * COLUMNS.len() + at(&COLUMNS, column)] += 1;
    }

    /// Adds another run's counts.
    pub fn merge(&mut self, other: &Pairs) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(count, more)| *count += more);
    }

    /// Pairs that were not reached and are not listed as impossible.
    pub fn missing(&self) -> Vec<String> {
        self.named(|count, reason| count == 0 && reason.is_none())
    }

    /// Pairs that are listed as impossible and were reached.
    pub fn refuted(&self) -> Vec<String> {
        self.named(|count, reason| count > 0 && reason.is_some())
    }

    fn named(&self, wanted: impl Fn(u64, Option<&str>) -> bool) -> Vec<String> {
        let mut names = Vec::new();
        for (row, counts) in ROWS.iter().zip(self.counts.chunks(COLUMNS.len())) {
            for (column, count) in COLUMNS.iter().zip(counts) {
                if wanted(*count, impossible(row, column)) {
                    names.push(format!("{row} × {column}"));
                }
            }
        }
        names
    }
}

impl fmt::Display for Pairs {
    /// One line per state, one column per input; `·` is impossible. The reasons follow.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, group) in COLUMNS.chunks(18).enumerate() {
            let first = number * 18;
            writeln!(f)?;
            for (index, column) in group.iter().enumerate() {
                writeln!(f, "{:22}{}╭ {column}", "", "     │".repeat(index))?;
            }
            for (row, counts) in ROWS.iter().zip(self.counts.chunks(COLUMNS.len())) {
                write!(f, "{row:>20}")?;
                for (column, count) in group.iter().zip(&counts[first..]) {
                    let text = match (impossible(row, column), count) {
                        (Some(_), 0) => "·".to_owned(),
                        (_, count) => short(*count),
                    };
                    write!(f, " {text:>5}")?;
                }
                writeln!(f)?;
            }
        }
        writeln!(f, "\nimpossible:")?;
        for (rows, columns, why) in IMPOSSIBLE {
            writeln!(f, "  {{{}}} × {{{}}}: {why}", rows.join(", "), columns.join(", "))?;
        }
        Ok(())
    }
}

/// Why a pair cannot be.
fn impossible(row: &str, column: &str) -> Option<&'static str> {
    let listed = IMPOSSIBLE
        .iter()
        .find(|(rows, columns, _)| rows.contains(&row) && columns.contains(&column));
    listed.map(|(_, _, why)| *why)
}

fn at(names: &[&str], name: &str) -> usize {
    names.iter().position(|n| *n == name).unwrap_or_else(|| panic!("{name} is in no table"))
}

fn short(count: u64) -> String {
    match count {
        0..=9_999 => count.to_string(),
        10_000..=9_999_999 => format!("{}k", count / 1_000),
        _ => format!("{}M", count / 1_000_000),
    }
}

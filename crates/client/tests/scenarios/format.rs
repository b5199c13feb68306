//! The form of a scenario file; `docs/reference/scenarios.md` describes it for those who write a replayer in another language.
//!
//! What a file says and the form does not know is an error: a misspelt field would otherwise be a scenario that shows nothing.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// One scenario: commands at virtual times, scripted answers, and what the application is told.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    /// One line for people.
    pub(crate) what: String,
    /// The rule or the page that it shows.
    pub(crate) shows: String,
    #[serde(default)]
    pub(crate) options: Options,
    #[serde(default)]
    pub(crate) authority: Authority,
    pub(crate) files: BTreeMap<String, File>,
    #[serde(default)]
    pub(crate) server: Server,
    pub(crate) steps: Vec<Step>,
    /// All that the application is told, but for progress.
    pub(crate) events: Vec<Expected>,
    #[serde(default)]
    pub(crate) order: Order,
    /// Per file: each acknowledged figure of the Progress events that differs from the one before.
    #[serde(default)]
    pub(crate) progress: BTreeMap<String, Vec<u64>>,
    /// Operation to how many requests of it the server saw.
    #[serde(default)]
    pub(crate) requests: BTreeMap<Operation, u32>,
    /// How many parts were under way side by side when they were most: of one file, and of all. Not compared where absent, or null.
    #[serde(default)]
    pub(crate) side_by_side: (Option<u32>, Option<u32>),
    /// The list at the end, in order: file and state. Not compared where absent.
    pub(crate) end: Option<Vec<(String, State)>>,
    /// For so long the replay goes on, and whatever is told is compared.
    #[serde(default = "an_hour")]
    pub(crate) until_s: u64,
}

fn an_hour() -> u64 {
    3600
}

/// How the uploader is set up. What is absent has the value given here, which may differ from the uploader's own default: it is
/// chosen so that a trace is the same in every replay.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Options {
    pub(crate) part_size: u64,
    pub(crate) parallel: u32,
    pub(crate) max_in_flight: u32,
    pub(crate) files_at_once: u32,
    /// So many failures in a row…
    pub(crate) retry_count: u32,
    /// …or so long an outage, where it is not 0.
    pub(crate) retry_s: u64,
    pub(crate) retry_pause_ms: u64,
    pub(crate) on_cancel: OnCancel,
    pub(crate) on_part_failure: OnPartFailure,
    pub(crate) halt_on_failure: bool,
    pub(crate) restart_failed: bool,
    pub(crate) progress_interval_ms: u64,
    pub(crate) find_orphans: bool,
    pub(crate) pause_on_metered: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            part_size: 102_400,
            parallel: 1,
            max_in_flight: 16,
            files_at_once: 1,
            retry_count: 3,
            retry_s: 0,
            retry_pause_ms: 2_000,
            on_cancel: OnCancel::Keep,
            on_part_failure: OnPartFailure::StopAtOnce,
            halt_on_failure: false,
            restart_failed: false,
            progress_interval_ms: 100,
            find_orphans: false,
            pause_on_metered: false,
        }
    }
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub(crate) enum OnCancel {
    Keep,
    Abort,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub(crate) enum OnPartFailure {
    StopAtOnce,
    FinishOthers,
}

/// Who hands out grants.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Authority {
    pub(crate) mode: Mode,
    /// Seconds that a credential lives; absent: it does not say, and does not end.
    pub(crate) life_s: Option<i64>,
    /// What the authorizer does instead of granting, or before.
    pub(crate) answers: Vec<Grant>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mode {
    /// The application answers each Started with `authorize`, in its handler.
    #[default]
    Pushed,
    /// Every file brings its grant along.
    Given,
    /// Only steps authorize.
    Manual,
    /// The uploader asks.
    Authorizer,
}

/// One answer of the authorizer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Grant {
    pub(crate) on: Want,
    /// Which question of this kind, from 1.
    #[serde(default = "one")]
    pub(crate) nth: u32,
    #[serde(default)]
    pub(crate) delay_ms: u64,
    pub(crate) life_s: Option<i64>,
    pub(crate) fail: Option<Refusal>,
    #[serde(default)]
    pub(crate) code: String,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub(crate) enum Want {
    Create,
    Refresh,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Refusal {
    /// Is asked again after a pause.
    Again,
    /// There is no credential until somebody supplies one.
    Expired,
    /// The video is gone.
    Gone,
    /// For good.
    Fatal,
}

/// What there is to upload.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    /// Bytes; absent: there is no such file.
    pub(crate) size: Option<u64>,
    #[serde(default)]
    pub(crate) source: SourceKind,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SourceKind {
    /// Can be read anywhere, and again.
    #[default]
    Content,
    /// Comes once, its length unknown.
    Stream,
    /// Is still being written: steps say what is final.
    Growing,
}

/// The object store. Without rules it does what a good one does.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Server {
    /// From the request to its reply.
    pub(crate) latency_ms: u64,
    /// How much its clock is ahead of the device's at first.
    pub(crate) ahead_s: i64,
    pub(crate) rules: Vec<Rule>,
}

impl Default for Server {
    fn default() -> Server {
        Server { latency_ms: 100, ahead_s: 0, rules: Vec::new() }
    }
}

/// What it does otherwise, and when: the first rule that fits a request decides.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    pub(crate) on: Operation,
    pub(crate) file: Option<String>,
    pub(crate) part: Option<u32>,
    /// From this request of those that fit on…
    #[serde(default = "one")]
    pub(crate) nth: u32,
    /// …for so many; 0: for ever.
    #[serde(default = "one")]
    pub(crate) times: u32,
    /// Not before, and not after.
    pub(crate) from_ms: Option<u64>,
    pub(crate) to_ms: Option<u64>,
    /// Answer with this status, and this code of the service.
    pub(crate) status: Option<u16>,
    #[serde(default)]
    pub(crate) code: String,
    pub(crate) retry_after_s: Option<u64>,
    /// Besides the latency.
    #[serde(default)]
    pub(crate) delay_ms: u64,
    /// The connection breaks: before the request was carried out, or after.
    pub(crate) lose: Option<Lose>,
    /// No reply ever comes.
    #[serde(default)]
    pub(crate) silent: bool,
    /// Bytes arrive other than they were sent.
    #[serde(default)]
    pub(crate) corrupt: bool,
    /// From now on the credential of this request is refused as expired.
    #[serde(default)]
    pub(crate) revoke: bool,
    /// The upload is gone from now on.
    #[serde(default)]
    pub(crate) forget: bool,
}

fn one() -> u32 {
    1
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Lose {
    Request,
    Reply,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Operation {
    AbortMultipartUpload,
    Any,
    CompleteMultipartUpload,
    HeadObject,
    InitiateMultipartUpload,
    ListMultipartUploads,
    ListParts,
    PutObject,
    UploadPart,
}

/// What the application does.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    /// At this virtual time; absent: right after the step before.
    pub(crate) at_ms: Option<u64>,
    /// Inside of the handler of this event instead.
    pub(crate) when: Option<When>,
    #[serde(rename = "do")]
    pub(crate) verb: Verb,
    pub(crate) file: Option<String>,
    /// The call is a wrong one, and is to be refused as such.
    #[serde(default)]
    pub(crate) misuse: bool,
    /// `add`: with a part size of its own.
    pub(crate) part_size: Option<u64>,
    /// `add`, `set_priority`.
    pub(crate) priority: Option<i32>,
    /// `authorize`: seconds that the credential lives.
    pub(crate) life_s: Option<i64>,
    /// `authorize`: for another key than before.
    pub(crate) key: Option<String>,
    /// `set_clock`: by how much the device's wall clock is moved.
    pub(crate) by_s: Option<i64>,
    /// `set_metered`, `set_online`: yes or no.
    pub(crate) to: Option<bool>,
    /// `grow`: from this byte to before that one.
    pub(crate) range: Option<(u64, u64)>,
    /// `list`: file and state, in order.
    pub(crate) is: Option<Vec<(String, State)>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct When {
    pub(crate) event: Kind,
    pub(crate) file: Option<String>,
    /// The how manieth such event, from 1.
    #[serde(default = "one")]
    pub(crate) nth: u32,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verb {
    Add,
    Authorize,
    Cancel,
    Clear,
    /// The writer of a growing file is done.
    Finish,
    /// It gives up.
    GiveUp,
    /// It announces bytes that are final.
    Grow,
    List,
    NetworkChanged,
    Pause,
    Remove,
    Restore,
    Resume,
    Start,
    Stop,
    /// The source changes.
    Change,
    /// Releases the uploader; nothing more is told.
    Release,
    /// Another process goes on: the uploader is released, a new one has the same checkpoints and an empty list.
    Restart,
    /// The device's wall clock is moved.
    SetClock,
    SetMetered,
    SetOnline,
    SetPriority,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    Waiting,
    Active,
    Paused,
    Expired,
    Succeeded,
    Failed,
    Canceled,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Canceled,
    Ended,
    Failed,
    /// Only for `when`.
    Progress,
    Resumed,
    Retry,
    RetryResume,
    Started,
    Succeeded,
    TokenExpired,
    Warning,
}

/// One event to come. What is absent is not compared, `file` and `code` excepted.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expected {
    pub(crate) event: Option<Kind>,
    /// Of Ended: the one that finished last.
    pub(crate) file: Option<String>,
    /// Of Failed, Retry, Warning.
    pub(crate) code: Option<String>,
    /// Of Failed, Retry, Warning: the kind of error.
    pub(crate) kind: Option<String>,
    /// Of Retry: the first pause.
    pub(crate) delay_ms: Option<u64>,
    /// Of Resumed: parts that the server holds.
    pub(crate) parts: Option<u32>,
    /// Of Started, Succeeded, TokenExpired.
    pub(crate) video: Option<String>,
    /// Of Succeeded: whether the object was compared.
    pub(crate) verified: Option<bool>,
    /// It comes at this virtual time.
    pub(crate) at_ms: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Order {
    /// The events come in exactly this order.
    #[default]
    List,
    /// Those of each file do; those of different files may mingle.
    File,
}

impl Scenario {
    /// Reads one.
    pub(crate) fn read(path: &Path) -> Result<Scenario, String> {
        let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
        Scenario::parse(&text)
    }

    /// Reads one from its text.
    pub(crate) fn parse(text: &str) -> Result<Scenario, String> {
        let scenario: Scenario = serde_json::from_str(text).map_err(|error| error.to_string())?;
        scenario.check()?;
        Ok(scenario)
    }

    /// What the form alone cannot say.
    fn check(&self) -> Result<(), String> {
        let known = |file: &Option<String>| match file {
            Some(name) if !self.files.contains_key(name) => Err(format!("no file {name}")),
            _ => Ok(()),
        };
        if self.what.is_empty() || self.shows.is_empty() {
            return Err("what and shows say what it is about".into());
        }
        for (at, step) in self.steps.iter().enumerate() {
            step.check().map_err(|why| format!("step {at}: {why}"))?;
            known(&step.file).map_err(|why| format!("step {at}: {why}"))?;
        }
        for expected in &self.events {
            known(&expected.file)?;
            match expected.event {
                None => return Err("an event without its name".into()),
                Some(Kind::Progress) => return Err("progress stands under progress".into()),
                Some(_) => {}
            }
        }
        self.server.rules.iter().try_for_each(|rule| known(&rule.file))
    }
}

impl Step {
    fn check(&self) -> Result<(), String> {
        use Verb::{
            Add, Authorize, Cancel, Change, Finish, GiveUp, Grow, List, Pause, Remove, Restore,
            Resume, SetClock, SetPriority,
        };
        let fits = |has: bool, may: bool, must: bool, name: &str| match (has, may, must) {
            (true, false, _) => Err(format!("{name} is of no use to it")),
            (false, _, true) => Err(format!("{name} is missing")),
            _ => Ok(()),
        };
        let of_file = matches!(
            self.verb,
            Add | Authorize
                | Cancel
                | Change
                | Finish
                | GiveUp
                | Grow
                | Remove
                | Restore
                | SetPriority
        );
        let may = of_file || matches!(self.verb, Pause | Resume);
        fits(self.file.is_some(), may, of_file, "file")?;
        fits(self.part_size.is_some(), self.verb == Add, false, "part_size")?;
        let ranked = self.verb == SetPriority;
        fits(self.priority.is_some(), ranked || self.verb == Add, ranked, "priority")?;
        fits(self.range.is_some(), self.verb == Grow, self.verb == Grow, "range")?;
        fits(self.life_s.is_some(), self.verb == Authorize, false, "life_s")?;
        fits(self.key.is_some(), self.verb == Authorize, false, "key")?;
        fits(self.by_s.is_some(), self.verb == SetClock, self.verb == SetClock, "by_s")?;
        let hold = matches!(self.verb, Verb::SetMetered | Verb::SetOnline);
        fits(self.to.is_some(), hold, hold, "to")?;
        fits(self.is.is_some(), self.verb == List, self.verb == List, "is")?;
        fits(self.at_ms.is_some(), self.when.is_none(), false, "at_ms")
    }
}

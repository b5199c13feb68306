//! Upload reports: what an uploader did, told to whoever keeps statistics. Off unless the application gives a [`Reporter`]; the browser's
//! page calls it `enableUploadProgress`, phones `setReportEnabled`, and their SDKs send it to their vendor.
//!
//! One task beside the uploader listens to its events, gathers reports for about a second, and hands them over. A reporter that fails,
//! hangs or panics loses reports and nothing else: at most [`MOST`] wait, those about parts and progress go first, and no verb and no
//! upload ever waits for it. Only [`close`](crate::Uploader::close) does, ten seconds at most, since a process that ends takes with it what
//! was not handed over.
//!
//! | report | in the browser's log |
//! |---|---|
//! | [`Started`](Reported::Started) | 20002 |
//! | [`Part`](Reported::Part) | 20007 |
//! | [`Progress`](Reported::Progress) | `ReportUploadProgress` |
//! | [`Retry`](Reported::Retry) | 20006 |
//! | [`Succeeded`](Reported::Succeeded), [`Failed`](Reported::Failed), [`Canceled`](Reported::Canceled) | 20003, 20004, 20008 |

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::FutureExt;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc::UnboundedReceiver;
use vodferry_engine::{ErrorInfo, ErrorKind, Event, FileId, Target};
use vodferry_oss::time::format_iso_ms;

use crate::app_server::refusal;
use crate::clock::wall_ms;
use crate::shell::Shared;
use crate::{AppServer, BoxFuture, Error, FileStatus};

/// So many reports wait for a reporter that is slow.
const MOST: usize = 256;
/// Between two calls of a reporter.
const PACE: Duration = Duration::from_secs(1);
/// After a call that failed.
const PAUSE: Duration = Duration::from_secs(5);
/// How long one call may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long [`close`](crate::Uploader::close) waits for the last reports.
pub(crate) const FAREWELL: Duration = Duration::from_secs(10);

/// Something that happened to a file. Holds no credential, no address with a signature, no path of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// When, by this machine's clock, in milliseconds since 1970.
    pub at_ms: i64,
    /// Names the attempt: 32 hexadecimal digits, another for each Started.
    pub attempt: String,
    /// The file's name, as the authorizer is told.
    pub name: String,
    /// The file's length in bytes; `None` before it is known.
    pub size: Option<u64>,
    /// Its video or image, once known.
    pub video_id: Option<String>,
    /// Its place, once known.
    pub target: Option<Target>,
    /// What happened.
    pub what: Reported,
}

/// What happened to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reported {
    /// An attempt began.
    Started,
    /// The server acknowledged one part.
    Part {
        /// Its number, from 1.
        number: u32,
        /// Its bytes.
        length: u64,
    },
    /// How far it is.
    Progress {
        /// Bytes the server holds.
        acknowledged: u64,
    },
    /// Something failed and is tried again; once per outage.
    Retry(ErrorInfo),
    /// The object is in storage.
    Succeeded,
    /// The file was given up.
    Failed(ErrorInfo),
    /// The file was skipped.
    Canceled,
}

/// Takes reports: [`AppServer`] sends them to `POST {base}/api/upload-reports`, a function does as well. Give it to
/// [`UploaderBuilder::reporter`](crate::UploaderBuilder::reporter).
pub trait Reporter: Send + Sync + 'static {
    /// Takes some, in order. It is called once at a time, about once a second while there are any, and given 30 seconds; what it
    /// does not take is lost.
    fn report(&self, reports: Vec<Report>) -> BoxFuture<'_, Result<(), Error>>;
}

impl<F, R> Reporter for F
where
    F: Fn(Vec<Report>) -> R + Send + Sync + 'static,
    R: Future<Output = Result<(), Error>> + Send + 'static,
{
    fn report(&self, reports: Vec<Report>) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self(reports))
    }
}

impl Reporter for AppServer {
    fn report(&self, reports: Vec<Report>) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let reports: Vec<Value> = reports.iter().map(Report::to_json).collect();
            let body = json!({ "Reports": reports }).to_string();
            let about = "reporting uploads";
            let response = self.post(about, "/api/upload-reports", body.as_bytes()).await?;
            match response.status {
                200..300 => Ok(()),
                _ => Err(refusal("the server refused upload reports".to_owned(), &response)),
            }
        })
    }
}

impl Report {
    /// As the application server is told it; see `docs/reference/app-server.md`.
    pub fn to_json(&self) -> Value {
        let mut members = Map::new();
        let mut add = |name: &str, value: Value| {
            if !value.is_null() {
                members.insert(name.to_owned(), value);
            }
        };
        add("Time", format_iso_ms(self.at_ms).into());
        add("Attempt", self.attempt.as_str().into());
        add("FileName", self.name.as_str().into());
        add("FileSize", self.size.into());
        add("VideoId", self.video_id.as_deref().into());
        add("Bucket", self.target.as_ref().map(|target| target.bucket.as_str()).into());
        add("Key", self.target.as_ref().map(|target| target.key.as_str()).into());
        let (event, error) = match &self.what {
            Reported::Started => ("Started", None),
            Reported::Part { number, length } => {
                add("PartNumber", (*number).into());
                add("PartSize", (*length).into());
                ("Part", None)
            }
            Reported::Progress { acknowledged } => {
                add("Acknowledged", (*acknowledged).into());
                ("Progress", None)
            }
            Reported::Retry(error) => ("Retry", Some(error)),
            Reported::Succeeded => ("Succeeded", None),
            Reported::Failed(error) => ("Failed", Some(error)),
            Reported::Canceled => ("Canceled", None),
        };
        add("Event", event.into());
        if let Some(error) = error {
            add("Code", error.code.as_str().into());
            add("Message", error.message.as_str().into());
            add("RequestId", Some(error.request_id.as_str()).filter(|id| !id.is_empty()).into());
        }
        Value::Object(members)
    }

    /// Whether it may be lost before others.
    fn is_minor(&self) -> bool {
        matches!(self.what, Reported::Part { .. } | Reported::Progress { .. })
    }
}

/// Reports what `events` tell until the uploader is released, then what is left.
pub(crate) async fn run(
    shared: Weak<Shared>,
    events: UnboundedReceiver<Event>,
    reporter: Arc<dyn Reporter>,
) {
    let mut ears = Ears { shared, events, notes: Notes::default(), ended: false };
    loop {
        // Until there is something to hand over, only the events count.
        while ears.notes.waiting.is_empty() {
            if ears.ended {
                return;
            }
            ears.hear().await;
        }
        let reports = ears.notes.waiting.drain(..).collect();
        let pause = {
            let mut handed = pin!(hand_over(&*reporter, reports));
            loop {
                tokio::select! {
                    () = ears.hear(), if !ears.ended => {}
                    pause = &mut handed => break pause,
                }
            }
        };
        let mut over = pin!(tokio::time::sleep(pause));
        // Whoever closed the uploader waits for the last of it.
        while !ears.ended {
            tokio::select! {
                () = ears.hear() => {}
                () = &mut over => break,
            }
        }
    }
}

/// What an uploader tells, until it is released.
struct Ears {
    shared: Weak<Shared>,
    events: UnboundedReceiver<Event>,
    notes: Notes,
    ended: bool,
}

impl Ears {
    /// Waits for the next event, or the end.
    async fn hear(&mut self) {
        match self.events.recv().await {
            Some(event) => self.notes.hear(&self.shared, event),
            None => self.ended = true,
        }
    }
}

/// Hands over; how long to wait until the next time.
async fn hand_over(reporter: &dyn Reporter, reports: Vec<Report>) -> Duration {
    let call = AssertUnwindSafe(async { reporter.report(reports).await }).catch_unwind();
    match tokio::time::timeout(PATIENCE, call).await {
        Ok(Ok(Ok(()))) => PACE,
        Ok(Ok(Err(error))) => {
            tracing::debug!(%error, "upload reports were not taken");
            PAUSE
        }
        Ok(Err(_)) | Err(_) => {
            tracing::debug!("who takes upload reports panicked, or does not answer");
            PAUSE
        }
    }
}

/// What is known of the attempts under way, and the reports that wait.
#[derive(Default)]
struct Notes {
    attempts: HashMap<FileId, Report>,
    waiting: VecDeque<Report>,
}

impl Notes {
    fn hear(&mut self, shared: &Weak<Shared>, event: Event) {
        let (file, what, over) = match event {
            Event::Started { file, .. } => {
                self.attempts.insert(file, begun());
                (file, Reported::Started, false)
            }
            Event::PartAcknowledged { file, part } => {
                (file, Reported::Part { number: part.number, length: part.length }, false)
            }
            Event::Progress { file, acknowledged, .. } => {
                (file, Reported::Progress { acknowledged }, false)
            }
            Event::Retry { file, error, .. } => (file, Reported::Retry(error), false),
            Event::Succeeded { file, .. } => (file, Reported::Succeeded, true),
            Event::Failed { file, error } => (file, Reported::Failed(error), true),
            Event::Canceled { file } => (file, Reported::Canceled, true),
            // Attempts of files that were taken out of the list are over without a word.
            Event::Ended { .. } => return self.attempts.clear(),
            _ => return,
        };
        let status = shared.upgrade().and_then(|shared| shared.lock().status_of(file));
        let what = match (what, &status) {
            (Reported::Retry(error), Some(status)) => Reported::Retry(abroad(error, status)),
            (Reported::Failed(error), Some(status)) => Reported::Failed(abroad(error, status)),
            (what, _) => what,
        };
        let mut report = match self.attempts.get_mut(&file) {
            Some(attempt) => {
                attempt.learn(status);
                attempt.clone()
            }
            // A file that was cancelled before its turn had no attempt.
            None => {
                let mut report = begun();
                report.learn(status);
                report
            }
        };
        if over {
            self.attempts.remove(&file);
        }
        (report.at_ms, report.what) = (wall_ms(), what);
        self.queue(report);
    }

    /// Puts a report behind the others; of the progress of one attempt only the newest waits.
    fn queue(&mut self, report: Report) {
        if matches!(report.what, Reported::Progress { .. }) {
            self.waiting.retain(|other| {
                other.attempt != report.attempt || !matches!(other.what, Reported::Progress { .. })
            });
        }
        if self.waiting.len() >= MOST {
            let minor = self.waiting.iter().position(Report::is_minor).unwrap_or(0);
            self.waiting.remove(minor);
        }
        self.waiting.push_back(report);
    }
}

impl Report {
    fn learn(&mut self, status: Option<FileStatus>) {
        let Some(status) = status else { return };
        self.name = status.name;
        self.size = status.total.or(self.size);
        self.video_id = status.video_id.or(self.video_id.take());
        self.target = status.target.or(self.target.take());
    }
}

/// An error as others may read it: the file goes by its name, and what tells of other places of this machine keeps its code alone.
fn abroad(error: ErrorInfo, status: &FileStatus) -> ErrorInfo {
    let local = matches!(
        error.kind,
        ErrorKind::Io
            | ErrorKind::SourceChanged
            | ErrorKind::Storage
            | ErrorKind::Busy
            | ErrorKind::Misuse
    );
    if !local {
        return error;
    }
    let path = status.path.as_deref().map(|path| path.display().to_string());
    let message = match path.filter(|path| !path.is_empty()) {
        Some(path) => error.message.replace(&path, &status.name),
        None => error.message,
    };
    let message = if message.contains(['/', '\\']) { String::new() } else { message };
    ErrorInfo { message, ..error }
}

/// An attempt of which nothing is known yet.
fn begun() -> Report {
    // Without randomness the attempts of this moment share a name.
    let number = getrandom::u64().map_or_else(|_| 0, u128::from) << 64;
    let attempt = format!("{:032x}", number | u128::from(wall_ms().unsigned_abs()));
    let (name, what) = (String::new(), Reported::Started);
    Report { at_ms: 0, attempt, name, size: None, video_id: None, target: None, what }
}

#[cfg(test)]
mod tests {
    use vodferry_engine::PartInfo;

    use super::*;

    fn error() -> ErrorInfo {
        ErrorInfo {
            kind: ErrorKind::Service,
            code: "AccessDenied".into(),
            message: "part 1 was refused".into(),
            request_id: String::new(),
        }
    }

    fn progress(acknowledged: u64) -> Event {
        let (file, total) = (FileId(1), Some(9));
        Event::Progress { file, acknowledged, in_flight: 0, total }
    }

    fn part(number: u32) -> Event {
        let part = PartInfo { number, length: 7, etag: "E".into(), crc64: None };
        Event::PartAcknowledged { file: FileId(1), part }
    }

    fn hear(notes: &mut Notes, event: Event) {
        notes.hear(&Weak::new(), event);
    }

    #[test]
    fn only_the_newest_progress_of_an_attempt_waits() {
        let mut notes = Notes::default();
        hear(&mut notes, Event::Started { file: FileId(1), video_id: None, target: None });
        for n in 0..5 {
            hear(&mut notes, progress(n));
        }
        let told: Vec<&Reported> = notes.waiting.iter().map(|report| &report.what).collect();
        assert_eq!(told, [&Reported::Started, &Reported::Progress { acknowledged: 4 }]);
        let attempts: Vec<&str> = notes.waiting.iter().map(|r| r.attempt.as_str()).collect();
        assert_eq!((attempts[0].len(), attempts[0]), (32, attempts[1]));
    }

    #[test]
    fn so_many_wait_and_parts_go_first() {
        let mut notes = Notes::default();
        hear(&mut notes, Event::Started { file: FileId(1), video_id: None, target: None });
        for n in 0..MOST as u32 * 3 {
            hear(&mut notes, part(n + 1));
        }
        hear(&mut notes, Event::Failed { file: FileId(1), error: error() });
        assert_eq!(notes.waiting.len(), MOST);
        assert_eq!(notes.waiting[0].what, Reported::Started);
        assert_eq!(notes.waiting[MOST - 1].what, Reported::Failed(error()));
        assert!(notes.attempts.is_empty());
    }

    #[test]
    fn a_report_says_what_it_knows() {
        let report = Report {
            at_ms: 1_795_168_800_000,
            size: Some(9),
            what: Reported::Failed(error()),
            name: "a.mp4".into(),
            attempt: "a1".into(),
            ..begun()
        };
        assert_eq!(
            report.to_json(),
            json!({
                "Time": "2026-11-20T10:00:00.000Z", "Attempt": "a1", "Event": "Failed",
                "FileName": "a.mp4", "FileSize": 9,
                "Code": "AccessDenied", "Message": "part 1 was refused",
            })
        );
        let part = Report { what: Reported::Part { number: 2, length: 7 }, ..report };
        assert_eq!(
            (&part.to_json()["PartNumber"], &part.to_json()["PartSize"]),
            (&json!(2), &json!(7))
        );
    }
}

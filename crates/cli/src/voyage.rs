//! One run of the uploader, from the first event to the exit code: what `upload` and `resume` have in common.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use vodferry::{
    AppServer, ErrorInfo, ErrorKind, Event, File, FileId, OnBusy, Options, Target, Uploader,
};

use crate::cli::DisplayArgs;
use crate::error::Failure;
use crate::exit_code::ExitCode;
use crate::face::Face;
use crate::flights::Flights;
use crate::place::Place;
use crate::renewal::{Refusal, Remembered, VIDEO_GONE};
use crate::{output, signals};

/// Our code for a credential that died where nobody can give another.
const TOKEN_EXPIRED: &str = "TokenExpired";

/// One file of the run.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) id: FileId,
    /// The position on the command line, from 1.
    pub(crate) number: usize,
    pub(crate) path: PathBuf,
    /// The path for people, see [`output::name`].
    pub(crate) name: String,
    /// Bytes; `None` when the file could not be looked at.
    pub(crate) total: Option<u64>,
    /// Bytes that the server holds.
    pub(crate) acknowledged: u64,
    /// The video that its upload was begun for, as a checkpoint says.
    video_id: Option<String>,
    pub(crate) outcome: Outcome,
}

/// How far a file came.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Waiting, or under way.
    Open,
    /// In storage.
    Succeeded { target: Target, video_id: Option<String> },
    /// Given up.
    Failed(ErrorInfo),
    /// Skipped.
    Canceled,
}

impl Entry {
    pub(crate) fn new(id: FileId, number: usize, path: PathBuf) -> Entry {
        let name = output::name(&path);
        let total = std::fs::metadata(&path).ok().filter(|m| m.is_file()).map(|m| m.len());
        let (video_id, outcome) = (None, Outcome::Open);
        Entry { id, number, path, name, total, acknowledged: 0, video_id, outcome }
    }

    /// What an event changes.
    fn note(&mut self, event: &Event) {
        match event {
            Event::Started { video_id, .. } => self.video_id.clone_from(video_id),
            Event::Progress { acknowledged, total, .. } => {
                self.acknowledged = *acknowledged;
                self.total = total.or(self.total);
            }
            Event::Succeeded { target, video_id, .. } => {
                self.outcome =
                    Outcome::Succeeded { target: target.clone(), video_id: video_id.clone() };
            }
            Event::Failed { error, .. } => self.outcome = Outcome::Failed(error.clone()),
            Event::Canceled { .. } => self.outcome = Outcome::Canceled,
            _ => {}
        }
    }
}

/// Uploads `files` in order, and gives the exit code of the worst failure and what became of each. Nothing is sent when one of them, or
/// an option, is a wrong call. `anew`: a file whose video is gone is uploaded as another video.
pub(crate) async fn launch(
    place: &Place,
    options: &Options,
    display: &DisplayArgs,
    files: Vec<(PathBuf, File)>,
    anew: bool,
) -> Result<(ExitCode, Vec<Entry>), Failure> {
    let interrupted = signals::interrupted();
    let flights = Flights::around(vodferry::http_client(options)?);
    let http = Arc::new(flights.clone());
    let refusal = Refusal::default();
    let mut builder = Uploader::builder().options(options.clone()).http(http.clone());
    if let Place::Server { url, token } = place {
        let mut server = AppServer::new(url)?.http(http);
        if let Some(token) = token {
            server = server.bearer(token.clone());
        }
        let refusal = refusal.clone();
        builder = builder.authorizer(Remembered { authorizer: server, refusal, anew });
    }
    let uploader = builder.build()?;
    let mut entries = Vec::with_capacity(files.len());
    for (path, file) in files {
        let id = uploader.add(file)?;
        entries.push(Entry::new(id, entries.len() + 1, path));
    }
    let face = Face::new(display, &entries, flights);
    let waits = options.on_busy == OnBusy::Wait;
    let mut voyage = Voyage { entries, face, refusal, idle: waits.then(Instant::now) };
    let exit = voyage.run(uploader, interrupted).await;
    voyage.face.end(&voyage.entries, exit);
    Ok((exit, voyage.entries))
}

/// What the user can do about an error.
pub(crate) fn hint(error: &ErrorInfo) -> Option<String> {
    let own = match error.code.as_str() {
        TOKEN_EXPIRED => {
            "get a fresh credential (RefreshUploadVideo for an upload address) and run the command again: \
             it goes on where it stopped"
        }
        VIDEO_GONE => {
            "name the application server where it was begun, or begin anew with `vodferry upload`"
        }
        // The application server's words for its bearer token.
        "InvalidToken" | "MissingToken" => {
            "give the application server's token by VODFERRY_TOKEN or --keys-file DIR/keys.toml"
        }
        _ => return vodferry::Error::from(error.clone()).hint().map(str::to_owned),
    };
    Some(own.to_owned())
}

/// A run under way.
struct Voyage {
    entries: Vec<Entry>,
    face: Face,
    refusal: Refusal,
    /// Since when no file is under way, where one may wait for another process and nobody said so yet.
    idle: Option<Instant>,
}

impl Voyage {
    /// Runs until every file is done or `interrupted` resolves, and gives the exit code of the worst failure. The uploader is closed
    /// then: its checkpoints are free for another process.
    async fn run(&mut self, uploader: Uploader, interrupted: impl Future<Output = ()>) -> ExitCode {
        let mut events = uploader.events();
        let mut redraw = tokio::time::interval(Duration::from_millis(200));
        let mut was_interrupted = false;
        tokio::pin!(interrupted);
        uploader.start();
        loop {
            let event = tokio::select! {
                biased;
                () = &mut interrupted => {
                    was_interrupted = true;
                    break;
                }
                event = events.next() => event,
                _ = redraw.tick() => {
                    self.tell_waiting();
                    self.face.redraw();
                    continue;
                }
            };
            match event {
                None | Some(Event::Ended { .. }) => break,
                Some(event) => {
                    let failed = self.on_event(event);
                    self.tell_gone();
                    if let Some(Err(error)) = failed.map(|file| uploader.cancel(file)) {
                        tracing::debug!(%error, "the file ended by itself");
                    }
                }
            }
        }
        if was_interrupted {
            uploader.stop();
        }
        uploader.close().await;
        // What was acknowledged up to the last moment is told.
        while let Some(event) = events.try_next() {
            self.on_event(event);
        }
        let failed = self.entries.iter().filter_map(|entry| match &entry.outcome {
            Outcome::Failed(error) => Some(ExitCode::of(error.kind)),
            _ => None,
        });
        let worst = failed.fold(ExitCode::Success, ExitCode::worse);
        if was_interrupted { worst.worse(ExitCode::Interrupted) } else { worst }
    }

    /// Tells, once, why nothing happens: opening a file takes no such time.
    fn tell_waiting(&mut self) {
        if self.idle.is_some_and(|since| since.elapsed() > Duration::from_secs(1)) {
            self.idle = None;
            self.face.remark("waiting for another process that uploads this file");
        }
    }

    /// Tells that an upload begins anew where the application server does not know its video.
    fn tell_gone(&mut self) {
        for video in self.refusal.take_gone() {
            let Some(entry) = self.entries.iter().find(|e| e.video_id.as_ref() == Some(&video))
            else {
                // The answer was faster than Started, which names the video.
                self.refusal.note_gone(video);
                continue;
            };
            let message = format!(
                "the application server does not know the video {video}, for which the upload was begun: \
                 it begins anew"
            );
            let (kind, code) = (ErrorKind::Service, VIDEO_GONE.to_owned());
            let error = ErrorInfo { kind, code, message, request_id: String::new() };
            self.face.tell(entry, &Event::Warning { file: entry.id, error });
        }
    }

    /// Tells an event. Gives a file that failed by it and that the uploader does not know to have failed.
    fn on_event(&mut self, event: Event) -> Option<FileId> {
        let id = event.file()?;
        let entry = self.entries.iter_mut().find(|entry| entry.id == id)?;
        let Outcome::Open = entry.outcome else {
            // A file that failed for its dead credential is cancelled behind the curtain: that Canceled is not news.
            return None;
        };
        entry.note(&event);
        self.face.tell(entry, &event);
        if let Event::Started { .. } = event {
            self.idle = None;
        }
        let Event::TokenExpired { .. } = event else { return None };
        // Whoever could give another credential was asked by the uploader before it told this. Waiting would be for ever.
        let failed = Event::Failed { file: id, error: expired(self.refusal.last()) };
        entry.note(&failed);
        self.face.tell(entry, &failed);
        Some(id)
    }
}

/// What a dead credential that nobody renewed means: the refusal, where there was one.
fn expired(refusal: Option<ErrorInfo>) -> ErrorInfo {
    const TEXT: &str = "the credential expired before the upload was done";
    match refusal {
        Some(refusal) => ErrorInfo { message: format!("{TEXT}: {}", refusal.message), ..refusal },
        None => ErrorInfo {
            kind: ErrorKind::Auth,
            code: TOKEN_EXPIRED.to_owned(),
            message: TEXT.to_owned(),
            request_id: String::new(),
        },
    }
}

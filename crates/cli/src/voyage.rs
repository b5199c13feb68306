//! One run of the uploader, from the first event to the exit code: what `upload` and `resume` have in common.

use std::collections::HashMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use vodferry::{
    AppServer, ErrorInfo, ErrorKind, Event, File, FileId, OnBusy, OnCancel, Options, Uploader,
    VodApi,
};

use crate::cli::DisplayArgs;
use crate::entry::{Entry, Outcome};
use crate::error::Failure;
use crate::exit_code::ExitCode;
use crate::face::Face;
use crate::flights::Flights;
use crate::helm::Helm;
use crate::key;
use crate::keys::Keys;
use crate::place::Place;
use crate::renewal::{Refusal, Remembered, VIDEO_GONE};
use crate::signals::{self, Asked};
use crate::upload::is_stdin;

/// Our code for a credential that died where nobody can give another.
const TOKEN_EXPIRED: &str = "TokenExpired";
/// For telling the server of what was cancelled.
const FAREWELL: Duration = Duration::from_secs(10);

/// Uploads `files` in order, and gives the exit code of the worst failure and what became of each. Nothing is sent when one of them, or
/// an option, is a wrong call. `anew`: a file whose video is gone is uploaded as another video.
pub(crate) async fn launch(
    place: &Place,
    options: &Options,
    display: &DisplayArgs,
    files: Vec<(PathBuf, File)>,
    anew: bool,
) -> Result<(ExitCode, Vec<Entry>), Failure> {
    // A source at stdin has the keyboard, where it is one.
    let keys = !display.no_keys
        && Face::has_bars(display)
        && !files.iter().any(|(path, _)| is_stdin(path));
    let keys = keys.then(Keys::listen).flatten();
    let interrupted = signals::interrupted(keys.is_some());
    let flights = Flights::around(vodferry::http_client(options)?);
    let http = Arc::new(flights.clone());
    let refusal = Refusal::default();
    let mut builder = Uploader::builder().options(options.clone()).http(http.clone());
    if let Place::Server { url, token, report } = place {
        let mut server = AppServer::new(url)?.http(http.clone());
        if let Some(token) = token {
            server = server.bearer(token.clone());
        }
        if *report {
            builder = builder.reporter(server.clone());
        }
        let refusal = refusal.clone();
        builder = builder.authorizer(Remembered { authorizer: server, refusal, anew });
    }
    if let Place::Store { store, .. } = place
        && let Some(authorizer) = store.authorizer()?
    {
        builder = builder.authorizer(Remembered { authorizer, refusal: refusal.clone(), anew });
    }
    if let Place::Vod { api, key, signature } = place {
        let mut authorizer = VodApi::new(api, key.token.clone())?.signature(*signature).http(http);
        if let Some(supplier) = key.supplier() {
            authorizer = authorizer.supplier(supplier);
        }
        builder = builder.authorizer(Remembered { authorizer, refusal: refusal.clone(), anew });
    }
    let uploader = builder.build()?;
    let mut entries = Vec::with_capacity(files.len());
    for (path, file) in files {
        let id = uploader.add(file)?;
        entries.push(Entry::new(id, entries.len() + 1, path));
    }
    let places = entries.iter().enumerate().map(|(place, entry)| (entry.id, place)).collect();
    let face = Face::new(display, &entries, flights, keys.is_some());
    let waits = options.on_busy == OnBusy::Wait;
    let mut voyage = Voyage {
        entries,
        places,
        face,
        refusal,
        helm: Helm::new(options.limit),
        idle: waits.then(Instant::now),
        aborts: options.on_cancel == OnCancel::Abort,
        halts: options.halt_on_failure,
    };
    let exit = voyage.run(uploader, interrupted, keys).await;
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
        key::CODE => key::HINT,
        _ => return vodferry::Error::from(error.clone()).hint().map(str::to_owned),
    };
    Some(own.to_owned())
}

/// A run under way.
struct Voyage {
    entries: Vec<Entry>,
    /// Where in the list each file is.
    places: HashMap<FileId, usize>,
    face: Face,
    refusal: Refusal,
    helm: Helm,
    /// Since when no file is under way, where one may wait for another process and nobody said so yet.
    idle: Option<Instant>,
    /// Whether what is cancelled is given up at the server: then Ctrl-C is a cancel.
    aborts: bool,
    /// Whether the run ends with the first file that fails.
    halts: bool,
}

impl Voyage {
    /// Runs until every file is done or somebody asks for the end, and gives the exit code of the worst failure. The uploader is closed
    /// then: its checkpoints are free for another process.
    async fn run(
        &mut self,
        uploader: Uploader,
        interrupted: impl Future<Output = Asked>,
        mut keys: Option<Keys>,
    ) -> ExitCode {
        let mut events = uploader.events();
        let mut holds = signals::holds();
        let mut redraw = tokio::time::interval(Duration::from_millis(200));
        let (mut was_interrupted, mut parked) = (false, false);
        tokio::pin!(interrupted);
        uploader.start();
        loop {
            let event = tokio::select! {
                biased;
                asked = &mut interrupted, if !was_interrupted => {
                    was_interrupted = true;
                    if self.aborts && asked == Asked::Interrupt {
                        self.cancel_all(&uploader);
                        continue;
                    }
                    uploader.stop();
                    break;
                }
                key = Keys::next(&mut keys) => {
                    if self.helm.press(key, &uploader, &self.entries, &mut self.face) {
                        was_interrupted = true;
                        uploader.stop();
                        break;
                    }
                    continue;
                }
                held = holds.next() => {
                    self.helm.hold(held, &uploader, &mut self.face);
                    continue;
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
                // The engine has stopped by itself: no end is told of a run that is not at its end.
                Some(event @ Event::Failed { .. }) if self.halts => {
                    self.on_event(event);
                    break;
                }
                Some(event) => {
                    let failed = self.on_event(event);
                    self.tell_gone();
                    if self.halts && failed.is_some() {
                        uploader.stop();
                        break;
                    }
                    // Its place is for the next; what is stored of it stays, whatever becomes of what is cancelled.
                    if let Some(Err(error)) = failed.map(|file| uploader.pause(Some(file))) {
                        tracing::debug!(%error, "the file ended by itself");
                    }
                    parked |= failed.is_some();
                    // The uploader tells no end while a file is paused.
                    if parked && !self.entries.iter().any(Entry::is_open) {
                        uploader.stop();
                        break;
                    }
                }
            }
        }
        if self.aborts && tokio::time::timeout(FAREWELL, uploader.settled()).await.is_err() {
            self.face.remark("the server was not told of all that was cancelled");
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

    /// Cancels what is not done. Those that wait first, so that none of them starts.
    fn cancel_all(&self, uploader: &Uploader) {
        for entry in self.entries.iter().rev().filter(|entry| entry.is_open()) {
            if let Err(error) = uploader.cancel(entry.id) {
                tracing::debug!(%error, "the file ended by itself");
            }
        }
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
        let entry = self.entries.get_mut(*self.places.get(&id)?)?;
        if !entry.is_open() {
            // A file that failed for its dead credential is paused behind the curtain: what comes of that is not news.
            return None;
        }
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

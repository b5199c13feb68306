//! The access log: one JSON object per line and request.
//!
//! Lines are written by a thread of their own, so that a slow disk does not slow requests down; when
//! too many wait, further ones are dropped and counted.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde::Serialize;
use vodferry_oss::time::format_iso_ms;

use super::Found;
use crate::http::call::{Call, Peer};
use crate::http::request_id::RequestId;
use crate::http::video::as_i64;

/// Where lines go. Dropped, it has written all that it was given.
pub(crate) struct AccessLog {
    lines: Option<SyncSender<Message>>,
    lost: Arc<AtomicU64>,
    writing: Mutex<Option<JoinHandle<()>>>,
}

/// One line. The names of the fields are kept; new ones may be added.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Record {
    /// When the request came, UTC.
    time: String,
    request_id: String,
    remote: Option<IpAddr>,
    tls: bool,
    /// The trusted proxy that says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    via: Option<IpAddr>,
    protocol: &'static str,
    method: String,
    /// As sent, without the query.
    path: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    bucket: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    key: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    operation: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<u32>,
    #[serde(skip_serializing_if = "String::is_empty")]
    access_key_id: String,
    /// None: the client left before it had a reply.
    status: Option<u16>,
    #[serde(skip_serializing_if = "String::is_empty")]
    code: String,
    /// How its callback went.
    #[serde(skip_serializing_if = "str::is_empty")]
    callback: &'static str,
    received: u64,
    sent: u64,
    ms: u64,
    user_agent: String,
}

enum Message {
    Line(Box<Record>),
    /// The file was moved away: a new one is begun.
    Reopen,
}

impl Record {
    /// What is known of a request when it comes.
    pub(super) fn of(call: &Call, now_ms: u64) -> Record {
        Record {
            protocol: call.protocol(),
            method: call.method.to_string(),
            path: cut(&call.path),
            user_agent: cut(&call.header("user-agent").unwrap_or_default()),
            ..Record::of_nothing(call.id, call.peer, now_ms)
        }
    }

    /// What is known when it is no request.
    pub(super) fn of_nothing(id: RequestId, peer: Peer, now_ms: u64) -> Record {
        Record {
            time: format_iso_ms(as_i64(now_ms)),
            request_id: id.to_string(),
            remote: Some(peer.ip.to_canonical()),
            tls: peer.secure,
            via: peer.via.map(|via| via.to_canonical()),
            ..Record::default()
        }
    }

    /// And what is known when it has left.
    pub(super) fn with(
        mut self,
        found: Found,
        status: Option<u16>,
        received: u64,
        sent: u64,
        spent: Duration,
    ) -> Record {
        if let Some(place) = found.place {
            (self.bucket, self.key) = (place.bucket, place.key);
        }
        self.operation = found.operation;
        self.part = found.part;
        self.code = found.code;
        self.callback = found.callback;
        self.access_key_id = found.access_key_id;
        self.status = status;
        (self.received, self.sent) = (received, sent);
        self.ms = u64::try_from(spent.as_millis()).unwrap_or(u64::MAX);
        self
    }
}

/// Texts that a client chose are no longer than this in a line.
const LONGEST: usize = 4096;

fn cut(text: &str) -> String {
    let end = (0..=LONGEST.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or(0)).unwrap_or_default().to_owned()
}

/// Lines that may wait to be written.
const MOST_WAITING: usize = 16_384;

impl AccessLog {
    /// Appends to the file `path`, or writes to stdout when it is `-`. `lost` counts lines that could
    /// not be written.
    pub(crate) fn open(path: &Path, lost: Arc<AtomicU64>) -> io::Result<AccessLog> {
        let mut target = Target::open(path)?;
        let (lines, waiting) = sync_channel(MOST_WAITING);
        let counter = lost.clone();
        let writing = thread::Builder::new()
            .name("vodferry-access".to_owned())
            .spawn(move || write_all(&mut target, &waiting, &counter))?;
        Ok(AccessLog { lines: Some(lines), lost, writing: Mutex::new(Some(writing)) })
    }

    /// Writes a line soon.
    pub(super) fn write(&self, record: Record) {
        let sent = self.lines.as_ref().map(|to| to.try_send(Message::Line(Box::new(record))));
        if !matches!(sent, Some(Ok(()))) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Goes on in a new file, after the old one was moved away.
    pub(crate) fn reopen(&self) {
        // One that does not fit is behind so many lines that it will be asked for again.
        let _ = self.lines.as_ref().map(|to| to.try_send(Message::Reopen));
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.lines = None;
        let writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writing) = writing {
            let _ = writing.join();
        }
    }
}

struct Target {
    path: PathBuf,
    to: BufWriter<Box<dyn Write + Send>>,
}

impl Target {
    fn open(path: &Path) -> io::Result<Target> {
        let to: Box<dyn Write + Send> = match path.as_os_str().as_encoded_bytes() {
            b"-" => Box::new(io::stdout()),
            _ => Box::new(append(path)?),
        };
        Ok(Target { path: path.to_owned(), to: BufWriter::with_capacity(64 << 10, to) })
    }

    fn take(&mut self, message: Message) -> io::Result<()> {
        match message {
            Message::Line(record) => {
                serde_json::to_writer(&mut self.to, &record)?;
                self.to.write_all(b"\n")
            }
            Message::Reopen => {
                self.to.flush()?;
                *self = Target::open(&self.path)?;
                Ok(())
            }
        }
    }
}

/// Addresses and keys of clients are for the operator alone.
fn append(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o640);
    options.open(path)
}

/// Writes what comes, and flushes whenever nothing waits.
fn write_all(target: &mut Target, waiting: &Receiver<Message>, lost: &AtomicU64) {
    let mut told = false;
    while let Ok(first) = waiting.recv() {
        let mut next = Some(first);
        let mut lines = 0;
        let mut written = Ok(());
        while let Some(message) = next {
            lines += u64::from(matches!(message, Message::Line(_)));
            written = written.and(target.take(message));
            next = waiting.try_recv().ok();
        }
        match written.and(target.to.flush()) {
            Ok(()) => told = false,
            Err(error) => {
                lost.fetch_add(lines, Ordering::Relaxed);
                if !std::mem::replace(&mut told, true) {
                    tracing::error!(%error, path = %target.path.display(), "the access log cannot be written");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_go_on_in_a_new_file_after_a_move() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("access.log"), folder.path().join("access.log.1"));
        let lost = Arc::new(AtomicU64::new(0));
        let log = AccessLog::open(&path, lost.clone()).unwrap();
        let line = |name: &str| Record { request_id: name.to_owned(), ..Record::default() };
        log.write(line("first"));
        std::fs::rename(&path, &moved).unwrap();
        log.reopen();
        log.write(line("second"));
        drop(log);
        let read = |path: &Path| std::fs::read_to_string(path).unwrap();
        assert!(read(&path).contains("second") && !read(&path).contains("first"));
        assert_eq!(read(&moved).lines().count(), 1);
        assert_eq!(lost.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        let long = "电".repeat(3000);
        assert_eq!(cut(&long).len(), 4095);
        assert_eq!(cut("k"), "k");
    }
}

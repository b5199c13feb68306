//! Events as lines of JSON, for programs. `docs/reference/cli.md` documents each; names and meanings never change, new ones may come.

use std::borrow::Cow;

use serde::Serialize;
use vodferry::{ErrorInfo, ErrorKind, Event, Target};

use crate::entry::{Entry, Outcome};
use crate::exit_code::ExitCode;

/// One line. `event` comes first, so that a reader of a log sees it first.
#[derive(Serialize)]
struct Line<'a, B: Serialize> {
    event: &'static str,
    /// The position on the command line, from 1.
    file: usize,
    path: Cow<'a, str>,
    #[serde(flatten)]
    body: B,
}

#[derive(Serialize)]
struct Nothing {}

#[derive(Serialize)]
struct Started<'a> {
    video_id: Option<&'a str>,
    bucket: Option<&'a str>,
    key: Option<&'a str>,
}

#[derive(Serialize)]
struct Resumed {
    parts: u32,
    bytes: u64,
}

#[derive(Serialize)]
struct Part<'a> {
    number: u32,
    bytes: u64,
    etag: &'a str,
}

#[derive(Serialize)]
struct Progress {
    acknowledged: u64,
    in_flight: u64,
    bytes: Option<u64>,
}

#[derive(Serialize)]
struct Retry<'a> {
    delay_ms: u64,
    #[serde(flatten)]
    error: Error<'a>,
}

#[derive(Serialize)]
struct Expired<'a> {
    video_id: Option<&'a str>,
}

#[derive(Serialize)]
struct Succeeded<'a> {
    video_id: Option<&'a str>,
    /// Where the image will be seen; null for what is no image.
    image_url: Option<&'a str>,
    endpoint: &'a str,
    bucket: &'a str,
    key: &'a str,
    bytes: Option<u64>,
    etag: &'a str,
    /// Decimal text, as in `x-oss-hash-crc64ecma`: a JSON number would lose digits in most readers.
    crc64: Option<String>,
    verified: bool,
    /// What the application answered to the callback, where one was asked for.
    callback_body: Option<&'a str>,
}

#[derive(Serialize)]
struct Error<'a> {
    kind: &'static str,
    code: &'a str,
    message: &'a str,
    request_id: Option<&'a str>,
    hint: Option<String>,
}

#[derive(Serialize)]
struct Ended {
    event: &'static str,
    succeeded: usize,
    failed: usize,
    unfinished: usize,
    interrupted: bool,
    exit_code: u8,
}

/// The line of an event about one file; `None` for [`Event::Ended`], which is about none.
pub(crate) fn line(entry: &Entry, event: &Event) -> Option<String> {
    let line = Writer { entry };
    match event {
        Event::Canceled { .. } => line.write("canceled", Nothing {}),
        Event::Ended { .. } => None,
        Event::Failed { error, .. } => line.write("failed", describe(error)),
        Event::PartAcknowledged { part, .. } => {
            line.write("part", Part { number: part.number, bytes: part.length, etag: &part.etag })
        }
        Event::Progress { acknowledged, in_flight, total, .. } => {
            let (acknowledged, in_flight, bytes) = (*acknowledged, *in_flight, *total);
            line.write("progress", Progress { acknowledged, in_flight, bytes })
        }
        Event::Resumed { parts, bytes, .. } => {
            line.write("resumed", Resumed { parts: *parts, bytes: *bytes })
        }
        Event::Retry { error, delay_ms, .. } => {
            line.write("retry", Retry { delay_ms: *delay_ms, error: describe(error) })
        }
        Event::RetryResume { .. } => line.write("retry_resume", Nothing {}),
        Event::Started { video_id, target, .. } => line.write(
            "started",
            Started {
                video_id: video_id.as_deref(),
                bucket: target.as_ref().map(|t| t.bucket.as_str()),
                key: target.as_ref().map(|t| t.key.as_str()),
            },
        ),
        Event::Succeeded { target, video_id, object, .. } => {
            let Target { endpoint, bucket, key } = target;
            line.write(
                "succeeded",
                Succeeded {
                    video_id: video_id.as_deref(),
                    image_url: object.image_url.as_deref(),
                    endpoint,
                    bucket,
                    key,
                    bytes: object.length.or(entry.total),
                    etag: &object.etag,
                    crc64: object.crc64.map(|crc64| crc64.to_string()),
                    verified: object.verified,
                    callback_body: object.callback_body.as_deref(),
                },
            )
        }
        Event::TokenExpired { video_id, .. } => {
            line.write("token_expired", Expired { video_id: video_id.as_deref() })
        }
        Event::Warning { error, .. } => line.write("warning", describe(error)),
    }
}

/// The last line of a run.
pub(crate) fn ended(entries: &[Entry], exit: ExitCode) -> String {
    let count = |is: fn(&Outcome) -> bool| entries.iter().filter(|e| is(&e.outcome)).count();
    text(&Ended {
        event: "ended",
        succeeded: count(|outcome| matches!(outcome, Outcome::Succeeded { .. })),
        failed: count(|outcome| matches!(outcome, Outcome::Failed(_))),
        unfinished: count(|outcome| matches!(outcome, Outcome::Open)),
        interrupted: exit == ExitCode::Interrupted,
        exit_code: exit as u8,
    })
}

/// The name of an error kind in JSON.
pub(crate) fn kind(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Auth => "auth",
        ErrorKind::Busy => "busy",
        ErrorKind::Canceled => "canceled",
        ErrorKind::Integrity => "integrity",
        ErrorKind::Io => "io",
        ErrorKind::Misuse => "misuse",
        ErrorKind::Network => "network",
        ErrorKind::Protocol => "protocol",
        ErrorKind::Service => "service",
        ErrorKind::SourceChanged => "source_changed",
        ErrorKind::Storage => "storage",
        _ => "other",
    }
}

/// A value as one line. Plain structs of texts and numbers cannot fail to become JSON; an empty object would be the worst that a
/// reader sees.
pub(crate) fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "{}".to_owned())
}

struct Writer<'a> {
    entry: &'a Entry,
}

impl Writer<'_> {
    fn write(&self, event: &'static str, body: impl Serialize) -> Option<String> {
        Some(text(&Line {
            event,
            file: self.entry.number,
            path: self.entry.path.to_string_lossy(),
            body,
        }))
    }
}

fn describe(error: &ErrorInfo) -> Error<'_> {
    Error {
        kind: kind(error.kind),
        code: &error.code,
        message: &error.message,
        request_id: Some(error.request_id.as_str()).filter(|id| !id.is_empty()),
        hint: crate::voyage::hint(error),
    }
}

//! Scripted HTTP: the test is the server. `let asked = script.next().await; assert…; asked.answer(503)`.

use std::sync::Arc;
use std::time::Duration;

use crc_fast::{CrcAlgorithm, checksum};
use md5::{Digest, Md5};
use tokio::sync::{mpsc, oneshot};
use vodferry::{
    Body, BoxFuture, Credential, Event, Events, File, Http, Method, Options, Request, Response,
    Target, TransportError, Uploader,
};

/// The smallest part: keeps files small.
pub(crate) const PART: u64 = 102_400;

/// The far end of the scripted port.
pub(crate) struct Script {
    asked: mpsc::UnboundedReceiver<Asked>,
}

/// One request, its body read to the end.
pub(crate) struct Asked {
    pub(crate) request: Request,
    pub(crate) body: Vec<u8>,
    reply: oneshot::Sender<Result<Response, TransportError>>,
}

struct Port {
    asked: mpsc::UnboundedSender<Asked>,
}

impl Http for Port {
    fn send(
        &self,
        request: Request,
        mut body: Body,
    ) -> BoxFuture<'static, Result<Response, TransportError>> {
        let asked = self.asked.clone();
        Box::pin(async move {
            let mut bytes = Vec::new();
            while let Some(piece) = body.next().await {
                let broken = |_| TransportError::new(vodferry::TransportErrorKind::Body, "broken");
                bytes.extend_from_slice(&piece.map_err(broken)?);
            }
            let (reply, replied) = oneshot::channel();
            let _ = asked.send(Asked { request, body: bytes, reply });
            match replied.await {
                Ok(response) => response,
                // The test let the request go unanswered.
                Err(_) => std::future::pending().await,
            }
        })
    }
}

/// A port, and the test's end of it.
pub(crate) fn script() -> (Arc<dyn Http>, Script) {
    let (sender, asked) = mpsc::unbounded_channel();
    (Arc::new(Port { asked: sender }), Script { asked })
}

impl Script {
    /// The next request.
    pub(crate) async fn next(&mut self) -> Asked {
        let next = tokio::time::timeout(Duration::from_secs(20), self.asked.recv()).await;
        next.expect("a request within 20 seconds").expect("an uploader that lives")
    }

    /// The next request, which must be `operation` (as [`Asked::operation`] says it).
    pub(crate) async fn expect(&mut self, operation: &str) -> Asked {
        let asked = self.next().await;
        assert_eq!(asked.operation(), operation);
        asked
    }

    /// No request comes within a moment.
    pub(crate) async fn silence(&mut self) {
        let next = tokio::time::timeout(Duration::from_millis(200), self.asked.recv()).await;
        if let Ok(Some(asked)) = next {
            panic!("unexpected {}", asked.operation());
        }
    }

    /// Answers everything as a good server would, from here to the object. Gives the parts sent.
    pub(crate) async fn be_good(&mut self) -> Vec<u32> {
        let mut parts = Vec::new();
        loop {
            let asked = self.next().await;
            let operation = asked.operation();
            match operation.split(' ').next() {
                Some("initiate") => asked.initiated("u1"),
                Some("part") => {
                    parts.push(asked.number());
                    asked.stored();
                }
                Some("complete") => {
                    asked.completed();
                    return parts;
                }
                Some("put") => {
                    asked.stored();
                    return parts;
                }
                _ => panic!("no good server answers {operation}"),
            }
        }
    }
}

impl Asked {
    /// `initiate`, `part N`, `list`, `complete`, `abort`, `put`, `head`, or method and path.
    pub(crate) fn operation(&self) -> String {
        let has = |name| self.query(name).is_some();
        match self.request.method {
            Method::Post if has("uploads") => "initiate".into(),
            Method::Post if has("uploadId") => "complete".into(),
            Method::Put if has("partNumber") => format!("part {}", self.number()),
            Method::Put => "put".into(),
            Method::Get if has("uploadId") => "list".into(),
            Method::Delete if has("uploadId") => "abort".into(),
            Method::Head => "head".into(),
            method => format!("{} {}", method.as_str(), self.request.path),
        }
    }

    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.request.query.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.request.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn number(&self) -> u32 {
        self.query("partNumber").and_then(|number| number.parse().ok()).expect("a part number")
    }

    /// Any reply.
    pub(crate) fn reply(self, response: Response) {
        let _ = self.reply.send(Ok(response));
    }

    /// No reply, but an error of the transport.
    pub(crate) fn fail(self, error: TransportError) {
        let _ = self.reply.send(Err(error));
    }

    /// A status and an error of the service.
    pub(crate) fn refuse(self, status: u16, code: &str) {
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>as the test wishes</Message>\
             <RequestId>REQ-1</RequestId><HostId>h</HostId></Error>"
        );
        self.reply(response(status, &[("content-type", "application/xml")], body));
    }

    pub(crate) fn initiated(self, upload_id: &str) {
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><InitiateMultipartUploadResult><Bucket>films</Bucket>\
             <Key>k</Key><UploadId>{upload_id}</UploadId></InitiateMultipartUploadResult>"
        );
        self.reply(response(200, &[], body));
    }

    /// The part, or the whole object, arrived as it was sent.
    pub(crate) fn stored(self) {
        let etag = format!("\"{}\"", etag(&self.body));
        let crc = crc64(&self.body).to_string();
        self.reply(response(200, &[("etag", &etag), ("x-oss-hash-crc64ecma", &crc)], ""));
    }

    pub(crate) fn completed(self) {
        let body = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><CompleteMultipartUploadResult><Location>l</Location>\
             <Bucket>films</Bucket><Key>k</Key><ETag>\"FF-2\"</ETag></CompleteMultipartUploadResult>";
        self.reply(response(200, &[], body));
    }

    /// One page with these parts of `bytes`.
    pub(crate) fn listed(self, bytes: &[u8], numbers: &[u32]) {
        let mut parts = String::new();
        for number in numbers {
            let begin = (number - 1) as usize * PART as usize;
            let part = &bytes[begin..bytes.len().min(begin + PART as usize)];
            parts.push_str(&format!(
                "<Part><PartNumber>{number}</PartNumber><LastModified>2026-11-20T10:00:00.000Z</LastModified>\
                 <ETag>\"{}\"</ETag><Size>{}</Size><HashCrc64ecma>{}</HashCrc64ecma></Part>",
                etag(part),
                part.len(),
                crc64(part)
            ));
        }
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListPartsResult><Bucket>films</Bucket><Key>k</Key>\
             <UploadId>u1</UploadId><PartNumberMarker>0</PartNumberMarker><MaxParts>1000</MaxParts>\
             <IsTruncated>false</IsTruncated>{parts}</ListPartsResult>"
        );
        self.reply(response(200, &[], body));
    }
}

pub(crate) fn response(
    status: u16,
    headers: &[(&str, &str)],
    body: impl Into<Vec<u8>>,
) -> Response {
    let mut all = vec![("x-oss-request-id".to_owned(), "REQ-1".to_owned())];
    all.extend(headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())));
    Response { status, headers: all, body: body.into() }
}

pub(crate) fn etag(bytes: &[u8]) -> String {
    Md5::digest(bytes).iter().map(|byte| format!("{byte:02X}")).collect()
}

pub(crate) fn crc64(bytes: &[u8]) -> u64 {
    checksum(CrcAlgorithm::Crc64Xz, bytes)
}

pub(crate) fn target(key: &str) -> Target {
    Target { endpoint: "http://127.0.0.1:9".into(), bucket: "films".into(), key: key.into() }
}

pub(crate) fn credential() -> Credential {
    Credential {
        access_key_id: "ak".into(),
        access_key_secret: "hush-secret".into(),
        security_token: Some("hush-token".into()),
    }
}

/// Bytes that differ from place to place.
pub(crate) fn content(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 31 + i / 251 + i / 65_521) as u8).collect()
}

/// A folder with `a.mp4` of `length` bytes, and room for checkpoints.
pub(crate) struct Desk {
    dir: std::path::PathBuf,
    pub(crate) bytes: Vec<u8>,
    /// Deletes the folder.
    _own: Option<tempfile::TempDir>,
}

impl Desk {
    pub(crate) fn new(length: usize) -> Desk {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let bytes = content(length);
        std::fs::write(dir.path().join("a.mp4"), &bytes).expect("a file");
        Desk { dir: dir.path().to_owned(), bytes, _own: Some(dir) }
    }

    /// The desk of another process.
    pub(crate) fn at(dir: &std::path::Path) -> Desk {
        let bytes = std::fs::read(dir.join("a.mp4")).expect("a file");
        Desk { dir: dir.to_owned(), bytes, _own: None }
    }

    pub(crate) fn dir(&self) -> &std::path::Path {
        &self.dir
    }

    pub(crate) fn path(&self) -> std::path::PathBuf {
        self.dir.join("a.mp4")
    }

    pub(crate) fn file(&self) -> File {
        File::path(self.path()).to(target("k.mp4"), credential())
    }

    pub(crate) fn records(&self) -> std::path::PathBuf {
        self.dir.join("records")
    }

    /// Small parts, one at a time, quick retries, checkpoints in this folder.
    pub(crate) fn options(&self) -> Options {
        let mut options = Options::default();
        options.part_size = PART;
        options.parallel = 1;
        options.record_dir = Some(self.records());
        options.retry.backoff = vodferry::Backoff::Fixed { ms: 1 };
        options.retry.budget = vodferry::Budget::Count(20);
        options
    }

    pub(crate) fn uploader(&self) -> (Uploader, Script) {
        self.uploader_with(self.options())
    }

    pub(crate) fn uploader_with(&self, options: Options) -> (Uploader, Script) {
        let (http, script) = script();
        let uploader = Uploader::builder().options(options).http(http).build().expect("options");
        (uploader, script)
    }
}

/// The next event that is neither progress nor an acknowledged part.
pub(crate) async fn event(events: &mut Events) -> Event {
    loop {
        let next = tokio::time::timeout(Duration::from_secs(20), events.next()).await;
        let event = next.expect("an event within 20 seconds").expect("an uploader that lives");
        if !matches!(event, Event::Progress { .. } | Event::PartAcknowledged { .. }) {
            return event;
        }
    }
}

/// The error of the Failed event that comes, sooner or later.
pub(crate) async fn failure(events: &mut Events) -> vodferry::Error {
    loop {
        match event(events).await {
            Event::Failed { error, .. } => return error.into(),
            Event::Succeeded { .. } | Event::Ended { .. } => panic!("the file did not fail"),
            _ => {}
        }
    }
}

//! The heads of requests, looked at before they are served.
//!
//! What is no HTTP, or too much of it, never becomes a request: the HTTP library would answer with a
//! bare status. So each head is looked at here, and refused with a code, a reason and a request id; the bytes of
//! a good one are handed on. The first of a connection is [read](read) before the library sees anything, later
//! ones on their way to it, by [`Requests`](super::requests::Requests).

use bytes::{Buf, BytesMut};
use http::{Method, StatusCode, Uri};
use httparse::{EMPTY_HEADER, Error, Request, Status};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use vodferry_oss::time::format_http;
use vodferry_oss::{Code, ServiceError};

use crate::config::Limits;
use crate::http::App;
use crate::http::body::DRAIN_TIME;
use crate::http::call::Peer;
use crate::http::observe;
use crate::http::reply::{EC, OSS};
use crate::http::request_id::RequestId;
use crate::http::video::as_i64;

/// What a connection began with.
pub(super) enum First {
    /// A head that can be served, and what came behind it.
    Head(BytesMut),
    /// Nothing, for as long as it was waited for.
    Nothing,
    /// Something to be refused.
    Refused(Box<ServiceError>),
}

/// Reads the first head.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin), limits: &Limits) -> First {
    let mut bytes = BytesMut::new();
    match timeout(limits.header_time, gather(stream, &mut bytes, limits)).await {
        Ok(Ok(true)) => First::Head(bytes),
        Ok(Err(error)) => First::Refused(Box::new(error)),
        Err(_) if !bytes.is_empty() => {
            First::Refused(Box::new(ServiceError::of(Code::RequestTimeout)))
        }
        Ok(Ok(false)) | Err(_) => First::Nothing,
    }
}

/// Answers what was refused.
pub(super) async fn refuse(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    app: &App,
    peer: Peer,
    error: ServiceError,
) {
    let id = RequestId::new();
    let mut error = error.numbered();
    error.request_id = id.to_string();
    let reason = StatusCode::from_u16(error.status).ok().and_then(|s| s.canonical_reason());
    let xml = error.to_xml();
    let reply = format!(
        "HTTP/1.1 {} {}\r\nConnection: close\r\nContent-Type: application/xml\r\nContent-Length: {}\r\n\
         Date: {}\r\nServer: {OSS}\r\nx-oss-request-id: {id}\r\nx-oss-server-time: 0\r\n{EC}: {}\r\n\r\n{xml}",
        error.status,
        reason.unwrap_or("Bad Request"),
        xml.len(),
        format_http(as_i64(app.now_ms())),
        error.context("EC").unwrap_or_default(),
    );
    observe::refused(app, id, peer, error.status, &error.code);
    tracing::info!(%id, status = error.status, message = error.message, "refused what is no request");
    let answered = async {
        stream.write_all(reply.as_bytes()).await?;
        stream.flush().await
    };
    // Whoever reads nothing misses only what is wrong.
    let _ = timeout(DRAIN_TIME, answered).await;
}

/// What the HTTP library bears.
const LONGEST_TARGET: usize = 65_534;

/// Reads until a whole head is there; `false` when the connection ends before.
async fn gather(
    stream: &mut (impl AsyncRead + Unpin),
    bytes: &mut BytesMut,
    limits: &Limits,
) -> Result<bool, ServiceError> {
    let mut gathering = Gathering::default();
    loop {
        bytes.reserve(READ);
        if stream.read_buf(bytes).await.unwrap_or(0) == 0 {
            return Ok(false);
        }
        if gathering.step(bytes, limits)?.is_some() {
            return Ok(true);
        }
    }
}

/// Bytes read at a time.
const READ: usize = 8192;

/// A head that arrives.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    /// Bytes of empty lines in front of it.
    blank: usize,
    /// Bytes in which no end is.
    seen: usize,
    look_at: usize,
}

/// A head that can be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Bytes.
    pub(super) length: usize,
    /// What follows.
    pub(super) body: Framing,
}

/// How the end of a body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// It has so many bytes.
    Length(u64),
    /// Each piece tells its length.
    Chunked,
}

impl Gathering {
    /// Looks at all `bytes` that are there so far, and takes empty lines in front away; `None` as long as the end
    /// of the head is missing.
    pub(super) fn step(
        &mut self,
        bytes: &mut BytesMut,
        limits: &Limits,
    ) -> Result<Option<Head>, ServiceError> {
        let lines = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        bytes.advance(lines);
        self.blank += lines;
        let new = bytes.get(self.seen.min(bytes.len())..).unwrap_or_default();
        // One that drips and has no end yet is looked at each time that it doubled, so that the work
        // stays small.
        if has_end(new) || bytes.len() >= self.look_at.max(1) {
            if let Some(head) = check(bytes, limits)? {
                return Ok(Some(head));
            }
            self.look_at = bytes.len().max(1) * 2;
        }
        self.seen = bytes.len().saturating_sub(2);
        if bytes.len() + self.blank > limits.header_bytes {
            return Err(too_large(
                431,
                format!("Its head has more than {} bytes.", limits.header_bytes),
            ));
        }
        Ok(None)
    }
}

fn has_end(bytes: &[u8]) -> bool {
    bytes.windows(3).any(|three| three == b"\n\r\n") || bytes.windows(2).any(|two| two == b"\n\n")
}

/// Whether a whole head is there, and nothing is wrong with it.
fn check(bytes: &[u8], limits: &Limits) -> Result<Option<Head>, ServiceError> {
    let mut headers = vec![EMPTY_HEADER; limits.headers];
    let mut request = Request::new(&mut headers);
    let length = match request.parse(bytes) {
        Ok(Status::Partial) => return Ok(None),
        Ok(Status::Complete(length)) if length > limits.header_bytes => {
            return Err(too_large(
                431,
                format!("Its head has more than {} bytes.", limits.header_bytes),
            ));
        }
        Ok(Status::Complete(length)) => length,
        Err(Error::TooManyHeaders) => {
            return Err(too_large(431, format!("It has more than {} headers.", limits.headers)));
        }
        Err(error) => return Err(malformed(&format!("{error}."))),
    };
    let target = request.path.unwrap_or_default();
    if target.len() > LONGEST_TARGET {
        return Err(too_large(414, format!("Its target has more than {LONGEST_TARGET} bytes.")));
    }
    if Uri::try_from(target).is_err() {
        return Err(malformed("its target is no URI."));
    }
    if Method::from_bytes(request.method.unwrap_or_default().as_bytes()).is_err() {
        return Err(malformed("its method is none."));
    }
    framing(&request).map(|body| Some(Head { length, body }))
}

/// How the end of the body is told; refuses one that one reader would see elsewhere than another.
fn framing(request: &Request<'_, '_>) -> Result<Framing, ServiceError> {
    let values = |name: &'static str| {
        let named = move |header: &&httparse::Header<'_>| header.name.eq_ignore_ascii_case(name);
        request.headers.iter().filter(named).map(|header| header.value.trim_ascii())
    };
    let lengths: Vec<&[u8]> = values("content-length").collect();
    let length = |value: &[u8]| {
        let text = std::str::from_utf8(value).ok()?;
        // Beyond these a length means something else to some.
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        u64::try_from(text.parse::<i64>().ok().filter(|_| digits)?).ok()
    };
    if lengths.iter().any(|value| length(value).is_none() || lengths.first() != Some(value)) {
        return Err(malformed("its Content-Length is no number, or several."));
    }
    let mut codings = values("transfer-encoding");
    let Some(coding) = codings.next() else {
        let length = lengths.first().and_then(|value| length(value));
        return Ok(Framing::Length(length.unwrap_or(0)));
    };
    if request.version != Some(1) {
        return Err(malformed("HTTP/1.0 knows no Transfer-Encoding."));
    }
    if !lengths.is_empty() {
        return Err(malformed("Content-Length and Transfer-Encoding exclude each other."));
    }
    // Bytes in another coding, or in two, would be stored as they are.
    if !coding.eq_ignore_ascii_case(b"chunked") || codings.next().is_some() {
        return Err(malformed("the only Transfer-Encoding here is chunked, once."));
    }
    Ok(Framing::Chunked)
}

fn malformed(what: &str) -> ServiceError {
    ServiceError::of(Code::InvalidRequest)
        .with_message(format!("The request is not well-formed HTTP/1.1: {what}"))
}

fn too_large(status: u16, what: String) -> ServiceError {
    let mut error = ServiceError::of(Code::InvalidRequest);
    error.status = status;
    error.with_message(format!("The request is larger than this server reads. {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The status and message of the refusal of these bytes, which come whole, in pieces and one by
    /// one, or whether they are a head.
    async fn of(bytes: &[u8]) -> Result<bool, (u16, String)> {
        let whole = in_pieces(bytes, bytes.len()).await;
        for length in [1, 7] {
            assert_eq!(in_pieces(bytes, length).await, whole, "{length}");
        }
        whole
    }

    async fn in_pieces(bytes: &[u8], length: usize) -> Result<bool, (u16, String)> {
        let limits = Limits { headers: 3, header_bytes: 8192, ..Limits::default() };
        let (mut stream, mut other) = tokio::io::duplex(length.max(1));
        let send = async {
            // Refused before everything was sent, perhaps.
            let _ = other.write_all(bytes).await;
            drop(other);
        };
        let receive = async move { read(&mut stream, &limits).await };
        match tokio::join!(send, receive).1 {
            First::Head(head) => {
                let from = bytes.iter().take_while(|byte| b"\r\n".contains(byte)).count();
                assert!(bytes[from..].starts_with(&head));
                Ok(true)
            }
            First::Nothing => Ok(false),
            First::Refused(error) => Err((error.status, error.message.clone())),
        }
    }

    #[tokio::test]
    async fn a_head_is_handed_on_with_what_follows() {
        for good in [
            "GET / HTTP/1.0\r\n\r\n",
            "\r\n\r\nPUT /k HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nfilm",
            "GET / HTTP/1.1\nHost: x\n\n",
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\n",
            "PUT / HTTP/1.1\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\n",
        ] {
            assert_eq!(of(good.as_bytes()).await, Ok(true), "{good}");
        }
        for short in ["", "\r\n", "GET / HTTP/1.1\r\nHost: x\r\n"] {
            assert_eq!(of(short.as_bytes()).await, Ok(false), "{short}");
        }
    }

    #[tokio::test]
    async fn what_cannot_be_served_is_told_apart() {
        let long = format!("GET / HTTP/1.1\r\nA: {}", "a".repeat(8200));
        let blank = "\r\n".repeat(5000);
        for (bad, status, says) in [
            ("\x16\x03\x01\x02", 400, "token"),
            ("GET / HTTP/1.1\r\nA: \0\r\n\r\n", 400, "header value"),
            ("GET / HTTP/1.1\r\nA\r\n\r\n", 400, "header name"),
            ("GET / HTTP/7.1\r\n\r\n", 400, "version"),
            ("GET http:// HTTP/1.1\r\n\r\n", 400, "target"),
            ("GET / HTTP/1.1\r\na: b\r\na: b\r\na: b\r\na: b\r\n\r\n", 431, "3 headers"),
            (&long, 431, "8192 bytes"),
            (&blank, 431, "8192 bytes"),
            ("PUT / HTTP/1.1\r\nContent-Length: +4\r\n\r\n", 400, "Content-Length"),
            ("PUT / HTTP/1.1\r\nContent-Length: 4, 4\r\n\r\n", 400, "Content-Length"),
            (
                "PUT / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
                400,
                "Content-Length",
            ),
            (
                "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n",
                400,
                "exclude",
            ),
            ("PUT / HTTP/1.1\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", 400, "is chunked"),
            ("PUT / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 400, "is chunked"),
            ("PUT / HTTP/1.1\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", 400, "is chunked"),
            ("PUT / HTTP/1.1\r\nTransfer-Encoding:\r\n\r\n", 400, "is chunked"),
            (
                "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
                400,
                "is chunked",
            ),
            ("PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "HTTP/1.0"),
        ] {
            let (found, message) = of(bad.as_bytes()).await.unwrap_err();
            assert_eq!(found, status, "{bad} {message}");
            assert!(message.contains(says), "{bad} {message}");
        }
    }
}

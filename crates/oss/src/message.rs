//! HTTP requests and responses as plain data, before any HTTP library.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::encode::encode_query;
use crate::etag::unquote;
use crate::text::parse_u64;
use crate::time::parse_http;

/// The methods of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `DELETE`
    Delete,
    /// `GET`
    Get,
    /// `HEAD`
    Head,
    /// `OPTIONS`
    Options,
    /// `POST`
    Post,
    /// `PUT`
    Put,
}

impl Method {
    /// As on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Delete => "DELETE",
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Options => "OPTIONS",
            Method::Post => "POST",
            Method::Put => "PUT",
        }
    }
}

/// A request ready to be sent, except for the body of an upload, which the shell streams.
///
/// `Debug` leaves out the values of headers and of the query, where signatures and tokens travel.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// `http` or `https`.
    pub scheme: String,
    /// Host, with the port where it is not the scheme's own.
    pub authority: String,
    /// Percent-encoded, begins with `/`.
    pub path: String,
    /// Names and values as they are, not encoded; an empty value is sent as the bare name.
    pub query: Vec<(String, String)>,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body of control requests; empty for uploads, whose bytes the shell adds.
    pub body: Vec<u8>,
}

impl Request {
    /// Path and encoded query: what stands in the request line.
    pub fn target(&self) -> String {
        let mut out = self.path.clone();
        if !self.query.is_empty() {
            out.push('?');
            out.push_str(&encode_query(&self.query));
        }
        out
    }

    /// Scheme, authority, path and encoded query.
    pub fn url(&self) -> String {
        let mut out = self.scheme.clone();
        out.push_str("://");
        out.push_str(&self.authority);
        out.push_str(&self.target());
        out
    }

    /// The first header of this (lower-case) name.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// Sets a header, in place of any of the same (lower-case) name.
    pub fn set_header(&mut self, name: &str, value: impl Into<String>) {
        self.headers.retain(|(n, _)| n != name);
        self.headers.push((String::from(name), value.into()));
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.method.as_str())?;
        for text in [" ", &self.scheme, "://", &self.authority, &self.path] {
            f.write_str(text)?;
        }
        for (index, (name, _)) in self.query.iter().enumerate() {
            f.write_str(if index == 0 { "?" } else { "&" })?;
            f.write_str(name)?;
        }
        write_names(f, &self.headers)
    }
}

/// A response, its body read to the end.
///
/// `Debug` shows status, names of headers and length of the body: replies can carry credentials.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// At most what the shell is willing to buffer; replies of this protocol are small.
    pub body: Vec<u8>,
}

impl Response {
    /// The first header of this (lower-case) name.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// `ETag` without its quotes.
    pub fn etag(&self) -> Option<&str> {
        self.header("etag").map(unquote)
    }

    /// `x-oss-hash-crc64ecma`: of the part just sent, or of the whole object.
    pub fn crc64(&self) -> Option<u64> {
        self.header("x-oss-hash-crc64ecma").and_then(number)
    }

    /// `Date`, in milliseconds since 1970.
    pub fn date_ms(&self) -> Option<i64> {
        self.header("date").and_then(parse_http)
    }

    /// `x-oss-request-id`.
    pub fn request_id(&self) -> Option<&str> {
        self.header("x-oss-request-id")
    }

    /// `Content-Length`, in bytes.
    pub fn content_length(&self) -> Option<u64> {
        self.header("content-length").and_then(number)
    }

    /// `Retry-After` in milliseconds from this reply's `Date`; a date in the past is 0.
    pub fn retry_after_ms(&self) -> Option<u64> {
        let text = self.header("retry-after")?;
        if let Some(seconds) = number(text) {
            return Some(seconds.saturating_mul(1_000));
        }
        let wait = parse_http(text)?.saturating_sub(self.date_ms()?);
        Some(u64::try_from(wait).unwrap_or(0))
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::text::decimal(self.status.into()))?;
        write_names(f, &self.headers)?;
        f.write_str(", ")?;
        f.write_str(&crate::text::decimal(self.body.len() as u64))?;
        f.write_str(" bytes")
    }
}

fn write_names(f: &mut fmt::Formatter<'_>, headers: &[(String, String)]) -> fmt::Result {
    headers.iter().try_for_each(|(name, _)| {
        f.write_str(" ")?;
        f.write_str(name)
    })
}

fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
}

/// Digits only: a sign is not part of these headers.
fn number(text: &str) -> Option<u64> {
    parse_u64(text.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::ToString;
    use alloc::vec;

    fn reply(headers: &[(&str, &str)]) -> Response {
        let headers = headers.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
        Response { status: 200, headers, body: vec![] }
    }

    #[test]
    fn helpers_read_headers() {
        let reply = reply(&[
            ("etag", "\"AB12\""),
            ("x-oss-hash-crc64ecma", "18446744073709551615"),
            ("date", "Fri, 20 Nov 2026 10:00:00 GMT"),
            ("x-oss-request-id", "0123456789ABCDEF01234567"),
            ("content-length", "42"),
            ("retry-after", "3"),
        ]);
        assert_eq!(reply.etag(), Some("AB12"));
        assert_eq!(reply.crc64(), Some(u64::MAX));
        assert_eq!(reply.date_ms(), Some(1_795_168_800_000));
        assert_eq!(reply.request_id(), Some("0123456789ABCDEF01234567"));
        assert_eq!(reply.content_length(), Some(42));
        assert_eq!(reply.retry_after_ms(), Some(3_000));
    }

    #[test]
    fn nonsense_is_none() {
        let bad = reply(&[
            ("x-oss-hash-crc64ecma", "18446744073709551616"),
            ("date", "yesterday"),
            ("content-length", "+1"),
            ("retry-after", "Fri, 20 Nov 2026 10:00:00 GMT"),
        ]);
        assert_eq!(bad.crc64(), None);
        assert_eq!(bad.date_ms(), None);
        assert_eq!(bad.content_length(), None);
        assert_eq!(bad.retry_after_ms(), None, "a date says nothing without one to compare");
        assert_eq!(reply(&[("content-length", "")]).content_length(), None);
    }

    #[test]
    fn retry_after_may_be_a_date() {
        let date = ("date", "Fri, 20 Nov 2026 10:00:00 GMT");
        let later = reply(&[date, ("retry-after", "Fri, 20 Nov 2026 10:00:30 GMT")]);
        assert_eq!(later.retry_after_ms(), Some(30_000));
        let past = reply(&[date, ("retry-after", "Fri, 20 Nov 2026 09:00:00 GMT")]);
        assert_eq!(past.retry_after_ms(), Some(0));
    }

    #[test]
    fn debug_shows_no_values() {
        let mut request = Request {
            method: Method::Put,
            scheme: "https".into(),
            authority: "h".into(),
            path: "/k".into(),
            query: vec![("uploads".into(), "".into()), ("Signature".into(), "hidden".into())],
            headers: vec![],
            body: vec![],
        };
        request.set_header("x-oss-security-token", "hidden");
        request.set_header("x-oss-security-token", "hidden");
        assert_eq!(request.target(), "/k?uploads&Signature=hidden");
        let text = format!("{request:?}");
        assert_eq!(text, "PUT https://h/k?uploads&Signature x-oss-security-token");
        let mut reply = reply(&[("x", "hidden")]);
        reply.body = b"hidden".to_vec();
        assert_eq!(format!("{reply:?}"), "200 x, 6 bytes");
    }
}

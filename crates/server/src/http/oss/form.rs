//! Forms as browsers post them (`multipart/form-data`), read while they arrive.
//!
//! A form is read part by part; of a part's content no more is held than what may be the beginning of
//! the line that ends it.

use bytes::{Buf, Bytes, BytesMut};
use vodferry_oss::{Code, ServiceError};

use super::super::body::Body;
use super::super::call::Call;
use super::errors::body_error;

/// A form on its way in.
pub(super) struct Form<'a> {
    body: &'a mut Body,
    buffer: BytesMut,
    /// The line break and the line that stand between two parts.
    delimiter: Vec<u8>,
    /// Most bytes of the whole form.
    limit: u64,
}

/// What stands in front of a part's content.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct PartHead {
    /// Name of the field.
    pub(super) name: String,
    /// Name of the file, as the browser tells it.
    pub(super) file_name: Option<String>,
    /// Type of the file, as the browser tells it.
    pub(super) content_type: Option<String>,
}

/// Most bytes of a part's head, and of a field that is no file.
const MAX_HEAD: usize = 8 << 10;
/// Most bytes of a field that is no file.
const MAX_FIELD: usize = 64 << 10;
/// Longest boundary, by RFC 2046.
const MAX_BOUNDARY: usize = 70;

impl<'a> Form<'a> {
    /// # Errors
    /// The request is no form.
    pub(super) fn new(
        call: &Call,
        body: &'a mut Body,
        limit: u64,
    ) -> Result<Form<'a>, ServiceError> {
        let content_type = call.header("content-type").unwrap_or_default();
        let boundary = boundary(&content_type)
            .ok_or_else(|| ServiceError::of(Code::RequestIsNotMultiPartContent))?;
        let delimiter = [b"\r\n--", boundary.as_bytes()].concat();
        // The first line has no line break in front of it.
        let buffer = BytesMut::from(&b"\r\n"[..]);
        Ok(Form { body, buffer, delimiter, limit })
    }

    /// Skips what is in front of the first part.
    pub(super) async fn begin(&mut self) -> Result<(), ServiceError> {
        while self.chunk().await?.is_some() {}
        Ok(())
    }

    /// The head of the next part, behind a delimiter; none after the last.
    pub(super) async fn next_part(&mut self) -> Result<Option<PartHead>, ServiceError> {
        self.fill(2).await?;
        if self.buffer.starts_with(b"--") {
            return Ok(None);
        }
        let line = self.line().await?;
        if !line.iter().all(|byte| matches!(byte, b' ' | b'\t')) {
            return Err(malformed());
        }
        let mut head = PartHead::default();
        let mut length = 0;
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                break;
            }
            length += line.len();
            if length > MAX_HEAD {
                return Err(malformed());
            }
            let line = String::from_utf8(line).map_err(|_| malformed())?;
            let (name, value) = line.split_once(':').ok_or_else(malformed)?;
            if name.trim().eq_ignore_ascii_case("content-disposition") {
                head.name = parameter(value, "name").ok_or_else(malformed)?;
                head.file_name = parameter(value, "filename");
            } else if name.trim().eq_ignore_ascii_case("content-type") {
                head.content_type = Some(value.trim().to_owned());
            }
        }
        if head.name.is_empty() { Err(malformed()) } else { Ok(Some(head)) }
    }

    /// The next bytes of a part's content; none at its end, and then its delimiter is read.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, ServiceError> {
        loop {
            let (free, ends) = scan(&self.buffer, &self.delimiter);
            if free > 0 {
                return Ok(Some(self.buffer.split_to(free).freeze()));
            }
            if ends {
                self.buffer.advance(self.delimiter.len());
                return Ok(None);
            }
            self.more().await?;
        }
    }

    /// The whole content of a field that is no file.
    pub(super) async fn field(&mut self) -> Result<String, ServiceError> {
        let mut whole = Vec::new();
        while let Some(bytes) = self.chunk().await? {
            whole.extend_from_slice(&bytes);
            if whole.len() > MAX_FIELD {
                return Err(ServiceError::of(Code::FieldItemTooLong)
                    .with_context("MaxSizeAllowed", MAX_FIELD.to_string()));
            }
        }
        String::from_utf8(whole).map_err(|_| malformed())
    }

    /// A line without its end, which is read.
    async fn line(&mut self) -> Result<Vec<u8>, ServiceError> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                let line = self.buffer.split_to(end).to_vec();
                self.buffer.advance(2);
                return Ok(line);
            }
            if self.buffer.len() > MAX_HEAD {
                return Err(malformed());
            }
            self.more().await?;
        }
    }

    async fn fill(&mut self, least: usize) -> Result<(), ServiceError> {
        while self.buffer.len() < least {
            self.more().await?;
        }
        Ok(())
    }

    async fn more(&mut self) -> Result<(), ServiceError> {
        let more = self.body.next(self.limit).await.map_err(body_error)?;
        self.buffer.extend_from_slice(&more.ok_or_else(malformed)?);
        Ok(())
    }
}

/// How many bytes at the front of `buffer` are content for sure, and whether a delimiter follows them.
fn scan(buffer: &[u8], delimiter: &[u8]) -> (usize, bool) {
    let mut from = 0;
    while let Some(at) = buffer.get(from..).and_then(|rest| rest.iter().position(|b| *b == b'\r')) {
        let at = from + at;
        let rest = buffer.get(at..).unwrap_or_default();
        let common = rest.len().min(delimiter.len());
        if rest.get(..common) == delimiter.get(..common) {
            return (at, common == delimiter.len());
        }
        from = at + 1;
    }
    (buffer.len(), false)
}

fn boundary(content_type: &str) -> Option<String> {
    let kind = content_type.split(';').next()?.trim();
    let found = parameter(content_type, "boundary").filter(|text| !text.is_empty())?;
    (kind.eq_ignore_ascii_case("multipart/form-data") && found.len() <= MAX_BOUNDARY)
        .then_some(found)
}

/// The value of a parameter of a header: `…; name=value; name="quoted"`.
fn parameter(header: &str, name: &str) -> Option<String> {
    let mut rest = header.split_once(';')?.1;
    loop {
        let (found, after) = rest.split_once('=')?;
        let mut value = String::new();
        let after = after.trim_start();
        let end = if let Some(quoted) = after.strip_prefix('"') {
            let mut characters = quoted.char_indices();
            loop {
                match characters.next()? {
                    (at, '"') => break at + 2,
                    // What browsers write so is a quote; other backslashes are part of a path.
                    (_, '\\') if characters.as_str().starts_with('"') => {
                        value.extend(characters.next().map(|(_, c)| c));
                    }
                    (_, other) => value.push(other),
                }
            }
        } else {
            let plain = after.split(';').next().unwrap_or_default();
            value.push_str(plain.trim());
            plain.len()
        };
        if found.trim().eq_ignore_ascii_case(name) {
            return Some(value);
        }
        rest = after.get(end..)?.split_once(';')?.1;
    }
}

fn malformed() -> ServiceError {
    ServiceError::of(Code::MalformedPOSTRequest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ends_at_the_delimiter_and_nowhere_else() {
        let delimiter = b"\r\n--xyz";
        for (buffer, expected) in [
            (&b""[..], (0, false)),
            (b"abc", (3, false)),
            (b"abc\r", (3, false)),
            (b"abc\r\n--x", (3, false)),
            (b"abc\r\n--xyz", (3, true)),
            (b"abc\r\n--xya", (10, false)),
            (b"\r\r\n--xyz--", (1, true)),
            (b"\r\n--xyz", (0, true)),
            (b"a\rb\nc\r\n-", (5, false)),
        ] {
            assert_eq!(scan(buffer, delimiter), expected, "{buffer:?}");
        }
    }

    #[test]
    fn parameters_of_headers() {
        let header = "form-data; name=\"a;b=c\"; filename=\"C:\\dir\\x \\\"y\\\".mp4\"; other=1";
        assert_eq!(parameter(header, "name").as_deref(), Some("a;b=c"));
        assert_eq!(parameter(header, "filename").as_deref(), Some("C:\\dir\\x \"y\".mp4"));
        assert_eq!(parameter(header, "other").as_deref(), Some("1"));
        assert_eq!(parameter(header, "none"), None);
        for cut in ["form-data", "form-data; name", "form-data; name=\"x", "; =", ""] {
            assert_eq!(parameter(cut, "name"), None, "{cut}");
        }
        assert_eq!(boundary("multipart/form-data; boundary=\"x y\"").as_deref(), Some("x y"));
        assert_eq!(boundary("multipart/form-data"), None);
        assert_eq!(boundary("text/plain; boundary=x"), None);
        assert_eq!(boundary(&format!("multipart/form-data; boundary={}", "x".repeat(71))), None);
    }
}

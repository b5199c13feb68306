//! Forms as browsers post them (`multipart/form-data`), read while they arrive.
//!
//! A form is read part by part; of a part's content no more is held than what may be the beginning of
//! the line that ends it. What its bytes mean is told by `form_grammar.rs`.

use bytes::{Buf, Bytes, BytesMut};
use vodferry_oss::{Code, ServiceError};

use super::super::body::Body;
use super::super::call::Call;
use super::errors::body_error;
use super::form_grammar::{PartHead, boundary, scan};

/// A form on its way in.
pub(super) struct Form<'a> {
    body: &'a mut Body,
    buffer: BytesMut,
    /// The line break and the line that stand between two parts.
    delimiter: Vec<u8>,
    /// Most bytes of the whole form.
    limit: u64,
}

/// Most bytes of a part's head, and of a field that is no file.
const MAX_HEAD: usize = 8 << 10;
/// Most bytes of a field that is no file.
const MAX_FIELD: usize = 64 << 10;

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
            head.read(&line).ok_or_else(malformed)?;
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

fn malformed() -> ServiceError {
    ServiceError::of(Code::MalformedPOSTRequest)
}

//! A reply, and the questions that cases ask of it.

use vodferry_oss::time::{parse_http, parse_iso};
use vodferry_oss::{Method, Response, ServiceError};

use super::{Failure, Verdict};

/// A reply that has what all replies have: `Date` in the form of HTTP, `x-oss-request-id` of 24 upper-case hex digits, `Server`; XML
/// without a namespace; as a refusal the `<Error>` document with the same request id and number, or, to HEAD, that document in `x-oss-err`.
#[derive(Clone)]
pub struct Reply {
    asked: String,
    response: Response,
}

impl Reply {
    pub(super) fn checked(
        asked: String,
        method: Method,
        response: Response,
    ) -> Result<Reply, Failure> {
        let reply = Reply { asked, response };
        if reply.header("date").and_then(parse_http).is_none() {
            return Err(reply.differs("a Date header in the form of HTTP"));
        }
        let id = reply.header("x-oss-request-id").unwrap_or_default();
        if id.len() != 24 || !id.bytes().all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b)) {
            return Err(reply.differs("x-oss-request-id of 24 upper-case hex digits"));
        }
        if reply.header("server") != Some("AliyunOSS") {
            return Err(reply.differs("Server: AliyunOSS"));
        }
        if reply.text().contains("xmlns=")
            && reply.header("content-type") == Some("application/xml")
        {
            return Err(reply.differs("XML without a namespace"));
        }
        if reply.status() >= 400 {
            let told = ServiceError::from_response(&reply.response);
            if told.code.is_empty() || told.code.starts_with("HttpStatus") {
                return Err(reply.differs("an <Error> document, for HEAD in x-oss-err"));
            }
            if told.request_id != id || told.message.is_empty() || told.host_id.is_empty() {
                return Err(reply.differs("Message, RequestId as in the header and HostId"));
            }
            let number = reply.header("x-oss-ec");
            if number.is_none() || told.context("EC") != number {
                return Err(reply.differs("EC, the same in the header x-oss-ec"));
            }
            let xml = reply.header("content-type") == Some("application/xml");
            if method != Method::Head && !(xml && reply.text().starts_with("<?xml")) {
                return Err(reply.differs("a refusal as application/xml with a declaration"));
            }
        }
        Ok(reply)
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.response.status
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        &self.response.body
    }

    /// A header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.response.header(name)
    }

    /// Itself, when it has this status.
    ///
    /// # Errors
    /// It has another.
    pub fn is(self, status: u16) -> Result<Reply, Failure> {
        match self.status() == status {
            true => Ok(self),
            false => Err(self.differs(&format!("status {status}"))),
        }
    }

    /// Itself, when it is this refusal.
    ///
    /// # Errors
    /// It is a success, or another refusal.
    pub fn refused(self, status: u16, code: &str) -> Result<Reply, Failure> {
        match self.status() == status && self.error().code == code {
            true => Ok(self),
            false => Err(self.differs(&format!("{status} {code}"))),
        }
    }

    /// Itself, unless it says that the target has no such thing.
    ///
    /// # Errors
    /// It does: the case is skipped.
    pub fn offered(self) -> Result<Reply, Failure> {
        let code = self.error().code;
        match self.status() >= 400
            && matches!(code.as_str(), "NotImplemented" | "OperationNotSupported")
        {
            true => Err(Failure::NotOffered(format!("{} is answered {code}", self.asked))),
            false => Ok(self),
        }
    }

    /// The refusal that it tells.
    pub fn error(&self) -> ServiceError {
        ServiceError::from_response(&self.response)
    }

    /// Whether a refusal's document has this element, and with this text.
    ///
    /// # Errors
    /// It has not.
    pub fn tells(&self, name: &str, value: &str) -> Verdict {
        match self.error().context(name) == Some(value) {
            true => Ok(()),
            false => Err(self.differs(&format!("<{name}>{value}</{name}> in the refusal"))),
        }
    }

    /// The value of a header that must be there.
    ///
    /// # Errors
    /// It is not.
    pub fn some(&self, name: &str) -> Result<&str, Failure> {
        self.header(name).ok_or_else(|| self.differs(&format!("a header {name}")))
    }

    /// Whether a header has this value.
    ///
    /// # Errors
    /// It has another, or is not there.
    pub fn has(&self, name: &str, value: &str) -> Verdict {
        match self.header(name) == Some(value) {
            true => Ok(()),
            false => Err(self.differs(&format!("{name}: {value}"))),
        }
    }

    /// Whether a header is not there.
    ///
    /// # Errors
    /// It is.
    pub fn lacks(&self, name: &str) -> Verdict {
        match self.header(name) {
            None => Ok(()),
            Some(_) => Err(self.differs(&format!("no header {name}"))),
        }
    }

    /// Whether the body is this.
    ///
    /// # Errors
    /// It is not.
    pub fn holds(&self, bytes: impl AsRef<[u8]>) -> Verdict {
        let bytes = bytes.as_ref();
        match self.body() == bytes {
            true => Ok(()),
            false => Err(self.differs(&format!("a body of exactly these {} bytes", bytes.len()))),
        }
    }

    /// Whether the body is an XML document with this root.
    ///
    /// # Errors
    /// It is not.
    pub fn root(&self, name: &str) -> Verdict {
        let is = self.header("content-type") == Some("application/xml")
            && self.text().starts_with("<?xml")
            && (self.text().contains(&format!("<{name}>"))
                || self.text().contains(&format!("<{name}/>")));
        match is {
            true => Ok(()),
            false => {
                Err(self
                    .differs(&format!("application/xml with a declaration and the root {name}")))
            }
        }
    }

    /// The texts of all elements of this name, in their order.
    pub fn elements(&self, name: &str) -> Vec<String> {
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        let text = self.text();
        let rests = text.split(&open).skip(1);
        rests.map(|rest| unescape(rest.split(&close).next().unwrap_or_default().trim())).collect()
    }

    /// The text of the first element of this name, which must be there.
    ///
    /// # Errors
    /// It is not.
    pub fn element(&self, name: &str) -> Result<String, Failure> {
        let first = self.elements(name).into_iter().next();
        first.ok_or_else(|| self.differs(&format!("an element {name}")))
    }

    /// Whether the texts of the elements of this name are these.
    ///
    /// # Errors
    /// They are not.
    pub fn lists<T: AsRef<str>>(&self, name: &str, values: &[T]) -> Verdict {
        let values: Vec<&str> = values.iter().map(AsRef::as_ref).collect();
        match self.elements(name) == values {
            true => Ok(()),
            false => Err(self.differs(&format!("{name} {values:?}"))),
        }
    }

    /// Whether the first element of this name is a time as XML has it, `2026-11-20T10:00:00.000Z`.
    ///
    /// # Errors
    /// It is not.
    pub fn dates(&self, name: &str) -> Verdict {
        let text = self.element(name)?;
        match text.len() == 24 && text.ends_with(".000Z") && parse_iso(&text).is_some() {
            true => Ok(()),
            false => Err(self.differs(&format!("{name} like 2026-11-20T10:00:00.000Z"))),
        }
    }

    /// The failure that this reply is to who expected something else. Tells nothing of what was signed, which holds the token.
    pub fn differs(&self, expected: &str) -> Failure {
        let headers = self.response.headers.iter().filter(|(name, _)| name != "x-oss-err");
        let headers: Vec<String> =
            headers.map(|(name, value)| format!("{name}: {value}")).collect();
        let told = if self.status() >= 400 {
            let error = self.error();
            let context =
                error.context.iter().filter(|(name, _)| !name.starts_with("StringToSign"));
            let context: String = context.map(|(name, value)| format!(" {name}={value}")).collect();
            format!("{error}{context}")
        } else {
            format!("{} {}", self.status(), self.text().chars().take(400).collect::<String>())
        };
        let told: String = told.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let headers = headers.join(", ");
        Failure::Differs(format!("{}: expected {expected}, got {told} [{headers}]", self.asked))
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(self.body()).into_owned()
    }
}

fn unescape(text: &str) -> String {
    [
        ("&quot;", "\""),
        ("&#34;", "\""),
        ("&apos;", "'"),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&amp;", "&"),
    ]
    .iter()
    .fold(text.to_owned(), |text, (name, character)| text.replace(name, character))
}

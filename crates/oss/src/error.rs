//! What the service says when it refuses: the `<Error>` document, and what stands in for it when none came.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::code::Code;
use crate::message::Response;
use crate::text::decimal;
use crate::xml::{Element, XmlError, XmlWriter};

/// A refusal of the service, sent or received.
///
/// `Display` is one line with status, code, message and request id. `Debug` leaves out the values of the context:
/// a string to sign holds the security token.
#[derive(Clone, PartialEq, Eq)]
pub struct ServiceError {
    /// HTTP status.
    pub status: u16,
    /// Code of the service, or `HttpStatusNNN` when the reply named none.
    pub code: String,
    /// For people.
    pub message: String,
    /// Names the request in the service's logs; empty when the reply had none.
    pub request_id: String,
    /// The host that was asked, as the service saw it; may be empty.
    pub host_id: String,
    /// Further elements of the document, such as `UploadId` or `ServerTime`, in their order.
    pub context: Vec<(String, String)>,
}

impl ServiceError {
    /// The error of this code with its usual status and message. The server adds request and host id.
    pub fn of(code: Code) -> ServiceError {
        ServiceError {
            status: code.status(),
            code: String::from(code.as_str()),
            message: String::from(code.message()),
            request_id: String::new(),
            host_id: String::new(),
            context: Vec::new(),
        }
    }

    /// With another message.
    pub fn with_message(mut self, message: impl Into<String>) -> ServiceError {
        self.message = message.into();
        self
    }

    /// With one more context element; `name` must be a valid XML name.
    pub fn with_context(mut self, name: &str, value: impl Into<String>) -> ServiceError {
        self.context.push((String::from(name), value.into()));
        self
    }

    /// The value of a context element.
    pub fn context(&self, name: &str) -> Option<&str> {
        self.context.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// Reads a reply that is no success: its XML body, the base64 XML of `x-oss-err` that replies to HEAD carry, or,
    /// when neither is there (a proxy's page, nothing), a code made of the status and a message that says what came.
    pub fn from_response(response: &Response) -> ServiceError {
        let header =
            response.header("x-oss-err").and_then(|text| STANDARD.decode(text.trim()).ok());
        let decoded = decode(&response.body)
            .or_else(|_| decode(header.as_deref().unwrap_or_default()))
            .unwrap_or_else(|_| undocumented(response));
        let mut error = ServiceError { status: response.status, ..decoded };
        if error.code.is_empty() {
            error.code = status_code(response.status);
        }
        if error.request_id.is_empty() {
            error.request_id = String::from(response.request_id().unwrap_or_default());
        }
        error
    }

    /// The `<Error>` document.
    pub fn to_xml(&self) -> String {
        let mut xml = XmlWriter::new();
        xml.open("Error");
        xml.text("Code", &self.code);
        xml.text("Message", &self.message);
        xml.text("RequestId", &self.request_id);
        xml.text("HostId", &self.host_id);
        for (name, value) in &self.context {
            xml.text(name, value);
        }
        xml.close("Error");
        xml.finish()
    }

    /// The value of `x-oss-err`, which a reply to HEAD carries in place of the document.
    pub fn to_header(&self) -> String {
        STANDARD.encode(self.to_xml())
    }
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&decimal(self.status.into()))?;
        f.write_str(" ")?;
        write_line(f, &self.code)?;
        if !self.message.is_empty() {
            f.write_str(": ")?;
            write_line(f, self.message.trim_end_matches(['.', ' ', '\n', '\r']))?;
        }
        if !self.request_id.is_empty() {
            f.write_str(" (request id ")?;
            write_line(f, &self.request_id)?;
            f.write_str(")")?;
        }
        Ok(())
    }
}

impl fmt::Debug for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)?;
        for (name, _) in &self.context {
            f.write_str(" ")?;
            write_line(f, name)?;
        }
        Ok(())
    }
}

impl core::error::Error for ServiceError {}

/// Longest text of a server that goes into a line of ours, in characters.
const MAX_SHOWN: usize = 300;

/// One line whatever a server sent.
fn write_line(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    use fmt::Write as _;
    for c in text.chars().take(MAX_SHOWN) {
        f.write_char(if c.is_control() { ' ' } else { c })?;
    }
    if text.chars().nth(MAX_SHOWN).is_some() { f.write_str("…") } else { Ok(()) }
}

fn decode(body: &[u8]) -> Result<ServiceError, XmlError> {
    let root = Element::parse(body, "Error")?;
    let mut error = ServiceError {
        status: 0,
        code: root.text_or_empty("Code"),
        message: root.text_or_empty("Message"),
        request_id: root.text_or_empty("RequestId"),
        host_id: root.text_or_empty("HostId"),
        context: Vec::new(),
    };
    for child in root.children {
        let known = matches!(child.name.as_str(), "Code" | "Message" | "RequestId" | "HostId");
        if !known && child.children.is_empty() {
            error.context.push((child.name, child.text));
        }
    }
    Ok(error)
}

fn undocumented(response: &Response) -> ServiceError {
    let mut message = String::from("the reply has no body");
    if !response.body.is_empty() {
        message = String::from("the reply is no error document but ");
        message.push_str(&decimal(response.body.len() as u64));
        message.push_str(" bytes");
        if let Some(kind) = response.header("content-type") {
            message.push_str(" of ");
            message.push_str(kind);
        }
    }
    ServiceError {
        status: response.status,
        code: String::new(),
        message,
        request_id: String::new(),
        host_id: String::new(),
        context: Vec::new(),
    }
}

fn status_code(status: u16) -> String {
    let mut code = String::from("HttpStatus");
    code.push_str(&decimal(status.into()));
    code
}

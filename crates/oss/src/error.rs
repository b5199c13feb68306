//! What the service says when it refuses: the `<Error>` document, and what stands in for it when none came.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::base64;
use crate::code::Code;
use crate::message::Response;
use crate::text::decimal;
use crate::xml::{Document, XmlError, XmlWriter};

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
    pub host_id: Box<str>,
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
            host_id: Box::default(),
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

    /// With its number, `EC`, unless it has a finer one than its code's. A code that is none of [`Code`] has none to add.
    pub fn numbered(self) -> ServiceError {
        match Code::named(&self.code).filter(|_| self.context(EC).is_none()) {
            Some(code) => self.with_context(EC, code.ec()),
            None => self,
        }
    }

    /// The value of a context element.
    pub fn context(&self, name: &str) -> Option<&str> {
        self.context.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// Reads a reply that is no success: its XML body, the base64 XML of `x-oss-err` that replies to HEAD carry, or,
    /// when neither is there (a proxy's page, nothing), a code made of the status and a message that says what came.
    pub fn from_response(response: &Response) -> ServiceError {
        let header =
            response.header("x-oss-err").and_then(|text| base64::decode(text.trim_ascii()));
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
        base64::encode(self.to_xml().as_bytes())
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

/// Names the number of an error among its context.
const EC: &str = "EC";

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
    let root = Document::parse(body, "Error")?.root;
    let mut error = ServiceError {
        status: 0,
        code: root.text("Code").into(),
        message: root.text("Message").into(),
        request_id: root.text("RequestId").into(),
        host_id: root.text("HostId").into(),
        context: Vec::new(),
    };
    for child in root.children {
        let known = matches!(child.name, "Code" | "Message" | "RequestId" | "HostId");
        if !known && child.children.is_empty() {
            error.context.push((child.name.into(), child.text));
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
        host_id: Box::default(),
        context: Vec::new(),
    }
}

fn status_code(status: u16) -> String {
    let mut code = String::from("HttpStatus");
    code.push_str(&decimal(status.into()));
    code
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::ToString;
    use alloc::vec;
    use proptest::prelude::*;

    const BODY: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
        <Error><Code>NoSuchUpload</Code><Message>Gone.</Message><RequestId>5C3D9175B6FC201293AD4890</RequestId>\
        <HostId>b.oss.example.com</HostId><UploadId>0004</UploadId><EC>0042-00000002</EC></Error>";

    fn reply(status: u16, headers: &[(&str, &str)], body: &str) -> Response {
        let headers = headers.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
        Response { status, headers, body: body.as_bytes().to_vec() }
    }

    #[test]
    fn reads_the_document() {
        let error = ServiceError::from_response(&reply(404, &[], BODY));
        assert_eq!(error.code, "NoSuchUpload");
        assert_eq!(&*error.host_id, "b.oss.example.com");
        assert_eq!(error.context("UploadId"), Some("0004"));
        assert_eq!(error.context("EC"), Some("0042-00000002"));
        assert_eq!(
            error.to_string(),
            "404 NoSuchUpload: Gone (request id 5C3D9175B6FC201293AD4890)"
        );
        assert_eq!(error.to_xml(), BODY);
    }

    #[test]
    fn the_finest_number_is_kept() {
        let error = ServiceError::of(Code::NoSuchKey).numbered();
        assert_eq!(error.context("EC"), Some("0026-00000001"));
        assert_eq!(error.clone().numbered(), error);
        let finer = ServiceError::of(Code::InvalidArgument).with_context("EC", "0002-00000212");
        assert_eq!(finer.clone().numbered(), finer);
    }

    #[test]
    fn reads_the_header_of_a_head_reply() {
        let sent = ServiceError::of(Code::NoSuchKey).with_context("Key", "测 & <b>");
        let header = sent.to_header();
        let error = ServiceError::from_response(&reply(
            404,
            &[("x-oss-err", &header), ("x-oss-request-id", "R1")],
            "",
        ));
        assert_eq!(error, ServiceError { request_id: "R1".into(), ..sent });
    }

    #[test]
    fn makes_do_without_a_document() {
        let told = |reply: Response| ServiceError::from_response(&reply).to_string();
        let page = "<html><body><h1>502 Bad Gateway</h1><hr></body></html>";
        assert_eq!(
            told(reply(502, &[("content-type", "text/html")], page)),
            "502 HttpStatus502: the reply is no error document but 54 bytes of text/html"
        );
        assert_eq!(
            told(reply(404, &[("x-oss-request-id", "R1"), ("x-oss-err", "%%")], "")),
            "404 HttpStatus404: the reply has no body (request id R1)"
        );
        assert_eq!(
            told(reply(500, &[], "<Error><Code>Internal")),
            "500 HttpStatus500: the reply is no error document but 21 bytes"
        );
        assert_eq!(told(reply(403, &[], "<Error></Error>")), "403 HttpStatus403");
    }

    #[test]
    fn a_hostile_message_stays_one_bounded_line() {
        let error = ServiceError::of(Code::InternalError).with_message("a\nb\u{1b}[2J".repeat(200));
        let text = error.to_string();
        assert!(!text.contains(char::is_control));
        assert!(text.len() < 400);
    }

    #[test]
    fn debug_shows_no_string_to_sign() {
        let error = ServiceError::of(Code::SignatureDoesNotMatch)
            .with_context("StringToSign", "x-oss-security-token:hidden");
        let text = format!("{error:?}");
        assert!(!text.contains("hidden") && text.ends_with(" StringToSign"), "{text}");
    }

    proptest! {
        #[test]
        fn survives_the_wire(message in "[^\\p{C}]*", value in "[\\t\\n\\r -\u{D7FF}\u{E000}-\u{FFFD}🎬]*") {
            let mut sent = ServiceError::of(Code::InvalidPart).with_context("ETag", value);
            sent.message = message;
            sent.request_id = "R".into();
            let reply = reply(400, &[], &sent.to_xml());
            prop_assert_eq!(ServiceError::from_response(&reply), sent);
        }

        #[test]
        fn never_panics(status in any::<u16>(), body in any::<vec::Vec<u8>>(), header in any::<String>()) {
            let headers = vec![("x-oss-err".to_string(), header)];
            let error = ServiceError::from_response(&Response { status, headers, body });
            prop_assert_eq!(error.status, status);
        }
    }
}

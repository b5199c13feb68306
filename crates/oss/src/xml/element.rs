//! Reading documents: a small tree, because no document of this protocol is deep or large.

use alloc::string::String;
use alloc::vec::Vec;

use quick_xml::Reader;
use quick_xml::events::{BytesRef, BytesStart, Event};

use crate::encode::decode_text;
use crate::time::parse_iso;

/// Why a body is not the document that was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    /// The bytes are not UTF-8.
    #[error("the XML is not UTF-8")]
    Utf8,
    /// Not well-formed, or cut off.
    #[error("the XML is malformed or cut off")]
    Malformed,
    /// Nested deeper than any document of the protocol.
    #[error("the XML is nested too deep")]
    TooDeep,
    /// More elements than any document of the protocol has.
    #[error("the XML has too many elements")]
    TooMany,
    /// A document type or an entity that is not predefined.
    #[error("the XML has a document type or an unknown entity")]
    Entity,
    /// Another document; the root that was expected.
    #[error("the XML is not a {0} document")]
    Root(&'static str),
    /// An element is missing.
    #[error("the XML has no element {0}")]
    Missing(&'static str),
    /// An element's text cannot be read.
    #[error("the XML has a bad value in element {0}")]
    Value(&'static str),
}

/// One element. Text between child elements is kept but means nothing.
#[derive(Debug, Default)]
pub(crate) struct Element {
    /// Without its namespace prefix.
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) children: Vec<Element>,
}

impl Element {
    /// Reads a document whose root is `root`.
    pub(crate) fn parse(body: &[u8], root: &'static str) -> Result<Element, XmlError> {
        let found = parse(body)?;
        if found.name == root { Ok(found) } else { Err(XmlError::Root(root)) }
    }

    /// The children of this name.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &Element> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The text of the first child of this name.
    pub(crate) fn text(&self, name: &'static str) -> Result<&str, XmlError> {
        self.find(name).ok_or(XmlError::Missing(name))
    }

    /// The same, empty when there is none.
    pub(crate) fn text_or_empty(&self, name: &str) -> String {
        self.find(name).map(String::from).unwrap_or_default()
    }

    /// Whether the texts that may be are percent-encoded.
    pub(crate) fn is_url_encoded(&self) -> bool {
        self.find("EncodingType").is_some_and(|text| text.trim() == "url")
    }

    /// A text that is percent-encoded when `url`; empty when there is none.
    pub(crate) fn name(&self, name: &'static str, url: bool) -> Result<String, XmlError> {
        let text = self.find(name).unwrap_or_default();
        if url { decode_text(text).map_err(|_| XmlError::Value(name)) } else { Ok(text.into()) }
    }

    /// A decimal number; `None` when there is none or it is empty.
    pub(crate) fn number<N: core::str::FromStr>(
        &self,
        name: &'static str,
    ) -> Result<Option<N>, XmlError> {
        match self.find(name).map(str::trim) {
            None | Some("") => Ok(None),
            Some(text) if text.starts_with('+') => Err(XmlError::Value(name)),
            Some(text) => text.parse().map(Some).map_err(|_| XmlError::Value(name)),
        }
    }

    /// A time in milliseconds since 1970; 0 when there is none that can be read, as no decision rests on it.
    pub(crate) fn time(&self, name: &str) -> i64 {
        self.find(name).and_then(parse_iso).unwrap_or(0)
    }

    /// `true` or not.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.find(name).is_some_and(|text| text.trim() == "true")
    }

    fn find(&self, name: &str) -> Option<&str> {
        self.all(name).next().map(|child| child.text.as_str())
    }
}

const MAX_DEPTH: usize = 16;
/// Twice what a Complete of 10,000 parts has. Each element costs far more memory than the four bytes of `<a/>`.
const MAX_ELEMENTS: usize = 60_002;

fn parse(body: &[u8]) -> Result<Element, XmlError> {
    let text = core::str::from_utf8(body).map_err(|_| XmlError::Utf8)?;
    let mut reader = Reader::from_str(text.strip_prefix('\u{FEFF}').unwrap_or(text));
    // The bottom of the stack is the document itself; its one child is the root.
    let mut open = Vec::from([Element::default()]);
    let mut elements = 0;
    loop {
        let event = reader.read_event().map_err(|_| XmlError::Malformed)?;
        if matches!(event, Event::Start(_) | Event::Empty(_)) {
            elements += 1;
            if elements > MAX_ELEMENTS {
                return Err(XmlError::TooMany);
            }
        }
        let top = open.last_mut().ok_or(XmlError::Malformed)?;
        match event {
            Event::Start(start) => {
                if open.len() > MAX_DEPTH {
                    return Err(XmlError::TooDeep);
                }
                open.push(element(&start));
            }
            Event::Empty(start) => top.children.push(element(&start)),
            Event::End(_) => {
                let done = open.pop().ok_or(XmlError::Malformed)?;
                open.last_mut().ok_or(XmlError::Malformed)?.children.push(done);
            }
            Event::Text(text) => top.text.push_str(&text),
            Event::CData(text) => top.text.push_str(&text),
            Event::GeneralRef(entity) => top.text.push(character(&entity)?),
            Event::DocType(_) => return Err(XmlError::Entity),
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
            Event::Eof => break,
        }
    }
    let document = open.pop().filter(|document| document.text.trim().is_empty());
    let mut roots = document.filter(|_| open.is_empty()).unwrap_or_default().children;
    match (roots.pop(), roots.is_empty()) {
        (Some(root), true) => Ok(root),
        _ => Err(XmlError::Malformed),
    }
}

fn element(start: &BytesStart<'_>) -> Element {
    Element { name: start.local_name().into_inner().into(), ..Element::default() }
}

fn character(entity: &BytesRef<'_>) -> Result<char, XmlError> {
    match &**entity {
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "amp" => Ok('&'),
        "quot" => Ok('"'),
        "apos" => Ok('\''),
        _ => entity.resolve_char_ref().ok().flatten().ok_or(XmlError::Entity),
    }
}

//! Documents as they are read: a small tree, because none of this protocol is deep or large, and the values in it.

use alloc::string::String;
use alloc::vec::Vec;
use core::cell::Cell;
use core::fmt;

use super::reader::parse;
use crate::encode::decode_text;
use crate::text::parse_u64;
use crate::time::parse_iso;

/// Why a body is not the document that was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XmlError {
    /// The bytes are not UTF-8.
    Utf8,
    /// Not well-formed, or cut off.
    Malformed,
    /// Nested deeper than any document of the protocol.
    TooDeep,
    /// More elements than any document of the protocol has.
    TooMany,
    /// A document type or an entity that is not predefined.
    Entity,
    /// Another document; the root that was expected.
    Root(&'static str),
    /// An element is missing.
    Missing(&'static str),
    /// An element's text cannot be read.
    Value(&'static str),
}

impl XmlError {
    /// What `Display` writes, without its machinery, which is kilobytes of wasm.
    pub fn message(&self) -> String {
        self.words().concat()
    }

    fn words(&self) -> [&'static str; 3] {
        match *self {
            XmlError::Utf8 => ["the XML is not UTF-8", "", ""],
            XmlError::Malformed => ["the XML is malformed or cut off", "", ""],
            XmlError::TooDeep => ["the XML is nested too deep", "", ""],
            XmlError::TooMany => ["the XML has too many elements", "", ""],
            XmlError::Entity => ["the XML has a document type or an unknown entity", "", ""],
            XmlError::Root(name) => ["the XML is not a ", name, " document"],
            XmlError::Missing(name) => ["the XML has no element ", name, ""],
            XmlError::Value(name) => ["the XML has a bad value in element ", name, ""],
        }
    }
}

impl fmt::Display for XmlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.words().into_iter().try_for_each(|word| f.write_str(word))
    }
}

impl core::error::Error for XmlError {}

/// One element. Text between child elements is kept but means nothing.
#[derive(Debug, Default)]
pub(crate) struct Element<'a> {
    /// Without its namespace prefix.
    pub(crate) name: &'a str,
    pub(crate) text: String,
    pub(crate) children: Vec<Element<'a>>,
}

impl Element<'_> {
    /// The children of this name.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The text of the first child of this name; empty when there is none.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.find(name).unwrap_or_default()
    }

    /// A time in milliseconds since 1970; 0 when there is none that can be read, as no decision rests on it.
    pub(crate) fn time(&self, name: &str) -> i64 {
        parse_iso(self.text(name)).unwrap_or(0)
    }

    /// `true` or not.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.text(name).trim_ascii() == "true"
    }

    fn find(&self, name: &str) -> Option<&str> {
        self.all(name).next().map(|child| child.text.as_str())
    }
}

/// A document while its values are taken out.
///
/// What is wrong is noted and told at the end, in place of a way out of every decoder at each of its fields.
pub(crate) struct Document<'a> {
    pub(crate) root: Element<'a>,
    /// Whether the texts that may be are percent-encoded.
    url: bool,
    wrong: Cell<Option<XmlError>>,
}

impl Document<'_> {
    /// Reads a document whose root is `root`.
    pub(crate) fn parse<'a>(body: &'a [u8], root: &'static str) -> Result<Document<'a>, XmlError> {
        let found = parse(body)?;
        if found.name != root {
            return Err(XmlError::Root(root));
        }
        let url = found.text("EncodingType").trim_ascii() == "url";
        Ok(Document { root: found, url, wrong: Cell::new(None) })
    }

    /// The value, if nothing was wrong.
    pub(crate) fn finish<T>(self, value: T) -> Result<T, XmlError> {
        match self.wrong.get() {
            None => Ok(value),
            Some(wrong) => Err(wrong),
        }
    }

    /// Notes the first thing that is wrong.
    pub(crate) fn note(&self, wrong: XmlError) {
        self.wrong.set(self.wrong.get().or(Some(wrong)));
    }

    /// The text of a child of `of` that has to be there.
    pub(crate) fn required<'b>(&self, of: &'b Element<'_>, name: &'static str) -> &'b str {
        of.find(name).unwrap_or_else(|| {
            self.note(XmlError::Missing(name));
            ""
        })
    }

    /// Notes those of the children of `of` that come more than once, or hold more than text: another reader would
    /// take another value. For what clients send; servers are believed.
    pub(crate) fn plain(&self, of: &Element<'_>, names: &[&'static str]) {
        for name in names {
            let mut found = of.all(name);
            let holds_more = found.next().is_some_and(|child| !child.children.is_empty());
            if holds_more || found.next().is_some() {
                self.note(XmlError::Value(name));
            }
        }
    }

    /// Notes the elements of these names, wherever they are, that hold more than text: of those only what they hold is written again.
    pub(crate) fn leaves(&self, names: &[&'static str]) {
        let mut elements = Vec::from([&self.root]);
        while let Some(element) = elements.pop() {
            let leaf = names.iter().find(|name| **name == element.name);
            if let Some(name) = leaf.filter(|_| !element.children.is_empty()) {
                self.note(XmlError::Value(name));
            }
            elements.extend(&element.children);
        }
    }

    /// A text that may be percent-encoded; empty when there is none.
    pub(crate) fn name(&self, of: &Element<'_>, name: &'static str) -> String {
        let text = of.text(name);
        if !self.url {
            return text.into();
        }
        decode_text(text).unwrap_or_else(|_| {
            self.note(XmlError::Value(name));
            String::new()
        })
    }

    /// A decimal number; `None` when there is none or it is empty.
    pub(crate) fn number<N: TryFrom<u64>>(
        &self,
        of: &Element<'_>,
        name: &'static str,
    ) -> Option<N> {
        let text = of.text(name).trim_ascii();
        if text.is_empty() {
            return None;
        }
        let number = parse_u64(text).and_then(|number| N::try_from(number).ok());
        if number.is_none() {
            self.note(XmlError::Value(name));
        }
        number
    }

    /// A decimal number that has to be there.
    pub(crate) fn required_number<N: TryFrom<u64> + Default>(
        &self,
        of: &Element<'_>,
        name: &'static str,
    ) -> N {
        self.number(of, name).unwrap_or_else(|| {
            self.note(XmlError::Missing(name));
            N::default()
        })
    }
}

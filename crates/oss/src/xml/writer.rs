//! Writing documents.

use alloc::string::String;

use crate::encode::encode_path;
use crate::etag::quote;
use crate::text::push_u64;

/// A document being written. Element names are the crate's own and need no escaping.
pub(crate) struct XmlWriter {
    out: String,
    url: bool,
}

impl XmlWriter {
    /// Begins with the declaration.
    pub(crate) fn new() -> XmlWriter {
        let out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        XmlWriter { out, url: false }
    }

    /// Says `encoding-type=url` when `url`; from here on [`XmlWriter::name`] encodes.
    pub(crate) fn encoding(&mut self, url: bool) {
        self.url = url;
        if url {
            self.text("EncodingType", "url");
        }
    }

    pub(crate) fn open(&mut self, name: &str) {
        self.out.push('<');
        self.out.push_str(name);
        self.out.push('>');
    }

    pub(crate) fn close(&mut self, name: &str) {
        self.out.push_str("</");
        self.out.push_str(name);
        self.out.push('>');
    }

    /// An element with text.
    pub(crate) fn text(&mut self, name: &str, text: &str) {
        self.open(name);
        for c in text.chars() {
            match c {
                '&' => self.out.push_str("&amp;"),
                '<' => self.out.push_str("&lt;"),
                '>' => self.out.push_str("&gt;"),
                // A reader would take the raw character for a line's end.
                '\r' => self.out.push_str("&#13;"),
                c if is_allowed(c) => self.out.push(c),
                _ => self.out.push(char::REPLACEMENT_CHARACTER),
            }
        }
        self.close(name);
    }

    /// An element whose text is percent-encoded where the client asked for it.
    pub(crate) fn name(&mut self, name: &str, text: &str) {
        if self.url { self.text(name, &encode_path(text)) } else { self.text(name, text) }
    }

    pub(crate) fn number(&mut self, name: &str, value: u64) {
        self.open(name);
        push_u64(&mut self.out, value);
        self.close(name);
    }

    pub(crate) fn flag(&mut self, name: &str, value: bool) {
        self.text(name, if value { "true" } else { "false" });
    }

    pub(crate) fn etag(&mut self, etag: &str) {
        self.text("ETag", &quote(etag));
    }

    /// `class`, or the usual one when it is empty: listings have to name one.
    pub(crate) fn storage_class(&mut self, class: &str) {
        self.text("StorageClass", if class.is_empty() { "Standard" } else { class });
    }

    pub(crate) fn finish(self) -> String {
        self.out
    }
}

/// What XML 1.0 allows in a document.
fn is_allowed(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

//! The syntax of a document, to a tree.
//!
//! Of our own because the libraries for XML need the standard library and weigh more in the browser than all that the protocol
//! says (measured: nine kilobytes of its forty-five). In exchange it reads what this protocol writes and no more: no document
//! types, hence no entities but the predefined ones, no attributes, no namespaces.

use alloc::string::String;
use alloc::vec::Vec;

use super::element::{Element, XmlError};

/// The deepest nesting.
const MAX_DEPTH: usize = 16;
/// Twice what a Complete of 10,000 parts has. Each element costs far more memory than the four bytes of `<a/>`.
const MAX_ELEMENTS: usize = 60_002;

/// The root of a document.
pub(super) fn parse(body: &[u8]) -> Result<Element<'_>, XmlError> {
    let text = core::str::from_utf8(body).map_err(|_| XmlError::Utf8)?;
    let mut reader = Reader { rest: text.strip_prefix('\u{FEFF}').unwrap_or(text) };
    // The bottom of the stack is the document itself; its one child is the root. Names are kept with their prefixes.
    let mut open = Vec::from([("", Element::default())]);
    let mut elements = 0;
    while !reader.rest.is_empty() {
        let text = reader.text();
        let depth = open.len();
        let (name, top) = open.last_mut().ok_or(XmlError::Malformed)?;
        push_text(&mut top.text, text)?;
        if reader.skip("<?") {
            reader.through("?>")?;
        } else if reader.skip("<!--") {
            reader.through("-->")?;
        } else if reader.skip("<![CDATA[") {
            top.text.push_str(reader.through("]]>")?);
        } else if reader.skip("<!") {
            return Err(XmlError::Entity);
        } else if reader.skip("</") {
            let ends = reader.through(">")?.trim_ascii_end() == *name;
            let (_, done) = open.pop().filter(|_| ends).ok_or(XmlError::Malformed)?;
            open.last_mut().ok_or(XmlError::Malformed)?.1.children.push(done);
        } else if reader.skip("<") {
            elements += 1;
            if elements > MAX_ELEMENTS {
                return Err(XmlError::TooMany);
            }
            let (name, empty) = reader.tag()?;
            let local = name.rsplit_once(':').map_or(name, |(_, local)| local);
            let element = Element { name: local, ..Element::default() };
            // Whether it is written in one tag or in two.
            if depth > MAX_DEPTH {
                return Err(XmlError::TooDeep);
            } else if empty {
                top.children.push(element);
            } else {
                open.push((name, element));
            }
        }
    }
    let (Some((_, mut document)), true) = (open.pop(), open.is_empty()) else {
        return Err(XmlError::Malformed);
    };
    match document.children.pop() {
        Some(root) if document.children.is_empty() && document.text.trim_ascii().is_empty() => {
            Ok(root)
        }
        _ => Err(XmlError::Malformed),
    }
}

/// What is left of a document.
struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    /// What stands before the next `<`, or before the end.
    fn text(&mut self) -> &'a str {
        let at = self.rest.bytes().position(|byte| byte == b'<').unwrap_or(self.rest.len());
        self.take(at, 0).unwrap_or_default()
    }

    /// Whether `token` comes next; it is taken.
    fn skip(&mut self, token: &str) -> bool {
        let found = self.rest.starts_with(token);
        found && self.take(0, token.len()).is_ok()
    }

    /// What stands before the next `end`, which is taken as well.
    fn through(&mut self, end: &str) -> Result<&'a str, XmlError> {
        // The library's search for text in text is made for longer ones, and three kilobytes large.
        let mut windows = self.rest.as_bytes().windows(end.len());
        let at = windows.position(|window| window == end.as_bytes());
        self.take(at.ok_or(XmlError::Malformed)?, end.len())
    }

    /// The rest of a start tag: its name, and whether the element ends with it.
    fn tag(&mut self) -> Result<(&'a str, bool), XmlError> {
        let mut quote = None;
        let end = self.rest.bytes().position(|byte| match quote {
            Some(open) => {
                quote = quote.filter(|_| byte != open);
                false
            }
            None => {
                quote = Some(byte).filter(|byte| matches!(byte, b'"' | b'\''));
                byte == b'>'
            }
        });
        let tag = self.take(end.ok_or(XmlError::Malformed)?, 1)?;
        let (tag, empty) = match tag.strip_suffix('/') {
            Some(tag) => (tag, true),
            None => (tag, false),
        };
        let name = tag.split(|c: char| c.is_ascii_whitespace()).next().unwrap_or_default();
        // Names of unknown elements are kept and written again, so that none may hold what is no name.
        let good = !name.is_empty() && !name.ends_with(':') && name.bytes().all(is_name_byte);
        if good { Ok((name, empty)) } else { Err(XmlError::Malformed) }
    }

    /// The next `length` bytes; `then` more are dropped.
    fn take(&mut self, length: usize, then: usize) -> Result<&'a str, XmlError> {
        let head = self.rest.get(..length).ok_or(XmlError::Malformed)?;
        self.rest = self.rest.get(length + then..).ok_or(XmlError::Malformed)?;
        Ok(head)
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b':' | b'_') || !byte.is_ascii()
}

/// Appends a text with its references resolved.
fn push_text(out: &mut String, text: &str) -> Result<(), XmlError> {
    let mut pieces = text.split('&');
    out.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let (entity, plain) = piece.split_once(';').ok_or(XmlError::Malformed)?;
        out.push(character(entity).ok_or(XmlError::Entity)?);
        out.push_str(plain);
    }
    Ok(())
}

fn character(entity: &str) -> Option<char> {
    match entity {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = entity.strip_prefix('#')?;
            let (digits, radix) = match number.strip_prefix('x') {
                Some(digits) => (digits, 16),
                None => (number, 10),
            };
            let code = digits.chars().try_fold(0_u32, |code, digit| {
                code.checked_mul(radix)?.checked_add(digit.to_digit(radix)?)
            });
            // No digits are 0 as well.
            code.filter(|code| *code != 0).and_then(char::from_u32)
        }
    }
}

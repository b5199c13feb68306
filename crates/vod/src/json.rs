//! As much JSON as the blobs need: flat objects of text, numbers, booleans and null, read and written.
//!
//! Nested values are checked and skipped, at most [`DEPTH`] deep, so that a blob with members of tomorrow still reads.
//! Not a general parser: a general one weighs as much in wasm as everything else together.

use alloc::string::String;
use alloc::vec::Vec;

use vodferry_oss::Secret;

/// How deep a skipped value may nest.
const DEPTH: u32 = 16;

/// The members of a JSON object. Values are kept as secrets because some of them are.
pub(crate) struct Object(Vec<(String, Secret)>);

impl Object {
    /// Reads one object and nothing after it. `None`: not JSON, not an object, or nested too deeply.
    pub(crate) fn parse(text: &str) -> Option<Object> {
        let mut reader = Reader { text, at: 0 };
        reader.space();
        reader.expect(b'{')?;
        let mut members = Vec::new();
        reader.sequence(b'}', |reader| {
            let name = reader.string()?;
            reader.space();
            reader.expect(b':')?;
            reader.space();
            if let Some(value) = reader.scalar()? {
                members.push((name, Secret::new(value)));
            }
            Some(())
        })?;
        reader.space();
        (reader.at == text.len()).then_some(Object(members))
    }

    /// The value of a member: text as it is, numbers and booleans as they were written. `None` when it is absent, null or
    /// nested. Of a name given twice the last counts.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(n, _)| n == name).map(|(_, value)| value.expose())
    }

    /// Whether there is such a member, even an empty one.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }
}

/// Appends `"name":"value"` to an object begun with `{`, with a comma where it is not the first member.
pub(crate) fn push_member(out: &mut String, name: &str, value: &str) {
    push_name(out, name);
    push_string(out, value);
}

/// As [`push_member`], of a value that is JSON already.
pub(crate) fn push_raw(out: &mut String, name: &str, json: &str) {
    push_name(out, name);
    out.push_str(json);
}

fn push_name(out: &mut String, name: &str) {
    if !out.ends_with('{') {
        out.push(',');
    }
    push_string(out, name);
    out.push(':');
}

fn push_string(out: &mut String, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c if c < ' ' => {
                out.push_str("\\u00");
                out.push(char::from(HEX[(c as usize >> 4) & 15]));
                out.push(char::from(HEX[c as usize & 15]));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Items separated by commas, up to and with `close`.
    fn sequence(&mut self, close: u8, mut item: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.space();
        if self.expect(close).is_some() {
            return Some(());
        }
        loop {
            self.space();
            item(self)?;
            self.space();
            if self.expect(b',').is_none() {
                return self.expect(close);
            }
        }
    }

    /// A value; the inner `None` stands for null and for what is nested.
    fn scalar(&mut self) -> Option<Option<String>> {
        match self.peek()? {
            b'"' => self.string().map(Some),
            b'{' | b'[' => self.skip(DEPTH).map(|()| None),
            _ => {
                let word = self.word()?;
                Some((word != "null").then(|| String::from(word)))
            }
        }
    }

    fn skip(&mut self, depth: u32) -> Option<()> {
        match self.peek()? {
            b'"' => self.string().map(drop),
            b'{' => {
                let depth = depth.checked_sub(1)?;
                self.at += 1;
                self.sequence(b'}', |reader| {
                    reader.string()?;
                    reader.space();
                    reader.expect(b':')?;
                    reader.space();
                    reader.skip(depth)
                })
            }
            b'[' => {
                let depth = depth.checked_sub(1)?;
                self.at += 1;
                self.sequence(b']', |reader| reader.skip(depth))
            }
            _ => self.word().map(drop),
        }
    }

    /// A number, `true`, `false` or `null`. Numbers are read generously: nothing is calculated with them here.
    fn word(&mut self) -> Option<&str> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9' | b'a'..=b'z' | b'E' | b'+' | b'-' | b'.')) {
            self.at += 1;
        }
        let word = self.text.get(start..self.at)?;
        let number = matches!(word.as_bytes().first(), Some(b'0'..=b'9' | b'-'))
            && !word.bytes().any(|b| b.is_ascii_lowercase() && b != b'e');
        (number || matches!(word, "true" | "false" | "null")).then_some(word)
    }

    fn string(&mut self) -> Option<String> {
        self.expect(b'"')?;
        let mut out = String::new();
        loop {
            let start = self.at;
            while self.peek().is_some_and(|b| b >= b' ' && b != b'"' && b != b'\\') {
                self.at += 1;
            }
            out.push_str(self.text.get(start..self.at)?);
            if self.expect(b'"').is_some() {
                return Some(out);
            }
            self.expect(b'\\')?;
            let escape = self.peek()?;
            self.at += 1;
            out.push(match escape {
                b'"' | b'\\' | b'/' => char::from(escape),
                b'b' => '\u{8}',
                b'f' => '\u{c}',
                b'n' => '\n',
                b'r' => '\r',
                b't' => '\t',
                b'u' => self.unicode()?,
                _ => return None,
            });
        }
    }

    /// What follows `\u`; two of them where the first is half a character.
    fn unicode(&mut self) -> Option<char> {
        let high = self.hex4()?;
        if high & 0xfc00 != 0xd800 {
            return char::from_u32(high);
        }
        self.expect(b'\\')?;
        self.expect(b'u')?;
        let low = self.hex4()?;
        if low & 0xfc00 != 0xdc00 {
            return None;
        }
        char::from_u32(0x10000 + ((high & 0x3ff) << 10) + (low & 0x3ff))
    }

    fn hex4(&mut self) -> Option<u32> {
        let mut value = 0;
        for _ in 0..4 {
            value = value * 16 + char::from(self.peek()?).to_digit(16)?;
            self.at += 1;
        }
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::{String, ToString};

    use proptest::prelude::*;

    use super::{DEPTH, Object, push_member};

    #[test]
    fn reads_every_kind_of_value() {
        let object = Object::parse(
            " {\"a\":\"x\",\n\"n\":-12.5e+3 , \"t\":true,\"z\":null,\"o\":{\"a\":[1,{}, [ ]]},\"l\":[\"}\"]} ",
        )
        .unwrap();
        assert_eq!(object.get("a"), Some("x"));
        assert_eq!(object.get("n"), Some("-12.5e+3"));
        assert_eq!(object.get("t"), Some("true"));
        assert_eq!(object.get("z"), None);
        assert_eq!(object.get("o"), None);
        assert!(!object.has("missing"));
    }

    #[test]
    fn reads_escapes() {
        let object =
            Object::parse(r#"{"k":"\"\\\/\b\f\n\r\t\u6d4b\ud83d\ude00é","k":"last"}"#).unwrap();
        assert_eq!(object.get("k"), Some("last"));
        let object = Object::parse(r#"{"k":"\"\\\/\b\f\n\r\t\u6d4b\ud83d\ude00é"}"#).unwrap();
        assert_eq!(object.get("k"), Some("\"\\/\u{8}\u{c}\n\r\t测😀é"));
    }

    #[test]
    fn refuses_what_is_not_an_object() {
        for text in [
            "",
            "{",
            "}",
            "[]",
            "\"a\"",
            "{}x",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{,}",
            "{a:1}",
            "{\"a\":tru}",
            "{\"a\":\"\\x\"}",
            "{\"a\":\"\\ud800\"}",
            "{\"a\":\"\\ud800\\u0041\"}",
            "{\"a\":\"\\u12\"}",
            "{\"a\":\"line\nbreak\"}",
            "{\"a\":\"open",
            "{\"a\":[1}",
            "{\"a\":1 2}",
        ] {
            assert!(Object::parse(text).is_none(), "{text}");
        }
        assert!(Object::parse("{}").is_some());
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |n: usize| {
            let mut text = String::from("{\"a\":");
            text.push_str(&"[".repeat(n));
            text.push_str(&"]".repeat(n));
            text.push('}');
            text
        };
        assert!(Object::parse(&nested(DEPTH as usize)).is_some());
        assert!(Object::parse(&nested(DEPTH as usize + 1)).is_none());
        assert!(Object::parse(&nested(100_000)).is_none());
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(name in "\\PC{1,8}", value in any::<String>()) {
            let mut out = "{".to_string();
            push_member(&mut out, "first", "1");
            push_member(&mut out, &name, &value);
            out.push('}');
            let object = Object::parse(&out).unwrap();
            prop_assert_eq!(object.get(&name), Some(value.as_str()));
        }

        #[test]
        fn never_panics(text in "[{}\\[\\]\":,\\\\u0-9a-f tné]{0,40}") {
            let _ = Object::parse(&text);
        }
    }
}

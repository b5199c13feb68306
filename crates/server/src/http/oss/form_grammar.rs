//! What the bytes of a form mean: its boundary, where a part's content ends, the lines in front of it.
//! Bytes in, values out, so that it can be fuzzed apart from the server.

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

/// Longest boundary, by RFC 2046.
const MAX_BOUNDARY: usize = 70;

impl PartHead {
    /// Takes one line in, without its end; `None` when it is malformed.
    pub(super) fn read(&mut self, line: &[u8]) -> Option<()> {
        let (name, value) = std::str::from_utf8(line).ok()?.split_once(':')?;
        if name.trim().eq_ignore_ascii_case("content-disposition") {
            self.name = parameter(value, "name")?;
            self.file_name = parameter(value, "filename");
        } else if name.trim().eq_ignore_ascii_case("content-type") {
            self.content_type = Some(value.trim().to_owned());
        }
        Some(())
    }
}

/// How many bytes at the front of `buffer` are content for sure, and whether a delimiter follows them.
pub(super) fn scan(buffer: &[u8], delimiter: &[u8]) -> (usize, bool) {
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

/// The boundary that the type of a form names; `None` when it is that of no form.
pub(super) fn boundary(content_type: &str) -> Option<String> {
    let kind = content_type.split(';').next()?.trim();
    let found = parameter(content_type, "boundary").filter(|text| !text.is_empty())?;
    (kind.eq_ignore_ascii_case("multipart/form-data") && found.len() <= MAX_BOUNDARY)
        .then_some(found)
}

/// The value of a parameter of a header: `…; name=value; name="quoted"`.
pub(super) fn parameter(header: &str, name: &str) -> Option<String> {
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

//! Percent-encoding as the wire wants it.
//!
//! Everything but RFC 3986's unreserved characters is encoded; a path keeps its `/`. Decoding differs by place: in a
//! path `+` is a plus, in a query it is a space, because some clients write spaces so and all of them write a real
//! plus as `%2B`. Nothing is normalised: `//`, `.` and `..` are bytes of a key.
//!
//! Written here because the library for it brings a table of all 256 escapes, half a kilobyte of the browser's module.

use alloc::string::String;
use alloc::vec::Vec;

/// Encodes a key or a path, `/` kept.
pub fn encode_path(text: &str) -> String {
    let mut out = String::new();
    encode(&mut out, text, true);
    out
}

/// Encodes one name or value of a query; `/` becomes `%2F`, a space `%20`.
pub fn encode_component(text: &str) -> String {
    let mut out = String::new();
    encode(&mut out, text, false);
    out
}

/// Names and values as a query string without `?`, in the order given; an empty value is written as the bare name.
pub fn encode_query<S: AsRef<str>>(pairs: &[(S, S)]) -> String {
    let mut out = String::new();
    for (name, value) in pairs {
        if !out.is_empty() {
            out.push('&');
        }
        encode(&mut out, name.as_ref(), false);
        if !value.as_ref().is_empty() {
            out.push('=');
            encode(&mut out, value.as_ref(), false);
        }
    }
    out
}

/// Decodes a path; a plus stays a plus.
///
/// # Errors
/// A `%` without two hex digits, or bytes that are not UTF-8.
pub fn decode_path(path: &str) -> Result<String, DecodeError> {
    decode(path, false)
}

/// Decodes a query string without `?`; `+` is a space, a bare name has the empty value, empty pairs are skipped.
///
/// # Errors
/// As [`decode_path`].
pub fn decode_query(query: &str) -> Result<Vec<(String, String)>, DecodeError> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name, true)?, decode(value, true)?))
        })
        .collect()
}

/// Decodes one text as a query does.
pub(crate) fn decode_text(text: &str) -> Result<String, DecodeError> {
    decode(text, true)
}

/// Why a path or query could not be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A `%` that two hex digits do not follow.
    #[error("a percent sign is not followed by two hex digits")]
    Escape,
    /// The decoded bytes are not UTF-8.
    #[error("the decoded text is not UTF-8")]
    Utf8,
}

fn encode(out: &mut String, text: &str, keep_slash: bool) {
    for byte in text.bytes() {
        let kept = byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'_' | b'.' | b'~')
            || byte == b'/' && keep_slash;
        if kept {
            out.push(char::from(byte));
        } else {
            out.push('%');
            push_hex_digit(out, byte >> 4);
            push_hex_digit(out, byte & 15);
        }
    }
}

fn push_hex_digit(out: &mut String, digit: u8) {
    out.push(char::from(if digit < 10 { b'0' + digit } else { b'A' + digit - 10 }));
}

fn decode(text: &str, plus_is_space: bool) -> Result<String, DecodeError> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let high = hex_digit(bytes.next())?;
                high << 4 | hex_digit(bytes.next())?
            }
            b'+' if plus_is_space => b' ',
            _ => byte,
        });
    }
    String::from_utf8(out).map_err(|_| DecodeError::Utf8)
}

fn hex_digit(byte: Option<u8>) -> Result<u8, DecodeError> {
    match byte {
        Some(b @ b'0'..=b'9') => Ok(b - b'0'),
        Some(b @ b'a'..=b'f') => Ok(b - b'a' + 10),
        Some(b @ b'A'..=b'F') => Ok(b - b'A' + 10),
        _ => Err(DecodeError::Escape),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec;
    use proptest::prelude::*;

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_string(), value.to_string())
    }

    #[test]
    fn awkward_keys_are_encoded() {
        assert_eq!(encode_path("sv/a b+c%~.mp4"), "sv/a%20b%2Bc%25~.mp4");
        assert_eq!(encode_path("测/🎬"), "%E6%B5%8B/%F0%9F%8E%AC");
        assert_eq!(encode_component("a/b*"), "a%2Fb%2A");
    }

    #[test]
    fn an_empty_value_is_a_bare_name() {
        let pairs = [pair("uploads", ""), pair("prefix", "a b")];
        assert_eq!(encode_query(&pairs), "uploads&prefix=a%20b");
        assert_eq!(decode_query("uploads&prefix=a+b").unwrap(), pairs);
        assert_eq!(decode_query("uploads=&prefix=a%20b").unwrap(), pairs);
    }

    #[test]
    fn a_plus_is_a_space_in_a_query_only() {
        assert_eq!(decode_path("/a+b%2Bc%2Fd").unwrap(), "/a+b+c/d");
        assert_eq!(decode_query("marker=cp+%E6%B5%8B%2B").unwrap(), vec![pair("marker", "cp 测+")]);
        assert_eq!(decode_query("&&a==b&").unwrap(), vec![pair("a", "=b")]);
        assert_eq!(decode_query("").unwrap(), vec![]);
    }

    #[test]
    fn bad_escapes_and_bad_utf8_are_errors() {
        for bad in ["%", "%4", "a%zz", "%%41", "%+1"] {
            assert_eq!(decode_path(bad), Err(DecodeError::Escape), "{bad}");
        }
        assert_eq!(decode_path("%ff"), Err(DecodeError::Utf8));
        assert_eq!(decode_query("a=%E6%B5"), Err(DecodeError::Utf8));
    }

    proptest! {
        #[test]
        fn paths_survive(key in any::<String>()) {
            prop_assert_eq!(decode_path(&encode_path(&key)).unwrap(), key);
        }

        #[test]
        fn queries_survive(pairs in proptest::collection::vec((".+", any::<String>()), 0..8)) {
            prop_assert_eq!(decode_query(&encode_query(&pairs)).unwrap(), pairs);
        }

        #[test]
        fn decoding_never_panics(text in any::<String>()) {
            let _ = decode_path(&text);
            let _ = decode_query(&text);
        }
    }
}

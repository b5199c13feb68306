//! A path as one word of text, without loss: bytes that are not plain stand as `%XX`, those that are no UTF-8 included.

use std::path::{Path, PathBuf};

use vodferry_oss::encode::encode_component;

/// The word.
pub(crate) fn word_of(path: &Path) -> String {
    match path.to_str() {
        Some(text) => encode_component(text),
        None => encode_bytes(&bytes_of(path)),
    }
}

/// The path behind a word; `None` when it is none of a path of this system.
pub(crate) fn path_of(word: &str) -> Option<PathBuf> {
    path_from(decode(word)?)
}

#[cfg(unix)]
fn bytes_of(path: &Path) -> Vec<u8> {
    std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()).to_vec()
}

/// Elsewhere a path that is not Unicode has no bytes that could be kept; what is replaced is found no more.
#[cfg(not(unix))]
fn bytes_of(path: &Path) -> Vec<u8> {
    path.to_string_lossy().into_owned().into_bytes()
}

#[cfg(unix)]
fn path_from(bytes: Vec<u8>) -> Option<PathBuf> {
    Some(<std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec(bytes).into())
}

#[cfg(not(unix))]
fn path_from(bytes: Vec<u8>) -> Option<PathBuf> {
    String::from_utf8(bytes).ok().map(PathBuf::from)
}

fn encode_bytes(bytes: &[u8]) -> String {
    let mut word = String::new();
    for chunk in bytes.utf8_chunks() {
        word.push_str(&encode_component(chunk.valid()));
        for byte in chunk.invalid() {
            word.push_str(&format!("%{byte:02X}"));
        }
    }
    word
}

fn decode(word: &str) -> Option<Vec<u8>> {
    let mut rest = word.as_bytes();
    let mut bytes = Vec::with_capacity(rest.len());
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        if *byte != b'%' {
            bytes.push(*byte);
            continue;
        }
        let (hex, behind) = rest.split_at_checked(2)?;
        let digit = |at: usize| hex.get(at).and_then(|digit| char::from(*digit).to_digit(16));
        bytes.push(u8::try_from(digit(0)? * 16 + digit(1)?).ok()?);
        rest = behind;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_comes_back() {
        for path in
            ["/films/a b.mp4", "/films/ä%2F 100%.mp4", "电影/🎬", "a\r\nb\u{1b}[2J", "+ &=", ""]
        {
            let word = word_of(Path::new(path));
            assert!(word.bytes().all(|byte| byte.is_ascii_graphic()), "{word}");
            assert_eq!(path_of(&word).as_deref(), Some(Path::new(path)), "{word}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn bytes_that_are_no_text_come_back() {
        use std::os::unix::ffi::OsStrExt;
        let every: Vec<u8> = (1..=255).collect();
        for bytes in [b"/films/\xff\xfe \xc3\xa4.mp4".as_slice(), b"\x80", &every] {
            let path = Path::new(std::ffi::OsStr::from_bytes(bytes));
            let word = word_of(path);
            assert!(word.bytes().all(|byte| byte.is_ascii_graphic()), "{word}");
            assert_eq!(path_of(&word).as_deref(), Some(path), "{word}");
        }
    }

    #[test]
    fn a_word_cut_short_is_no_path() {
        for word in ["%", "%4", "a%zz", "%+1", "%é"] {
            assert_eq!(path_of(word), None, "{word}");
        }
    }
}

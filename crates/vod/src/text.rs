//! Small things about texts.

use alloc::string::String;

/// Whether two texts are equal, in a time that tells their lengths only.
pub(crate) fn equal(a: &[u8], b: &[u8]) -> bool {
    let differences = a.iter().zip(b).fold(0, |sum, (a, b)| sum | (a ^ b));
    a.len() == b.len() && core::hint::black_box(differences) == 0
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |n: u8| char::from(if n < 10 { b'0' + n } else { b'a' - 10 + n });
    bytes.iter().flat_map(|b| [digit(b >> 4), digit(b & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_compared_whole() {
        assert!(equal(b"", b"") && equal(b"abc", b"abc"));
        for other in [&b""[..], b"a", b"ab", b"abd", b"xbc", b"abcd"] {
            assert!(!equal(b"abc", other) && !equal(other, b"abc"));
        }
    }

    #[test]
    fn digits_are_lower_case() {
        assert_eq!(hex(&[0, 0x0a, 0xf9, 0xff]), "000af9ff");
    }
}

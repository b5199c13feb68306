//! Numbers and bytes to text without the formatting machinery, which costs kilobytes on wasm.

use alloc::string::String;

/// Appends `value` in decimal.
pub fn push_u64(out: &mut String, value: u64) {
    if value >= 10 {
        push_u64(out, value / 10);
    }
    out.push(char::from(b'0' + (value % 10) as u8));
}

/// `value` in decimal.
pub fn decimal(value: u64) -> String {
    let mut out = String::new();
    push_u64(&mut out, value);
    out
}

/// Reads decimal digits, and nothing but digits. `None` for anything else, and for what does not fit.
pub fn parse_u64(text: &str) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.bytes().try_fold(0_u64, |value, digit| {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 { None } else { value.checked_mul(10)?.checked_add(digit.into()) }
    })
}

/// Base64 of a hash.
pub fn base64(hash: &[u8]) -> String {
    crate::base64::encode(hash)
}

/// `bytes` in lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from(b"0123456789abcdef"[usize::from(value & 15)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_decimals() {
        for value in [0, 9, 10, 10_000, u64::MAX] {
            assert_eq!(decimal(value), alloc::format!("{value}"));
        }
    }

    #[test]
    fn writes_hex() {
        assert_eq!(hex(&[0, 0x0f, 0xf0, 0xab]), "000ff0ab");
    }

    #[test]
    fn reads_digits_only() {
        for value in [0, 9, 10, 10_000, u64::MAX] {
            assert_eq!(parse_u64(&decimal(value)), Some(value));
        }
        assert_eq!(parse_u64("007"), Some(7));
        for text in ["", "+1", "-1", " 1", "1.0", "1_000", "x", "18446744073709551616", "٣"] {
            assert_eq!(parse_u64(text), None, "{text}");
        }
    }
}

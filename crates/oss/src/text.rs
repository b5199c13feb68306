//! Numbers to text without the formatting machinery, which costs kilobytes on wasm.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_decimals() {
        for value in [0, 9, 10, 10_000, u64::MAX] {
            assert_eq!(decimal(value), alloc::format!("{value}"));
        }
    }
}

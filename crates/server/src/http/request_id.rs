//! The name of one request, in the two spellings that clients know.

use std::fmt;

/// Random, given to each request as it arrives; every reply, error and log line carries it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct RequestId([u8; 16]);

impl RequestId {
    /// A fresh one. Names need not be secret: should the system have no randomness, a counter
    /// serves.
    pub(crate) fn new() -> RequestId {
        let mut bytes = [0; 16];
        if getrandom::fill(&mut bytes).is_err() {
            use std::sync::atomic::{AtomicU64, Ordering};
            static NEXT: AtomicU64 = AtomicU64::new(1);
            bytes[..8].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        }
        RequestId(bytes)
    }

    /// As VOD replies spell it: a UUID in upper case whose first 24 digits are the OSS spelling.
    pub(crate) fn uuid(&self) -> String {
        let hex = hex(&self.0);
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }
}

/// As OSS replies spell it: 24 upper-case hexadecimal digits.
impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0[..12]))
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    bytes
        .iter()
        .flat_map(|b| [b >> 4, b & 15])
        .map(|n| char::from(DIGITS[usize::from(n)]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_name_the_same_request() {
        let id = RequestId::new();
        let oss = id.to_string();
        assert_eq!(oss.len(), 24);
        assert!(oss.bytes().all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b)));
        assert!(id.uuid().replace('-', "").starts_with(&oss));
        assert_eq!(id.uuid().len(), 36);
        assert_ne!(oss, RequestId::new().to_string());
    }
}

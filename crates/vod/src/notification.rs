//! What the header `X-VOD-SIGNATURE` of an event notification holds, for who sends one and for the application that checks it.

use alloc::format;
use alloc::string::String;

use vodferry_oss::etag::{etag_of_md5, md5};

/// The signature of a notification sent to `url` at `unix_s`, the seconds since 1970 of its `X-VOD-TIMESTAMP`: 32 lower-case hexadecimal
/// digits. `key` is the authentication key of the callback, known to both sides.
///
/// An application compares it and refuses a timestamp that is more than five minutes off.
///
/// ```
/// let signed = vodferry_vod::notification::signature("https://app.example.com/cb", 1_795_168_800, "Key123abc");
/// assert_eq!(signed, "55709dfaf86b5306050122cfffe7517d");
/// ```
#[must_use]
pub fn signature(url: &str, unix_s: u64, key: &str) -> String {
    etag_of_md5(&md5(format!("{url}|{unix_s}|{key}").as_bytes())).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_vector() {
        let sign = |url, at, key| signature(url, at, key) == "55709dfaf86b5306050122cfffe7517d";
        assert!(sign("https://app.example.com/cb", 1_795_168_800, "Key123abc"));
        assert!(!sign("https://app.example.com/cb", 1_795_168_801, "Key123abc"));
        assert!(!sign("https://app.example.com/cb", 1_795_168_800, "Key123abd"));
        assert!(!sign("https://app.example.com/cc", 1_795_168_800, "Key123abc"));
    }
}

//! ETags and MD5 texts.
//!
//! Of a part or a small object the ETag is the upper-case hex MD5. Of a multipart object it is the MD5 over the parts'
//! upper-case hex ETags as ASCII (not over their bytes, as in S3), then `-` and the number of parts. Clients treat
//! ETags as opaque; only the server computes them, and only the client's own MD5 of a part is compared.

use alloc::string::String;

use md5::{Digest, Md5};

use crate::base64;

/// MD5 of `bytes`.
pub fn md5(bytes: &[u8]) -> [u8; 16] {
    Md5::digest(bytes).into()
}

/// The ETag of a part or small object with this MD5: 32 upper-case hex digits, without quotes.
pub fn etag_of_md5(md5: &[u8; 16]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    md5.iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
        .collect()
}

/// The value of `Content-MD5`: base64 of the 16 bytes.
pub fn content_md5(md5: &[u8; 16]) -> String {
    base64::encode(md5)
}

/// Reads a `Content-MD5` header; `None` when it is not base64 of 16 bytes.
pub fn parse_content_md5(text: &str) -> Option<[u8; 16]> {
    base64::decode(text.trim_ascii())?.try_into().ok()
}

/// The ETag of an object made of parts with these ETags (any case, with or without quotes), without quotes.
pub fn multipart_etag<S: AsRef<str>>(parts: impl IntoIterator<Item = S>) -> String {
    let mut hash = Md5::new();
    let mut count = 0u64;
    for part in parts {
        hash.update(normalise(part.as_ref()).as_bytes());
        count += 1;
    }
    let mut etag = etag_of_md5(&hash.finalize().into());
    etag.push('-');
    crate::text::push_u64(&mut etag, count);
    etag
}

/// Without blanks and quotes around it, letters in upper case: the form in which ETags are compared.
pub fn normalise(etag: &str) -> String {
    let mut out = String::from(unquote(etag));
    out.make_ascii_uppercase();
    out
}

/// Without blanks and quotes around it.
pub fn unquote(etag: &str) -> &str {
    etag.trim_ascii().trim_matches('"')
}

/// In quotes, as headers and XML have it.
pub fn quote(etag: &str) -> String {
    let mut out = String::with_capacity(etag.len() + 2);
    out.push('"');
    out.push_str(etag);
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multipart_rule() {
        let first = etag_of_md5(&md5(&[b'a'; 102_400]));
        let second = etag_of_md5(&md5(&[b'b'; 10]));
        assert_eq!(first, "302D3A0C8E319EAA95B059B346DE1D1D");
        assert_eq!(second, "82136B4240D6CE4EA7D03E51469A393B");
        let whole = "16F2D8490DA86AC7AA4B726C3553BAC8-2";
        assert_eq!(multipart_etag([&first, &second]), whole);
        let odd = [quote(&first.to_ascii_lowercase()), second];
        assert_eq!(multipart_etag(&odd), whole);
    }

    #[test]
    fn content_md5_of_nothing() {
        assert_eq!(content_md5(&md5(b"")), "1B2M2Y8AsgTpgAmY7PhCfg==");
        assert_eq!(parse_content_md5("1B2M2Y8AsgTpgAmY7PhCfg=="), Some(md5(b"")));
        for bad in ["", "1B2M2Y8AsgTpgAmY7PhCfg", "1B2M2Y8AsgTpgAmY7PhC", "not base64"] {
            assert_eq!(parse_content_md5(bad), None, "{bad}");
        }
    }

    #[test]
    fn normalised_forms_are_equal() {
        for text in ["\"ab12\"", "AB12", " \"Ab12\" ", "ab12"] {
            assert_eq!(normalise(text), "AB12");
        }
        assert_eq!(quote(unquote("\"x\"")), "\"x\"");
    }
}

//! The canonical request: what V4 hashes of a request.

use alloc::string::String;
use alloc::vec::Vec;

use super::find;
use crate::encode::{encode_component, encode_path};

/// What V4 hashes. `headers` have their names in lower case, `query` is decoded, `additional_headers` are in lower
/// case and sorted; `key` is decoded and empty for a bucket call.
pub fn canonical_request_v4(
    method: &str,
    headers: &[(String, String)],
    query: &[(String, String)],
    additional_headers: &[String],
    bucket: &str,
    key: &str,
) -> String {
    Asked { method, headers, query, additional_headers, bucket, key }.canonical(Listing::Regular)
}

/// A request, reduced to what is signed of it.
pub(super) struct Asked<'a> {
    pub(super) method: &'a str,
    pub(super) headers: &'a [(String, String)],
    pub(super) query: &'a [(String, String)],
    pub(super) additional_headers: &'a [String],
    pub(super) bucket: &'a str,
    pub(super) key: &'a str,
}

/// How listing parameters with an empty value are written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Listing {
    /// As the bare name, like all others.
    Regular,
    /// `name=`
    WithSign,
    /// Not at all.
    Dropped,
}

impl Asked<'_> {
    pub(super) fn canonical(&self, listing: Listing) -> String {
        let mut out = String::from(self.method);
        out.push_str("\n/");
        if !self.bucket.is_empty() {
            out.push_str(&encode_path(self.bucket));
            out.push('/');
            out.push_str(&encode_path(self.key));
        }
        out.push('\n');
        self.push_query(&mut out, listing);
        out.push('\n');
        self.push_headers(&mut out);
        out.push('\n');
        out.push_str(&self.additional_headers.join(";"));
        out.push('\n');
        out.push_str(find(self.headers, CONTENT_SHA256).unwrap_or(UNSIGNED_PAYLOAD).trim());
        out
    }

    fn push_query(&self, out: &mut String, listing: Listing) {
        let odd = |name: &str, value: &str| {
            listing != Listing::Regular && value.is_empty() && is_listing(name)
        };
        let mut pairs: Vec<(String, String, bool)> = self
            .query
            .iter()
            .filter(|(name, _)| name != SIGNATURE)
            .filter(|(name, value)| !(listing == Listing::Dropped && odd(name, value)))
            .map(|(name, value)| {
                let sign = !value.is_empty() || odd(name, value);
                (encode_component(name), encode_component(value), sign)
            })
            .collect();
        pairs.sort_unstable();
        for (index, (name, value, sign)) in pairs.iter().enumerate() {
            if index > 0 {
                out.push('&');
            }
            out.push_str(name);
            if *sign {
                out.push('=');
                out.push_str(value);
            }
        }
    }

    fn push_headers(&self, out: &mut String) {
        let signed =
            |name: &String| is_always_signed(name) || self.additional_headers.contains(name);
        let mut headers: Vec<&(String, String)> =
            self.headers.iter().filter(|(name, _)| signed(name)).collect();
        headers.sort_unstable();
        for (name, value) in headers {
            out.push_str(name);
            out.push(':');
            out.push_str(value.trim());
            out.push('\n');
        }
    }
}

pub(super) const CONTENT_SHA256: &str = "x-oss-content-sha256";
pub(super) const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";
pub(super) const SIGNATURE: &str = "x-oss-signature";

pub(super) fn is_always_signed(header: &str) -> bool {
    matches!(header, "content-type" | "content-md5") || header.starts_with("x-oss-")
}

/// Whether a query parameter only says which page of a listing is wanted.
pub(super) fn is_listing(name: &str) -> bool {
    matches!(
        name,
        "continuation-token"
            | "delimiter"
            | "encoding-type"
            | "key-marker"
            | "marker"
            | "max-keys"
            | "part-number-marker"
            | "prefix"
            | "start-after"
            | "upload-id-marker"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect()
    }

    #[test]
    fn the_canonical_request_is_sorted_and_encoded() {
        let canonical = canonical_request_v4(
            "GET",
            &pairs(&[
                ("x-oss-b", " 2 "),
                ("range", "bytes=0-1"),
                ("content-type", "a/b"),
                ("x-oss-a", ""),
                ("x-ossx", "no"),
            ]),
            &pairs(&[("prefix", "a/b+ 测"), ("acl", ""), ("x-oss-signature", "no"), ("A b", "~*")]),
            &["range".to_string()],
            "demo-bkt",
            "",
        );
        assert_eq!(
            canonical,
            "GET\n/demo-bkt/\nA%20b=~%2A&acl&prefix=a%2Fb%2B%20%E6%B5%8B\n\
             content-type:a/b\nrange:bytes=0-1\nx-oss-a:\nx-oss-b:2\n\nrange\nUNSIGNED-PAYLOAD"
        );
        assert!(canonical_request_v4("GET", &[], &[], &[], "", "").starts_with("GET\n/\n\n\n\n"));
    }
}

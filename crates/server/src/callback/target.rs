//! One URL of a callback, taken apart.

use http::Uri;
use http::uri::Authority;
use vodferry_oss::encode::decode_path;

/// Where a callback goes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Target {
    /// `https`
    pub(super) secure: bool,
    /// Host and port as written.
    pub(super) authority: String,
    /// In lower case, without the brackets of an IPv6 address.
    pub(super) host: String,
    /// As written, or what the scheme says.
    pub(super) port: u16,
    /// Path, and query if any.
    pub(super) path: String,
    /// The same as the signature covers it: the path decoded, the query as it is.
    pub(super) signed: String,
}

impl Target {
    /// Takes a URL apart; one without a scheme is `http`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn read(text: &str) -> Result<Target, String> {
        let text = text.trim();
        let is_scheme = |scheme: &str| {
            scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
        };
        let full = match text.split_once("://") {
            Some((scheme, _)) if is_scheme(scheme) => text.to_owned(),
            _ => format!("http://{text}"),
        };
        let wrong = || "callbackUrl is not a list of URLs.".to_owned();
        let uri: Uri = full.parse().map_err(|_| wrong())?;
        let secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err("A callbackUrl begins with http:// or https://.".to_owned()),
        };
        let authority = uri.authority().ok_or_else(wrong)?.as_str();
        if !is_authority(authority) {
            return Err(wrong());
        }
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        if FOREIGN_PORTS.contains(&port) {
            return Err(format!("Port {port} of a callbackUrl is one that never speaks HTTP."));
        }
        let (path, query) = (uri.path(), uri.query());
        let with_query = |path: &str| match query {
            Some(query) => format!("{path}?{query}"),
            None => path.to_owned(),
        };
        Ok(Target {
            secure,
            authority: authority.to_owned(),
            host: uri.host().unwrap_or_default().trim_matches(['[', ']']).to_ascii_lowercase(),
            port,
            path: with_query(path),
            signed: with_query(&decode_path(path).map_err(|_| wrong())?),
        })
    }
}

/// A host, with a port from 1 to 65535 or none, and nobody's name and password.
pub(super) fn is_authority(text: &str) -> bool {
    let Ok(authority) = text.parse::<Authority>() else { return false };
    let host = authority.host();
    let port = match text.strip_prefix(host) {
        Some("") => true,
        Some(_) => authority.port_u16().is_some_and(|port| port > 0),
        None => false,
    };
    !host.is_empty() && port && !text.contains(['@', '%'])
}

/// Ports of services that a request of HTTP could trick: those that browsers do not call either
/// (the Fetch standard's list).
const FOREIGN_PORTS: &[u16] = &[
    1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102,
    103, 104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465,
    512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993,
    995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668,
    6669, 6679, 6697, 10080,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_may_leave_out_its_scheme() {
        let target = Target::read("App.example.com:81/cb?a=http://b").unwrap();
        assert_eq!((target.host.as_str(), target.port), ("app.example.com", 81));
        assert_eq!((target.path.as_str(), target.secure), ("/cb?a=http://b", false));
        assert_eq!(Target::read("http://[::1]").unwrap().host, "::1");
        assert_eq!(Target::read("http://a").unwrap().path, "/");
        assert_eq!(Target::read("http://a?b=1").unwrap().path, "/?b=1");
        let secure = Target::read("HTTPS://a/#part").unwrap();
        assert_eq!((secure.secure, secure.port, secure.path.as_str()), (true, 443, "/"));
    }

    #[test]
    fn a_signature_covers_the_decoded_path_and_the_query_as_it_is() {
        let signed = |url| Target::read(url).unwrap().signed;
        assert_eq!(signed("http://a/c%20b%2Fd+e?x=%20"), "/c b/d+e?x=%20");
        assert_eq!(signed("http://a"), "/");
        assert_eq!(signed("http://a//b"), "//b");
        assert_eq!(signed("http://a/?"), "/?");
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for text in [
            "",
            "/",
            "http://",
            "http:///a",
            "ftp://a/",
            "file:///etc/passwd",
            "http://u:p@a/",
            "http://u@a/",
            "http://a@b@c/",
            "http://a\\@b/",
            "http://a:/",
            "http://a:0/",
            "http://a:99999/",
            "http://a:65536/",
            "http://a:-1/",
            "http://a:80:80/",
            "http://a b/",
            "http://a:x/",
            "http://a/%zz",
            "http://a/%ff",
            "http://a/\r\nX: y",
            "http://[::1/",
            "http://[fe80::1%25eth0]/",
            "http://a:25/",
            "a:22",
            "https://a:6667/",
        ] {
            assert!(Target::read(text).is_err(), "{text}");
        }
        for text in ["a:80", "a:81", "a:443", "a:8080", "https://a:65535", "[::1]:1024"] {
            assert!(Target::read(text).is_ok(), "{text}");
        }
    }
}

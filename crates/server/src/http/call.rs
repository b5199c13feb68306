//! One request as the rest of the server sees it: its head, read and decoded once. The body travels
//! beside it.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use http::request::Parts;
use http::{HeaderMap, Method, Version, header};
use vodferry_oss::encode::{DecodeError, decode_query};

use super::observe::Notes;
use super::oss;
use super::request_id::RequestId;

/// The head of a request.
pub(crate) struct Call {
    /// Its name in replies and logs.
    pub(crate) id: RequestId,
    /// Who asks.
    pub(crate) peer: Peer,
    /// What the metrics and the access log are told.
    pub(crate) notes: Arc<Notes>,
    /// Of HTTP.
    version: Version,
    /// The method.
    pub(crate) method: Method,
    /// Host as sent, with its port: the authority of an absolute-form target, else the `Host`
    /// header; may be empty.
    pub(crate) authority: String,
    /// Path as sent: percent-encoded, never normalised, since `//` and `..` are bytes of a key.
    pub(crate) path: String,
    /// Query parameters in the order sent, decoded; a bare name has an empty value. Empty when
    /// [`Self::query_error`] tells why.
    pub(crate) query: Vec<(String, String)>,
    /// What is wrong with the query, if anything: the pipeline answers it before all else.
    pub(crate) query_error: Option<DecodeError>,
    /// Why nobody can tell what the request is about, if so: the pipeline answers it before all else.
    pub(crate) head_error: Option<Cow<'static, str>>,
    /// Its host is that of a bucket: whatever the path says, it is about an object.
    pub(crate) on_bucket_host: bool,
    /// Headers.
    pub(crate) headers: HeaderMap,
}

/// The other end of a connection, or who asked a trusted proxy there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    /// Its address.
    pub(crate) ip: IpAddr,
    /// What travels is encrypted.
    pub(crate) secure: bool,
    /// The trusted proxy that both are known from, if there is one in between.
    pub(crate) via: Option<IpAddr>,
}

impl Call {
    /// Reads the head of a request.
    pub(crate) fn new(id: RequestId, peer: Peer, mut parts: Parts) -> Call {
        // A target in absolute form (clients behind a proxy setting send it) outranks the Host
        // header.
        let authority = match parts.uri.authority() {
            Some(authority) => authority.as_str().to_owned(),
            None => text(parts.headers.get(header::HOST)).unwrap_or_default().into_owned(),
        };
        let head_error = host_error(&parts)
            .map(Cow::Borrowed)
            .or_else(|| doubled(&parts))
            .or_else(|| not_text(&parts));
        let headers = with_host(&mut parts);
        let query = decode_query(parts.uri.query().unwrap_or_default());
        Call {
            id,
            peer,
            notes: Arc::default(),
            version: parts.version,
            method: parts.method,
            authority,
            path: parts.uri.path().to_owned(),
            query_error: query.as_ref().err().copied(),
            query: query.unwrap_or_default(),
            head_error,
            on_bucket_host: false,
            headers,
        }
    }

    /// Host in lower case, without port and without the brackets of an IPv6 address.
    pub(crate) fn host(&self) -> String {
        let host = match self.authority.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => {
                self.authority.rsplit_once(':').map_or(self.authority.as_str(), |(host, _)| host)
            }
        };
        host.to_ascii_lowercase()
    }

    /// The version of HTTP that it came by.
    pub(crate) fn protocol(&self) -> &'static str {
        match self.version {
            Version::HTTP_2 => "HTTP/2",
            Version::HTTP_11 => "HTTP/1.1",
            _ => "HTTP/1.0",
        }
    }

    /// The first parameter of this name.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The first header of this name, blanks trimmed; bytes that are no UTF-8 are replaced.
    pub(crate) fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        text(self.headers.get(name))
    }

    /// All headers, names in lower case.
    pub(crate) fn header_list(&self) -> Vec<(String, String)> {
        let pair = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            (name.as_str().to_owned(), text(Some(value)).unwrap_or_default().into_owned())
        };
        self.headers.iter().map(pair).collect()
    }

    /// Length of the body where the client told it.
    pub(crate) fn content_length(&self) -> Option<u64> {
        self.header("content-length")?.parse().ok()
    }

    /// Whether the body comes in pieces of their own lengths.
    pub(crate) fn is_chunked(&self) -> bool {
        let unframed = self.is_http2() && !self.headers.contains_key(header::CONTENT_LENGTH);
        unframed || self.headers.contains_key(header::TRANSFER_ENCODING)
    }

    /// Whether it came by HTTP/2.
    pub(crate) fn is_http2(&self) -> bool {
        self.version == Version::HTTP_2
    }

    /// Whether the client sends nothing more on its connection.
    pub(crate) fn ends_connection(&self) -> bool {
        let says = |word: &str| {
            let values = self.headers.get_all(header::CONNECTION).iter();
            let mut words = values.flat_map(|v| v.as_bytes().split(|byte| *byte == b','));
            words.any(|w| w.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
        };
        match self.version {
            Version::HTTP_11 => says("close"),
            _ => !says("keep-alive"),
        }
    }

    /// Whether the client waits for a go-ahead before it sends the body.
    pub(crate) fn expects_continue(&self) -> bool {
        self.header("expect").is_some_and(|v| v.eq_ignore_ascii_case("100-continue"))
    }
}

/// The headers; HTTP/2 names the host beside them, but signatures cover it as a header.
fn with_host(parts: &mut Parts) -> HeaderMap {
    let mut headers = std::mem::take(&mut parts.headers);
    if parts.version == Version::HTTP_2
        && !headers.contains_key(header::HOST)
        && let Some(authority) = parts.uri.authority()
        && let Ok(host) = http::HeaderValue::from_str(authority.as_str())
    {
        headers.insert(header::HOST, host);
    }
    headers
}

/// A proxy in front may have picked another Host than this server would.
fn host_error(parts: &Parts) -> Option<&'static str> {
    let hosts = parts.headers.get_all(header::HOST);
    if parts.version == Version::HTTP_2 {
        let lengths = parts.headers.get_all(header::CONTENT_LENGTH);
        return match (parts.uri.authority(), hosts.iter().next()) {
            (None, None) => Some("A request of HTTP/2 must have an :authority."),
            (Some(authority), Some(host)) if authority.as_str().as_bytes() != host.as_bytes() => {
                Some("A request must have one Host only.")
            }
            _ if hosts.iter().count() > 1 => Some("A request must have one Host only."),
            _ if lengths.iter().count() > 1 => Some("A request must have one Content-Length only."),
            _ => None,
        };
    }
    match hosts.iter().count() {
        0 if parts.version == Version::HTTP_11 => Some("A request of HTTP/1.1 must have a Host."),
        0 | 1 => None,
        _ => Some("A request must have one Host only."),
    }
}

/// A signature covers one of several headers of a name, and what reads them later may take another: a URL
/// that is signed for one type would store another.
fn doubled(parts: &Parts) -> Option<Cow<'static, str>> {
    const SINGLE: &[&str] =
        &["authorization", "content-md5", "content-type", "date", "range", "security-token"];
    let writes = matches!(parts.method, Method::POST | Method::PUT);
    let single = |name: &str| {
        SINGLE.contains(&name)
            || name.starts_with("x-oss-")
            // Of a request that keeps nothing, Cache-Control is a list.
            || writes && oss::is_kept(name)
    };
    let mut names = parts.headers.keys().filter(|name| single(name.as_str()));
    let name = names.find(|name| parts.headers.get_all(*name).iter().count() > 1)?;
    Some(format!("A request must have one {name} only.").into())
}

/// Headers are kept, given back and signed as text; replaced bytes would be somebody else's name.
fn not_text(parts: &Parts) -> Option<Cow<'static, str>> {
    let matters = |name: &str| name.starts_with("x-oss-") || oss::is_kept(name);
    let mut headers = parts.headers.iter().filter(|(name, _)| matters(name.as_str()));
    let (name, _) = headers.find(|(_, value)| std::str::from_utf8(value.as_bytes()).is_err())?;
    Some(
        format!("The header {name} is no UTF-8; encode it, in a file name as filename*=UTF-8''….")
            .into(),
    )
}

fn text(value: Option<&http::HeaderValue>) -> Option<Cow<'_, str>> {
    let text = String::from_utf8_lossy(value?.as_bytes());
    Some(match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
        Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(target: &str, headers: &[(&str, &str)]) -> Call {
        let mut request = http::Request::builder().method("GET").uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let peer = Peer { ip: IpAddr::from([127, 0, 0, 1]), secure: false, via: None };
        Call::new(RequestId::new(), peer, parts)
    }

    #[test]
    fn a_query_is_decoded_once() {
        let call = call("/k?uploads&a=b%2Bc+d&empty=&%E4%BD%A0=%25", &[]);
        let pairs: Vec<(&str, &str)> =
            call.query.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(pairs, [("uploads", ""), ("a", "b+c d"), ("empty", ""), ("你", "%")]);
        assert_eq!(call.parameter("a"), Some("b+c d"));
        assert_eq!(call.parameter("missing"), None);
        assert!(call.query_error.is_none());
    }

    #[test]
    fn a_broken_query_is_remembered() {
        let call = call("/k?a=%zz", &[]);
        assert_eq!(call.query_error, Some(DecodeError::Escape));
        assert!(call.query.is_empty());
    }

    #[test]
    fn a_path_is_left_alone() {
        assert_eq!(call("/b//a/../%2e/x%2Fy", &[]).path, "/b//a/../%2e/x%2Fy");
    }

    #[test]
    fn the_host_is_the_authority_of_the_target_else_the_header() {
        assert_eq!(call("/k", &[("host", "BKT.oss.test:80")]).host(), "bkt.oss.test");
        assert_eq!(call("http://a.example:81/k", &[("host", "b.example")]).host(), "a.example");
        assert_eq!(call("/k", &[("host", "[::1]:9000")]).host(), "::1");
        assert_eq!(call("/k", &[]).host(), "");
    }

    #[test]
    fn a_request_has_one_host() {
        assert!(call("/k", &[]).head_error.is_some());
        assert!(call("http://a/k", &[]).head_error.is_some());
        assert!(call("/k", &[("host", "a")]).head_error.is_none());
        assert!(call("/k", &[("host", "a"), ("host", "a")]).head_error.is_some());
    }

    #[test]
    fn what_is_signed_or_kept_is_text() {
        let with = |name: &str, value: &[u8]| {
            let request = http::Request::builder().method("PUT").uri("/k").header("host", "a");
            let request = request.header(name, value).body(()).unwrap();
            let peer = Peer { ip: IpAddr::from([127, 0, 0, 1]), secure: false, via: None };
            Call::new(RequestId::new(), peer, request.into_parts().0).head_error
        };
        for name in ["x-oss-meta-a", "x-oss-callback", "content-disposition", "content-type"] {
            assert!(with(name, b"M\xfcller").is_some_and(|told| told.contains(name)), "{name}");
            assert_eq!(with(name, "Müller".as_bytes()), None, "{name}");
        }
        assert_eq!(with("user-agent", b"M\xfcller"), None);
    }

    #[test]
    fn what_is_signed_or_kept_comes_once() {
        let twice = |method: &str, name: &str| {
            let request = http::Request::builder().method(method).uri("/k").header("host", "a");
            let request = request.header(name, "b").header(name, "b").body(()).unwrap();
            let peer = Peer { ip: IpAddr::from([127, 0, 0, 1]), secure: false, via: None };
            Call::new(RequestId::new(), peer, request.into_parts().0).head_error
        };
        for name in [
            "authorization",
            "content-md5",
            "content-type",
            "date",
            "range",
            "security-token",
            "x-oss-date",
            "x-oss-meta-a",
            "x-oss-object-acl",
        ] {
            let told = twice("GET", name).unwrap_or_default();
            assert_eq!(told, format!("A request must have one {name} only."));
        }
        for name in ["cache-control", "content-disposition", "content-encoding", "expires"] {
            assert!(twice("PUT", name).is_some() && twice("POST", name).is_some(), "{name}");
            assert_eq!(twice("GET", name), None, "{name}");
        }
        assert_eq!(twice("PUT", "x-forwarded-for"), None);
        assert_eq!(twice("PUT", "accept"), None);
    }

    #[test]
    fn headers_are_trimmed_and_named_in_lower_case() {
        let call = call(
            "/k",
            &[("X-OSS-Meta-A", " v "), ("Content-Length", "12"), ("Expect", "100-Continue")],
        );
        assert_eq!(call.header("x-oss-meta-a").as_deref(), Some("v"));
        assert!(call.header_list().contains(&("x-oss-meta-a".to_owned(), "v".to_owned())));
        assert_eq!(call.content_length(), Some(12));
        assert!(call.expects_continue() && !call.is_chunked());
    }
}

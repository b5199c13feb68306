//! Where requests go, and on the server where they were meant to go.
//!
//! A client puts the bucket into the host (virtual host), into the path (path style) or nowhere (a domain bound to one
//! bucket, CNAME). A server sees host and path only and cannot know which it was, so it lists [`candidates`] and keeps
//! the one whose signature verifies: the bucket is inside the MAC.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use crate::credential::Target;
use crate::encode::{encode_component, encode_path};
use crate::limits::{MAX_BUCKET_LENGTH, MAX_KEY_LENGTH, MIN_BUCKET_LENGTH};
use crate::message::{Method, Request};
use crate::text::parse_u64;

/// How a request names its bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// [`Style::Path`] for IP addresses and `localhost`, [`Style::VirtualHost`] for every other domain.
    #[default]
    Auto,
    /// `bucket.endpoint/key`.
    VirtualHost,
    /// `endpoint/bucket/key`.
    Path,
    /// `endpoint/key`: the domain is bound to the bucket.
    Cname,
}

/// Why a target has no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressError {
    /// The endpoint is not `[http://|https://]host[:port]`.
    Endpoint,
    /// An IP address cannot carry the bucket in front.
    Style,
    /// See [`valid_bucket`].
    Bucket,
    /// See [`valid_key`].
    Key,
    /// A key that is `.` or `..`: every HTTP library takes it for a step in a path, however it is encoded.
    DotKey,
}

impl AddressError {
    /// What `Display` writes.
    pub fn message(&self) -> &'static str {
        match self {
            AddressError::Endpoint => "the endpoint is not [http://|https://]host[:port]",
            AddressError::Style => {
                "an IP address as endpoint cannot be addressed in virtual-host style"
            }
            AddressError::Bucket => {
                "the bucket name is not valid: 3 to 63 of a-z, 0-9 and -, no - at either end"
            }
            AddressError::Key => {
                "the key is not valid: 1 to 1023 bytes that begin with neither / nor \\"
            }
            AddressError::DotKey => "the key . or .. cannot be sent over HTTP",
        }
    }
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl core::error::Error for AddressError {}

impl Request {
    /// An empty, unsigned request for the object of `target`, or for its bucket when the key is empty.
    ///
    /// # Errors
    /// The endpoint, bucket or key is not valid.
    pub fn to(method: Method, target: &Target, style: Style) -> Result<Request, AddressError> {
        let endpoint = Endpoint::parse(&target.endpoint).ok_or(AddressError::Endpoint)?;
        if !valid_bucket(&target.bucket) {
            return Err(AddressError::Bucket);
        }
        if !target.key.is_empty() && !valid_key(&target.key) {
            return Err(AddressError::Key);
        }
        let encoded_key = match target.key.as_str() {
            "." | ".." => return Err(AddressError::DotKey),
            // HTTP libraries resolve dot segments. A slash that is encoded makes none; servers decode it.
            key if key.split('/').any(|segment| matches!(segment, "." | "..")) => {
                encode_component(key)
            }
            key => encode_path(key),
        };
        let by_path = match style {
            Style::Auto => endpoint.is_ip || endpoint.host == "localhost",
            Style::Path => true,
            Style::VirtualHost if endpoint.is_ip => return Err(AddressError::Style),
            Style::VirtualHost | Style::Cname => false,
        };
        let mut authority = String::new();
        if !by_path && style != Style::Cname {
            authority.push_str(&target.bucket);
            authority.push('.');
        }
        authority.push_str(&endpoint.host);
        authority.push_str(&endpoint.port);
        let mut path = String::from("/");
        if by_path {
            path.push_str(&target.bucket);
            path.push('/');
        }
        path.push_str(&encoded_key);
        Ok(Request {
            method,
            scheme: endpoint.scheme.to_string(),
            authority,
            path,
            query: Vec::new(),
            headers: Vec::new(),
            body: Vec::new(),
        })
    }
}

/// The (bucket, key) pairs that a request to `host` (with or without port) and `path` (decoded once, begins with `/`)
/// may mean, likeliest first; a bucket call has the empty key. `base_domains` are the server's own domains,
/// `cnames` pairs of a bound domain and its bucket. None for a call to the service itself.
///
/// The caller appends the bucket that the credential is bound to, if any, with the whole path as key.
pub fn candidates(
    host: &str,
    path: &str,
    base_domains: &[String],
    cnames: &[(String, String)],
) -> Vec<(String, String)> {
    let whole = path.strip_prefix('/').unwrap_or(path);
    let mut found: Vec<(String, String)> = buckets_of_host(host, base_domains, cnames)
        .into_iter()
        .map(|bucket| (bucket, whole.to_string()))
        .collect();
    let (bucket, key) = whole.split_once('/').unwrap_or((whole, ""));
    let by_path = (bucket.to_string(), key.to_string());
    if valid_bucket(bucket) && !found.contains(&by_path) {
        found.push(by_path);
    }
    found
}

/// The buckets that a host (with or without port) may name, whatever the path is; arguments as for [`candidates`].
pub fn buckets_of_host(
    host: &str,
    base_domains: &[String],
    cnames: &[(String, String)],
) -> Vec<String> {
    let host = bare_host(host);
    let mut found = Vec::new();
    let mut add = |bucket: &str| {
        if valid_bucket(bucket) && !found.iter().any(|other| other == bucket) {
            found.push(bucket.to_string());
        }
    };
    for base in base_domains {
        let prefix = host.strip_suffix(&base.to_ascii_lowercase());
        if let Some(bucket) = prefix.and_then(|prefix| prefix.strip_suffix('.')) {
            add(bucket);
        }
    }
    if let Some(bucket) = aliyun_bucket(&host) {
        add(bucket);
    }
    for (_, bucket) in cnames.iter().filter(|(domain, _)| domain.eq_ignore_ascii_case(&host)) {
        add(bucket);
    }
    found
}

/// 3 to 63 characters of `a-z`, `0-9` and `-`, a letter or digit at both ends.
pub fn valid_bucket(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    (MIN_BUCKET_LENGTH..=MAX_BUCKET_LENGTH).contains(&name.len())
        && name.bytes().all(|b| plain(b) || b == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// 1 to 1023 bytes of UTF-8 that do not begin with `/` or `\`.
pub fn valid_key(key: &str) -> bool {
    (1..=MAX_KEY_LENGTH).contains(&key.len()) && !key.starts_with(['/', '\\'])
}

struct Endpoint {
    scheme: &'static str,
    host: String,
    /// With its colon; empty when it is the scheme's own.
    port: String,
    is_ip: bool,
}

impl Endpoint {
    fn parse(text: &str) -> Option<Endpoint> {
        let text = text.trim_ascii();
        // Not `split_once("://")`: the search for text in text is kilobytes of wasm.
        let scheme = text
            .split_once(':')
            .and_then(|(scheme, rest)| Some((scheme, rest.strip_prefix("//")?)));
        let (scheme, rest) = match scheme {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => ("http", rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => ("https", rest),
            Some(_) => return None,
            None => ("https", text),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port, is_ip) = match rest.strip_prefix('[') {
            Some(inside) => {
                let (host, port) = inside.split_once(']')?;
                if !host.contains(':') || !host.bytes().all(is_ipv6_byte) {
                    return None;
                }
                (rest.get(..host.len() + 2)?, port, true)
            }
            None => {
                let host = rest.split(':').next()?;
                if !valid_domain(host) {
                    return None;
                }
                (host, rest.get(host.len()..)?, is_ipv4(host))
            }
        };
        Some(Endpoint {
            scheme,
            host: host.to_ascii_lowercase(),
            port: foreign_port(scheme, port)?,
            is_ip,
        })
    }
}

/// Loose: the resolver has the last word, here it only decides the style.
fn is_ipv6_byte(byte: u8) -> bool {
    byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.')
}

fn is_ipv4(host: &str) -> bool {
    let number = |label: &str| parse_u64(label).is_some_and(|number| number <= u8::MAX.into());
    host.split('.').count() == 4 && host.split('.').all(number)
}

fn valid_domain(host: &str) -> bool {
    host.len() <= 253
        && host.split('.').all(|label| {
            !label.is_empty()
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        })
}

/// `port` with its colon, empty when it is the scheme's own or not given; `None` when it is no port.
fn foreign_port(scheme: &str, port: &str) -> Option<String> {
    if port.is_empty() {
        return Some(String::new());
    }
    let digits = port.strip_prefix(':')?;
    let own = if scheme == "http" { 80 } else { 443 };
    match parse_u64(digits).filter(|port| *port <= u16::MAX.into())? {
        0 => None,
        number if number == own => Some(String::new()),
        _ => Some(port.to_string()),
    }
}

/// Lower case, without port and without the root's dot.
fn bare_host(host: &str) -> String {
    let bare = match host.find(']') {
        Some(end) if host.starts_with('[') => host.get(..=end).unwrap_or(host),
        _ => host.split(':').next().unwrap_or(host),
    };
    bare.strip_suffix('.').unwrap_or(bare).to_ascii_lowercase()
}

/// The first label of `bucket.oss-REGION.aliyuncs.com` and of its internal, VPC, accelerated and dual-stack forms.
fn aliyun_bucket(host: &str) -> Option<&str> {
    let (bucket, endpoint) = host.strip_suffix(".aliyuncs.com")?.split_once('.')?;
    let name = |text: &str| {
        !text.is_empty()
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    let plain = endpoint.strip_prefix("vpc100-").unwrap_or(endpoint).strip_prefix("oss-");
    let dual_stack = endpoint.strip_suffix(".oss");
    plain.or(dual_stack).is_some_and(name).then_some(bucket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    fn place(endpoint: &str, style: Style) -> Result<String, AddressError> {
        let target = Target {
            endpoint: endpoint.into(),
            bucket: "demo-bkt".into(),
            key: "sv/a b.mp4".into(),
        };
        Request::to(Method::Put, &target, style).map(|request| request.url())
    }

    #[test]
    fn auto_looks_at_the_host() {
        for (endpoint, url) in [
            (
                "oss-cn-shanghai.aliyuncs.com",
                "https://demo-bkt.oss-cn-shanghai.aliyuncs.com/sv/a%20b.mp4",
            ),
            ("http://OSS.Example.com:8080/", "http://demo-bkt.oss.example.com:8080/sv/a%20b.mp4"),
            ("https://oss.example.com:443", "https://demo-bkt.oss.example.com/sv/a%20b.mp4"),
            ("http://127.0.0.1:9000", "http://127.0.0.1:9000/demo-bkt/sv/a%20b.mp4"),
            ("127.0.0.1:9000", "https://127.0.0.1:9000/demo-bkt/sv/a%20b.mp4"),
            ("http://localhost:80", "http://localhost/demo-bkt/sv/a%20b.mp4"),
            ("http://1.2.3.256", "http://demo-bkt.1.2.3.256/sv/a%20b.mp4"),
            ("http://1.2.3", "http://demo-bkt.1.2.3/sv/a%20b.mp4"),
            ("HTTP://[::1]:9000", "http://[::1]:9000/demo-bkt/sv/a%20b.mp4"),
        ] {
            assert_eq!(place(endpoint, Style::Auto).unwrap(), url);
        }
    }

    #[test]
    fn styles_can_be_forced() {
        let forced = |style| place("http://media.example.com", style).unwrap();
        assert_eq!(forced(Style::VirtualHost), "http://demo-bkt.media.example.com/sv/a%20b.mp4");
        assert_eq!(forced(Style::Path), "http://media.example.com/demo-bkt/sv/a%20b.mp4");
        assert_eq!(forced(Style::Cname), "http://media.example.com/sv/a%20b.mp4");
        assert_eq!(place("http://10.0.0.5", Style::VirtualHost), Err(AddressError::Style));
        assert_eq!(place("http://10.0.0.5", Style::Cname).unwrap(), "http://10.0.0.5/sv/a%20b.mp4");
    }

    #[test]
    fn bad_endpoints_are_refused() {
        for endpoint in [
            "",
            "ftp://oss.example.com",
            "http://",
            "http://user@oss.example.com",
            "http://oss.example.com/path",
            "http://oss.example.com?x",
            "http://oss.example.com:0",
            "http://oss.example.com:99999",
            "http://oss.example.com:+80",
            "http://oss.example.com:",
            "http://a..b",
            "http://[::1",
            "http://[x]:1",
            "http://[]",
            "http://[12]",
            "http://[::1]x",
            "http://测.example.com",
        ] {
            assert_eq!(place(endpoint, Style::Auto), Err(AddressError::Endpoint), "{endpoint}");
        }
    }

    #[test]
    fn a_bucket_call_has_no_key() {
        let mut target =
            Target { endpoint: "http://127.0.0.1".into(), bucket: "bkt".into(), key: "".into() };
        assert_eq!(Request::to(Method::Get, &target, Style::Auto).unwrap().path, "/bkt/");
        target.endpoint = "http://oss.example.com".into();
        assert_eq!(Request::to(Method::Get, &target, Style::Auto).unwrap().path, "/");
        target.bucket = "a.b".into();
        assert_eq!(Request::to(Method::Get, &target, Style::Auto), Err(AddressError::Bucket));
        target.bucket = "bkt".into();
        target.key = "/x".into();
        assert_eq!(Request::to(Method::Get, &target, Style::Auto), Err(AddressError::Key));
    }

    #[test]
    fn dot_segments_are_hidden_from_http_libraries() {
        let mut target =
            Target { endpoint: "http://127.0.0.1".into(), bucket: "bkt".into(), key: "".into() };
        for (key, path) in [
            ("a/../b", "/bkt/a%2F..%2Fb"),
            ("./x", "/bkt/.%2Fx"),
            ("a/.", "/bkt/a%2F."),
            ("a/.b/c..", "/bkt/a/.b/c.."),
            ("a//b/", "/bkt/a//b/"),
        ] {
            target.key = key.into();
            assert_eq!(Request::to(Method::Put, &target, Style::Auto).unwrap().path, path);
        }
        for key in [".", ".."] {
            target.key = key.into();
            let refused = Request::to(Method::Put, &target, Style::Auto);
            assert_eq!(refused, Err(AddressError::DotKey));
        }
    }

    fn found(host: &str, path: &str) -> Vec<(String, String)> {
        let bases = ["OSS.example.com".to_string()];
        let cnames = [("media.example.net".to_string(), "bound".to_string())];
        candidates(host, path, &bases, &cnames)
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(b, k)| (b.to_string(), k.to_string())).collect()
    }

    #[test]
    fn hosts_name_buckets() {
        for host in [
            "bkt.oss.example.com:9000",
            "BKT.oss.example.com",
            "bkt.oss-cn-hangzhou.aliyuncs.com",
            "bkt.oss-cn-hangzhou-internal.aliyuncs.com",
            "bkt.vpc100-oss-cn-hangzhou.aliyuncs.com",
            "bkt.oss-accelerate.aliyuncs.com",
            "bkt.oss-accelerate-overseas.aliyuncs.com",
            "bkt.cn-hangzhou.oss.aliyuncs.com",
        ] {
            let expected = pairs(&[("bkt", "dir/k"), ("dir", "k")]);
            assert_eq!(found(host, "/dir/k"), expected, "{host}");
        }
        assert_eq!(found("media.example.net", "/k"), pairs(&[("bound", "k")]));
    }

    #[test]
    fn other_hosts_leave_the_path() {
        for host in [
            "127.0.0.1:9000",
            "[::1]:9000",
            "oss.example.com",
            "xoss.example.com",
            "oss-cn-hangzhou.aliyuncs.com",
            "cn-hangzhou.oss.aliyuncs.com",
            "bkt.ecs.aliyuncs.com",
            "a.b.oss.example.com",
        ] {
            assert_eq!(found(host, "/bkt/dir/k"), pairs(&[("bkt", "dir/k")]), "{host}");
        }
        assert_eq!(found("127.0.0.1", "/bkt"), pairs(&[("bkt", "")]));
        assert_eq!(found("127.0.0.1", "/bkt/"), pairs(&[("bkt", "")]));
        assert_eq!(found("127.0.0.1", "/bkt//k"), pairs(&[("bkt", "/k")]));
        assert_eq!(found("127.0.0.1", "/"), pairs(&[]));
        assert_eq!(found("127.0.0.1", "/NotABucket/k"), pairs(&[]));
    }

    #[test]
    fn names_are_checked() {
        for good in ["abc", "a-b", "123", &"a".repeat(63)] {
            assert!(valid_bucket(good), "{good}");
        }
        for bad in ["", "ab", "-ab", "ab-", "Abc", "a.b", "a_b", "测试桶", &"a".repeat(64)] {
            assert!(!valid_bucket(bad), "{bad}");
        }
        for good in ["a", "测/🎬", "a//b/", "..", &"k".repeat(1023)] {
            assert!(valid_key(good), "{good}");
        }
        for bad in ["", "/a", "\\a", &"k".repeat(1024)] {
            assert!(!valid_key(bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn the_server_finds_what_the_client_addressed(bucket in "[a-z0-9]{3,20}", key in ".+|([a./]|测){3,9}") {
            prop_assume!(valid_key(&key) && !matches!(key.as_str(), "." | ".."));
            for endpoint in ["http://oss.example.com:81", "http://127.0.0.1:81", "oss-cn-x.aliyuncs.com"] {
                let target = Target { endpoint: endpoint.into(), bucket: bucket.clone(), key: key.clone() };
                let request = Request::to(Method::Put, &target, Style::Auto).unwrap();
                let path = crate::encode::decode_path(&request.path).unwrap();
                let all = found(&request.authority, &path);
                prop_assert!(all.contains(&(bucket.clone(), key.clone())));
            }
        }

        #[test]
        fn odd_hosts_never_panic(host in any::<String>(), path in any::<String>()) {
            let _ = found(&host, &path);
            let target = Target { endpoint: host, bucket: "bkt".into(), key: path };
            let _ = Request::to(Method::Put, &target, Style::Auto);
        }
    }

    #[test]
    fn a_candidate_is_listed_once() {
        let bases = vec!["example.com".to_string(), "EXAMPLE.com".to_string()];
        assert_eq!(candidates("bkt.example.com", "/x", &bases, &[]), pairs(&[("bkt", "x")]));
    }
}

//! The default HTTP client: reqwest over HTTP/1.1, so that every part in flight has a connection, and a congestion window, of its own.

use std::error::Error as StdError;
use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use reqwest::header::{CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue};
use vodferry_engine::ErrorKind;
use vodferry_oss::{Method, Request, Response};

use crate::route::Route;
use crate::{
    Body, BodyError, BoxFuture, Error, Http, Options, Proxy, Timeouts, TransportError,
    TransportErrorKind,
};

/// More than any reply of this protocol: a page of 1,000 parts is about 250 KiB.
const MOST_REPLY: usize = 1 << 20;
/// Shorter than the keep-alive of common servers, so that few requests meet a connection that is being closed.
const IDLE_CONNECTION: Duration = Duration::from_secs(20);

/// See [`http_client`](crate::http_client).
pub(crate) struct Net {
    plan: Plan,
    clients: RwLock<Clients>,
    route: Arc<Route>,
}

#[derive(Clone)]
struct Clients {
    /// For servers of this machine: a proxy of the environment is never meant for them.
    here: reqwest::Client,
    far: reqwest::Client,
}

impl Clients {
    fn of(&self, request: &Request) -> reqwest::Client {
        match is_loopback(&request.authority) {
            true => self.here.clone(),
            false => self.far.clone(),
        }
    }
}

impl Net {
    pub(crate) fn new(options: &Options) -> Result<Net, Error> {
        let plan = Plan::new(options)?;
        let clients = RwLock::new(plan.clients()?);
        Ok(Net { plan, clients, route: Arc::default() })
    }
}

impl Http for Net {
    fn send(
        &self,
        request: Request,
        body: Body,
    ) -> BoxFuture<'static, Result<Response, TransportError>> {
        let client = self.clients.read().unwrap_or_else(PoisonError::into_inner).of(&request);
        let route = self.route.clone();
        let whom = match &self.plan.proxy {
            Some((_, proxy)) => format!("{} by way of the proxy {proxy}", request.authority),
            None => request.authority.clone(),
        };
        Box::pin(async move { send(client, &route, &whom, request, body).await })
    }

    fn route_changed(&self) -> bool {
        self.route.changed()
    }

    fn timeouts(&self) -> Timeouts {
        self.plan.timeouts
    }

    fn network_changed(&self) {
        // A client that cannot be made anew leaves the old one: its dead connections fail and are tried again.
        if let Ok(clients) = self.plan.clients() {
            *self.clients.write().unwrap_or_else(PoisonError::into_inner) = clients;
        }
    }
}

/// What a client is made of, kept to make it anew.
struct Plan {
    /// With its host and port, for messages.
    proxy: Option<(reqwest::Proxy, String)>,
    direct: bool,
    certificates: Vec<reqwest::Certificate>,
    timeouts: Timeouts,
    user_agent: String,
}

impl Plan {
    fn new(options: &Options) -> Result<Plan, Error> {
        // reqwest takes the process's provider; an application that chose one keeps it.
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let certificates = match &options.ca_file {
            None => Vec::new(),
            Some(path) => {
                let shown = path.display();
                let pem = std::fs::read(path).map_err(|error| {
                    Error::io(format_args!("cannot read the CA file {shown}"), error)
                })?;
                let found = reqwest::Certificate::from_pem_bundle(&pem).unwrap_or_default();
                if found.is_empty() {
                    let text = format!("the CA file {shown} holds no PEM certificate");
                    return Err(Error::misuse(text));
                }
                found
            }
        };
        let proxy = match &options.proxy {
            Proxy::Url(url) => {
                // The cause would repeat the URL, and with it a password.
                let proxy = reqwest::Url::parse(url)
                    .ok()
                    .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
                    .and_then(|url| {
                        let port = url.port_or_known_default().unwrap_or_default();
                        let name = format!("{}:{port}", url.host_str()?);
                        Some((reqwest::Proxy::all(url).ok()?, name))
                    });
                let wrong = || Error::misuse("the proxy is not an http:// or https:// URL");
                Some(proxy.ok_or_else(wrong)?)
            }
            Proxy::Direct | Proxy::System => None,
        };
        Ok(Plan {
            proxy,
            direct: options.proxy == Proxy::Direct,
            certificates,
            timeouts: options.timeouts,
            user_agent: options.user_agent.clone(),
        })
    }

    fn clients(&self) -> Result<Clients, Error> {
        let far = self.client(self.direct)?;
        let here = match self.proxy.is_some() || self.direct {
            true => far.clone(),
            false => self.client(true)?,
        };
        Ok(Clients { here, far })
    }

    fn client(&self, direct: bool) -> Result<reqwest::Client, Error> {
        let with_system_roots =
            self.builder(direct).tls_certs_merge(self.certificates.iter().cloned()).build();
        // A machine without any CA certificates can still reach servers over http, and those of the CA file.
        with_system_roots
            .or_else(|_| {
                self.builder(direct).tls_certs_only(self.certificates.iter().cloned()).build()
            })
            .map_err(|error| {
                Error::new(
                    ErrorKind::Misuse,
                    "HttpClient",
                    "the HTTP client cannot be made with these settings",
                )
                .with_source(error)
            })
    }

    fn builder(&self, direct: bool) -> reqwest::ClientBuilder {
        let mut builder = reqwest::Client::builder()
            .http1_only()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .user_agent(&self.user_agent)
            .connect_timeout(self.timeouts.connect)
            .pool_idle_timeout(IDLE_CONNECTION)
            .tcp_keepalive(self.timeouts.idle);
        #[cfg(any(target_os = "android", target_os = "linux"))]
        {
            // Bytes in the kernel's buffer that nobody acknowledges: the line is dead, whatever is still accepted from us.
            builder = builder.tcp_user_timeout(self.timeouts.idle);
        }
        if direct {
            builder = builder.no_proxy();
        }
        if let Some((proxy, _)) = &self.proxy {
            builder = builder.proxy(proxy.clone());
        }
        builder
    }
}

/// Whether `authority` (a host, perhaps with a port) is this machine by its loopback addresses.
fn is_loopback(authority: &str) -> bool {
    let without_port = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    };
    let host = without_port.trim_start_matches('[').trim_end_matches(']');
    let address = host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    address || host.eq_ignore_ascii_case("localhost")
}

/// `whom` is for messages.
async fn send(
    client: reqwest::Client,
    route: &Route,
    whom: &str,
    request: Request,
    body: Body,
) -> Result<Response, TransportError> {
    let watch = body.reply_watch();
    let request = outgoing(request, body)?;
    let mut reply = client.execute(request).await.map_err(|error| explain(error, whom, false))?;
    watch.moved(0);
    if let Some(peer) = reply.remote_addr() {
        route.leads_to(peer);
    }
    let mut response = Response { status: reply.status().as_u16(), ..Response::default() };
    for (name, value) in reply.headers() {
        // A value that is not text is none that this protocol knows.
        if let Ok(value) = std::str::from_utf8(value.as_bytes()) {
            response.headers.push((name.as_str().to_owned(), value.to_owned()));
        }
    }
    while let Some(piece) = reply.chunk().await.map_err(|error| explain(error, whom, true))? {
        watch.moved(piece.len());
        if response.body.len() + piece.len() > MOST_REPLY {
            let text = format!("{whom} answered with more than {MOST_REPLY} bytes");
            return Err(TransportError::new(TransportErrorKind::Protocol, text));
        }
        response.body.extend_from_slice(&piece);
    }
    Ok(response)
}

fn outgoing(request: Request, body: Body) -> Result<reqwest::Request, TransportError> {
    let bad = |text: &str| {
        let host = &request.authority;
        TransportError::new(TransportErrorKind::Request, format!("{text} (host {host})"))
    };
    let url = reqwest::Url::parse(&request_url(&request)).map_err(|_| bad("not a usable URL"))?;
    if url.path() != request.path {
        // URL libraries resolve these segments; the signature is over the key as it is.
        return Err(bad("a key with a segment of one or two dots cannot be requested"));
    }
    let method = match request.method {
        Method::Delete => reqwest::Method::DELETE,
        Method::Get => reqwest::Method::GET,
        Method::Head => reqwest::Method::HEAD,
        Method::Options => reqwest::Method::OPTIONS,
        Method::Post => reqwest::Method::POST,
        Method::Put => reqwest::Method::PUT,
    };
    let mut headers = HeaderMap::with_capacity(request.headers.len() + 1);
    for (name, value) in &request.headers {
        let name = HeaderName::try_from(name).map_err(|_| bad("a header name is not HTTP"))?;
        let value = HeaderValue::try_from(value).map_err(|_| bad("a header value is not HTTP"))?;
        if name != HOST && name != CONTENT_LENGTH {
            headers.append(name, value);
        }
    }
    let length = body.remaining();
    if length > 0 || matches!(request.method, Method::Post | Method::Put) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    let mut out = reqwest::Request::new(method, url);
    *out.headers_mut() = headers;
    if length > 0 {
        *out.body_mut() = Some(reqwest::Body::wrap(body));
    }
    Ok(out)
}

/// The request's URL, its query encoded.
fn request_url(request: &Request) -> String {
    let mut url = format!("{}://{}{}", request.scheme, request.authority, request.path);
    if !request.query.is_empty() {
        url.push('?');
        url.push_str(&vodferry_oss::encode::encode_query(&request.query));
    }
    url
}

/// Sorts an error of the HTTP library by what the reader can do about it.
fn explain(error: reqwest::Error, host: &str, reading: bool) -> TransportError {
    // A presigned URL is a secret.
    let error = error.without_url();
    let mut kind = if error.is_builder() {
        TransportErrorKind::Request
    } else if error.is_dns() {
        TransportErrorKind::Dns
    } else if error.is_timeout() {
        TransportErrorKind::Timeout
    } else if error.is_connect() {
        TransportErrorKind::Connect
    } else if reading {
        TransportErrorKind::ReplyCut
    } else {
        TransportErrorKind::Lost
    };
    let mut cause = String::new();
    let mut next: Option<&(dyn StdError + 'static)> = Some(&error);
    while let Some(link) = next {
        if let Some(tls) = link.downcast_ref::<rustls::Error>() {
            kind = match tls {
                rustls::Error::InvalidCertificate(_) => TransportErrorKind::Certificate,
                _ => TransportErrorKind::Tls,
            };
        } else if link.is::<BodyError>() {
            kind = TransportErrorKind::Body;
        } else if link.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse) {
            kind = TransportErrorKind::Protocol;
        }
        cause = link.to_string();
        // An io::Error hides what it wraps: its source() is the source of the wrapped error.
        let wrapped = link.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match wrapped {
            Some(wrapped) => Some(wrapped as &(dyn StdError + 'static)),
            None => link.source(),
        };
    }
    let text = match kind {
        TransportErrorKind::Body => "the body for",
        TransportErrorKind::Certificate => "no trust in the certificate of",
        TransportErrorKind::Connect => "cannot connect to",
        TransportErrorKind::Dns => "cannot find the host",
        TransportErrorKind::Lost => "the connection broke to",
        TransportErrorKind::Protocol => "no HTTP comes from",
        TransportErrorKind::ReplyCut => "the reply broke off from",
        TransportErrorKind::Request => "no request can be made for",
        TransportErrorKind::Timeout => "out of time waiting for",
        TransportErrorKind::Tls => "no TLS with",
    };
    TransportError::new(kind, format!("{text} {host}: {}", cause.trim_end_matches('.')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(path: &str) -> Request {
        Request {
            method: Method::Put,
            scheme: "http".into(),
            authority: "127.0.0.1:9".into(),
            path: path.into(),
            query: vec![("uploads".into(), String::new()), ("a b".into(), "c+d/é".into())],
            headers: vec![("x-oss-a".into(), "1".into()), ("host".into(), "other".into())],
            body: Vec::new(),
        }
    }

    #[test]
    fn the_query_is_encoded_and_empty_values_are_bare() {
        let url = request_url(&request("/b/k%20y"));
        assert_eq!(url, "http://127.0.0.1:9/b/k%20y?uploads&a%20b=c%2Bd%2F%C3%A9");
        let out = outgoing(request("/b/k%20y"), Body::from_bytes("")).unwrap();
        assert_eq!(out.url().as_str(), url);
        assert_eq!(out.headers().get("content-length").unwrap(), "0");
        assert!(out.headers().get("host").is_none());
    }

    #[test]
    fn a_key_that_url_libraries_would_alter_is_refused() {
        for path in ["/b/a/../c", "/b/./c", "/b/%2e%2e/c"] {
            let error = outgoing(request(path), Body::from_bytes("")).unwrap_err();
            assert_eq!(error.kind, TransportErrorKind::Request, "{path}");
        }
        for path in ["/b//c", "/b/%25", "/b/%F0%9F%8E%AC.mp4", "/b/a%2F..%2Fc", "/b/%27"] {
            assert!(outgoing(request(path), Body::from_bytes("")).is_ok(), "{path}");
        }
    }

    #[test]
    fn a_proxy_with_a_password_is_not_repeated() {
        for url in ["ftp://me:hush@x", "me:hush@x", "http://me:hush@x y", "http://"] {
            let options = Options { proxy: Proxy::Url(url.into()), ..Options::default() };
            let error = Net::new(&options).err().expect(url);
            assert_eq!(error.kind(), ErrorKind::Misuse);
            assert!(!format!("{error:?}").contains("hush"));
        }
        let options =
            Options { proxy: Proxy::Url("http://me:hush@x:1".into()), ..Options::default() };
        assert!(Net::new(&options).is_ok());
    }

    #[tokio::test]
    async fn a_dead_proxy_is_named() {
        let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let url = format!("http://me:hush@{dead}");
        let net = Net::new(&Options { proxy: Proxy::Url(url), ..Options::default() }).unwrap();
        let error = net.send(request("/b/k"), Body::from_bytes("")).await.unwrap_err();
        let text = error.to_string();
        assert_eq!(error.kind, TransportErrorKind::Connect);
        let whom = format!("cannot connect to 127.0.0.1:9 by way of the proxy {dead}");
        assert!(text.contains(&whom) && !text.contains("hush"), "{text}");
    }

    #[test]
    fn this_machine_is_known_by_its_addresses() {
        for here in ["127.0.0.1", "127.9.9.9:80", "[::1]:9000", "[::1]", "localhost:1", "LocalHost"]
        {
            assert!(is_loopback(here), "{here}");
        }
        for far in ["127.0.0.1.example.com:80", "10.0.0.1", "[fe80::1]:1", "localhost.x", "", "::2"]
        {
            assert!(!is_loopback(far), "{far}");
        }
    }

    #[test]
    fn a_ca_file_must_hold_certificates() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        let with = |path: &std::path::Path| {
            let options = Options { ca_file: Some(path.to_owned()), ..Options::default() };
            Net::new(&options).err().map(|error| error.kind())
        };
        assert_eq!(with(&path), Some(ErrorKind::Io));
        std::fs::write(&path, "nothing").unwrap();
        assert_eq!(with(&path), Some(ErrorKind::Misuse));
    }
}

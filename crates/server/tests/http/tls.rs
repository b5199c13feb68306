//! TLS and HTTP/2: who is spoken to, what bounds hold there, certificates that change.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use bytes::Bytes;
use http::{Request as HttpRequest, StatusCode};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertificateParams, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use vodferry_oss::sign::sign_v1;
use vodferry_oss::{Credential, Method, Request};
use vodferry_server::token::issue;
use vodferry_server::{Config, TlsFiles};

use crate::support::{BUCKET, Build, Server, config, noise, now_ms, wire};

/// Who vouches for the certificates of a test, and where these are.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) root: CertificateDer<'static>,
    folder: tempfile::TempDir,
}

impl Authority {
    pub(crate) fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let root = params.self_signed(&key).unwrap().der().clone();
        let issuer = Issuer::new(params, key);
        let authority = Authority { issuer, root, folder: tempfile::tempdir().unwrap() };
        authority.issue(&[]);
        authority
    }

    /// Writes a new pair for the loopback address, and for these names.
    pub(crate) fn issue(&self, names: &[&str]) {
        let (cert, key) = self.make(names);
        std::fs::write(self.path("key.pem"), key).unwrap();
        std::fs::write(self.path("cert.pem"), cert).unwrap();
    }

    fn make(&self, names: &[&str]) -> (String, String) {
        let names = ["127.0.0.1"].iter().chain(names).map(|name| (*name).to_owned());
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(names.collect::<Vec<_>>()).unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        (cert.pem(), key.serialize_pem())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn files(&self) -> TlsFiles {
        TlsFiles { cert: self.path("cert.pem"), key: self.path("key.pem") }
    }

    async fn server(&self, change: impl FnOnce(&mut Config)) -> Server {
        Server::with(|config| {
            config.tls = Some(self.files());
            change(config);
        })
        .await
    }

    /// Shakes hands, offering these protocols, as one who asks for `name`.
    async fn connect(
        &self,
        server: &Server,
        name: &str,
        protocols: &[&str],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let stream = TcpStream::connect(server.addr()).await.unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    async fn http2(&self, server: &Server) -> SendRequest<Body> {
        let stream = self.connect(server, "127.0.0.1", &["h2", "http/1.1"]).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let io = TokioIo::new(stream);
        let (sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(65_535)
            .handshake(io)
            .await
            .unwrap();
        tokio::spawn(connection);
        sender
    }
}

fn signed(server: &Server, who: &Credential, method: Method, key: &str, body: &[u8]) -> Request {
    let mut request = server.request(method, key).body(body);
    sign_v1(&mut request, BUCKET, key, who, now_ms());
    request
}

/// As HTTP/2 has it: the host beside the headers.
fn as_http2(request: &Request) -> HttpRequest<Body> {
    let uri = format!("https://{}{}", request.authority, request.target());
    let mut made = HttpRequest::builder().method(request.method.as_str()).uri(uri);
    for (name, value) in &request.headers {
        if name != "host" {
            made = made.header(name, value);
        }
    }
    made.body(Body::from(request.body.clone())).unwrap()
}

struct Reply {
    status: StatusCode,
    headers: http::HeaderMap,
    body: Bytes,
}

async fn send(sender: &mut SendRequest<Body>, request: HttpRequest<Body>) -> Reply {
    sender.ready().await.unwrap();
    let (parts, body) = sender.send_request(request).await.unwrap().into_parts();
    let body = axum::body::to_bytes(Body::new(body), usize::MAX).await.unwrap();
    Reply { status: parts.status, headers: parts.headers, body }
}

/// Whether the other end closes within a generous time.
async fn ends(stream: &mut (impl AsyncReadExt + Unpin)) -> bool {
    let read = async { while matches!(stream.read(&mut [0; 4096]).await, Ok(n) if n > 0) {} };
    tokio::time::timeout(Duration::from_secs(30), read).await.is_ok()
}

#[tokio::test]
async fn http1_and_http2_travel_encrypted() {
    let authority = Authority::new();
    let server = authority.server(|_| ()).await;
    assert!(server.running.endpoint().starts_with("https://127.0.0.1:"));
    assert_eq!(server.running.url(), server.running.endpoint());
    let film = noise(3_000_000, 5);
    let mut http2 = authority.http2(&server).await;
    let put = signed(&server, &server.operator(), Method::Put, "a film", &film);
    let reply = send(&mut http2, as_http2(&put)).await;
    assert_eq!(reply.status, 200, "{:?}", reply.body);
    assert_eq!(reply.headers["server"], "AliyunOSS");
    assert!(!reply.headers.contains_key("connection"));
    assert!(reply.headers.contains_key("x-oss-request-id") && reply.headers.contains_key("date"));
    let get = signed(&server, &server.operator(), Method::Get, "a film", b"");
    let reply = send(&mut http2, as_http2(&get)).await;
    assert_eq!((reply.status, reply.body == film), (StatusCode::OK, true));
    let missing = signed(&server, &server.operator(), Method::Get, "nothing", b"");
    let reply = send(&mut http2, as_http2(&missing)).await;
    assert_eq!(reply.status, 404);
    assert!(String::from_utf8_lossy(&reply.body).contains("NoSuchKey"));

    // Without ALPN, and by the same code as without TLS.
    let mut stream = authority.connect(&server, "127.0.0.1", &[]).await.unwrap();
    stream.write_all(&wire(&get)).await.unwrap();
    let mut whole = Vec::new();
    stream.read_to_end(&mut whole).await.unwrap();
    assert!(whole.starts_with(b"HTTP/1.1 200 OK") && whole.ends_with(&film));
    let mut stream = authority.connect(&server, "127.0.0.1", &["http/1.1"]).await.unwrap();
    stream.write_all(b"no HTTP\r\n\r\n").await.unwrap();
    let mut whole = String::new();
    stream.read_to_string(&mut whole).await.unwrap();
    assert!(whole.starts_with("HTTP/1.1 400") && whole.contains("InvalidRequest"), "{whole}");

    // Nothing is answered in the clear.
    let mut plain = TcpStream::connect(server.addr()).await.unwrap();
    plain.write_all(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut whole = Vec::new();
    let _ = plain.read_to_end(&mut whole).await;
    assert!(!whole.starts_with(b"HTTP"));
    server.running.shutdown().await;
}

#[tokio::test]
async fn parts_of_many_streams_share_a_connection() {
    let authority = Authority::new();
    let server = authority.server(|config| config.limits.http2_streams = 4).await;
    let mut http2 = authority.http2(&server).await;
    // With a reply the client knows how many may be open at once.
    let get = signed(&server, &server.operator(), Method::Get, "0", b"");
    assert_eq!(send(&mut http2, as_http2(&get)).await.status, 404);
    let films: Vec<Vec<u8>> = (0..12).map(|n| noise(700_000, n)).collect();
    let puts = films.iter().enumerate().map(|(n, film)| {
        let put = signed(&server, &server.operator(), Method::Put, &n.to_string(), film);
        let (mut http2, put) = (http2.clone(), as_http2(&put));
        async move { send(&mut http2, put).await.status }
    });
    assert!(futures_util::future::join_all(puts).await.iter().all(|status| *status == 200));
    for (n, film) in films.iter().enumerate() {
        let get = signed(&server, &server.operator(), Method::Get, &n.to_string(), b"");
        assert!(send(&mut http2.clone(), as_http2(&get)).await.body == film, "{n}");
    }
}

/// What a server says at once of how much it takes before it has read any of it.
#[tokio::test]
async fn a_long_line_is_kept_full_by_one_stream() {
    const LEAST: u32 = 8 << 20;
    const SETTINGS: u8 = 4;
    const WINDOW_UPDATE: u8 = 8;
    let authority = Authority::new();
    let server = authority.server(|_| {}).await;
    let mut stream = authority.connect(&server, "127.0.0.1", &["h2"]).await.unwrap();
    let hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    stream.write_all(hello).await.unwrap();
    let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap());
    let (mut of_a_stream, mut of_all) = (65_535, 65_535);
    let told = async {
        while of_a_stream < LEAST || of_all < LEAST {
            let mut head = [0; 9];
            stream.read_exact(&mut head).await.unwrap();
            let mut payload = vec![0; number(&[0, head[0], head[1], head[2]]) as usize];
            stream.read_exact(&mut payload).await.unwrap();
            match head[3] {
                // Each a name of two bytes and its value; 4 is the window of a stream.
                SETTINGS => payload
                    .chunks(6)
                    .filter(|setting| setting[..2] == [0, 4])
                    .for_each(|setting| of_a_stream = number(&setting[2..])),
                WINDOW_UPDATE => of_all += number(&payload),
                _ => {}
            }
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(10), told).await;
    assert!(in_time.is_ok(), "no more than {of_a_stream} of a stream, {of_all} of all");
}

#[tokio::test]
async fn secure_transport_is_true_over_tls_alone() {
    const POLICY: &str = r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"oss:PutObject",
        "Resource":"acs:oss:*:*:vod-media/*","Condition":{"Bool":{"acs:SecureTransport":"true"}}}]}"#;
    let authority = Authority::new();
    for secure in [true, false] {
        let server = authority
            .server(|config| {
                if !secure {
                    config.tls = None;
                }
            })
            .await;
        let policy = vodferry_server::policy::Policy::parse(POLICY).unwrap();
        let life = Duration::from_secs(60);
        let now = now_ms() as u64;
        let (assumed, _) = issue(&server.keys.masters, &policy, life, now).unwrap();
        let put = signed(&server, &assumed, Method::Put, "k", b"film");
        let status = match secure {
            true => send(&mut authority.http2(&server).await, as_http2(&put)).await.status,
            false => StatusCode::from_u16(server.send_raw(&put).await.status).unwrap(),
        };
        assert_eq!(status.is_success(), secure, "{status}");
        if secure {
            let mut stream = authority.connect(&server, "127.0.0.1", &[]).await.unwrap();
            stream.write_all(&wire(&put)).await.unwrap();
            let mut whole = String::new();
            stream.read_to_string(&mut whole).await.unwrap();
            assert!(whole.starts_with("HTTP/1.1 200"), "{whole}");
        } else {
            assert_eq!(status, 403);
        }
    }
}

#[tokio::test]
async fn a_changed_certificate_is_taken_without_a_restart() {
    let authority = Authority::new();
    let server = authority.server(|_| ()).await;
    let knows = async |name: &str| authority.connect(&server, name, &[]).await.is_ok();
    assert!(knows("127.0.0.1").await && !knows("new.example").await);
    // One that talks meanwhile goes on.
    let mut before = authority.http2(&server).await;
    // By itself.
    authority.issue(&["new.example"]);
    let began = Instant::now();
    while !knows("new.example").await {
        assert!(began.elapsed() < Duration::from_secs(30), "it was never read again");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // When told.
    authority.issue(&["newer.example"]);
    server.running.reload();
    assert!(knows("newer.example").await && !knows("new.example").await);
    // One that is no good changes nothing, be it half a pair or nonsense.
    let (cert, _) = authority.make(&["wrong.example"]);
    std::fs::write(authority.path("cert.pem"), cert).unwrap();
    server.running.reload();
    assert!(knows("newer.example").await && !knows("wrong.example").await);
    std::fs::write(authority.path("cert.pem"), "no certificate").unwrap();
    server.running.reload();
    std::fs::remove_file(authority.path("key.pem")).unwrap();
    server.running.reload();
    assert!(knows("newer.example").await);
    let get = signed(&server, &server.operator(), Method::Get, "k", b"");
    assert_eq!(send(&mut before, as_http2(&get)).await.status, 404);
}

#[tokio::test]
async fn files_that_cannot_be_used_are_told_at_the_start() {
    let authority = Authority::new();
    let refusal = async |change: &dyn Fn(&Path)| {
        authority.issue(&[]);
        change(authority.folder.path());
        let mut config = config(&authority.path("data"));
        config.tls = Some(authority.files());
        let error = vodferry_server::serve(config).await.unwrap_err();
        assert!(!format!("{error:?}").contains("BEGIN"), "{error:?}");
        error.to_string()
    };
    let said = refusal(&|at| std::fs::remove_file(at.join("cert.pem")).unwrap()).await;
    assert!(said.starts_with("cannot read") && said.ends_with("cert.pem"), "{said}");
    let said = refusal(&|at| std::fs::write(at.join("cert.pem"), "x").unwrap()).await;
    assert!(said.ends_with("cert.pem holds no certificate in PEM"), "{said}");
    let said = refusal(&|at| std::fs::write(at.join("key.pem"), "x").unwrap()).await;
    assert!(said.ends_with("key.pem holds no private key in PEM"), "{said}");
    let (_, other) = authority.make(&[]);
    let said = refusal(&|at| std::fs::write(at.join("key.pem"), &other).unwrap()).await;
    assert!(said.contains("cannot be used"), "{said}");
}

#[tokio::test]
async fn heads_have_the_same_bounds_as_by_http1() {
    let authority = Authority::new();
    let server = authority
        .server(|config| {
            config.limits.headers = 20;
            config.limits.header_bytes = 8192;
        })
        .await;
    let mut http2 = authority.http2(&server).await;
    let request = |headers: usize, length: usize| {
        let mut made = HttpRequest::builder().uri("https://localhost/health/live");
        for n in 0..headers {
            made = made.header(format!("x-{n}"), "a".repeat(length));
        }
        made.body(Body::empty()).unwrap()
    };
    assert_eq!(send(&mut http2, request(10, 1)).await.status, 200);
    assert_eq!(send(&mut http2, request(21, 1)).await.status, 431);
    // The HTTP library refuses it by itself.
    http2.ready().await.unwrap();
    match http2.send_request(request(9, 1000)).await {
        Ok(response) => assert_eq!(response.status(), 431),
        Err(error) => assert!(error.to_string().contains("http2"), "{error}"),
    }
    let mut again = authority.http2(&server).await;
    assert_eq!(send(&mut again, request(1, 1)).await.status, 200);
}

#[tokio::test]
async fn a_request_names_one_host_and_one_length() {
    let authority = Authority::new();
    let server = authority.server(|_| ()).await;
    let mut http2 = authority.http2(&server).await;
    for (name, value) in [("host", "other.example"), ("content-length", "0")] {
        let mut request = HttpRequest::builder().uri("https://localhost/health/live");
        request = request.header(name, value);
        if name == "content-length" {
            request = request.header(name, "0");
        }
        let reply = send(&mut http2, request.body(Body::empty()).unwrap()).await;
        assert_eq!(reply.status, 400, "{name}");
        assert!(String::from_utf8_lossy(&reply.body).contains("InvalidRequest"), "{name}");
    }
}

#[tokio::test]
async fn a_body_without_a_length_is_taken_to_its_end() {
    let authority = Authority::new();
    let server = authority.server(|_| ()).await;
    let mut http2 = authority.http2(&server).await;
    let put = signed(&server, &server.operator(), Method::Put, "k", b"");
    let pieces = futures_util::stream::iter([Ok::<_, std::io::Error>("fi"), Ok("lm")]);
    let request = as_http2(&put).map(|_| Body::from_stream(pieces));
    assert_eq!(send(&mut http2, request).await.status, 200);
    let get = signed(&server, &server.operator(), Method::Get, "k", b"");
    assert_eq!(send(&mut http2, as_http2(&get)).await.body, "film");
    // One that was reset is no whole one.
    let pieces = futures_util::stream::iter([Ok("half"), Err(std::io::Error::other("gone"))]);
    let put = signed(&server, &server.operator(), Method::Put, "half", b"");
    http2.ready().await.unwrap();
    let cut = http2.send_request(as_http2(&put).map(|_| Body::from_stream(pieces))).await;
    assert!(!cut.is_ok_and(|response| response.status().is_success()));
    let get = signed(&server, &server.operator(), Method::Get, "half", b"");
    let mut again = authority.http2(&server).await;
    assert_eq!(send(&mut again, as_http2(&get)).await.status, 404);
}

#[tokio::test]
async fn who_says_nothing_is_hung_up_on() {
    let authority = Authority::new();
    let server =
        authority.server(|config| config.limits.header_time = Duration::from_millis(500)).await;
    // Before the handshake.
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    stream.write_all(b"\x16\x03").await.unwrap();
    assert!(ends(&mut stream).await, "a handshake that drips");
    // Before the preface, and in the middle of a head.
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let head = [&preface[..], b"\0\0\x10\x01\0\0\0\0\x01\x82\x86"].concat();
    for said in [&b""[..], preface, &head] {
        let mut stream = authority.connect(&server, "127.0.0.1", &["h2"]).await.unwrap();
        stream.write_all(said).await.unwrap();
        assert!(ends(&mut stream).await, "after {} bytes", said.len());
    }
    // After a request.
    let mut http2 = authority.http2(&server).await;
    let live = || HttpRequest::builder().uri("https://x/health/live").body(Body::empty()).unwrap();
    assert_eq!(send(&mut http2, live()).await.status, 200);
    let began = Instant::now();
    while !http2.is_closed() {
        assert!(began.elapsed() < Duration::from_secs(30), "it stays open");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn who_says_nothing_gives_its_place_to_one_who_asks() {
    let authority = Authority::new();
    let server = authority.server(|config| config.limits.connections = 2).await;
    let live = || HttpRequest::builder().uri("https://x/health/live").body(Body::empty()).unwrap();
    // One in the middle of a handshake, one idle.
    let mut shaking = TcpStream::connect(server.addr()).await.unwrap();
    shaking.write_all(b"\x16\x03").await.unwrap();
    let mut idle = authority.http2(&server).await;
    assert_eq!(send(&mut idle, live()).await.status, 200);
    let mut one = authority.http2(&server).await;
    assert!(ends(&mut shaking).await);
    let mut other = authority.http2(&server).await;
    let began = Instant::now();
    while !idle.is_closed() {
        assert!(began.elapsed() < Duration::from_secs(30), "it stays open");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for http2 in [&mut one, &mut other] {
        assert_eq!(send(http2, live()).await.status, 200);
    }
}

#[tokio::test]
async fn who_takes_nothing_of_a_reply_loses_it_and_nothing_else() {
    let authority = Authority::new();
    let server =
        authority.server(|config| config.limits.idle_reply = Duration::from_millis(500)).await;
    let mut http2 = authority.http2(&server).await;
    let film = noise(4_000_000, 9);
    let put = signed(&server, &server.operator(), Method::Put, "k", &film);
    assert_eq!(send(&mut http2, as_http2(&put)).await.status, 200);
    let get = signed(&server, &server.operator(), Method::Get, "k", b"");
    http2.ready().await.unwrap();
    let stuck = http2.send_request(as_http2(&get)).await.unwrap();
    assert_eq!(stuck.status(), 200);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let taken = axum::body::to_bytes(Body::new(stuck.into_body()), usize::MAX).await;
    assert!(taken.is_err(), "it was sent whole to one who took nothing");
    let reply = send(&mut http2, as_http2(&get)).await;
    assert!(reply.body == film, "the connection goes on");
}

/// There is one place, and the next client gets it once the one before is given up.
#[tokio::test]
async fn who_takes_nothing_of_a_reply_by_http1_loses_the_connection() {
    let authority = Authority::new();
    let server = authority
        .server(|config| {
            config.limits.connections = 1;
            config.limits.idle_reply = Duration::from_millis(500);
        })
        .await;
    // More than the buffers of both ends hold.
    let film = noise(16 << 20, 9);
    let mut http2 = authority.http2(&server).await;
    let put = signed(&server, &server.operator(), Method::Put, "k", &film);
    assert_eq!(send(&mut http2, as_http2(&put)).await.status, 200);
    drop(http2);
    let get = signed(&server, &server.operator(), Method::Get, "k", b"");
    let mut slow = authority.connect(&server, "127.0.0.1", &[]).await.unwrap();
    slow.write_all(&wire(&get)).await.unwrap();
    slow.get_ref().0.readable().await.unwrap();
    let next = authority.connect(&server, "127.0.0.1", &[]);
    let next = tokio::time::timeout(Duration::from_secs(15), next).await;
    next.expect("a place").unwrap();
    let mut got = Vec::new();
    let _ = slow.read_to_end(&mut got).await;
    assert!(got.len() < film.len(), "it was sent whole to one who took nothing");
}

#[tokio::test]
async fn a_body_that_stops_is_given_up() {
    let authority = Authority::new();
    let server =
        authority.server(|config| config.limits.idle_body = Duration::from_millis(500)).await;
    let mut http2 = authority.http2(&server).await;
    let put = signed(&server, &server.operator(), Method::Put, "k", b"");
    let pieces = futures_util::stream::unfold(0, |n| async move {
        if n > 0 {
            std::future::pending::<()>().await;
        }
        Some((Ok::<_, std::io::Error>("half"), n + 1))
    });
    let request = as_http2(&put).map(|_| Body::from_stream(Box::pin(pieces)));
    let reply = send(&mut http2, request).await;
    assert!(String::from_utf8_lossy(&reply.body).contains("RequestTimeout"), "{}", reply.status);
}

#[tokio::test]
async fn as_many_as_may_speak_http2() {
    let authority = Authority::new();
    let server = authority.server(|config| config.limits.http2_connections = 1).await;
    let first = authority.http2(&server).await;
    let spoken = async || {
        let stream = authority.connect(&server, "127.0.0.1", &["h2", "http/1.1"]).await.unwrap();
        stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec)
    };
    assert_eq!(spoken().await, Some(b"http/1.1".to_vec()));
    drop(first);
    let began = Instant::now();
    while spoken().await != Some(b"h2".to_vec()) {
        assert!(began.elapsed() < Duration::from_secs(30), "the place is never free again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_shutdown_finishes_what_is_under_way() {
    let authority = Authority::new();
    let server = authority.server(|_| ()).await;
    let mut http2 = authority.http2(&server).await;
    let put = signed(&server, &server.operator(), Method::Put, "k", b"");
    let (go_on, told) = tokio::sync::oneshot::channel::<()>();
    let pieces = futures_util::stream::unfold(Some(told), |told| async move {
        let _ = told?.await;
        Some((Ok::<_, std::io::Error>("film"), None))
    });
    let request = as_http2(&put).map(|_| Body::from_stream(Box::pin(pieces)));
    http2.ready().await.unwrap();
    let reply = tokio::spawn(http2.send_request(request));
    tokio::time::sleep(Duration::from_millis(300)).await;
    let folder = server.folder;
    let stopping = tokio::spawn(server.running.shutdown());
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!stopping.is_finished());
    go_on.send(()).unwrap();
    assert_eq!(reply.await.unwrap().unwrap().status(), 200);
    stopping.await.unwrap();
    drop(folder);
}

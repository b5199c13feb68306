//! A server on a free port and a folder of its own, and a client that sends exactly what a test
//! says.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use vodferry_oss::encode::encode_component;
use vodferry_oss::etag::{content_md5, md5, normalise};
use vodferry_oss::sign::sign_v1;
use vodferry_oss::xml::{
    CompleteMultipartUpload, CompletePart, InitiateMultipartUploadResult, ListPartsResult,
};
use vodferry_oss::{Credential, Method, Request, Response, ServiceError, Target};
use vodferry_server::keys::Keys;
use vodferry_server::{Config, Environment, Running, serve_in};
use vodferry_vod::{UploadAddress, UploadAuth};

pub(crate) const BUCKET: &str = "vod-media";

/// A running server and the folder that it works on.
pub(crate) struct Server {
    pub(crate) running: Running,
    pub(crate) folder: TempDir,
    pub(crate) keys: Keys,
}

impl Server {
    pub(crate) async fn start() -> Server {
        Server::with(|_| ()).await
    }

    /// With settings changed; small parts are allowed unless `change` says otherwise.
    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Server {
        Server::within(Environment::default(), change).await
    }

    /// On another file system, or by another clock.
    pub(crate) async fn within(
        environment: Environment,
        change: impl FnOnce(&mut Config),
    ) -> Server {
        let folder = TempDir::new().unwrap();
        let mut config = config(folder.path());
        change(&mut config);
        let keys = config.data.join("keys.toml");
        let running = serve_in(config, environment).await.unwrap();
        let keys = Keys::load(&keys).unwrap();
        Server { running, folder, keys }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.running.addr()
    }

    /// The operator's key.
    pub(crate) fn operator(&self) -> Credential {
        operator(&self.keys)
    }

    pub(crate) fn target(&self, key: &str) -> Target {
        Target {
            endpoint: format!("http://{}", self.addr()),
            bucket: BUCKET.into(),
            key: key.into(),
        }
    }

    /// A request of the operator, not signed yet.
    pub(crate) fn request(&self, method: Method, key: &str) -> Request {
        let mut request = Request::to(method, &self.target(""), vodferry_oss::Style::Auto).unwrap();
        // Written here, because a client refuses some keys that a server must bear, `..` for one.
        let segments: Vec<String> = key.split('/').map(encode_component).collect();
        request.path = format!("/{BUCKET}/{}", segments.join("/"));
        request
    }

    /// Signs with the operator's key and sends.
    pub(crate) async fn send(&self, key: &str, request: Request) -> Response {
        self.send_as(&self.operator(), key, request).await
    }

    pub(crate) async fn send_as(
        &self,
        who: &Credential,
        key: &str,
        mut request: Request,
    ) -> Response {
        sign_v1(&mut request, BUCKET, key, who, now_ms());
        self.send_raw(&request).await
    }

    /// Sends as it is.
    pub(crate) async fn send_raw(&self, request: &Request) -> Response {
        exchange(self.addr(), request.method, &wire(request)).await
    }

    pub(crate) async fn put(&self, key: &str, bytes: &[u8]) -> Response {
        self.send(key, self.request(Method::Put, key).body(bytes)).await
    }

    pub(crate) async fn get(&self, key: &str) -> Response {
        self.send(key, self.request(Method::Get, key)).await
    }

    pub(crate) async fn head(&self, key: &str) -> Response {
        self.send(key, self.request(Method::Head, key)).await
    }

    /// Asks the application server from this machine.
    pub(crate) async fn create(&self, file_name: &str) -> Grant {
        let response = self.api("create", &format!("{{\"FileName\":\"{file_name}\"}}")).await;
        Grant::of(&response)
    }

    pub(crate) async fn api(&self, action: &str, body: &str) -> Response {
        let head = format!(
            "POST /api/upload-auth/{action} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.addr(),
            body.len()
        );
        exchange(self.addr(), Method::Post, head.as_bytes()).await
    }
}

/// The operator's key among `keys`.
pub(crate) fn operator(keys: &Keys) -> Credential {
    let key = keys.root().unwrap();
    Credential {
        access_key_id: key.id.clone(),
        access_key_secret: key.secret.clone(),
        security_token: None,
    }
}

/// Settings of a test's server on `folder`.
pub(crate) fn config(folder: &Path) -> Config {
    Config {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        data: folder.to_owned(),
        min_part_size: 1,
        // The tests of a sudden end turn it on.
        durable: false,
        ..Config::default()
    }
}

/// What the application server handed out.
pub(crate) struct Grant {
    pub(crate) video_id: String,
    pub(crate) target: Target,
    pub(crate) auth: UploadAuth,
    pub(crate) credential: Credential,
}

impl Grant {
    pub(crate) fn of(response: &Response) -> Grant {
        assert_eq!(response.status, 200, "{}", text(response));
        let reply: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
        let member = |name: &str| reply[name].as_str().unwrap().to_owned();
        assert_eq!(member("RequestId").len(), 36);
        let auth = UploadAuth::decode(&member("UploadAuth")).unwrap();
        Grant {
            video_id: member("VideoId"),
            target: UploadAddress::decode(&member("UploadAddress")).unwrap().into_target(),
            credential: auth.clone().into_credential(),
            auth,
        }
    }
}

/// Short words for building requests.
pub(crate) trait Build {
    fn query(self, name: &str, value: &str) -> Self;
    fn with(self, name: &str, value: &str) -> Self;
    fn body(self, bytes: &[u8]) -> Self;
}

impl Build for Request {
    fn query(mut self, name: &str, value: &str) -> Request {
        self.query.push((name.into(), value.into()));
        self
    }

    fn with(mut self, name: &str, value: &str) -> Request {
        self.headers.push((name.into(), value.into()));
        self
    }

    fn body(mut self, bytes: &[u8]) -> Request {
        self.body = bytes.to_vec();
        self
    }
}

/// A multipart upload by hand.
pub(crate) struct Upload<'a> {
    pub(crate) server: &'a Server,
    pub(crate) who: Credential,
    pub(crate) key: String,
    pub(crate) id: String,
}

impl<'a> Upload<'a> {
    pub(crate) async fn begin(server: &'a Server, who: Credential, key: &str) -> Upload<'a> {
        let request = server.request(Method::Post, key).query("uploads", "");
        let response = server.send_as(&who, key, request).await;
        assert_eq!(response.status, 200, "{}", text(&response));
        let result = InitiateMultipartUploadResult::decode(&response.body).unwrap();
        assert_eq!((result.bucket.as_str(), result.key.as_str()), (BUCKET, key));
        Upload { server, who, key: key.into(), id: result.upload_id }
    }

    pub(crate) fn request(&self, method: Method) -> Request {
        self.server.request(method, &self.key).query("uploadId", &self.id)
    }

    pub(crate) async fn send(&self, request: Request) -> Response {
        self.server.send_as(&self.who, &self.key, request).await
    }

    /// Sends one part; its ETag.
    pub(crate) async fn part(&self, number: u32, bytes: &[u8]) -> String {
        let request = self
            .request(Method::Put)
            .query("partNumber", &number.to_string())
            .with("content-md5", &content_md5(&md5(bytes)))
            .body(bytes);
        let response = self.send(request).await;
        assert_eq!(response.status, 200, "{}", text(&response));
        let etag = normalise(response.header("etag").unwrap());
        assert_eq!(etag, vodferry_oss::etag::etag_of_md5(&md5(bytes)));
        etag
    }

    pub(crate) async fn complete(&self, parts: &[(u32, &str)]) -> Response {
        let parts = parts
            .iter()
            .map(|(number, etag)| CompletePart { number: *number, etag: (*etag).into() })
            .collect();
        let list = CompleteMultipartUpload { parts }.encode();
        self.send(self.request(Method::Post).body(list.as_bytes())).await
    }

    pub(crate) async fn list(&self) -> ListPartsResult {
        let response = self.send(self.request(Method::Get)).await;
        assert_eq!(response.status, 200, "{}", text(&response));
        ListPartsResult::decode(&response.body).unwrap()
    }
}

/// The code of a refusal, whose status and headers must fit.
pub(crate) fn refused(response: &Response, status: u16) -> String {
    assert_eq!(response.status, status, "{}", text(response));
    let error = ServiceError::from_response(response);
    let id = response.header("x-oss-request-id").unwrap();
    assert_eq!(id.len(), 24);
    assert_eq!(&*error.request_id, id, "{}", text(response));
    assert!(response.header("date").is_some() && response.header("server").is_some());
    // Every refusal is numbered, in the document as in the header.
    let number = response.header("x-oss-ec");
    assert!(number.is_some() && error.context("EC") == number, "{}", text(response));
    error.code.to_string()
}

pub(crate) fn text(response: &Response) -> String {
    format!(
        "{} {:?} {}",
        response.status,
        response.headers,
        String::from_utf8_lossy(&response.body)
    )
}

pub(crate) fn now_ms() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    now.as_millis() as i64
}

/// A request as bytes, on a connection that ends with the reply.
pub(crate) fn wire(request: &Request) -> Vec<u8> {
    let mut head = format!(
        "{} {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n",
        request.method.as_str(),
        request.target(),
        request.authority
    );
    for (name, value) in &request.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !request.headers.iter().any(|(n, _)| n == "content-length" || n == "transfer-encoding") {
        head.push_str(&format!("Content-Length: {}\r\n", request.body.len()));
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    bytes.extend(&request.body);
    bytes
}

/// Sends bytes, reads one reply.
pub(crate) async fn exchange(addr: SocketAddr, method: Method, bytes: &[u8]) -> Response {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    // The server may refuse before it has read everything.
    let _ = stream.write_all(bytes).await;
    read_response(&mut stream, method == Method::Head).await.expect("a reply")
}

/// Reads one reply; `None` when the connection ends before it began.
pub(crate) async fn read_response(stream: &mut TcpStream, to_head: bool) -> Option<Response> {
    tokio::time::timeout(Duration::from_secs(30), read_response_now(stream, to_head))
        .await
        .expect("a reply within 30 s")
}

async fn read_response_now(stream: &mut TcpStream, to_head: bool) -> Option<Response> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break end;
        }
        let mut more = [0; 4096];
        match stream.read(&mut more).await {
            Ok(n) if n > 0 => bytes.extend(&more[..n]),
            _ => return None,
        }
    };
    let mut body = bytes.split_off(end + 4);
    let head = String::from_utf8(bytes).unwrap();
    let mut lines = head.trim_end().split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers: Vec<(String, String)> = lines
        .map(|line| line.split_once(':').unwrap())
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut response = Response { status, headers, body: Vec::new() };
    let length = response.header("content-length").map(|n| n.parse::<usize>().unwrap());
    if to_head || status == 204 || status == 304 || status == 100 {
        return Some(response);
    }
    assert!(response.header("transfer-encoding").is_none(), "replies have a length: {head}");
    let length = length.unwrap_or(0);
    while body.len() < length {
        let mut more = vec![0; 65536];
        match stream.read(&mut more).await {
            Ok(n) if n > 0 => body.extend(&more[..n]),
            other => panic!("cut after {} of {length} bytes: {other:?}", body.len()),
        }
    }
    response.body = body;
    Some(response)
}

/// Files in `tmp` and below `blobs`.
pub(crate) fn files(server: &Server) -> usize {
    let count = |folder: &Path| std::fs::read_dir(folder).unwrap().count();
    let blobs = std::fs::read_dir(server.folder.path().join("blobs")).unwrap();
    count(&server.folder.path().join("tmp"))
        + blobs.map(|folder| count(&folder.unwrap().path())).sum::<usize>()
}

/// Waits until the database of a server that was shut down is closed: its thread lets go of it a moment later.
pub(crate) async fn log_is_gone(data: &std::path::Path) {
    let until = std::time::Instant::now() + Duration::from_secs(20);
    while data.join("meta.sqlite-wal").exists() {
        assert!(std::time::Instant::now() < until, "the log outlives its server");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Bytes that no pattern repeats in.
pub(crate) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let step = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    std::iter::repeat_with(step).take(length).collect()
}

/// The texts of all elements of this name in a reply, as they stand.
pub(crate) fn elements(response: &Response, name: &str) -> Vec<String> {
    let body = std::str::from_utf8(&response.body).unwrap();
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let texts = body.split(&open).skip(1);
    texts.map(|rest| rest.split(&close).next().unwrap().to_owned()).collect()
}

/// The text of the first of them; there must be one.
pub(crate) fn element(response: &Response, name: &str) -> String {
    elements(response, name).into_iter().next().unwrap_or_else(|| {
        panic!("no {name} in {}", text(response));
    })
}

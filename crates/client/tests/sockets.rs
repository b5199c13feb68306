//! A whole uploader against sockets that are silent, slow, half-way, or behind TLS.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_rustls::TlsAcceptor;
use vodferry::{
    Backoff, Budget, Credential, Error, ErrorKind, Event, File, FileState, Options, Proxy, Target,
    Timeouts, Uploader,
};

const LENGTH: usize = 90_000;

fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.mp4"), vec![7; LENGTH]).unwrap();
    dir
}

/// Two attempts, and little patience.
fn options(dir: &Path) -> Options {
    let mut options = Options::default();
    options.record_dir = Some(dir.join("records"));
    options.proxy = Proxy::Direct;
    options.retry.backoff = Backoff::Fixed { ms: 1 };
    options.retry.budget = Budget::Count(2);
    options.timeouts.connect = Duration::from_millis(300);
    options.timeouts.idle = Duration::from_millis(300);
    options.timeouts.request = Duration::from_secs(20);
    options.timeouts.slowest = 10 << 20;
    options
}

/// Puts the file of `dir` to `endpoint`.
async fn put(dir: &Path, endpoint: &str, options: Options) -> Result<(), Error> {
    let uploader = Uploader::builder().options(options).build().unwrap();
    let file = File::path(dir.join("a.mp4")).to(target(endpoint), credential());
    let mut events = uploader.events();
    uploader.add(file).unwrap();
    uploader.start();
    loop {
        let next = tokio::time::timeout(Duration::from_secs(30), events.next()).await;
        match next.expect("an end within 30 seconds").expect("an uploader that lives") {
            Event::Succeeded { .. } => return Ok(()),
            Event::Failed { error, .. } => return Err(error.into()),
            _ => {}
        }
    }
}

fn target(endpoint: &str) -> Target {
    Target { endpoint: endpoint.into(), bucket: "films".into(), key: "a.mp4".into() }
}

fn credential() -> Credential {
    Credential {
        access_key_id: "ak".into(),
        access_key_secret: "hush".into(),
        security_token: None,
    }
}

/// Reads one request whose body has [`LENGTH`] bytes.
async fn read_request(stream: &mut (impl AsyncRead + Unpin)) {
    let mut bytes = Vec::new();
    let mut more = vec![0; 64 << 10];
    loop {
        let head = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        if head.is_some_and(|end| bytes.len() >= end + 4 + LENGTH) {
            return;
        }
        match stream.read(&mut more).await {
            Ok(0) | Err(_) => return,
            Ok(read) => bytes.extend_from_slice(&more[..read]),
        }
    }
}

async fn stored(stream: &mut (impl AsyncWrite + Unpin)) {
    use md5::{Digest, Md5};
    let bytes = vec![7; LENGTH];
    let etag: String = Md5::digest(&bytes).iter().map(|byte| format!("{byte:02X}")).collect();
    let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Xz, &bytes);
    let reply = format!(
        "HTTP/1.1 200 OK\r\nETag: \"{etag}\"\r\nx-oss-hash-crc64ecma: {crc}\r\nContent-Length: 0\r\n\r\n"
    );
    let _ = stream.write_all(reply.as_bytes()).await;
    let _ = stream.flush().await;
}

/// A server that does to each connection as `manners` say. Gives its address.
async fn serve<F, R>(manners: F) -> String
where
    F: Fn(TcpStream) -> R + Send + Sync + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(manners(stream));
        }
    });
    address
}

/// The upload to `endpoint` is given up for time, soon.
async fn times_out(endpoint: &str) {
    times_out_with(endpoint, |_| {}).await;
}

async fn times_out_with(endpoint: &str, change: impl FnOnce(&mut Timeouts)) {
    let dir = folder();
    let begun = Instant::now();
    let mut options = options(dir.path());
    change(&mut options.timeouts);
    let error = put(dir.path(), endpoint, options).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Network, "TimedOut"), "{error}");
    assert!(error.hint().is_some() && error.message().contains("127.0.0.1"), "{error}");
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(500) && took < Duration::from_secs(10), "{took:?}");
}

#[tokio::test]
async fn a_socket_that_never_reads_is_given_up() {
    let silent = |stream: TcpStream| async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        drop(stream);
    };
    times_out(&format!("http://{}", serve(silent).await)).await;
}

#[tokio::test]
async fn a_socket_that_takes_everything_and_says_nothing_is_given_up() {
    let mute = |mut stream: TcpStream| async move {
        read_request(&mut stream).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
    };
    times_out(&format!("http://{}", serve(mute).await)).await;
}

#[tokio::test]
async fn half_an_answer_and_then_silence_is_given_up() {
    for half in ["HTTP/1.1 200 OK\r\nETag: \"", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"]
    {
        let halting = move |mut stream: TcpStream| async move {
            read_request(&mut stream).await;
            let _ = stream.write_all(half.as_bytes()).await;
            tokio::time::sleep(Duration::from_secs(60)).await;
        };
        times_out(&format!("http://{}", serve(halting).await)).await;
    }
}

#[tokio::test]
async fn an_answer_that_trickles_for_ever_is_given_up() {
    let trickling = |mut stream: TcpStream| async move {
        read_request(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n").await;
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let endpoint = format!("http://{}", serve(trickling).await);
    times_out_with(&endpoint, |timeouts| timeouts.request = Duration::from_millis(400)).await;
}

#[tokio::test]
async fn an_answer_that_is_slow_but_moves_is_waited_for() {
    let slow = |mut stream: TcpStream| async move {
        read_request(&mut stream).await;
        let (mut reply, mut whole) = tokio::io::duplex(1000);
        stored(&mut reply).await;
        drop(reply);
        let mut bytes = Vec::new();
        whole.read_to_end(&mut bytes).await.unwrap();
        let head = String::from_utf8(bytes).unwrap().replace("Length: 0", "Length: 12");
        let _ = stream.write_all(head.as_bytes()).await;
        for _ in 0..12 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let _ = stream.write_all(b" ").await;
        }
        read_request(&mut stream).await;
    };
    let dir = folder();
    let begun = Instant::now();
    let endpoint = format!("http://{}", serve(slow).await);
    put(dir.path(), &endpoint, options(dir.path())).await.unwrap();
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(1200) && took < Duration::from_secs(5), "{took:?}");
}

/// The connection's own time, and no other, is short.
fn only_connecting(timeouts: &mut Timeouts) {
    timeouts.idle = Duration::from_secs(60);
    timeouts.request = Duration::from_secs(60);
}

#[tokio::test]
async fn a_handshake_that_is_not_answered_is_given_up() {
    let silent = |stream: TcpStream| async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        drop(stream);
    };
    times_out_with(&format!("https://{}", serve(silent).await), only_connecting).await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_connection_that_is_not_taken_is_given_up() {
    // Room for one that nobody accepts: the next ones are not answered.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let _fill = [TcpStream::connect(address).await.unwrap()];
    times_out_with(&format!("http://{address}"), only_connecting).await;
}

#[tokio::test]
async fn a_slow_socket_that_is_fast_enough_is_given_its_time() {
    let slow = |mut stream: TcpStream| async move {
        let mut all = Vec::new();
        let mut more = vec![0; 2000];
        while all.len() < LENGTH {
            let Ok(read) = stream.read(&mut more).await else { return };
            all.extend_from_slice(&more[..read]);
            tokio::time::sleep(Duration::from_millis(15)).await;
        }
        // What is left of the head's length.
        let _ =
            tokio::time::timeout(Duration::from_millis(100), stream.read_to_end(&mut all)).await;
        stored(&mut stream).await;
    };
    let dir = folder();
    let mut options = options(dir.path());
    // 2,000 bytes per 15 ms are 133 kB/s.
    options.timeouts.slowest = 50_000;
    let begun = Instant::now();
    put(dir.path(), &format!("http://{}", serve(slow).await), options).await.unwrap();
    assert!(begun.elapsed() > Duration::from_millis(600), "longer than the idle time alone");
}

#[tokio::test]
async fn a_changed_network_moves_what_is_under_way_to_new_connections() {
    let (sender, mut connected) = tokio::sync::mpsc::unbounded_channel();
    let number = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let address = serve(move |mut stream: TcpStream| {
        let at = number.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let sender = sender.clone();
        async move {
            read_request(&mut stream).await;
            sender.send(at).unwrap();
            if at == 0 {
                // Lost with the network it came over.
                tokio::time::sleep(Duration::from_secs(60)).await;
            }
            stored(&mut stream).await;
            read_request(&mut stream).await;
        }
    })
    .await;
    let dir = folder();
    let mut options = options(dir.path());
    options.timeouts.idle = Duration::from_secs(60);
    let uploader = Uploader::builder().options(options).build().unwrap();
    let mut events = uploader.events();
    let endpoint = format!("http://{address}");
    uploader.add(File::path(dir.path().join("a.mp4")).to(target(&endpoint), credential())).unwrap();
    uploader.start();
    assert_eq!(connected.recv().await, Some(0));
    uploader.network_changed();
    assert_eq!(uploader.wait().await[0].state, FileState::Succeeded);
    assert_eq!(connected.recv().await, Some(1));
    while let Some(event) = events.try_next() {
        assert!(!matches!(event, Event::Retry { .. }), "a changed network is no failure");
    }
}

/// A server behind TLS, and its certificate as a PEM file.
async fn behind_tls(dir: &Path) -> (String, std::path::PathBuf) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let file = dir.join("ca.pem");
    std::fs::write(&file, made.cert.pem()).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let address = serve(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                read_request(&mut stream).await;
                stored(&mut stream).await;
                read_request(&mut stream).await;
            }
        }
    })
    .await;
    (format!("https://{address}"), file)
}

#[tokio::test]
async fn a_certificate_of_the_ca_file_is_trusted() {
    let dir = folder();
    let (endpoint, ca_file) = behind_tls(dir.path()).await;
    let mut options = options(dir.path());
    options.timeouts.connect = Duration::from_secs(5);
    options.timeouts.idle = Duration::from_secs(5);
    options.ca_file = Some(ca_file);
    put(dir.path(), &endpoint, options).await.unwrap();
}

#[tokio::test]
async fn a_certificate_of_nobody_ends_the_file_at_once_with_a_hint() {
    let dir = folder();
    let (endpoint, _) = behind_tls(dir.path()).await;
    let mut options = options(dir.path());
    options.timeouts.connect = Duration::from_secs(5);
    options.retry.backoff = Backoff::Fixed { ms: 60_000 };
    let begun = Instant::now();
    let error = put(dir.path(), &endpoint, options).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Network, "CertificateInvalid"), "{error}");
    assert!(error.hint().unwrap().contains("CA file"));
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_trusted_certificate_for_another_host_is_refused() {
    let dir = folder();
    let (endpoint, ca_file) = behind_tls(dir.path()).await;
    let mut options = options(dir.path());
    options.timeouts.connect = Duration::from_secs(5);
    options.ca_file = Some(ca_file);
    let other = endpoint.replace("127.0.0.1", "localhost");
    let error = put(dir.path(), &other, options).await.unwrap_err();
    assert_eq!(error.code(), "CertificateInvalid", "{error}");
}

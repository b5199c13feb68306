//! Starting, stopping, dying and coming back.

use std::path::Path;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use vodferry_oss::Method;
use vodferry_oss::sign::sign_v1;
use vodferry_server::keys::Keys;
use vodferry_server::{Config, Environment, Running, ServeError, serve};

use crate::support::{
    BUCKET, Build, Server, Upload, config, files, noise, now_ms, read_response, refused, wire,
};

#[tokio::test]
async fn the_first_start_tells_how_to_begin() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("deep").join("data");
    let running = serve(config(&data)).await.unwrap();
    let first = running.first_start().unwrap().clone();
    assert_eq!(first.endpoint, format!("http://{}", running.addr()));
    assert_eq!(first.bucket, BUCKET);
    assert_eq!(first.keys_file, data.join("keys.toml"));
    let keys = Keys::load(&first.keys_file).unwrap();
    assert_eq!(first.access_key_id, keys.root().unwrap().id);
    let shown = format!("{first:?} {running:?}");
    assert!(!shown.contains(keys.root().unwrap().secret.expose()));
    assert!(!shown.contains(keys.app_server_token.expose()));
    assert!(first.commands.iter().any(|command| command.starts_with("vodferry upload")));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&data), mode(&first.keys_file)), (0o700, 0o600));
    }
    running.shutdown().await;
    let again = serve(config(&data)).await.unwrap();
    assert!(again.first_start().is_none());
}

#[tokio::test]
async fn a_taken_port_is_a_clear_error() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let config = Config { listen: taken.local_addr().unwrap(), ..config(&data) };
    let error = serve(config).await.unwrap_err();
    assert!(matches!(error, ServeError::AddressInUse { .. }), "{error:?}");
    assert!(error.to_string().contains(&taken.local_addr().unwrap().to_string()), "{error}");
    assert!(!data.exists(), "nothing was made for a server that never ran");
}

#[tokio::test]
async fn two_servers_do_not_share_a_folder() {
    let server = Server::start().await;
    let error = serve(config(server.folder.path())).await.unwrap_err();
    assert!(error.to_string().contains("another server uses"), "{error}");
    assert_eq!(server.put("k", b"x").await.status, 200);
}

#[tokio::test]
async fn wrong_settings_and_folders_are_refused() {
    let folder = TempDir::new().unwrap();
    let error = serve(Config { bucket: "No Bucket".into(), ..config(folder.path()) }).await;
    assert!(error.unwrap_err().to_string().starts_with("bucket is No Bucket"));
    let file = folder.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let error = serve(config(&file)).await.unwrap_err();
    assert!(matches!(error, ServeError::Folder { .. }), "{error:?}");
    std::fs::write(folder.path().join("keys.toml"), "garbage").unwrap();
    assert!(matches!(serve(config(folder.path())).await, Err(ServeError::Keys(_))));
}

/// Starts again on a folder whose former server may still be letting go of it.
async fn restart(folder: &Path) -> Running {
    for _ in 0..200 {
        match serve(Config { durable: true, ..config(folder) }).await {
            Ok(running) => return running,
            Err(ServeError::Blobs(_)) => tokio::time::sleep(Duration::from_millis(25)).await,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the folder stays locked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_a_sudden_end() {
    let server = Server::with(|config| config.durable = true).await;
    let grant = server.create("a.mp4").await;
    let key = grant.target.key.clone();
    server.put("object", b"kept").await;
    let upload = Upload::begin(&server, grant.credential.clone(), &key).await;
    let mut etags = vec![upload.part(1, b"first ").await, upload.part(2, b"second ").await];
    // A part under way when the end comes.
    let mut request = upload
        .request(Method::Put)
        .query("partNumber", "3")
        .with("content-length", "1000")
        .body(b"only a piece of it");
    sign_v1(&mut request, BUCKET, &key, &grant.credential, now_ms());
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    stream.write_all(&wire(&request)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;

    let (id, Server { running, folder, keys }) = (upload.id.clone(), server);
    drop(running);
    assert!(read_response(&mut stream, false).await.is_none(), "the connection is cut");

    let server = Server { running: restart(folder.path()).await, folder, keys };
    let upload = Upload { server: &server, who: grant.credential, key: key.clone(), id };
    let listed: Vec<u32> = upload.list().await.parts.iter().map(|part| part.number).collect();
    assert_eq!(listed, [1, 2], "all that was acknowledged, and no more");
    etags.push(upload.part(3, b"third").await);
    let parts: Vec<(u32, &str)> = (1u32..).zip(etags.iter().map(String::as_str)).collect();
    let done = upload.complete(&parts).await;
    assert_eq!(done.status, 200);
    assert_eq!(server.get("object").await.body, b"kept");

    // The remembered answer survives as well.
    let (id, who) = (upload.id.clone(), upload.who.clone());
    let Server { running, folder, keys } = server;
    drop(running);
    let server = Server { running: restart(folder.path()).await, folder, keys };
    let upload = Upload { server: &server, who, key: key.clone(), id };
    let again = upload.complete(&parts).await;
    assert_eq!((again.status, again.header("etag")), (200, done.header("etag")));
    assert_eq!(server.get(&key).await.body, b"first second third");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_finishes_what_is_under_way() {
    let server = Server::with(|config| config.durable = true).await;
    let mut request = server.request(Method::Put, "k").with("content-length", "10").body(b"12345");
    sign_v1(&mut request, BUCKET, "k", &server.operator(), now_ms());
    let mut busy = TcpStream::connect(server.addr()).await.unwrap();
    busy.write_all(&wire(&request)).await.unwrap();
    // An idle connection must not hold the shutdown up.
    let mut idle = TcpStream::connect(server.addr()).await.unwrap();
    idle.write_all(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert_eq!(read_response(&mut idle, false).await.unwrap().status, 200);
    tokio::time::sleep(Duration::from_millis(100)).await;

    let (addr, Server { running, folder, keys }) = (server.addr(), server);
    let stopping = tokio::spawn(running.shutdown());
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(TcpStream::connect(addr).await.is_err(), "no new connections");
    busy.write_all(b"67890").await.unwrap();
    let response = read_response(&mut busy, false).await.unwrap();
    assert_eq!(response.status, 200);
    tokio::time::timeout(Duration::from_secs(5), stopping).await.expect("in time").unwrap();

    let server = Server { running: restart(folder.path()).await, folder, keys };
    assert_eq!(server.get("k").await.body, b"1234567890");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_does_not_wait_for_ever() {
    let server = Server::with(|config| config.limits.shutdown = Duration::from_millis(200)).await;
    let mut request = server.request(Method::Put, "k").with("content-length", "10").body(b"12345");
    sign_v1(&mut request, BUCKET, "k", &server.operator(), now_ms());
    let mut busy = TcpStream::connect(server.addr()).await.unwrap();
    busy.write_all(&wire(&request)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let Server { running, folder, keys } = server;
    tokio::time::timeout(Duration::from_secs(5), running.shutdown()).await.expect("in time");
    let server = Server { running: restart(folder.path()).await, folder, keys };
    assert_eq!(refused(&server.get("k").await, 404), "NoSuchKey");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_wait_their_turn_while_all_have_requests() {
    let server = Server::with(|config| config.limits.connections = 2).await;
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut request = server.request(Method::Put, "k").with("content-length", "10");
        sign_v1(&mut request, BUCKET, "k", &server.operator(), now_ms());
        let mut stream = TcpStream::connect(server.addr()).await.unwrap();
        stream.write_all(&wire(&request)).await.unwrap();
        open.push(stream);
    }
    // Until its head was read a connection is one that says nothing, and would give its place.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut third = TcpStream::connect(server.addr()).await.unwrap();
    third.write_all(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let early = tokio::time::timeout(Duration::from_millis(200), third.readable()).await;
    assert!(early.is_err(), "served above the limit");
    open.pop();
    assert_eq!(read_response(&mut third, false).await.unwrap().status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_uploads_at_once_do_not_mix() {
    let server = std::sync::Arc::new(Server::start().await);
    let mut uploads = tokio::task::JoinSet::new();
    for n in 0..24u8 {
        let server = server.clone();
        uploads.spawn(async move {
            let key = format!("film {n}");
            let upload = Upload::begin(&server, server.operator(), &key).await;
            let one = upload.part(1, &[n; 3000]).await;
            let two = upload.part(2, &[n ^ 0xff; 2000]).await;
            assert_eq!(upload.complete(&[(1, &one), (2, &two)]).await.status, 200);
            let body = server.get(&key).await.body;
            assert!(body == [vec![n; 3000], vec![n ^ 0xff; 2000]].concat(), "{key}");
        });
    }
    while let Some(done) = uploads.join_next().await {
        done.unwrap();
    }
}

/// Somebody may still be reading what was replaced.
#[tokio::test]
async fn what_was_replaced_is_kept_for_as_long_as_the_settings_say() {
    let with_age = |garbage_age| {
        let environment = Environment { garbage_age, ..Environment::default() };
        Server::within(environment, |config| {
            config.janitor_interval = Duration::from_secs(1);
            config.garbage_age = Duration::from_secs(3600);
        })
    };
    let keeps = with_age(None).await;
    // The janitor that shows how long to wait.
    let drops = with_age(Some(Duration::ZERO)).await;
    for server in [&keeps, &drops] {
        for seed in [1, 2] {
            assert_eq!(server.put("k", &noise(20_000, seed)).await.status, 200);
        }
    }
    let began = Instant::now();
    while files(&drops) > 1 {
        assert!(began.elapsed() < Duration::from_secs(15), "it is kept for ever");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(files(&keeps), 2);
}

//! Disks that are full, break or may not be written, and blobs that nobody will ever name.

use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use vodferry_oss::sign::sign_v1;
use vodferry_oss::{Method, Response, ServiceError};
use vodferry_server::store::{Fs, FsFile, RealFs};
use vodferry_server::{Environment, serve};

use crate::support::{
    BUCKET, Build, Server, Upload, config, exchange, files, noise, now_ms, read_response, refused,
    wire,
};

/// What fails, and how; shared with the test.
pub(crate) type Fault = Arc<Mutex<Option<(&'static str, io::ErrorKind)>>>;

/// The real disk until a fault is set.
struct FaultyFs(Fault);

struct FaultyFile(Fault, Box<dyn FsFile>);

fn check(fault: &Fault, doing: &str) -> io::Result<()> {
    match *fault.lock().unwrap() {
        Some((what, kind)) if what == doing => Err(kind.into()),
        _ => Ok(()),
    }
}

impl Fs for FaultyFs {
    fn create(&self, path: &Path) -> io::Result<Box<dyn FsFile>> {
        check(&self.0, "create")?;
        Ok(Box::new(FaultyFile(self.0.clone(), RealFs.create(path)?)))
    }
    fn open(&self, path: &Path) -> io::Result<Box<dyn FsFile>> {
        RealFs.open(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        check(&self.0, "rename")?;
        RealFs.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        RealFs.remove(path)
    }
    fn make_folder(&self, path: &Path) -> io::Result<()> {
        check(&self.0, "make folder")?;
        RealFs.make_folder(path)
    }
    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        check(&self.0, "sync folder")?;
        RealFs.sync_folder(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        RealFs.list(path)
    }
    fn look(&self, path: &Path) -> io::Result<(u64, SystemTime)> {
        RealFs.look(path)
    }
    fn free(&self, path: &Path) -> io::Result<u64> {
        check(&self.0, "free").map_or(Ok(0), |()| RealFs.free(path))
    }
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Send + Sync>>> {
        RealFs.lock(path)
    }
}

impl FsFile for FaultyFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        check(&self.0, "append")?;
        self.1.append(bytes)
    }
    fn sync(&mut self) -> io::Result<()> {
        check(&self.0, "sync")?;
        self.1.sync()
    }
    fn read(&mut self, start: u64, into: &mut [u8]) -> io::Result<usize> {
        self.1.read(start, into)
    }
}

pub(crate) async fn faulty() -> (Server, Fault) {
    let fault = Fault::default();
    let environment =
        Environment { fs: Arc::new(FaultyFs(fault.clone())), ..Environment::default() };
    (Server::within(environment, |config| config.durable = true).await, fault)
}

pub(crate) fn is_full(response: &Response) {
    assert_eq!(refused(response, 503), "ServiceUnavailable");
    let message = ServiceError::from_response(response).message;
    assert!(message.contains("disk") && message.contains("full"), "{message}");
}

/// Waits for files that are removed beside the reply.
async fn until_files(server: &Server, count: usize) {
    for _ in 0..200 {
        if files(server) == count {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    panic!("{} files in place of {count}", files(server));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_told_at_every_step_and_forgiven() {
    for step in ["create", "append", "sync", "rename", "make folder", "sync folder"] {
        // A server each, so that its first blob needs its folder.
        let (server, fault) = faulty().await;
        let upload = Upload::begin(&server, server.operator(), "film").await;
        // Not so small that it needs no file.
        let small = noise(20_000, 1);
        let large = noise(900_000, 2);
        *fault.lock().unwrap() = Some((step, io::ErrorKind::StorageFull));
        for bytes in [&small, &large] {
            is_full(&server.put("k", bytes).await);
            let part = upload.request(Method::Put).query("partNumber", "1").body(bytes);
            is_full(&upload.send(part).await);
        }
        until_files(&server, 0).await;
        *fault.lock().unwrap() = None;
        let one = upload.part(1, &large).await;
        *fault.lock().unwrap() = Some((step, io::ErrorKind::StorageFull));
        if step != "make folder" {
            let again = upload.request(Method::Put).query("partNumber", "1").body(&small);
            is_full(&upload.send(again).await);
        }
        assert_eq!(upload.list().await.parts[0].etag, one, "{step}: an acknowledged part is kept");
        assert_eq!(upload.complete(&[(1, &one)]).await.status, 200, "{step}: it needs no blob");
        assert!(server.get("film").await.body == large, "{step}");
        *fault.lock().unwrap() = None;
        assert_eq!(server.put("k", &small).await.status, 200, "{step}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_breaks_is_an_error_of_the_server() {
    let (server, fault) = faulty().await;
    let (film, other) = (noise(20_000, 1), noise(20_000, 2));
    assert_eq!(server.put("k", &film).await.status, 200);
    for (step, kind) in [
        ("create", io::ErrorKind::ReadOnlyFilesystem),
        ("append", io::ErrorKind::Other),
        ("sync", io::ErrorKind::Other),
        ("rename", io::ErrorKind::ReadOnlyFilesystem),
        ("sync folder", io::ErrorKind::Other),
    ] {
        *fault.lock().unwrap() = Some((step, kind));
        assert_eq!(refused(&server.put("k", &other).await, 500), "InternalError", "{step}");
        assert!(server.get("k").await.body == film, "{step}");
    }
    *fault.lock().unwrap() = None;
    until_files(&server, 1).await;
    assert_eq!(server.put("k", &other).await.status, 200);
}

/// The bytes arrive, and meanwhile the answer has become no, for good.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blob_that_was_refused_for_good_is_removed_at_once() {
    // With a file, and without.
    for length in [20_000, 4] {
        refused_late(&noise(length, 1), usize::from(length > 4)).await;
    }
}

/// `kept`: the files of what is not refused.
async fn refused_late(half: &[u8], kept: usize) {
    let server = Server::start().await;
    let whole = (2 * half.len()).to_string();
    let begin = async |request: vodferry_oss::Request, key: &str| {
        let mut request = request.with("content-length", &whole).body(half);
        sign_v1(&mut request, BUCKET, key, &server.operator(), now_ms());
        let mut stream = TcpStream::connect(server.addr()).await.unwrap();
        stream.write_all(&wire(&request)).await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        stream
    };
    let end = async |mut stream: TcpStream| {
        stream.write_all(half).await.unwrap();
        read_response(&mut stream, false).await.unwrap()
    };
    let put = server.request(Method::Put, "k").with("x-oss-forbid-overwrite", "true");
    let late = begin(put, "k").await;
    assert_eq!(server.put("k", half).await.status, 200);
    assert_eq!(refused(&end(late).await, 409), "FileAlreadyExists");
    assert_eq!(files(&server), kept);

    let upload = Upload::begin(&server, server.operator(), "k").await;
    let late = begin(upload.request(Method::Put).query("partNumber", "1"), "k").await;
    assert_eq!(upload.send(upload.request(Method::Delete)).await.status, 204);
    assert_eq!(refused(&end(late).await, 404), "NoSuchUpload");
    assert_eq!(files(&server), kept);
    assert!(server.get("k").await.body == half);
}

/// A small file system of its own, where the machine permits it.
pub(crate) struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// None, with a word of it, where the machine does not.
    pub(crate) fn mount(size: &str) -> Option<SmallDisk> {
        let folder = tempfile::tempdir().unwrap();
        let options = format!("size={size}");
        let mounted =
            SmallDisk::run(&["mount", "-t", "tmpfs", "-o", &options, "tmpfs"], folder.path());
        if !mounted {
            let why = "this machine mounts no file system for a test";
            vodferry_testkit::skip::skipped("a full disk", why);
        }
        mounted.then_some(SmallDisk(folder))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        // The thread of a database that was closed lets go of it a moment later.
        let again = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while !SmallDisk::run(&["mount", "-o", &options], self.0.path()) {
            assert!(std::time::Instant::now() < again, "cannot mount with {options}");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    fn run(words: &[&str], path: &Path) -> bool {
        let run = Command::new(words[0]).args(&words[1..]).arg(path).output();
        run.is_ok_and(|ran| ran.status.success())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        SmallDisk::run(&["umount", "-l"], self.0.path());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_really_full() {
    let Some(disk) = SmallDisk::mount("4m") else { return };
    let data = disk.path().join("data");
    let server = Server::with(|config| {
        config.data.clone_from(&data);
        config.durable = true;
        config.free_space = 1 << 20;
        // To its last byte.
        config.reserved_space = 0;
    })
    .await;
    let upload = Upload::begin(&server, server.operator(), "film").await;
    let bytes = |number: u32| noise(100_000, number.into());
    let (mut kept, mut refusals) = (Vec::new(), 0);
    for number in 1..=60 {
        let part = upload.request(Method::Put).query("partNumber", &number.to_string());
        let response = upload.send(part.body(&bytes(number))).await;
        if response.status == 200 {
            kept.push((number, response.header("etag").unwrap().trim_matches('"').to_owned()));
        } else {
            is_full(&response);
            refusals += 1;
        }
    }
    assert!(kept.len() > 20 && refusals > 10, "{} {refusals}", kept.len());
    // What needs no file needs room in the database.
    let small = |n: u64| noise(12_000, 1000 + n);
    let (mut kept_small, mut refused_small) = (Vec::new(), 0);
    for n in 0..100 {
        let response = server.put(&n.to_string(), &small(n)).await;
        if response.status == 200 {
            kept_small.push(n);
        } else {
            is_full(&response);
            refused_small += 1;
        }
    }
    assert!(refused_small > 10, "{refused_small} refused, {} kept", kept_small.len());
    let ready = async || {
        let head = b"GET /health/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        exchange(server.addr(), Method::Get, head).await.status
    };
    assert_eq!(ready().await, 503, "no free space");
    let listed: Vec<u32> = upload.list().await.parts.iter().map(|part| part.number).collect();
    assert_eq!(listed, kept.iter().map(|(number, _)| *number).collect::<Vec<_>>());

    disk.remount("size=64m");
    assert_eq!(ready().await, 200);
    kept.push((61, upload.part(61, &bytes(61)).await));
    let list: Vec<(u32, &str)> = kept.iter().map(|(n, etag)| (*n, etag.as_str())).collect();
    assert_eq!(upload.complete(&list).await.status, 200);
    let whole: Vec<u8> = kept.iter().flat_map(|(number, _)| bytes(*number)).collect();
    assert!(server.get("film").await.body == whole);
    assert_eq!(server.put("100", &small(100)).await.status, 200);
    kept_small.push(100);
    for n in 0..101 {
        let got = server.get(&n.to_string()).await;
        let there = got.status == 200 && got.body == small(n);
        assert_eq!(there, kept_small.contains(&n), "{n}: {}", got.status);
    }

    // A disk that may not be written: no start, and the file is named.
    server.running.shutdown().await;
    disk.remount("ro");
    let again = || serve(config(&data));
    let error = again().await.unwrap_err();
    let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    assert!(error.to_string().contains(data.to_str().unwrap()), "{error}");
    assert!(cause.to_lowercase().contains("read-only"), "{error}: {cause}");
    disk.remount("rw");
    again().await.unwrap();
}

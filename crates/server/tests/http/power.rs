//! The power fails under the whole server while clients upload over HTTP, and nothing that was answered 2xx is lost.
//!
//! The model is that of the store's own test, which tells how it works: blobs on a file system in memory that loses or reorders what was
//! not synced, the database copied at one moment. Here requests come through sockets, signatures and handlers, so that an answer that
//! leaves too early is found wherever it leaves. `POWER_ROUNDS=200` is the long form.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tempfile::TempDir;
use vodferry_oss::etag::{etag_of_md5, md5, normalise};
use vodferry_oss::sign::sign_v1;
use vodferry_oss::xml::{
    CompleteMultipartUpload, CompletePart, InitiateMultipartUploadResult, ListPartsResult,
};
use vodferry_oss::{Credential, Method, Request, Response};
use vodferry_server::keys::Keys;
use vodferry_server::store::{FsckOptions, fsck};
use vodferry_server::{Config, Environment, Running, serve_in};

use crate::power_fs::{Lie, PowerFs};
use crate::random::Random;
use crate::support::{
    BUCKET, Build, Server, config, exchange, noise, now_ms, operator, text, wire,
};

const CLIENTS: usize = 6;
const DATABASE: &str = "meta.sqlite";
const KEYS: &str = "keys.toml";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn power_losses_under_the_server_lose_nothing_acknowledged() {
    let rounds = std::env::var("POWER_ROUNDS").map_or(12, |text| text.parse().unwrap());
    let mut acknowledged = 0;
    for seed in 1..=rounds {
        let kept = round(seed, Lie::None).await;
        acknowledged += kept.unwrap_or_else(|what| panic!("seed {seed}: {what}"));
    }
    println!("{rounds} power losses, {acknowledged} acknowledgements kept");
    assert!(acknowledged > 10 * rounds as usize, "only {acknowledged}: too few to prove anything");
}

/// Without a sync some round finds that something is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_that_lies_under_the_server_is_found() {
    for (lie, name) in [(Lie::Data, "data"), (Lie::Names, "names"), (Lie::Folders, "folders")] {
        let mut found = None;
        for seed in 1..=40 {
            if let Err(what) = round(seed, lie).await {
                found = Some(what);
                break;
            }
        }
        println!("{name}: {}", found.unwrap_or_else(|| panic!("nobody missed the sync of {name}")));
    }
}

/// What was asked for and what was answered, by key.
type Ledger = Arc<Mutex<BTreeMap<String, Voyage>>>;

#[derive(Clone, Default)]
struct Voyage {
    content: Vec<u8>,
    id: Option<String>,
    /// Acknowledged: number, ETag and length.
    parts: BTreeMap<u32, (String, u64)>,
    completing: bool,
    completed: bool,
    deleting: bool,
    deleted: bool,
}

/// One life of a server, the end of its power, and a look at what is left; how much had been acknowledged.
async fn round(seed: u64, lie: Lie) -> Result<usize, String> {
    let mut random = Random::new(seed);
    let before = TempDir::new().unwrap();
    let root = before.path().to_owned();
    // A start is so few instructions that it would hardly ever be hit.
    let instructions = if random.one_in(6) { 1 + random.below(6) } else { 1 + random.below(560) };
    let fs = PowerFs::new(&root, random.next(), instructions, lie);
    let server = start(&fs, &root).await?;
    let ledger = Ledger::default();
    let mut tasks = tokio::task::JoinSet::new();
    if let Some(server) = &server {
        let keys = Keys::load(&root.join(KEYS)).unwrap();
        for number in 0..CLIENTS {
            let who = operator(&keys);
            let client = Client { addr: server.addr(), who, ledger: ledger.clone() };
            let random = Random::new(random.next());
            tasks.spawn(async move { client.sail(number, random).await });
        }
    }
    let began = Instant::now();
    while !fs.is_dead() {
        assert!(began.elapsed() < Duration::from_secs(120), "seed {seed}: the power never fails");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let again = TempDir::new().unwrap();
    let promised = {
        let ledger = ledger.lock().unwrap();
        copy_database(&root, again.path(), &mut random);
        ledger.clone()
    };
    tasks.shutdown().await;
    if let Some(server) = server {
        server.shutdown().await;
    }
    copy_keys(&root, again.path());

    // The power is back, and fails again while the server starts or its janitor works.
    let second = fs.come_back(&root, again.path(), 1 + random.below(20));
    let server = start(&second, again.path()).await?;
    if let Some(server) = server {
        tokio::time::sleep(Duration::from_millis(50)).await;
        second.cut();
        server.shutdown().await;
    }
    let after = TempDir::new().unwrap();
    copy_database(again.path(), after.path(), &mut random);
    copy_keys(again.path(), after.path());
    second.survivors(again.path(), after.path());
    if !after.path().join(DATABASE).exists() {
        // Both ended before there was one.
        assert!(promised.is_empty());
        Server::with(|config| config.data = after.path().to_owned()).await;
        return Ok(0);
    }

    let whole = FsckOptions { verify_hashes: true, ..FsckOptions::default() };
    let report = fsck(after.path(), whole).map_err(|error| error.to_string())?;
    if !report.is_clean() {
        return Err(report.to_string());
    }
    let server = Server::with(|config| config.data = after.path().to_owned()).await;
    let mut acknowledged = 0;
    for (key, voyage) in &promised {
        acknowledged += voyage.check(&server, key).await?;
    }
    server.running.shutdown().await;
    let report = fsck(after.path(), whole).map_err(|error| error.to_string())?;
    if report.is_clean() { Ok(acknowledged) } else { Err(format!("afterwards: {report}")) }
}

/// A server whose blobs are on `fs`; none if the power fails before it has started.
async fn start(fs: &PowerFs, data: &Path) -> Result<Option<Running>, String> {
    // Deletes at once what clients replaced while they go on.
    let garbage_age = Some(Duration::ZERO);
    let environment =
        Environment { fs: Arc::new(fs.clone()), garbage_age, ..Environment::default() };
    let janitor_interval = Duration::from_millis(100);
    let config = Config { durable: true, janitor_interval, ..config(data) };
    match serve_in(config, environment).await {
        Ok(running) => Ok(Some(running)),
        Err(_) if fs.is_dead() => Ok(None),
        Err(error) => Err(format!("the server does not start: {error}")),
    }
}

impl Voyage {
    /// How much of it was acknowledged and is there; what was acknowledged and is not, is an error.
    async fn check(&self, server: &Server, key: &str) -> Result<usize, String> {
        let acknowledged = self.parts.len() + usize::from(self.completed);
        let got = server.get(key).await;
        if got.status == 200 {
            let expected = self.completing && !self.deleted && got.body == self.content;
            return if expected { Ok(acknowledged) } else { Err(format!("{key} is not itself")) };
        }
        if self.deleting && got.status == 404 {
            return Ok(acknowledged);
        }
        if got.status != 404 || self.completed {
            return Err(format!("{key} is lost: {}", text(&got)));
        }
        let Some(id) = &self.id else { return Ok(0) };
        let list = server.request(Method::Get, key).query("uploadId", id);
        let listed = server.send(key, list).await;
        if listed.status != 200 {
            return Err(format!("the upload of {key} is lost: {}", text(&listed)));
        }
        let listed = ListPartsResult::decode(&listed.body).unwrap();
        for (number, (etag, length)) in &self.parts {
            let found = listed.parts.iter().find(|part| part.number == *number);
            let found = found.map(|part| (normalise(&part.etag), part.size));
            if found.as_ref() != Some(&(etag.clone(), *length)) {
                return Err(format!("part {number} of {key} is lost: {found:?}"));
            }
        }
        Ok(acknowledged)
    }
}

struct Client {
    addr: std::net::SocketAddr,
    who: Credential,
    ledger: Ledger,
}

impl Client {
    /// Uploads and deletes until something is refused.
    async fn sail(&self, number: usize, mut random: Random) {
        let mut last: Option<String> = None;
        for turn in 0.. {
            let key = format!("{number}/{turn}");
            let done = match last.take() {
                Some(old) if random.one_in(3) => self.delete(&old).await,
                _ if random.one_in(2) => self.put(&key, &mut random).await,
                _ => self.upload(&key, &mut random).await,
            };
            if done.is_none() {
                return;
            }
            if self.ledger.lock().unwrap().get(&key).is_some_and(|voyage| voyage.completed) {
                last = Some(key);
            }
        }
    }

    async fn put(&self, key: &str, random: &mut Random) -> Option<()> {
        let content = noise(length(random), random.next());
        self.note(key, |voyage| {
            voyage.content = content.clone();
            voyage.completing = true;
        });
        self.ask(Method::Put, key, &[], &content).await?;
        self.note(key, |voyage| voyage.completed = true);
        Some(())
    }

    async fn delete(&self, key: &str) -> Option<()> {
        self.note(key, |voyage| voyage.deleting = true);
        self.ask(Method::Delete, key, &[], b"").await?;
        self.note(key, |voyage| voyage.deleted = true);
        Some(())
    }

    async fn upload(&self, key: &str, random: &mut Random) -> Option<()> {
        let begun = self.ask(Method::Post, key, &[("uploads", "")], b"").await?;
        let id = InitiateMultipartUploadResult::decode(&begun.body).unwrap().upload_id;
        self.note(key, |voyage| voyage.id = Some(id.clone()));
        let mut parts = Vec::new();
        for number in 1..=1 + random.below(4) as u32 {
            let part = noise(1 + length(random), random.next());
            let text = number.to_string();
            let query = [("partNumber", text.as_str()), ("uploadId", id.as_str())];
            self.ask(Method::Put, key, &query, &part).await?;
            let etag = etag_of_md5(&md5(&part));
            self.note(key, |voyage| {
                voyage.parts.insert(number, (etag.clone(), part.len() as u64));
                voyage.content.extend(&part);
            });
            parts.push(CompletePart { number, etag });
        }
        if random.one_in(4) {
            return Some(());
        }
        self.note(key, |voyage| voyage.completing = true);
        let list = CompleteMultipartUpload { parts }.encode();
        self.ask(Method::Post, key, &[("uploadId", &id)], list.as_bytes()).await?;
        self.note(key, |voyage| voyage.completed = true);
        Some(())
    }

    fn note(&self, key: &str, change: impl FnOnce(&mut Voyage)) {
        change(self.ledger.lock().unwrap().entry(key.into()).or_default());
    }

    /// `None` when it is refused, as everything is once the power is off.
    async fn ask(
        &self,
        method: Method,
        key: &str,
        query: &[(&str, &str)],
        body: &[u8],
    ) -> Option<Response> {
        let mut request = Request {
            method,
            scheme: "http".into(),
            authority: self.addr.to_string(),
            path: format!("/{BUCKET}/{key}"),
            query: query.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect(),
            headers: Vec::new(),
            body: body.to_vec(),
        };
        sign_v1(&mut request, BUCKET, key, &self.who, now_ms());
        let reply = exchange(self.addr, method, &wire(&request)).await;
        if matches!(reply.status, 200 | 204) {
            return Some(reply);
        }
        assert!(reply.status >= 500, "{}", text(&reply));
        None
    }
}

/// Of small bodies as often as of those that need a file.
fn length(random: &mut Random) -> usize {
    if random.one_in(2) { random.below(9000) } else { 17_000 + random.below(9000) }
}

/// Nothing where a start ended before there was one.
fn copy_keys(from: &Path, to: &Path) {
    if from.join(KEYS).exists() {
        std::fs::copy(from.join(KEYS), to.join(KEYS)).unwrap();
    }
}

fn copy_database(from: &Path, to: &Path, random: &mut Random) {
    if !from.join(DATABASE).exists() {
        return;
    }
    let pin = Connection::open(from.join(DATABASE)).unwrap();
    pin.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema").unwrap();
    let log = format!("{DATABASE}-wal");
    // While a reader is there, the log only grows, or the file stays as it is.
    std::fs::copy(from.join(DATABASE), to.join(DATABASE)).unwrap();
    let mut bytes = std::fs::read(from.join(&log)).unwrap();
    let torn = random.below(9000);
    bytes.extend(random.bytes(torn));
    std::fs::write(to.join(&log), bytes).unwrap();
    pin.execute_batch("COMMIT").unwrap();
}

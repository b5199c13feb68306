//! One long upload over a network that loses one request in a hundred and stands still for seconds, while its credential dies twice.
//!
//! `SIZE_MB=2048` makes it as long as it is meant; 64 by default. `SEED=…` repeats the content and what is lost.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::content::{Chance, assert_same_bytes};
use crate::common::ledger::{self, Acknowledged};
use crate::common::observer::{Observer, Verdict};
use crate::common::{Process, Server, TestEnv, bytes};
use vodferry::{
    AppServer, Authorizer, Event, GrantRequest, Media, Options, Proxy as HttpProxy, Uploader,
};
use vodferry_testkit::net::proxy::{Faults, Proxy};

/// Seconds that a credential lives.
const LIFE: u64 = 6;
/// Seconds that the upload takes at least, by its limit: two lives and a bit.
const LEAST: u64 = 16;
/// How long nothing passes.
const STALL: Duration = Duration::from_secs(5);
const PART: u64 = 256 << 10;

fn size() -> u64 {
    let mib = std::env::var("SIZE_MB").map_or(64, |mib| mib.parse().expect("SIZE_MB is a number"));
    mib << 20
}

/// Client, observer, proxy, server. The observer loses requests and replies, the proxy stands still.
struct Passage {
    env: TestEnv,
    observer: Observer,
    proxy: Proxy,
    server: Server,
    film: PathBuf,
    size: u64,
    /// Requests and replies that were lost on purpose.
    cuts: Arc<AtomicU64>,
}

impl Passage {
    fn new() -> Passage {
        let env = TestEnv::new();
        let observer = Observer::new();
        let life = LIFE.to_string();
        let server = env.serve(&["--public-endpoint", &observer.url, "--credential-life", &life]);
        let proxy = Proxy::open(server.address(), Faults::None).unwrap();
        observer.forward_to(&proxy.address().to_string());
        let mut chance = Chance::from_env();
        let film = env.path("film.mp4");
        let size = size();
        let mut file = File::create(&film).unwrap();
        for _ in 0..size >> 20 {
            file.write_all(&bytes(chance.between(1, 1 << 40), 1 << 20)).unwrap();
        }
        // One in a hundred, half of them on the way there and half on the way back, from a place of chance on.
        let cuts = Arc::new(AtomicU64::new(0));
        let every = |first: u64| {
            let (count, cuts) = (AtomicU64::new(first), cuts.clone());
            move || match count.fetch_add(1, Ordering::SeqCst) % 200 {
                0 => {
                    cuts.fetch_add(1, Ordering::SeqCst);
                    Verdict::Cut
                }
                _ => Verdict::Forward,
            }
        };
        let there = every(chance.between(100, 190));
        let back = every(chance.between(20, 90));
        observer.gate(move |_| there());
        observer.hook(move |_, _| back());
        Passage { env, observer, proxy, server, film, size, cuts }
    }

    /// Stands still twice, a third and two thirds of the way in time.
    fn stall<'scope>(&'scope self, scope: &'scope thread::Scope<'scope, '_>) {
        let proxy = &self.proxy;
        scope.spawn(move || {
            for _ in 0..2 {
                thread::sleep(Duration::from_secs(LEAST / 3));
                proxy.freeze(STALL);
            }
        });
    }

    fn limit(&self) -> u64 {
        self.size / LEAST
    }

    /// What arrived is what was sent, nothing that was acknowledged was sent again, and each loss was told, if only as part of the outage
    /// that it fell into. Gives the number of credentials that were used.
    fn close(
        mut self,
        object: &str,
        crc64: u64,
        acknowledged: BTreeSet<u64>,
        outages: &Outages,
    ) -> usize {
        let back = self.env.path("back.mp4");
        let mut get = self.env.command(&["get", object, "--endpoint", &self.server.url]);
        get.arg("--keys-file").arg(self.server.keys_file()).arg("-o").arg(&back);
        crate::common::Ran::of(&mut get).ok();
        assert_eq!(assert_same_bytes(&self.film, &back), crc64);
        self.server.process.signal("TERM");
        let (code, stderr) = self.server.process.end();
        assert_eq!(code, Some(0), "{stderr}");
        let exchanges = self.observer.exchanges();
        let sent = ledger::check(&exchanges, &Acknowledged::from([(0, acknowledged)]));
        let (lost, count) = (self.cuts.load(Ordering::SeqCst), exchanges.len() as u64);
        println!("{count} exchanges, {lost} lost; {sent:?}; {:?}", self.proxy.counts());
        assert!(lost > 0 && lost + 1 >= count / 100, "the network was too good: {lost} of {count}");
        // Two may fall into one outage; while nothing passes, nothing is lost either, but answers may be late.
        let told = u64::from(outages.count);
        assert!(told * 2 >= lost && told <= lost + 2, "{told} outages told, {lost} requests lost");
        // A credential shows in no path: its key id is in the headers. Each refresh that was answered made one.
        let made = |e: &&crate::common::observer::Exchange| {
            e.path.starts_with("/api/upload-auth") && e.is_ok()
        };
        exchanges.iter().filter(made).count()
    }
}

/// Retry and RetryResume in turn, no acknowledged part between them, each outage closed.
#[derive(Default)]
struct Outages {
    open: bool,
    count: u32,
}

impl Outages {
    fn retry(&mut self) {
        assert!(!self.open, "Retry twice in one outage");
        self.open = true;
        self.count += 1;
    }

    fn resume(&mut self) {
        assert!(self.open, "RetryResume without an outage");
        self.open = false;
    }

    fn part(&self) {
        assert!(!self.open, "a part was acknowledged in an outage that was not told to be over");
    }
}

#[test]
fn an_application_server_that_answers_hides_every_expiry() {
    let passage = Passage::new();
    let limit = passage.limit().to_string();
    let url = &passage.observer.url;
    let part_size = PART.to_string();
    let args = ["upload", "--json", "--server", url, "--limit", &limit, "--part-size", &part_size];
    let mut command = passage.env.command(&args);
    command.arg(&passage.film);
    let mut outages = Outages::default();
    let mut parts = BTreeSet::new();
    let mut done = Vec::new();
    let began = Instant::now();
    thread::scope(|scope| {
        passage.stall(scope);
        let mut client = Process::spawn(command);
        while let Some(line) = client.next_event() {
            match line.event.as_str() {
                "retry" => outages.retry(),
                "retry_resume" => outages.resume(),
                "part" => {
                    outages.part();
                    assert!(parts.insert(line.number("number")), "acknowledged twice: {line:?}");
                }
                "succeeded" => done.push(line),
                "token_expired" | "failed" => panic!("{line:?}"),
                _ => {}
            }
        }
        assert_eq!(client.end().0, Some(0));
    });
    let took = began.elapsed();
    assert_eq!((done.len(), outages.open), (1, false));
    assert_eq!(parts.len() as u64, passage.size.div_ceil(PART));
    let object = format!("{}/{}", done[0].text("bucket"), done[0].text("key"));
    assert_eq!(done[0].number("bytes"), passage.size);
    let crc64 = done[0].text("crc64").parse().unwrap();
    let credentials = passage.close(&object, crc64, parts, &outages);
    println!("{credentials} credentials, {} outages, {took:.1?}", outages.count);
    assert!(credentials >= 3, "{credentials} credentials: none had to die");
}

#[test]
fn without_an_authorizer_each_expiry_is_told_once() {
    let passage = Passage::new();
    let keys = std::fs::read_to_string(passage.server.keys_file()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let told = thread::scope(|scope| {
        passage.stall(scope);
        runtime.block_on(pushed_by_hand(&passage, &keys))
    });
    drop(runtime);
    let (expired, outages) = (told.expired, told.outages);
    assert_eq!(told.parts.len() as u64, passage.size.div_ceil(PART));
    let size = passage.size;
    let credentials = passage.close(&told.object, told.crc64.unwrap(), told.parts, &outages);
    println!(
        "{size} bytes: {expired} expiries, {} outages, {credentials} credentials by the server",
        outages.count
    );
    assert!(expired >= 2, "{expired} credentials died");
    assert!(!outages.open);
}

struct Told {
    expired: u32,
    outages: Outages,
    parts: BTreeSet<u64>,
    object: String,
    crc64: Option<u64>,
}

/// An application that hands over a credential when it is told that there is none, and only then.
async fn pushed_by_hand(passage: &Passage, keys: &str) -> Told {
    let token = keys.lines().find_map(|line| line.strip_prefix("app_server_token = "));
    let token = token.expect("the keys file has a token").trim_matches('"').to_owned();
    let app = AppServer::new(&passage.server.url).unwrap().bearer(token.as_str());
    let mut options = Options::default();
    options.record_dir = Some(passage.env.path("records"));
    options.proxy = HttpProxy::Direct;
    options.limit = passage.limit();
    options.part_size = PART;
    let uploader = Uploader::builder().options(options).build().unwrap();
    let mut events = uploader.events();
    let file = uploader.add(Path::new(&passage.film)).unwrap();
    uploader.start();
    let mut told = Told {
        expired: 0,
        outages: Outages::default(),
        parts: BTreeSet::new(),
        object: String::new(),
        crc64: None,
    };
    let (mut waits, mut handed) = (false, Instant::now());
    while let Some(event) = events.next().await {
        match event {
            Event::Started { .. } => {
                let media = Media::default();
                let request = GrantRequest::create("film.mp4", "film", passage.size, media);
                handed = Instant::now();
                uploader.authorize(file, app.authorize(request).await.unwrap()).unwrap();
            }
            Event::TokenExpired { video_id, .. } => {
                assert!(!waits, "one expiry was told twice");
                // Dates are in whole seconds. Told earlier, it would be the refusal of the credential before this one.
                let lived = handed.elapsed();
                assert!(lived >= Duration::from_secs(LIFE - 1), "it lived for {lived:?} only");
                told.expired += 1;
                handed = Instant::now();
                let request = GrantRequest::refresh(video_id, None);
                uploader.authorize(file, app.authorize(request).await.unwrap()).unwrap();
                waits = true;
            }
            Event::Retry { .. } => told.outages.retry(),
            Event::RetryResume { .. } => told.outages.resume(),
            Event::PartAcknowledged { part, .. } => {
                told.outages.part();
                waits = false;
                assert!(told.parts.insert(part.number.into()), "acknowledged twice: {part:?}");
            }
            Event::Succeeded { target, object, .. } => {
                assert!(told.object.is_empty(), "it succeeded twice");
                told.object = format!("{}/{}", target.bucket, target.key);
                told.crc64 = object.crc64;
            }
            Event::Failed { error, .. } => panic!("{error:?}"),
            Event::Ended { .. } => break,
            _ => {}
        }
    }
    uploader.close().await;
    told
}

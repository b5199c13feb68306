//! Load on a server by the real client: uploads that finish, that are stopped and go on, that are begun and abandoned.
//!
//! `load SERVER FOLDER SECONDS`, with the operator's key in `VODFERRY_ACCESS_KEY_ID` and `VODFERRY_ACCESS_KEY_SECRET`: finished
//! objects are fetched with it and compared by length and CRC64. A line every ten seconds; the exit code says whether every
//! upload ended as it should. `VERBOSE=1` tells each outage. `WORKERS` (8) are busy at a time, each with at most `RATE` (400,000) bytes per second; `SEED`
//! (1) draws what they do.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use crc_fast::{CrcAlgorithm, Digest};
use vodferry::{
    AppServer, Credential, Download, Event, FileState, Http, Options, Secret, Target, Uploader,
    http_client, presigned_url,
};
use vodferry_testkit::rng::Rng;

/// Bytes of a part: the least that the service takes, so that there are many.
const PART: u64 = 102_400;
/// Bytes of the largest file.
const LARGEST: u64 = 3 << 20;
/// No upload takes longer.
const LONGEST: Duration = Duration::from_secs(120);

/// Errors of any kind, as text.
type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// What all workers share.
struct Shared {
    server: String,
    operator: Credential,
    http: Arc<dyn Http>,
    folder: PathBuf,
    rate: u64,
    verbose: bool,
    until: Instant,
    counts: Counts,
}

/// What was done so far.
#[derive(Default)]
struct Counts {
    finished: AtomicU64,
    stopped: AtomicU64,
    abandoned: AtomicU64,
    bytes: AtomicU64,
    parts: AtomicU64,
    outages: AtomicU64,
}

/// What becomes of an upload.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Plan {
    /// It goes through.
    Finish,
    /// It is stopped half-way and goes on.
    Stop,
    /// Its uploader dies half-way; another one, with the same records, goes on.
    Die,
    /// It is begun, and nobody comes back.
    Abandon,
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(server), Some(folder), Some(seconds)) =
        (arguments.next(), arguments.next(), arguments.next())
    else {
        return Err("usage: load SERVER FOLDER SECONDS".into());
    };
    let key = |name: &str| std::env::var(name).map_err(|_| format!("{name} is not set"));
    let operator = Credential {
        access_key_id: key("VODFERRY_ACCESS_KEY_ID")?,
        access_key_secret: Secret::new(key("VODFERRY_ACCESS_KEY_SECRET")?),
        security_token: None,
    };
    let shared = Arc::new(Shared {
        server,
        operator,
        http: http_client(&Options::default())?,
        folder: PathBuf::from(folder),
        rate: number("RATE", 400_000),
        verbose: number("VERBOSE", 0) > 0,
        until: Instant::now() + Duration::from_secs(seconds.parse()?),
        counts: Counts::default(),
    });
    let mut workers = tokio::task::JoinSet::new();
    for worker in 0..number("WORKERS", 8) {
        workers.spawn(work(shared.clone(), worker));
    }
    let teller = tokio::spawn(tell(shared.clone()));
    let mut failed = None;
    while let Some(ended) = workers.join_next().await {
        if let Err(error) = ended? {
            eprintln!("error: {error}");
            failed = Some(error);
        }
    }
    teller.abort();
    println!("load: {}", shared.counts.line());
    match failed {
        Some(error) => Err(error),
        None if shared.counts.finished.load(Ordering::Relaxed) == 0 => {
            Err("nothing was uploaded".into())
        }
        None => Ok(()),
    }
}

async fn work(shared: Arc<Shared>, worker: u64) -> Outcome<()> {
    let mut rng = Rng::new(number("SEED", 1) << 8 | worker);
    let plans = [(Plan::Finish, 5), (Plan::Stop, 2), (Plan::Die, 2), (Plan::Abandon, 2)];
    while Instant::now() < shared.until {
        let place = shared.folder.join(format!("worker-{worker}"));
        std::fs::create_dir_all(&place)?;
        let plan = rng.weighted(&plans);
        let length = if rng.chance(100) { rng.below(PART) } else { rng.between(PART, LARGEST) };
        let source = place.join("source.mp4");
        let crc = write(&source, length, &mut rng)?;
        let pause = Duration::from_millis(rng.between(20, 1_500));
        let voyage = voyage(&shared, &source, plan, pause, length, crc);
        match tokio::time::timeout(LONGEST, voyage).await {
            Ok(ended) => ended?,
            Err(_) => {
                return Err(
                    format!("an upload of {length} bytes took more than {LONGEST:?}").into()
                );
            }
        }
        // With it go the records of what was abandoned.
        std::fs::remove_dir_all(&place)?;
    }
    Ok(())
}

async fn voyage(
    shared: &Shared,
    source: &Path,
    plan: Plan,
    pause: Duration,
    length: u64,
    crc: u64,
) -> Outcome<()> {
    let uploader = uploader(shared, source)?;
    uploader.add(source)?;
    uploader.start();
    let uploader = match plan {
        Plan::Finish => uploader,
        Plan::Stop => {
            tokio::time::sleep(pause).await;
            uploader.stop();
            uploader.start();
            add(&shared.counts.stopped, 1);
            uploader
        }
        Plan::Die | Plan::Abandon => {
            tokio::time::sleep(pause).await;
            uploader.close().await;
            if plan == Plan::Abandon {
                add(&shared.counts.abandoned, 1);
                return Ok(());
            }
            add(&shared.counts.stopped, 1);
            let again = self::uploader(shared, source)?;
            again.add(source)?;
            again.start();
            again
        }
    };
    let mut events = uploader.events();
    let counting = async {
        while let Some(event) = events.next().await {
            match event {
                Event::PartAcknowledged { .. } => add(&shared.counts.parts, 1),
                Event::Ended { .. } => break,
                Event::Retry { error, .. } => {
                    add(&shared.counts.outages, 1);
                    if shared.verbose {
                        eprintln!("outage: {}: {}", error.code, error.message);
                    }
                }
                _ => {}
            }
        }
    };
    // Stopped when it was over already, a run of nothing may have ended before anybody listened.
    tokio::select! {
        () = counting => {}
        _ = uploader.wait() => {}
    }
    let file = uploader.files().into_iter().next().ok_or("the file is not in the list")?;
    if file.state != FileState::Succeeded {
        return Err(
            format!("a file of {length} bytes is {:?}: {:?}", file.state, file.error).into()
        );
    }
    let target = file.target.ok_or("a file that succeeded has no target")?;
    uploader.close().await;
    verify(shared, &target, length, crc).await?;
    add(&shared.counts.finished, 1);
    add(&shared.counts.bytes, length);
    Ok(())
}

fn uploader(shared: &Shared, source: &Path) -> Outcome<Uploader> {
    let mut options = Options::default();
    options.part_size = PART;
    options.parallel = 3;
    options.limit = shared.rate;
    options.record_dir = source.parent().map(|place| place.join("records"));
    let authorizer = AppServer::new(&shared.server)?;
    Ok(Uploader::builder().options(options).authorizer(authorizer).build()?)
}

/// Fetches the object and compares it with what was sent.
async fn verify(shared: &Shared, target: &Target, length: u64, crc: u64) -> Outcome<()> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let url = presigned_url(target, &shared.operator, now + 600)?;
    let mut download = Download::open(shared.http.clone(), &url).await?;
    let told = download.crc64();
    let mut digest = Digest::new(CrcAlgorithm::Crc64Xz);
    let mut bytes = 0;
    while let Some(piece) = download.next().await? {
        digest.update(&piece);
        bytes += piece.len() as u64;
    }
    let found = (bytes, digest.finalize(), told);
    if found != (length, crc, Some(crc)) {
        return Err(format!(
            "{} is {found:?}, sent were {length} bytes of CRC64 {crc}",
            target.key
        )
        .into());
    }
    Ok(())
}

/// Writes a file of noise; tells its CRC64.
fn write(path: &Path, length: u64, rng: &mut Rng) -> Outcome<u64> {
    let mut bytes = Vec::with_capacity(length as usize + 8);
    while (bytes.len() as u64) < length {
        bytes.extend_from_slice(&rng.bits().to_le_bytes());
    }
    bytes.truncate(length as usize);
    std::fs::write(path, &bytes)?;
    let mut digest = Digest::new(CrcAlgorithm::Crc64Xz);
    digest.update(&bytes);
    Ok(digest.finalize())
}

async fn tell(shared: Arc<Shared>) {
    let mut every = tokio::time::interval(Duration::from_secs(10));
    every.tick().await;
    loop {
        every.tick().await;
        let left = shared.until.saturating_duration_since(Instant::now()).as_secs();
        println!("load: {}, {left} s left", shared.counts.line());
    }
}

impl Counts {
    fn line(&self) -> String {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        format!(
            "{} uploads verified by CRC64 ({} MB, {} parts), {} stopped and gone on with, {} abandoned, {} outages",
            get(&self.finished),
            get(&self.bytes) / 1_000_000,
            get(&self.parts),
            get(&self.stopped),
            get(&self.abandoned),
            get(&self.outages)
        )
    }
}

fn add(count: &AtomicU64, more: u64) {
    count.fetch_add(more, Ordering::Relaxed);
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

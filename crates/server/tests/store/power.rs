//! Two hundred times the power fails while clients upload, and nothing that was acknowledged is lost.
//!
//! The blobs live on the file system of `power_fs`, which loses or reorders what was not synced. The
//! database lives on the real disk and its durability is SQLite's own: a commit becomes visible to
//! readers only after its log was synced, so what a reader sees at one moment is what a machine would
//! find whose power fails at that moment. The two are tied so:
//!
//! 1. The power of the file system fails at an instruction that the seed chose. From then on no blob
//!    gets on, so every commit that still comes names blobs that were finished before.
//! 2. The ledger of the clients is held, so nothing more is asked for or acknowledged.
//! 3. A reader pins the database's state; the file and its log are copied while it does. The log may
//!    hold more than was visible, and gets a torn tail: an unsynced write that survived in part.
//! 4. A server starts on what survived of the blobs and on the copy, and its power fails again, perhaps
//!    before it has started.
//! 5. What survived of that is written beside a copy of the database, and a server starts on both.
//!
//! Half of the bodies that are small enough are small bodies: rows like the others, which need nothing of
//! the file system.
//!
//! A process may also be killed and leave unsynced what the next one builds upon, before the power fails: that has a
//! test of its own.
//!
//! So the model sees a blob that was not durable before its row, a row whose blob was deleted, and an
//! answer before its commit. It does not see whether SQLite itself syncs: a test beside its settings
//! does.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tempfile::TempDir;
use vodferry_server::store::{
    DiskBlobs, Fs, FsckOptions, JanitorOptions, MetaStore, SqliteOptions, SqliteStore, SweepError,
    discard_unnamed, fsck, sweep,
};

use crate::power_fs::{Lie, PowerFs};
use crate::random::Random;
use crate::voyages::{Client, Ledger};
use crate::{BUCKET, NOW, blob_id, read, write};

const ROUNDS: u64 = 200;
const CLIENTS: usize = 6;
const DATABASE: &str = "meta.sqlite";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_power_losses_lose_nothing_acknowledged() {
    let (mut acknowledged, mut losses) = (0, 0);
    for seed in 1..=ROUNDS {
        let outcome = round(seed, Lie::None).await;
        acknowledged += outcome.unwrap_or_else(|what| panic!("seed {seed}: {what}"));
        losses += 1;
    }
    println!("{losses} power losses, {acknowledged} acknowledgements kept");
    assert!(acknowledged > 10 * ROUNDS as usize, "only {acknowledged}: too few to prove anything");
}

/// Each sync is needed: without it some round finds that something is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_that_lies_is_found() {
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

/// A process that was killed made all folders and synced none; the next one finds them there, is told that its
/// blob is safe, and only then the power fails.
#[tokio::test]
async fn what_a_killed_process_left_unsynced_the_next_one_syncs() {
    let root = Path::new("/data");
    let folders = (0..256).map(|prefix| format!("blobs/{prefix:02x}"));
    let folders: Vec<_> = ["tmp", "blobs"].map(str::to_owned).into_iter().chain(folders).collect();
    for seed in 0..20 {
        let fs = PowerFs::new(root, seed, usize::MAX, Lie::None);
        for folder in &folders {
            fs.make_folder(&root.join(folder)).unwrap();
        }
        let blobs = DiskBlobs::open_on(Arc::new(fs.clone()), root, true).unwrap();
        let blob = write(&blobs, b"film").await;
        fs.cut();
        let after = folder(seed);
        fs.survivors(root, after.path());
        let blobs = DiskBlobs::open(after.path(), false).unwrap();
        let kept = read(&blobs, &blob_id(&blob), 0..4).await;
        assert!(kept.is_ok_and(|bytes| bytes == b"film"), "seed {seed}: the blob is lost");
    }
}

/// One life of a server, the end of its power, and a look at what is left; answers how much had been
/// acknowledged.
async fn round(seed: u64, lie: Lie) -> Result<usize, String> {
    let mut random = Random::new(seed);
    let root = Path::new("/data");
    // A start is so few of them that it would hardly ever be hit.
    let instructions = if random.one_in(8) { 1 + random.below(6) } else { 1 + random.below(520) };
    let fs = PowerFs::new(root, random.next(), instructions, lie);
    let before = folder(seed);
    let options = SqliteOptions { min_part_size: 0, ..SqliteOptions::default() };
    let meta = SqliteStore::open(&before.path().join(DATABASE), options.clone()).unwrap();
    meta.create_bucket(BUCKET, NOW).await.unwrap();
    let meta = Arc::new(meta);
    let ledger: Arc<Mutex<Ledger>> = Arc::default();
    let mut tasks = tokio::task::JoinSet::new();
    let blobs = DiskBlobs::open_on(Arc::new(fs.clone()), root, true);
    if let Ok(blobs) = blobs.map(Arc::new) {
        set_sail(&mut tasks, &blobs, &meta, &ledger, &mut random);
    }
    let began = Instant::now();
    while !fs.is_dead() {
        assert!(began.elapsed() < Duration::from_secs(120), "seed {seed}: the power never fails");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let again = folder(seed);
    let promised = {
        let ledger = ledger.lock().unwrap();
        copy_database(before.path(), again.path(), &mut random);
        ledger.clone()
    };
    tasks.shutdown().await;

    let second = fs.come_back(root, root, 1 + random.below(40));
    recover(&second, root, again.path(), &options, &promised).await?;
    second.cut();
    let after = folder(seed);
    copy_database(again.path(), after.path(), &mut random);
    second.survivors(root, after.path());
    inspect(after.path(), &options, &promised).await?;
    Ok(promised.acknowledged)
}

/// Clients and a janitor, until the power fails.
fn set_sail(
    tasks: &mut tokio::task::JoinSet<()>,
    blobs: &Arc<DiskBlobs>,
    meta: &Arc<SqliteStore>,
    ledger: &Arc<Mutex<Ledger>>,
    random: &mut Random,
) {
    for number in 0..CLIENTS {
        let (blobs, meta, ledger) = (blobs.clone(), meta.clone(), ledger.clone());
        let random = Random::new(random.next());
        tasks.spawn(async move {
            Client { blobs: &*blobs, meta: &*meta, ledger: &ledger, number }.sail(random).await;
        });
    }
    tasks.spawn({
        let (blobs, meta) = (blobs.clone(), meta.clone());
        async move { tidy(&blobs, &meta).await }
    });
}

/// The power is back, and fails again at some instruction of the start or of the janitor's first rounds, if
/// there are so many.
async fn recover(
    fs: &PowerFs,
    root: &Path,
    data: &Path,
    options: &SqliteOptions,
    promised: &Ledger,
) -> Result<(), String> {
    let meta = SqliteStore::open(&data.join(DATABASE), options.clone());
    let meta = meta.map_err(|e| e.to_string())?;
    let blobs = match DiskBlobs::open_on(Arc::new(fs.clone()), root, true) {
        Ok(blobs) => blobs,
        Err(_) if fs.is_dead() => return Ok(()),
        Err(error) => return Err(format!("the second start: {error}")),
    };
    promised.check(&blobs, &meta).await.map_err(|e| format!("after the second start: {e}"))?;
    match tidy_up(&blobs, &meta).await {
        Err(error) if !fs.is_dead() => Err(format!("the janitor of the second start: {error}")),
        _ => Ok(()),
    }
}

/// What a janitor does that finds everything old, but ends no upload.
async fn tidy_up(blobs: &DiskBlobs, meta: &SqliteStore) -> Result<(), SweepError> {
    let eager = JanitorOptions {
        unnamed_age: Duration::ZERO,
        upload_life: Duration::MAX,
        ..JanitorOptions::default()
    };
    discard_unnamed(blobs, meta, &eager, NOW).await?;
    sweep(blobs, meta, &eager, 3 * NOW - 1).await?;
    Ok(())
}

/// A janitor in a hurry: what clients replaced goes at once. What it finds without a name goes on the
/// list with a late date, so that it is refused to those who would name it in the same life.
async fn tidy(blobs: &DiskBlobs, meta: &SqliteStore) {
    let eager = JanitorOptions { unnamed_age: Duration::ZERO, ..JanitorOptions::default() };
    let soon = NOW + 1 + eager.garbage_age.as_millis() as u64;
    loop {
        let swept = sweep(blobs, meta, &eager, soon).await.is_ok();
        if !swept || discard_unnamed(blobs, meta, &eager, 2 * NOW).await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(7)).await;
    }
}

/// The power is back, and stays.
async fn inspect(data: &Path, options: &SqliteOptions, promised: &Ledger) -> Result<(), String> {
    let whole = FsckOptions { verify_hashes: true, ..FsckOptions::default() };
    let check = |when: &str| {
        let report = fsck(data, whole).map_err(|e| format!("{when}: {e}"))?;
        if report.is_clean() { Ok(report) } else { Err(format!("{when}: {report}")) }
    };
    check("at start")?;
    {
        let blobs = DiskBlobs::open(data, false).map_err(|e| e.to_string())?;
        let meta = SqliteStore::open(&data.join(DATABASE), options.clone());
        let meta = meta.map_err(|e| e.to_string())?;
        promised.check(&blobs, &meta).await?;
        tidy_up(&blobs, &meta).await.map_err(|e| e.to_string())?;
        promised.check(&blobs, &meta).await.map_err(|e| format!("after the janitor: {e}"))?;
    }
    let report = check("after the janitor")?;
    match (report.drafts, report.unnamed, report.garbage) {
        (0, 0, 0) => Ok(()),
        left => Err(format!("the janitor left {left:?}")),
    }
}

fn copy_database(from: &Path, to: &Path, random: &mut Random) {
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

/// Memory for most rounds: the model's losses do not depend on how long a sync takes.
fn folder(seed: u64) -> TempDir {
    let memory = Path::new("/dev/shm");
    if !seed.is_multiple_of(8) && memory.is_dir() {
        tempfile::tempdir_in(memory).unwrap()
    } else {
        tempfile::tempdir().unwrap()
    }
}

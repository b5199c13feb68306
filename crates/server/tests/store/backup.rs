//! Backups: what was acknowledged is in them whole, whatever goes on meanwhile.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use vodferry_server::keys::Keys;
use vodferry_server::store::{
    BackupError, BackupOptions, BackupReport, Blob, DiskBlobs, FsckError, FsckOptions,
    JanitorOptions, MetaStore, Object, OpenError, PutObject, SqliteStore, backup, fsck, sweep,
    wall_clock,
};

use crate::{BUCKET, blob_id, read_object, small_parts, write};

/// A data folder whose stores are open, as a server has them.
struct Data {
    folder: TempDir,
    blobs: DiskBlobs,
    meta: SqliteStore,
}

impl Data {
    async fn new() -> Data {
        let folder = tempfile::tempdir().unwrap();
        Keys::open(folder.path()).unwrap();
        let (blobs, meta) = open(folder.path());
        meta.create_bucket(BUCKET, wall_clock()()).await.unwrap();
        Data { folder, blobs, meta }
    }

    async fn put(&self, key: &str, bytes: &[u8]) -> Blob {
        let blob = write(&self.blobs, bytes).await;
        let put = PutObject {
            bucket: BUCKET.into(),
            key: key.into(),
            headers: vec![],
            blob: blob.clone(),
            forbid_overwrite: false,
            now_ms: wall_clock()(),
        };
        self.meta.put_object(put).await.unwrap();
        blob
    }

    fn backup(&self, to: &Path, options: &BackupOptions) -> BackupReport {
        backup(self.folder.path(), to, options).unwrap()
    }
}

fn open(folder: &Path) -> (DiskBlobs, SqliteStore) {
    let blobs = DiskBlobs::open(folder, false).unwrap();
    (blobs, SqliteStore::open(&folder.join("meta.sqlite"), small_parts()).unwrap())
}

async fn bytes(blobs: &DiskBlobs, object: Object) -> Vec<u8> {
    read_object(blobs, &object).await.unwrap()
}

fn path(data: &Path, blob: &Blob) -> PathBuf {
    let id = blob_id(blob);
    data.join("blobs").join(&id.as_str()[..2]).join(id.as_str())
}

/// Nothing is missing, nothing is wrong, and nothing is there that nothing names.
fn is_sound(to: &Path) {
    let report = fsck(to, FsckOptions { verify_hashes: true, repair: false }).unwrap();
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.unnamed, report.drafts), (0, 0), "{report}");
}

const NONE: BackupOptions = BackupOptions { copy: false, previous: None };

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_acknowledged_is_there_whatever_goes_on_meanwhile() {
    let data = Arc::new(Data::new().await);
    let content = |n: usize| vec![n as u8; 1000 + n];
    for n in 0..100 {
        data.put(&format!("stays/{n}"), &content(n)).await;
    }
    let stop = Arc::new(AtomicBool::new(false));
    // Some put, replace and delete, and what they drop is deleted a moment later.
    let churn = |id: usize| {
        let (data, stop) = (data.clone(), stop.clone());
        tokio::spawn(async move {
            for n in 0usize.. {
                if stop.load(Ordering::Relaxed) {
                    return n;
                }
                let key = format!("moves/{id}/{}", n % 7);
                data.put(&key, &vec![id as u8; 500 + n]).await;
                if n % 3 == 0 {
                    data.meta.delete_object(BUCKET, &key, wall_clock()()).await.unwrap();
                }
                let upload =
                    data.meta.initiate(BUCKET, &key, vec![], wall_clock()()).await.unwrap();
                let part = write(&data.blobs, &[n as u8; 100]).await;
                let now_ms = wall_clock()();
                data.meta.put_part(BUCKET, &key, &upload, 1, part, now_ms).await.unwrap();
                if n % 50 > 0 {
                    data.meta.abort(BUCKET, &key, &upload, now_ms).await.unwrap();
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            0
        })
    };
    let churning: Vec<_> = (0..3).map(churn).collect();
    let deleted = Arc::new(AtomicU64::new(0));
    let (swept, stopped, counts) = (data.clone(), stop.clone(), deleted.clone());
    let sweeping = tokio::spawn(async move {
        // Short, so that much is deleted under the backups; longer than one of their passes.
        let garbage_age = Duration::from_secs(1);
        let options = JanitorOptions { garbage_age, ..JanitorOptions::default() };
        while !stopped.load(Ordering::Relaxed) {
            let now_ms = wall_clock()();
            let done = sweep(&swept.blobs, &swept.meta, &options, now_ms).await.unwrap();
            counts.fetch_add(done.blobs, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let backups = tempfile::tempdir().unwrap();
    let mut rounds = 0;
    while rounds < 4 || deleted.load(Ordering::Relaxed) < 300 {
        let round = rounds;
        rounds += 1;
        data.put(&format!("later/{round}"), &content(round)).await;
        let to = backups.path().join(round.to_string());
        let (data, options) = (data.clone(), BackupOptions { copy: round % 2 == 1, ..NONE });
        let report = tokio::task::spawn_blocking({
            let to = to.clone();
            move || data.backup(&to, &options)
        });
        let report = report.await.unwrap();
        assert_eq!(report.problems, Vec::<String>::new());
        assert_eq!(report.copied > 0, round % 2 == 1, "{report}");
        is_sound(&to);
    }
    stop.store(true, Ordering::Relaxed);
    for one in churning {
        assert!(one.await.unwrap() > 0);
    }
    sweeping.await.unwrap();
    // Long after, with the original gone.
    let keys = fs::read(data.folder.path().join("keys.toml")).unwrap();
    drop(Arc::into_inner(data).unwrap());
    for round in 0..rounds {
        let to = backups.path().join(round.to_string());
        is_sound(&to);
        assert_eq!(fs::read(to.join("keys.toml")).unwrap(), keys);
        Keys::load(&to.join("keys.toml")).unwrap();
        let (blobs, meta) = open(&to);
        for n in 0..100 {
            let object = meta.get_object(BUCKET, &format!("stays/{n}")).await.unwrap();
            assert_eq!(bytes(&blobs, object).await, content(n));
        }
        for n in 0..=round {
            let object = meta.get_object(BUCKET, &format!("later/{n}")).await.unwrap();
            assert_eq!(bytes(&blobs, object).await, content(n));
        }
    }
}

#[cfg(unix)]
#[tokio::test]
async fn blobs_are_linked_from_the_folder_or_the_backup_before_unless_copies_are_asked_for() {
    use std::os::unix::fs::MetadataExt;
    let data = Data::new().await;
    let film = data.put("film", b"a film").await;
    let backups = tempfile::tempdir().unwrap();
    let inode = |data: &Path, blob: &Blob| fs::metadata(path(data, blob)).unwrap().ino();
    let of = |name: &str| backups.path().join("made").join(name);

    let linked = data.backup(&of("linked"), &NONE);
    assert_eq!((linked.objects, linked.blobs, linked.bytes, linked.copied), (1, 1, 6, 0));
    assert!(
        linked.to_string().ends_with("1 blobs (0 copied), 0 small bodies, 6 bytes: whole"),
        "{linked}"
    );
    assert_eq!(inode(&of("linked"), &film), inode(data.folder.path(), &film));

    let copied = data.backup(&of("copied"), &BackupOptions { copy: true, previous: None });
    assert_eq!(copied.copied, 1);
    assert_ne!(inode(&of("copied"), &film), inode(data.folder.path(), &film));

    let trailer = data.put("trailer", b"a trailer").await;
    let next = BackupOptions { copy: true, previous: Some(of("copied")) };
    assert_eq!(data.backup(&of("next"), &next).copied, 1);
    assert_eq!(inode(&of("next"), &film), inode(&of("copied"), &film));
    assert_ne!(inode(&of("next"), &trailer), inode(data.folder.path(), &trailer));

    // What the one before has wrong is not taken over.
    fs::remove_file(path(&of("copied"), &film)).unwrap();
    fs::write(path(&of("copied"), &film), b"a fil").unwrap();
    assert_eq!(data.backup(&of("again"), &next).copied, 2);
    // A server on the backup deletes what is its own; the others keep theirs.
    fs::remove_file(path(&of("again"), &trailer)).unwrap();
    for name in ["linked", "next"] {
        is_sound(&of(name));
    }
    let mode = |path: PathBuf| fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!((mode(of("linked")), mode(of("linked").join("keys.toml"))), (0o700, 0o600));
}

#[tokio::test]
async fn what_the_folder_has_lost_is_told_and_the_rest_is_saved() {
    let data = Data::new().await;
    let (lost, cut) = (data.put("lost", b"lost").await, data.put("cut", b"whole").await);
    data.put("film", b"film").await;
    fs::remove_file(path(data.folder.path(), &lost)).unwrap();
    fs::write(path(data.folder.path(), &cut), b"cu").unwrap();
    let backups = tempfile::tempdir().unwrap();
    let to = backups.path().join("new");
    let report = data.backup(&to, &NONE);
    assert_eq!((report.blobs, report.problems.len()), (1, 2), "{report}");
    let text = report.to_string();
    assert!(
        text.contains(&format!("problem: blob {}, part 1 of object", blob_id(&lost))),
        "{text}"
    );
    assert!(
        text.contains("is missing\n") && text.contains("has 2 bytes in place of 5\n"),
        "{text}"
    );
    assert!(text.ends_with(": 2 problems"), "{text}");
    let (blobs, meta) = open(&to);
    let film = meta.get_object(BUCKET, "film").await.unwrap();
    assert_eq!(bytes(&blobs, film).await, b"film");
}

#[tokio::test]
async fn nothing_is_overwritten_and_nothing_is_made_of_nothing() {
    let backups = tempfile::tempdir().unwrap();
    let to = backups.path().join("new");
    let error = backup(backups.path(), &to, &NONE).unwrap_err();
    assert!(matches!(error, BackupError::NoData(_)), "{error}");
    assert!(!to.exists());
    let data = Data::new().await;
    data.put("film", b"film").await;
    data.backup(&to, &NONE);
    let error = backup(data.folder.path(), &to, &NONE).unwrap_err();
    assert!(matches!(&error, BackupError::NotEmpty(path) if *path == to), "{error}");
    is_sound(&to);
    let folder = data.folder.path();
    let mut inside = vec![folder.to_owned(), folder.join("blobs"), folder.join("new/deep")];
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(folder, backups.path().join("link")).unwrap();
        inside.push(backups.path().join("link/new"));
    }
    for place in inside {
        let error = backup(folder, &place, &NONE).unwrap_err();
        assert!(matches!(error, BackupError::Inside { .. }), "{error}");
        assert!(!folder.join("new").exists(), "{error}");
    }
    let nope = BackupOptions { copy: false, previous: Some(backups.path().join("nope")) };
    let error = backup(data.folder.path(), &backups.path().join("next"), &nope).unwrap_err();
    assert!(error.to_string().contains("nope is no earlier backup"), "{error}");
    assert!(!backups.path().join("next").exists());
    // Without keys nobody gets in, so that it is no backup; no server starts on it.
    fs::remove_file(data.folder.path().join("keys.toml")).unwrap();
    let half = backups.path().join("half");
    let error = backup(data.folder.path(), &half, &NONE).unwrap_err();
    assert!(matches!(error, BackupError::Keys(_)), "{error}");
    assert!(Keys::open(&half).is_err());
    let file = backups.path().join("file");
    fs::write(&file, "").unwrap();
    backup(data.folder.path(), &file, &NONE).unwrap_err();
}

/// A server would make keys and a database there, and serve nothing.
#[tokio::test]
async fn a_backup_that_was_cut_is_no_data_folder() {
    let data = Data::new().await;
    data.put("film", b"film").await;
    let backups = tempfile::tempdir().unwrap();
    let (half, again) = (backups.path().join("half"), backups.path().join("again"));
    let spoilt = backups.path().join("spoilt");
    fs::create_dir(&spoilt).unwrap();
    fs::write(spoilt.join("meta.sqlite"), [b'x'; 10_000]).unwrap();
    backup(&spoilt, &half, &NONE).unwrap_err();
    let error = fsck(&half, FsckOptions::default()).unwrap_err();
    assert!(
        matches!(&error, FsckError::Database(OpenError::HalfBackup(path)) if *path == half),
        "{error}"
    );
    let error = backup(&half, &again, &NONE).unwrap_err();
    assert!(matches!(error, BackupError::Database(OpenError::HalfBackup(_))), "{error}");
    // It is as good to link from as any.
    let next = BackupOptions { copy: false, previous: Some(half) };
    data.backup(&again, &next);
    is_sound(&again);
    assert!(!again.join("meta.sqlite.new").exists());
}

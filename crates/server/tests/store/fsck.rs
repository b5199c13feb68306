//! What fsck finds, what it repairs, and what it leaves alone.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::SystemTime;

use rusqlite::Connection;
use tempfile::TempDir;
use vodferry_server::store::{
    Blob, BlobStore, DiskBlobs, Fs, FsFile, FsckError, FsckOptions, FsckReport, MetaStore,
    NewVideo, PutObject, RealFs, SqliteOptions, SqliteStore, fsck, fsck_on,
};

use crate::{BUCKET, NOW, blob_id, etag_of, read_object, write};

const LOOK: FsckOptions = FsckOptions { repair: false, verify_hashes: false };
const HASH: FsckOptions = FsckOptions { repair: false, verify_hashes: true };
const REPAIR: FsckOptions = FsckOptions { repair: true, verify_hashes: false };

/// An object of one blob, an upload of one part, a blob that was replaced, and nobody at work.
struct Data {
    folder: TempDir,
    object: Blob,
    part: Blob,
    replaced: Blob,
}

impl Data {
    async fn new() -> Data {
        let folder = tempfile::tempdir().unwrap();
        let (blobs, meta) = open(folder.path());
        meta.create_bucket(BUCKET, NOW).await.unwrap();
        let [replaced, object, part] = ["old", "film", "piece"].map(str::as_bytes);
        let replaced = put(&blobs, &meta, replaced).await;
        let object = put(&blobs, &meta, object).await;
        let id = meta.initiate(BUCKET, "upload", vec![], NOW).await.unwrap();
        let part = write(&blobs, part).await;
        meta.put_part(BUCKET, "upload", &id, 7, part.clone(), NOW).await.unwrap();
        Data { folder, object, part, replaced }
    }

    fn path(&self, blob: &Blob) -> PathBuf {
        let id = blob_id(blob);
        let id = id.as_str();
        self.folder.path().join("blobs").join(&id[..2]).join(id)
    }

    fn fsck(&self, options: FsckOptions) -> FsckReport {
        // The thread that writes lets go of the database a moment later; the lock it does not have.
        fsck(self.folder.path(), options).unwrap()
    }

    /// The one problem.
    fn problem(&self, options: FsckOptions) -> String {
        let report = self.fsck(options);
        assert_eq!(report.problems.len(), 1, "{report}");
        assert!(!report.is_clean());
        report.problems[0].clone()
    }

    fn sql(&self, text: &str) {
        let db = Connection::open(self.folder.path().join("meta.sqlite")).unwrap();
        db.execute_batch(text).unwrap();
    }
}

fn open(folder: &Path) -> (DiskBlobs, SqliteStore) {
    let options = SqliteOptions { durable: false, ..SqliteOptions::default() };
    let meta = SqliteStore::open(&folder.join("meta.sqlite"), options).unwrap();
    (DiskBlobs::open(folder, false).unwrap(), meta)
}

async fn put(blobs: &DiskBlobs, meta: &SqliteStore, bytes: &[u8]) -> Blob {
    let blob = write(blobs, bytes).await;
    let put = PutObject {
        bucket: BUCKET.into(),
        key: "k\n".into(),
        headers: vec![],
        blob: blob.clone(),
        forbid_overwrite: false,
        now_ms: NOW,
    };
    meta.put_object(put).await.unwrap();
    blob
}

#[tokio::test]
async fn a_folder_in_order_is_clean_and_stays_as_it_is() {
    let data = Data::new().await;
    for options in [LOOK, HASH, REPAIR] {
        let report = data.fsck(options);
        assert!(report.is_clean() && report.repairs.is_empty(), "{report}");
        assert_eq!((report.objects, report.uploads, report.parts, report.bytes), (1, 1, 2, 9));
        assert_eq!((report.drafts, report.unnamed, report.garbage), (0, 0, 1));
        assert!(report.to_string().ends_with("2 parts, 9 bytes: clean"), "{report}");
    }
    assert!(
        data.path(&data.replaced).exists(),
        "somebody may be reading it when the server starts"
    );
}

#[tokio::test]
async fn damage_is_told_by_what_it_belongs_to() {
    let data = Data::new().await;
    fs::write(data.path(&data.part), b"pieCe").unwrap();
    assert!(data.fsck(LOOK).is_clean(), "lengths do not tell");
    let told = data.problem(HASH);
    assert!(told.contains("other bytes") && told.contains("part 7 of upload"), "{told}");
    fs::write(data.path(&data.part), b"pie").unwrap();
    let told = data.problem(LOOK);
    assert!(told.contains("3 bytes in place of 5"), "{told}");
    fs::write(data.path(&data.part), b"piece").unwrap();
    fs::remove_file(data.path(&data.object)).unwrap();
    let told = data.problem(LOOK);
    assert!(told.contains("is missing") && told.contains("object films/\"k\\n\""), "{told}");
    // Nothing that was acknowledged is forgotten because it is missing.
    assert_eq!(data.fsck(REPAIR).problems.len(), 1);
    assert_eq!(data.fsck(LOOK).objects, 1);
}

#[tokio::test]
async fn leftovers_are_no_problem_and_repair_deletes_none_that_was_whole() {
    let data = Data::new().await;
    let id = "0123456789abcdef0123456789abcdef";
    let whole = data.folder.path().join("blobs").join("01").join(id);
    fs::create_dir_all(whole.parent().unwrap()).unwrap();
    fs::write(&whole, b"nobody's").unwrap();
    let half = data.folder.path().join("tmp").join(id);
    fs::write(&half, b"half").unwrap();
    let report = data.fsck(LOOK);
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.drafts, report.unnamed), (1, 1));
    assert!(whole.exists() && half.exists(), "a look changed something");

    let report = data.fsck(REPAIR);
    assert_eq!(report.repairs.len(), 2, "{report}");
    assert!(!whole.exists() && !half.exists());
    assert_eq!(fs::read(data.folder.path().join("unnamed").join(id)).unwrap(), b"nobody's");
    let report = data.fsck(HASH);
    assert_eq!((report.drafts, report.unnamed), (0, 0), "{report}");
}

/// The real disk; what was made or moved, and what was synced, in order.
#[derive(Default)]
pub(crate) struct Watched(pub(crate) Mutex<Vec<String>>);

impl Watched {
    fn note(&self, what: &str, path: &Path) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        self.0.lock().unwrap().push(format!("{what} {name}"));
    }
}

impl Fs for Watched {
    fn create(&self, path: &Path) -> io::Result<Box<dyn FsFile>> {
        self.note("create", path);
        RealFs.create(path)
    }
    fn open(&self, path: &Path) -> io::Result<Box<dyn FsFile>> {
        RealFs.open(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.note("move", to);
        RealFs.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        RealFs.remove(path)
    }
    fn make_folder(&self, path: &Path) -> io::Result<()> {
        self.note("make", path);
        RealFs.make_folder(path)
    }
    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.note("sync", path);
        RealFs.sync_folder(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        RealFs.list(path)
    }
    fn look(&self, path: &Path) -> io::Result<(u64, SystemTime)> {
        RealFs.look(path)
    }
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Send + Sync>>> {
        RealFs.lock(path)
    }
}

#[tokio::test]
async fn what_is_moved_aside_is_durable_there() {
    let data = Data::new().await;
    let id = "0123456789abcdef0123456789abcdef";
    let whole = data.folder.path().join("blobs").join("01").join(id);
    fs::create_dir_all(whole.parent().unwrap()).unwrap();
    fs::write(&whole, b"nobody's").unwrap();
    data.sql("INSERT INTO small (bytes) VALUES (x'0102')");
    let watched = Watched::default();
    let report = fsck_on(&watched, data.folder.path(), REPAIR).unwrap();
    assert_eq!(report.repairs.len(), 2, "{report}");
    let own = format!("sync {}", data.folder.path().file_name().unwrap().to_str().unwrap());
    let done = watched.0.into_inner().unwrap();
    let aside = ["make unnamed", own.as_str()];
    assert_eq!(done[..2], aside, "{done:?}");
    assert!(done[2].starts_with("create "), "{done:?}");
    assert_eq!(done[3], "sync unnamed", "{done:?}");
    assert_eq!(done[4..6], aside, "{done:?}");
    assert_eq!(done[6..], [format!("move {id}"), "sync unnamed".to_owned()], "{done:?}");
}

#[tokio::test]
async fn a_named_blob_on_the_garbage_list_is_saved() {
    let data = Data::new().await;
    data.sql(&format!("INSERT INTO garbage VALUES ('{}', 0)", blob_id(&data.object)));
    let told = data.problem(LOOK);
    assert!(told.contains("garbage"), "{told}");
    let report = data.fsck(REPAIR);
    assert!(report.is_clean() && report.repairs.len() == 1, "{report}");
    let report = data.fsck(LOOK);
    assert!(report.is_clean() && report.garbage == 1, "{report}");
}

/// A video per key: `k\n` has an object, `nothing` has none.
async fn with_videos() -> Data {
    let data = Data::new().await;
    let (blobs, meta) = open(data.folder.path());
    for (n, key) in ["k\n", "nothing"].into_iter().enumerate() {
        let video_id = format!("{n:032x}");
        let video = NewVideo {
            video_id: video_id.clone(),
            bucket: BUCKET.into(),
            key: key.into(),
            size: 4,
            ..NewVideo::default()
        };
        meta.create_video(video, NOW).await.unwrap();
    }
    put(&blobs, &meta, b"film").await;
    drop((blobs, meta));
    let report = data.fsck(LOOK);
    assert!(report.is_clean() && report.videos == 2, "{report}");
    data
}

async fn statuses(data: &Data) -> Vec<(&'static str, u64)> {
    let (_blobs, meta) = open(data.folder.path());
    let mut statuses = Vec::new();
    for n in 0..2 {
        let video = meta.get_video(&format!("{n:032x}")).await.unwrap();
        statuses.push((video.status.as_str(), video.info.size));
    }
    statuses
}

#[tokio::test]
async fn videos_that_contradict_their_objects_are_told_and_put_right() {
    for (sql, says) in [
        ("UPDATE video SET status = 'Uploading'", "waits for its object, which is there"),
        ("UPDATE video SET status = 'Normal'", "has lost its object"),
        ("UPDATE video SET size = 5 WHERE key <> 'nothing'", "has 5 bytes, its object 4"),
        ("UPDATE video SET status = 'Lost' WHERE key = 'nothing'", "unknown status \"Lost\""),
        (
            "UPDATE video SET key = key || 'x'; UPDATE video SET key = 'k\n' WHERE key = 'nothingx';
             UPDATE video SET key = 'nothing' WHERE key <> 'k\n'",
            "video 00000000000000000000000000000001, films/\"k\\n\"",
        ),
    ] {
        let data = with_videos().await;
        data.sql(sql);
        let report = data.fsck(LOOK);
        assert!(report.problems.iter().any(|p| p.contains(says)), "{sql}: {report}");
        assert!(report.repairs.is_empty(), "a look changed something");
        let (problems, repaired) = (report.problems.len(), data.fsck(REPAIR));
        assert!(repaired.is_clean(), "{sql}: {repaired}");
        assert_eq!(repaired.repairs.len(), problems, "{sql}: {repaired}");
        assert!(data.fsck(HASH).is_clean(), "{sql}");
        let mut found = statuses(&data).await;
        found.sort();
        assert_eq!(found, [("Normal", 4), ("Uploading", 4)], "{sql}");
    }
}

#[tokio::test]
async fn a_video_of_no_possible_object_is_left_to_people() {
    let data = with_videos().await;
    data.sql("UPDATE video SET key = '/nothing' WHERE key = 'nothing'");
    for options in [LOOK, REPAIR] {
        let told = data.problem(options);
        assert!(told.contains("can be no object") && told.contains("/nothing"), "{told}");
    }
}

#[tokio::test]
async fn a_video_whose_object_was_deleted_waits_again_and_is_no_problem() {
    let data = with_videos().await;
    let (blobs, meta) = open(data.folder.path());
    assert!(meta.delete_object(BUCKET, "k\n", NOW).await.unwrap());
    drop((blobs, meta));
    let report = data.fsck(LOOK);
    assert!(report.is_clean(), "{report}");
    assert_eq!(statuses(&data).await, [("Uploading", 4), ("Uploading", 4)]);
}

#[tokio::test]
async fn rows_that_contradict_each_other_are_found() {
    for (sql, says) in [
        ("UPDATE object SET length = 5", "length"),
        ("UPDATE object SET crc64 = crc64 + 1", "CRC64"),
        ("UPDATE object SET etag = 'X'", "ETag"),
        ("UPDATE part SET blob = 'x/../../..' WHERE number = 7", "no blob"),
        ("PRAGMA foreign_keys = OFF; DELETE FROM upload", "belong to no object"),
        ("PRAGMA foreign_keys = OFF; DELETE FROM bucket", "refers to one that is not there"),
    ] {
        let data = Data::new().await;
        data.sql(sql);
        let report = data.fsck(LOOK);
        assert!(report.problems.iter().any(|p| p.contains(says)), "{sql}: {report}");
    }
}

#[tokio::test]
async fn what_cannot_be_checked_is_an_error() {
    let data = Data::new().await;
    let (blobs, meta) = open(data.folder.path());
    let error = fsck(data.folder.path(), LOOK).unwrap_err();
    assert!(error.to_string().contains("another server uses"), "{error}");
    drop((blobs, meta));

    let empty = tempfile::tempdir().unwrap();
    let error = fsck(empty.path(), LOOK).unwrap_err();
    assert!(matches!(error, FsckError::NoData(_)), "{error}");
    assert_eq!(fs::read_dir(empty.path()).unwrap().count(), 0, "a look makes nothing");

    data.sql("PRAGMA user_version = 99");
    let error = fsck(data.folder.path(), LOOK).unwrap_err();
    assert!(error.to_string().contains("newer"), "{error}");
    data.sql("PRAGMA user_version = 1");
    fs::write(data.folder.path().join("meta.sqlite"), vec![b'x'; 5000]).unwrap();
    fsck(data.folder.path(), LOOK).unwrap_err();
    // A first start that was cut before the tables.
    fs::write(empty.path().join("meta.sqlite"), b"").unwrap();
    assert!(fsck(empty.path(), LOOK).unwrap().is_clean());
}

/// Held to the trait: reading what was checked goes on as before.
#[tokio::test]
async fn a_server_works_after_a_repair() {
    let data = Data::new().await;
    data.fsck(REPAIR);
    let (blobs, meta) = open(data.folder.path());
    let object = meta.get_object(BUCKET, "k\n").await.unwrap();
    let bytes = read_object(&blobs, &object).await.unwrap();
    assert_eq!(bytes, b"film");
    blobs.writer(None).await.unwrap();
}

/// An older release wrote the folder, and no server of this one has yet started on it.
#[tokio::test]
async fn databases_of_all_versions_are_checked() {
    let scripts = [
        include_str!("../../src/store/sqlite/schema.sql"),
        include_str!("../../src/store/sqlite/schema_2.sql"),
        include_str!("../../src/store/sqlite/schema_3.sql"),
        include_str!("../../src/store/sqlite/schema_4.sql"),
    ];
    for version in 1..=scripts.len() as i64 {
        let folder = tempfile::tempdir().unwrap();
        let film = write(&DiskBlobs::open(folder.path(), false).unwrap(), b"film").await;
        let db = Connection::open(folder.path().join("meta.sqlite")).unwrap();
        scripts[..version as usize].iter().for_each(|script| db.execute_batch(script).unwrap());
        db.pragma_update(None, "user_version", version).unwrap();
        db.pragma_update(None, "application_id", 0x5646_5259).unwrap();
        db.execute_batch("INSERT INTO bucket (bucket, created_ms) VALUES ('films', 1)").unwrap();
        db.execute_batch("INSERT INTO manifest VALUES (1)").unwrap();
        db.execute(
            "INSERT INTO part (manifest, number, blob, length, md5, crc64, modified_ms)
             VALUES (1, 1, ?, 4, ?, ?, 1)",
            (blob_id(&film).as_str(), film.md5, film.crc64.cast_signed()),
        )
        .unwrap();
        db.execute(
            "INSERT INTO object (bucket, key, manifest, etag, length, crc64, modified_ms, headers)
             VALUES ('films', 'k', 1, ?, 4, ?, 1, '[]')",
            (etag_of(&film), film.crc64.cast_signed()),
        )
        .unwrap();
        drop(db);
        let report =
            fsck(folder.path(), HASH).unwrap_or_else(|e| panic!("version {version}: {e:?}"));
        assert!(report.is_clean(), "version {version}: {report}");
        assert_eq!((report.objects, report.parts, report.unnamed), (1, 1, 0), "version {version}");
        let (blobs, meta) = open(folder.path());
        let object = meta.get_object(BUCKET, "k").await.unwrap();
        assert_eq!(read_object(&blobs, &object).await.unwrap(), b"film", "version {version}");
    }
}

#[tokio::test]
async fn what_sqlite_finds_wrong_is_told() {
    let data = Data::new().await;
    data.sql("PRAGMA writable_schema = ON; DELETE FROM sqlite_schema WHERE name = 'garbage_since'");
    let report = data.fsck(LOOK);
    assert!(!report.is_clean());
    assert!(report.problems.iter().all(|what| what.starts_with("database: ")), "{report}");
}

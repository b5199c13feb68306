//! Small bodies: in the database with their rows, and gone with the last of these.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::future::join_all;
use rusqlite::Connection;
use tempfile::TempDir;
use vodferry_server::keys::Keys;
use vodferry_server::store::{
    AppendObject, BackupOptions, Blob, BlobId, Complete, Content, CopyObject, DiskBlobs,
    FsckOptions, FsckReport, Intake, MAX_SMALL, MAX_SMALL_OF_OBJECT, MetaError, MetaStore,
    PartList, PutObject, Quota, Quotas, SqliteOptions, SqliteStore, backup, fsck,
};

use crate::random::Random;
use crate::{BUCKET, NOW, blobs, etag_of, garbage_of, read_object, small_parts, write};

/// A data folder whose database is open, and which `fsck` would check.
struct Data {
    folder: TempDir,
    blobs: DiskBlobs,
    meta: SqliteStore,
}

impl Data {
    async fn new(options: SqliteOptions) -> Data {
        let folder = tempfile::tempdir().unwrap();
        Keys::open(folder.path()).unwrap();
        let blobs = DiskBlobs::open(folder.path(), false).unwrap();
        let meta = SqliteStore::open(&database(folder.path()), options).unwrap();
        meta.create_bucket(BUCKET, NOW).await.unwrap();
        Data { folder, blobs, meta }
    }

    async fn put(&self, key: &str, bytes: &'static str) {
        self.meta.put_object(put(key, small(bytes))).await.unwrap();
    }

    async fn bytes(&self, key: &str) -> Vec<u8> {
        let object = self.meta.get_object(BUCKET, key).await.unwrap();
        read_object(&self.blobs, &object).await.unwrap()
    }

    /// Small bodies that are stored, in the order in which they came.
    fn stored(&self) -> Vec<Vec<u8>> {
        stored(self.folder.path())
    }

    /// Checked with nobody at work on it.
    fn close(self) -> TempDir {
        self.folder
    }
}

fn database(folder: &Path) -> PathBuf {
    folder.join("meta.sqlite")
}

fn stored(folder: &Path) -> Vec<Vec<u8>> {
    let db = Connection::open(database(folder)).unwrap();
    let mut list = db.prepare("SELECT bytes FROM small ORDER BY small").unwrap();
    let rows = list.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

fn small(text: &'static str) -> Blob {
    Blob::small(Bytes::from_static(text.as_bytes()))
}

fn put(key: &str, blob: Blob) -> PutObject {
    PutObject {
        bucket: BUCKET.into(),
        key: key.into(),
        headers: vec![],
        blob,
        forbid_overwrite: false,
        now_ms: NOW,
    }
}

fn copy(from: &str, to: &str) -> CopyObject {
    CopyObject {
        from_bucket: BUCKET.into(),
        from_key: from.into(),
        seen: None,
        bucket: BUCKET.into(),
        key: to.into(),
        headers: vec![],
        forbid_overwrite: false,
        now_ms: NOW,
    }
}

fn append(key: &str, position: u64, blob: Blob) -> AppendObject {
    AppendObject {
        bucket: BUCKET.into(),
        key: key.into(),
        position,
        headers: vec![],
        blob,
        now_ms: NOW,
    }
}

fn complete(key: &str, upload_id: &str, parts: Vec<(u32, String)>) -> Complete {
    Complete {
        bucket: BUCKET.into(),
        key: key.into(),
        upload_id: upload_id.into(),
        parts: PartList::Listed(parts),
        headers: vec![],
        forbid_overwrite: false,
        now_ms: NOW,
    }
}

#[tokio::test]
async fn objects_keep_theirs_until_they_are_replaced_or_deleted() {
    let data = Data::new(small_parts()).await;
    let info = data.meta.put_object(put("k", small("first"))).await.unwrap();
    assert_eq!((info.etag, info.length), (etag_of(&small("first")), 5));
    data.put("empty", "").await;
    assert_eq!(data.bytes("k").await, b"first");
    assert_eq!(data.bytes("empty").await, b"");
    data.put("k", "second").await;
    assert_eq!(data.stored(), [b"".to_vec(), b"second".to_vec()]);
    // One kind in place of the other.
    let large = write(&data.blobs, b"large").await;
    data.meta.put_object(put("k", large.clone())).await.unwrap();
    assert_eq!((data.bytes("k").await, data.stored().len()), (b"large".to_vec(), 1));
    data.put("k", "third").await;
    assert_eq!(garbage_of(&data.meta).await, [large.id().unwrap().clone()]);
    assert!(data.meta.delete_object(BUCKET, "k", NOW).await.unwrap());
    data.put("other", "other").await;
    let keys = vec!["empty".to_owned(), "other".to_owned(), "none".to_owned()];
    assert_eq!(data.meta.delete_objects(BUCKET, keys, None, NOW).await.unwrap(), 2);
    assert!(data.stored().is_empty());
    assert_eq!(garbage_of(&data.meta).await.len(), 1, "what has no file is no garbage");
}

#[tokio::test]
async fn a_reader_has_what_it_asked_for_whatever_happens_next() {
    let data = Data::new(small_parts()).await;
    data.put("k", "film").await;
    let object = data.meta.get_object(BUCKET, "k").await.unwrap();
    data.meta.delete_object(BUCKET, "k", NOW).await.unwrap();
    assert!(data.stored().is_empty());
    assert_eq!(read_object(&data.blobs, &object).await.unwrap(), b"film");
}

#[tokio::test]
async fn copies_share_theirs() {
    let data = Data::new(small_parts()).await;
    data.put("k", "film").await;
    data.meta.copy_object(copy("k", "copy")).await.unwrap();
    data.meta.copy_object(copy("copy", "copy")).await.unwrap();
    data.meta.copy_object(copy("copy", "again")).await.unwrap();
    assert_eq!(data.stored(), [b"film"]);
    data.meta.delete_object(BUCKET, "k", NOW).await.unwrap();
    data.put("again", "other").await;
    assert_eq!(data.bytes("copy").await, b"film");
    assert_eq!(data.stored(), [b"film".to_vec(), b"other".to_vec()]);
    data.meta.copy_object(copy("again", "copy")).await.unwrap();
    assert_eq!(data.stored(), [b"other"]);
}

#[tokio::test]
async fn parts_keep_theirs_until_they_are_replaced_dropped_or_aborted() {
    let data = Data::new(small_parts()).await;
    let meta = &data.meta;
    let id = meta.initiate(BUCKET, "k", vec![], NOW).await.unwrap();
    let part = async |number, blob| meta.put_part(BUCKET, "k", &id, number, blob, NOW).await;
    part(1, small("replaced")).await.unwrap();
    part(1, small("one,")).await.unwrap();
    part(2, small("not listed")).await.unwrap();
    part(3, write(&data.blobs, b"two,").await).await.unwrap();
    part(4, small("three")).await.unwrap();
    assert_eq!(data.stored().len(), 3);
    let listed = [(1, "one,"), (3, "two,"), (4, "three")];
    let listed: Vec<_> = listed.map(|(n, text)| (n, etag_of(&small(text)))).into();
    data.put("k", "what was there").await;
    meta.complete(complete("k", &id, listed)).await.unwrap();
    assert_eq!(data.bytes("k").await, b"one,two,three");
    assert_eq!(data.stored(), [b"one,".to_vec(), b"three".to_vec()]);
    meta.copy_object(copy("k", "copy")).await.unwrap();
    meta.delete_object(BUCKET, "k", NOW).await.unwrap();
    assert_eq!(data.bytes("copy").await, b"one,two,three");
    meta.delete_object(BUCKET, "copy", NOW).await.unwrap();
    assert!(data.stored().is_empty());
    assert_eq!(garbage_of(meta).await.len(), 1, "the blob between them");

    for end in ["abort", "expire"] {
        let id = meta.initiate(BUCKET, "k", vec![], NOW).await.unwrap();
        meta.put_part(BUCKET, "k", &id, 1, small("part"), NOW).await.unwrap();
        assert_eq!(data.stored(), [b"part"]);
        match end {
            "abort" => meta.abort(BUCKET, "k", &id, NOW).await.unwrap(),
            _ => assert_eq!(meta.expire_uploads(NOW + 1, 10, NOW).await.unwrap(), 1),
        }
        assert!(data.stored().is_empty(), "{end}");
    }
}

#[tokio::test]
async fn objects_grow_by_small_and_large() {
    let data = Data::new(small_parts()).await;
    let mut whole = Vec::new();
    for n in 0..300u64 {
        let bytes = format!("line {n}\n");
        let blob = match n % 50 {
            49 => write(&data.blobs, bytes.as_bytes()).await,
            _ => Blob::small(bytes.clone().into()),
        };
        let grown = data.meta.append_object(append("log", whole.len() as u64, blob)).await.unwrap();
        whole.extend(bytes.into_bytes());
        assert_eq!(grown.length, whole.len() as u64);
        assert_eq!(grown.crc64, vodferry_oss::crc64::crc64(&whole));
    }
    assert_eq!(data.bytes("log").await, whole);
    let elsewhere = data.meta.append_object(append("log", 3, small("x"))).await.unwrap_err();
    assert!(matches!(elsewhere, MetaError::PositionNotEqualToLength { .. }));
    data.meta.copy_object(copy("log", "copy")).await.unwrap();
    data.meta.delete_object(BUCKET, "log", NOW).await.unwrap();
    assert_eq!((data.bytes("copy").await, data.stored().len()), (whole, 294));
    let folder = data.close();
    let report = is_clean(folder.path());
    assert_eq!((report.parts, report.unnamed, report.garbage), (300, 0, 0));
}

#[tokio::test]
async fn what_is_refused_leaves_none() {
    let quotas =
        Quotas { every: Quota { bytes: Some(10), ..Quota::default() }, ..Quotas::default() };
    let data = Data::new(SqliteOptions { quotas, ..small_parts() }).await;
    data.put("k", "film").await;
    let keep = PutObject { forbid_overwrite: true, ..put("k", small("other")) };
    let refused = data.meta.put_object(keep).await.unwrap_err();
    assert!(matches!(refused, MetaError::FileAlreadyExists { .. }));
    let refused = data.meta.put_object(put("l", small("seven b"))).await.unwrap_err();
    assert!(matches!(refused, MetaError::QuotaExceeded { most: 10, .. }), "{refused}");
    let refused = data.meta.append_object(append("l", 0, small("seven b"))).await.unwrap_err();
    assert!(matches!(refused, MetaError::QuotaExceeded { .. }));
    let nowhere = data.meta.put_part(BUCKET, "k", "no", 1, small("part"), NOW).await.unwrap_err();
    assert!(matches!(nowhere, MetaError::NoSuchUpload(_)));
    assert_eq!(data.stored(), [b"film"]);
    data.put("l", "six by").await;
}

#[tokio::test]
async fn many_share_few_commits() {
    let data = Data::new(SqliteOptions::default()).await;
    let before = data.meta.commits();
    let body = Bytes::from(vec![7; MAX_SMALL as usize]);
    let puts =
        (0..500).map(|n| data.meta.put_object(put(&format!("k{n}"), Blob::small(body.clone()))));
    for put in join_all(puts).await {
        put.unwrap();
    }
    let commits = data.meta.commits() - before;
    assert!((1..=50).contains(&commits), "{commits} commits for 500 objects");
    assert_eq!(data.bytes("k499").await, body);
}

/// The transaction of those who share a full disk's commit is undone whole.
#[tokio::test]
async fn a_full_database_refuses_and_keeps_what_it_acknowledged() {
    let data = Data::new(SqliteOptions { max_bytes: Some(1_000_000), ..small_parts() }).await;
    let body = |n: u64| Bytes::from(Random::new(n + 1).bytes(3000 + 40 * n as usize % 9000));
    let (mut acknowledged, mut refused) = (Vec::new(), 0);
    for batch in 0..40 {
        let numbers = batch * 10..batch * 10 + 10;
        let puts = numbers
            .clone()
            .map(|n| data.meta.put_object(put(&n.to_string(), Blob::small(body(n)))));
        for (n, put) in numbers.zip(join_all(puts).await) {
            match put {
                Ok(_) => acknowledged.push(n),
                Err(MetaError::Full { doing, .. }) => {
                    assert_eq!(doing, "put an object");
                    refused += 1;
                }
                Err(other) => panic!("{n}: {other}"),
            }
        }
    }
    assert!(acknowledged.len() > 20 && refused > 100, "{} {refused}", acknowledged.len());
    assert_eq!(data.stored().len(), acknowledged.len());
    for n in &acknowledged {
        assert_eq!(data.bytes(&n.to_string()).await, body(*n));
    }
    // Room is made, and used.
    for n in acknowledged.drain(..10) {
        data.meta.delete_object(BUCKET, &n.to_string(), NOW).await.unwrap();
    }
    data.put("after", "there is room").await;
    assert_eq!(data.bytes("after").await, b"there is room");
    let folder = data.close();
    assert_eq!(is_clean(folder.path()).objects, acknowledged.len() as u64 + 1);
}

#[tokio::test]
async fn what_comes_in_is_small_up_to_a_bound_and_then_a_blob() {
    let (blobs, folder) = blobs();
    let files = || std::fs::read_dir(folder.path().join("blobs")).unwrap().count();
    let take = async |mut intake: Intake<'_>, length: u64, chunk: usize| {
        let bytes = Random::new(length).bytes(length as usize);
        for chunk in bytes.chunks(chunk) {
            intake.write(Bytes::copy_from_slice(chunk)).await.unwrap();
        }
        let blob = intake.finish().await.unwrap();
        assert_eq!((blob.length, blob.md5), (length, vodferry_oss::etag::md5(&bytes)));
        assert_eq!(blob.crc64, vodferry_oss::crc64::crc64(&bytes));
        match &blob.content {
            Content::Small(small) => assert_eq!(small, &bytes),
            Content::Blob(id) => {
                assert_eq!(crate::read(&blobs, id, 0..length).await.unwrap(), bytes);
            }
        }
        blob.id().is_none()
    };
    let first = || Intake::new(&blobs, 0);
    for length in [0, 1, MAX_SMALL - 1, MAX_SMALL] {
        for chunk in [1000, 20_000] {
            assert!(take(first(), length, chunk).await, "{length}");
        }
    }
    assert_eq!(files(), 0);
    for length in [MAX_SMALL + 1, 700_000] {
        for chunk in [1000, 20_000, 1_000_000] {
            assert!(!take(first(), length, chunk).await, "{length}");
        }
    }
    // All of an object together are bounded, too.
    let late = |rest| Intake::new(&blobs, MAX_SMALL_OF_OBJECT - rest);
    assert!(take(late(10), 10, 1000).await && !take(late(10), 11, 1000).await);
    assert!(!take(Intake::new(&blobs, u64::MAX), 1, 1000).await);
    let part = |number| Intake::of_part(&blobs, number);
    assert!(take(part(64), MAX_SMALL, 5000).await && !take(part(65), 1, 1000).await);
    assert!(!take(part(10_000), 1, 1000).await);
}

fn is_clean(folder: &Path) -> FsckReport {
    let report = fsck(folder, FsckOptions { verify_hashes: true, repair: false }).unwrap();
    assert!(report.is_clean(), "{report}");
    report
}

/// An object, its copy, and an upload of one part.
async fn for_fsck() -> TempDir {
    let data = Data::new(small_parts()).await;
    data.put("k", "film").await;
    data.meta.copy_object(copy("k", "copy")).await.unwrap();
    let id = data.meta.initiate(BUCKET, "up", vec![], NOW).await.unwrap();
    data.meta.put_part(BUCKET, "up", &id, 7, small("piece"), NOW).await.unwrap();
    data.close()
}

#[tokio::test]
async fn fsck_finds_those_that_are_missing_cut_or_changed() {
    let folder = for_fsck().await;
    let report = is_clean(folder.path());
    assert_eq!((report.objects, report.parts, report.bytes), (2, 3, 13));
    for (sql, says, hashes_only) in [
        ("DELETE FROM small WHERE bytes = x'7069656365'", "is missing", false),
        ("UPDATE small SET bytes = x'00' WHERE small = 2", "has 1 bytes in place of 5", false),
        ("UPDATE small SET bytes = x'0000000000' WHERE small = 2", "has other bytes", true),
    ] {
        let folder = for_fsck().await;
        Connection::open(database(folder.path())).unwrap().execute_batch(sql).unwrap();
        for options in [
            FsckOptions { verify_hashes: true, repair: false },
            FsckOptions { verify_hashes: true, repair: true },
        ] {
            let report = fsck(folder.path(), options).unwrap();
            assert_eq!(report.problems.len(), 1, "{report}");
            let told = &report.problems[0];
            assert!(told.starts_with("small body 2, part 7 of upload "), "{told}");
            assert!(told.contains(says), "{told}");
            assert_eq!(report.parts, 3, "nothing that was acknowledged is forgotten");
        }
        let report = fsck(folder.path(), FsckOptions::default()).unwrap();
        assert_eq!(report.is_clean(), hashes_only, "{report}");
        // A server says so and does not serve what is not there.
        let meta = SqliteStore::open(&database(folder.path()), small_parts()).unwrap();
        assert_eq!(meta.head_object(BUCKET, "copy").await.unwrap().length, 4);
    }
    let folder = for_fsck().await;
    let sql = "DELETE FROM small WHERE small = 1";
    Connection::open(database(folder.path())).unwrap().execute_batch(sql).unwrap();
    let report = fsck(folder.path(), FsckOptions::default()).unwrap();
    assert_eq!(report.problems.len(), 2, "the object and its copy: {report}");
    let meta = SqliteStore::open(&database(folder.path()), small_parts()).unwrap();
    let failed = meta.get_object(BUCKET, "k").await.unwrap_err();
    assert!(matches!(failed, MetaError::Storage { .. }), "{failed}");
}

#[tokio::test]
async fn fsck_puts_aside_those_that_no_row_names() {
    let folder = for_fsck().await;
    let sql = "INSERT INTO small VALUES (9, x'6e6f626f6479')";
    Connection::open(database(folder.path())).unwrap().execute_batch(sql).unwrap();
    let report = fsck(folder.path(), FsckOptions::default()).unwrap();
    assert_eq!(report.problems, ["no row names the small body 9"]);
    assert_eq!(stored(folder.path()).len(), 3, "a look changes nothing");
    let report = fsck(folder.path(), FsckOptions { repair: true, verify_hashes: true }).unwrap();
    assert!(report.is_clean() && report.repairs.len() == 1, "{report}");
    let aside: Vec<_> = std::fs::read_dir(folder.path().join("unnamed")).unwrap().collect();
    let [Ok(aside)] = aside.as_slice() else { panic!("{aside:?}") };
    assert_eq!(std::fs::read(aside.path()).unwrap(), b"nobody");
    assert!(report.repairs[0].contains(aside.file_name().to_str().unwrap()), "{report}");
    assert_eq!(stored(folder.path()), [b"film".to_vec(), b"piece".to_vec()]);
    is_clean(folder.path());
}

#[tokio::test]
async fn a_backup_has_them() {
    let data = Data::new(small_parts()).await;
    data.put("k", "film").await;
    data.meta.copy_object(copy("k", "copy")).await.unwrap();
    let large = write(&data.blobs, b"large").await;
    data.meta.put_object(put("large", large)).await.unwrap();
    let backups = tempfile::tempdir().unwrap();
    let to = backups.path().join("new");
    let report = backup(data.folder.path(), &to, &BackupOptions::default()).unwrap();
    assert_eq!((report.objects, report.blobs, report.small, report.bytes), (3, 1, 1, 9));
    assert!(report.problems.is_empty(), "{report}");
    drop(data);
    is_clean(&to);
    let meta = SqliteStore::open(&database(&to), small_parts()).unwrap();
    let blobs = DiskBlobs::open(&to, false).unwrap();
    for (key, bytes) in [("k", b"film".as_slice()), ("copy", b"film"), ("large", b"large")] {
        let object = meta.get_object(BUCKET, key).await.unwrap();
        assert_eq!(read_object(&blobs, &object).await.unwrap(), bytes);
    }
    // What the folder has lost is told, and the rest is saved.
    meta.put_object(put("lost", small("lost"))).await.unwrap();
    let sql = "DELETE FROM small WHERE bytes = x'6c6f7374'";
    Connection::open(database(&to)).unwrap().execute_batch(sql).unwrap();
    let report = backup(&to, &backups.path().join("next"), &BackupOptions::default()).unwrap();
    assert_eq!((report.blobs, report.problems.len()), (1, 1), "{report}");
    assert!(report.problems[0].contains("part 1 of object films/\"lost\""), "{report}");
}

/// A data folder as the release before small bodies left it.
async fn of_version_3() -> (TempDir, Blob, Blob) {
    let folder = tempfile::tempdir().unwrap();
    Keys::open(folder.path()).unwrap();
    let blobs = DiskBlobs::open(folder.path(), false).unwrap();
    let (film, part) = (write(&blobs, b"film").await, write(&blobs, b"part").await);
    let db = Connection::open(database(folder.path())).unwrap();
    for script in [
        include_str!("../../src/store/sqlite/schema.sql"),
        include_str!("../../src/store/sqlite/schema_2.sql"),
        include_str!("../../src/store/sqlite/schema_3.sql"),
        "PRAGMA user_version = 3; PRAGMA application_id = 1447449177;
         INSERT INTO bucket (bucket, created_ms) VALUES ('films', 1);
         INSERT INTO manifest VALUES (1), (2), (3);",
    ] {
        db.execute_batch(script).unwrap();
    }
    let row = |manifest: i64, number: u32, blob: &Blob| {
        let (id, length) = (blob.id().map(BlobId::as_str), blob.length as i64);
        db.execute(
            "INSERT INTO part VALUES (?, ?, ?, ?, ?, ?, 2)",
            (manifest, number, id, length, blob.md5, blob.crc64.cast_signed()),
        )
        .unwrap();
    };
    row(1, 1, &film);
    row(2, 1, &film);
    row(3, 5, &part);
    for (key, manifest) in [("k", 1), ("copy", 2)] {
        db.execute(
            "INSERT INTO object VALUES ('films', ?, ?, ?, 4, ?, ?, 2, '[]', 0)",
            (key, manifest, etag_of(&film), film.crc64.cast_signed(), film.md5),
        )
        .unwrap();
    }
    db.execute("INSERT INTO upload VALUES ('ID', 'films', 'up', 3, 3, '[]', 0)", []).unwrap();
    (folder, film, part)
}

#[tokio::test]
async fn a_database_of_the_version_before_goes_on() {
    let (folder, film, part) = of_version_3().await;
    // It is checked and saved as it is, too.
    assert_eq!(is_clean(folder.path()).parts, 3);
    let backups = tempfile::tempdir().unwrap();
    let old = backups.path().join("old");
    let report = backup(folder.path(), &old, &BackupOptions::default()).unwrap();
    assert_eq!((report.objects, report.blobs, report.small), (2, 2, 0));
    assert!(report.problems.is_empty(), "{report}");

    for folder in [folder.path(), &old] {
        let meta = SqliteStore::open(&database(folder), small_parts()).unwrap();
        let blobs = DiskBlobs::open(folder, false).unwrap();
        let object = meta.get_object(BUCKET, "copy").await.unwrap();
        assert_eq!(read_object(&blobs, &object).await.unwrap(), b"film");
        let named = meta.put_object(put("twice", film.clone())).await.unwrap_err();
        assert!(matches!(named, MetaError::Storage { .. }), "it has a name: {named}");
        // What goes is garbage when the last has gone, as before.
        meta.put_object(put("k", small("small"))).await.unwrap();
        assert!(garbage_of(&meta).await.is_empty());
        meta.delete_object(BUCKET, "copy", NOW).await.unwrap();
        assert_eq!(garbage_of(&meta).await, [film.id().unwrap().clone()]);
        meta.put_part(BUCKET, "up", "ID", 6, small("end"), NOW).await.unwrap();
        let listed = vec![(5, etag_of(&part)), (6, etag_of(&small("end")))];
        meta.complete(complete("up", "ID", listed)).await.unwrap();
        let object = meta.get_object(BUCKET, "up").await.unwrap();
        assert_eq!(read_object(&blobs, &object).await.unwrap(), b"partend");
        drop((meta, blobs));
        assert_eq!(is_clean(folder).objects, 2);
    }
    let db = Connection::open(database(folder.path())).unwrap();
    db.pragma_update(None, "user_version", 5).unwrap();
    let newer = SqliteStore::open(&database(folder.path()), small_parts()).err().unwrap();
    assert!(newer.to_string().contains("this release knows up to 4"), "{newer}");
}

/// A database that only grew would keep a disk full from which everything was deleted.
#[tokio::test]
async fn room_of_deleted_bodies_goes_back_to_the_disk() {
    const OBJECTS: u32 = 2_000;
    let data = Data::new(small_parts()).await;
    let path = database(data.folder.path());
    let bytes = |n: u32| Bytes::from(vec![n as u8; 15_000]);
    for n in 0..OBJECTS {
        data.meta.put_object(put(&n.to_string(), Blob::small(bytes(n)))).await.unwrap();
    }
    assert_eq!(data.meta.give_back_room().await.unwrap(), 0, "nothing is free");
    // A few stay, so that pages move.
    let stays = |n: &u32| n % 100 == 7;
    for n in (0..OBJECTS).filter(|n| !stays(n)) {
        data.meta.delete_object(BUCKET, &n.to_string(), NOW).await.unwrap();
    }
    let given = data.meta.give_back_room().await.unwrap();
    let [left, log] = ["sqlite", "sqlite-wal"]
        .map(|ending| std::fs::metadata(path.with_extension(ending)).unwrap().len());
    assert!(given > 24_000_000 && left < 8_000_000, "{given} given, {left} left");
    assert_eq!(log, 0);
    assert_eq!(data.meta.give_back_room().await.unwrap(), 0, "some is kept for the rows to come");
    for n in (0..OBJECTS).filter(stays) {
        assert_eq!(data.bytes(&n.to_string()).await, bytes(n));
    }
    is_clean(data.close().path());
}

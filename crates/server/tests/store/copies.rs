//! Buckets and their documents, copies that share blobs, objects that grow, rules that end things.

use std::sync::Arc;
use std::time::Duration;

use vodferry_oss::crc64::combine;
use vodferry_oss::etag::{etag_of_md5, md5};
use vodferry_server::store::{
    AppendObject, Blob, BlobStore, Bucket, BucketDocument, BucketQuery, BucketUse, Clock, Complete,
    CopyObject, DiskBlobs, Ended, Extent, FsckOptions, Janitor, JanitorOptions, MetaError,
    MetaStore, ObjectInfo, PartList, PutObject, SqliteOptions, SqliteStore, apply_lifecycles, fsck,
};

use crate::uploads::complete;
use crate::{
    BUCKET, NOW, blob_id, eventually, garbage_of, made_up, meta, only_blob, small_parts, write,
};

#[tokio::test]
async fn sqlite_conforms() {
    let (store, _folder) = meta(small_parts()).await;
    buckets(&store).await;
    copies_share_blobs(&store).await;
    growing(&store).await;
    many_at_once(&store).await;
    sequential(&store).await;
}

async fn buckets(meta: &dyn MetaStore) {
    let bucket = |name: &str, owner: &str, acl: &str| Bucket {
        name: name.to_owned(),
        owner: owner.to_owned(),
        acl: acl.to_owned(),
        storage_class: "IA".to_owned(),
        created_ms: NOW,
    };
    assert!(meta.make_bucket(bucket("theirs", "them", "private")).await.unwrap());
    assert!(!meta.make_bucket(bucket("theirs", "them", "public-read")).await.unwrap());
    let taken = meta.make_bucket(bucket("theirs", "us", "private")).await.unwrap_err();
    assert!(matches!(taken, MetaError::BucketAlreadyExists(name) if name == "theirs"));
    let found = meta.get_bucket("theirs").await.unwrap();
    assert_eq!(found, bucket("theirs", "them", "private"), "it stays as it is");
    let own = meta.get_bucket(BUCKET).await.unwrap();
    assert_eq!((own.owner.as_str(), own.acl.as_str()), ("main", "private"), "made at the start");
    let query = |owner: Option<&str>| BucketQuery {
        owner: owner.map(str::to_owned),
        limit: 10,
        ..BucketQuery::default()
    };
    let names = async |owner: Option<&str>| {
        let page = meta.list_buckets(query(owner)).await.unwrap();
        page.entries.into_iter().map(|bucket| bucket.name).collect::<Vec<_>>()
    };
    assert_eq!(names(None).await, [BUCKET, "theirs"]);
    assert_eq!(names(Some("them")).await, ["theirs"]);

    for which in [BucketDocument::Cors, BucketDocument::Lifecycle] {
        assert_eq!(meta.bucket_document("theirs", which).await.unwrap(), None);
        for text in ["one", "two"] {
            let document = Some(text.to_owned());
            meta.set_bucket_document("theirs", which, document.clone()).await.unwrap();
            assert_eq!(meta.bucket_document("theirs", which).await.unwrap(), document);
        }
        let all = meta.bucket_documents(which).await.unwrap();
        assert_eq!(all, [("theirs".to_owned(), "two".to_owned())]);
    }
    meta.set_bucket_document("theirs", BucketDocument::Cors, None).await.unwrap();
    assert_eq!(meta.bucket_document("theirs", BucketDocument::Cors).await.unwrap(), None);
    meta.delete_bucket("theirs").await.unwrap();
    assert!(meta.bucket_documents(BucketDocument::Lifecycle).await.unwrap().is_empty());
    assert!(matches!(meta.get_bucket("theirs").await, Err(MetaError::NoSuchBucket(_))));
    assert_eq!(meta.bucket_use(BUCKET).await.unwrap(), BucketUse::default());
}

async fn copies_share_blobs(meta: &dyn MetaStore) {
    let blob = made_up(3000, 5);
    let info = meta.put_object(put("original", 3000)).await.unwrap();
    let copied = meta.copy_object(copy("original", "copy")).await.unwrap();
    assert_eq!((&copied.etag, copied.md5, copied.length), (&info.etag, info.md5, 5));
    assert_eq!((copied.modified_ms, copied.headers), (NOW + 1, vec![("a".into(), "b".into())]));
    let extents = [Extent { content: blob.content.clone(), length: 5 }];
    assert_eq!(meta.get_object(BUCKET, "copy").await.unwrap().extents, extents);
    // Onto itself, too.
    meta.copy_object(copy("copy", "copy")).await.unwrap();
    meta.delete_object(BUCKET, "original", NOW).await.unwrap();
    assert!(!garbage_of(meta).await.contains(&blob_id(&blob)), "the copy needs it");
    assert_eq!(meta.get_object(BUCKET, "copy").await.unwrap().extents, extents);
    assert_eq!(meta.discard_unnamed(vec![blob_id(&blob)], NOW).await.unwrap(), 0);
    meta.delete_object(BUCKET, "copy", NOW).await.unwrap();
    assert!(garbage_of(meta).await.contains(&blob_id(&blob)), "nobody needs it any more");

    let info = meta.put_object(put("original", 3001)).await.unwrap();
    let none = meta.copy_object(copy("none", "copy")).await.unwrap_err();
    assert!(matches!(none, MetaError::NoSuchKey(key) if key == "none"));
    // Of what was seen: the bytes, the time and the headers.
    for change in [
        |info: &mut ObjectInfo| info.etag = "other".into(),
        |info: &mut ObjectInfo| info.modified_ms += 1,
        |info: &mut ObjectInfo| info.headers.push(("x-oss-tagging".into(), "t=1".into())),
    ] {
        let mut seen = info.clone();
        change(&mut seen);
        let stale = CopyObject { seen: Some(seen), ..copy("original", "copy") };
        assert!(matches!(meta.copy_object(stale).await, Err(MetaError::Changed(_))));
    }
    let same = CopyObject { seen: Some(info), ..copy("original", "copy") };
    meta.copy_object(same).await.unwrap();
    let bucket = CopyObject { bucket: "no".into(), ..copy("original", "copy") };
    assert!(matches!(meta.copy_object(bucket).await, Err(MetaError::NoSuchBucket(_))));
    let keep = CopyObject { forbid_overwrite: true, ..copy("original", "original") };
    assert!(matches!(meta.copy_object(keep).await, Err(MetaError::FileAlreadyExists { .. })));
}

async fn growing(meta: &dyn MetaStore) {
    let append = |seed: u64, position: u64| AppendObject {
        bucket: BUCKET.to_owned(),
        key: "log".to_owned(),
        position,
        headers: vec![("a".to_owned(), seed.to_string())],
        blob: made_up(seed, 5),
        now_ms: NOW + seed,
    };
    let first = meta.append_object(append(4000, 0)).await.unwrap();
    assert_eq!((first.length, first.kind()), (5, "Appendable"));
    let second = meta.append_object(append(4001, 5)).await.unwrap();
    assert_eq!(second.length, 10);
    assert_eq!(second.crc64, combine(made_up(4000, 5).crc64, made_up(4001, 5).crc64, 5));
    assert_ne!(second.etag, first.etag);
    assert_eq!(second.header("a"), Some("4000"));
    let object = meta.get_object(BUCKET, "log").await.unwrap();
    assert_eq!((&object.info, object.extents.len()), (&second, 2));
    for position in [0, 5, 11] {
        let refused = meta.append_object(append(4002, position)).await.unwrap_err();
        assert!(matches!(refused, MetaError::PositionNotEqualToLength { length: 10, .. }));
    }
    meta.put_object(put("log", 4003)).await.unwrap();
    let refused = meta.append_object(append(4002, 5)).await.unwrap_err();
    assert!(matches!(refused, MetaError::ObjectNotAppendable(key) if key == "log"));
}

async fn many_at_once(meta: &dyn MetaStore) {
    for seed in 5000..5003 {
        let now_ms = NOW + seed;
        let key = format!("many/{seed}");
        meta.put_object(PutObject { now_ms, ..put(&key, seed) }).await.unwrap();
    }
    let keys = || vec!["many/5000".to_owned(), "many/5002".to_owned(), "many/none".to_owned()];
    let old = meta.delete_objects(BUCKET, keys(), Some(NOW + 5001), NOW).await.unwrap();
    assert_eq!(old, 1, "the others are not old enough, or not there");
    assert_eq!(meta.delete_objects(BUCKET, keys(), None, NOW).await.unwrap(), 1);
    assert!(meta.head_object(BUCKET, "many/5001").await.is_ok());
}

async fn sequential(meta: &dyn MetaStore) {
    let id = meta.initiate_sequential(BUCKET, "row", vec![], NOW).await.unwrap();
    let part =
        async |number, seed| meta.put_part(BUCKET, "row", &id, number, made_up(seed, 5), NOW).await;
    let early = part(2, 6000).await.unwrap_err();
    assert!(matches!(early, MetaError::PartNotSequential { number: 2, expected: 1 }));
    let early = meta.check_part(BUCKET, "row", &id, 2).await.unwrap_err();
    assert!(matches!(early, MetaError::PartNotSequential { number: 2, expected: 1 }));
    part(1, 6001).await.unwrap();
    let again = part(1, 6002).await.unwrap_err();
    assert!(matches!(again, MetaError::PartAlreadyExists { number: 1, .. }));
    let again = meta.check_part(BUCKET, "row", &id, 1).await.unwrap_err();
    assert!(matches!(again, MetaError::PartAlreadyExists { number: 1, .. }));
    part(2, 6003).await.unwrap();
}

#[tokio::test]
async fn the_object_of_a_sequential_upload_has_the_md5_of_all_its_parts() {
    let (store, _folder) = meta(small_parts()).await;
    let meta: &dyn MetaStore = &store;
    let completed = async |key: &str, id: &str, parts| {
        let complete = Complete { parts, ..complete(key, id, &[]) };
        meta.complete(complete).await.unwrap();
        meta.head_object(BUCKET, key).await.unwrap().md5
    };
    // The first part that comes without its MD5, how many are listed, whether the object has one.
    for (key, without, listed, has) in
        [("all", 4, None, true), ("one without", 3, None, false), ("some", 4, Some(2), false)]
    {
        let id = meta.initiate_sequential(BUCKET, key, vec![], NOW).await.unwrap();
        let mut list = Vec::new();
        for number in 1..=3_u32 {
            let bytes = format!("{key}{number}");
            let blob = Blob::small(bytes.clone().into());
            list.push((number, etag_of_md5(&blob.md5)));
            let mut whole = meta.check_part(BUCKET, key, &id, number).await.unwrap().unwrap();
            whole.update(bytes.as_bytes());
            match number < without {
                true => meta.put_next_part(BUCKET, key, &id, number, (blob, whole), NOW).await,
                false => meta.put_part(BUCKET, key, &id, number, blob, NOW).await,
            }
            .unwrap();
        }
        let parts = match listed {
            None => PartList::All,
            Some(most) => PartList::Listed(list[..most].to_vec()),
        };
        let whole = md5(format!("{key}1{key}2{key}3").as_bytes());
        assert_eq!(completed(key, &id, parts).await, has.then_some(whole), "{key}");
    }
    // One that is not sequential has none.
    let id = meta.initiate(BUCKET, "plain", vec![], NOW).await.unwrap();
    assert!(meta.check_part(BUCKET, "plain", &id, 1).await.unwrap().is_none());
    meta.put_part(BUCKET, "plain", &id, 1, Blob::small("x".into()), NOW).await.unwrap();
    assert_eq!(completed("plain", &id, PartList::All).await, None);
}

#[tokio::test]
async fn lifecycle_rules_end_what_is_old() {
    const DAY: u64 = 86_400_000;
    let (store, _folder) = meta(small_parts()).await;
    let meta: &dyn MetaStore = &store;
    assert_eq!(apply_lifecycles(meta, NOW).await.unwrap(), Ended::default());
    let tagged = |tags: &str| vec![("x-oss-tagging".to_owned(), tags.to_owned())];
    // More than one page, so that walking on while deleting is seen.
    for n in 0..1100u64 {
        let put = PutObject { now_ms: NOW - 3 * DAY, ..put(&format!("old/{n:04}"), n) };
        meta.put_object(put).await.unwrap();
    }
    for (seed, key, age, tags) in [
        (2000, "old/young", 1, ""),
        (2001, "other/old", 30, ""),
        (2002, "tag/yes", 3, "k=v&l=w"),
        (2003, "tag/no", 3, "k=other"),
        (2004, "off/old", 30, ""),
        // It is the 21st of September.
        (2005, "dated/august", 22, ""),
        (2006, "dated/september", 20, ""),
        (2007, "reached/now", 1, ""),
        (2008, "ahead/old", 30, ""),
    ] {
        let now_ms = NOW - age * DAY;
        let headers = if tags.is_empty() { vec![] } else { tagged(tags) };
        meta.put_object(PutObject { headers, now_ms, ..put(key, seed) }).await.unwrap();
    }
    for (key, age) in [("up/a", 3), ("up/b", 1), ("x/a", 3), ("dated/a", 22), ("dated/b", 20)] {
        meta.initiate(BUCKET, key, vec![], NOW - age * DAY).await.unwrap();
    }
    let document = "<LifecycleConfiguration>\
        <Rule><Prefix>old/</Prefix><Status>Enabled</Status><Expiration><Days>2</Days></Expiration></Rule>\
        <Rule><Prefix>tag/</Prefix><Status>Enabled</Status><Tag><Key>k</Key><Value>v</Value></Tag>\
        <Expiration><Days>2</Days></Expiration></Rule>\
        <Rule><Prefix>off/</Prefix><Status>Disabled</Status><Expiration><Days>2</Days></Expiration></Rule>\
        <Rule><Prefix>up/</Prefix><Status>Enabled</Status><AbortMultipartUpload><Days>2</Days></AbortMultipartUpload></Rule>\
        <Rule><Prefix>other/</Prefix><Status>Enabled</Status><Expiration><CreatedBeforeDate>2099-01-01T00:00:00.000Z</CreatedBeforeDate></Expiration></Rule>\
        <Rule><Prefix>dated/</Prefix><Status>Enabled</Status><Expiration><CreatedBeforeDate>2026-09-01T00:00:00.000Z</CreatedBeforeDate></Expiration>\
        <AbortMultipartUpload><CreatedBeforeDate>2026-09-01T00:00:00.000Z</CreatedBeforeDate></AbortMultipartUpload></Rule>\
        <Rule><Prefix>reached/</Prefix><Status>Enabled</Status><Expiration><Date>2026-09-21T00:00:00.000Z</Date></Expiration></Rule>\
        <Rule><Prefix>ahead/</Prefix><Status>Enabled</Status><Expiration><Date>2026-09-22T00:00:00.000Z</Date></Expiration></Rule>\
        </LifecycleConfiguration>";
    let kept = Some(document.to_owned());
    meta.set_bucket_document(BUCKET, BucketDocument::Lifecycle, kept).await.unwrap();
    let ended = apply_lifecycles(meta, NOW).await.unwrap();
    assert_eq!(ended, Ended { objects: 1103, uploads: 2 });
    for key in ["old/young", "other/old", "tag/no", "off/old", "dated/september", "ahead/old"] {
        assert!(meta.head_object(BUCKET, key).await.is_ok(), "{key}");
    }
    for key in ["old/0000", "old/1099", "tag/yes", "dated/august", "reached/now"] {
        assert!(meta.head_object(BUCKET, key).await.is_err(), "{key}");
    }
    assert_eq!(
        apply_lifecycles(meta, NOW).await.unwrap(),
        Ended::default(),
        "nothing is left to end"
    );
}

#[tokio::test]
async fn fsck_finds_copies_and_grown_objects_in_order() {
    let folder = tempfile::tempdir().unwrap();
    {
        let blobs = DiskBlobs::open(folder.path(), false).unwrap();
        let options = SqliteOptions { durable: false, ..SqliteOptions::default() };
        let meta = SqliteStore::open(&folder.path().join("meta.sqlite"), options).unwrap();
        meta.create_bucket(BUCKET, NOW).await.unwrap();
        let film = write(&blobs, b"film").await;
        meta.put_object(PutObject { blob: film, ..put("original", 1) }).await.unwrap();
        meta.copy_object(copy("original", "copy")).await.unwrap();
        for (position, bytes) in [(0, &b"one"[..]), (3, b""), (3, b"two")] {
            let blob = write(&blobs, bytes).await;
            let append = AppendObject {
                bucket: BUCKET.to_owned(),
                key: "log".to_owned(),
                position,
                headers: vec![],
                blob,
                now_ms: NOW,
            };
            meta.append_object(append).await.unwrap();
        }
        meta.copy_object(copy("log", "log copy")).await.unwrap();
    }
    let report = fsck(folder.path(), FsckOptions { repair: false, verify_hashes: true }).unwrap();
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.objects, report.unnamed, report.garbage), (4, 0, 0));
}

#[tokio::test]
async fn the_janitor_acts_upon_lifecycle_rules() {
    let folder = tempfile::tempdir().unwrap();
    let blobs: Arc<dyn BlobStore> = Arc::new(DiskBlobs::open(folder.path(), false).unwrap());
    let options = SqliteOptions { durable: false, ..SqliteOptions::default() };
    let meta = SqliteStore::open(&folder.path().join("meta.sqlite"), options).unwrap();
    let meta: Arc<dyn MetaStore> = Arc::new(meta);
    meta.create_bucket(BUCKET, NOW).await.unwrap();
    meta.put_object(put("old", 1)).await.unwrap();
    // What is newest tells the janitor that its clock is no jump.
    let later = NOW + 2 * 86_400_000;
    meta.put_object(PutObject { now_ms: later, ..put("new", 2) }).await.unwrap();
    let document = "<LifecycleConfiguration><Rule><Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule></LifecycleConfiguration>";
    let kept = Some(document.to_owned());
    meta.set_bucket_document(BUCKET, BucketDocument::Lifecycle, kept).await.unwrap();
    let clock: Clock = Arc::new(move || later);
    let janitor = Janitor::start(blobs, meta.clone(), JanitorOptions::default(), clock);
    for _ in 0..500 {
        let ended = janitor.tally().now().lifecycle;
        if ended != Ended::default() {
            assert_eq!(ended, Ended { objects: 1, uploads: 0 });
            janitor.stop().await;
            assert!(meta.head_object(BUCKET, "old").await.is_err());
            assert!(meta.head_object(BUCKET, "new").await.is_ok());
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the object is still there");
}

#[tokio::test]
async fn a_database_of_the_first_version_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("meta.db");
    {
        let raw = rusqlite::Connection::open(&path).unwrap();
        raw.execute_batch(include_str!("../../src/store/sqlite/schema.sql")).unwrap();
        raw.execute_batch(
            "INSERT INTO bucket VALUES ('films', 1);
             INSERT INTO manifest VALUES (1), (2);
             INSERT INTO part VALUES (1, 1, '000000000000000000000000000000aa', 5, x'000102030405060708090a0b0c0d0e0f', 7, 2),
                                     (2, 3, '000000000000000000000000000000bb', 6, x'000102030405060708090a0b0c0d0e0f', 8, 2);
             INSERT INTO object VALUES ('films', 'k', 1, 'ETAG', 5, 7, x'000102030405060708090a0b0c0d0e0f', 2, '[[\"a\",\"b\"]]');
             INSERT INTO upload VALUES ('ID', 'films', 'u', 2, 3, '[]');
             PRAGMA user_version = 1;
             PRAGMA application_id = 1447449177;",
        )
        .unwrap();
    }
    let meta = SqliteStore::open(&path, small_parts()).unwrap();
    let bucket = meta.get_bucket(BUCKET).await.unwrap();
    assert_eq!(
        (bucket.owner.as_str(), bucket.acl.as_str(), bucket.created_ms),
        ("main", "private", 1)
    );
    let object = meta.get_object(BUCKET, "k").await.unwrap();
    assert_eq!(
        (object.info.etag.as_str(), object.info.length, object.info.kind()),
        ("ETAG", 5, "Normal")
    );
    assert_eq!(object.info.header("a"), Some("b"));
    assert_eq!(only_blob(&object).as_str(), "000000000000000000000000000000aa");
    let parts = meta.list_parts(BUCKET, "u", "ID", 0, 10).await.unwrap().parts;
    assert_eq!(parts.iter().map(|part| (part.number, part.length)).collect::<Vec<_>>(), [(3, 6)]);
    meta.copy_object(copy("k", "copy")).await.unwrap();
}

fn copy(from: &str, to: &str) -> CopyObject {
    CopyObject {
        from_bucket: BUCKET.to_owned(),
        from_key: from.to_owned(),
        seen: None,
        bucket: BUCKET.to_owned(),
        key: to.to_owned(),
        headers: vec![("a".to_owned(), "b".to_owned())],
        forbid_overwrite: false,
        now_ms: NOW + 1,
    }
}

fn put(key: &str, seed: u64) -> PutObject {
    PutObject {
        bucket: BUCKET.to_owned(),
        key: key.to_owned(),
        headers: vec![],
        blob: made_up(seed, 5),
        forbid_overwrite: false,
        now_ms: NOW,
    }
}

/// The wall clock is a year ahead: no lifecycle rule goes by it at once, nor at a start, whatever else the
/// database tells of the time.
#[tokio::test]
async fn a_clock_that_is_ahead_ends_no_object() {
    let rule = "<LifecycleConfiguration><Rule><Status>Enabled</Status>\
                <Expiration><Days>1</Days></Expiration></Rule></LifecycleConfiguration>";
    for upload_beside in [true, false] {
        let (meta, _m) = meta(small_parts()).await;
        let folder = tempfile::tempdir().unwrap();
        let blobs: Arc<dyn BlobStore> = Arc::new(DiskBlobs::open(folder.path(), false).unwrap());
        let meta: Arc<dyn MetaStore> = Arc::new(meta);
        meta.put_object(put("young", 1)).await.unwrap();
        let rule = Some(rule.to_owned());
        meta.set_bucket_document(BUCKET, BucketDocument::Lifecycle, rule).await.unwrap();
        if upload_beside {
            meta.initiate(BUCKET, "u", vec![], NOW).await.unwrap();
        }
        let options = JanitorOptions {
            every: Duration::from_millis(5),
            walk_every: Duration::ZERO,
            ..JanitorOptions::default()
        };
        let clock: Clock = Arc::new(|| NOW + 365 * 86_400_000);
        let janitor = Janitor::start(blobs, meta.clone(), options, clock);
        eventually("three rounds", || janitor.tally().now().rounds >= 3).await;
        janitor.stop().await;
        let kept = meta.head_object(BUCKET, "young").await;
        assert!(kept.is_ok(), "with an upload beside it: {upload_beside}");
    }
}

//! What tenants may store: counted whatever happens, and refused in the transaction that would exceed it.

use vodferry_server::store::{
    AppendObject, Bucket, Complete, CopyObject, MetaError, MetaStore, PartList, PutObject, Quota,
    Quotas, SqliteOptions, SqliteStore,
};

use crate::{BUCKET, NOW, garbage_of, made_up, small_parts};

const MAIN: Quota = Quota { bytes: Some(1000), objects: Some(3), uploads: 2, buckets: 0 };

fn options() -> SqliteOptions {
    let of = [("main".to_owned(), MAIN)].into();
    let every = Quota { objects: Some(1), buckets: 2, ..Quota::default() };
    SqliteOptions { quotas: Quotas { every, of }, ..small_parts() }
}

fn put(key: &str, seed: u64, length: u64) -> PutObject {
    PutObject {
        bucket: BUCKET.into(),
        key: key.into(),
        headers: Vec::new(),
        blob: made_up(seed, length),
        forbid_overwrite: false,
        now_ms: NOW,
    }
}

fn too_much<T: std::fmt::Debug>(outcome: Result<T, MetaError>, expected: &str) {
    let error = outcome.unwrap_err();
    assert!(error.is_refusal());
    assert!(
        matches!(&error, MetaError::QuotaExceeded { what, .. } if *what == expected),
        "{error}"
    );
}

/// How many bytes may still be put, found out by trying, and without leaving anything behind.
async fn room(meta: &SqliteStore, seed: u64) -> u64 {
    let (mut fits, mut not) = (0, 1001);
    while not - fits > 1 {
        let length = (fits + not) / 2;
        match meta.put_object(put("probe", seed * 10_000 + length, length)).await {
            Ok(_) => {
                meta.delete_object(BUCKET, "probe", NOW).await.unwrap();
                fits = length;
            }
            Err(_) => not = length,
        }
    }
    fits
}

#[tokio::test]
async fn every_way_of_storing_counts_and_every_way_of_removing_gives_back() {
    let (meta, folder) = crate::meta(options()).await;
    assert_eq!(room(&meta, 1).await, 1000);
    meta.put_object(put("a", 2, 300)).await.unwrap();
    assert_eq!(room(&meta, 3).await, 700);
    // In place of the old one.
    meta.put_object(put("a", 4, 400)).await.unwrap();
    assert_eq!(room(&meta, 5).await, 600);
    too_much(meta.put_object(put("b", 6, 601)).await, "bytes");
    assert!(matches!(meta.head_object(BUCKET, "b").await, Err(MetaError::NoSuchKey(_))));

    // Parts count before they are an object, and once only.
    let id = meta.initiate(BUCKET, "up", Vec::new(), NOW).await.unwrap();
    let part = meta.put_part(BUCKET, "up", &id, 1, made_up(7, 100), NOW).await.unwrap();
    meta.put_part(BUCKET, "up", &id, 2, made_up(8, 100), NOW).await.unwrap();
    assert_eq!(room(&meta, 9).await, 400);
    let last = meta.put_part(BUCKET, "up", &id, 2, made_up(10, 50), NOW).await.unwrap();
    meta.put_part(BUCKET, "up", &id, 3, made_up(11, 20), NOW).await.unwrap();
    assert_eq!(room(&meta, 12).await, 430);
    too_much(meta.put_part(BUCKET, "up", &id, 4, made_up(13, 431), NOW).await, "bytes");
    let complete = Complete {
        bucket: BUCKET.into(),
        key: "up".into(),
        upload_id: id.clone(),
        parts: PartList::Listed(vec![(1, part.etag), (2, last.etag)]),
        headers: Vec::new(),
        forbid_overwrite: false,
        now_ms: NOW,
    };
    meta.complete(complete.clone()).await.unwrap();
    assert!(meta.complete(complete).await.unwrap().replayed);
    assert_eq!(room(&meta, 14).await, 450, "the part that was not listed is gone");
    let id = meta.initiate(BUCKET, "other", Vec::new(), NOW).await.unwrap();
    meta.put_part(BUCKET, "other", &id, 1, made_up(15, 100), NOW).await.unwrap();
    assert_eq!(room(&meta, 16).await, 350);
    meta.abort(BUCKET, "other", &id, NOW).await.unwrap();
    let id = meta.initiate(BUCKET, "old", Vec::new(), NOW).await.unwrap();
    meta.put_part(BUCKET, "old", &id, 1, made_up(17, 100), NOW).await.unwrap();
    assert_eq!(meta.expire_uploads(NOW + 1, 10, NOW).await.unwrap(), 1);
    assert_eq!(room(&meta, 18).await, 450);

    // Appended bytes and copies.
    meta.delete_object(BUCKET, "up", NOW).await.unwrap();
    let append = |position, seed, length| AppendObject {
        bucket: BUCKET.into(),
        key: "grows".into(),
        position,
        headers: Vec::new(),
        blob: made_up(seed, length),
        now_ms: NOW,
    };
    meta.append_object(append(0, 19, 10)).await.unwrap();
    meta.append_object(append(10, 20, 10)).await.unwrap();
    assert_eq!(room(&meta, 21).await, 580);
    too_much(meta.append_object(append(20, 22, 581)).await, "bytes");
    let copy = |key: &str| CopyObject {
        from_bucket: BUCKET.into(),
        from_key: "a".into(),
        seen: None,
        bucket: BUCKET.into(),
        key: key.into(),
        headers: Vec::new(),
        forbid_overwrite: false,
        now_ms: NOW,
    };
    meta.copy_object(copy("copy")).await.unwrap();
    too_much(meta.copy_object(copy("grows")).await, "bytes");
    assert_eq!(meta.head_object(BUCKET, "grows").await.unwrap().length, 20, "nothing was undone");

    // Objects: there are three.
    too_much(meta.put_object(put("fourth", 23, 0)).await, "objects");
    meta.put_object(put("copy", 24, 0)).await.unwrap();

    // Headers count where they are, and once: with an upload, then with its object.
    meta.delete_object(BUCKET, "copy", NOW).await.unwrap();
    let headers = vec![("x-oss-meta-a".to_owned(), "v".repeat(80))];
    let as_json = serde_json::to_string(&headers).unwrap().len() as u64 - 2;
    assert_eq!(room(&meta, 30).await, 580);
    let id = meta.initiate(BUCKET, "a", headers.clone(), NOW).await.unwrap();
    assert_eq!(room(&meta, 31).await, 580 - as_json);
    meta.abort(BUCKET, "a", &id, NOW).await.unwrap();
    let long = vec![("x-oss-meta-a".to_owned(), "v".repeat(600))];
    too_much(meta.initiate(BUCKET, "a", long.clone(), NOW).await, "bytes");
    let wordy = PutObject { headers: long, ..put("a", 32, 400) };
    too_much(meta.put_object(wordy).await, "bytes");
    let wordy = PutObject { headers, ..put("a", 33, 400) };
    meta.put_object(wordy).await.unwrap();
    assert_eq!(room(&meta, 34).await, 580 - as_json);
    let value = Some("v".repeat(600));
    too_much(meta.set_object_header(BUCKET, "a", "x-oss-tagging", value).await, "bytes");
    meta.set_object_header(BUCKET, "a", "x-oss-meta-a", None).await.unwrap();
    assert_eq!(room(&meta, 35).await, 580);

    // Unfinished uploads: there are two, whatever is open elsewhere.
    let open = [
        meta.initiate(BUCKET, "u", Vec::new(), NOW).await.unwrap(),
        meta.initiate_sequential(BUCKET, "u", Vec::new(), NOW).await.unwrap(),
    ];
    too_much(meta.initiate(BUCKET, "u", Vec::new(), NOW).await, "unfinished uploads");
    too_much(meta.initiate_sequential(BUCKET, "u", Vec::new(), NOW).await, "unfinished uploads");
    for id in open {
        meta.abort(BUCKET, "u", &id, NOW).await.unwrap();
    }
    let with_headers = vec![("x-oss-meta-a".to_owned(), "v".repeat(100))];
    let id = meta.initiate(BUCKET, "u", with_headers, NOW).await.unwrap();
    let left = room(&meta, 36).await;
    assert!(left < 480);
    meta.put_object(put("copy", 38, 0)).await.unwrap();

    // What was counted is what a fresh start counts.
    let before = garbage_of(&meta).await.len();
    drop(meta);
    let meta = SqliteStore::open(&folder.path().join("meta.db"), options()).unwrap();
    assert_eq!(garbage_of(&meta).await.len(), before);
    too_much(meta.put_object(put("fourth", 25, 0)).await, "objects");
    meta.delete_object(BUCKET, "copy", NOW).await.unwrap();
    assert_eq!(room(&meta, 37).await, left);
    meta.abort(BUCKET, "u", &id, NOW).await.unwrap();
    assert_eq!(room(&meta, 26).await, 580);
}

#[tokio::test]
async fn a_tenant_that_has_too_much_may_still_give_back() {
    let (meta, folder) = crate::meta(small_parts()).await;
    for n in 0..5 {
        meta.put_object(put(&n.to_string(), n, 500)).await.unwrap();
    }
    drop(meta);
    let meta = SqliteStore::open(&folder.path().join("meta.db"), options()).unwrap();
    too_much(meta.put_object(put("new", 10, 1)).await, "bytes");
    too_much(meta.put_object(put("0", 11, 501)).await, "bytes");
    meta.put_object(put("0", 12, 499)).await.unwrap();
    meta.put_object(put("0", 13, 499)).await.unwrap();
    meta.delete_object(BUCKET, "0", NOW).await.unwrap();
}

#[tokio::test]
async fn each_tenant_has_its_own() {
    let (meta, _folder) = crate::meta(options()).await;
    let bucket = |name: &str| Bucket {
        name: name.into(),
        owner: "studio".into(),
        acl: "private".into(),
        storage_class: "Standard".into(),
        created_ms: NOW,
    };
    for name in ["theirs", "theirs-too"] {
        assert!(meta.make_bucket(bucket(name)).await.unwrap());
    }
    let third = meta.make_bucket(bucket("theirs-as-well")).await.unwrap_err();
    assert!(third.is_refusal() && matches!(third, MetaError::TooManyBuckets { most: 2, .. }));
    assert!(!meta.make_bucket(bucket("theirs")).await.unwrap(), "it is there already");
    let theirs =
        |bucket: &str, key: &str, seed| PutObject { bucket: bucket.into(), ..put(key, seed, 5000) };
    meta.put_object(put("ours", 1, 1000)).await.unwrap();
    meta.put_object(theirs("theirs", "k", 2)).await.unwrap();
    too_much(meta.put_object(theirs("theirs-too", "k", 3)).await, "objects");
    meta.delete_object("theirs", "k", NOW).await.unwrap();
    meta.put_object(theirs("theirs-too", "k", 4)).await.unwrap();
    let nowhere = meta.put_object(theirs("nowhere", "k", 5)).await;
    assert!(matches!(nowhere, Err(MetaError::NoSuchBucket(_))));
}

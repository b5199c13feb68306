//! Buckets, objects and videos.

use vodferry_server::store::{
    Extent, MetaError, MetaStore, NewVideo, PutObject, SqliteOptions, VideoStatus,
};

use crate::{BUCKET, NOW, blob_id, etag_of, garbage_of, made_up, meta, only_blob, small_parts};

#[tokio::test]
async fn sqlite_conforms() {
    let (store, _folder) = meta(small_parts()).await;
    buckets(&store).await;
    objects(&store).await;
    overwriting(&store).await;
    strange_names(&store).await;
    videos(&store).await;
}

async fn buckets(meta: &dyn MetaStore) {
    assert!(!meta.create_bucket(BUCKET, NOW).await.unwrap(), "it was there");
    assert!(meta.bucket_exists(BUCKET).await.unwrap());
    assert!(!meta.bucket_exists("other").await.unwrap());
    assert!(meta.create_bucket("second", NOW).await.unwrap());
    assert!(meta.bucket_exists("second").await.unwrap());
    let no_bucket = |e: MetaError| matches!(e, MetaError::NoSuchBucket(name) if name == "other");
    assert!(no_bucket(meta.head_object("other", "k").await.unwrap_err()));
    assert!(no_bucket(meta.get_object("other", "k").await.unwrap_err()));
    assert!(no_bucket(meta.delete_object("other", "k", NOW).await.unwrap_err()));
    assert!(no_bucket(meta.initiate("other", "k", vec![], NOW).await.unwrap_err()));
    assert!(no_bucket(meta.check_part("other", "k", "ID", 1).await.unwrap_err()));
    let put = PutObject { bucket: "other".to_owned(), ..put("k", 1) };
    assert!(no_bucket(meta.put_object(put).await.unwrap_err()));
}

async fn objects(meta: &dyn MetaStore) {
    let blob = made_up(10, 5);
    let told = meta.put_object(put("a/b.mp4", 10)).await.unwrap();
    assert_eq!(told.etag, etag_of(&blob));
    assert_eq!((told.length, told.crc64, told.md5), (5, blob.crc64, Some(blob.md5)));
    assert_eq!(told.modified_ms, NOW);
    assert_eq!(told.headers, [("content-type".to_owned(), "video/mp4".to_owned())]);
    assert_eq!(meta.head_object(BUCKET, "a/b.mp4").await.unwrap(), told);
    let object = meta.get_object(BUCKET, "a/b.mp4").await.unwrap();
    assert_eq!(object.info, told);
    assert_eq!(object.extents, [Extent { content: blob.content.clone(), length: 5 }]);

    let missing = meta.get_object(BUCKET, "a/b.mp").await.unwrap_err();
    assert!(matches!(missing, MetaError::NoSuchKey(key) if key == "a/b.mp"));
    assert!(matches!(meta.head_object(BUCKET, "x").await, Err(MetaError::NoSuchKey(_))));
    assert!(matches!(meta.head_object("second", "a/b.mp4").await, Err(MetaError::NoSuchKey(_))));

    let mut empty = put("empty", 11);
    empty.blob.length = 0;
    meta.put_object(empty).await.unwrap();
    let empty = meta.get_object(BUCKET, "empty").await.unwrap();
    assert_eq!((empty.info.length, empty.extents.len()), (0, 0));
}

async fn overwriting(meta: &dyn MetaStore) {
    meta.put_object(put("twice", 20)).await.unwrap();
    let forbidden = PutObject { forbid_overwrite: true, ..put("twice", 21) };
    let refused = meta.put_object(forbidden).await.unwrap_err();
    assert!(matches!(refused, MetaError::FileAlreadyExists { key } if key == "twice"));
    assert_eq!(
        only_blob(&meta.get_object(BUCKET, "twice").await.unwrap()),
        blob_id(&made_up(20, 1))
    );
    assert!(!garbage_of(meta).await.contains(&blob_id(&made_up(20, 1))));

    let later = PutObject { now_ms: NOW + 5, ..put("twice", 22) };
    assert_eq!(meta.put_object(later).await.unwrap().modified_ms, NOW + 5);
    assert_eq!(
        only_blob(&meta.get_object(BUCKET, "twice").await.unwrap()),
        blob_id(&made_up(22, 1))
    );
    assert!(garbage_of(meta).await.contains(&blob_id(&made_up(20, 1))));

    assert!(meta.delete_object(BUCKET, "twice", NOW).await.unwrap());
    assert!(!meta.delete_object(BUCKET, "twice", NOW).await.unwrap());
    assert!(matches!(meta.head_object(BUCKET, "twice").await, Err(MetaError::NoSuchKey(_))));
    assert!(garbage_of(meta).await.contains(&blob_id(&made_up(22, 1))));
    let first = PutObject { forbid_overwrite: true, ..put("twice", 23) };
    meta.put_object(first).await.unwrap();
}

async fn strange_names(meta: &dyn MetaStore) {
    for (seed, key) in
        [(30, "a b"), (31, "%20'\"; --"), (32, "中文/🎬.mp4"), (33, "a\nb\u{1}"), (34, "A/B.MP4")]
    {
        let mut put = put(key, seed);
        put.headers = vec![("x-oss-meta-t".to_owned(), "\"q\" \\ 中 ü".to_owned())];
        let told = meta.put_object(put).await.unwrap();
        assert_eq!(meta.head_object(BUCKET, key).await.unwrap(), told);
    }
    assert_eq!(meta.head_object(BUCKET, "a/b.mp4").await.unwrap().etag, etag_of(&made_up(10, 5)));
}

async fn videos(meta: &dyn MetaStore) {
    let new = NewVideo {
        video_id: "0123456789abcdef0123456789abcdef".to_owned(),
        bucket: BUCKET.to_owned(),
        key: "sv/1.mp4".to_owned(),
        title: "Überschrift".to_owned(),
        file_name: "/home/x/1.mp4".to_owned(),
        size: 1000,
        description: "d".to_owned(),
        tags: "a,b".to_owned(),
        cover_url: "http://c".to_owned(),
        cate_id: Some(-1),
        user_data: "{}".to_owned(),
        kind: vodferry_vod::MediaKind::Image,
        template_group_id: "tg".to_owned(),
        workflow_id: "wf".to_owned(),
        app_id: "app".to_owned(),
        transcode_mode: "NoTranscode".to_owned(),
        image_type: "cover".to_owned(),
    };
    let made = meta.create_video(new.clone(), NOW).await.unwrap();
    assert_eq!((&made.info, made.status), (&new, VideoStatus::Uploading));
    assert_eq!(meta.get_video(&new.video_id).await.unwrap(), made);
    let missing = meta.get_video("nobody").await.unwrap_err();
    assert!(matches!(missing, MetaError::NoSuchVideo(id) if id == "nobody"));
    let same_key = NewVideo { video_id: "f".repeat(32), ..new.clone() };
    assert!(matches!(meta.create_video(same_key, NOW).await, Err(MetaError::Storage { .. })));
    let no_bucket = NewVideo { bucket: "other".to_owned(), key: "x".to_owned(), ..new.clone() };
    assert!(matches!(meta.create_video(no_bucket, NOW).await, Err(MetaError::NoSuchBucket(_))));

    meta.put_object(put("sv/2.mp4", 40)).await.unwrap();
    assert_eq!(meta.get_video(&new.video_id).await.unwrap(), made, "that was another key");
    let mut arrives = put("sv/1.mp4", 41);
    arrives.now_ms = NOW + 9;
    meta.put_object(arrives).await.unwrap();
    let normal = meta.get_video(&new.video_id).await.unwrap();
    assert_eq!((normal.status, normal.info.size), (VideoStatus::Normal, 5));
    assert_eq!((normal.created_ms, normal.modified_ms), (NOW, NOW + 9));
    let refused = PutObject { forbid_overwrite: true, now_ms: NOW + 20, ..put("sv/1.mp4", 42) };
    meta.put_object(refused).await.unwrap_err();
    assert_eq!(meta.get_video(&new.video_id).await.unwrap(), normal);
}

#[tokio::test]
async fn a_database_of_another_kind_or_time_is_refused() {
    use vodferry_server::store::{OpenError, SqliteStore};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("meta.db");
    let open = || SqliteStore::open(&path, SqliteOptions::default());
    drop(open().unwrap());
    drop(open().unwrap());

    let raw = rusqlite::Connection::open(&path).unwrap();
    raw.pragma_update(None, "user_version", 7).unwrap();
    let refused = open().err().unwrap();
    assert!(matches!(refused, OpenError::Newer { found: 7, known: 4, .. }), "{refused}");
    assert!(refused.to_string().contains("schema version 7"), "{refused}");
    raw.pragma_update(None, "user_version", 4).unwrap();
    open().unwrap();
    drop(raw);

    let other = folder.path().join("other.db");
    let raw = rusqlite::Connection::open(&other).unwrap();
    raw.execute_batch("CREATE TABLE theirs (x)").unwrap();
    let refused = SqliteStore::open(&other, SqliteOptions::default()).err().unwrap();
    assert!(matches!(refused, OpenError::Foreign { .. }), "{refused}");

    let text = folder.path().join("text.db");
    std::fs::write(&text, "not a database, but long enough to be looked at".repeat(100)).unwrap();
    let refused = SqliteStore::open(&text, SqliteOptions::default()).err().unwrap();
    assert!(matches!(refused, OpenError::Sqlite { .. }), "{refused}");
    assert!(SqliteStore::open(folder.path(), SqliteOptions::default()).is_err());
}

fn put(key: &str, seed: u64) -> PutObject {
    PutObject {
        bucket: BUCKET.to_owned(),
        key: key.to_owned(),
        headers: vec![("content-type".to_owned(), "video/mp4".to_owned())],
        blob: made_up(seed, 5),
        forbid_overwrite: false,
        now_ms: NOW,
    }
}

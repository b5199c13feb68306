//! Multipart uploads.

use vodferry_oss::crc64;
use vodferry_oss::etag::multipart_etag;
use vodferry_server::store::{
    Blob, Complete, Completed, MetaError, MetaStore, NewVideo, PartList, PutObject, SqliteOptions,
    VideoStatus,
};

use crate::{BUCKET, NOW, blob_id, etag_of, garbage_of, made_up, meta, only_blob, small_parts};

const HOUR: u64 = 3_600_000;

#[tokio::test]
async fn sqlite_conforms() {
    let (store, _folder) = meta(small_parts()).await;
    from_initiate_to_object(&store).await;
    parts_are_replaced(&store).await;
    listing_in_pages(&store).await;
    wrong_part_lists(&store).await;
    a_repeat_is_answered_alike(&store).await;
    abort(&store).await;
    overwriting(&store).await;
    all_parts_or_none(&store).await;
    a_video_arrives(&store).await;
    discarded_blobs_are_refused(&store).await;
}

async fn from_initiate_to_object(meta: &dyn MetaStore) {
    let headers = vec![("content-type".to_owned(), "video/mp4".to_owned())];
    let id = meta.initiate(BUCKET, "k1", headers.clone(), NOW).await.unwrap();
    assert_eq!(id.len(), 32);
    assert!(id.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase()));
    meta.check_part(BUCKET, "k1", &id, 1).await.unwrap();
    for (bucket, key, upload) in [(BUCKET, "k2", id.as_str()), (BUCKET, "k1", "other")] {
        let refused = meta.check_part(bucket, key, upload, 1).await.unwrap_err();
        assert!(matches!(refused, MetaError::NoSuchUpload(u) if u == upload));
        let refused = meta.put_part(bucket, key, upload, 1, made_up(99, 1), NOW).await;
        assert!(matches!(refused, Err(MetaError::NoSuchUpload(_))));
    }
    // Gaps and any order of arrival.
    let mut blobs = Vec::new();
    for number in [3, 10_000, 1] {
        let blob = made_up(100 + u64::from(number), 10 * u64::from(number));
        let part = meta.put_part(BUCKET, "k1", &id, number, blob.clone(), NOW + 1).await.unwrap();
        assert_eq!((part.number, part.length), (number, blob.length));
        assert_eq!((part.etag, part.crc64), (etag_of(&blob), blob.crc64));
        blobs.push((number, blob));
    }
    blobs.sort_by_key(|(number, _)| *number);
    assert!(matches!(meta.head_object(BUCKET, "k1").await, Err(MetaError::NoSuchKey(_))));

    let done = meta.complete(complete("k1", &id, &blobs)).await.unwrap();
    let whole = blobs.iter().fold(0, |crc, (_, b)| crc64::combine(crc, b.crc64, b.length));
    let etag = multipart_etag(blobs.iter().map(|(_, b)| etag_of(b)));
    assert!(etag.ends_with("-3"));
    assert_eq!(
        done,
        Completed { etag: etag.clone(), length: 100_040, crc64: whole, replayed: false }
    );
    let object = meta.get_object(BUCKET, "k1").await.unwrap();
    assert_eq!(object.info.headers, headers);
    assert_eq!((object.info.etag, object.info.md5), (etag, None));
    let order: Vec<_> = object.extents.iter().map(|e| (e.content.clone(), e.length)).collect();
    let wanted: Vec<_> = blobs.iter().map(|(_, b)| (b.content.clone(), b.length)).collect();
    assert_eq!(order, wanted);

    assert!(matches!(meta.check_part(BUCKET, "k1", &id, 1).await, Err(MetaError::NoSuchUpload(_))));
    let late = meta.put_part(BUCKET, "k1", &id, 1, made_up(98, 1), NOW).await;
    assert!(matches!(late, Err(MetaError::NoSuchUpload(_))));
    assert_eq!(meta.get_object(BUCKET, "k1").await.unwrap().extents.len(), 3);
}

async fn parts_are_replaced(meta: &dyn MetaStore) {
    let id = meta.initiate(BUCKET, "replaced", vec![], NOW).await.unwrap();
    for seed in [200, 201] {
        meta.put_part(BUCKET, "replaced", &id, 1, made_up(seed, 7), NOW).await.unwrap();
    }
    assert!(garbage_of(meta).await.contains(&blob_id(&made_up(200, 7))));
    let page = meta.list_parts(BUCKET, "replaced", &id, 0, 10).await.unwrap();
    assert_eq!(page.parts.len(), 1);
    assert_eq!(page.parts[0].etag, etag_of(&made_up(201, 7)));
    let old = complete("replaced", &id, &[(1, made_up(200, 7))]);
    let refused = meta.complete(old).await.unwrap_err();
    assert!(matches!(refused, MetaError::InvalidPart { number: 1, .. }));
    for number in [0, 10_001] {
        assert!(
            meta.put_part(BUCKET, "replaced", &id, number, made_up(202, 7), NOW).await.is_err()
        );
    }
}

async fn listing_in_pages(meta: &dyn MetaStore) {
    let id = meta.initiate(BUCKET, "pages", vec![], NOW).await.unwrap();
    let empty = meta.list_parts(BUCKET, "pages", &id, 0, 1000).await.unwrap();
    assert!(empty.parts.is_empty() && !empty.truncated);
    for number in 1..=25 {
        let blob = made_up(300 + u64::from(number), 1);
        meta.put_part(BUCKET, "pages", &id, number * 2, blob, NOW).await.unwrap();
    }
    let (mut seen, mut after, mut pages) = (Vec::new(), 0, 0);
    loop {
        let page = meta.list_parts(BUCKET, "pages", &id, after, 10).await.unwrap();
        seen.extend(page.parts.iter().map(|part| part.number));
        pages += 1;
        after = *seen.last().unwrap();
        if !page.truncated {
            break;
        }
        assert_eq!(page.parts.len(), 10);
    }
    assert_eq!(pages, 3);
    assert_eq!(seen, (1..=25).map(|n| n * 2).collect::<Vec<_>>());
    let exactly = meta.list_parts(BUCKET, "pages", &id, 30, 10).await.unwrap();
    assert!(exactly.parts.len() == 10 && !exactly.truncated, "the page ends with the list");
    let refused = meta.list_parts(BUCKET, "pages", "other", 0, 10).await;
    assert!(matches!(refused, Err(MetaError::NoSuchUpload(_))));
}

async fn wrong_part_lists(meta: &dyn MetaStore) {
    let id = meta.initiate(BUCKET, "wrong", vec![], NOW).await.unwrap();
    let (a, b, c) = (made_up(400, 1), made_up(401, 1), made_up(402, 1));
    for (number, blob) in [(1, &a), (2, &b)] {
        meta.put_part(BUCKET, "wrong", &id, number, blob.clone(), NOW).await.unwrap();
    }
    let try_list = async |parts: &[(u32, Blob)]| {
        meta.complete(complete("wrong", &id, parts)).await.unwrap_err()
    };
    let swapped = try_list(&[(2, b.clone()), (1, a.clone())]).await;
    assert!(matches!(swapped, MetaError::InvalidPartOrder));
    let doubled = try_list(&[(1, a.clone()), (1, a.clone())]).await;
    assert!(matches!(doubled, MetaError::InvalidPartOrder));
    let unknown = try_list(&[(1, a.clone()), (3, c.clone())]).await;
    assert!(
        matches!(unknown, MetaError::InvalidPart { number: 3, etag, .. } if etag == etag_of(&c))
    );
    let other_etag = try_list(&[(1, a.clone()), (2, c)]).await;
    assert!(matches!(other_etag, MetaError::InvalidPart { number: 2, .. }));
    let zero = try_list(&[(0, a.clone())]).await;
    assert!(matches!(zero, MetaError::InvalidPart { number: 0, .. }));
    let elsewhere = meta.complete(complete("wronger", &id, &[(1, a.clone())])).await;
    assert!(matches!(elsewhere, Err(MetaError::NoSuchUpload(_))));
    // None of this did any harm.
    meta.complete(complete("wrong", &id, &[(1, a), (2, b)])).await.unwrap();
}

async fn a_repeat_is_answered_alike(meta: &dyn MetaStore) {
    let id = meta.initiate(BUCKET, "again", vec![], NOW).await.unwrap();
    let parts = [(1, made_up(500, 3)), (2, made_up(501, 3))];
    for (number, blob) in &parts {
        meta.put_part(BUCKET, "again", &id, *number, blob.clone(), NOW).await.unwrap();
    }
    let request = complete("again", &id, &parts);
    let first = meta.complete(request.clone()).await.unwrap();
    let put = PutObject {
        bucket: BUCKET.to_owned(),
        key: "again".to_owned(),
        headers: vec![],
        blob: made_up(502, 1),
        forbid_overwrite: false,
        now_ms: NOW + 1,
    };
    let replaced = meta.put_object(put).await.unwrap();

    let mut lower = request.clone();
    lower.now_ms = NOW + 23 * HOUR;
    lower.forbid_overwrite = true;
    if let PartList::Listed(listed) = &mut lower.parts {
        listed
            .iter_mut()
            .for_each(|(_, etag)| *etag = format!("\"{}\"", etag.to_ascii_lowercase()));
    }
    let again = meta.complete(lower).await.unwrap();
    assert_eq!(again, Completed { replayed: true, ..first });
    assert_eq!(meta.head_object(BUCKET, "again").await.unwrap(), replaced, "nothing changed");

    let other_list = complete("again", &id, &parts[..1]);
    assert!(matches!(meta.complete(other_list).await, Err(MetaError::NoSuchUpload(_))));
    let other_key = Complete { key: "agaim".to_owned(), ..request.clone() };
    assert!(matches!(meta.complete(other_key).await, Err(MetaError::NoSuchUpload(_))));
    let too_late = Complete { now_ms: NOW + 24 * HOUR + 1, ..request };
    assert!(matches!(meta.complete(too_late).await, Err(MetaError::NoSuchUpload(_))));
}

async fn abort(meta: &dyn MetaStore) {
    let id = meta.initiate(BUCKET, "aborted", vec![], NOW).await.unwrap();
    meta.put_part(BUCKET, "aborted", &id, 1, made_up(600, 1), NOW).await.unwrap();
    let refused = meta.abort(BUCKET, "abortet", &id, NOW).await;
    assert!(matches!(refused, Err(MetaError::NoSuchUpload(_))));
    meta.abort(BUCKET, "aborted", &id, NOW).await.unwrap();
    assert!(matches!(
        meta.abort(BUCKET, "aborted", &id, NOW).await,
        Err(MetaError::NoSuchUpload(_))
    ));
    assert!(garbage_of(meta).await.contains(&blob_id(&made_up(600, 1))));
    let late = meta.put_part(BUCKET, "aborted", &id, 2, made_up(601, 1), NOW).await;
    assert!(matches!(late, Err(MetaError::NoSuchUpload(_))));
    let late = meta.complete(complete("aborted", &id, &[(1, made_up(600, 1))])).await;
    assert!(matches!(late, Err(MetaError::NoSuchUpload(_))));
}

async fn overwriting(meta: &dyn MetaStore) {
    let mut last = None;
    for seed in [700, 701] {
        let id = meta.initiate(BUCKET, "over", vec![], NOW).await.unwrap();
        let parts = [(1, made_up(seed, 2))];
        meta.put_part(BUCKET, "over", &id, 1, parts[0].1.clone(), NOW).await.unwrap();
        let request = complete("over", &id, &parts);
        if last.is_some() {
            let forbidden = Complete { forbid_overwrite: true, ..request.clone() };
            let refused = meta.complete(forbidden).await.unwrap_err();
            assert!(matches!(refused, MetaError::FileAlreadyExists { .. }));
            meta.check_part(BUCKET, "over", &id, 1).await.expect("the upload is still open");
        }
        last = Some(meta.complete(request).await.unwrap());
    }
    let object = meta.get_object(BUCKET, "over").await.unwrap();
    assert_eq!(object.info.etag, last.unwrap().etag);
    assert_eq!(only_blob(&object), blob_id(&made_up(701, 2)));
    assert!(garbage_of(meta).await.contains(&blob_id(&made_up(700, 2))));
}

async fn all_parts_or_none(meta: &dyn MetaStore) {
    let mut etags = Vec::new();
    for (list, numbers) in [(PartList::All, &[2, 5][..]), (PartList::Listed(vec![]), &[])] {
        let id = meta.initiate(BUCKET, "all", vec![], NOW).await.unwrap();
        for number in numbers {
            let blob = made_up(800 + u64::from(*number), 4);
            meta.put_part(BUCKET, "all", &id, *number, blob, NOW).await.unwrap();
        }
        let request = Complete { parts: list, ..complete("all", &id, &[]) };
        let done = meta.complete(request.clone()).await.unwrap();
        assert_eq!(
            meta.complete(request).await.unwrap(),
            Completed { replayed: true, ..done.clone() }
        );
        etags.push((done.etag, done.length));
    }
    let both = [made_up(802, 4), made_up(805, 4)];
    assert_eq!(etags[0], (multipart_etag(both.iter().map(etag_of)), 8));
    assert_eq!(etags[1].1, 0);
    assert!(meta.get_object(BUCKET, "all").await.unwrap().extents.is_empty());
    let garbage = garbage_of(meta).await;
    assert!([802, 805].iter().all(|seed| garbage.contains(&blob_id(&made_up(*seed, 4)))));
    // No list loses parts that are there.
    let id = meta.initiate(BUCKET, "all", vec![], NOW).await.unwrap();
    meta.put_part(BUCKET, "all", &id, 1, made_up(820, 4), NOW).await.unwrap();
    let refused = meta.complete(complete("all", &id, &[])).await;
    assert!(matches!(refused, Err(MetaError::NoPartsListed)), "{refused:?}");
    assert_eq!(meta.list_parts(BUCKET, "all", &id, 0, 10).await.unwrap().parts.len(), 1);
}

async fn a_video_arrives(meta: &dyn MetaStore) {
    let video = NewVideo {
        video_id: "v1".to_owned(),
        bucket: BUCKET.to_owned(),
        key: "sv/v1.mp4".to_owned(),
        ..NewVideo::default()
    };
    meta.create_video(video, NOW).await.unwrap();
    let id = meta.initiate(BUCKET, "sv/v1.mp4", vec![], NOW).await.unwrap();
    let parts = [(1, made_up(900, 6)), (2, made_up(901, 7))];
    for (number, blob) in &parts {
        meta.put_part(BUCKET, "sv/v1.mp4", &id, *number, blob.clone(), NOW).await.unwrap();
    }
    assert_eq!(meta.get_video("v1").await.unwrap().status, VideoStatus::Uploading);
    meta.complete(complete("sv/v1.mp4", &id, &parts[..1])).await.unwrap();
    let video = meta.get_video("v1").await.unwrap();
    assert_eq!((video.status, video.info.size), (VideoStatus::Normal, 6));
    assert!(
        garbage_of(meta).await.contains(&blob_id(&made_up(901, 7))),
        "an unlisted part is dropped"
    );
}

async fn discarded_blobs_are_refused(meta: &dyn MetaStore) {
    let id = meta.initiate(BUCKET, "late", vec![], NOW).await.unwrap();
    let named = made_up(950, 1);
    meta.put_part(BUCKET, "late", &id, 1, named.clone(), NOW).await.unwrap();
    let unnamed = made_up(951, 1);
    let ids = vec![blob_id(&named), blob_id(&unnamed)];
    assert_eq!(meta.discard_unnamed(ids.clone(), NOW).await.unwrap(), 1);
    assert_eq!(meta.discard_unnamed(ids, NOW).await.unwrap(), 0, "it is on the list already");
    let refused = meta.put_part(BUCKET, "late", &id, 2, unnamed.clone(), NOW).await.unwrap_err();
    assert!(matches!(refused, MetaError::BlobDiscarded(blob) if blob == blob_id(&unnamed)));
    let garbage = garbage_of(meta).await;
    assert!(garbage.contains(&blob_id(&unnamed)) && !garbage.contains(&blob_id(&named)));
    // Nor can one blob have two names.
    assert!(meta.put_part(BUCKET, "late", &id, 2, named, NOW).await.is_err());
}

#[tokio::test]
async fn small_parts_are_refused_by_complete() {
    let options = SqliteOptions { durable: false, ..SqliteOptions::default() };
    let (meta, _folder) = meta(options).await;
    let id = meta.initiate(BUCKET, "small", vec![], NOW).await.unwrap();
    let parts = [(1, made_up(1, 102_400)), (4, made_up(2, 102_399)), (5, made_up(3, 1))];
    for (number, blob) in &parts {
        meta.put_part(BUCKET, "small", &id, *number, blob.clone(), NOW).await.unwrap();
    }
    let refused = meta.complete(complete("small", &id, &parts)).await.unwrap_err();
    let told = (4, 102_399, 102_400);
    assert!(
        matches!(refused, MetaError::EntityTooSmall { number, length, minimum } if (number, length, minimum) == told)
    );
    let last_may_be_small = [parts[0].clone(), parts[2].clone()];
    let done = meta.complete(complete("small", &id, &last_may_be_small)).await.unwrap();
    assert_eq!(done.length, 102_401);
}

pub(crate) fn complete(key: &str, upload_id: &str, parts: &[(u32, Blob)]) -> Complete {
    Complete {
        bucket: BUCKET.to_owned(),
        key: key.to_owned(),
        upload_id: upload_id.to_owned(),
        parts: PartList::Listed(parts.iter().map(|(n, blob)| (*n, etag_of(blob))).collect()),
        headers: Vec::new(),
        forbid_overwrite: false,
        now_ms: NOW,
    }
}

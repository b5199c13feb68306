//! The janitor, over both stores.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use vodferry_server::store::{
    BlobStore, Clock, Complete, Janitor, JanitorOptions, MetaError, MetaStore, PartList, PutObject,
    Swept, discard_unnamed, set_back, sweep, wall_clock,
};

use crate::{
    BUCKET, NOW, blob_id, blobs, etag_of, eventually, garbage_of, meta, only_blob, read,
    small_parts, write,
};

const HOUR: u64 = 3_600_000;

#[tokio::test]
async fn garbage_goes_file_and_row_after_its_age() {
    let (meta, _m) = meta(small_parts()).await;
    let (blobs, folder) = blobs();
    let options = JanitorOptions::default();
    for bytes in [b"old", b"new"] {
        let blob = write(&blobs, bytes).await;
        meta.put_object(put("k", blob)).await.unwrap();
    }
    assert_eq!(garbage_of(&meta).await.len(), 1);
    assert_eq!(count(folder.path()), 2);
    assert_eq!(sweep(&blobs, &meta, &options, NOW + 1000).await.unwrap(), Swept::default());
    assert_eq!(count(folder.path()), 2, "somebody may be reading it");
    let swept = sweep(&blobs, &meta, &options, NOW + HOUR).await.unwrap();
    assert_eq!(swept, Swept { blobs: 1, ..Swept::default() });
    assert_eq!(garbage_of(&meta).await, []);
    assert_eq!(count(folder.path()), 1);
    let kept = only_blob(&meta.get_object(BUCKET, "k").await.unwrap());
    assert_eq!(read(&blobs, &kept, 0..3).await.unwrap(), b"new");
    // A crash between file and row: the file is gone, the row is not.
    meta.delete_object(BUCKET, "k", NOW).await.unwrap();
    blobs.delete(&kept).await.unwrap();
    assert_eq!(sweep(&blobs, &meta, &options, NOW + HOUR).await.unwrap().blobs, 1);
}

#[tokio::test]
async fn old_uploads_and_old_answers_go() {
    let (meta, _m) = meta(small_parts()).await;
    let (blobs, folder) = blobs();
    let options = JanitorOptions { garbage_age: Duration::ZERO, ..JanitorOptions::default() };
    let mut uploads = Vec::new();
    for number in 0..10 {
        let begun = if number < 9 { NOW } else { NOW + HOUR };
        let id = meta.initiate(BUCKET, "k", vec![], begun).await.unwrap();
        let blob = write(&blobs, b"part").await;
        meta.put_part(BUCKET, "k", &id, 1, blob, begun).await.unwrap();
        uploads.push(id);
    }
    let id = meta.initiate(BUCKET, "done", vec![], NOW).await.unwrap();
    let blob = write(&blobs, b"whole").await;
    meta.put_part(BUCKET, "done", &id, 1, blob.clone(), NOW).await.unwrap();
    let complete = Complete {
        bucket: BUCKET.to_owned(),
        key: "done".to_owned(),
        upload_id: id,
        parts: PartList::Listed(vec![(1, etag_of(&blob))]),
        headers: Vec::new(),
        forbid_overwrite: false,
        now_ms: NOW,
    };
    meta.complete(complete.clone()).await.unwrap();

    let week = 7 * 24 * HOUR;
    assert_eq!(sweep(&blobs, &meta, &options, NOW + HOUR).await.unwrap(), Swept::default());
    assert!(meta.complete(complete.clone()).await.unwrap().replayed);
    let swept = sweep(&blobs, &meta, &options, NOW + week + 1).await.unwrap();
    assert_eq!((swept.uploads, swept.completions), (9, 1));
    assert!(meta.complete(complete).await.is_err());
    for old in &uploads[..9] {
        assert!(meta.check_part(BUCKET, "k", old, 1).await.is_err());
    }
    meta.check_part(BUCKET, "k", &uploads[9], 1).await.unwrap();
    let swept = sweep(&blobs, &meta, &options, NOW + week + 2).await.unwrap();
    assert_eq!(swept.blobs + count(folder.path()) as u64, 11);
    assert_eq!(count(folder.path()), 2);
}

#[tokio::test]
async fn old_blobs_without_a_name_go_and_young_ones_stay() {
    let (meta, _m) = meta(small_parts()).await;
    let (blobs, folder) = blobs();
    let options = JanitorOptions { garbage_age: Duration::ZERO, ..JanitorOptions::default() };
    let named = write(&blobs, b"named").await;
    meta.put_object(put("k", named.clone())).await.unwrap();
    let unnamed = write(&blobs, b"unnamed").await;
    assert_eq!(discard_unnamed(&blobs, &meta, &options, NOW).await.unwrap(), 0, "too young");

    let any_age = JanitorOptions { unnamed_age: Duration::ZERO, ..options };
    assert_eq!(discard_unnamed(&blobs, &meta, &any_age, NOW).await.unwrap(), 1);
    assert_eq!(garbage_of(&meta).await, [blob_id(&unnamed)]);
    sweep(&blobs, &meta, &any_age, NOW + 1).await.unwrap();
    assert_eq!(count(folder.path()), 1);
    assert_eq!(read(&blobs, &blob_id(&named), 0..5).await.unwrap(), b"named");
}

/// Names and discards race for the same blobs; whoever wins, a named blob keeps its bytes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_janitor_never_races_a_commit() {
    let (meta, _m) = meta(small_parts()).await;
    let (blobs, folder) = blobs();
    let (meta, blobs) = (Arc::new(meta), Arc::new(blobs));
    let eager = JanitorOptions {
        unnamed_age: Duration::ZERO,
        garbage_age: Duration::ZERO,
        ..JanitorOptions::default()
    };
    let walker = tokio::spawn({
        let (meta, blobs, eager) = (meta.clone(), blobs.clone(), eager.clone());
        async move {
            loop {
                discard_unnamed(&*blobs, &*meta, &eager, NOW).await.unwrap();
                tokio::task::yield_now().await;
            }
        }
    });
    let mut named = Vec::new();
    let mut number = 0;
    while named.len() < 50 || number - named.len() < 50 {
        let blob = write(&*blobs, format!("bytes {number}").as_bytes()).await;
        // Neither side may win always.
        if number % 2 == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        match meta.put_object(put(&format!("k{number}"), blob.clone())).await {
            Ok(_) => named.push(blob),
            Err(MetaError::BlobDiscarded(gone)) => assert_eq!(gone, blob_id(&blob)),
            Err(other) => panic!("{other}"),
        }
        number += 1;
        assert!(number < 20_000, "{} of {number} were named", named.len());
    }
    walker.abort();
    sweep(&*blobs, &*meta, &eager, NOW + 1).await.unwrap();
    for blob in &named {
        let bytes = read(&*blobs, &blob_id(blob), 0..blob.length).await.unwrap();
        assert!(bytes.starts_with(b"bytes "));
    }
    assert!(count(folder.path()) >= named.len());
    discard_unnamed(&*blobs, &*meta, &eager, NOW).await.unwrap();
    sweep(&*blobs, &*meta, &eager, NOW + 1).await.unwrap();
    assert_eq!(count(folder.path()), named.len());
}

#[tokio::test]
async fn a_janitor_works_until_it_is_dropped() {
    let (meta, _m) = meta(small_parts()).await;
    let (blobs, folder) = blobs();
    let (meta, blobs) = (Arc::new(meta), Arc::new(blobs));
    let options = JanitorOptions {
        every: Duration::from_millis(5),
        garbage_age: Duration::ZERO,
        ..JanitorOptions::default()
    };
    let janitor = Janitor::start(blobs.clone(), meta.clone(), options, wall_clock());
    for bytes in [b"old", b"new"] {
        let blob = write(&*blobs, bytes).await;
        meta.put_object(put("k", blob)).await.unwrap();
    }
    eventually("the replaced blob is gone", || count(folder.path()) == 1).await;
    drop(janitor);
    eventually("the janitor let go", || Arc::strong_count(&blobs) == 1).await;
}

#[tokio::test]
async fn an_upload_is_as_old_as_its_last_part() {
    let (meta, _m) = meta(small_parts()).await;
    let (blobs, _folder) = blobs();
    let options = JanitorOptions::default();
    let day = 24 * HOUR;
    let id = meta.initiate(BUCKET, "k", vec![], NOW).await.unwrap();
    for (number, at) in [(1, NOW + 6 * day), (2, NOW)] {
        let blob = write(&blobs, b"part").await;
        meta.put_part(BUCKET, "k", &id, number, blob, at).await.unwrap();
    }
    for (at, expired) in [(8 * day, 0), (13 * day, 0), (13 * day + 1, 1)] {
        let swept = sweep(&blobs, &meta, &options, NOW + at).await.unwrap();
        assert_eq!(swept.uploads, expired, "{at}");
    }
}

#[tokio::test]
async fn an_upload_of_1970_counts_from_when_the_clock_was_set() {
    let (meta, _m) = meta(small_parts()).await;
    let (blobs, _folder) = blobs();
    let options = JanitorOptions::default();
    let week = 7 * 24 * HOUR;
    let id = meta.initiate(BUCKET, "k", vec![], 5_000).await.unwrap();
    let blob = write(&blobs, b"part").await;
    meta.put_part(BUCKET, "k", &id, 1, blob, 6_000).await.unwrap();
    for (at, expired) in [(7_000, 0), (NOW, 0), (NOW + week, 0), (NOW + week + 1, 1)] {
        let swept = sweep(&blobs, &meta, &options, at).await.unwrap();
        assert_eq!(swept.uploads, expired, "{at}");
    }
}

fn put(key: &str, blob: vodferry_server::store::Blob) -> PutObject {
    PutObject {
        bucket: BUCKET.to_owned(),
        key: key.to_owned(),
        headers: vec![],
        blob,
        forbid_overwrite: false,
        now_ms: NOW,
    }
}

/// Blobs on the disk.
fn count(folder: &Path) -> usize {
    let folders = std::fs::read_dir(folder.join("blobs")).unwrap();
    folders.map(|f| std::fs::read_dir(f.unwrap().path()).unwrap().count()).sum()
}

/// The wall clock is set a year ahead: nobody's upload becomes old by that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_jumps_ahead_expires_nothing() {
    let (meta, _m) = meta(small_parts()).await;
    let (blobs, folder) = blobs();
    let (meta, blobs) = (Arc::new(meta), Arc::new(blobs));
    let now = Arc::new(AtomicU64::new(NOW));
    assert_eq!(meta.newest_ms().await.unwrap(), None);
    let id = meta.initiate(BUCKET, "k", vec![], NOW - HOUR).await.unwrap();
    let part = write(&*blobs, b"part").await;
    meta.put_part(BUCKET, "k", &id, 1, part.clone(), NOW).await.unwrap();
    assert_eq!(meta.newest_ms().await.unwrap(), Some(NOW));
    let rounds = Arc::new(AtomicU64::new(0));
    let clock: Clock = {
        let (now, rounds) = (now.clone(), rounds.clone());
        Arc::new(move || {
            rounds.fetch_add(1, Ordering::SeqCst);
            now.load(Ordering::SeqCst)
        })
    };
    let options = JanitorOptions {
        every: Duration::from_millis(5),
        garbage_age: Duration::ZERO,
        ..JanitorOptions::default()
    };
    // While no server ran.
    now.store(NOW + 30 * 24 * HOUR, Ordering::SeqCst);
    let janitor = Janitor::start(blobs.clone(), meta.clone(), options.clone(), clock.clone());
    eventually("three rounds", || rounds.load(Ordering::SeqCst) > 6).await;
    janitor.stop().await;
    meta.check_part(BUCKET, "k", &id, 1).await.unwrap();
    // While one runs.
    now.store(NOW, Ordering::SeqCst);
    let janitor = Janitor::start(blobs.clone(), meta.clone(), options.clone(), clock);
    let seen = rounds.load(Ordering::SeqCst);
    eventually("a first round", || rounds.load(Ordering::SeqCst) > seen + 2).await;
    for jump in [365 * 24 * HOUR, 0, 100 * 365 * 24 * HOUR] {
        let seen = rounds.load(Ordering::SeqCst);
        now.store(NOW + jump, Ordering::SeqCst);
        eventually("three rounds", || rounds.load(Ordering::SeqCst) > seen + 3).await;
    }
    janitor.stop().await;
    meta.check_part(BUCKET, "k", &id, 1).await.unwrap();
    assert_eq!(read(&*blobs, &blob_id(&part), 0..4).await.unwrap(), b"part");
    // The same rounds by a clock that is right would have.
    let week = options.upload_life.as_millis() as u64;
    assert_eq!(sweep(&*blobs, &*meta, &options, NOW + week + 1).await.unwrap().uploads, 1);
    sweep(&*blobs, &*meta, &options, NOW + week + 2).await.unwrap();
    assert_eq!(count(folder.path()), 0);
}

/// The clock is ten years ahead for a moment: what was dated meanwhile does not stay for ten years.
#[tokio::test]
async fn what_a_clock_dated_that_was_ahead_goes_in_its_time() {
    let (meta, _m) = meta(small_parts()).await;
    let (blobs, folder) = blobs();
    let options = JanitorOptions::default();
    let (week, ahead) = (7 * 24 * HOUR, NOW + 10 * 365 * 24 * HOUR);
    let id = meta.initiate(BUCKET, "u", vec![], ahead).await.unwrap();
    let part = write(&blobs, b"part").await;
    meta.put_part(BUCKET, "u", &id, 1, part, ahead).await.unwrap();
    for now_ms in [NOW, ahead] {
        let blob = write(&blobs, b"film").await;
        meta.put_object(PutObject { now_ms, ..put("k", blob) }).await.unwrap();
    }
    let unnamed = write(&blobs, b"unnamed").await;
    let any_age = JanitorOptions { unnamed_age: Duration::ZERO, ..options.clone() };
    assert_eq!(discard_unnamed(&blobs, &meta, &any_age, ahead).await.unwrap(), 1);
    // It is right again. Garbage counts from now on, a day more or less aside.
    assert_eq!(set_back(&meta, &options, ahead - 24 * HOUR, Duration::MAX).await.unwrap(), 0);
    assert_eq!(set_back(&meta, &options, NOW, Duration::ZERO).await.unwrap(), 2);
    assert_eq!(sweep(&blobs, &meta, &options, NOW + 1000).await.unwrap(), Swept::default());
    assert_eq!(sweep(&blobs, &meta, &options, NOW + HOUR).await.unwrap().blobs, 2);
    let refused = meta.put_object(put("late", unnamed)).await;
    assert!(refused.is_ok(), "it is refused while it is on the list alone");
    // An upload may be dated right, by a clock that is behind now.
    let almost = options.upload_life - Duration::from_millis(1);
    assert_eq!(set_back(&meta, &options, NOW, almost).await.unwrap(), 0);
    assert_eq!(set_back(&meta, &options, NOW, options.upload_life).await.unwrap(), 2);
    assert_eq!(sweep(&blobs, &meta, &options, NOW + week).await.unwrap().uploads, 0);
    assert_eq!(sweep(&blobs, &meta, &options, NOW + week + 1).await.unwrap().uploads, 1);
    sweep(&blobs, &meta, &options, NOW + week + HOUR).await.unwrap();
    assert_eq!(count(folder.path()), 1);
}

/// A janitor does so by itself.
#[tokio::test]
async fn a_janitor_sets_back_what_has_not_come() {
    let (meta, _m) = meta(small_parts()).await;
    let (blobs, folder) = blobs();
    let ahead = wall_clock()() + 365 * 24 * HOUR;
    for now_ms in [NOW, ahead] {
        let blob = write(&blobs, b"film").await;
        meta.put_object(PutObject { now_ms, ..put("k", blob) }).await.unwrap();
    }
    let options = JanitorOptions {
        every: Duration::from_millis(5),
        garbage_age: Duration::ZERO,
        ..JanitorOptions::default()
    };
    let _janitor = Janitor::start(Arc::new(blobs), Arc::new(meta), options, wall_clock());
    eventually("the replaced blob is gone", || count(folder.path()) == 1).await;
}

#[tokio::test]
async fn a_blob_that_cannot_be_deleted_is_in_nobodys_way() {
    let (meta, _m) = meta(small_parts()).await;
    let (blobs, folder) = blobs();
    let stuck = write(&blobs, b"stuck").await;
    let others = [write(&blobs, b"old").await, write(&blobs, b"new").await];
    let path = folder.path().join("blobs").join(&blob_id(&stuck).as_str()[..2]);
    let path = path.join(blob_id(&stuck).as_str());
    for (blob, now_ms) in [stuck.clone()].into_iter().chain(others).zip(NOW..) {
        meta.put_object(PutObject { now_ms, ..put("k", blob) }).await.unwrap();
    }
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    let options = JanitorOptions::default();
    sweep(&blobs, &meta, &options, NOW + HOUR).await.unwrap_err();
    assert_eq!(garbage_of(&meta).await, [blob_id(&stuck)]);
    assert_eq!(count(folder.path()), 2);
    std::fs::remove_dir(&path).unwrap();
    sweep(&blobs, &meta, &options, NOW + HOUR).await.unwrap();
    assert_eq!(garbage_of(&meta).await, []);
}

/// Longer than any request takes from its blob to its row.
#[tokio::test]
async fn a_blob_without_a_name_has_an_hour() {
    let (meta, _m) = meta(small_parts()).await;
    let (blobs, folder) = blobs();
    let blob = write(&blobs, b"film").await;
    let path = folder.path().join("blobs").join(&blob_id(&blob).as_str()[..2]);
    let file = std::fs::File::options().write(true).open(path.join(blob_id(&blob).as_str()));
    let file = file.unwrap();
    for (minutes, discarded) in [(59, 0), (61, 1)] {
        let written = std::time::SystemTime::now() - Duration::from_secs(minutes * 60);
        file.set_modified(written).unwrap();
        let found = discard_unnamed(&blobs, &meta, &JanitorOptions::default(), NOW).await.unwrap();
        assert_eq!(found, discarded, "{minutes}");
    }
}

//! Bounds that hold on a slow machine too, and say that the design does what it is there for.

use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::join_all;
use vodferry_server::store::{Complete, MetaError, MetaStore, PartList, SqliteOptions};

use crate::{BUCKET, NOW, etag_of, made_up, meta, small_parts};

#[tokio::test]
async fn many_parts_share_few_commits() {
    let (meta, _folder) =
        meta(SqliteOptions { min_part_size: 1, ..SqliteOptions::default() }).await;
    let id = meta.initiate(BUCKET, "k", vec![], NOW).await.unwrap();
    let before = meta.commits();
    let puts = (1..=500u32)
        .map(|number| meta.put_part(BUCKET, "k", &id, number, made_up(u64::from(number), 1), NOW));
    for put in join_all(puts).await {
        put.unwrap();
    }
    let commits = meta.commits() - before;
    assert!((1..=50).contains(&commits), "{commits} commits for 500 parts");
    let page = meta.list_parts(BUCKET, "k", &id, 0, 1000).await.unwrap();
    assert_eq!(page.parts.len(), 500);
}

#[tokio::test]
async fn one_failure_does_not_undo_its_neighbours() {
    let (meta, _folder) = meta(small_parts()).await;
    let id = meta.initiate(BUCKET, "k", vec![], NOW).await.unwrap();
    // Every third fails late, inside its transaction: the number breaks the table's own rule.
    let puts = (1..=300u32).map(|n| {
        let number = if n % 3 == 0 { 10_000 + n } else { n };
        meta.put_part(BUCKET, "k", &id, number, made_up(u64::from(n), 1), NOW)
    });
    for (n, put) in (1..=300u32).zip(join_all(puts).await) {
        match put {
            Ok(part) => assert!(n % 3 != 0 && part.number == n),
            Err(error) => {
                assert!(n % 3 == 0 && matches!(error, MetaError::Storage { .. }), "{error}");
                assert_eq!(error.to_string(), "the database could not put a part");
            }
        }
    }
    let page = meta.list_parts(BUCKET, "k", &id, 0, 1000).await.unwrap();
    assert_eq!(page.parts.len(), 200);
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_stop_its_verb_nor_others() {
    let (meta, _folder) = meta(small_parts()).await;
    let id = meta.initiate(BUCKET, "k", vec![], NOW).await.unwrap();
    let gone = meta.put_part(BUCKET, "k", &id, 1, made_up(1, 1), NOW);
    drop(gone.now_or_never());
    meta.put_part(BUCKET, "k", &id, 2, made_up(2, 1), NOW).await.unwrap();
    let page = meta.list_parts(BUCKET, "k", &id, 0, 10).await.unwrap();
    assert_eq!(page.parts.iter().map(|part| part.number).collect::<Vec<_>>(), [1, 2]);
}

#[tokio::test]
async fn ten_thousand_parts_complete_in_a_moment() {
    let (meta, _folder) =
        meta(SqliteOptions { min_part_size: 1, ..SqliteOptions::default() }).await;
    for round in 0..2u64 {
        let id = meta.initiate(BUCKET, "long", vec![], NOW).await.unwrap();
        let blobs: Vec<_> = (1..=10_000u64)
            .map(|number| {
                // Spread like the random names of real blobs.
                let seed = (number + round * 10_000).wrapping_mul(0x9E37_79B9_7F4A_7C15);
                (number as u32, made_up(seed, 1 << 20))
            })
            .collect();
        let puts = blobs
            .iter()
            .map(|(number, blob)| meta.put_part(BUCKET, "long", &id, *number, blob.clone(), NOW));
        for put in join_all(puts).await {
            put.unwrap();
        }
        let complete = Complete {
            bucket: BUCKET.to_owned(),
            key: "long".to_owned(),
            upload_id: id,
            parts: PartList::Listed(blobs.iter().map(|(n, b)| (*n, etag_of(b))).collect()),
            headers: Vec::new(),
            forbid_overwrite: false,
            now_ms: NOW,
        };
        let begun = Instant::now();
        let done = meta.complete(complete.clone()).await.unwrap();
        let took = begun.elapsed();
        println!("complete of 10,000 parts, round {round}: {took:?}");
        assert_eq!(done.length, 10_000 << 20);
        // Loaded test machines are slow; what must not happen is anything per part that syncs.
        assert!(took < Duration::from_secs(3), "{took:?}");
        let begun = Instant::now();
        assert!(meta.complete(complete).await.unwrap().replayed);
        let object = meta.get_object(BUCKET, "long").await.unwrap();
        println!("repeat and manifest: {:?}", begun.elapsed());
        assert_eq!(object.extents.len(), 10_000);
    }
}

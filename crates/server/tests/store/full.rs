//! A full disk: a clear refusal, nothing acknowledged lost, and work again when there is space.

use futures_util::future::join_all;
use vodferry_server::store::{MetaError, MetaStore, SqliteOptions, SqliteStore};

use crate::{BUCKET, NOW, made_up};

/// Commands that share a commit share its failure; what was acknowledged before stays.
#[tokio::test]
async fn a_database_without_space_refuses_and_keeps_what_it_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("meta.db");
    let options = SqliteOptions {
        durable: false,
        min_part_size: 1,
        max_bytes: Some(300_000),
        ..SqliteOptions::default()
    };
    let meta = SqliteStore::open(&path, options.clone()).unwrap();
    meta.create_bucket(BUCKET, NOW).await.unwrap();
    let id = meta.initiate(BUCKET, "k", vec![], NOW).await.unwrap();
    let (mut acknowledged, mut refused) = (Vec::new(), 0);
    for batch in 0..50u32 {
        let numbers = (batch * 100 + 1)..=(batch * 100 + 100);
        let puts = numbers
            .clone()
            .map(|n| meta.put_part(BUCKET, "k", &id, n, made_up(u64::from(n), 1), NOW));
        for (number, put) in numbers.zip(join_all(puts).await) {
            match put {
                Ok(part) => acknowledged.push(part.number),
                Err(MetaError::Full { .. }) => refused += 1,
                Err(other) => {
                    panic!("part {number}: {other}: {:?}", std::error::Error::source(&other))
                }
            }
        }
    }
    assert!(acknowledged.len() > 300 && refused > 300, "{} {refused}", acknowledged.len());
    let listed = async |meta: &SqliteStore| {
        let page = meta.list_parts(BUCKET, "k", &id, 0, 10_000).await.unwrap();
        page.parts.iter().map(|part| part.number).collect::<Vec<_>>()
    };
    assert_eq!(listed(&meta).await, acknowledged);
    drop(meta);

    let meta = SqliteStore::open(&path, SqliteOptions { max_bytes: None, ..options }).unwrap();
    assert_eq!(listed(&meta).await, acknowledged);
    let number = acknowledged.last().unwrap() + 1;
    meta.put_part(BUCKET, "k", &id, number, made_up(9_999, 1), NOW).await.unwrap();
    acknowledged.push(number);
    assert_eq!(listed(&meta).await, acknowledged);
}

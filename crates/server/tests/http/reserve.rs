//! What uploads leave free of a disk, and what the database makes of it.

use std::io::{ErrorKind, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use vodferry_oss::{Method, Response};
use vodferry_server::Environment;

use crate::full::{SmallDisk, faulty, is_full};
use crate::support::{Build, Server, Upload, log_is_gone, noise, now_ms, refused};

async fn delete(server: &Server, key: &str) -> Response {
    server.send(key, server.request(Method::Delete, key)).await
}

#[tokio::test]
async fn what_takes_of_the_reserve_is_refused_and_the_rest_is_not() {
    let (server, fault) = faulty().await;
    let (small, large) = (noise(100, 1), noise(900_000, 2));
    for key in ["one", "two"] {
        assert_eq!(server.put(key, &large).await.status, 200);
    }
    let upload = Upload::begin(&server, server.operator(), "film").await;
    let part = upload.part(1, &large).await;
    *fault.lock().unwrap() = Some(("free", ErrorKind::StorageFull));
    // What was seen free a moment ago.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    for bytes in [&small, &large] {
        is_full(&server.put("k", bytes).await);
        let part = upload.request(Method::Put).query("partNumber", "2").body(bytes);
        is_full(&upload.send(part).await);
    }
    is_full(&server.send("k", server.request(Method::Post, "k").query("uploads", "")).await);
    let from = format!("/{}/one", crate::support::BUCKET);
    let copy = server.request(Method::Put, "k").with("x-oss-copy-source", &from);
    is_full(&server.send("k", copy).await);
    assert!(server.get("one").await.body == large);
    assert_eq!(delete(&server, "one").await.status, 204);
    assert_eq!(upload.complete(&[(1, &part)]).await.status, 200);
    assert!(server.get("film").await.body == large);
    *fault.lock().unwrap() = None;
    assert_eq!(server.put("k", &small).await.status, 200);
    assert_eq!(server.put("k", &large).await.status, 200);
}

/// Puts what `bytes` makes until nothing more is taken; how many were taken.
async fn fill(server: &Server, prefix: &str, bytes: impl Fn(u64) -> Vec<u8>) -> u64 {
    let (mut taken, mut refusals) = (0, 0);
    while refusals < 3 {
        let response = server.put(&format!("{prefix}{taken}"), &bytes(taken)).await;
        if response.status == 200 {
            taken += 1;
        } else {
            is_full(&response);
            refusals += 1;
        }
    }
    taken
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_uploads_filled_makes_room_by_itself() {
    let Some(disk) = SmallDisk::mount("64m") else { return };
    let ahead: Arc<AtomicU64> = Arc::default();
    let reads = ahead.clone();
    let clock = Arc::new(move || now_ms() as u64 + reads.load(Ordering::SeqCst));
    let garbage_age = Some(Duration::ZERO);
    let environment = Environment { clock, garbage_age, ..Environment::default() };
    let server = Server::within(environment, |config| {
        config.data = disk.path().join("data");
        config.durable = true;
        config.upload_life = Duration::from_secs(60);
        config.janitor_interval = Duration::from_millis(100);
    })
    .await;
    let part = noise(1_000_000, 1);
    let mut uploads = Vec::new();
    for n in 0..8 {
        let upload = Upload::begin(&server, server.operator(), &format!("film{n}")).await;
        upload.part(1, &part).await;
        uploads.push(upload);
    }
    // Small bodies fill the database, and its log before that; files take what is left.
    let small = fill(&server, "small", |n| noise(12_000, n)).await;
    fill(&server, "file", |n| noise(17_000, n)).await;
    assert!(small > 500, "{small}");
    for n in 0..small {
        assert_eq!(delete(&server, &format!("small{n}")).await.status, 204, "{n} of {small}");
    }
    fill(&server, "again", |n| noise(17_000, n)).await;

    // Not so far that the clock seems to have jumped.
    ahead.store(100_000, Ordering::SeqCst);
    let until = Instant::now() + Duration::from_secs(20);
    for upload in &uploads {
        let list = || upload.send(upload.request(Method::Get));
        while list().await.status == 200 {
            assert!(Instant::now() < until, "uploads do not expire on a full disk");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(refused(&list().await, 404), "NoSuchUpload");
    }
    while server.put("k", &part).await.status != 200 {
        assert!(Instant::now() < until, "their bytes are not given back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Another program takes the whole disk while the database's log is short: it cannot grow, but start anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_cannot_grow_is_emptied() {
    const LEFT: usize = 600_000;
    let Some(disk) = SmallDisk::mount("32m") else { return };
    let start = || {
        Server::with(|config| {
            config.data = disk.path().join("data");
            config.durable = true;
            config.reserved_space = 0;
        })
    };
    let server = start().await;
    for n in 0..300 {
        assert_eq!(server.put(&n.to_string(), &noise(12_000, n)).await.status, 200);
    }
    server.running.shutdown().await;
    log_is_gone(&disk.path().join("data")).await;
    let server = start().await;
    let ballast = disk.path().join("ballast");
    let mut file = std::fs::File::create(&ballast).unwrap();
    let mut length = 0;
    while file.write_all(&[0; 4096]).is_ok() {
        length += 4096;
    }
    file.set_len(length - LEFT as u64).unwrap();
    let mut refusals = 0;
    for n in 0..100 {
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            let response = delete(&server, &n.to_string()).await;
            if response.status == 204 {
                break;
            }
            is_full(&response);
            refusals += 1;
            assert!(Instant::now() < until, "{n} cannot be deleted any more");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    assert!(refusals > 0, "the disk was never full");
}

//! A backup of a server at work, and a server that is started on it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use vodferry_oss::Method;
use vodferry_server::keys::Keys;
use vodferry_server::serve;
use vodferry_server::store::{BackupOptions, FsckOptions, backup, fsck};

use crate::support::{Server, Upload, config, noise, text};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_on_a_backup_has_what_was_acknowledged_before_it_began() {
    let server = Arc::new(Server::start().await);
    let stop = Arc::new(AtomicBool::new(false));
    // Puts, uploads in parts and deletes go on; what a key holds is a matter of its number alone. Half of it
    // is in the database.
    let content = |id: u64, n: u64| noise(2_000 + 20_000 * (n as usize % 2), id << 32 | n);
    let work = |id: u64| {
        let (server, stop) = (server.clone(), stop.clone());
        tokio::spawn(async move {
            for n in 0u64.. {
                if stop.load(Ordering::Relaxed) {
                    return n;
                }
                let (key, bytes) = (format!("moves/{id}-{}", n % 20), content(id, n % 20));
                let done = match n % 3 {
                    0 => server.put(&key, &bytes).await,
                    1 => server.send(&key, server.request(Method::Delete, &key)).await,
                    _ => {
                        let upload = Upload::begin(&server, server.operator(), &key).await;
                        let (first, second) = bytes.split_at(1_000);
                        let first = upload.part(1, first).await;
                        let second = upload.part(2, second).await;
                        upload.complete(&[(1, &first), (2, &second)]).await
                    }
                };
                assert!(done.status < 300, "{}", text(&done));
            }
            0
        })
    };
    let working: Vec<_> = (1..4).map(work).collect();
    let mut kept = BTreeMap::new();
    let backups = tempfile::tempdir().unwrap();
    let mut unfinished = Vec::new();
    for round in 0..3 {
        for n in 0..15 {
            let (key, bytes) = (
                format!("stays/{round}-{n}"),
                noise(3_000 + 20_000 * (n as usize % 2), round * 100 + n),
            );
            assert_eq!(server.put(&key, &bytes).await.status, 200);
            kept.insert(key, bytes);
        }
        let upload = Upload::begin(&server, server.operator(), &format!("open/{round}")).await;
        let etag = upload.part(1, b"begun").await;
        unfinished.push((upload.key.clone(), upload.id.clone(), etag));
        let (data, to) = (server.folder.path().to_owned(), backups.path().join(round.to_string()));
        let taken = {
            let to = to.clone();
            tokio::task::spawn_blocking(move || backup(&data, &to, &BackupOptions::default()))
        };
        let report = taken.await.unwrap().unwrap();
        assert!(report.problems.is_empty() && report.objects >= kept.len() as u64, "{report}");

        let checked = fsck(&to, FsckOptions { verify_hashes: true, repair: false }).unwrap();
        assert!(checked.is_clean(), "{checked}");
        let keys = Keys::load(&to.join("keys.toml")).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let running = serve(config(&to)).await.unwrap();
        let restored = Server { running, folder, keys };
        for (key, bytes) in &kept {
            assert!(restored.get(key).await.body == *bytes, "{key}");
        }
        // The others are whole or not there.
        for (id, n) in (1..4).flat_map(|id| (0..20).map(move |n| (id, n))) {
            let got = restored.get(&format!("moves/{id}-{n}")).await;
            let whole = got.status == 200 && got.body == content(id, n);
            assert!(whole || got.status == 404, "{}", text(&got));
        }
        // What was begun goes on, and the keys open what they opened.
        for (key, id, etag) in &unfinished {
            let (key, id, who) = (key.clone(), id.clone(), server.operator());
            let upload = Upload { server: &restored, who, key: key.clone(), id };
            let second = upload.part(2, b" and ended").await;
            let done = upload.complete(&[(1, etag), (2, &second)]).await;
            assert_eq!(done.status, 200, "{}", text(&done));
            assert_eq!(restored.get(&key).await.body, b"begun and ended");
        }
        restored.running.shutdown().await;
        let checked = fsck(&to, FsckOptions { verify_hashes: true, repair: false }).unwrap();
        assert!(checked.is_clean(), "{checked}");
    }
    stop.store(true, Ordering::Relaxed);
    for one in working {
        assert!(one.await.unwrap() > 3);
    }
    // The original has not noticed.
    for (key, bytes) in &kept {
        assert!(server.get(key).await.body == *bytes, "{key}");
    }
}

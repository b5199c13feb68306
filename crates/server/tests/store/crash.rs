//! What is left when the process dies: what was acknowledged, all of it.
//!
//! A copy of the folder, made while the server works on it, is what a kill leaves behind: the files
//! as they are, no chance to tidy up.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use vodferry_server::store::{
    Blob, BlobStore, Complete, DiskBlobs, JanitorOptions, MetaStore, PartList, SqliteOptions,
    SqliteStore, discard_unnamed, sweep,
};

use crate::{BUCKET, NOW, etag_of, read_object, write};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_acknowledged_is_there_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = Arc::new(DiskBlobs::open(folder.path(), true).unwrap());
    let options = SqliteOptions { min_part_size: 1, ..SqliteOptions::default() };
    let meta =
        Arc::new(SqliteStore::open(&folder.path().join("meta.db"), options.clone()).unwrap());
    meta.create_bucket(BUCKET, NOW).await.unwrap();
    // Eight clients upload objects of three parts; what was acknowledged is written down.
    let acknowledged: Arc<Mutex<Acknowledged>> = Arc::default();
    let clients: Vec<_> = (0..8)
        .map(|client| {
            let (blobs, meta, acknowledged) = (blobs.clone(), meta.clone(), acknowledged.clone());
            tokio::spawn(async move {
                let mut round = 0;
                loop {
                    upload(&*blobs, &*meta, &format!("{client}/{round}"), &acknowledged).await;
                    round += 1;
                }
            })
        })
        .collect();

    for kill in 0..4 {
        tokio::time::sleep(Duration::from_millis(150)).await;
        let copy = tempfile::tempdir().unwrap();
        // First what was acknowledged, then the files: these may only hold more.
        let promised = acknowledged.lock().unwrap().clone();
        copy_in_order(folder.path(), copy.path());
        check(copy.path(), &promised, &options).await;
        assert!(!promised.objects.is_empty(), "kill {kill} came too early to prove anything");
    }
    for client in clients {
        client.abort();
    }
}

#[derive(Clone, Default)]
struct Acknowledged {
    /// Key to upload id and numbers of parts.
    parts: HashMap<String, (String, Vec<u32>)>,
    /// Key to ETag.
    objects: HashMap<String, String>,
}

async fn upload(
    blobs: &dyn BlobStore,
    meta: &dyn MetaStore,
    key: &str,
    acknowledged: &Mutex<Acknowledged>,
) {
    let id = meta.initiate(BUCKET, key, vec![], NOW).await.unwrap();
    let mut listed = Vec::new();
    for number in 1..=3 {
        let bytes = content(key, number);
        let blob = match number {
            2 => Blob::small(bytes.into()),
            _ => write(blobs, bytes.as_bytes()).await,
        };
        meta.put_part(BUCKET, key, &id, number, blob.clone(), NOW).await.unwrap();
        listed.push((number, etag_of(&blob)));
        let mut acknowledged = acknowledged.lock().unwrap();
        acknowledged.parts.entry(key.to_owned()).or_insert((id.clone(), vec![])).1.push(number);
    }
    let complete = Complete {
        bucket: BUCKET.to_owned(),
        key: key.to_owned(),
        upload_id: id,
        parts: PartList::Listed(listed),
        headers: Vec::new(),
        forbid_overwrite: false,
        now_ms: NOW,
    };
    let done = meta.complete(complete).await.unwrap();
    acknowledged.lock().unwrap().objects.insert(key.to_owned(), done.etag);
}

async fn check(folder: &Path, promised: &Acknowledged, options: &SqliteOptions) {
    let blobs = DiskBlobs::open(folder, true).unwrap();
    let meta = SqliteStore::open(&folder.join("meta.db"), options.clone()).unwrap();
    // The janitor of the new process must not take any of it.
    let eager = JanitorOptions {
        unnamed_age: Duration::ZERO,
        garbage_age: Duration::ZERO,
        ..JanitorOptions::default()
    };
    discard_unnamed(&blobs, &meta, &eager, NOW).await.unwrap();
    sweep(&blobs, &meta, &eager, NOW + 1).await.unwrap();
    for (key, etag) in &promised.objects {
        let object = meta.get_object(BUCKET, key).await.unwrap();
        assert_eq!(object.info.etag, *etag);
        let bytes = read_object(&blobs, &object).await.unwrap();
        let whole: String = (1..=3).map(|number| content(key, number)).collect();
        assert_eq!(bytes, whole.as_bytes());
    }
    for (key, (upload_id, numbers)) in &promised.parts {
        // Either still open with at least these parts, or completed since.
        match meta.list_parts(BUCKET, key, upload_id, 0, 1000).await {
            Ok(page) => {
                let there: Vec<_> = page.parts.iter().map(|part| part.number).collect();
                assert!(there.starts_with(numbers), "{key}: {there:?} {numbers:?}");
            }
            Err(_) => drop(meta.head_object(BUCKET, key).await.unwrap()),
        }
    }
}

/// The write-ahead log grows only at its end, and a checkpoint that comes between copying the
/// database and its log could not happen to one process that dies; so it is asked to repeat.
fn copy_in_order(from: &Path, to: &Path) {
    let sizes = || {
        ["meta.db", "meta.db-wal"].map(|name| {
            let metadata = std::fs::metadata(from.join(name)).unwrap();
            (metadata.len(), std::fs::read(from.join(name)).unwrap().get(..32).map(<[u8]>::to_vec))
        })
    };
    loop {
        let before = sizes();
        for name in ["meta.db", "meta.db-wal"] {
            std::fs::copy(from.join(name), to.join(name)).unwrap();
        }
        let after = sizes();
        if before[0] == after[0] && before[1].1 == after[1].1 && before[1].0 <= after[1].0 {
            break;
        }
    }
    copy_tree(&from.join("blobs"), &to.join("blobs"));
}

fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn content(key: &str, number: u32) -> String {
    format!("part {number} of {key} ").repeat(200)
}

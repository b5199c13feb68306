//! Blob stores.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::join_all;
use vodferry_oss::{crc64::crc64, etag::md5};
use vodferry_server::store::{Blob, BlobError, BlobStore, DiskBlobs};

use crate::{blob_id, blobs, eventually, read, write, write_expecting};

#[tokio::test]
async fn disk_conforms() {
    let (store, folder) = blobs();
    written_bytes_come_back(&store).await;
    many_at_once_each_get_their_own(&store).await;
    ranges(&store).await;
    deletion(&store).await;
    listing_by_age(&store).await;
    missing_and_short(&store, folder.path()).await;
}

async fn written_bytes_come_back(store: &dyn BlobStore) {
    for length in [
        0,
        1,
        59_999,
        60_000,
        65_536,
        65_537,
        327_680,
        327_681,
        262_144,
        262_145,
        1 << 20,
        3_000_001,
    ] {
        let bytes = pattern(length);
        let right = length as u64;
        // What was said of the length need not be true.
        for said in [None, Some(right), Some(right / 2), Some(2 * right), Some(u64::MAX)] {
            let blob = write_expecting(store, &bytes, said).await;
            assert_eq!(blob.length, right);
            assert_eq!(blob.md5, md5(&bytes), "{length}, said {said:?}");
            assert_eq!(blob.crc64, crc64(&bytes), "{length}, said {said:?}");
            assert_eq!(read(store, &blob_id(&blob), 0..blob.length).await.unwrap(), bytes);
        }
    }
}

/// More than are gathered in memory, of one length and of several.
async fn many_at_once_each_get_their_own(store: &dyn BlobStore) {
    let bodies: Vec<Vec<u8>> = (0..100)
        .map(|n: usize| {
            let mut body = pattern(if n % 7 == 6 { 20_000 + n } else { 70_000 });
            body[n] ^= 0xff;
            body
        })
        .collect();
    let writes = bodies.iter().map(|body| write_expecting(store, body, Some(body.len() as u64)));
    for (body, blob) in bodies.iter().zip(join_all(writes).await) {
        assert_eq!((blob.md5, blob.crc64), (md5(body), crc64(body)));
        assert_eq!(read(store, &blob_id(&blob), 0..blob.length).await.unwrap(), *body);
    }
}

async fn ranges(store: &dyn BlobStore) {
    let bytes = pattern(700_000);
    let blob = write(store, &bytes).await;
    for range in [0..0, 0..1, 699_999..700_000, 1..700_000, 262_143..524_289, 700_000..700_000] {
        let got = read(store, &blob_id(&blob), range.start as u64..range.end as u64).await.unwrap();
        assert_eq!(got, bytes[range.clone()], "{range:?}");
    }
}

async fn deletion(store: &dyn BlobStore) {
    let blob = write(store, &pattern(600_000)).await;
    let open = store.read(&blob_id(&blob), 0..blob.length).await.unwrap();
    store.delete(&blob_id(&blob)).await.unwrap();
    store.delete(&blob_id(&blob)).await.unwrap();
    let refused = store.read(&blob_id(&blob), 0..1).await.err().unwrap();
    assert!(matches!(refused, BlobError::Missing(missing) if missing == blob_id(&blob)));
    let rest: Vec<_> = open.map(|bytes| bytes.unwrap().len()).collect().await;
    assert_eq!(rest.iter().sum::<usize>(), 600_000, "a reader keeps what it opened");
}

async fn listing_by_age(store: &dyn BlobStore) {
    let mut made = Vec::new();
    for length in 0..5 {
        made.push(blob_id(&write(store, &pattern(length)).await));
    }
    let mut listed = Vec::new();
    loop {
        let page = store.older_than(Duration::ZERO, listed.last(), 2).await.unwrap();
        assert!(page.len() <= 2);
        if page.is_empty() {
            break;
        }
        listed.extend(page);
    }
    for id in &made {
        assert_eq!(listed.iter().filter(|listed| *listed == id).count(), 1);
    }
    assert_eq!(store.older_than(Duration::from_secs(3600), None, 10).await.unwrap(), []);
}

async fn missing_and_short(store: &dyn BlobStore, folder: &Path) {
    let blob = write(store, &pattern(10)).await;
    let short = read(store, &blob_id(&blob), 0..11).await.unwrap_err();
    assert!(matches!(short, BlobError::Short(_)));
    std::fs::write(path_of(folder, &blob), b"123").unwrap();
    let short = read(store, &blob_id(&blob), 0..10).await.unwrap_err();
    assert!(matches!(short, BlobError::Short(_)));
}

#[tokio::test]
async fn an_unfinished_blob_leaves_nothing() {
    let (store, folder) = blobs();
    for (length, said) in [0usize, 100, 1 << 20].iter().flat_map(|n| [(*n, None), (*n, Some(*n))]) {
        let mut writer = store.writer(said.map(|said| said as u64)).await.unwrap();
        for chunk in pattern(length).chunks(100_000) {
            writer.write(Bytes::copy_from_slice(chunk)).await.unwrap();
        }
        drop(writer);
    }
    // A caller that goes away in the middle of a write.
    let mut writer = store.writer(None).await.unwrap();
    let _ = tokio::time::timeout(Duration::ZERO, async {
        loop {
            writer.write(Bytes::from(pattern(300_000))).await.unwrap();
        }
    })
    .await;
    drop(writer);
    eventually("tmp/ is empty", || files(&folder.path().join("tmp")) == 0).await;
    assert_eq!(store.older_than(Duration::ZERO, None, 10).await.unwrap(), []);
}

#[tokio::test]
async fn leftovers_go_at_start_and_nothing_else() {
    let (store, folder) = blobs();
    let kept = write(&store, b"kept").await;
    drop(store);
    let tmp = folder.path().join("tmp");
    std::fs::write(tmp.join("0123456789abcdef0123456789abcdef"), b"half").unwrap();
    let store = DiskBlobs::open(folder.path(), true).unwrap();
    assert_eq!(files(&tmp), 0);
    assert_eq!(read(&store, &blob_id(&kept), 0..4).await.unwrap(), b"kept");
}

#[tokio::test]
async fn two_servers_on_one_folder() {
    let (store, folder) = blobs();
    let refused = DiskBlobs::open(folder.path(), true).err().unwrap();
    assert!(matches!(refused, BlobError::Locked(_)), "{refused}");
    assert!(refused.to_string().contains(folder.path().to_str().unwrap()));
    drop(store);
    DiskBlobs::open(folder.path(), true).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_finish_together_share_folder_syncs() {
    let (store, _folder) = blobs();
    let one = pattern(1000);
    let all = join_all((0..100).map(|_| write(&store, &one))).await;
    let mut ids: Vec<_> = all.into_iter().map(|blob| blob_id(&blob)).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 100);
    let syncs = store.folder_syncs();
    assert!((1..=60).contains(&syncs), "{syncs} folder syncs for 100 blobs");
    write(&store, &one).await;
    assert_eq!(store.folder_syncs(), syncs + 1);
}

#[tokio::test]
async fn a_disk_that_fails_is_an_error_with_its_path() {
    let (store, folder) = blobs();
    let mut writer = store.writer(None).await.unwrap();
    writer.write(Bytes::from(pattern(300_000))).await.unwrap();
    std::fs::remove_dir_all(folder.path().join("blobs")).unwrap();
    let failed = writer.finish().await.unwrap_err();
    assert!(failed.to_string().contains("blobs"), "{failed}");
    assert!(std::error::Error::source(&failed).is_some());

    let mut writer = store.writer(None).await.unwrap();
    eventually("tmp/ is empty", || files(&folder.path().join("tmp")) == 0).await;
    std::fs::remove_dir(folder.path().join("tmp")).unwrap();
    writer.write(Bytes::from(pattern(300_000))).await.unwrap();
    let failed = writer.write(Bytes::from(pattern(300_000))).await.unwrap_err();
    assert!(matches!(failed, BlobError::Io { .. }), "{failed}");
    assert!(writer.write(Bytes::from(pattern(300_000))).await.is_err());
    assert!(writer.finish().await.is_err());
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 + at / 251) as u8).collect()
}

fn files(folder: &Path) -> usize {
    std::fs::read_dir(folder).map_or(0, |entries| entries.count())
}

fn path_of(folder: &Path, blob: &Blob) -> std::path::PathBuf {
    let id = blob_id(blob);
    folder.join("blobs").join(&id.as_str()[..2]).join(id.as_str())
}

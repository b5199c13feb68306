//! What every blob store and every meta store must do, run against those of one machine.
//!
//! The functions of `blobs`, `copies`, `objects`, `small`, `uploads` and `upkeep` take the traits, so that a second
//! implementation is held to the same. `crash`, `fsck`, `power` and `speed` look at this one.

mod backup;
mod blobs;
mod copies;
mod crash;
mod fsck;
mod full;
mod objects;
mod power;
mod power_fs;
mod quotas;
mod random;
mod small;
mod speed;
mod upkeep;
mod uploads;
mod voyages;

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use tempfile::TempDir;
use vodferry_server::store::{
    Blob, BlobError, BlobId, BlobStore, Content, DiskBlobs, Extent, MetaStore, Object,
    SqliteOptions, SqliteStore,
};

pub(crate) const BUCKET: &str = "films";
pub(crate) const NOW: u64 = 1_790_000_000_000;

/// A database in a folder of its own, with one bucket.
pub(crate) async fn meta(options: SqliteOptions) -> (SqliteStore, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let meta = SqliteStore::open(&folder.path().join("meta.db"), options).unwrap();
    assert!(meta.create_bucket(BUCKET, NOW).await.unwrap());
    (meta, folder)
}

/// Small parts are fine where their size is not the subject.
pub(crate) fn small_parts() -> SqliteOptions {
    SqliteOptions { durable: false, min_part_size: 1, ..SqliteOptions::default() }
}

pub(crate) fn blobs() -> (DiskBlobs, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (DiskBlobs::open(folder.path(), true).unwrap(), folder)
}

pub(crate) async fn write(store: &dyn BlobStore, bytes: &[u8]) -> Blob {
    write_expecting(store, bytes, None).await
}

/// Writes what was said to be so long.
pub(crate) async fn write_expecting(
    store: &dyn BlobStore,
    bytes: &[u8],
    length: Option<u64>,
) -> Blob {
    let mut writer = store.writer(length).await.unwrap();
    for chunk in bytes.chunks(60_000) {
        writer.write(Bytes::copy_from_slice(chunk)).await.unwrap();
    }
    writer.finish().await.unwrap()
}

pub(crate) async fn read(
    store: &dyn BlobStore,
    id: &BlobId,
    range: Range<u64>,
) -> Result<Vec<u8>, BlobError> {
    let mut stream = store.read(id, range).await?;
    let mut bytes = Vec::new();
    while let Some(more) = stream.next().await {
        bytes.extend_from_slice(&more?);
    }
    Ok(bytes)
}

/// All bytes of an object, or what a server could not have served of it.
pub(crate) async fn read_object(
    store: &dyn BlobStore,
    object: &Object,
) -> Result<Vec<u8>, BlobError> {
    let mut bytes = Vec::new();
    for extent in &object.extents {
        match &extent.content {
            Content::Blob(id) => bytes.extend(read(store, id, 0..extent.length).await?),
            Content::Small(small) => bytes.extend(small),
        }
    }
    Ok(bytes)
}

/// The name of a blob that has a file.
pub(crate) fn blob_id(blob: &Blob) -> BlobId {
    blob.id().unwrap().clone()
}

/// The name of the only blob of an object.
pub(crate) fn only_blob(object: &Object) -> BlobId {
    match object.extents.as_slice() {
        [Extent { content: Content::Blob(id), .. }] => id.clone(),
        other => panic!("{other:?}"),
    }
}

/// A blob as the meta store sees it: named by `seed`, with that seed's MD5 and CRC.
pub(crate) fn made_up(seed: u64, length: u64) -> Blob {
    let text = seed.to_be_bytes();
    Blob {
        content: Content::Blob(BlobId::parse(&format!("{seed:032x}")).unwrap()),
        length,
        md5: vodferry_oss::etag::md5(&text),
        crc64: vodferry_oss::crc64::crc64(&text),
    }
}

pub(crate) fn etag_of(blob: &Blob) -> String {
    vodferry_oss::etag::etag_of_md5(&blob.md5)
}

pub(crate) async fn garbage_of(meta: &dyn MetaStore) -> Vec<BlobId> {
    let mut garbage = meta.garbage(u64::MAX, 100_000).await.unwrap();
    garbage.sort();
    garbage
}

pub(crate) async fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    for _ in 0..500 {
        if check() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never happened: {what}");
}

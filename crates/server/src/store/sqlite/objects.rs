//! Buckets and objects.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, params};
use vodferry_oss::etag::etag_of_md5;

use super::{int, uint, uploads, videos};
use crate::store::{BlobId, Content, Extent, MetaError, Object, ObjectInfo, PutObject};

pub(super) fn create_bucket(db: &Connection, bucket: &str, now_ms: u64) -> Result<bool, MetaError> {
    let made = db
        .prepare_cached("INSERT OR IGNORE INTO bucket (bucket, created_ms) VALUES (?, ?)")?
        .execute(params![bucket, int(now_ms)])?;
    Ok(made == 1)
}

pub(super) fn bucket_exists(db: &Connection, bucket: &str) -> Result<bool, MetaError> {
    let mut look = db.prepare_cached("SELECT 1 FROM bucket WHERE bucket = ?")?;
    Ok(look.exists([bucket])?)
}

pub(super) fn need_bucket(db: &Connection, bucket: &str) -> Result<(), MetaError> {
    match bucket_exists(db, bucket)? {
        true => Ok(()),
        false => Err(MetaError::NoSuchBucket(bucket.to_owned())),
    }
}

pub(super) fn put(db: &Connection, put: PutObject) -> Result<ObjectInfo, MetaError> {
    need_bucket(db, &put.bucket)?;
    let manifest = new_manifest(db)?;
    uploads::add_part(db, manifest, 1, &put.blob, put.now_ms)?;
    let info = ObjectInfo {
        etag: etag_of_md5(&put.blob.md5),
        length: put.blob.length,
        crc64: put.blob.crc64,
        md5: Some(put.blob.md5),
        modified_ms: put.now_ms,
        headers: put.headers,
        appendable: false,
    };
    name(db, &put.bucket, &put.key, manifest, &info, put.forbid_overwrite)?;
    Ok(info)
}

/// Gives an object its manifest, in place of an older one; tells the video that waits for it.
pub(super) fn name(
    db: &Connection,
    bucket: &str,
    key: &str,
    manifest: i64,
    info: &ObjectInfo,
    forbid_overwrite: bool,
) -> Result<(), MetaError> {
    if let Some(old) = manifest_of(db, bucket, key)? {
        if forbid_overwrite {
            return Err(MetaError::FileAlreadyExists { key: key.to_owned() });
        }
        remove(db, bucket, key, old, info.modified_ms)?;
    }
    db.prepare_cached(
        "INSERT INTO object
           (bucket, key, manifest, etag, length, crc64, md5, modified_ms, headers, appendable)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?
    .execute(params![
        bucket,
        key,
        manifest,
        info.etag,
        int(info.length),
        info.crc64.cast_signed(),
        info.md5,
        int(info.modified_ms),
        write_headers(&info.headers)?,
        info.appendable,
    ])?;
    videos::object_arrived(db, bucket, key, info.length, info.modified_ms)
}

pub(super) fn head(
    db: &Connection,
    bucket: &str,
    key: &str,
) -> Result<(ObjectInfo, i64), MetaError> {
    let mut look =
        db.prepare_cached(&format!("SELECT {COLUMNS} FROM object WHERE bucket = ? AND key = ?"))?;
    let mut rows = look.query([bucket, key])?;
    match rows.next()? {
        Some(row) => read_info(row),
        None => {
            need_bucket(db, bucket)?;
            Err(MetaError::NoSuchKey(key.to_owned()))
        }
    }
}

/// What [`read_info`] reads.
pub(super) const COLUMNS: &str =
    "etag, length, crc64, md5, modified_ms, headers, manifest, appendable";

/// An object and its manifest, from a row that begins with [`COLUMNS`].
pub(super) fn read_info(row: &Row<'_>) -> Result<(ObjectInfo, i64), MetaError> {
    let headers: String = row.get(5)?;
    let info = ObjectInfo {
        etag: row.get(0)?,
        length: uint(row.get(1)?),
        crc64: row.get::<_, i64>(2)?.cast_unsigned(),
        md5: row.get(3)?,
        modified_ms: uint(row.get(4)?),
        headers: read_headers(&headers)?,
        appendable: row.get(7)?,
    };
    Ok((info, row.get(6)?))
}

pub(super) fn get(db: &Connection, bucket: &str, key: &str) -> Result<Object, MetaError> {
    let (info, manifest) = head(db, bucket, key)?;
    let mut list = db.prepare_cached(
        "SELECT blob, length, bytes FROM part LEFT JOIN small USING (small)
         WHERE manifest = ? AND length > 0 ORDER BY number",
    )?;
    let mut rows = list.query([manifest])?;
    let mut extents = Vec::new();
    while let Some(row) = rows.next()? {
        let length = uint(row.get(1)?);
        let content = match (row.get(0)?, row.get::<_, Option<Vec<u8>>>(2)?) {
            (Some(id), _) => Content::Blob(read_blob_id(id)?),
            (None, Some(bytes)) if bytes.len() as u64 == length => Content::Small(bytes.into()),
            (None, _) => return Err(damaged("a small body is missing or not as long as its row")),
        };
        extents.push(Extent { content, length });
    }
    Ok(Object { info, extents })
}

pub(super) fn delete(
    db: &Connection,
    bucket: &str,
    key: &str,
    now_ms: u64,
) -> Result<bool, MetaError> {
    need_bucket(db, bucket)?;
    let Some(manifest) = manifest_of(db, bucket, key)? else { return Ok(false) };
    remove(db, bucket, key, manifest, now_ms)?;
    videos::object_left(db, bucket, key, now_ms)?;
    Ok(true)
}

pub(super) fn delete_many(
    db: &Connection,
    bucket: &str,
    keys: &[String],
    before_ms: Option<u64>,
    now_ms: u64,
) -> Result<u64, MetaError> {
    need_bucket(db, bucket)?;
    let mut young = db
        .prepare_cached("SELECT 1 FROM object WHERE bucket = ? AND key = ? AND modified_ms >= ?")?;
    let mut deleted = 0;
    for key in keys {
        let spared = match before_ms {
            Some(before_ms) => young.exists(params![bucket, key, int(before_ms)])?,
            None => false,
        };
        deleted += u64::from(!spared && delete(db, bucket, key, now_ms)?);
    }
    Ok(deleted)
}

pub(super) fn set_header(
    db: &Connection,
    bucket: &str,
    key: &str,
    name: &str,
    value: Option<String>,
) -> Result<(), MetaError> {
    let (mut info, _) = head(db, bucket, key)?;
    info.headers.retain(|(n, _)| n != name);
    info.headers.extend(value.map(|value| (name.to_owned(), value)));
    db.prepare_cached("UPDATE object SET headers = ? WHERE bucket = ? AND key = ?")?.execute([
        write_headers(&info.headers)?.as_str(),
        bucket,
        key,
    ])?;
    Ok(())
}

pub(super) fn new_manifest(db: &Connection) -> Result<i64, MetaError> {
    db.prepare_cached("INSERT INTO manifest DEFAULT VALUES")?.execute([])?;
    Ok(db.last_insert_rowid())
}

/// Forgets a manifest that nothing refers to any more; blobs that no other one names become garbage,
/// small bodies go at once (a trigger of `schema_4.sql`).
pub(super) fn drop_manifest(db: &Connection, manifest: i64, now_ms: u64) -> Result<(), MetaError> {
    db.prepare_cached(
        "INSERT INTO garbage (blob, since_ms)
         SELECT DISTINCT blob, ?1 FROM part WHERE manifest = ?2 AND blob IS NOT NULL AND NOT EXISTS
           (SELECT 1 FROM part AS other WHERE other.blob = part.blob AND other.manifest <> ?2)",
    )?
    .execute([int(now_ms), manifest])?;
    db.prepare_cached("DELETE FROM part WHERE manifest = ?")?.execute([manifest])?;
    db.prepare_cached("DELETE FROM manifest WHERE manifest = ?")?.execute([manifest])?;
    Ok(())
}

/// Takes one part out of a manifest, if it is there; a blob that is named nowhere else becomes garbage.
pub(super) fn drop_part(
    db: &Connection,
    manifest: i64,
    number: u32,
    now_ms: u64,
) -> Result<(), MetaError> {
    db.prepare_cached(
        "INSERT INTO garbage (blob, since_ms)
         SELECT blob, ?1 FROM part
         WHERE manifest = ?2 AND number = ?3 AND blob IS NOT NULL AND NOT EXISTS
           (SELECT 1 FROM part AS other
            WHERE other.blob = part.blob AND (other.manifest <> ?2 OR other.number <> ?3))",
    )?
    .execute(params![int(now_ms), manifest, number])?;
    db.prepare_cached("DELETE FROM part WHERE manifest = ? AND number = ?")?
        .execute(params![manifest, number])?;
    Ok(())
}

/// As the `headers` columns have them.
pub(super) fn write_headers(headers: &[(String, String)]) -> Result<String, MetaError> {
    serde_json::to_string(headers).map_err(damaged)
}

/// The way back.
pub(super) fn read_headers(text: &str) -> Result<Vec<(String, String)>, MetaError> {
    serde_json::from_str(text).map_err(damaged)
}

/// A name from a `blob` column.
pub(super) fn read_blob_id(text: String) -> Result<BlobId, MetaError> {
    BlobId::parse(&text).ok_or_else(|| damaged(format!("a row names {text}, which is no blob")))
}

fn manifest_of(db: &Connection, bucket: &str, key: &str) -> Result<Option<i64>, MetaError> {
    let mut look = db.prepare_cached("SELECT manifest FROM object WHERE bucket = ? AND key = ?")?;
    Ok(look.query_row([bucket, key], |row| row.get(0)).optional()?)
}

fn remove(
    db: &Connection,
    bucket: &str,
    key: &str,
    manifest: i64,
    now_ms: u64,
) -> Result<(), MetaError> {
    db.prepare_cached("DELETE FROM object WHERE bucket = ? AND key = ?")?.execute([bucket, key])?;
    drop_manifest(db, manifest, now_ms)
}

fn damaged(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> MetaError {
    MetaError::Storage { doing: "read its rows", source: Arc::from(cause.into()) }
}

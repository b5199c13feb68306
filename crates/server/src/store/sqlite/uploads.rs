//! Multipart uploads and their parts, up to Complete.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};
use vodferry_oss::etag::etag_of_md5;

use super::objects::{drop_manifest, need_bucket, new_manifest, write_headers};
use super::{int, uint};
use crate::store::{Blob, MetaError, Part, PartPage};

/// An upload that is open.
pub(super) struct Upload {
    /// Holds its parts.
    pub(super) manifest: i64,
    /// As given to Initiate, in the form of its column.
    pub(super) headers: String,
}

pub(super) fn initiate(
    db: &Connection,
    bucket: &str,
    key: &str,
    headers: &[(String, String)],
    now_ms: u64,
) -> Result<String, MetaError> {
    need_bucket(db, bucket)?;
    let mut raw = [0u8; 16];
    getrandom::fill(&mut raw).map_err(|e| MetaError::Storage {
        doing: "draw an upload id",
        source: Arc::new(std::io::Error::other(e)),
    })?;
    let upload_id = format!("{:032X}", u128::from_be_bytes(raw));
    db.prepare_cached(
        "INSERT INTO upload (upload_id, bucket, key, manifest, initiated_ms, headers)
         VALUES (?, ?, ?, ?, ?, ?)",
    )?
    .execute(params![
        upload_id,
        bucket,
        key,
        new_manifest(db)?,
        int(now_ms),
        write_headers(headers)?
    ])?;
    Ok(upload_id)
}

/// The open upload of this id under this key.
pub(super) fn find(
    db: &Connection,
    bucket: &str,
    key: &str,
    upload_id: &str,
) -> Result<Upload, MetaError> {
    let found = db
        .prepare_cached(
            "SELECT manifest, headers FROM upload WHERE upload_id = ? AND bucket = ? AND key = ?",
        )?
        .query_row([upload_id, bucket, key], |row| {
            Ok(Upload { manifest: row.get(0)?, headers: row.get(1)? })
        })
        .optional()?;
    match found {
        Some(upload) => Ok(upload),
        None => {
            need_bucket(db, bucket)?;
            Err(MetaError::NoSuchUpload(upload_id.to_owned()))
        }
    }
}

/// Puts a part into a manifest; the one that had its number becomes garbage.
pub(super) fn put_part(
    db: &Connection,
    manifest: i64,
    number: u32,
    blob: &Blob,
    now_ms: u64,
) -> Result<Part, MetaError> {
    let discarded =
        db.prepare_cached("SELECT 1 FROM garbage WHERE blob = ?")?.exists([blob.id.as_str()])?;
    if discarded {
        return Err(MetaError::BlobDiscarded(blob.id.clone()));
    }
    db.prepare_cached(
        "INSERT INTO garbage (blob, since_ms)
         SELECT blob, ? FROM part WHERE manifest = ? AND number = ?",
    )?
    .execute(params![int(now_ms), manifest, number])?;
    db.prepare_cached("DELETE FROM part WHERE manifest = ? AND number = ?")?
        .execute(params![manifest, number])?;
    db.prepare_cached(
        "INSERT INTO part (manifest, number, blob, length, md5, crc64, modified_ms)
         VALUES (?, ?, ?, ?, ?, ?, ?)",
    )?
    .execute(params![
        manifest,
        number,
        blob.id.as_str(),
        int(blob.length),
        blob.md5,
        blob.crc64.cast_signed(),
        int(now_ms),
    ])?;
    Ok(Part {
        number,
        length: blob.length,
        etag: etag_of_md5(&blob.md5),
        crc64: blob.crc64,
        modified_ms: now_ms,
    })
}

pub(super) fn list_parts(
    db: &Connection,
    manifest: i64,
    after: u32,
    limit: usize,
) -> Result<PartPage, MetaError> {
    let one_more = limit.saturating_add(1);
    let mut list = db.prepare_cached(
        "SELECT number, length, md5, crc64, modified_ms FROM part
         WHERE manifest = ? AND number > ? ORDER BY number LIMIT ?",
    )?;
    let mut rows = list.query(params![manifest, after, int(one_more as u64)])?;
    let mut parts = Vec::new();
    while let Some(row) = rows.next()? {
        parts.push(Part {
            number: row.get(0)?,
            length: uint(row.get(1)?),
            etag: etag_of_md5(&row.get(2)?),
            crc64: row.get::<_, i64>(3)?.cast_unsigned(),
            modified_ms: uint(row.get(4)?),
        });
    }
    let truncated = parts.len() > limit;
    parts.truncate(limit);
    Ok(PartPage { parts, truncated })
}

/// Forgets an upload with its parts.
pub(super) fn forget(db: &Connection, manifest: i64, now_ms: u64) -> Result<(), MetaError> {
    db.prepare_cached("DELETE FROM upload WHERE manifest = ?")?.execute([manifest])?;
    drop_manifest(db, manifest, now_ms)
}

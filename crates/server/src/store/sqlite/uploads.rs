//! Multipart uploads and their parts, up to Complete.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};
use vodferry_oss::etag::etag_of_md5;

use super::objects::{drop_manifest, drop_part, need_bucket, new_manifest, write_headers};
use super::{int, uint};
use crate::store::{Blob, BlobId, Content, MetaError, Part, RunningMd5};

/// An upload that is open.
pub(super) struct Upload {
    /// Holds its parts.
    pub(super) manifest: i64,
    /// As given to Initiate, in the form of its column.
    pub(super) headers: String,
    /// Its parts come in order.
    pub(super) sequential: bool,
    /// Of a sequential upload that has parts: their MD5 in the form of its column, unless one came without.
    md5: Option<Vec<u8>>,
    empty: bool,
}

impl Upload {
    /// The MD5 of all parts, of a sequential upload, as far as that is known.
    pub(super) fn whole(&self) -> Option<RunningMd5> {
        match (self.sequential, self.empty) {
            (true, true) => Some(RunningMd5::default()),
            _ => RunningMd5::from_bytes(self.md5.as_deref()?),
        }
    }
}

pub(super) fn initiate(
    db: &Connection,
    bucket: &str,
    key: &str,
    headers: &[(String, String)],
    sequential: bool,
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
        "INSERT INTO upload (upload_id, bucket, key, manifest, initiated_ms, headers, sequential)
         VALUES (?, ?, ?, ?, ?, ?, ?)",
    )?
    .execute(params![
        upload_id,
        bucket,
        key,
        new_manifest(db)?,
        int(now_ms),
        write_headers(headers)?,
        sequential,
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
            "SELECT manifest, headers, sequential, md5,
                    NOT EXISTS (SELECT 1 FROM part WHERE part.manifest = upload.manifest)
             FROM upload WHERE upload_id = ? AND bucket = ? AND key = ?",
        )?
        .query_row([upload_id, bucket, key], |row| {
            Ok(Upload {
                manifest: row.get(0)?,
                headers: row.get(1)?,
                sequential: row.get(2)?,
                md5: row.get(3)?,
                empty: row.get(4)?,
            })
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

/// Refuses a part of a sequential upload that is not the next one.
pub(super) fn check_turn(db: &Connection, upload: &Upload, number: u32) -> Result<(), MetaError> {
    if !upload.sequential {
        return Ok(());
    }
    let mut look = db.prepare_cached("SELECT md5 FROM part WHERE manifest = ? AND number = ?")?;
    let there = params![upload.manifest, number];
    if let Some(md5) = look.query_row(there, |row| row.get(0)).optional()? {
        return Err(MetaError::PartAlreadyExists { number, etag: etag_of_md5(&md5) });
    }
    let expected: u32 = db
        .prepare_cached("SELECT coalesce(max(number), 0) + 1 FROM part WHERE manifest = ?")?
        .query_row([upload.manifest], |row| row.get(0))?;
    match number == expected {
        true => Ok(()),
        false => Err(MetaError::PartNotSequential { number, expected }),
    }
}

/// Puts a part into an upload, when it is its turn; `whole` is the MD5 of all parts of a sequential one.
pub(super) fn take_part(
    db: &Connection,
    upload: &Upload,
    number: u32,
    blob: &Blob,
    whole: Option<&RunningMd5>,
    now_ms: u64,
) -> Result<Part, MetaError> {
    check_turn(db, upload, number)?;
    if upload.sequential {
        db.prepare_cached("UPDATE upload SET md5 = ? WHERE manifest = ?")?
            .execute(params![whole.map(RunningMd5::to_bytes), upload.manifest])?;
    }
    put_part(db, upload.manifest, number, blob, now_ms)
}

/// Puts a part into a manifest, in place of the one that had its number.
pub(super) fn put_part(
    db: &Connection,
    manifest: i64,
    number: u32,
    blob: &Blob,
    now_ms: u64,
) -> Result<Part, MetaError> {
    may_be_named(db, blob)?;
    drop_part(db, manifest, number, now_ms)?;
    insert_part(db, manifest, number, blob, now_ms)
}

/// Puts a part into a manifest that has none of its number.
pub(super) fn add_part(
    db: &Connection,
    manifest: i64,
    number: u32,
    blob: &Blob,
    now_ms: u64,
) -> Result<Part, MetaError> {
    may_be_named(db, blob)?;
    insert_part(db, manifest, number, blob, now_ms)
}

/// The parts with numbers above `after`, and whether there are more than these.
pub(super) fn list_parts(
    db: &Connection,
    manifest: i64,
    after: u32,
    limit: usize,
) -> Result<(Vec<Part>, bool), MetaError> {
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
    Ok((parts, truncated))
}

/// Forgets an upload with its parts.
pub(super) fn forget(db: &Connection, manifest: i64, now_ms: u64) -> Result<(), MetaError> {
    db.prepare_cached("DELETE FROM upload WHERE manifest = ?")?.execute([manifest])?;
    drop_manifest(db, manifest, now_ms)
}

/// Refuses a blob that is to be deleted, and one that has a name: only copies share blobs, and they
/// name what is named.
fn may_be_named(db: &Connection, blob: &Blob) -> Result<(), MetaError> {
    let Some(id) = blob.id() else { return Ok(()) };
    if db.prepare_cached("SELECT 1 FROM garbage WHERE blob = ?")?.exists([id.as_str()])? {
        return Err(MetaError::BlobDiscarded(id.clone()));
    }
    if db.prepare_cached("SELECT 1 FROM part WHERE blob = ?")?.exists([id.as_str()])? {
        let source = Arc::new(std::io::Error::other(format!("blob {id} has a name")));
        return Err(MetaError::Storage { doing: "name a blob", source });
    }
    Ok(())
}

/// A small body is stored with its row.
fn insert_part(
    db: &Connection,
    manifest: i64,
    number: u32,
    blob: &Blob,
    now_ms: u64,
) -> Result<Part, MetaError> {
    let small = match &blob.content {
        Content::Blob(_) => None,
        Content::Small(bytes) => {
            db.prepare_cached("INSERT INTO small (bytes) VALUES (?)")?.execute([&bytes[..]])?;
            Some(db.last_insert_rowid())
        }
    };
    db.prepare_cached(
        "INSERT INTO part (manifest, number, blob, small, length, md5, crc64, modified_ms)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )?
    .execute(params![
        manifest,
        number,
        blob.id().map(BlobId::as_str),
        small,
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

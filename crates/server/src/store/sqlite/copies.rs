//! Objects made of what is there already: copies, and objects that grow.

use rusqlite::{Connection, params};
use vodferry_oss::crc64;
use vodferry_oss::etag::{etag_of_md5, multipart_etag};

use super::objects::{head, name, need_bucket, new_manifest};
use super::{int, uploads, videos};
use crate::store::{AppendObject, CopyObject, MetaError, ObjectInfo};

/// Both name the same blobs, so a copy of any size is rows only.
pub(super) fn copy(db: &Connection, copy: CopyObject) -> Result<ObjectInfo, MetaError> {
    need_bucket(db, &copy.bucket)?;
    let (source, from) = head(db, &copy.from_bucket, &copy.from_key)?;
    if copy.seen.is_some_and(|seen| seen != source) {
        return Err(MetaError::Changed(copy.from_key));
    }
    let manifest = new_manifest(db)?;
    db.prepare_cached(
        "INSERT INTO part (manifest, number, blob, small, length, md5, crc64, modified_ms)
         SELECT ?1, number, blob, small, length, md5, crc64, ?2 FROM part WHERE manifest = ?3",
    )?
    .execute(params![manifest, int(copy.now_ms), from])?;
    let etag = match source.appendable {
        // What it is made of is what counts for one that grows no more.
        true => multipart_etag(md5s(db, manifest)?.iter().map(etag_of_md5)),
        false => source.etag.clone(),
    };
    let info = ObjectInfo {
        etag,
        modified_ms: copy.now_ms,
        headers: copy.headers,
        appendable: false,
        ..source
    };
    name(db, &copy.bucket, &copy.key, manifest, &info, copy.forbid_overwrite)?;
    Ok(info)
}

pub(super) fn append(db: &Connection, append: AppendObject) -> Result<ObjectInfo, MetaError> {
    let AppendObject { bucket, key, position, headers, blob, now_ms } = append;
    let (old, manifest) = match head(db, &bucket, &key) {
        Ok((old, manifest)) => (Some(old), manifest),
        Err(MetaError::NoSuchKey(_)) => (None, new_manifest(db)?),
        Err(error) => return Err(error),
    };
    let length = old.as_ref().map_or(0, |old| old.length);
    if old.as_ref().is_some_and(|old| !old.appendable) {
        return Err(MetaError::ObjectNotAppendable(key));
    }
    if position != length {
        return Err(MetaError::PositionNotEqualToLength { position, length });
    }
    let number = db
        .prepare_cached("SELECT coalesce(max(number), ?) + 1 FROM part WHERE manifest = ?")?
        .query_row(params![BEFORE_FIRST, manifest], |row| row.get(0))?;
    uploads::add_part(db, manifest, number, &blob, now_ms)?;
    let info = ObjectInfo {
        etag: next_etag(
            old.as_ref().map(|old| old.etag.as_str()),
            &blob.md5,
            number - BEFORE_FIRST,
        ),
        length: length.saturating_add(blob.length),
        crc64: crc64::combine(old.as_ref().map_or(0, |old| old.crc64), blob.crc64, blob.length),
        md5: None,
        modified_ms: now_ms,
        headers: old.as_ref().map_or(headers, |old| old.headers.clone()),
        appendable: true,
    };
    if old.is_none() {
        name(db, &bucket, &key, manifest, &info, false)?;
        return Ok(info);
    }
    db.prepare_cached(
        "UPDATE object SET etag = ?, length = ?, crc64 = ?, modified_ms = ?
         WHERE bucket = ? AND key = ?",
    )?
    .execute(params![
        info.etag,
        int(info.length),
        info.crc64.cast_signed(),
        int(now_ms),
        bucket,
        key
    ])?;
    videos::object_arrived(db, &bucket, &key, info.length, now_ms)?;
    Ok(info)
}

/// Appended parts count from above this, see `schema_2.sql`.
const BEFORE_FIRST: u32 = 1_000_000;

/// The ETag of an object that grew to parts with these hashes. Each follows from the one before and
/// the new part, so that growing costs the same however long the object is.
pub(super) fn appended_etag(md5s: &[[u8; 16]]) -> String {
    let mut etag: Option<String> = None;
    for (number, md5) in (1..).zip(md5s) {
        etag = Some(next_etag(etag.as_deref(), md5, number));
    }
    etag.unwrap_or_default()
}

fn next_etag(before: Option<&str>, md5: &[u8; 16], number: u32) -> String {
    let part = etag_of_md5(md5);
    let both = match before {
        None => multipart_etag([part]),
        Some(before) => multipart_etag([before.to_owned(), part]),
    };
    let hash = both.split('-').next().unwrap_or_default();
    format!("{hash}-{number}")
}

fn md5s(db: &Connection, manifest: i64) -> Result<Vec<[u8; 16]>, MetaError> {
    let mut list = db.prepare_cached("SELECT md5 FROM part WHERE manifest = ? ORDER BY number")?;
    let rows = list.query_map([manifest], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

//! What the janitor asks, and whoever watches over the server.

use rusqlite::{Connection, params};

use super::objects::read_blob_id;
use super::{int, uint, uploads};
use crate::store::{BlobId, BucketDocument, MetaError};

/// Writes what is there already; the commit is as durable as any.
pub(super) fn write(db: &Connection) -> Result<(), MetaError> {
    let version: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    Ok(db.pragma_update(None, "user_version", version)?)
}

pub(super) fn garbage(
    db: &Connection,
    before_ms: u64,
    limit: usize,
) -> Result<Vec<BlobId>, MetaError> {
    let mut list =
        db.prepare_cached("SELECT blob FROM garbage WHERE since_ms < ? ORDER BY since_ms LIMIT ?")?;
    let rows = list.query_map([int(before_ms), int(limit as u64)], |row| row.get(0))?;
    rows.map(|blob| read_blob_id(blob?)).collect()
}

pub(super) fn forget_garbage(db: &Connection, blobs: &[BlobId]) -> Result<(), MetaError> {
    let mut forget = db.prepare_cached("DELETE FROM garbage WHERE blob = ?")?;
    for blob in blobs {
        forget.execute([blob.as_str()])?;
    }
    Ok(())
}

/// Runs on the writer's thread like any commit, so a blob is either named before or never.
pub(super) fn discard_unnamed(
    db: &Connection,
    blobs: &[BlobId],
    now_ms: u64,
) -> Result<u64, MetaError> {
    let mut discard = db.prepare_cached(
        "INSERT OR IGNORE INTO garbage (blob, since_ms)
         SELECT ?1, ?2 WHERE NOT EXISTS (SELECT 1 FROM part WHERE blob = ?1)",
    )?;
    let mut discarded = 0;
    for blob in blobs {
        discarded += discard.execute(params![blob.as_str(), int(now_ms)])? as u64;
    }
    Ok(discarded)
}

/// Objects are looked through only where the janitor does so anyway.
pub(super) fn newest_ms(db: &Connection) -> Result<Option<u64>, MetaError> {
    let newest: Option<i64> = db.query_row(
        "SELECT max(ms) FROM (
           SELECT max(initiated_ms) AS ms FROM upload
           UNION ALL SELECT max(part.modified_ms) FROM upload JOIN part USING (manifest)
           UNION ALL SELECT max(completed_ms) FROM completion
           UNION ALL SELECT max(since_ms) FROM garbage
           UNION ALL SELECT max(modified_ms) FROM object
                     WHERE bucket IN (SELECT bucket FROM bucket_document WHERE kind = ?))",
        [BucketDocument::Lifecycle.as_str()],
        |row| row.get(0),
    )?;
    Ok(newest.map(uint))
}

pub(super) fn set_back(db: &Connection, now_ms: u64, lives: bool) -> Result<u64, MetaError> {
    const DAY_MS: u64 = 86_400_000;
    let times = [int(now_ms), int(now_ms.saturating_add(DAY_MS))];
    let mut set = db.execute("UPDATE garbage SET since_ms = ?1 WHERE since_ms > ?2", times)?;
    if lives {
        set += db.execute("UPDATE upload SET initiated_ms = ?1 WHERE initiated_ms > ?2", times)?;
        set += db.execute(
            "UPDATE part SET modified_ms = ?1
             WHERE modified_ms > ?2 AND manifest IN (SELECT manifest FROM upload)",
            times,
        )?;
        let answers = "UPDATE completion SET completed_ms = ?1 WHERE completed_ms > ?2";
        set += db.execute(answers, times)?;
    }
    Ok(set as u64)
}

/// 2026-01-01. A machine without a battery says 1970 until it is told better.
const UNSET_MS: u64 = 1_767_225_600_000;

pub(super) fn expire_uploads(
    db: &Connection,
    before_ms: u64,
    limit: usize,
    now_ms: u64,
) -> Result<u64, MetaError> {
    if now_ms >= UNSET_MS {
        db.prepare_cached("UPDATE upload SET initiated_ms = ? WHERE initiated_ms < ?")?
            .execute([int(now_ms), int(UNSET_MS)])?;
    }
    let mut list = db.prepare_cached(
        "SELECT manifest FROM upload
         WHERE initiated_ms < ?1 AND NOT EXISTS
           (SELECT 1 FROM part WHERE part.manifest = upload.manifest AND modified_ms >= ?1)
         ORDER BY initiated_ms LIMIT ?2",
    )?;
    let expired: Vec<i64> = list
        .query_map([int(before_ms), int(limit as u64)], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for manifest in &expired {
        uploads::forget(db, *manifest, now_ms)?;
    }
    Ok(expired.len() as u64)
}

/// Cuts pages that no row needs off the end of the database, some at a time; how many bytes. A quarter of it is kept for the rows to
/// come. What is gone from the database is gone from the disk when the log was brought into it.
pub(super) fn give_back_room(db: &Connection) -> Result<u64, MetaError> {
    let ask = |pragma: &str| db.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let (free, pages) = (ask("freelist_count")?, ask("page_count")?);
    let surplus = free - (pages / 4).max(KEPT_PAGES);
    if surplus <= 0 {
        return Ok(0);
    }
    let sql = format!("PRAGMA incremental_vacuum({})", surplus.min(PAGES_PER_COMMIT));
    // One page a step.
    let mut cut = db.prepare(&sql)?;
    let mut rows = cut.query([])?;
    while rows.next()?.is_some() {}
    drop(rows);
    Ok(uint(pages - ask("page_count")?) * uint(ask("page_size")?))
}

/// 4 MiB.
const KEPT_PAGES: i64 = 1024;
/// The last page with a row in it moves into a free one; others wait meanwhile.
const PAGES_PER_COMMIT: i64 = 1024;

pub(super) fn forget_completions(db: &Connection, before_ms: u64) -> Result<u64, MetaError> {
    let mut forget = db.prepare_cached("DELETE FROM completion WHERE completed_ms < ?")?;
    Ok(forget.execute([int(before_ms)])? as u64)
}

//! Buckets and their documents.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::list::{after, upper};
use super::objects::need_bucket;
use super::{int, quota, uint};
use crate::store::{Bucket, BucketDocument, BucketQuery, BucketUse, MetaError, Page, Quotas};

pub(super) fn make(db: &Connection, quotas: &Quotas, bucket: &Bucket) -> Result<bool, MetaError> {
    if need_bucket(db, &bucket.name).is_err() {
        quota::one_more_bucket(db, quotas, &bucket.owner)?;
    }
    let made = db
        .prepare_cached(
            "INSERT OR IGNORE INTO bucket (bucket, owner, acl, storage_class, created_ms)
             VALUES (?, ?, ?, ?, ?)",
        )?
        .execute(params![
            bucket.name,
            bucket.owner,
            bucket.acl,
            bucket.storage_class,
            int(bucket.created_ms)
        ])?;
    if made == 0 && get(db, &bucket.name)?.owner != bucket.owner {
        return Err(MetaError::BucketAlreadyExists(bucket.name.clone()));
    }
    Ok(made == 1)
}

pub(super) fn get(db: &Connection, bucket: &str) -> Result<Bucket, MetaError> {
    let found = db
        .prepare_cached(
            "SELECT bucket, owner, acl, storage_class, created_ms FROM bucket WHERE bucket = ?",
        )?
        .query_row([bucket], read)
        .optional()?;
    found.ok_or_else(|| MetaError::NoSuchBucket(bucket.to_owned()))
}

pub(super) fn list(db: &Connection, query: &BucketQuery) -> Result<Page<Bucket>, MetaError> {
    let mut list = db.prepare_cached(
        "SELECT bucket, owner, acl, storage_class, created_ms FROM bucket
         WHERE bucket >= ?1 AND bucket < ?2 AND (?3 IS NULL OR owner = ?3)
         ORDER BY bucket LIMIT ?4",
    )?;
    let low = after(&query.after).max(query.prefix.clone());
    let most = int(query.limit.saturating_add(1) as u64);
    let rows = list.query_map(params![low, upper(&query.prefix), query.owner, most], read)?;
    let mut entries = rows.collect::<Result<Vec<_>, _>>()?;
    let truncated = entries.len() > query.limit;
    entries.truncate(query.limit);
    Ok(Page { entries, truncated })
}

pub(super) fn delete(db: &Connection, bucket: &str) -> Result<(), MetaError> {
    need_bucket(db, bucket)?;
    let mut used = db.prepare_cached(
        "SELECT 1 WHERE EXISTS (SELECT 1 FROM object WHERE bucket = ?1)
                     OR EXISTS (SELECT 1 FROM upload WHERE bucket = ?1)
                     OR EXISTS (SELECT 1 FROM video WHERE bucket = ?1)",
    )?;
    if used.exists([bucket])? {
        return Err(MetaError::BucketNotEmpty(bucket.to_owned()));
    }
    db.prepare_cached("DELETE FROM bucket_document WHERE bucket = ?")?.execute([bucket])?;
    db.prepare_cached("DELETE FROM bucket WHERE bucket = ?")?.execute([bucket])?;
    Ok(())
}

pub(super) fn set_acl(db: &Connection, bucket: &str, acl: &str) -> Result<(), MetaError> {
    need_bucket(db, bucket)?;
    db.prepare_cached("UPDATE bucket SET acl = ? WHERE bucket = ?")?.execute([acl, bucket])?;
    Ok(())
}

pub(super) fn usage(db: &Connection, bucket: &str) -> Result<BucketUse, MetaError> {
    need_bucket(db, bucket)?;
    let mut count = db.prepare_cached(
        "SELECT coalesce(sum(length), 0), count(*),
                (SELECT count(*) FROM upload WHERE bucket = ?1)
         FROM object WHERE bucket = ?1",
    )?;
    Ok(count.query_row([bucket], |row| {
        Ok(BucketUse {
            bytes: uint(row.get(0)?),
            objects: uint(row.get(1)?),
            uploads: uint(row.get(2)?),
        })
    })?)
}

pub(super) fn document(
    db: &Connection,
    bucket: &str,
    which: BucketDocument,
) -> Result<Option<String>, MetaError> {
    need_bucket(db, bucket)?;
    let mut look =
        db.prepare_cached("SELECT document FROM bucket_document WHERE bucket = ? AND kind = ?")?;
    Ok(look.query_row([bucket, which.as_str()], |row| row.get(0)).optional()?)
}

pub(super) fn set_document(
    db: &Connection,
    bucket: &str,
    which: BucketDocument,
    document: Option<&str>,
) -> Result<(), MetaError> {
    need_bucket(db, bucket)?;
    db.prepare_cached("DELETE FROM bucket_document WHERE bucket = ? AND kind = ?")?
        .execute([bucket, which.as_str()])?;
    if let Some(document) = document {
        db.prepare_cached("INSERT INTO bucket_document (bucket, kind, document) VALUES (?, ?, ?)")?
            .execute([bucket, which.as_str(), document])?;
    }
    Ok(())
}

pub(super) fn documents(
    db: &Connection,
    which: BucketDocument,
) -> Result<Vec<(String, String)>, MetaError> {
    let mut list = db.prepare_cached(
        "SELECT bucket, document FROM bucket_document WHERE kind = ? ORDER BY bucket",
    )?;
    let rows = list.query_map([which.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn read(row: &Row<'_>) -> rusqlite::Result<Bucket> {
    Ok(Bucket {
        name: row.get(0)?,
        owner: row.get(1)?,
        acl: row.get(2)?,
        storage_class: row.get(3)?,
        created_ms: uint(row.get(4)?),
    })
}

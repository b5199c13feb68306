//! Quotas: what each tenant stores, counted while it changes, and compared within the transaction that
//! changes it.
//!
//! The sums of bytes and objects live in the connection that writes, and only when somebody's are bounded: they are
//! added up when the database is opened, and follow every row from then on, undone like any other change. Buckets
//! and unfinished uploads are few, and are counted when there is to be one more.

use rusqlite::{Connection, OptionalExtension, params};

use super::{int, uint};
use crate::store::{MetaError, Quotas};

/// Begins to add up, when that is needed.
pub(super) fn arm(db: &Connection, quotas: &Quotas) -> rusqlite::Result<()> {
    if !quotas.add_up() {
        return Ok(());
    }
    db.execute_batch(include_str!("quota.sql"))
}

/// Carries `verb` out, which gives something to `bucket`, unless its tenant had more than it may then.
/// What grows nothing is always allowed, also to a tenant that has too much.
pub(super) fn within<T>(
    db: &Connection,
    quotas: &Quotas,
    bucket: &str,
    verb: impl FnOnce(&Connection) -> Result<T, MetaError>,
) -> Result<T, MetaError> {
    if !quotas.add_up() {
        return verb(db);
    }
    // The verb says what is wrong.
    let Some(tenant) = owner(db, bucket)? else { return verb(db) };
    let quota = quotas.of(&tenant);
    let before = stored(db, &tenant)?;
    let done = verb(db)?;
    let after = stored(db, &tenant)?;
    for (what, most, before, after) in
        [("bytes", quota.bytes, before.0, after.0), ("objects", quota.objects, before.1, after.1)]
    {
        if let Some(most) = most.filter(|most| after > before && after > *most) {
            return Err(MetaError::QuotaExceeded { tenant, what, most });
        }
    }
    Ok(done)
}

/// Refuses one more unfinished upload to a tenant that has as many as it may.
pub(super) fn one_more_upload(
    db: &Connection,
    quotas: &Quotas,
    bucket: &str,
) -> Result<(), MetaError> {
    let Some(tenant) = owner(db, bucket)? else { return Ok(()) };
    let most = quotas.of(&tenant).uploads;
    let there = count(
        db,
        "SELECT count(*) FROM
           (SELECT 1 FROM bucket CROSS JOIN upload USING (bucket) WHERE owner = ? LIMIT ?)",
        &tenant,
        most,
    )?;
    match most > 0 && there >= most {
        true => Err(MetaError::QuotaExceeded { tenant, what: "unfinished uploads", most }),
        false => Ok(()),
    }
}

/// Refuses one more bucket to a tenant that has as many as it may.
pub(super) fn one_more_bucket(
    db: &Connection,
    quotas: &Quotas,
    tenant: &str,
) -> Result<(), MetaError> {
    let most = quotas.of(tenant).buckets;
    let list = "SELECT count(*) FROM (SELECT 1 FROM bucket WHERE owner = ? LIMIT ?)";
    match most > 0 && count(db, list, tenant, most)? >= most {
        true => Err(MetaError::TooManyBuckets { tenant: tenant.to_owned(), most }),
        false => Ok(()),
    }
}

/// How many of a tenant's there are, at most so many.
fn count(db: &Connection, list: &str, tenant: &str, most: u64) -> Result<u64, MetaError> {
    let mut list = db.prepare_cached(list)?;
    Ok(list.query_row(params![tenant, int(most)], |row| Ok(uint(row.get(0)?)))?)
}

fn owner(db: &Connection, bucket: &str) -> Result<Option<String>, MetaError> {
    let mut look = db.prepare_cached("SELECT owner FROM bucket WHERE bucket = ?")?;
    Ok(look.query_row([bucket], |row| row.get(0)).optional()?)
}

/// Bytes and objects of a tenant.
fn stored(db: &Connection, tenant: &str) -> Result<(u64, u64), MetaError> {
    let found = db
        .prepare_cached("SELECT bytes, objects FROM temp.stored WHERE tenant = ?")?
        .query_row([tenant], |row| Ok((uint(row.get(0)?), uint(row.get(1)?))))
        .optional()?;
    Ok(found.unwrap_or_default())
}

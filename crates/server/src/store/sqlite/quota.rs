//! Quotas: what each tenant stores, counted while it changes, and compared within the transaction that
//! changes it.
//!
//! The sums live in the connection that writes, and only when there is a quota: they are added up when
//! the database is opened, and follow every row from then on, undone like any other change.

use rusqlite::{Connection, OptionalExtension};

use super::uint;
use crate::store::{MetaError, Quotas};

/// Begins to count, when there is a quota.
pub(super) fn arm(db: &Connection, quotas: &Quotas) -> rusqlite::Result<()> {
    if quotas.are_none() {
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
    if quotas.are_none() {
        return verb(db);
    }
    let owner: Option<String> = db
        .prepare_cached("SELECT owner FROM bucket WHERE bucket = ?")?
        .query_row([bucket], |row| row.get(0))
        .optional()?;
    // The verb says what is wrong.
    let Some(tenant) = owner else { return verb(db) };
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

/// Bytes and objects of a tenant.
fn stored(db: &Connection, tenant: &str) -> Result<(u64, u64), MetaError> {
    let found = db
        .prepare_cached("SELECT bytes, objects FROM temp.stored WHERE tenant = ?")?
        .query_row([tenant], |row| Ok((uint(row.get(0)?), uint(row.get(1)?))))
        .optional()?;
    Ok(found.unwrap_or_default())
}

//! Listings: pages of keys, with those that share a prefix gathered.
//!
//! The order is that of the bytes, which is SQLite's own for text. A common prefix is passed over by
//! seeking to what follows it, so that a page costs as many seeks as it has entries, however many
//! keys lie behind them.

use rusqlite::types::Value;
use rusqlite::{Connection, Row, params};

use super::objects::{COLUMNS, need_bucket, read_headers, read_info};
use super::uint;
use crate::store::{Entry, KeyQuery, MetaError, ObjectPage, OpenUpload, Page, UploadPage};

pub(super) fn objects(
    db: &Connection,
    bucket: &str,
    query: &KeyQuery,
) -> Result<ObjectPage, MetaError> {
    need_bucket(db, bucket)?;
    let mut list = db.prepare_cached(&format!(
        "SELECT {COLUMNS}, key FROM object
         WHERE bucket = ?1 AND key >= ?2 AND key < ?3 ORDER BY key"
    ))?;
    let start = Start { key: first_key(query), upload_id: String::new() };
    gather(
        query,
        start,
        |from, visit| {
            let mut rows = list.query(params![bucket, from.key, upper(&query.prefix)])?;
            while let Some(row) = rows.next()? {
                if !visit(row.get("key")?, row)? {
                    break;
                }
            }
            Ok(())
        },
        |row| Ok(read_info(row)?.0),
    )
}

pub(super) fn uploads(
    db: &Connection,
    bucket: &str,
    query: &KeyQuery,
) -> Result<UploadPage, MetaError> {
    need_bucket(db, bucket)?;
    // A bound behind the key's own start: uploads of the marker's key that follow its upload.
    let mut start = Start { key: first_key(query), upload_id: String::new() };
    if !query.after.is_empty() && !query.after_upload.is_empty() && query.after >= query.prefix {
        start = Start { key: query.after.clone(), upload_id: query.after_upload.clone() };
    }
    let mut list = db.prepare_cached(
        "SELECT key, upload_id, initiated_ms, headers FROM upload
         WHERE bucket = ?1 AND (key, upload_id) > (?2, ?3) AND key < ?4
         ORDER BY key, upload_id",
    )?;
    gather(
        query,
        start,
        |from, visit| {
            let bounds = params![bucket, from.key, from.upload_id, upper(&query.prefix)];
            let mut rows = list.query(bounds)?;
            while let Some(row) = rows.next()? {
                if !visit(row.get("key")?, row)? {
                    break;
                }
            }
            Ok(())
        },
        |row| {
            Ok(OpenUpload {
                upload_id: row.get(1)?,
                initiated_ms: uint(row.get(2)?),
                headers: read_headers(&row.get::<_, String>(3)?)?,
            })
        },
    )
}

/// The least text above `key`; the least of all for an empty one.
pub(super) fn after(key: &str) -> String {
    if key.is_empty() { String::new() } else { format!("{key}\0") }
}

/// What all texts that begin with `prefix` are below, as SQLite compares: every text is below a blob.
pub(super) fn upper(prefix: &str) -> Value {
    successor(prefix).map_or_else(|| Value::Blob(Vec::new()), Value::Text)
}

/// Where a page begins.
struct Start {
    /// At this key …
    key: String,
    /// … and after this upload of it.
    upload_id: String,
}

/// Calls back with each key and row from a start on, until told to stop.
type Visit<'a> = &'a mut dyn FnMut(String, &Row<'_>) -> Result<bool, MetaError>;

fn gather<T>(
    query: &KeyQuery,
    start: Start,
    mut walk: impl FnMut(&Start, Visit<'_>) -> Result<(), MetaError>,
    read: impl Fn(&Row<'_>) -> Result<T, MetaError>,
) -> Result<Page<Entry<T>>, MetaError> {
    let mut entries: Vec<Entry<T>> = Vec::new();
    let mut from = Some(start);
    while let Some(start) = from.take() {
        walk(&start, &mut |key, row| {
            if entries.len() > query.limit {
                return Ok(false);
            }
            if let Some(common) = common_prefix(query, &key) {
                let next = successor(common);
                entries.push(Entry::CommonPrefix(common.to_owned()));
                from = next.map(|key| Start { key, upload_id: String::new() });
                return Ok(false);
            }
            entries.push(Entry::Key(key, read(row)?));
            Ok(true)
        })?;
    }
    let truncated = entries.len() > query.limit;
    entries.truncate(query.limit);
    Ok(Page { entries, truncated })
}

/// The first key that a page may show.
fn first_key(query: &KeyQuery) -> String {
    let low = match common_prefix(query, &query.after) {
        // The page before ended with this common prefix.
        Some(common) if common == query.after => successor(common).unwrap_or_else(|| after(common)),
        _ => after(&query.after),
    };
    low.max(query.prefix.clone())
}

fn common_prefix<'a>(query: &KeyQuery, key: &'a str) -> Option<&'a str> {
    if query.delimiter.is_empty() {
        return None;
    }
    let rest = key.strip_prefix(query.prefix.as_str())?;
    let at = rest.find(query.delimiter.as_str())?;
    key.get(..query.prefix.len() + at + query.delimiter.len())
}

/// The least text above all that begin with `prefix`; none when there is nothing above.
fn successor(prefix: &str) -> Option<String> {
    let mut text = prefix.to_owned();
    while let Some(last) = text.pop() {
        let next = match last {
            '\u{D7FF}' => Some('\u{E000}'),
            _ => char::from_u32(u32::from(last) + 1),
        };
        if let Some(next) = next {
            text.push(next);
            return Some(text);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn successors() {
        for (prefix, next) in [
            ("a", Some("b")),
            ("a/", Some("a0")),
            ("a\u{D7FF}", Some("a\u{E000}")),
            ("a\u{10FFFF}", Some("b")),
            ("\u{7F}", Some("\u{80}")),
            ("\u{10FFFF}", None),
            ("", None),
        ] {
            assert_eq!(successor(prefix).as_deref(), next, "{prefix:?}");
        }
    }
}

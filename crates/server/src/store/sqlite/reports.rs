//! Reports of uploaders: the newest so many.

use rusqlite::{Connection, params};

use super::{int, uint};
use crate::store::{MetaError, NewReport, Report, ReportQuery};

/// Writes `reports` down, and forgets the oldest so that no more than `most` are kept.
pub(super) fn add(
    db: &Connection,
    reports: &[NewReport],
    most: u64,
    now_ms: u64,
) -> Result<(), MetaError> {
    let mut insert = db.prepare_cached(
        "INSERT INTO report (received_ms, video_id, attempt, document) VALUES (?, ?, ?, ?)",
    )?;
    for report in reports {
        let NewReport { video_id, attempt, document } = report;
        insert.execute(params![int(now_ms), video_id, attempt, document])?;
    }
    // Numbers are given out without gaps, and nothing else is ever deleted.
    db.prepare_cached("DELETE FROM report WHERE report <= (SELECT max(report) FROM report) - ?")?
        .execute([int(most)])?;
    Ok(())
}

/// The newest first.
pub(super) fn list(db: &Connection, query: &ReportQuery) -> Result<Vec<Report>, MetaError> {
    let before = query.before.map_or(i64::MAX, int);
    let mut statement = db.prepare_cached(
        "SELECT report, received_ms, video_id, attempt, document FROM report
         WHERE report < ?1 AND (?2 IS NULL OR video_id = ?2) AND (?3 IS NULL OR attempt = ?3)
         ORDER BY report DESC LIMIT ?4",
    )?;
    let found = statement.query_map(
        params![before, query.video_id, query.attempt, int(query.limit as u64)],
        |row| {
            let report =
                NewReport { video_id: row.get(2)?, attempt: row.get(3)?, document: row.get(4)? };
            Ok(Report { number: uint(row.get(0)?), received_ms: uint(row.get(1)?), report })
        },
    )?;
    Ok(found.collect::<Result<_, _>>()?)
}

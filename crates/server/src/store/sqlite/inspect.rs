//! The database as an inspector sees it: no server runs, nothing is made that was not there.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, Row, params};
use vodferry_oss::address::{valid_bucket, valid_key};
use vodferry_oss::crc64;
use vodferry_oss::etag::{etag_of_md5, multipart_etag};

use super::copies::appended_etag;
use super::schema::{self, OpenError};
use super::{int, uint};
use crate::store::{BlobId, VideoStatus};

/// An open database.
pub(in crate::store) struct Inspection {
    db: Connection,
    /// It is of a version that has small bodies.
    has_small: bool,
    /// It is of a version that has objects that grow.
    has_appendable: bool,
}

/// A row that names a blob.
pub(in crate::store) struct NamedBlob {
    pub(in crate::store) id: BlobId,
    pub(in crate::store) length: u64,
    pub(in crate::store) md5: [u8; 16],
    pub(in crate::store) crc64: u64,
    /// It is on the garbage list at the same time.
    pub(in crate::store) doomed: bool,
    /// Whose bytes these are, in words.
    pub(in crate::store) of: String,
}

/// A row that names a small body.
pub(in crate::store) struct NamedSmall {
    /// Its number in the database.
    pub(in crate::store) small: i64,
    pub(in crate::store) length: u64,
    pub(in crate::store) md5: [u8; 16],
    pub(in crate::store) crc64: u64,
    /// How many bytes there are; none when the body is missing.
    pub(in crate::store) found: Option<u64>,
    /// These, when they were asked for.
    pub(in crate::store) bytes: Option<Vec<u8>>,
    /// Whose bytes these are, in words.
    pub(in crate::store) of: String,
}

/// A video that says something else than its object.
pub(in crate::store) struct WrongVideo {
    pub(in crate::store) video_id: String,
    /// What is wrong, in words.
    pub(in crate::store) says: String,
    /// Whether it can be put right by what is known of the object.
    pub(in crate::store) curable: bool,
}

impl Inspection {
    /// Opens a database that is there. `None`: its first start was cut before it had tables.
    pub(in crate::store) fn open(path: &Path) -> Result<Option<Inspection>, OpenError> {
        let failed = |source| OpenError::Sqlite { path: path.to_owned(), source };
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(path, flags).map_err(failed)?;
        let version = schema::check(&db, path)?;
        let (has_small, has_appendable) = (version >= 4, version >= 2);
        Ok((version > 0).then_some(Inspection { db, has_small, has_appendable }))
    }

    /// What SQLite finds wrong with its own file, and rows that contradict each other.
    pub(in crate::store) fn flaws(&self) -> rusqlite::Result<Vec<String>> {
        let mut flaws = Vec::new();
        let mut check = self.db.prepare("PRAGMA integrity_check(20)")?;
        for line in check.query_map([], |row| row.get::<_, String>(0))? {
            let line = line?;
            if line != "ok" {
                flaws.push(format!("database: {line}"));
            }
        }
        let mut check = self.db.prepare("PRAGMA foreign_key_check")?;
        for table in check.query_map([], |row| row.get::<_, String>(0))? {
            flaws.push(format!("a row of the table {} refers to one that is not there", table?));
        }
        let mut check = self
            .db
            .prepare("SELECT blob FROM part WHERE length(blob) <> 32 OR blob GLOB '*[^0-9a-f]*'")?;
        for blob in check.query_map([], |row| row.get::<_, String>(0))? {
            flaws.push(format!("a part names {:?}, which is no blob", blob?));
        }
        let ownerless: i64 = self.db.query_row(
            "SELECT count(*) FROM manifest
             WHERE manifest NOT IN (SELECT manifest FROM object)
               AND manifest NOT IN (SELECT manifest FROM upload)",
            [],
            |row| row.get(0),
        )?;
        if ownerless > 0 {
            flaws.push(format!("{ownerless} lists of parts belong to no object and no upload"));
        }
        Ok(flaws)
    }

    /// Objects, open uploads, parts.
    pub(in crate::store) fn counts(&self) -> rusqlite::Result<(u64, u64, u64)> {
        self.db.query_row(
            "SELECT (SELECT count(*) FROM object), (SELECT count(*) FROM upload),
                    (SELECT count(*) FROM part)",
            [],
            |row| Ok((uint(row.get(0)?), uint(row.get(1)?), uint(row.get(2)?))),
        )
    }

    /// Rows whose blobs' names begin with the two digits of `prefix`, by name.
    pub(in crate::store) fn named(&self, prefix: &str) -> rusqlite::Result<Vec<NamedBlob>> {
        let mut list = self.db.prepare_cached(&format!(
            "SELECT {OF_PART}, part.blob,
                    EXISTS (SELECT 1 FROM garbage WHERE garbage.blob = part.blob)
             FROM part {OWNERS} WHERE part.blob >= ?1 AND part.blob < ?1 || 'g' ORDER BY part.blob"
        ))?;
        let mut rows = list.query([prefix])?;
        let mut named = Vec::new();
        while let Some(row) = rows.next()? {
            // Those that are no names are told by `flaws`.
            let Some(id) = BlobId::parse(&row.get::<_, String>(9)?) else { continue };
            named.push(NamedBlob {
                id,
                length: uint(row.get(0)?),
                md5: row.get(1)?,
                crc64: row.get::<_, i64>(2)?.cast_unsigned(),
                doomed: row.get(10)?,
                of: owner(row)?,
            });
        }
        Ok(named)
    }

    /// Shows `look` each row that has a small body, with the bytes when `read` asks for them.
    pub(in crate::store) fn each_small(
        &self,
        read: bool,
        mut look: impl FnMut(NamedSmall),
    ) -> rusqlite::Result<()> {
        if !self.has_small {
            return Ok(());
        }
        let mut list = self.db.prepare(&format!(
            "SELECT {OF_PART}, part.small, length(small.bytes), CASE WHEN ?1 THEN small.bytes END
             FROM part LEFT JOIN small ON small.small = part.small {OWNERS}
             WHERE part.small IS NOT NULL ORDER BY part.small"
        ))?;
        let mut rows = list.query([read])?;
        while let Some(row) = rows.next()? {
            look(NamedSmall {
                small: row.get(9)?,
                length: uint(row.get(0)?),
                md5: row.get(1)?,
                crc64: row.get::<_, i64>(2)?.cast_unsigned(),
                found: row.get::<_, Option<i64>>(10)?.map(uint),
                bytes: row.get(11)?,
                of: owner(row)?,
            });
        }
        Ok(())
    }

    /// Small bodies, and bytes of all of them. What several rows share counts once.
    pub(in crate::store) fn small_use(&self) -> rusqlite::Result<(u64, u64)> {
        if !self.has_small {
            return Ok((0, 0));
        }
        let sums = "SELECT count(*), coalesce(sum(length(bytes)), 0) FROM small";
        self.db.query_row(sums, [], |row| Ok((uint(row.get(0)?), uint(row.get(1)?))))
    }

    /// Small bodies that no row has.
    pub(in crate::store) fn unnamed_small(&self) -> rusqlite::Result<Vec<i64>> {
        if !self.has_small {
            return Ok(Vec::new());
        }
        let mut list = self.db.prepare(
            "SELECT small FROM small
             WHERE NOT EXISTS (SELECT 1 FROM part WHERE part.small = small.small)",
        )?;
        list.query_map([], |row| row.get(0))?.collect()
    }

    /// The bytes of a small body.
    pub(in crate::store) fn small(&self, small: i64) -> rusqlite::Result<Vec<u8>> {
        let mut look = self.db.prepare_cached("SELECT bytes FROM small WHERE small = ?")?;
        look.query_row([small], |row| row.get(0))
    }

    /// Forgets a small body that no row has.
    pub(in crate::store) fn forget_small(&self, small: i64) -> rusqlite::Result<()> {
        let mut forget = self.db.prepare_cached(
            "DELETE FROM small
             WHERE small = ?1 AND NOT EXISTS (SELECT 1 FROM part WHERE part.small = ?1)",
        )?;
        forget.execute([small]).map(drop)
    }

    /// Blobs on the garbage list whose names begin with `prefix`, by name.
    pub(in crate::store) fn garbage(&self, prefix: &str) -> rusqlite::Result<Vec<BlobId>> {
        let mut list = self.db.prepare_cached(
            "SELECT blob FROM garbage WHERE blob >= ?1 AND blob < ?1 || 'g' ORDER BY blob",
        )?;
        let rows = list.query_map([prefix], |row| row.get::<_, String>(0))?;
        let mut garbage = Vec::new();
        for row in rows {
            garbage.extend(BlobId::parse(&row?));
        }
        Ok(garbage)
    }

    /// Objects whose row is not what their parts add up to, in words.
    pub(in crate::store) fn inconsistent(&self) -> rusqlite::Result<Vec<String>> {
        let appendable = if self.has_appendable { "appendable" } else { "0" };
        let mut objects = self.db.prepare(&format!(
            "SELECT bucket, key, manifest, etag, length, crc64, {appendable} FROM object"
        ))?;
        let mut parts = self
            .db
            .prepare("SELECT length, md5, crc64 FROM part WHERE manifest = ? ORDER BY number")?;
        let mut wrong = Vec::new();
        let mut rows = objects.query([])?;
        while let Some(row) = rows.next()? {
            let (mut length, mut crc, mut md5s) = (0u64, 0u64, Vec::new());
            let mut listed = parts.query(params![row.get::<_, i64>(2)?])?;
            while let Some(part) = listed.next()? {
                let part_length = uint(part.get(0)?);
                md5s.push(part.get::<_, [u8; 16]>(1)?);
                crc = crc64::combine(crc, part.get::<_, i64>(2)?.cast_unsigned(), part_length);
                length += part_length;
            }
            let told: String = row.get(3)?;
            let etag = match md5s.as_slice() {
                _ if row.get(6)? => appended_etag(&md5s),
                [md5] if !told.contains('-') => etag_of_md5(md5),
                _ => multipart_etag(md5s.iter().map(etag_of_md5)),
            };
            let mut differs = |what: &str, same: bool| -> rusqlite::Result<()> {
                if !same {
                    let (bucket, key): (String, String) = (row.get(0)?, row.get(1)?);
                    wrong.push(format!("object {bucket}/{key:?} has not the {what} of its parts"));
                }
                Ok(())
            };
            differs("length", row.get::<_, i64>(4)? == int(length))?;
            differs("CRC64", row.get::<_, i64>(5)?.cast_unsigned() == crc)?;
            differs("ETag", told == etag)?;
        }
        Ok(wrong)
    }

    /// How many videos there are.
    pub(in crate::store) fn video_count(&self) -> rusqlite::Result<u64> {
        self.db.query_row("SELECT count(*) FROM video", [], |row| Ok(uint(row.get(0)?)))
    }

    /// Videos that say something else than their objects.
    pub(in crate::store) fn wrong_videos(&self) -> rusqlite::Result<Vec<WrongVideo>> {
        let mut list = self.db.prepare(
            "SELECT video_id, video.bucket, video.key, status, size, object.length
             FROM video LEFT JOIN object
               ON object.bucket = video.bucket AND object.key = video.key
             ORDER BY video_id",
        )?;
        let mut rows = list.query([])?;
        let mut wrong = Vec::new();
        while let Some(row) = rows.next()? {
            let (video_id, bucket, key): (String, String, String) =
                (row.get(0)?, row.get(1)?, row.get(2)?);
            let status: String = row.get(3)?;
            let (size, length): (i64, Option<i64>) = (row.get(4)?, row.get(5)?);
            let waits = status == VideoStatus::Uploading.as_str();
            let mut curable = true;
            let says = if !valid_bucket(&bucket) || !valid_key(&key) {
                curable = false;
                "waits for what can be no object".to_owned()
            } else if !waits && status != VideoStatus::Normal.as_str() {
                format!("has the unknown status {status:?}")
            } else {
                match length {
                    Some(_) if waits => "waits for its object, which is there".to_owned(),
                    None if !waits => "has lost its object".to_owned(),
                    Some(length) if length != size => {
                        format!("has {size} bytes, its object {length}")
                    }
                    _ => continue,
                }
            };
            let says = format!("video {video_id}, {bucket}/{key:?}, {says}");
            wrong.push(WrongVideo { video_id, says, curable });
        }
        Ok(wrong)
    }

    /// Makes a video say what its object says: that it is there with its length, or that it is not.
    pub(in crate::store) fn cure(&self, video: &WrongVideo) -> rusqlite::Result<()> {
        let of = "FROM object WHERE object.bucket = video.bucket AND object.key = video.key";
        let sql = format!(
            "UPDATE video SET status = coalesce((SELECT ?1 {of}), ?2),
                              size = coalesce((SELECT length {of}), size)
             WHERE video_id = ?3"
        );
        let (there, gone) = (VideoStatus::Normal.as_str(), VideoStatus::Uploading.as_str());
        self.db.execute(&sql, params![there, gone, video.video_id]).map(drop)
    }

    /// Takes a blob that a row names off the garbage list.
    pub(in crate::store) fn pardon(&self, blob: &BlobId) -> rusqlite::Result<()> {
        self.db.execute("DELETE FROM garbage WHERE blob = ?", [blob.as_str()]).map(drop)
    }
}

/// What the row of a part says, and whose it is; [`owner`] reads it.
const OF_PART: &str = "part.length, part.md5, part.crc64, part.number,
                       object.bucket, object.key, upload.bucket, upload.key, upload.upload_id";
const OWNERS: &str = "LEFT JOIN object USING (manifest) LEFT JOIN upload USING (manifest)";

fn owner(row: &Row<'_>) -> rusqlite::Result<String> {
    let number: u32 = row.get(3)?;
    if let (Some(bucket), Some(key)) = (row.get::<_, Option<String>>(4)?, row.get(5)?) {
        let key: String = key;
        return Ok(format!("part {number} of object {bucket}/{key:?}"));
    }
    match (row.get::<_, Option<String>>(6)?, row.get::<_, Option<String>>(7)?) {
        (Some(bucket), Some(key)) => {
            let upload_id: String = row.get(8)?;
            Ok(format!("part {number} of upload {upload_id} to {bucket}/{key:?}"))
        }
        _ => Ok(format!("part {number} of nothing")),
    }
}

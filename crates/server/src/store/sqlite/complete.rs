//! Complete: from an upload to an object, without moving a byte or the row of a part.

use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest, Sha256};
use vodferry_oss::crc64;
use vodferry_oss::etag::{multipart_etag, normalise};

use super::{SqliteOptions, int, objects, uint, uploads};
use crate::store::{Complete, Completed, MetaError, ObjectInfo, Part, PartList, RunningMd5};

pub(super) fn complete(
    db: &Connection,
    request: Complete,
    options: &SqliteOptions,
) -> Result<Completed, MetaError> {
    let digest = digest(&request.parts);
    let upload = match uploads::find(db, &request.bucket, &request.key, &request.upload_id) {
        Err(MetaError::NoSuchUpload(id)) => {
            let oldest = request.now_ms.saturating_sub(options.remember_ms);
            let remembered = remembered(db, &request, &digest, oldest)?;
            return remembered.ok_or(MetaError::NoSuchUpload(id));
        }
        found => found?,
    };
    let stored = uploads::list_parts(db, upload.manifest, 0, MOST_PARTS)?.0;
    let kept = choose(&stored, &request)?;
    large_enough(&kept, options.min_part_size)?;

    // The upload's manifest becomes the object's.
    db.prepare_cached("DELETE FROM upload WHERE manifest = ?")?.execute([upload.manifest])?;
    let mut listed = kept.iter().map(|part| part.number).peekable();
    for part in &stored {
        if listed.next_if_eq(&part.number).is_none() {
            objects::drop_part(db, upload.manifest, part.number, request.now_ms)?;
        }
    }
    let whole = upload.whole();
    let mut headers = objects::read_headers(&upload.headers)?;
    for (name, value) in &request.headers {
        headers.retain(|(n, _)| n != name);
        headers.extend(value.clone().map(|value| (name.clone(), value)));
    }
    let info = ObjectInfo {
        etag: multipart_etag(kept.iter().map(|part| &part.etag)),
        length: kept.iter().map(|part| part.length).sum(),
        crc64: kept.iter().fold(0, |whole, p| crc64::combine(whole, p.crc64, p.length)),
        md5: whole.filter(|_| kept.len() == stored.len()).map(RunningMd5::finish),
        modified_ms: request.now_ms,
        headers,
        appendable: false,
    };
    let (bucket, key) = (&request.bucket, &request.key);
    objects::name(db, bucket, key, upload.manifest, &info, request.forbid_overwrite)?;
    let ObjectInfo { etag, length, crc64, .. } = info;
    let completed = Completed { etag, length, crc64, replayed: false };
    remember(db, &request, &digest, &completed)?;
    Ok(completed)
}

const MOST_PARTS: usize = 10_000;

/// The stored parts that the list names. Both ascend, so one walk does.
fn choose<'a>(stored: &'a [Part], request: &Complete) -> Result<Vec<&'a Part>, MetaError> {
    let PartList::Listed(listed) = &request.parts else { return Ok(stored.iter().collect()) };
    // Of an upload without parts it is an empty object, as some clients rely on; else it would lose them all.
    if listed.is_empty() && !stored.is_empty() {
        return Err(MetaError::NoPartsListed);
    }
    if listed.windows(2).any(|pair| matches!(pair, [(a, _), (b, _)] if a >= b)) {
        return Err(MetaError::InvalidPartOrder);
    }
    let mut stored = stored.iter().peekable();
    let mut kept = Vec::with_capacity(listed.len());
    for (number, etag) in listed {
        while stored.next_if(|part| part.number < *number).is_some() {}
        let same = |part: &&Part| part.number == *number && part.etag == normalise(etag);
        match stored.next_if(same) {
            Some(part) => kept.push(part),
            None => {
                return Err(MetaError::InvalidPart {
                    number: *number,
                    etag: etag.clone(),
                    upload_id: request.upload_id.clone(),
                });
            }
        }
    }
    Ok(kept)
}

fn large_enough(kept: &[&Part], minimum: u64) -> Result<(), MetaError> {
    let Some((_, all_but_last)) = kept.split_last() else { return Ok(()) };
    match all_but_last.iter().find(|part| part.length < minimum) {
        Some(part) => {
            let (number, length) = (part.number, part.length);
            Err(MetaError::EntityTooSmall { number, length, minimum })
        }
        None => Ok(()),
    }
}

/// Tells two part lists apart, whatever the case and quotes of their ETags.
fn digest(parts: &PartList) -> [u8; 32] {
    let mut hash = Sha256::new();
    match parts {
        PartList::All => hash.update("all"),
        PartList::Listed(listed) => {
            for (number, etag) in listed {
                hash.update(number.to_be_bytes());
                hash.update(normalise(etag));
                hash.update("\n");
            }
        }
    }
    hash.finalize().into()
}

fn remember(
    db: &Connection,
    request: &Complete,
    digest: &[u8; 32],
    completed: &Completed,
) -> Result<(), MetaError> {
    db.prepare_cached(
        "INSERT INTO completion
           (upload_id, bucket, key, parts_sha256, etag, length, crc64, completed_ms)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )?
    .execute(params![
        request.upload_id,
        request.bucket,
        request.key,
        digest,
        completed.etag,
        int(completed.length),
        completed.crc64.cast_signed(),
        int(request.now_ms),
    ])?;
    Ok(())
}

fn remembered(
    db: &Connection,
    request: &Complete,
    digest: &[u8; 32],
    oldest: u64,
) -> Result<Option<Completed>, MetaError> {
    let mut look = db.prepare_cached(
        "SELECT etag, length, crc64 FROM completion
         WHERE upload_id = ? AND bucket = ? AND key = ? AND parts_sha256 = ? AND completed_ms >= ?",
    )?;
    let key = params![request.upload_id, request.bucket, request.key, digest, int(oldest)];
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Completed {
            etag: row.get(0)?,
            length: uint(row.get(1)?),
            crc64: row.get::<_, i64>(2)?.cast_unsigned(),
            replayed: true,
        })
    };
    Ok(look.query_row(key, read).optional()?)
}

//! A checkpoint as JSON: what `docs/reference/checkpoints.md` describes.

use serde::{Deserialize, Serialize};
use vodferry_engine::{Begin, PartInfo, Record, Source, Target};

use crate::source::checkpoint_name;
use crate::store::SEQUENTIAL;
use crate::{CheckpointInfo, Error};

/// The only version there is.
const VERSION: u32 = 1;

#[derive(Deserialize, Serialize)]
pub(crate) struct Exported {
    version: u32,
    /// For the reader; what counts follows from the rest.
    #[serde(default)]
    id: String,
    /// Where the file was, when that is text.
    pub(crate) path: Option<String>,
    file: FileIs,
    target: Place,
    target_fixed: bool,
    sequential: bool,
    video_id: Option<String>,
    upload_id: String,
    part_size: u64,
    grows_to: Option<u64>,
    /// Of a file whose length was not known at first.
    final_length: Option<u64>,
    parts: Vec<Part>,
}

#[derive(Deserialize, Serialize)]
struct FileIs {
    length: Option<u64>,
    modified_ms: i64,
    fingerprint: String,
}

#[derive(Deserialize, Serialize)]
struct Place {
    endpoint: String,
    bucket: String,
    key: String,
}

#[derive(Deserialize, Serialize)]
struct Part {
    number: u32,
    length: u64,
    etag: String,
    /// Decimal, as text: more than the numbers of JavaScript hold.
    crc64: Option<String>,
}

impl Exported {
    pub(crate) fn of(info: &CheckpointInfo) -> Exported {
        let stored = info.stored.clone();
        let Begin { source, target, video_id, part_size, grows_to, upload_id } = stored.begin;
        let Source { length, modified_ms, fingerprint } = source;
        let Target { endpoint, bucket, key } = target;
        let part = |part: PartInfo| {
            let PartInfo { number, length, etag, crc64 } = part;
            Part { number, length, etag, crc64: crc64.map(|crc64| crc64.to_string()) }
        };
        Exported {
            version: VERSION,
            id: info.id.clone(),
            path: info.path.as_deref().and_then(|path| path.to_str()).map(str::to_owned),
            file: FileIs { length, modified_ms, fingerprint },
            target: Place { endpoint, bucket, key },
            target_fixed: info.target_fixed,
            sequential: info.sequential,
            video_id,
            upload_id,
            part_size,
            grows_to,
            final_length: stored.length,
            parts: stored.parts.into_iter().map(part).collect(),
        }
    }

    pub(crate) fn to_json(&self) -> String {
        // Nothing in it can fail to be written.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    pub(crate) fn read(json: &str) -> Result<Exported, Error> {
        let exported: Exported = serde_json::from_str(json).map_err(|error| {
            Error::misuse(format!("this is no exported checkpoint: {error}")).with_source(error)
        })?;
        match exported.version {
            VERSION => Ok(exported),
            other => {
                Err(Error::misuse(format!("version {other} of checkpoints is not known here")))
            }
        }
    }

    /// Its name, and what a journal of it holds.
    pub(crate) fn records(&self) -> Result<(String, Vec<Record>), Error> {
        let Place { endpoint, bucket, key } = &self.target;
        let target =
            Target { endpoint: endpoint.clone(), bucket: bucket.clone(), key: key.clone() };
        let FileIs { length, modified_ms, fingerprint } = &self.file;
        let source =
            Source { length: *length, modified_ms: *modified_ms, fingerprint: fingerprint.clone() };
        let mut id = checkpoint_name(&source, self.target_fixed.then_some(&target));
        if self.sequential {
            id.push_str(SEQUENTIAL);
        }
        let mut records = vec![Record::Begin(Begin {
            source,
            target,
            video_id: self.video_id.clone(),
            part_size: self.part_size,
            grows_to: self.grows_to,
            upload_id: self.upload_id.clone(),
        })];
        for Part { number, length, etag, crc64 } in &self.parts {
            let number_of = |text: &String| {
                text.parse::<u64>().map_err(|_| {
                    Error::misuse(format!("part {number} of the checkpoint has no usable crc64"))
                })
            };
            let crc64 = crc64.as_ref().map(number_of).transpose()?;
            let (number, length, etag) = (*number, *length, etag.clone());
            records.push(Record::Part(PartInfo { number, length, etag, crc64 }));
        }
        records.extend(self.final_length.map(Record::Length));
        for record in &records {
            // What a journal would not give back is not put into one.
            match Record::parse(&record.to_line()) {
                Ok(read) if read == *record => {}
                Ok(_) => return Err(Error::misuse("the checkpoint cannot be kept as it is")),
                Err(bad) => {
                    let text = format!("the checkpoint cannot be kept: {}", bad.reason);
                    return Err(Error::misuse(text));
                }
            }
        }
        Ok((id, records))
    }
}

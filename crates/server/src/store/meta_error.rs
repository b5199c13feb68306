//! Why the database did not do what it was asked.

use std::error::Error;
use std::sync::Arc;

use super::BlobId;

/// Why a verb did nothing.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MetaError {
    /// The blob went to the garbage list before it got a name; its bytes must be sent again.
    #[error("blob {0} was discarded before it was named")]
    BlobDiscarded(BlobId),
    /// Another account has a bucket of this name.
    #[error("the bucket {0} belongs to another account")]
    BucketAlreadyExists(String),
    /// There is still something in the bucket.
    #[error("the bucket {0} is not empty")]
    BucketNotEmpty(String),
    /// The object is another one by now.
    #[error("the object {0} was changed meanwhile")]
    Changed(String),
    /// The key is taken and overwriting was forbidden.
    #[error("the object {key} exists and must not be overwritten")]
    FileAlreadyExists {
        /// Its key.
        key: String,
    },
    /// A part that is not the last one is smaller than allowed.
    #[error("part {number} has {length} bytes, at least {minimum} are needed")]
    EntityTooSmall {
        /// Its number.
        number: u32,
        /// Its bytes.
        length: u64,
        /// The configured minimum.
        minimum: u64,
    },
    /// The disk is full, or the database as large as it may be. A repeat is safe.
    #[error("no space left for the database to {doing}")]
    Full {
        /// What was tried.
        doing: &'static str,
        /// What the database said.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// A listed part is not stored, or with another ETag.
    #[error("part {number} with ETag {etag} is not stored")]
    InvalidPart {
        /// Its number.
        number: u32,
        /// The ETag of the request.
        etag: String,
        /// Of which upload.
        upload_id: String,
    },
    /// The part list does not ascend.
    #[error("the part list is not in ascending order")]
    InvalidPartOrder,
    /// A completion names no part of an upload that has some.
    #[error("no parts are listed")]
    NoPartsListed,
    /// There is no such bucket.
    #[error("there is no bucket {0}")]
    NoSuchBucket(String),
    /// There is no such object.
    #[error("there is no object {0}")]
    NoSuchKey(String),
    /// The upload was completed, aborted, or never begun.
    #[error("there is no upload {0}")]
    NoSuchUpload(String),
    /// The object was not made by appending.
    #[error("the object {0} is not appendable")]
    ObjectNotAppendable(String),
    /// A part of a sequential upload is there already.
    #[error("part {number} is there already")]
    PartAlreadyExists {
        /// Its number.
        number: u32,
        /// Its ETag.
        etag: String,
    },
    /// A part of a sequential upload came before the one in front of it.
    #[error("part {number} came before part {expected}")]
    PartNotSequential {
        /// Its number.
        number: u32,
        /// The next that may come.
        expected: u32,
    },
    /// Bytes were to be appended elsewhere than at the end.
    #[error("position {position} is not the end of an object of {length} bytes")]
    PositionNotEqualToLength {
        /// As asked.
        position: u64,
        /// Where the end is.
        length: u64,
    },
    /// The tenant of the bucket would have more than it may.
    #[error("the tenant {tenant} may store {most} {what} at most")]
    QuotaExceeded {
        /// The tenant.
        tenant: String,
        /// `bytes`, `objects` or `unfinished uploads`.
        what: &'static str,
        /// How many it may have.
        most: u64,
    },
    /// The tenant would have more buckets than it may.
    #[error("the tenant {tenant} may have {most} buckets at most")]
    TooManyBuckets {
        /// The tenant.
        tenant: String,
        /// How many it may have.
        most: u64,
    },
    /// There is no such video.
    #[error("there is no video {0}")]
    NoSuchVideo(String),
    /// The database failed. Whether the change was made is not known; a repeat is safe.
    #[error("the database could not {doing}")]
    Storage {
        /// What was tried.
        doing: &'static str,
        /// What the database said.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// The store is shutting down.
    #[error("the database is closed")]
    Closed,
}

impl MetaError {
    /// Whether this is an answer to the request, for good: a blob that came with it will never get a
    /// name. After the others nobody knows, or the blob is on the garbage list already.
    pub fn is_refusal(&self) -> bool {
        !matches!(
            self,
            MetaError::BlobDiscarded(_)
                | MetaError::Full { .. }
                | MetaError::Storage { .. }
                | MetaError::Closed
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every one, and whether its blob may be deleted at once. A new variant has to be told here.
    fn all() -> Vec<(MetaError, bool)> {
        use MetaError as E;
        let text = || "x".to_owned();
        let source = || -> Arc<dyn Error + Send + Sync> { Arc::new(std::fmt::Error) };
        let blob = BlobId::parse(&"0".repeat(32)).unwrap();
        let all = vec![
            E::BlobDiscarded(blob),
            E::Full { doing: "x", source: source() },
            E::Storage { doing: "x", source: source() },
            E::Closed,
            E::BucketAlreadyExists(text()),
            E::BucketNotEmpty(text()),
            E::Changed(text()),
            E::FileAlreadyExists { key: text() },
            E::EntityTooSmall { number: 1, length: 1, minimum: 2 },
            E::InvalidPart { number: 1, etag: text(), upload_id: text() },
            E::InvalidPartOrder,
            E::NoPartsListed,
            E::NoSuchBucket(text()),
            E::NoSuchKey(text()),
            E::NoSuchUpload(text()),
            E::ObjectNotAppendable(text()),
            E::PartAlreadyExists { number: 1, etag: text() },
            E::PartNotSequential { number: 2, expected: 1 },
            E::PositionNotEqualToLength { position: 1, length: 2 },
            E::QuotaExceeded { tenant: text(), what: "bytes", most: 1 },
            E::TooManyBuckets { tenant: text(), most: 1 },
            E::NoSuchVideo(text()),
        ];
        let told = |error: MetaError| {
            let refusal = match error {
                // It goes by the list that it is on.
                E::BlobDiscarded(_) => false,
                // The commit may be there at the next start, and names it.
                E::Full { .. } | E::Storage { .. } | E::Closed => false,
                E::BucketAlreadyExists(_)
                | E::BucketNotEmpty(_)
                | E::Changed(_)
                | E::FileAlreadyExists { .. }
                | E::EntityTooSmall { .. }
                | E::InvalidPart { .. }
                | E::InvalidPartOrder
                | E::NoPartsListed
                | E::NoSuchBucket(_)
                | E::NoSuchKey(_)
                | E::NoSuchUpload(_)
                | E::ObjectNotAppendable(_)
                | E::PartAlreadyExists { .. }
                | E::PartNotSequential { .. }
                | E::PositionNotEqualToLength { .. }
                | E::QuotaExceeded { .. }
                | E::TooManyBuckets { .. }
                | E::NoSuchVideo(_) => true,
            };
            (error, refusal)
        };
        all.into_iter().map(told).collect()
    }

    #[test]
    fn a_failure_is_no_refusal() {
        for (error, refusal) in all() {
            assert_eq!(error.is_refusal(), refusal, "{error:?}");
        }
    }
}

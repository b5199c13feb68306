//! Where bytes and names live.
//!
//! Bytes are **blobs**: immutable, written once, named at random ([`BlobStore`]). Names are rows:
//! buckets, objects, uploads, parts and videos ([`MetaStore`]). An object is a row that lists blobs
//! in order, so Complete moves no byte. Both are traits chosen at run time: a local disk
//! ([`DiskBlobs`]) and SQLite ([`SqliteStore`]) are what one machine needs.
//!
//! A body of few bytes ([`MAX_SMALL`]) is no file: it is stored in the transaction that names it, so
//! that it costs one sync, shared with its neighbours, in place of three ([`Intake`]).
//!
//! The order that makes a 2xx durable: the blob is finished (synced, named, its folder synced), then
//! the verb of the meta store is awaited (committed and synced), then the reply leaves. A crash in
//! between leaves a blob that no row names, never a row without its blob; the [`Janitor`] removes
//! what no row names, and [`fsck`] tells whether all of this held.

mod backup;
mod blob;
mod disk;
mod fsck;
mod intake;
mod janitor;
mod lifecycle;
mod listing;
mod lost;
mod meta;
mod meta_error;
mod quota;
mod report;
mod running;
mod sqlite;
mod steady;
mod values;
mod video;

use std::pin::Pin;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

pub use backup::{BackupError, BackupOptions, BackupReport, backup};
pub use blob::{Blob, BlobError, BlobId, BlobStore, BlobStream, BlobWriter, Content};
pub(crate) use disk::make_private_folder;
pub use disk::{DiskBlobs, Fs, FsFile, RealFs};
pub(crate) use fsck::{DATABASE_FILE, LOG_FILE};
pub use fsck::{FsckError, FsckOptions, FsckReport, fsck, fsck_on};
pub use intake::{Intake, MAX_SMALL, MAX_SMALL_OF_OBJECT};
pub use janitor::{
    Janitor, JanitorOptions, SweepError, Swept, Tallied, Tally, discard_unnamed, set_back, sweep,
};
pub use lifecycle::{Ended, apply_lifecycles};
pub use listing::{
    Bucket, BucketDocument, BucketQuery, BucketUse, Entry, KeyQuery, ObjectPage, OpenUpload, Page,
    UploadPage,
};
pub(crate) use lost::lost;
pub use meta::{Answer, MetaStore};
pub use meta_error::MetaError;
pub use quota::{Quota, Quotas};
pub use report::{NewReport, Report, ReportQuery};
pub use running::RunningMd5;
pub use sqlite::{Commit, CommitWatch, OpenError, SqliteOptions, SqliteStore};
pub use values::{
    AppendObject, Complete, Completed, CopyObject, Extent, Object, ObjectInfo, Part, PartList,
    PartPage, PutObject,
};
pub use video::{NewVideo, Video, VideoStatus};

/// Milliseconds since 1970. The wall clock, or in tests one that jumps.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// The wall clock of this machine.
pub fn wall_clock() -> Clock {
    Arc::new(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
    })
}

/// A boxed future, so that the stores can be chosen at run time.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

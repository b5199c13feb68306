//! What is stored to resume: a few records per upload, appended by the shell in the order the engine emits them.
//!
//! The records hold no secret. ListParts is the truth; the part records are a hint that serves where ListParts is
//! refused, and the proof that every part was acknowledged where a reply to Complete was lost.

use alloc::string::String;
use alloc::vec::Vec;

use crate::vocab::{PartInfo, Source, Target};

/// One entry of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A multipart upload was opened; what came before is void. Synced before the first part is sent.
    Begin(Begin),
    /// The upload is over (completed, or aborted): the checkpoint may be deleted.
    End,
    /// A part was acknowledged.
    Part(PartInfo),
}

/// How an upload began: everything needed to go on with it in another process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begin {
    /// The content that is being uploaded.
    pub source: Source,
    /// Where it goes.
    pub target: Target,
    /// Its video, where it has one.
    pub video_id: Option<String>,
    /// Bytes per part, all equal but for the last.
    pub part_size: u64,
    /// The server's name for the upload.
    pub upload_id: String,
}

/// A checkpoint read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// How the upload began.
    pub begin: Begin,
    /// The parts acknowledged since, ascending, each number once (the last record of a number counts).
    pub parts: Vec<PartInfo>,
}

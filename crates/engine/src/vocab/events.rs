//! What the application is told.

use alloc::string::String;

use super::{ErrorInfo, FileId, ObjectInfo, PartInfo, Target};

/// What the application is told. Per file and attempt: `Started`, then any others, then one of `Succeeded`, `Failed`,
/// `Canceled` (seed 000's OnUpload… events).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The file will not be uploaded; the list goes on.
    Canceled {
        /// Which file.
        file: FileId,
    },
    /// The run is over: every file of the list has succeeded, failed or been cancelled.
    Ended {
        /// The file that finished last; `None` when the list was empty.
        last: Option<FileId>,
    },
    /// The file was given up.
    Failed {
        /// Which file.
        file: FileId,
        /// Why.
        error: ErrorInfo,
    },
    /// The server acknowledged one part.
    PartAcknowledged {
        /// Which file.
        file: FileId,
        /// What was stored.
        part: PartInfo,
    },
    /// How far the file is. `acknowledged` never goes backwards and ends at `total`.
    Progress {
        /// Which file.
        file: FileId,
        /// Bytes the server holds.
        acknowledged: u64,
        /// Bytes handed to the network and not yet acknowledged.
        in_flight: u64,
        /// The file's length in bytes; `None` while its writer is not done.
        total: Option<u64>,
    },
    /// An upload begun earlier goes on.
    Resumed {
        /// Which file.
        file: FileId,
        /// Parts that the server already holds, and that are not sent again.
        parts: u32,
        /// Their bytes.
        bytes: u64,
    },
    /// Something failed and is tried again; once per outage.
    Retry {
        /// Which file.
        file: FileId,
        /// What failed.
        error: ErrorInfo,
        /// The first pause, in milliseconds.
        delay_ms: u64,
    },
    /// The outage is over.
    RetryResume {
        /// Which file.
        file: FileId,
    },
    /// An attempt begins. `video_id` and `target` come from the checkpoint: with them set, refresh instead of create.
    Started {
        /// Which file.
        file: FileId,
        /// Found in the checkpoint, or given beforehand.
        video_id: Option<String>,
        /// Found in the checkpoint, or given beforehand.
        target: Option<Target>,
    },
    /// The object is in storage.
    Succeeded {
        /// Which file.
        file: FileId,
        /// Where it went.
        target: Target,
        /// Its video.
        video_id: Option<String>,
        /// ETag, CRC64, whether the object was verified, and of an image where it will be seen.
        object: ObjectInfo,
    },
    /// The credential died, and no authorizer gave another: call `authorize`.
    TokenExpired {
        /// Which file.
        file: FileId,
        /// To refresh.
        video_id: Option<String>,
    },
    /// Something that should be known but does not stop the upload.
    Warning {
        /// Which file.
        file: FileId,
        /// What.
        error: ErrorInfo,
    },
}

impl Event {
    /// The file that this event is about; `None` for the end of a run.
    pub fn file(&self) -> Option<FileId> {
        match self {
            Event::Ended { .. } => None,
            Event::Canceled { file }
            | Event::Failed { file, .. }
            | Event::PartAcknowledged { file, .. }
            | Event::Progress { file, .. }
            | Event::Resumed { file, .. }
            | Event::Retry { file, .. }
            | Event::RetryResume { file }
            | Event::Started { file, .. }
            | Event::Succeeded { file, .. }
            | Event::TokenExpired { file, .. }
            | Event::Warning { file, .. } => Some(*file),
        }
    }
}

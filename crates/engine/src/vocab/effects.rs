//! What the engine asks of the shell, what the shell answers, and how a source grows.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use super::{EffectId, ErrorInfo, Event, Fault, FileId, Grant, GrantId, PartInfo, Source};
use crate::checkpoint::{Checkpoint, Record};

/// One operation on the object store, over byte ranges: the bytes themselves never enter the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Gives the parts up (cancel with [`OnCancel::Abort`](crate::OnCancel)). Answer: [`Reply::Aborted`].
    AbortMultipartUpload {
        /// Which upload.
        upload_id: String,
    },
    /// Makes the object of its parts. Answer: [`Reply::Completed`].
    CompleteMultipartUpload {
        /// Which upload.
        upload_id: String,
        /// All parts, ascending.
        parts: Vec<PartInfo>,
    },
    /// Looks at what stands under the key, after a lost reply to Complete. Answer: [`Reply::Head`], with
    /// [`ObjectInfo::verified`] set when both the length and the CRC64 combined over `parts` are equal; a 404 is
    /// `Head(None)`, not a fault.
    HeadObject {
        /// The length that the object must have.
        length: u64,
        /// All parts that Complete named, ascending.
        parts: Vec<PartInfo>,
    },
    /// Opens a multipart upload. Answer: [`Reply::Initiated`].
    InitiateMultipartUpload,
    /// Searches the uploads of this key (for one whose Initiate reply was lost). Answer: [`Reply::Uploads`].
    ListMultipartUploads,
    /// One page of the parts that the server holds. Answer: [`Reply::Parts`].
    ListParts {
        /// Which upload.
        upload_id: String,
        /// Only parts with a higher number are wanted; 0 for the first page.
        marker: u32,
    },
    /// The whole file in one request. Answer: [`Reply::Put`].
    PutObject {
        /// The file's length in bytes.
        length: u64,
    },
    /// One part. Answer: [`Reply::PartUploaded`].
    UploadPart {
        /// Which upload.
        upload_id: String,
        /// 1 to 10,000.
        number: u32,
        /// Bytes of the source.
        range: Range<u64>,
        /// The server holds this part of an upload begun earlier, with this ETag, and what the source holds by now is not
        /// known: when the bytes have this MD5, answer [`Reply::PartUploaded`] without sending them.
        held: Option<String>,
    },
}

/// What a successful operation answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The upload and its parts are gone.
    Aborted,
    /// The object exists.
    Completed(ObjectInfo),
    /// What stands under the key; `None` when nothing does.
    Head(Option<ObjectInfo>),
    /// A multipart upload is open.
    Initiated {
        /// Its id.
        upload_id: String,
    },
    /// The part is stored, and what arrived is what was sent.
    PartUploaded {
        /// Without quotes.
        etag: String,
        /// Of the part's bytes, where known.
        crc64: Option<u64>,
    },
    /// One page of a part listing.
    Parts {
        /// Ascending by number.
        parts: Vec<PartInfo>,
        /// The marker of the next page; `None` on the last.
        next: Option<u32>,
    },
    /// The object exists.
    Put(ObjectInfo),
    /// Uploads open under exactly this key, oldest first.
    Uploads(Vec<String>),
}

/// What is known of a finished object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Bytes, where the reply told.
    pub length: Option<u64>,
    /// Without quotes; opaque.
    pub etag: String,
    /// CRC-64/XZ of the whole object, where the reply told.
    pub crc64: Option<u64>,
    /// Whether the object's CRC64 was compared with that of the bytes sent, and was equal.
    pub verified: bool,
    /// The object's URL, where the reply to Complete told.
    pub location: Option<String>,
    /// Of the request that made the object, or found it; empty where the reply named none.
    pub request_id: String,
    /// What the application answered to the upload callback, where one was asked for. Not known where the reply was lost and the
    /// object looked at instead.
    pub callback_body: Option<String>,
    /// Where the image will be seen that this object is, where the grant told. The engine does not know: whoever keeps the grants fills it
    /// in when Succeeded is told.
    pub image_url: Option<String>,
}

/// Which grant is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Want {
    /// A new place for this file (`CreateUploadVideo`).
    Create,
    /// A new credential for the place the file already has (`RefreshUploadVideo`).
    Refresh {
        /// `None` for uploads without a video.
        video_id: Option<String>,
    },
}

/// What the engine asks of the shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The answer to this effect is no longer wanted: stop the request if it is under way. Not answered.
    Abandon {
        /// A `Perform` or `AskGrant` given out before.
        id: EffectId,
    },
    /// Append to the file's checkpoint. Answer: [`Input::Appended`].
    AppendCheckpoint {
        /// To be repeated in the answer.
        id: EffectId,
        /// Whose checkpoint.
        file: FileId,
        /// What to append.
        record: Record,
        /// The record, and all before it, must survive a power loss before this is answered.
        sync: bool,
    },
    /// Ask the application for a grant. Only when [`Config::authorizer`](crate::Config::authorizer).
    /// Answer: [`Input::Granted`].
    AskGrant {
        /// To be repeated in the answer.
        id: EffectId,
        /// For which file.
        file: FileId,
        /// A new place, or a new credential.
        want: Want,
    },
    /// Let go of the file's checkpoint (its lock); delete it if its last record is [`Record::End`]. Not answered.
    CloseCheckpoint {
        /// Whose checkpoint.
        file: FileId,
    },
    /// Look at the source, and for a checkpoint of this content. Answer: [`Input::Loaded`].
    LoadCheckpoint {
        /// To be repeated in the answer.
        id: EffectId,
        /// Which file.
        file: FileId,
    },
    /// Perform one operation. Answer: [`Input::Answer`]; on the way, [`Input::Sent`].
    Perform {
        /// To be repeated in the answer.
        id: EffectId,
        /// For which file.
        file: FileId,
        /// With whose credential.
        grant: GrantId,
        /// What to do.
        op: Op,
        /// To be added to the wall clock when signing.
        clock_offset_ms: i64,
    },
}

/// What the shell tells the engine: answers to effects, and how a source grows. Unknown or outdated ids are ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Answers [`Effect::Perform`].
    Answer {
        /// Of the effect.
        id: EffectId,
        /// The reply, or why there is none.
        result: Result<Reply, Fault>,
        /// The server's `Date`, milliseconds since 1970, where there was a reply.
        server_date_ms: Option<i64>,
    },
    /// Answers [`Effect::AppendCheckpoint`]. A fault is told to the application as a warning; the upload goes on.
    Appended {
        /// Of the effect.
        id: EffectId,
        /// Whether it is stored.
        result: Result<(), Fault>,
    },
    /// The writer of a source of unknown length gave up: the file fails with this error. Answers nothing.
    Broken {
        /// Which file.
        file: FileId,
        /// Why.
        error: ErrorInfo,
    },
    /// The writer of a source of unknown length is done. Answers nothing; the first one counts.
    Finished {
        /// Which file.
        file: FileId,
        /// Bytes in all.
        length: u64,
    },
    /// Bytes of a source of unknown length that will not change any more, in any order. Answers nothing.
    Grown {
        /// Which file.
        file: FileId,
        /// Which bytes.
        range: Range<u64>,
    },
    /// Answers [`Effect::AskGrant`].
    Granted {
        /// Of the effect.
        id: EffectId,
        /// The grant, or why there is none. [`FaultKind::NoSuchUpload`](super::FaultKind) to a Refresh means that the video is gone.
        result: Result<Grant, Fault>,
    },
    /// Answers [`Effect::LoadCheckpoint`].
    Loaded {
        /// Of the effect.
        id: EffectId,
        /// The source and the checkpoint found by its identity, or why the source cannot be used.
        result: Result<(Source, Option<Checkpoint>), Fault>,
    },
    /// Bytes of an operation's body handed to the network so far. Only a figure for progress.
    Sent {
        /// Of the effect.
        id: EffectId,
        /// Since the request began.
        bytes: u64,
    },
}

/// What the engine gives out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// To be performed by the shell.
    Effect(Effect),
    /// To be told to the application.
    Event(Event),
    /// Nothing is left to do now. Call `poll` again at this monotonic time at the latest (`None`: only after the next input).
    Timeout(Option<u64>),
}

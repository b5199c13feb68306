//! The words that the engine and a shell exchange. No behaviour lives here.
//!
//! A shell gives the engine commands and [`Input`]s, each with the time as [`Now`]; it takes [`Output`]s from
//! [`Engine::poll`](crate::Engine::poll): [`Effect`]s to perform and [`Event`]s to tell the application, in order.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use crate::checkpoint::{Checkpoint, Record};

/// The time of a call, on two clocks, in milliseconds.
///
/// Back-off and progress intervals live on the monotonic clock. Expiry lives on the wall clock, corrected by the
/// offset that the engine learns from the server's `Date`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds since an arbitrary moment; never goes backwards.
    pub mono_ms: u64,
    /// Milliseconds since 1970-01-01T00:00:00Z as this machine believes; may jump either way.
    pub wall_ms: i64,
}

/// One entry of the file list. Never used twice by one engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub u64);

/// Couples an [`Effect`] with the [`Input`] that answers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EffectId(pub u64);

/// Names a grant. The shell chooses the number and keeps the credential under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GrantId(pub u64);

/// Where an object goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// With or without scheme, for example `https://oss-cn-shanghai.aliyuncs.com`.
    pub endpoint: String,
    /// Bucket name.
    pub bucket: String,
    /// Object key, not percent-encoded.
    pub key: String,
}

/// The right to upload one file, as the engine sees it: the secret stays in the shell, under `id`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The shell's name for the credential behind this grant.
    pub id: GrantId,
    /// When the credential dies, in the server's time (milliseconds since 1970); `None` when unknown.
    pub expires_at: Option<i64>,
    /// Where the object goes.
    pub target: Target,
    /// The VOD video (or media) this upload belongs to; `None` for plain OSS uploads.
    pub video_id: Option<String>,
}

/// What the shell found out about a source when it looked for its checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Length in bytes; `None` while it is being written, or comes from a pipe: what is final is told by [`Input::Grown`], the
    /// length by [`Input::Finished`].
    pub length: Option<u64>,
    /// Last modification, milliseconds since 1970; 0 when the source has none.
    pub modified_ms: i64,
    /// Hex digest of sampled content: two sources with equal length, time and fingerprint are the same content. Where the length is
    /// unknown, a name that the application gave; the content is then compared part by part.
    pub fingerprint: String,
}

impl Source {
    /// Whether it is still being written, as far as is known.
    pub(crate) fn grows(&self) -> bool {
        self.length.is_none()
    }
}

/// What the application adds to the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileSpec {
    /// The grant to use from the beginning (plain credentials, or an address and auth known beforehand).
    /// Without one the engine asks the authorizer, or waits for [`Engine::authorize`](crate::Engine::authorize).
    pub grant: Option<Grant>,
    /// Bytes per part for this file; 0 takes [`Config::part_size`](crate::Config::part_size).
    pub part_size: u64,
    /// Of the files that wait, those with the highest number start first, equals in the order added. Default 0. See
    /// [`Engine::set_priority`](crate::Engine::set_priority).
    pub priority: i32,
}

/// One part as the Complete request names it, with what is known of its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartInfo {
    /// 1 to 10,000.
    pub number: u32,
    /// Bytes.
    pub length: u64,
    /// As the server gave it, without quotes.
    pub etag: String,
    /// CRC-64/XZ of the part's bytes where known.
    pub crc64: Option<u64>,
}

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
        /// The grant, or why there is none. [`FaultKind::NoSuchUpload`] to a Refresh means that the video is gone.
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
        /// ETag, CRC64, and whether the object was verified.
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

/// The kinds of error that an application tells apart. The numbers are fixed: the C ABI carries them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum ErrorKind {
    /// The credential, or what it permits.
    Auth = 1,
    /// Another upload holds this file.
    Busy = 2,
    /// Stopped on request.
    Canceled = 3,
    /// Bytes arrived other than they were sent.
    Integrity = 4,
    /// The source or another local file cannot be read or written.
    Io = 5,
    /// A wrong call or setting, never wrong data.
    Misuse = 6,
    /// No answer: name, connection, TLS or time-out.
    Network = 7,
    /// An answer that is none: not what the protocol says.
    Protocol = 8,
    /// The service answered with an error.
    Service = 9,
    /// The source changed while it was read.
    SourceChanged = 10,
    /// The checkpoint store failed.
    Storage = 11,
}

/// An error as the application sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorInfo {
    /// What kind.
    pub kind: ErrorKind,
    /// The service's code, verbatim, or one of ours (`CompletionUnknown`, `ConnectFailed` …).
    pub code: String,
    /// One line, no full stop, no secret.
    pub message: String,
    /// The service's request id; empty when there was no reply.
    pub request_id: String,
}

/// Why an operation failed, by what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Decides what the engine does.
    pub kind: FaultKind,
    /// The service's code, verbatim, or one of ours.
    pub code: String,
    /// One line for people.
    pub message: String,
    /// Empty when there was no reply.
    pub request_id: String,
    /// The server's wish (`Retry-After`).
    pub retry_after_ms: Option<u64>,
}

/// The policy vocabulary. `vodferry-exchange` maps the wire's codes to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The request was refused for its time: signed again with the corrected clock at once; a second refusal in a
    /// row is `Transient`.
    ClockSkew,
    /// The credential died: the pool stops, a new grant is asked for. From a fresh grant it is fatal.
    Expired,
    /// Never tried again.
    Fatal(ErrorKind),
    /// What this upload continues is gone (the upload id; the video, from a Refresh).
    NoSuchUpload,
    /// The server's parts are not what we think: list them and plan again.
    Relist,
    /// Too fast: concurrency shrinks, the request is sent again, no retry is burnt.
    SlowDown,
    /// The source changed while it was read: the file fails, nothing is completed.
    SourceChanged,
    /// Is tried again after a pause, until the retry budget is spent.
    Transient(ErrorKind),
}

/// A wrong call: the engine's state is as before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Misuse {
    /// The rule that was broken; one line.
    pub rule: &'static str,
}

/// Where a file stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileState {
    /// Its turn will come.
    Waiting,
    /// Under way.
    Active,
    /// Paused alone.
    Paused,
    /// Its credential died and TokenExpired was told: waits for `authorize`. (A file that waits for its first credential is
    /// Active.)
    Expired,
    /// In storage.
    Succeeded,
    /// Given up; `restore` queues it again.
    Failed,
    /// Skipped; `restore` queues it again.
    Canceled,
}

/// One entry of the list, as [`Engine::files`](crate::Engine::files) shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileView {
    /// Which file.
    pub id: FileId,
    /// Where it stands.
    pub state: FileState,
    /// Bytes the server holds, as last told in a Progress event.
    pub acknowledged: u64,
    /// The file's length in bytes; `None` before the source was looked at.
    pub total: Option<u64>,
    /// Its video, once known.
    pub video_id: Option<String>,
    /// Its place, once known.
    pub target: Option<Target>,
}

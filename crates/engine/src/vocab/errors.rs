//! Why something failed: by what to do about it for the engine, and as the application sees it.

use alloc::string::String;

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

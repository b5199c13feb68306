//! The error that applications see: what kind, the service's code, one line of text, the request id, and the cause.

use std::error::Error as StdError;
use std::fmt;

use vodferry_engine::{ErrorInfo, ErrorKind, Fault, FaultKind, Misuse};

type Cause = Box<dyn StdError + Send + Sync + 'static>;

/// What went wrong, on what, and whether somebody can do something about it.
///
/// Displays as one line without a full stop; causes come through [`source`](StdError::source). No secret is ever part of it.
pub struct Error {
    fault: Fault,
    kind: ErrorKind,
    source: Option<Cause>,
}

impl Error {
    /// An error that is not worth another try.
    pub fn new(kind: ErrorKind, code: impl Into<String>, message: impl Into<String>) -> Error {
        Error::of(FaultKind::Fatal(kind), code, message)
    }

    /// An error that may heal: an [`Authorizer`](crate::Authorizer) that returns it is asked again after a pause.
    pub fn transient(
        kind: ErrorKind,
        code: impl Into<String>,
        message: impl Into<String>,
    ) -> Error {
        Error::of(FaultKind::Transient(kind), code, message)
    }

    /// What an [`Authorizer`](crate::Authorizer) answers to a refresh when the video no longer exists: the upload is begun
    /// anew, with a new video.
    pub fn video_gone(code: impl Into<String>, message: impl Into<String>) -> Error {
        Error::of(FaultKind::NoSuchUpload, code, message)
    }

    /// What an [`Authorizer`](crate::Authorizer) answers that has no credential until somebody supplies one: TokenExpired is told
    /// once, and the file waits.
    pub fn token_expired(message: impl Into<String>) -> Error {
        Error::of(FaultKind::Expired, "TokenExpired", message)
    }

    /// Adds the cause.
    pub fn with_source(mut self, source: impl Into<Cause>) -> Error {
        self.source = Some(source.into());
        self
    }

    /// Adds the request id that the service gave.
    pub fn with_request_id(mut self, request_id: impl Into<String>) -> Error {
        self.fault.request_id = request_id.into();
        self
    }

    /// Adds how long the service wants to be left alone, in milliseconds.
    pub(crate) fn with_retry_after(mut self, after_ms: Option<u64>) -> Error {
        self.fault.retry_after_ms = after_ms;
        self
    }

    /// What to do about it.
    pub(crate) fn fault_kind(&self) -> FaultKind {
        self.fault.kind
    }

    /// What kind: the one thing to branch on.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The service's code verbatim, or one of ours: a word such as `ConnectFailed`.
    pub fn code(&self) -> &str {
        &self.fault.code
    }

    /// The text, without the code and the request id.
    pub fn message(&self) -> &str {
        &self.fault.message
    }

    /// The service's request id; `None` when no reply came.
    pub fn request_id(&self) -> Option<&str> {
        Some(self.fault.request_id.as_str()).filter(|id| !id.is_empty())
    }

    /// What the reader could do about it, as one line; `None` when nothing sensible comes to mind.
    pub fn hint(&self) -> Option<&'static str> {
        // The service's code for it says less than its words.
        if self.code() == "InvalidArgument" && self.message().contains("signing region") {
            return Some("the region is that of the bucket, for example cn-hangzhou");
        }
        hint(self.kind, &self.fault.code)
    }

    pub(crate) fn of(
        kind: FaultKind,
        code: impl Into<String>,
        message: impl Into<String>,
    ) -> Error {
        let fault = Fault {
            kind,
            code: code.into(),
            message: message.into(),
            request_id: String::new(),
            retry_after_ms: None,
        };
        Error::from(fault)
    }

    /// The fault as the engine wants it.
    pub(crate) fn into_fault(self) -> Fault {
        self.fault
    }

    pub(crate) fn misuse(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Misuse, "Misuse", message)
    }

    /// A file of this machine that cannot be used: `what` names the file and what was tried.
    pub(crate) fn io(what: impl fmt::Display, source: std::io::Error) -> Error {
        let code = match source.kind() {
            std::io::ErrorKind::NotFound => "FileNotFound",
            std::io::ErrorKind::PermissionDenied => "PermissionDenied",
            std::io::ErrorKind::IsADirectory => "IsADirectory",
            _ => "ReadFailed",
        };
        Error::new(ErrorKind::Io, code, format!("{what}: {source}")).with_source(source)
    }
}

/// What to advise, by kind and code.
fn hint(kind: ErrorKind, code: &str) -> Option<&'static str> {
    Some(match code {
        "CertificateInvalid" => {
            "the server's certificate is not trusted here; for a private authority name its certificate as CA file"
        }
        "ConnectFailed" => "check the address and that the server is running",
        "DnsFailed" => "check the host name and the network",
        "IsADirectory" => "name the files inside it",
        "NotAsAnnounced" => {
            "announce bytes when they are in the file, and its length when it is whole"
        }
        "SignatureDoesNotMatch" => "the key or the upload auth does not belong to this address",
        "CompletionUnknown" => {
            "everything was sent; look whether the object exists before you send it again"
        }
        _ => match kind {
            ErrorKind::Auth => "get a new upload address and auth, or check the access key",
            ErrorKind::Busy => "another process is uploading this file; wait for it or stop it",
            ErrorKind::Integrity => {
                "bytes change on their way; try another network, and test this machine's memory"
            }
            ErrorKind::Network => "check the network; run it again to go on where it stopped",
            ErrorKind::SourceChanged => "wait until nobody writes the file, then upload it again",
            ErrorKind::Storage => {
                "check the free space and the permissions of the record directory"
            }
            _ => return None,
        },
    })
}

/// The error kind behind a fault's policy.
fn kind_of(kind: FaultKind) -> ErrorKind {
    match kind {
        FaultKind::Fatal(kind) | FaultKind::Transient(kind) => kind,
        FaultKind::ClockSkew | FaultKind::Expired => ErrorKind::Auth,
        FaultKind::SourceChanged => ErrorKind::SourceChanged,
        FaultKind::NoSuchUpload | FaultKind::Relist | FaultKind::SlowDown => ErrorKind::Service,
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.fault.message)?;
        if !self.fault.code.is_empty() && self.kind != ErrorKind::Misuse {
            write!(f, " ({}", self.fault.code)?;
            if let Some(id) = self.request_id() {
                write!(f, ", request {id}")?;
            }
            f.write_str(")")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.kind)
            .field("code", &self.fault.code)
            .field("message", &self.fault.message)
            .field("request_id", &self.fault.request_id)
            .field("source", &self.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Error {
        Error { kind: kind_of(fault.kind), fault, source: None }
    }
}

impl From<ErrorInfo> for Error {
    fn from(info: ErrorInfo) -> Error {
        let error = Error::new(info.kind, info.code, info.message);
        error.with_request_id(info.request_id)
    }
}

impl From<&Error> for ErrorInfo {
    fn from(error: &Error) -> ErrorInfo {
        ErrorInfo {
            kind: error.kind,
            code: error.fault.code.clone(),
            message: error.fault.message.clone(),
            request_id: error.fault.request_id.clone(),
        }
    }
}

impl From<Misuse> for Error {
    fn from(misuse: Misuse) -> Error {
        Error::misuse(misuse.rule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_with_code_and_request_id() {
        let error = Error::new(ErrorKind::Service, "AccessDenied", "part 3 of a.mp4 was refused")
            .with_request_id("5F0");
        assert_eq!(error.to_string(), "part 3 of a.mp4 was refused (AccessDenied, request 5F0)");
        assert_eq!(error.request_id(), Some("5F0"));
        assert_eq!(error.kind(), ErrorKind::Service);
    }

    #[test]
    fn misuse_needs_no_code() {
        assert_eq!(Error::misuse("parallel is 0").to_string(), "parallel is 0");
    }

    #[test]
    fn survives_the_trip_through_the_engine() {
        let error = Error::io("cannot open a.mp4", std::io::ErrorKind::NotFound.into());
        let info = ErrorInfo::from(&error);
        let back = Error::from(info);
        assert_eq!((back.kind(), back.code()), (ErrorKind::Io, "FileNotFound"));
        assert!(std::error::Error::source(&error).is_some());
    }
}

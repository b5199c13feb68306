//! What may befall one request, and how often in this world.

use vodferry_engine::{ErrorKind, Fault, FaultKind, ObjectInfo, Op, PartInfo, Reply};

use crate::rng::Rng;
use crate::store::fault;

/// What befalls one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nothing.
    Fine,
    /// It never reaches the server.
    RequestLost,
    /// It is carried out, the reply is lost.
    ReplyLost,
    /// The reply comes after a long time.
    LateReply,
    /// The reply comes twice.
    DuplicateReply,
    /// The server fails before it did anything.
    ErrorBefore,
    /// The same, with a wish how long to wait.
    ErrorBeforeFor,
    /// The server fails after it did everything.
    ErrorAfter,
    /// Too fast.
    SlowDown,
    /// Too fast, with a wish how long to wait.
    SlowDownFor,
    /// The body arrived damaged and was not stored.
    IntegrityRefused,
    /// The body was stored, the reply does not match it.
    IntegrityGarbled,
    /// The credential dies now.
    Expire,
    /// The upload is gone when the request arrives.
    Drop,
    /// A part is gone when Complete arrives.
    PartLost,
    /// A part was overwritten when Complete arrives.
    PartDamaged,
    /// InvalidPart without a cause.
    Relist,
    /// Refused for its time, without a cause.
    Skew,
    /// Carried out, and answered as if something else had been asked.
    Misplaced,
    /// Refused for good.
    Fatal,
}

impl Fate {
    /// As coverage names it; `None` for what needs no mention.
    pub fn name(self) -> Option<&'static str> {
        Some(match self {
            Fate::Fine | Fate::Expire | Fate::Drop | Fate::PartLost | Fate::PartDamaged => {
                return None;
            }
            Fate::RequestLost => "request lost",
            Fate::ReplyLost => "reply lost",
            Fate::LateReply => "late reply",
            Fate::DuplicateReply => "duplicated reply",
            Fate::ErrorBefore => "server error before",
            Fate::ErrorBeforeFor => "server error with retry-after",
            Fate::ErrorAfter => "server error after",
            Fate::SlowDown => "slow down",
            Fate::SlowDownFor => "slow down with retry-after",
            Fate::IntegrityRefused => "integrity: refused",
            Fate::IntegrityGarbled => "integrity: reply garbled",
            Fate::Relist => "invalid part: spurious",
            Fate::Skew => return None,
            Fate::Misplaced => "another kind of reply",
            Fate::Fatal => "fatal refusal",
        })
    }

    /// What the server answers without looking at the request.
    pub fn refusal(self) -> Option<Fault> {
        Some(match self {
            Fate::ErrorBefore => {
                fault(FaultKind::Transient(ErrorKind::Service), "ServiceUnavailable")
            }
            Fate::ErrorBeforeFor => Fault {
                retry_after_ms: Some(9_000),
                ..fault(FaultKind::Transient(ErrorKind::Service), "ServiceUnavailable")
            },
            Fate::SlowDown => fault(FaultKind::SlowDown, "SlowDown"),
            Fate::SlowDownFor => {
                Fault { retry_after_ms: Some(3_000), ..fault(FaultKind::SlowDown, "SlowDown") }
            }
            Fate::IntegrityRefused => {
                fault(FaultKind::Transient(ErrorKind::Integrity), "InvalidDigest")
            }
            Fate::Relist => fault(FaultKind::Relist, "InvalidPart"),
            Fate::Skew => fault(FaultKind::ClockSkew, "RequestTimeTooSkewed"),
            Fate::Fatal => fault(FaultKind::Fatal(ErrorKind::Auth), "AccessDenied"),
            _ => return None,
        })
    }

    /// What the client sees in place of the server's answer, after the request was carried out.
    pub fn veil(self) -> Option<Fault> {
        Some(match self {
            Fate::ReplyLost => lost(),
            Fate::ErrorAfter => fault(FaultKind::Transient(ErrorKind::Service), "InternalError"),
            Fate::IntegrityGarbled => {
                fault(FaultKind::Transient(ErrorKind::Integrity), "EtagMismatch")
            }
            _ => return None,
        })
    }

    fn fits(self, op: &Op) -> bool {
        let body = matches!(op, Op::UploadPart { .. } | Op::PutObject { .. });
        match self {
            Fate::IntegrityRefused | Fate::IntegrityGarbled => body,
            Fate::Drop => matches!(
                op,
                Op::UploadPart { .. } | Op::ListParts { .. } | Op::CompleteMultipartUpload { .. }
            ),
            Fate::PartLost | Fate::PartDamaged | Fate::Relist => {
                matches!(op, Op::CompleteMultipartUpload { .. })
            }
            // A refusal for good of these has meanings of its own; the store's policy plays them.
            Fate::Fatal => !matches!(op, Op::HeadObject { .. } | Op::ListParts { .. }),
            _ => true,
        }
    }
}

/// A reply to something else than `op`.
pub fn misplaced(rng: &mut Rng, op: &Op) -> Reply {
    let object = ObjectInfo::default();
    let part = PartInfo { number: 1, length: 1, etag: "E".to_owned(), crc64: Some(1) };
    let (not, replies) = (
        match op {
            Op::AbortMultipartUpload { .. } => 0,
            Op::CompleteMultipartUpload { .. } => 1,
            Op::HeadObject { .. } => 2,
            Op::InitiateMultipartUpload => 3,
            Op::UploadPart { .. } => 4,
            Op::ListParts { .. } => 5,
            Op::PutObject { .. } => 6,
            Op::ListMultipartUploads => 7,
        },
        [
            Reply::Aborted,
            Reply::Completed(object.clone()),
            Reply::Head(Some(object.clone())),
            Reply::Initiated { upload_id: "nobody's".to_owned() },
            Reply::PartUploaded { etag: "E".to_owned(), crc64: Some(1) },
            Reply::Parts { parts: vec![part], next: None },
            Reply::Put(object),
            Reply::Uploads(vec!["nobody's".to_owned()]),
        ],
    );
    let index = (not + rng.between(1, replies.len() as u64 - 1) as usize) % replies.len();
    replies[index].clone()
}

/// No reply.
pub fn lost() -> Fault {
    Fault {
        request_id: String::new(),
        ..fault(FaultKind::Transient(ErrorKind::Network), "ConnectionReset")
    }
}

/// No request is struck more often, per thousand: some must come through.
const MOST_STRUCK: u64 = 500;

const STORM: &[(Fate, u64)] = &[
    (Fate::RequestLost, 10),
    (Fate::ReplyLost, 12),
    (Fate::LateReply, 5),
    (Fate::DuplicateReply, 5),
    (Fate::ErrorBefore, 5),
    (Fate::ErrorBeforeFor, 4),
    (Fate::ErrorAfter, 5),
    (Fate::SlowDown, 4),
    (Fate::SlowDownFor, 4),
    (Fate::IntegrityRefused, 4),
    (Fate::IntegrityGarbled, 4),
    (Fate::Expire, 8),
    (Fate::Drop, 4),
    (Fate::PartLost, 10),
    (Fate::PartDamaged, 10),
    (Fate::Relist, 6),
    (Fate::Skew, 2),
    (Fate::Misplaced, 6),
    (Fate::Fatal, 2),
];

/// How often which fate strikes. Each world draws its own kinds of fault, so that rare pairs meet undisturbed.
#[derive(Clone, Debug)]
pub struct Weather {
    /// Requests struck, per thousand.
    pub per_mille: u64,
    fates: Vec<(Fate, u64)>,
}

impl Weather {
    /// A storm of some kinds of fault.
    pub fn storm(rng: &mut Rng) -> Weather {
        let all = rng.chance(300);
        let fates: Vec<_> = STORM.iter().copied().filter(|_| all || rng.chance(400)).collect();
        let per_mille = rng.pick(&[0, 30, 100, 100, 200, 350]);
        Weather { per_mille: if fates.is_empty() { 0 } else { per_mille }, fates }
    }

    /// Nothing strikes any more.
    pub fn calm() -> Weather {
        Weather { per_mille: 0, fates: Vec::new() }
    }

    /// What befalls this request.
    pub fn fate(&self, rng: &mut Rng, op: &Op) -> Fate {
        // Of many requests one is no part: struck as often as parts are, they would hardly be struck at all.
        let often = match op {
            Op::UploadPart { .. } => 1,
            Op::CompleteMultipartUpload { .. } | Op::HeadObject { .. } => 4,
            _ => 2,
        };
        if !rng.chance((self.per_mille * often).min(MOST_STRUCK)) {
            return Fate::Fine;
        }
        let fitting: Vec<_> = self.fates.iter().copied().filter(|(f, _)| f.fits(op)).collect();
        if fitting.is_empty() { Fate::Fine } else { rng.weighted(&fitting) }
    }
}

//! What may befall one request, and how often in this world.

use vodferry_engine::{ErrorKind, Fault, FaultKind, Op};

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
            Fate::ErrorAfter => "server error after",
            Fate::SlowDown => "slow down",
            Fate::SlowDownFor => "slow down with retry-after",
            Fate::IntegrityRefused => "integrity: refused",
            Fate::IntegrityGarbled => "integrity: reply garbled",
            Fate::Relist => "invalid part: spurious",
            Fate::Fatal => "fatal refusal",
        })
    }

    /// What the server answers without looking at the request.
    pub fn refusal(self) -> Option<Fault> {
        Some(match self {
            Fate::ErrorBefore => {
                fault(FaultKind::Transient(ErrorKind::Service), "ServiceUnavailable")
            }
            Fate::SlowDown => fault(FaultKind::SlowDown, "SlowDown"),
            Fate::SlowDownFor => {
                Fault { retry_after_ms: Some(3_000), ..fault(FaultKind::SlowDown, "SlowDown") }
            }
            Fate::IntegrityRefused => {
                fault(FaultKind::Transient(ErrorKind::Integrity), "InvalidDigest")
            }
            Fate::Relist => fault(FaultKind::Relist, "InvalidPart"),
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

/// No reply.
pub fn lost() -> Fault {
    Fault {
        request_id: String::new(),
        ..fault(FaultKind::Transient(ErrorKind::Network), "ConnectionReset")
    }
}

const STORM: &[(Fate, u64)] = &[
    (Fate::RequestLost, 10),
    (Fate::ReplyLost, 12),
    (Fate::LateReply, 5),
    (Fate::DuplicateReply, 5),
    (Fate::ErrorBefore, 5),
    (Fate::ErrorAfter, 5),
    (Fate::SlowDown, 4),
    (Fate::SlowDownFor, 4),
    (Fate::IntegrityRefused, 4),
    (Fate::IntegrityGarbled, 4),
    (Fate::Expire, 4),
    (Fate::Drop, 3),
    (Fate::PartLost, 6),
    (Fate::PartDamaged, 6),
    (Fate::Relist, 6),
    (Fate::Fatal, 1),
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
        if self.per_mille == 0 || !rng.chance(self.per_mille) {
            return Fate::Fine;
        }
        let fate = rng.weighted(&self.fates);
        if fate.fits(op) { fate } else { Fate::Fine }
    }
}

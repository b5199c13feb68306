//! Bodies on their way in: bounded, with a limit on silence and on dripping, and never taken for whole when they
//! were cut.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use sha2::{Digest, Sha256};
use tokio::time::timeout;

use super::observe::Notes;
use crate::config::Limits;

/// Bytes that are swallowed after a refusal, so that the client reads the reply in place of a reset
/// connection.
pub(crate) const DRAIN_BYTES: u64 = 64 << 20;
/// And for how long.
pub(crate) const DRAIN_TIME: Duration = Duration::from_secs(10);
/// A refused body with no more bytes to come than this leaves its connection usable.
const LITTLE: u64 = 256 << 10;
/// For one that has an end already.
const MOMENT: Duration = Duration::from_millis(20);

/// A body being read.
pub(crate) struct Body {
    incoming: Pin<Box<Incoming>>,
    idle: Duration,
    /// Bytes per second.
    rate: u32,
    received: u64,
    ended: bool,
    notes: Arc<Notes>,
    /// For how long the client was waited for.
    waited: Duration,
    /// What must have arrived in the end, where the client signed it.
    signed: Option<Signed>,
}

/// The hash that a body must have, and the one that it has so far.
struct Signed {
    right: [u8; 32],
    so_far: Sha256,
    differs: bool,
}

/// Why a body did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyError {
    /// The connection ended, or the framing broke, before the announced end; or what arrived is not
    /// what was [signed](Body::differs).
    Cut,
    /// Nothing, or next to nothing, arrived for too long.
    Idle,
    /// More than is allowed.
    TooLarge,
}

impl Body {
    /// `limits` bound each wait for more bytes, and all of them together; `notes` are told how many
    /// came.
    pub(crate) fn new(incoming: Incoming, limits: &Limits, notes: Arc<Notes>) -> Body {
        Body {
            incoming: Box::pin(incoming),
            idle: limits.idle_body,
            rate: limits.body_rate,
            received: 0,
            ended: false,
            notes,
            waited: Duration::ZERO,
            signed: None,
        }
    }

    /// The end is reached only by bytes with this SHA-256; others are [`BodyError::Cut`].
    pub(crate) fn expect_sha256(&mut self, right: [u8; 32]) {
        self.signed = Some(Signed { right, so_far: Sha256::new(), differs: false });
    }

    /// Whether the whole body arrived and is another than was signed.
    pub(crate) fn differs(&self) -> bool {
        self.signed.as_ref().is_some_and(|signed| signed.differs)
    }

    /// The next bytes, at most `limit` in all; `None` after the last.
    pub(crate) async fn next(&mut self, limit: u64) -> Result<Option<Bytes>, BodyError> {
        loop {
            let began = Instant::now();
            let frame = timeout(self.patience(), self.incoming.frame()).await;
            self.waited += began.elapsed();
            let frame = match frame {
                Err(_) => return Err(BodyError::Idle),
                Ok(None) => return self.ended(),
                Ok(Some(Err(_))) => return Err(BodyError::Cut),
                Ok(Some(Ok(frame))) => frame,
            };
            // Anything else is a trailer, which means nothing here.
            if let Ok(bytes) = frame.into_data() {
                self.received = self.received.saturating_add(bytes.len() as u64);
                self.notes.received(bytes.len());
                if self.received > limit {
                    return Err(BodyError::TooLarge);
                }
                if let Some(signed) = &mut self.signed {
                    signed.so_far.update(&bytes);
                }
                return Ok(Some(bytes));
            }
        }
    }

    fn ended(&mut self) -> Result<Option<Bytes>, BodyError> {
        self.ended = true;
        let Some(signed) = &mut self.signed else { return Ok(None) };
        let hash: [u8; 32] = signed.so_far.clone().finalize().into();
        signed.differs = hash != signed.right;
        if signed.differs { Err(BodyError::Cut) } else { Ok(None) }
    }

    /// How long the next bytes may take.
    fn patience(&self) -> Duration {
        match self.received.checked_div(self.rate.into()) {
            None => self.idle,
            Some(seconds) => {
                let in_all = self.idle.saturating_add(Duration::from_secs(seconds));
                in_all.saturating_sub(self.waited).min(self.idle)
            }
        }
    }

    /// The whole body, at most `limit` bytes.
    pub(crate) async fn whole(&mut self, limit: usize) -> Result<Bytes, BodyError> {
        let mut whole = BytesMut::new();
        while let Some(bytes) = self.next(limit as u64).await? {
            whole.extend_from_slice(&bytes);
        }
        Ok(whole.freeze())
    }

    /// Reads on for a moment: of a body without a length only its end tells that it is over.
    pub(crate) async fn settle(&mut self) {
        self.signed = None;
        let limit = self.received.saturating_add(LITTLE);
        let rest = async { while let Ok(Some(_)) = self.next(limit).await {} };
        let _ = timeout(MOMENT, rest).await;
    }

    /// Whether all of it was read.
    pub(crate) fn is_at_its_end(&self) -> bool {
        self.ended || hyper::body::Body::is_end_stream(&*self.incoming)
    }

    /// Whether so little is left of it that reading on costs less than another connection.
    pub(crate) fn is_nearly_at_its_end(&self) -> bool {
        let left = hyper::body::Body::size_hint(&*self.incoming).upper();
        left.is_some_and(|left| left <= LITTLE)
    }

    /// Swallows what is left, within bounds, beside the reply that is being written.
    pub(crate) fn drain(mut self) {
        self.signed = None;
        tokio::spawn(async move {
            let limit = self.received.saturating_add(DRAIN_BYTES);
            let _ =
                timeout(DRAIN_TIME, async { while let Ok(Some(_)) = self.next(limit).await {} })
                    .await;
        });
    }
}

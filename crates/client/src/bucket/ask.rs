//! One simple request, until there is an answer or no sense in asking again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use vodferry_engine::{EffectId, Fault, FaultKind, Op, Reply};
use vodferry_exchange::fault::classify;
use vodferry_exchange::{Digests, Signature};
use vodferry_oss::sign::{OptionsV4, sign_v1, sign_v4};
use vodferry_oss::xml::XmlError;
use vodferry_oss::{Credential, Method, Request, Response, ServiceError};

use super::Bucket;
use crate::authorizer::Rights;
use crate::body::Meter;
use crate::clock::{Clock, wall_ms};
use crate::perform::{Errand, Spec, exchange, send};
use crate::source::Source;
use crate::watch::Watch;
use crate::{Body, Error, ErrorKind};

/// How often in all.
const TRIES: u32 = 3;
/// Before the second try, at most; doubled for the next.
const PAUSE: Duration = Duration::from_millis(400);
/// No wish of a server is followed for longer.
const MOST_WISHED: Duration = Duration::from_secs(30);
/// Most of a server's words in a line of ours, in characters.
const MOST_SHOWN: usize = 300;

/// A request that is none of the engine's operations.
pub(super) struct Plain {
    /// For people: what is done, and to what.
    pub(super) subject: String,
    pub(super) method: Method,
    /// Empty: the bucket's own.
    pub(super) key: String,
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Plain {
    /// About `key`, or the bucket where that is empty; nothing but method and key.
    pub(super) fn new(subject: impl Into<String>, method: Method, key: &str) -> Plain {
        let (query, headers, body) = Default::default();
        Plain { subject: subject.into(), method, key: key.to_owned(), query, headers, body }
    }

    /// Adds a parameter; an empty value is a bare name.
    pub(super) fn query(mut self, name: &str, value: impl Into<String>) -> Plain {
        self.query.push((name.to_owned(), value.into()));
        self
    }

    /// Adds a parameter where there is something to say.
    pub(super) fn query_if(self, name: &str, value: &str) -> Plain {
        if value.is_empty() { self } else { self.query(name, value) }
    }

    /// The error for a success whose document cannot be read.
    pub(super) fn unreadable(&self, error: XmlError) -> Error {
        self.strange(&error.message())
    }

    /// The error for a success that is none of this protocol.
    pub(super) fn strange(&self, why: &str) -> Error {
        let text = format!("{}: the reply cannot be used: {why}", self.subject);
        Error::new(ErrorKind::Protocol, "BadReply", text)
    }

    /// The error for a refusal.
    pub(super) fn refused(&self, reply: &Response, with_token: bool) -> Fault {
        let error = ServiceError::from_response(reply);
        let kind = classify(error.status, &error.code, &error.message, with_token);
        let words = error.message.trim_end_matches(['.', ' ', '\n', '\r']).chars();
        let words: String =
            words.map(|c| if c.is_control() { ' ' } else { c }).take(MOST_SHOWN).collect();
        Fault {
            kind,
            message: format!("{}: {words}", self.subject),
            code: error.code,
            request_id: error.request_id,
            retry_after_ms: reply.retry_after_ms(),
        }
    }
}

/// What is left of the patience with one request.
#[derive(Default)]
struct Patience {
    failures: u32,
    corrected: bool,
    /// Refused as dead: another one is used.
    dead: Option<Credential>,
}

impl Bucket {
    /// One operation of the engine on `key`, with the bytes of `source` where it uploads. `sent` hears of them as they go out.
    pub(super) async fn operate(
        &self,
        key: &str,
        op: Op,
        source: Option<Arc<Source>>,
        spec: Spec,
        sent: impl Fn(u64) + Clone + Send + Sync + 'static,
    ) -> Result<Reply, Error> {
        let mut patience = Patience::default();
        loop {
            let rights = self.rights(key, patience.dead.as_ref()).await?;
            let errand = Errand {
                id: EffectId(0),
                op: op.clone(),
                rights: rights.clone(),
                source: source.clone(),
                spec: spec.clone(),
                clock_offset_ms: self.clock_offset_ms(),
                clock: Clock::system(),
            };
            let answered = exchange(&self.inner.means, errand, sent.clone()).await;
            // Whether more is coming nobody knows: what was lent goes back to the system.
            self.inner.means.buffers.trim();
            let (fault, date) = match answered {
                Err(fault) => (fault, None),
                Ok(answer) => match answer.result {
                    Ok(reply) => return Ok(reply),
                    Err(fault) => (fault, answer.server_date_ms),
                },
            };
            self.bear(&mut patience, &rights, fault, date).await?;
        }
    }

    /// A request of our own; gives a response whose status is below 300 or one of `accepted`.
    pub(super) async fn ask(&self, plain: &Plain, accepted: &[u16]) -> Result<Response, Error> {
        let mut patience = Patience::default();
        loop {
            let rights = self.rights(&plain.key, patience.dead.as_ref()).await?;
            let (fault, date) = match self.ask_once(plain, &rights, accepted).await {
                Ok(reply) => return Ok(reply),
                Err(refused) => refused,
            };
            self.bear(&mut patience, &rights, fault, date).await?;
        }
    }

    /// What the server's clock is ahead of ours, as far as it was learned.
    pub(super) fn clock_offset_ms(&self) -> i64 {
        self.inner.clock_offset_ms.load(Ordering::Relaxed)
    }

    async fn ask_once(
        &self,
        plain: &Plain,
        rights: &Rights,
        accepted: &[u16],
    ) -> Result<Response, (Fault, Option<i64>)> {
        let request = self.signed(plain, rights).map_err(|error| (error.into_fault(), None))?;
        let means = &self.inner.means;
        let watch = Arc::new(Watch::new(means.timeouts, plain.body.len() as u64));
        let meter = Meter::new(means.limit.clone(), watch.clone(), |_| {});
        let body = Body::from_bytes(plain.body.clone()).metered(meter);
        let sent = send(means, &plain.subject, request, body, &watch).await;
        let reply = sent.map_err(|fault| (fault, None))?;
        if (200..300).contains(&reply.status) || accepted.contains(&reply.status) {
            return Ok(reply);
        }
        let with_token = rights.authority.credential.security_token.is_some();
        Err((plain.refused(&reply, with_token), reply.date_ms()))
    }

    fn signed(&self, plain: &Plain, rights: &Rights) -> Result<Request, Error> {
        let mut request = self.unsigned(plain.method, &plain.key)?;
        request.query.clone_from(&plain.query);
        request.headers.clone_from(&plain.headers);
        let at_ms = wall_ms().saturating_add(self.clock_offset_ms());
        let (bucket, key) = (&self.inner.name, &plain.key);
        let credential = &rights.authority.credential;
        match &rights.signature {
            Signature::V1 => sign_v1(&mut request, bucket, key, credential, at_ms),
            Signature::V4 { region } => {
                let options = OptionsV4 { region, additional_headers: &[] };
                sign_v4(&mut request, bucket, key, credential, options, at_ms);
            }
        }
        Ok(request)
    }

    /// Waits where asking again may help; the error where it may not.
    async fn bear(
        &self,
        patience: &mut Patience,
        rights: &Rights,
        fault: Fault,
        date_ms: Option<i64>,
    ) -> Result<(), Error> {
        match (fault.kind, date_ms) {
            (FaultKind::ClockSkew, Some(date)) if !patience.corrected => {
                patience.corrected = true;
                let offset = date.saturating_sub(wall_ms());
                self.inner.clock_offset_ms.store(offset, Ordering::Relaxed);
                return Ok(());
            }
            (FaultKind::Expired, _) if patience.dead.is_none() => {
                let dead = &rights.authority.credential;
                self.inner.tokens.retire(dead);
                // Whoever supplies none is told what the server said.
                return match self.rights("", Some(dead)).await {
                    Ok(_) => {
                        patience.dead = Some(dead.clone());
                        Ok(())
                    }
                    Err(_) => Err(fault.into()),
                };
            }
            (FaultKind::Transient(_) | FaultKind::SlowDown, _) => {}
            _ => return Err(fault.into()),
        }
        patience.failures += 1;
        if patience.failures >= TRIES {
            return Err(fault.into());
        }
        tokio::time::sleep(pause(patience.failures, fault.retry_after_ms)).await;
        Ok(())
    }
}

/// Digests of bytes that are in memory.
pub(super) fn digests(bytes: &[u8]) -> Digests {
    let crc64 = Some(crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Xz, bytes));
    Digests { length: bytes.len() as u64, md5: Some(vodferry_oss::etag::md5(bytes)), crc64 }
}

/// Before the try after so many failures: anything up to the growing pause, or as long as the server wishes.
fn pause(failures: u32, wished_ms: Option<u64>) -> Duration {
    let most = PAUSE * 2_u32.saturating_pow(failures.saturating_sub(1)).min(64);
    let most_ms = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
    // Without randomness everybody waits the same: a worse pause, and no reason to fail.
    let jittered = getrandom::u64().map_or(most_ms, |random| random % most_ms.max(1));
    match wished_ms {
        Some(wished) => Duration::from_millis(wished.max(jittered)).min(MOST_WISHED),
        None => Duration::from_millis(jittered),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_servers_are_heard_for_a_while() {
        for _ in 0..100 {
            assert!(pause(1, None) < PAUSE);
            assert!(pause(2, None) < 2 * PAUSE);
            assert!(pause(1, Some(5_000)) == Duration::from_secs(5));
        }
        assert_eq!(pause(1, Some(u64::MAX)), MOST_WISHED);
    }
}

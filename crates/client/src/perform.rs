//! One operation of the engine, performed: body, signature, request, reply, answer.

use std::sync::Arc;

use vodferry_engine::{DEFAULT_PART_SIZE, EffectId, ErrorKind, Fault, FaultKind, Input, Op, Reply};
use vodferry_exchange::{Answer, Digests, Object, answer_for, request_for};
use vodferry_oss::{Request, Response};

use crate::authorizer::Rights;
use crate::body::Meter;
use crate::buffers::Buffers;
use crate::clock::Clock;
use crate::limit::Limit;
use crate::part::{PartMd5, Prepared};
use crate::source::{Source, fault};
use crate::watch::Watch;
use crate::windows::cut;
use crate::{Body, Http, Options, Timeouts, TransportError, TransportErrorKind, part};

/// What all operations of an uploader share.
pub(crate) struct Means {
    pub(crate) http: Arc<dyn Http>,
    pub(crate) limit: Arc<Limit>,
    pub(crate) buffers: Arc<Buffers>,
    pub(crate) timeouts: Timeouts,
    pub(crate) md5: PartMd5,
    pub(crate) max_buffered: u64,
    /// Of files that have none of their own; never 0.
    pub(crate) part_size: u64,
}

impl Means {
    /// As `options` say, over `http`.
    pub(crate) fn new(options: &Options, http: Arc<dyn Http>) -> Means {
        Means {
            http,
            limit: Arc::new(Limit::new(options.limit)),
            buffers: Buffers::new(options.max_buffered, options.in_flight()),
            timeouts: options.timeouts,
            md5: options.part_md5(),
            max_buffered: options.max_buffered,
            part_size: if options.part_size == 0 { DEFAULT_PART_SIZE } else { options.part_size },
        }
    }

    /// Bytes of a stream that may be in memory: a part at least.
    pub(crate) fn most_of_stream(&self, part_size: u64) -> u64 {
        self.max_buffered.max(if part_size == 0 { self.part_size } else { part_size })
    }
}

/// One operation, with what it needs.
pub(crate) struct Errand {
    pub(crate) id: EffectId,
    pub(crate) op: Op,
    pub(crate) rights: Arc<Rights>,
    pub(crate) source: Option<Arc<Source>>,
    pub(crate) spec: Spec,
    pub(crate) clock_offset_ms: i64,
    /// Says when the request is signed.
    pub(crate) clock: Clock,
}

/// What requests say of the object.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spec {
    pub(crate) headers: Vec<(String, String)>,
    /// Headers of an upload callback.
    pub(crate) callback: Vec<(String, String)>,
    pub(crate) sequential: bool,
}

/// Performs `errand`; `sent` hears of its body's bytes as they go out.
pub(crate) async fn perform(
    means: &Means,
    errand: Errand,
    sent: impl Fn(u64) + Send + Sync + 'static,
) -> Input {
    let id = errand.id;
    match exchange(means, errand, sent).await {
        Ok(Answer { result, server_date_ms }) => Input::Answer { id, result, server_date_ms },
        Err(fault) => answer(id, Err(fault)),
    }
}

/// The answer to a Perform that no server had a part in.
pub(crate) fn answer(id: EffectId, result: Result<Reply, Fault>) -> Input {
    Input::Answer { id, result, server_date_ms: None }
}

/// One operation and its answer; a fault where no server had a part in it.
pub(crate) async fn exchange(
    means: &Means,
    errand: Errand,
    sent: impl Fn(u64) + Send + Sync + 'static,
) -> Result<Answer, Fault> {
    if let Some(reply) = let_go_of(&errand) {
        return Ok(Answer { result: Ok(reply), server_date_ms: None });
    }
    let (body, mut digests, crc64) = match body_of(means, &errand).await? {
        Some(Prepared { body, digests, crc64 }) => (Some(body), digests, crc64),
        None => (None, Digests::default(), None),
    };
    if let Some(reply) = equal(&errand.op, &digests) {
        return Ok(Answer { result: Ok(reply), server_date_ms: None });
    }
    let Errand { op, rights, spec, clock_offset_ms, clock, .. } = errand;
    let Spec { headers, callback, sequential } = &spec;
    let object = Object { headers, callback, sequential: *sequential };
    let at_ms = clock.wall_ms().saturating_add(clock_offset_ms);
    let Rights { authority, signature } = &*rights;
    let mut request = request_for(signature, &op, authority, &digests, &object, at_ms)?;
    let body = body.unwrap_or_else(|| Body::from_bytes(std::mem::take(&mut request.body)));
    let watch = Arc::new(Watch::new(means.timeouts, body.remaining()));
    let of_the_file = matches!(op, Op::UploadPart { .. } | Op::PutObject { .. });
    let body = body.metered(Meter::new(means.limit.clone(), watch.clone(), move |bytes| {
        if of_the_file {
            sent(bytes);
        }
    }));
    let response = send(means, &subject(&op), request, body, &watch).await?;
    if let Some(told) = crc64 {
        digests.crc64 = told.get().copied();
        if digests.crc64.is_none() && matches!(response.status, 200..300) {
            let text = format!("{}: a reply before all bytes had left", subject(&op));
            return Err(fault(FaultKind::Transient(ErrorKind::Protocol), "EarlyReply", text));
        }
    }
    Ok(answer_for(&op, authority, &response, &digests, &object))
}

/// Sends a signed request under its watch, and gives the response whatever its status.
pub(crate) async fn send(
    means: &Means,
    subject: &str,
    request: Request,
    body: Body,
    watch: &Watch,
) -> Result<Response, Fault> {
    let host = request.authority.clone();
    let response = tokio::select! {
        response = means.http.send(request, body) => response,
        why = watch.expired() => {
            let text = format!("no reply from {host}: {why}");
            Err(TransportError::new(TransportErrorKind::Timeout, text))
        }
    };
    if let Some(fault) = watch.take_fault() {
        return Err(fault);
    }
    let response = response.map_err(|error| {
        tracing::debug!(operation = subject, %error, "no reply");
        fault(error.fault_kind(), error.code(), format!("{subject}: {error}"))
    })?;
    tracing::debug!(operation = subject, status = response.status, "reply");
    Ok(response)
}

/// The body of an operation that uploads.
async fn body_of(means: &Means, errand: &Errand) -> Result<Option<Prepared>, Fault> {
    let range = match &errand.op {
        Op::UploadPart { range, .. } => range.clone(),
        Op::PutObject { length } => 0..*length,
        Op::CompleteMultipartUpload { .. } => {
            // The last look: parts of two versions of a file never become an object.
            let source = source_of(errand)?;
            let checked = tokio::task::spawn_blocking(move || source.check()).await;
            checked.unwrap_or_else(|_| Err(cut()))?;
            return Ok(None);
        }
        _ => return Ok(None),
    };
    let source = source_of(errand)?;
    let md5 = match &errand.op {
        Op::UploadPart { held: Some(_), .. } => PartMd5::Alone,
        _ => means.md5.clone(),
    };
    if let Op::UploadPart { number, .. } = errand.op {
        source.sending(number, range.start);
    }
    part::prepare(source, range, means.buffers.clone(), md5).await.map(Some)
}

/// The server holds a part of a stream whose bytes this process let go of, and it still is the same.
fn let_go_of(errand: &Errand) -> Option<Reply> {
    let Op::UploadPart { held: Some(etag), range, .. } = &errand.op else { return None };
    let part = errand.source.as_ref()?.stored(range.start)?;
    let same = part.etag.eq_ignore_ascii_case(etag) && part.length == range.end - range.start;
    same.then_some(Reply::PartUploaded { etag: part.etag, crc64: part.crc64 })
}

/// The server holds these very bytes.
fn equal(op: &Op, digests: &Digests) -> Option<Reply> {
    let Op::UploadPart { held: Some(etag), .. } = op else { return None };
    let md5: String = digests.md5?.iter().map(|byte| format!("{byte:02X}")).collect();
    let crc64 = digests.crc64;
    md5.eq_ignore_ascii_case(etag).then(|| Reply::PartUploaded { etag: etag.clone(), crc64 })
}

fn source_of(errand: &Errand) -> Result<Arc<Source>, Fault> {
    errand.source.clone().ok_or_else(|| {
        fault(FaultKind::Fatal(ErrorKind::Io), "NoSource", "the file is not open any more")
    })
}

/// What an operation is about, for people.
fn subject(op: &Op) -> String {
    match op {
        Op::AbortMultipartUpload { .. } => "aborting the upload".to_owned(),
        Op::CompleteMultipartUpload { .. } => "completing the upload".to_owned(),
        Op::HeadObject { .. } => "looking at the object".to_owned(),
        Op::InitiateMultipartUpload => "beginning the upload".to_owned(),
        Op::ListMultipartUploads => "listing the uploads".to_owned(),
        Op::ListParts { .. } => "listing the parts".to_owned(),
        Op::PutObject { .. } => "the object".to_owned(),
        Op::UploadPart { number, .. } => format!("part {number}"),
    }
}

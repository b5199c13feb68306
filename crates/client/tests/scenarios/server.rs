//! An object store in memory, behind the uploader's HTTP port: it does what a good one does, and what the rules of a scenario say.
//!
//! Its clock is the virtual one. A request takes the latency, is carried out, and is answered; one that is cut before is not carried
//! out.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crc_fast::{CrcAlgorithm, checksum};
use md5::{Digest, Md5};
use tokio::time::Instant;
use vodferry::{
    Body, BoxFuture, Http, Method, Request, Response, TransportError, TransportErrorKind,
};
use vodferry_oss::encode::decode_path;
use vodferry_oss::time::{format_http, parse_http};
use vodferry_oss::xml::{
    CompleteMultipartUpload, CompleteMultipartUploadResult, InitiateMultipartUploadResult,
    ListMultipartUploadsResult, ListPartsResult, ListedPart, ListedUpload,
};
use vodferry_oss::{Code, ServiceError};

use crate::format::{Lose, Operation, Rule, Server};

/// The only bucket.
pub(crate) const BUCKET: &str = "films";
/// More than this the date of a request may not be off.
const MOST_SKEW_MS: i64 = 15 * 60_000;

/// The store; clones are the same.
#[derive(Clone)]
pub(crate) struct Store {
    state: Arc<Mutex<State>>,
    latency: Duration,
    began: Instant,
    /// What its clock showed then.
    clock_ms: i64,
}

#[derive(Default)]
struct State {
    rules: Vec<(Rule, u32)>,
    objects: BTreeMap<String, Vec<u8>>,
    uploads: BTreeMap<String, Upload>,
    last_upload: u32,
    /// Access key id to when it dies; absent: never.
    credentials: HashMap<String, Option<i64>>,
    revoked: Vec<String>,
    /// Access key ids that were refused as expired: nobody should try them again.
    dead: Vec<String>,
    seen: BTreeMap<Operation, u32>,
    /// Bodies on their way, by key.
    bodies: HashMap<String, u32>,
    most_of_file: u32,
    most_of_all: u32,
    wrongs: Vec<String>,
}

#[derive(Default)]
struct Upload {
    key: String,
    parts: BTreeMap<u32, Vec<u8>>,
    /// Parts whose acknowledgement reached the client.
    told: Vec<u32>,
}

/// What the store saw, for the judge.
pub(crate) struct Seen {
    pub(crate) requests: BTreeMap<Operation, u32>,
    /// Most bodies of one file, and of all, that were on their way at one time.
    pub(crate) most_of_file: u32,
    pub(crate) most_of_all: u32,
    /// What no client should do.
    pub(crate) wrongs: Vec<String>,
}

impl Store {
    /// An empty store whose clock shows `clock_ms` now.
    pub(crate) fn new(server: &Server, clock_ms: i64) -> Store {
        let rules = server.rules.iter().map(|rule| (rule.clone(), 0)).collect();
        Store {
            state: Arc::new(Mutex::new(State { rules, ..State::default() })),
            latency: Duration::from_millis(server.latency_ms),
            began: Instant::now(),
            clock_ms,
        }
    }

    /// Its time, in milliseconds since 1970.
    pub(crate) fn now_ms(&self) -> i64 {
        self.clock_ms + self.began.elapsed().as_millis() as i64
    }

    /// Takes a credential for good until then.
    pub(crate) fn admit(&self, access_key_id: &str, expires_at_ms: Option<i64>) {
        self.lock().credentials.insert(access_key_id.to_owned(), expires_at_ms);
    }

    /// The object under `key`.
    pub(crate) fn object(&self, key: &str) -> Option<Vec<u8>> {
        self.lock().objects.get(key).cloned()
    }

    /// What was seen so far.
    pub(crate) fn seen(&self) -> Seen {
        let state = self.lock();
        Seen {
            requests: state.seen.clone(),
            most_of_file: state.most_of_file,
            most_of_all: state.most_of_all,
            wrongs: state.wrongs.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn serve(self, request: Request, mut body: Body) -> Result<Response, TransportError> {
        let call = Call::read(&request)?;
        let rule = {
            let mut state = self.lock();
            *state.seen.entry(call.operation).or_default() += 1;
            if state.dead.contains(&call.access_key_id) {
                let wrong = format!("{}: a credential refused as expired was used again", call.key);
                state.wrongs.push(wrong);
            }
            state.rule(&call, self.began.elapsed().as_millis() as u64)
        };
        let _flight = Flight::begin(&self, &call);
        let mut bytes = Vec::new();
        while let Some(piece) = body.next().await {
            let broken = |_| lost(TransportErrorKind::Body);
            bytes.extend_from_slice(&piece.map_err(broken)?);
        }
        let Some(rule) = rule else {
            tokio::time::sleep(self.latency).await;
            return Ok(self.carry_out(&call, &request, bytes, true));
        };
        if rule.silent {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(self.latency + Duration::from_millis(rule.delay_ms)).await;
        if rule.revoke {
            self.lock().revoked.push(call.access_key_id.clone());
        }
        if rule.forget {
            self.lock().uploads.remove(&call.upload_id);
        }
        if rule.lose == Some(Lose::Request) {
            return Err(lost(TransportErrorKind::Lost));
        }
        if let Some(status) = rule.status {
            return Ok(self.refuse(status, &rule));
        }
        if rule.corrupt
            && let Some(byte) = bytes.first_mut()
        {
            *byte ^= 0xff;
        }
        let heard = rule.lose.is_none() && !rule.corrupt;
        let response = self.carry_out(&call, &request, bytes, heard);
        match rule.lose {
            None => Ok(response),
            Some(_) => Err(lost(TransportErrorKind::Lost)),
        }
    }

    fn refuse(&self, status: u16, rule: &Rule) -> Response {
        let error = ServiceError {
            status,
            code: rule.code.clone(),
            message: "as the scenario wishes".into(),
            request_id: "R".into(),
            host_id: "h".into(),
            context: Vec::new(),
        };
        let mut response = self.response(status, &[], error.to_xml());
        if let Some(seconds) = rule.retry_after_s {
            response.headers.push(("retry-after".into(), seconds.to_string()));
        }
        response
    }

    /// Does what is asked. `heard`: the reply reaches the client as it is.
    fn carry_out(&self, call: &Call, request: &Request, bytes: Vec<u8>, heard: bool) -> Response {
        let now = self.now_ms();
        let mut state = self.lock();
        let done =
            state.admitted(call, request, now).and_then(|()| state.perform(call, bytes, heard));
        drop(state);
        match done {
            Ok(Done { status, headers, body }) => {
                let headers: Vec<(&str, &str)> =
                    headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
                self.response(status, &headers, body)
            }
            Err(code) => {
                if code == Code::SecurityTokenExpired {
                    self.lock().dead.push(call.access_key_id.clone());
                }
                let error = ServiceError::of(code);
                self.response(error.status, &[], error.to_xml())
            }
        }
    }

    fn response(
        &self,
        status: u16,
        headers: &[(&str, &str)],
        body: impl Into<Vec<u8>>,
    ) -> Response {
        let mut all = vec![
            ("x-oss-request-id".to_owned(), "R".to_owned()),
            ("date".to_owned(), format_http(self.now_ms())),
        ];
        all.extend(headers.iter().map(|(name, value)| ((*name).into(), (*value).into())));
        Response { status, headers: all, body: body.into() }
    }
}

impl Http for Store {
    fn send(
        &self,
        request: Request,
        body: Body,
    ) -> BoxFuture<'static, Result<Response, TransportError>> {
        Box::pin(self.clone().serve(request, body))
    }
}

fn lost(kind: TransportErrorKind) -> TransportError {
    TransportError::new(kind, "as the scenario wishes")
}

/// A request as the store understands it.
struct Call {
    operation: Operation,
    key: String,
    upload_id: String,
    part: u32,
    marker: u32,
    access_key_id: String,
}

impl Call {
    fn read(request: &Request) -> Result<Call, TransportError> {
        let query = |name: &str| {
            request.query.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
        };
        let part = query("partNumber").and_then(|number| number.parse().ok());
        let upload_id = query("uploadId");
        let operation = match (request.method, upload_id, part) {
            (Method::Put, Some(_), Some(_)) => Operation::UploadPart,
            (Method::Put, None, None) => Operation::PutObject,
            (Method::Post, Some(_), _) => Operation::CompleteMultipartUpload,
            (Method::Post, None, _) => Operation::InitiateMultipartUpload,
            (Method::Get, Some(_), _) => Operation::ListParts,
            (Method::Get, None, _) => Operation::ListMultipartUploads,
            (Method::Delete, Some(_), _) => Operation::AbortMultipartUpload,
            (Method::Head, None, _) => Operation::HeadObject,
            _ => return Err(TransportError::new(TransportErrorKind::Request, "unknown request")),
        };
        let path = decode_path(&request.path).unwrap_or_default();
        let key = path.trim_start_matches('/').strip_prefix(BUCKET).unwrap_or_default();
        let authorization = request.header("authorization").unwrap_or_default();
        let signer = authorization.strip_prefix("OSS ").and_then(|rest| rest.split_once(':'));
        Ok(Call {
            operation,
            key: key.trim_start_matches('/').to_owned(),
            upload_id: upload_id.unwrap_or_default().to_owned(),
            part: part.unwrap_or_default(),
            marker: query("part-number-marker").and_then(|at| at.parse().ok()).unwrap_or_default(),
            access_key_id: signer.map(|(id, _)| id.to_owned()).unwrap_or_default(),
        })
    }
}

/// A body on its way; counted as long as the request lives.
struct Flight {
    store: Store,
    key: Option<String>,
}

impl Flight {
    fn begin(store: &Store, call: &Call) -> Flight {
        let body = matches!(call.operation, Operation::PutObject | Operation::UploadPart);
        let key = body.then(|| call.key.clone());
        if let Some(key) = &key {
            let mut state = store.lock();
            let of_file = state.bodies.entry(key.clone()).or_default();
            *of_file += 1;
            let (of_file, all) = (*of_file, state.bodies.values().sum());
            state.most_of_file = state.most_of_file.max(of_file);
            state.most_of_all = state.most_of_all.max(all);
        }
        Flight { store: store.clone(), key }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let Some(key) = &self.key else { return };
        if let Some(bodies) = self.store.lock().bodies.get_mut(key) {
            *bodies -= 1;
        }
    }
}

/// What was done.
struct Done {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

fn done(headers: Vec<(&'static str, String)>, body: String) -> Result<Done, Code> {
    Ok(Done { status: 200, headers, body })
}

impl State {
    /// The rule that decides about a request, if any.
    fn rule(&mut self, call: &Call, now_ms: u64) -> Option<Rule> {
        for (rule, met) in &mut self.rules {
            let of = |file: &String| {
                call.key
                    .strip_prefix(file.as_str())
                    .is_some_and(|rest| rest.starts_with(['.', '-']))
            };
            let key = rule.file.as_ref().is_none_or(of);
            let fits = (rule.on == Operation::Any || rule.on == call.operation)
                && rule.part.is_none_or(|part| part == call.part)
                && rule.from_ms.is_none_or(|from| from <= now_ms)
                && rule.to_ms.is_none_or(|to| now_ms < to)
                && key;
            if !fits {
                continue;
            }
            *met += 1;
            let over = rule.times != 0 && *met >= rule.nth + rule.times;
            if *met >= rule.nth && !over {
                return Some(rule.clone());
            }
        }
        None
    }

    fn admitted(&self, call: &Call, request: &Request, now: i64) -> Result<(), Code> {
        let date = request.header("x-oss-date").or(request.header("date")).and_then(parse_http);
        if date.is_none_or(|date| (date - now).abs() > MOST_SKEW_MS) {
            return Err(Code::RequestTimeTooSkewed);
        }
        match self.credentials.get(&call.access_key_id) {
            None => Err(Code::InvalidAccessKeyId),
            Some(Some(dies)) if *dies <= now => Err(Code::SecurityTokenExpired),
            Some(_) if self.revoked.contains(&call.access_key_id) => {
                Err(Code::SecurityTokenExpired)
            }
            Some(_) => Ok(()),
        }
    }

    fn perform(&mut self, call: &Call, bytes: Vec<u8>, heard: bool) -> Result<Done, Code> {
        let Call { key, upload_id, .. } = call;
        match call.operation {
            Operation::Any => Err(Code::NotImplemented),
            Operation::AbortMultipartUpload => {
                self.upload(call)?;
                self.uploads.remove(upload_id);
                Ok(Done { status: 204, headers: Vec::new(), body: String::new() })
            }
            Operation::CompleteMultipartUpload => {
                let asked =
                    CompleteMultipartUpload::decode(&bytes).map_err(|_| Code::MalformedXML)?;
                let upload = self.upload(call)?;
                let mut whole = Vec::new();
                for part in &asked.parts {
                    let stored = upload.parts.get(&part.number).ok_or(Code::InvalidPart)?;
                    if part.etag.trim_matches('"') != etag(stored) {
                        return Err(Code::InvalidPart);
                    }
                    whole.extend_from_slice(stored);
                }
                let result = CompleteMultipartUploadResult {
                    location: "l".into(),
                    bucket: BUCKET.into(),
                    key: key.clone(),
                    etag: format!("{}-{}", etag(&whole), asked.parts.len()),
                };
                let crc = crc64(&whole);
                self.uploads.remove(upload_id);
                self.objects.insert(key.clone(), whole);
                done(vec![("x-oss-hash-crc64ecma", crc)], result.encode(false))
            }
            Operation::HeadObject => {
                let object = self.objects.get(key).ok_or(Code::NoSuchKey)?;
                let headers = vec![
                    ("etag", format!("\"{}\"", etag(object))),
                    ("x-oss-hash-crc64ecma", crc64(object)),
                    ("content-length", object.len().to_string()),
                ];
                done(headers, String::new())
            }
            Operation::InitiateMultipartUpload => {
                self.last_upload += 1;
                let upload_id = format!("u{}", self.last_upload);
                let upload = Upload { key: key.clone(), ..Upload::default() };
                self.uploads.insert(upload_id.clone(), upload);
                let (bucket, key) = (BUCKET.into(), key.clone());
                let result = InitiateMultipartUploadResult { bucket, key, upload_id };
                done(Vec::new(), result.encode(false))
            }
            Operation::ListMultipartUploads => {
                let listed = |(id, upload): (&String, &Upload)| ListedUpload {
                    key: upload.key.clone(),
                    upload_id: id.clone(),
                    initiated_ms: 0,
                    storage_class: String::new(),
                };
                let result = ListMultipartUploadsResult {
                    bucket: BUCKET.into(),
                    max_uploads: 1000,
                    uploads: self.uploads.iter().map(listed).collect(),
                    ..ListMultipartUploadsResult::default()
                };
                done(Vec::new(), result.encode(false))
            }
            Operation::ListParts => {
                let marker = call.marker;
                let upload = self.upload(call)?;
                let listed = |(number, bytes): (&u32, &Vec<u8>)| ListedPart {
                    number: *number,
                    last_modified_ms: 0,
                    etag: etag(bytes),
                    crc64: crc64(bytes).parse().ok(),
                    size: bytes.len() as u64,
                };
                let result = ListPartsResult {
                    bucket: BUCKET.into(),
                    key: key.clone(),
                    upload_id: upload_id.clone(),
                    part_number_marker: marker,
                    max_parts: 1000,
                    parts: upload.parts.range(marker + 1..).map(listed).collect(),
                    ..ListPartsResult::default()
                };
                upload.told.extend(result.parts.iter().map(|part| part.number));
                done(Vec::new(), result.encode(false))
            }
            Operation::PutObject => {
                let headers = vec![
                    ("etag", format!("\"{}\"", etag(&bytes))),
                    ("x-oss-hash-crc64ecma", crc64(&bytes)),
                ];
                self.objects.insert(key.clone(), bytes);
                done(headers, String::new())
            }
            Operation::UploadPart => {
                let upload = self.upload(call)?;
                let twice = upload.told.contains(&call.part);
                let headers = vec![
                    ("etag", format!("\"{}\"", etag(&bytes))),
                    ("x-oss-hash-crc64ecma", crc64(&bytes)),
                ];
                upload.parts.insert(call.part, bytes);
                if heard {
                    upload.told.push(call.part);
                }
                if twice {
                    self.wrongs.push(format!("{key}: part {} was sent twice", call.part));
                }
                done(headers, String::new())
            }
        }
    }

    fn upload(&mut self, call: &Call) -> Result<&mut Upload, Code> {
        let upload = self.uploads.get_mut(&call.upload_id);
        upload.filter(|upload| upload.key == call.key).ok_or(Code::NoSuchUpload)
    }
}

fn etag(bytes: &[u8]) -> String {
    Md5::digest(bytes).iter().map(|byte| format!("{byte:02X}")).collect()
}

fn crc64(bytes: &[u8]) -> String {
    checksum(CrcAlgorithm::Crc64Xz, bytes).to_string()
}

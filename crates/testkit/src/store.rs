//! A model of the object store: what the real one does with the eight operations, without bytes.

use std::collections::BTreeMap;

use vodferry_engine::{
    ErrorKind, Fault, FaultKind, GrantId, ObjectInfo, Op, PartInfo, Reply, SMALL_FILE,
};

use crate::content::{Piece, Version, combine, etag};

/// How far a signature's time may be from the server's.
pub const MAX_SKEW_MS: i64 = 900_000;

/// What the store permits and remembers.
#[derive(Clone, Debug)]
pub struct Policy {
    /// A repeated Complete is answered alike; otherwise the upload is forgotten at once.
    pub remembers: bool,
    /// The credential may list parts.
    pub list_parts: bool,
    /// The credential may look at objects.
    pub head: bool,
    /// The credential may list uploads.
    pub list_uploads: bool,
    /// Parts per page.
    pub page: usize,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy { remembers: true, list_parts: true, head: true, list_uploads: true, page: 3 }
    }
}

/// A part as it is stored.
#[derive(Clone, Debug)]
pub struct StoredPart {
    /// Its content.
    pub piece: Piece,
    /// Of the content; another after damage.
    pub etag: String,
    /// Bytes; others than the content's after damage.
    pub length: u64,
    /// Of the content; another after damage.
    pub crc: u64,
}

/// An open multipart upload.
#[derive(Clone, Debug)]
pub struct Upload {
    /// Object key.
    pub key: String,
    /// By number.
    pub parts: BTreeMap<u32, StoredPart>,
}

/// A finished object.
#[derive(Clone, Debug)]
pub struct Object {
    /// Its content, in order.
    pub pieces: Vec<Piece>,
    /// Bytes.
    pub length: u64,
    /// Of the whole.
    pub crc: u64,
    /// Opaque.
    pub etag: String,
}

/// A credential that the store knows.
#[derive(Clone, Debug)]
struct Credential {
    key: String,
    dies_at: i64,
}

/// Answers given before, for repeats.
#[derive(Clone, Debug)]
struct Completed {
    parts: Vec<(u32, String)>,
    info: ObjectInfo,
}

/// The store.
#[derive(Clone, Debug)]
pub struct Store {
    /// What is permitted and remembered.
    pub policy: Policy,
    uploads: BTreeMap<String, Upload>,
    completed: BTreeMap<String, Completed>,
    objects: BTreeMap<String, Object>,
    credentials: BTreeMap<GrantId, Credential>,
    next_upload: u64,
}

/// One signed request.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Who asks.
    pub grant: GrantId,
    /// What for.
    pub op: &'a Op,
    /// Whose bytes the body holds.
    pub body: Version,
    /// The time in the signature.
    pub signed_ms: i64,
}

impl Store {
    /// An empty store.
    pub fn new(policy: Policy) -> Store {
        Store {
            policy,
            uploads: BTreeMap::new(),
            completed: BTreeMap::new(),
            objects: BTreeMap::new(),
            credentials: BTreeMap::new(),
            next_upload: 1,
        }
    }

    /// Lets `grant` write `key` until `dies_at`.
    pub fn permit(&mut self, grant: GrantId, key: &str, dies_at: i64) {
        self.credentials.insert(grant, Credential { key: key.to_owned(), dies_at });
    }

    /// The credential dies before its time.
    pub fn revoke(&mut self, grant: GrantId, at: i64) {
        if let Some(credential) = self.credentials.get_mut(&grant) {
            credential.dies_at = credential.dies_at.min(at);
        }
    }

    /// What lives at `at` outlives the world: credentials die no more.
    pub fn prolong(&mut self, at: i64) {
        for credential in self.credentials.values_mut().filter(|c| c.dies_at > at) {
            credential.dies_at = i64::MAX;
        }
    }

    /// The object under `key`.
    pub fn object(&self, key: &str) -> Option<&Object> {
        self.objects.get(key)
    }

    /// An upload that is still open.
    pub fn upload(&self, upload_id: &str) -> Option<&Upload> {
        self.uploads.get(upload_id)
    }

    /// The lifecycle rule, or somebody's Abort, takes the upload away.
    pub fn drop_upload(&mut self, upload_id: &str) -> bool {
        self.uploads.remove(upload_id).is_some()
    }

    /// A part vanishes.
    pub fn lose_part(&mut self, upload_id: &str, number: u32) -> bool {
        self.uploads.get_mut(upload_id).is_some_and(|u| u.parts.remove(&number).is_some())
    }

    /// Somebody else overwrites a part, with content of another length or of the same.
    pub fn damage_part(&mut self, upload_id: &str, number: u32, other_length: bool) -> bool {
        let part = self.uploads.get_mut(upload_id).and_then(|u| u.parts.get_mut(&number));
        let Some(part) = part else { return false };
        // Content that no version of the source ever had.
        part.piece.version.number = u32::MAX;
        part.piece.version.kept = 0;
        part.crc = part.piece.crc();
        part.etag = etag(part.crc);
        part.length += u64::from(other_length);
        true
    }

    /// Carries a request out, at `now_ms` of the server's clock.
    pub fn perform(&mut self, now_ms: i64, request: &Request<'_>) -> Result<Reply, Fault> {
        let key = self.admit(now_ms, request)?;
        match request.op {
            Op::AbortMultipartUpload { upload_id } => {
                self.open(upload_id)?;
                self.uploads.remove(upload_id);
                Ok(Reply::Aborted)
            }
            Op::CompleteMultipartUpload { upload_id, parts } => {
                self.complete(upload_id, parts).map(Reply::Completed)
            }
            Op::HeadObject { length, parts } => Ok(Reply::Head(self.objects.get(&key).map(|o| {
                let sent = parts.iter().map(|p| p.crc64).collect::<Option<Vec<u64>>>();
                let equal = sent.is_some_and(|crcs| combine(crcs.into_iter()) == o.crc);
                o.info(equal && *length == o.length)
            }))),
            Op::InitiateMultipartUpload => {
                let upload_id = format!("u{}", self.next_upload);
                self.next_upload += 1;
                let upload = Upload { key, parts: BTreeMap::new() };
                self.uploads.insert(upload_id.clone(), upload);
                Ok(Reply::Initiated { upload_id })
            }
            Op::ListMultipartUploads => {
                let mut ids: Vec<&String> =
                    self.uploads.iter().filter(|(_, u)| u.key == key).map(|(id, _)| id).collect();
                ids.sort_by_key(|id| (id.len(), (*id).clone()));
                Ok(Reply::Uploads(ids.into_iter().cloned().collect()))
            }
            Op::ListParts { upload_id, marker } => self.list(upload_id, *marker),
            Op::PutObject { length } => {
                let piece = Piece { version: request.body, range: 0..*length };
                let object = Object::new(vec![piece]);
                let info = object.info(true);
                self.objects.insert(key, object);
                Ok(Reply::Put(info))
            }
            Op::UploadPart { upload_id, number, range, .. } => {
                let piece = Piece { version: request.body, range: range.clone() };
                let crc = piece.crc();
                let part = StoredPart { length: piece.length(), etag: etag(crc), crc, piece };
                let reply = Reply::PartUploaded { etag: part.etag.clone(), crc64: Some(crc) };
                self.open(upload_id)?.parts.insert(*number, part);
                Ok(reply)
            }
        }
    }

    /// Clock, credential and rights; answers the key that the credential writes.
    fn admit(&self, now_ms: i64, request: &Request<'_>) -> Result<String, Fault> {
        if (request.signed_ms - now_ms).abs() > MAX_SKEW_MS {
            return Err(fault(FaultKind::ClockSkew, "RequestTimeTooSkewed"));
        }
        let denied = || fault(FaultKind::Fatal(ErrorKind::Auth), "AccessDenied");
        let credential = self.credentials.get(&request.grant).ok_or_else(denied)?;
        if now_ms >= credential.dies_at {
            return Err(fault(FaultKind::Expired, "SecurityTokenExpired"));
        }
        let (permitted, upload_id) = match request.op {
            Op::HeadObject { .. } => (self.policy.head, None),
            Op::ListMultipartUploads => (self.policy.list_uploads, None),
            Op::ListParts { upload_id, .. } => (self.policy.list_parts, Some(upload_id)),
            Op::AbortMultipartUpload { upload_id }
            | Op::CompleteMultipartUpload { upload_id, .. }
            | Op::UploadPart { upload_id, .. } => (true, Some(upload_id)),
            Op::InitiateMultipartUpload | Op::PutObject { .. } => (true, None),
        };
        if !permitted {
            return Err(denied());
        }
        // An upload id belongs to its key: under another one it does not exist.
        if upload_id.and_then(|id| self.uploads.get(id)).is_some_and(|u| u.key != credential.key) {
            return Err(fault(FaultKind::NoSuchUpload, "NoSuchUpload"));
        }
        Ok(credential.key.clone())
    }

    fn open(&mut self, upload_id: &str) -> Result<&mut Upload, Fault> {
        let missing = || fault(FaultKind::NoSuchUpload, "NoSuchUpload");
        self.uploads.get_mut(upload_id).ok_or_else(missing)
    }

    fn complete(&mut self, upload_id: &str, parts: &[PartInfo]) -> Result<ObjectInfo, Fault> {
        let named: Vec<(u32, String)> = parts.iter().map(|p| (p.number, p.etag.clone())).collect();
        if let Some(before) = self.completed.get(upload_id) {
            if self.policy.remembers && before.parts == named {
                return Ok(before.info.clone());
            }
            return Err(fault(FaultKind::NoSuchUpload, "NoSuchUpload"));
        }
        let upload = self.open(upload_id)?;
        let mut pieces = Vec::new();
        for (number, etag) in &named {
            match upload.parts.get(number) {
                Some(part) if part.etag == *etag => pieces.push(part.piece.clone()),
                _ => return Err(fault(FaultKind::Relist, "InvalidPart")),
            }
        }
        if !named.windows(2).all(|pair| pair[0].0 < pair[1].0) || named.is_empty() {
            return Err(fault(FaultKind::Fatal(ErrorKind::Service), "InvalidPartOrder"));
        }
        if pieces.iter().rev().skip(1).any(|piece| piece.length() < SMALL_FILE) {
            return Err(fault(FaultKind::Fatal(ErrorKind::Service), "EntityTooSmall"));
        }
        let key = upload.key.clone();
        let object = Object::new(pieces);
        let sent = parts.iter().map(|p| p.crc64).collect::<Option<Vec<u64>>>();
        let info = object.info(sent.is_some_and(|crcs| combine(crcs.into_iter()) == object.crc));
        self.uploads.remove(upload_id);
        self.objects.insert(key, object);
        let answer = Completed { parts: named, info: info.clone() };
        self.completed.insert(upload_id.to_owned(), answer);
        Ok(info)
    }

    fn list(&mut self, upload_id: &str, marker: u32) -> Result<Reply, Fault> {
        let page = self.policy.page.max(1);
        let upload = self.open(upload_id)?;
        let after = || upload.parts.range(marker.saturating_add(1)..);
        let parts: Vec<PartInfo> = after()
            .take(page)
            .map(|(number, part)| PartInfo {
                number: *number,
                length: part.length,
                etag: part.etag.clone(),
                crc64: Some(part.crc),
            })
            .collect();
        let more = after().count() > page;
        let next = parts.last().map(|p| p.number).filter(|_| more);
        Ok(Reply::Parts { parts, next })
    }
}

impl Object {
    fn new(pieces: Vec<Piece>) -> Object {
        let crc = combine(pieces.iter().map(Piece::crc));
        let length = pieces.iter().map(Piece::length).sum();
        Object { pieces, length, crc, etag: etag(crc) }
    }

    /// As a reply tells it.
    pub fn info(&self, verified: bool) -> ObjectInfo {
        ObjectInfo {
            length: Some(self.length),
            etag: self.etag.clone(),
            crc64: Some(self.crc),
            verified,
            ..ObjectInfo::default()
        }
    }

    /// Whether this is a whole copy of `version`, which has `length` bytes: neither spliced nor with gaps.
    pub fn is_whole(&self, version: Version, length: u64) -> bool {
        let mut end = 0;
        for piece in &self.pieces {
            let same = Piece { version, range: piece.range.clone() }.crc() == piece.crc();
            if piece.range.start != end || !same {
                return false;
            }
            end = piece.range.end;
        }
        end == length
    }
}

/// A refusal with this code.
pub fn fault(kind: FaultKind, code: &str) -> Fault {
    Fault {
        kind,
        code: code.to_owned(),
        message: format!("the model answers {code}"),
        request_id: "model".to_owned(),
        retry_after_ms: None,
    }
}

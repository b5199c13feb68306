//! Clients that upload, complete, replace, abort and delete, each on keys of its own, and a ledger of
//! what they were promised.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard};

use bytes::Bytes;
use vodferry_oss::etag::{etag_of_md5, md5};
use vodferry_server::store::{
    Blob, BlobStore, Complete, Intake, MAX_SMALL_OF_OBJECT, MetaError, MetaStore, PartList,
    PutObject,
};

use crate::random::Random;
use crate::{BUCKET, NOW, read_object};

/// What was promised, and what was asked for and not answered yet.
#[derive(Clone, Default)]
pub(crate) struct Ledger {
    objects: HashMap<String, Promise>,
    /// By upload id.
    uploads: HashMap<String, Upload>,
    /// Parts and objects that were acknowledged.
    pub(crate) acknowledged: usize,
}

/// The bytes that hold, and those that may hold instead.
#[derive(Clone, Default)]
struct Promise {
    holds: Option<Vec<u8>>,
    asked: Option<Option<Vec<u8>>>,
}

#[derive(Clone, Default)]
struct Upload {
    key: String,
    parts: BTreeMap<u32, Promise>,
    /// A Complete or an Abort was asked for.
    ending: bool,
}

impl Promise {
    fn answered(&mut self) {
        if let Some(asked) = self.asked.take() {
            self.holds = asked;
        }
    }

    fn allows(&self, found: Option<&[u8]>) -> bool {
        self.holds.as_deref() == found
            || self.asked.as_ref().is_some_and(|asked| asked.as_deref() == found)
    }
}

/// A client of the two stores.
pub(crate) struct Client<'a> {
    pub(crate) blobs: &'a dyn BlobStore,
    pub(crate) meta: &'a dyn MetaStore,
    pub(crate) ledger: &'a Mutex<Ledger>,
    pub(crate) number: usize,
}

impl Client<'_> {
    /// Goes on until the stores fail.
    pub(crate) async fn sail(&self, mut random: Random) {
        loop {
            let key = format!("{}/{}", self.number, random.below(3));
            let went_well = match random.below(6) {
                0 => self.put(&key, &mut random).await,
                1 => self.delete(&key).await,
                _ => self.upload(&key, &mut random).await,
            };
            if went_well.is_none() {
                return;
            }
        }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap()
    }

    /// A blob of some bytes, now and then of more than one write; or a small body. Every other is a blob
    /// though it could be a small body, so that there is always something that syncs.
    async fn blob(&self, bytes: &[u8], random: &mut Random) -> Option<Blob> {
        let before = if random.one_in(2) { MAX_SMALL_OF_OBJECT } else { 0 };
        let mut intake = Intake::new(self.blobs, before);
        for chunk in bytes.chunks(150_000) {
            intake.write(Bytes::copy_from_slice(chunk)).await.ok()?;
        }
        intake.finish().await.ok()
    }

    async fn put(&self, key: &str, random: &mut Random) -> Option<()> {
        let bytes = some_bytes(random);
        let blob = self.blob(&bytes, random).await?;
        self.ledger().objects.entry(key.into()).or_default().asked = Some(Some(bytes));
        let put = PutObject {
            bucket: BUCKET.into(),
            key: key.into(),
            headers: vec![],
            blob,
            forbid_overwrite: false,
            now_ms: NOW,
        };
        let answer = self.meta.put_object(put).await.map(drop);
        self.object_answered(key, answer)
    }

    async fn delete(&self, key: &str) -> Option<()> {
        self.ledger().objects.entry(key.into()).or_default().asked = Some(None);
        let answer = self.meta.delete_object(BUCKET, key, NOW).await.map(drop);
        self.object_answered(key, answer)
    }

    fn object_answered(&self, key: &str, answer: Result<(), MetaError>) -> Option<()> {
        let mut ledger = self.ledger();
        let promise = ledger.objects.get_mut(key)?;
        match answer {
            Ok(()) => promise.answered(),
            Err(error) if error.is_refusal() => promise.asked = None,
            Err(MetaError::BlobDiscarded(_)) => promise.asked = None,
            Err(_) => return None,
        }
        ledger.acknowledged += 1;
        Some(())
    }

    async fn upload(&self, key: &str, random: &mut Random) -> Option<()> {
        let id = self.meta.initiate(BUCKET, key, vec![], NOW).await.ok()?;
        let upload = Upload { key: key.into(), ..Upload::default() };
        self.ledger().uploads.insert(id.clone(), upload);
        for number in [1, 2, 2, 3] {
            if number != 2 || random.one_in(2) {
                self.part(key, &id, number, random).await?;
            }
        }
        let parts: Vec<(u32, Vec<u8>)> = {
            let mut ledger = self.ledger();
            let upload = ledger.uploads.get_mut(&id)?;
            if random.one_in(4) {
                return Some(()); // left open
            }
            upload.ending = true;
            let held = upload.parts.iter();
            held.filter_map(|(n, part)| Some((*n, part.holds.clone()?))).collect()
        };
        if random.one_in(3) {
            self.meta.abort(BUCKET, key, &id, NOW).await.ok()?;
            self.ledger().uploads.remove(&id);
            return Some(());
        }
        let listed = parts.iter().map(|(n, bytes)| (*n, etag_of_md5(&md5(bytes)))).collect();
        let whole: Vec<u8> = parts.into_iter().flat_map(|(_, bytes)| bytes).collect();
        self.ledger().objects.entry(key.into()).or_default().asked = Some(Some(whole));
        let complete = Complete {
            bucket: BUCKET.into(),
            key: key.into(),
            upload_id: id.clone(),
            parts: PartList::Listed(listed),
            headers: Vec::new(),
            forbid_overwrite: false,
            now_ms: NOW,
        };
        let answer = self.meta.complete(complete).await.map(drop);
        assert!(!answer.as_ref().is_err_and(MetaError::is_refusal), "{answer:?}");
        self.object_answered(key, answer)?;
        self.ledger().uploads.remove(&id);
        Some(())
    }

    async fn part(&self, key: &str, id: &str, number: u32, random: &mut Random) -> Option<()> {
        let bytes = some_bytes(random);
        let blob = self.blob(&bytes, random).await?;
        let promise = |ledger: &mut Ledger, change: &dyn Fn(&mut Promise)| {
            let upload = ledger.uploads.get_mut(id)?;
            change(upload.parts.entry(number).or_default());
            Some(())
        };
        promise(&mut self.ledger(), &|part| part.asked = Some(Some(bytes.clone())))?;
        match self.meta.put_part(BUCKET, key, id, number, blob, NOW).await {
            Ok(_) => {
                let mut ledger = self.ledger();
                ledger.acknowledged += 1;
                promise(&mut ledger, &Promise::answered)
            }
            // The janitor was quicker; the bytes are sent again, or not.
            Err(MetaError::BlobDiscarded(_)) => {
                promise(&mut self.ledger(), &|part| part.asked = None)
            }
            Err(_) => None,
        }
    }
}

impl Ledger {
    /// Whether everything promised is there, byte for byte, and nothing that nobody asked for.
    pub(crate) async fn check(
        &self,
        blobs: &dyn BlobStore,
        meta: &dyn MetaStore,
    ) -> Result<(), String> {
        for (key, promise) in &self.objects {
            let found = object(blobs, meta, key).await?;
            if !promise.allows(found.as_deref()) {
                let lengths = (found.map(|f| f.len()), promise.holds.as_ref().map(Vec::len));
                return Err(format!("object {key} has other bytes than promised: {lengths:?}"));
            }
        }
        for (id, upload) in &self.uploads {
            let key = &upload.key;
            let page = match meta.list_parts(BUCKET, key, id, 0, 1000).await {
                Err(MetaError::NoSuchUpload(_)) if upload.ending => continue,
                listed => listed.map_err(|e| format!("upload {id} to {key}: {e}"))?,
            };
            for (number, part) in &upload.parts {
                let found = page.parts.iter().find(|found| found.number == *number);
                let etag = found.map(|found| &found.etag);
                let may = |bytes: &Option<Vec<u8>>| {
                    bytes.as_ref().map(|bytes| etag_of_md5(&md5(bytes))).as_ref() == etag
                };
                if !may(&part.holds) && !part.asked.as_ref().is_some_and(may) {
                    return Err(format!("part {number} of {key} is {etag:?}"));
                }
            }
        }
        Ok(())
    }
}

/// The bytes of an object; an error names what a server could not have served.
async fn object(
    blobs: &dyn BlobStore,
    meta: &dyn MetaStore,
    key: &str,
) -> Result<Option<Vec<u8>>, String> {
    let object = match meta.get_object(BUCKET, key).await {
        Err(MetaError::NoSuchKey(_)) => return Ok(None),
        found => found.map_err(|e| format!("object {key}: {e}"))?,
    };
    let bytes = read_object(blobs, &object).await.map_err(|e| format!("object {key}: {e}"))?;
    Ok(Some(bytes))
}

/// Few, and now and then so many that they need more than one write.
fn some_bytes(random: &mut Random) -> Vec<u8> {
    let length =
        if random.one_in(8) { 300_000 + random.below(200_000) } else { random.below(2000) };
    random.bytes(length)
}

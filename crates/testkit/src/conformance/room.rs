//! Where one case lives: keys below a prefix of its own, and buckets that it made.

use std::sync::{Mutex, PoisonError};

use vodferry_oss::crc64::crc64;
use vodferry_oss::encode::decode_path;
use vodferry_oss::etag::{content_md5, etag_of_md5, md5, quote};
use vodferry_oss::{Credential, Method};

use super::ask::Ask;
use super::reply::Reply;
use super::{Failure, Target, Verdict};

/// A place of its own for one case.
#[derive(Debug)]
pub struct Room {
    target: Target,
    http: reqwest::Client,
    /// Names this case in this run.
    name: String,
    made: Mutex<Vec<String>>,
}

impl Room {
    pub(super) fn new(
        target: &Target,
        http: &reqwest::Client,
        stamp: &str,
        number: usize,
    ) -> Result<Room, Failure> {
        let name = format!("{stamp}-{number}");
        let room =
            Room { target: target.clone(), http: http.clone(), name, made: Mutex::default() };
        let possible = room.about("").map(|_| ());
        match possible {
            Err(Failure::NotOffered(text)) => Err(Failure::Differs(text)),
            Err(other) => Err(other),
            Ok(()) => Ok(room),
        }
    }

    /// The key of this case that ends in `name`.
    pub fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix())
    }

    /// What the keys of this case begin with; ends in a slash.
    pub fn prefix(&self) -> String {
        format!("vodferry-conformance-{}/", self.name)
    }

    /// The bucket under test.
    pub fn bucket(&self) -> &str {
        &self.target.bucket
    }

    /// Who asks.
    pub fn credential(&self) -> &Credential {
        &self.target.credential
    }

    /// What V4 signatures name.
    pub fn region(&self) -> &str {
        &self.target.region
    }

    /// `GET` of the object of this case that ends in `name`.
    pub fn get(&self, name: &str) -> Result<Ask<'_>, Failure> {
        self.ask(Method::Get, name)
    }

    /// `PUT` of it.
    pub fn put(&self, name: &str) -> Result<Ask<'_>, Failure> {
        self.ask(Method::Put, name)
    }

    /// `HEAD` of it.
    pub fn head(&self, name: &str) -> Result<Ask<'_>, Failure> {
        self.ask(Method::Head, name)
    }

    /// `POST` of it.
    pub fn post(&self, name: &str) -> Result<Ask<'_>, Failure> {
        self.ask(Method::Post, name)
    }

    /// `DELETE` of it.
    pub fn delete(&self, name: &str) -> Result<Ask<'_>, Failure> {
        self.ask(Method::Delete, name)
    }

    /// Any method on the object of this case that ends in `name`.
    pub fn ask(&self, method: Method, name: &str) -> Result<Ask<'_>, Failure> {
        self.at(method, self.bucket(), &self.key(name))
    }

    /// `GET` of the bucket under test.
    pub fn about(&self, parameter: &str) -> Result<Ask<'_>, Failure> {
        self.on(Method::Get, self.bucket(), parameter)
    }

    /// A call on a bucket, about one of its sub-resources or (empty) itself.
    pub fn on(&self, method: Method, bucket: &str, parameter: &str) -> Result<Ask<'_>, Failure> {
        let ask = self.at(method, bucket, "")?;
        Ok(if parameter.is_empty() { ask } else { ask.query(parameter, "") })
    }

    /// Any method on any key of any bucket; an empty bucket is the service.
    pub fn at(&self, method: Method, bucket: &str, key: &str) -> Result<Ask<'_>, Failure> {
        Ask::new(self, &self.target, method, bucket, key)
    }

    /// Stores an object.
    pub async fn store(&self, name: &str, bytes: &[u8]) -> Result<Reply, Failure> {
        self.put(name)?.body(bytes).send().await?.is(200)
    }

    /// Makes a bucket, which is removed when the case is over.
    ///
    /// # Errors
    /// The target does not let this credential make buckets: the case is skipped.
    pub async fn new_bucket(&self) -> Result<String, Failure> {
        let name = self.reserve_bucket();
        let made = self.on(Method::Put, &name, "")?.send().await?;
        let code = made.error().code;
        if made.status() == 403 || code == "TooManyBuckets" {
            return Err(Failure::NotOffered(format!("a bucket cannot be made: {code}")));
        }
        made.offered()?.is(200)?;
        Ok(name)
    }

    /// The name of a bucket that is not there yet; what has it later is removed when the case is over.
    pub fn reserve_bucket(&self) -> String {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let name = format!("vfc-{}-{}", self.name, made.len());
        made.push(name.clone());
        name
    }

    pub(super) fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// Removes what the case left.
    pub(super) async fn clean(&self) -> Verdict {
        self.empty(self.bucket(), &self.prefix()).await?;
        let made = std::mem::take(&mut *self.made.lock().unwrap_or_else(PoisonError::into_inner));
        for bucket in made {
            let seen = self.on(Method::Get, &bucket, "")?.send().await?;
            if seen.status() == 200 {
                self.empty(&bucket, "").await?;
                self.on(Method::Delete, &bucket, "")?.send().await?.is(204)?;
            }
        }
        Ok(())
    }

    async fn empty(&self, bucket: &str, prefix: &str) -> Verdict {
        loop {
            let ask = self.on(Method::Get, bucket, "")?.query("prefix", prefix);
            let listed = ask.query("max-keys", 1000).query("encoding-type", "url").send().await?;
            let keys = decoded(&listed);
            for key in &keys {
                self.at(Method::Delete, bucket, key)?.send().await?;
            }
            if keys.is_empty() || listed.element("IsTruncated")? != "true" {
                break;
            }
        }
        let ask = self.on(Method::Get, bucket, "uploads")?.query("prefix", prefix);
        let uploads = ask.query("encoding-type", "url").send().await?;
        for (key, id) in decoded(&uploads).iter().zip(uploads.elements("UploadId")) {
            self.at(Method::Delete, bucket, key)?.query("uploadId", id).send().await?;
        }
        Ok(())
    }
}

fn decoded(listed: &Reply) -> Vec<String> {
    let keys = listed.elements("Key").into_iter();
    keys.map(|key| decode_path(&key).unwrap_or(key)).collect()
}

/// The quoted ETag of an object or a part that was sent whole.
pub(super) fn etag(bytes: &[u8]) -> String {
    quote(&etag_of_md5(&md5(bytes)))
}

/// Content-MD5 of bytes.
pub(super) fn digest(bytes: &[u8]) -> String {
    content_md5(&md5(bytes))
}

/// `x-oss-hash-crc64ecma` of bytes.
pub(super) fn crc(bytes: &[u8]) -> String {
    crc64(bytes).to_string()
}

/// Bytes in which no pattern repeats.
pub(super) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let step = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    std::iter::repeat_with(step).take(length).collect()
}

//! One bucket, as the OSS SDKs have it: simple requests, plain multipart uploads, and the resumable upload.
//!
//! A simple request is asked up to three times where that is safe (`maxErrorRetry` 2 of the mobile SDKs), after a growing, jittered
//! pause or the one that the server wishes; a refused clock is corrected, a dead credential is replaced where somebody hands out
//! another. Nothing of it is remembered: what has to survive a crash goes by [`Bucket::resumable_upload`], which is an
//! [`Uploader`](crate::Uploader) with one file.

mod ask;
mod lifecycle;
mod listing;
mod multipart;
mod object;
mod resumable;
mod task;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use vodferry_engine::{ErrorKind, Target};
use vodferry_oss::{Method, Request};

use crate::authorizer::{Rights, check_region};
use crate::perform::Means;
use crate::{AddressStyle, Credential, Error, Http, Options, UploadGrant};

pub use listing::{ListObjects, Listed, ListedObject, ListedUpload, Listing};
pub use multipart::Initiate;
pub use object::{AppendResult, ObjectHead, Progress, PutOptions};
pub use resumable::ResumableUpload;
pub use task::UploadTask;

/// A bucket at its endpoint, and who signs for it. Clones share everything.
///
/// ```no_run
/// # async fn example() -> Result<(), vodferry::Error> {
/// use vodferry::{Bucket, Credential, ListObjects, PutOptions};
/// let credential = Credential {
///     access_key_id: "id".into(),
///     access_key_secret: "secret".into(),
///     security_token: None,
/// };
/// let films = Bucket::new("http://127.0.0.1:8080", "films", credential)?;
/// films.put_object("hello.txt", vodferry::File::bytes("hello.txt", "hello"), PutOptions::default()).await?;
/// let mut listing = films.list_objects(ListObjects::default());
/// while let Some(entry) = listing.next().await? {
///     println!("{entry:?}");
/// }
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Bucket {
    inner: Arc<Inner>,
}

struct Inner {
    endpoint: String,
    name: String,
    style: AddressStyle,
    credential: Credential,
    options: Options,
    means: Means,
    /// What the server's clock is ahead of ours, in milliseconds, once it said so.
    clock_offset_ms: AtomicI64,
}

/// Makes a [`Bucket`]; see [`Bucket::builder`].
#[derive(Clone)]
pub struct BucketBuilder {
    endpoint: String,
    name: String,
    credential: Credential,
    style: AddressStyle,
    options: Options,
    http: Option<Arc<dyn Http>>,
}

impl BucketBuilder {
    /// Says how the bucket is named in requests. The default suits the service's own domains, IP addresses and `localhost`.
    pub fn style(mut self, style: AddressStyle) -> BucketBuilder {
        self.style = style;
        self
    }

    /// Takes the network's settings (`timeouts`, `proxy`, `ca_file`, `user_agent`, `limit`), the region (`region`: requests are signed
    /// by V4), and for resumable uploads what [`ResumableUpload`](crate::ResumableUpload) does not say.
    pub fn options(mut self, options: Options) -> BucketBuilder {
        self.options = options;
        self
    }

    /// Sends through this instead of [`http_client`](crate::http_client).
    pub fn http(mut self, http: Arc<dyn Http>) -> BucketBuilder {
        self.http = Some(http);
        self
    }

    /// The bucket. Nothing is sent.
    ///
    /// # Errors
    ///
    /// Kind `Misuse` when the endpoint or the bucket is none, or the credential or an option holds what no request can; those of
    /// [`http_client`](crate::http_client).
    pub fn build(self) -> Result<Bucket, Error> {
        let BucketBuilder { endpoint, name, credential, style, options, http } = self;
        options.region.as_deref().map_or(Ok(()), check_region)?;
        let http = match http {
            Some(http) => http,
            None => crate::http_client(&options)?,
        };
        let means = Means::new(&options, http);
        let clock_offset_ms = AtomicI64::new(0);
        let inner = Inner { endpoint, name, style, credential, options, means, clock_offset_ms };
        let bucket = Bucket { inner: Arc::new(inner) };
        bucket.grant("").check()?;
        bucket.unsigned(Method::Get, "")?;
        Ok(bucket)
    }
}

impl Bucket {
    /// The bucket `name` at `endpoint` (with or without `https://`, for example `oss-cn-hangzhou.aliyuncs.com`), with the default
    /// [`Options`].
    ///
    /// # Errors
    ///
    /// As [`BucketBuilder::build`].
    pub fn new(
        endpoint: impl Into<String>,
        name: impl Into<String>,
        credential: Credential,
    ) -> Result<Bucket, Error> {
        Bucket::builder(endpoint, name, credential).build()
    }

    /// Begins to make one that differs from [`Bucket::new`].
    pub fn builder(
        endpoint: impl Into<String>,
        name: impl Into<String>,
        credential: Credential,
    ) -> BucketBuilder {
        BucketBuilder {
            endpoint: endpoint.into(),
            name: name.into(),
            credential,
            style: AddressStyle::Auto,
            options: Options::default(),
            http: None,
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Where it is, as it was given.
    pub fn endpoint(&self) -> &str {
        &self.inner.endpoint
    }

    /// The object of this key, as other parts of the crate name it.
    pub fn target(&self, key: impl Into<String>) -> Target {
        Target {
            endpoint: self.inner.endpoint.clone(),
            bucket: self.inner.name.clone(),
            key: key.into(),
        }
    }

    /// The right to do something with `key`; with the bucket where that is empty.
    fn grant(&self, key: &str) -> UploadGrant {
        let grant = UploadGrant::new(self.target(key), self.inner.credential.clone());
        grant.style(self.inner.style)
    }

    fn rights(&self, key: &str) -> Arc<Rights> {
        Arc::new(self.grant(key).rights(self.inner.options.region.as_deref()))
    }

    /// A request about `key`, or about the bucket where that is empty.
    fn unsigned(&self, method: Method, key: &str) -> Result<Request, Error> {
        let place = vodferry_oss::Target {
            endpoint: self.inner.endpoint.clone(),
            bucket: self.inner.name.clone(),
            key: key.to_owned(),
        };
        Request::to(method, &place, self.inner.style)
            .map_err(|error| Error::new(ErrorKind::Misuse, "InvalidTarget", error.message()))
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { endpoint, name, .. } = &*self.inner;
        f.debug_struct("Bucket").field("endpoint", endpoint).field("name", name).finish()
    }
}

impl fmt::Debug for BucketBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BucketBuilder { endpoint, name, options, .. } = self;
        let mut shown = f.debug_struct("BucketBuilder");
        shown.field("endpoint", endpoint).field("name", name).field("options", options);
        shown.finish_non_exhaustive()
    }
}

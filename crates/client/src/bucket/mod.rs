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
use std::future::Future;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vodferry_engine::{ErrorKind, Target};
use vodferry_oss::{Method, Request};

use crate::authorizer::{Rights, check_region};
use crate::clock::wall_ms;
use crate::perform::Means;
use crate::sts::Tokens;
use crate::{AddressStyle, BoxFuture, Credential, Error, Http, Options, StsToken, UploadGrant};

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
    tokens: Tokens,
    /// The credential used or supplied last.
    newest: Mutex<StsToken>,
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
    token: StsToken,
    supplier: Option<Supplier>,
    style: AddressStyle,
    options: Options,
    http: Option<Arc<dyn Http>>,
}

type Supplier = Arc<dyn Fn() -> BoxFuture<'static, Result<StsToken, Error>> + Send + Sync>;

impl BucketBuilder {
    /// Says how the bucket is named in requests. The default suits the service's own domains, IP addresses and `localhost`.
    pub fn style(mut self, style: AddressStyle) -> BucketBuilder {
        self.style = style;
        self
    }

    /// Asks this for another temporary credential when the present one has come to its end; see also
    /// [`Bucket::set_token`].
    pub fn supplier<F, R>(mut self, supplier: F) -> BucketBuilder
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<StsToken, Error>> + Send + 'static,
    {
        self.supplier = Some(Arc::new(move || Box::pin(supplier())));
        self
    }

    /// Takes the network's settings (`timeouts`, `proxy`, `ca_file`, `user_agent`), the bandwidth limit of all requests and uploads of
    /// the bucket together (`limit`), the region (`region`: requests are signed
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
        let BucketBuilder { endpoint, name, token, supplier, style, options, http } = self;
        options.region.as_deref().map_or(Ok(()), check_region)?;
        let http = match http {
            Some(http) => http,
            None => crate::http_client(&options)?,
        };
        let means = Means::new(&options, http);
        let mut tokens = Tokens::new(token.clone())?;
        if let Some(supplier) = supplier {
            tokens.supplier(move || supplier());
        }
        let inner = Inner {
            endpoint,
            name,
            style,
            tokens,
            newest: Mutex::new(token),
            options,
            means,
            clock_offset_ms: AtomicI64::new(0),
        };
        let bucket = Bucket { inner: Arc::new(inner) };
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
        credential: impl Into<StsToken>,
    ) -> Result<Bucket, Error> {
        Bucket::builder(endpoint, name, credential).build()
    }

    /// Begins to make one that differs from [`Bucket::new`].
    pub fn builder(
        endpoint: impl Into<String>,
        name: impl Into<String>,
        credential: impl Into<StsToken>,
    ) -> BucketBuilder {
        BucketBuilder {
            endpoint: endpoint.into(),
            name: name.into(),
            token: credential.into(),
            supplier: None,
            style: AddressStyle::Auto,
            options: Options::default(),
            http: None,
        }
    }

    /// Bytes per second of all requests and uploads of this bucket together, those under way included; 0 is no limit. Is felt within
    /// about a second.
    pub fn set_limit(&self, bytes_per_second: u64) {
        self.inner.means.limit.set(bytes_per_second);
    }

    /// Signs with this from now on, uploads under way included once theirs has come to its end.
    ///
    /// # Errors
    ///
    /// Kind `Misuse` when it is blank, or holds what no request can.
    pub fn set_token(&self, token: impl Into<StsToken>) -> Result<(), Error> {
        let token = token.into();
        self.inner.tokens.push(token.clone())?;
        *self.newest() = token;
        Ok(())
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

    /// The right to do something with `key`, by the credential used last; with the bucket where that is empty.
    fn grant(&self, key: &str) -> UploadGrant {
        let StsToken { credential, expires_at_ms } = self.newest().clone();
        let grant = UploadGrant::new(self.target(key), credential).style(self.inner.style);
        UploadGrant { expires_at_ms, ..grant }
    }

    /// As [`Bucket::grant`], by a credential that is alive as far as anybody knows, and another than `instead_of`.
    async fn rights(
        &self,
        key: &str,
        instead_of: Option<&Credential>,
    ) -> Result<Arc<Rights>, Error> {
        let now_ms = wall_ms().saturating_add(self.clock_offset_ms());
        let given = self.inner.tokens.current(instead_of, now_ms).await?;
        *self.newest() = given.token;
        Ok(Arc::new(self.grant(key).rights(self.inner.options.region.as_deref())))
    }

    fn newest(&self) -> MutexGuard<'_, StsToken> {
        self.inner.newest.lock().unwrap_or_else(PoisonError::into_inner)
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

//! Straight into a bucket, without a video service: an authorizer that needs nobody's answer.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use vodferry_engine::Target;
use vodferry_oss::address::Style as AddressStyle;

use crate::sts::{Given, Tokens};
use crate::{Authorizer, BoxFuture, Error, GrantRequest, News, StsToken, UploadGrant};

/// One bucket and the credential for it: temporary (STS), or a plain access key.
///
/// ```no_run
/// # use vodferry::{DirectOss, Error, File, StsToken, Target, Uploader};
/// # fn main_() -> Result<(), Error> {
/// let token = StsToken::new("STS.N…", "secret", "CAIS…").expiration("2026-11-20T11:00:00Z")?;
/// let films = DirectOss::new(token)?.bucket("https://oss-cn-shanghai.aliyuncs.com", "films").prefix("2026/");
/// let uploader = Uploader::builder().authorizer(films).build()?;
/// uploader.add("holiday.mp4")?; // goes to 2026/holiday.mp4
/// // Or each file says all of it, as `addFile(file, endpoint, bucket, object)`:
/// let target = Target { endpoint: "https://oss-cn-shanghai.aliyuncs.com".into(), bucket: "films".into(), key: "b.mp4".into() };
/// uploader.add(File::path("b.mp4").target(target))?;
/// # Ok(()) }
/// ```
///
/// When a temporary credential comes to its end, the [`supplier`](DirectOss::supplier) is asked; without one TokenExpired is told, and
/// [`set_token`](DirectOss::set_token) goes on. A plain access key does not end; it is for tests and for servers, as whoever holds it may
/// do what its owner may. Clones share everything.
#[derive(Clone)]
pub struct DirectOss {
    tokens: Tokens,
    endpoint: String,
    bucket: String,
    key: Arc<dyn Fn(&str) -> String + Send + Sync>,
    style: AddressStyle,
    region: Option<String>,
}

impl DirectOss {
    /// By this credential. Say where to by [`bucket`](DirectOss::bucket), or of each file by [`File::target`](crate::File::target).
    ///
    /// # Errors
    ///
    /// Kind `Misuse` when it is blank, or holds what no request can.
    pub fn new(token: impl Into<StsToken>) -> Result<DirectOss, Error> {
        Ok(DirectOss::with(Tokens::new(token.into())?))
    }

    /// Without a credential: files wait until [`set_token`](DirectOss::set_token), or a [`supplier`](DirectOss::supplier), gives the
    /// first one.
    pub fn waiting() -> DirectOss {
        DirectOss::with(Tokens::waiting())
    }

    /// By credentials that somebody else holds as well.
    pub(crate) fn with(tokens: Tokens) -> DirectOss {
        DirectOss {
            tokens,
            endpoint: String::new(),
            bucket: String::new(),
            key: Arc::new(str::to_owned),
            style: AddressStyle::Auto,
            region: None,
        }
    }

    /// Where objects go.
    pub fn bucket(mut self, endpoint: impl Into<String>, bucket: impl Into<String>) -> DirectOss {
        (self.endpoint, self.bucket) = (endpoint.into(), bucket.into());
        self
    }

    /// The key is `prefix` and the file's name. Default: the name.
    pub fn prefix(self, prefix: impl Into<String>) -> DirectOss {
        let prefix = prefix.into();
        self.key(move |name| format!("{prefix}{name}"))
    }

    /// The key is what `key` makes of the file's name: the same whenever it is asked about the same file, as an upload that another
    /// key is made for begins anew there.
    pub fn key(mut self, key: impl Fn(&str) -> String + Send + Sync + 'static) -> DirectOss {
        self.key = Arc::new(key);
        self
    }

    /// How the bucket is named in requests. Default: as suits the service's own domains, IP addresses and `localhost`.
    pub fn style(mut self, style: AddressStyle) -> DirectOss {
        self.style = style;
        self
    }

    /// Region of the bucket, for example `cn-hangzhou`: requests are signed by V4.
    pub fn region(mut self, region: impl Into<String>) -> DirectOss {
        self.region = Some(region.into());
        self
    }

    /// As [`VodApi::supplier`](crate::VodApi::supplier).
    pub fn supplier<F, R>(mut self, supplier: F) -> DirectOss
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<StsToken, Error>> + Send + 'static,
    {
        self.tokens.supplier(supplier);
        self
    }

    /// As [`VodApi::set_token`](crate::VodApi::set_token).
    ///
    /// # Errors
    ///
    /// Kind `Misuse` when it is blank, or holds what no request can.
    pub fn set_token(&self, token: impl Into<StsToken>) -> Result<(), Error> {
        self.tokens.push(token.into())
    }

    async fn grant(&self, asked: GrantRequest) -> Result<UploadGrant, Error> {
        let (name, replaces, now_ms) = match asked {
            GrantRequest::Create { name, now_ms, .. } => (name, None, now_ms),
            GrantRequest::Refresh { name, replaces, now_ms, .. } => {
                // A plain access key has nothing to be replaced by.
                let replaces = replaces.filter(|old| old.security_token.is_some());
                (name, replaces, now_ms)
            }
        };
        if let Some(old) = &replaces {
            self.tokens.retire_undated(old);
        }
        let Given { token, .. } = self.tokens.current(replaces.as_ref(), now_ms).await?;
        let target = Target {
            endpoint: self.endpoint.clone(),
            bucket: self.bucket.clone(),
            key: (self.key)(&name),
        };
        let grant = UploadGrant::new(target, token.credential).style(self.style);
        Ok(UploadGrant { expires_at_ms: token.expires_at_ms, region: self.region.clone(), ..grant })
    }
}

impl Authorizer for DirectOss {
    fn authorize(&self, request: GrantRequest) -> BoxFuture<'_, Result<UploadGrant, Error>> {
        Box::pin(self.grant(request))
    }

    fn listen(&self, news: News) {
        self.tokens.listen(news);
    }

    fn set_token(&self, token: StsToken) -> Result<(), Error> {
        self.tokens.push(token)
    }
}

impl fmt::Debug for DirectOss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DirectOss { endpoint, bucket, tokens, .. } = self;
        write!(f, "DirectOss({endpoint}, {bucket}, {tokens:?})")
    }
}

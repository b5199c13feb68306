//! The VOD API as an authorizer: the uploader itself calls CreateUploadVideo, CreateUploadImage and RefreshUploadVideo.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use vodferry_engine::{ErrorKind, FaultKind};
use vodferry_exchange::fault::classify_api;
use vodferry_oss::{Credential, Request};
use vodferry_vod::api::{ApiCall, ApiSignature, Granted, Refusal, host_of, request};
use vodferry_vod::{MediaKind, UploadAuth};

use crate::app_server::{grant_of, no_video_id};
use crate::ask::{Base, Line, bad_reply, refused};
use crate::authorizer::check_region;
use crate::clock::wall_ms;
use crate::sts::{Given, Tokens, still_dead};
use crate::{Authorizer, BoxFuture, Error, GrantRequest, Http, News, StsToken, UploadGrant};

/// Parameters of a call.
type Parameters = Vec<(String, String)>;

/// The VOD API, called with a temporary credential (STS mode) of AssumeRole that may call `vod:CreateUploadVideo`,
/// `vod:CreateUploadImage` and `vod:RefreshUploadVideo`.
///
/// ```no_run
/// # use vodferry::{Error, StsToken, Uploader, VodApi};
/// # async fn from_your_server() -> Result<StsToken, Error> { Ok(StsToken::new("STS.N…", "secret", "CAIS…")) }
/// # async fn main_() -> Result<(), Error> {
/// // Pushed: TokenExpired is told when it has run out, and `set_token` goes on.
/// let token = StsToken::new("STS.N…", "secret", "CAIS…").expiration("2026-11-20T11:00:00Z")?;
/// let pushed = VodApi::new("cn-shanghai", token)?;
/// // Pulled: nobody hears of it.
/// let pulled = VodApi::waiting("cn-shanghai")?.supplier(from_your_server);
/// let uploader = Uploader::builder().authorizer(pulled).build()?;
/// # Ok(()) }
/// ```
///
/// A plain access key works too and is meant for tests: whoever holds it may do what its owner may.
///
/// [`Media`](crate::Media) of a file becomes parameters of the call. The clock of this machine may be wrong: a call that the service
/// refuses for its time is repeated once with the service's, and all later ones go by that. An image has no refresh: when its credential
/// comes to its end, its upload begins anew with a new image. Clones share everything.
#[derive(Clone)]
pub struct VodApi {
    place: Arc<Mutex<Where>>,
    signature: ApiSignature,
    line: Line,
    tokens: Tokens,
    /// The service's clock minus this machine's, once a refusal told it.
    offset_ms: Arc<Mutex<Option<i64>>>,
}

/// Where the API is.
#[derive(Clone)]
enum Where {
    /// An upload auth may name another region, which later calls go to.
    Region(String),
    Endpoint(Base),
}

impl VodApi {
    /// The API in a region (`cn-shanghai`), or at an endpoint (`https://vod.example.com`, `http://127.0.0.1:8080`), called with
    /// `token`.
    ///
    /// # Errors
    ///
    /// Kind `Misuse` when `place` is neither, or the token holds what no request can.
    pub fn new(place: impl AsRef<str>, token: impl Into<StsToken>) -> Result<VodApi, Error> {
        VodApi::with(place.as_ref(), Tokens::new(token.into())?)
    }

    /// The same without a token: files wait until [`set_token`](VodApi::set_token), or a [`supplier`](VodApi::supplier), gives the
    /// first one.
    ///
    /// # Errors
    ///
    /// Kind `Misuse` when `place` is neither region nor endpoint.
    pub fn waiting(place: impl AsRef<str>) -> Result<VodApi, Error> {
        VodApi::with(place.as_ref(), Tokens::waiting())
    }

    fn with(place: &str, tokens: Tokens) -> Result<VodApi, Error> {
        let place = if place.contains("://") {
            Where::Endpoint(Base::parse("the endpoint of the VOD API", place)?)
        } else {
            check_region(place).map_err(|error| {
                let text = "neither a region nor an endpoint with http:// or https://";
                Error::misuse(format!("{text}: {}", error.message()))
            })?;
            Where::Region(place.to_owned())
        };
        Ok(VodApi {
            place: Arc::new(Mutex::new(place)),
            signature: ApiSignature::default(),
            line: Line::default(),
            tokens,
            offset_ms: Arc::default(),
        })
    }

    /// Asks `supplier` for a token when there is none, or the newest has run out. It is given 30 seconds; its errors are those of an
    /// [`Authorizer`].
    pub fn supplier<F, R>(mut self, supplier: F) -> VodApi
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<StsToken, Error>> + Send + 'static,
    {
        self.tokens.supplier(supplier);
        self
    }

    /// How calls are signed. Default: version 1.
    pub fn signature(mut self, signature: ApiSignature) -> VodApi {
        self.signature = signature;
        self
    }

    /// Sends through `http` instead of a client of its own with default options; see [`http_client`](crate::http_client). It is waited
    /// for as [`Http::timeouts`] says.
    pub fn http(mut self, http: Arc<dyn Http>) -> VodApi {
        self.line = Line::over(http);
        self
    }

    /// Takes a new token: the next call goes by it, and files that wait after TokenExpired go on. Harmless at any time, event handlers
    /// included.
    ///
    /// # Errors
    ///
    /// Kind `Misuse` when it is blank, or holds what no request can.
    pub fn set_token(&self, token: impl Into<StsToken>) -> Result<(), Error> {
        self.tokens.push(token.into())
    }

    async fn ask(&self, asked: GrantRequest) -> Result<UploadGrant, Error> {
        let (action, parameters, asked_ms) = call_for(asked)?;
        // What the service told of its clock is newer than what the uploader knows.
        let known_offset = asked_ms.saturating_sub(wall_ms());
        let now = || wall_ms().saturating_add(self.offset_ms().unwrap_or(known_offset));
        let (mut skewed, mut dead) = (false, None);
        loop {
            let given = self.tokens.current(None, now()).await;
            // Why the last one is dead says more than that there is no other.
            let Given { token, fresh } = given.map_err(|error| match error.fault_kind() {
                FaultKind::Expired => dead.take().unwrap_or(error),
                _ => error,
            })?;
            let credential = &token.credential;
            let base = self.base();
            let question = || self.question(&base, action, &parameters, credential, now());
            let response = self.line.ask("asking for upload auth", question).await?;
            if response.status < 300 {
                let Some(granted) = Granted::read(&response.body) else {
                    let text =
                        format!("{} does not answer {action} as the VOD API", base.authority);
                    return Err(bad_reply(text));
                };
                self.follow(&granted);
                return grant_of(granted, &format!("{} answered {action}, but", base.authority));
            }
            let told = Refusal::read(&response.body);
            let with_token = credential.security_token.is_some();
            let kind = match classify_api(response.status, &told.code, &told.message, with_token) {
                _ if response.status < 400 => FaultKind::Fatal(ErrorKind::Protocol),
                kind => kind,
            };
            let what = format!("{} refused {action}", base.authority);
            let refusal = refused(kind, what, &response, told);
            match (kind, response.date_ms()) {
                (FaultKind::ClockSkew, Some(date)) if !skewed => {
                    skewed = true;
                    self.learn(date);
                }
                (FaultKind::Expired, _) => {
                    self.tokens.retire(credential);
                    if fresh {
                        return Err(still_dead(refusal));
                    }
                    dead = Some(refusal);
                }
                _ => return Err(refusal),
            }
        }
    }

    fn question(
        &self,
        base: &Base,
        action: &str,
        parameters: &[(String, String)],
        credential: &Credential,
        at_ms: i64,
    ) -> Result<Request, Error> {
        let call = ApiCall {
            scheme: &base.scheme,
            authority: &base.authority,
            action,
            parameters,
            nonce: &nonce()?,
            at_ms,
        };
        Ok(request(&call, self.signature, credential))
    }

    fn base(&self) -> Base {
        match &*self.place.lock().unwrap_or_else(PoisonError::into_inner) {
            Where::Endpoint(base) => base.clone(),
            Where::Region(region) => {
                Base { scheme: "https".to_owned(), authority: host_of(region), path: String::new() }
            }
        }
    }

    /// Later calls go to the region that the service names.
    fn follow(&self, granted: &Granted) {
        let auth = UploadAuth::decode(granted.upload_auth.expose()).ok();
        let named = auth.and_then(|auth| auth.region).filter(|name| check_region(name).is_ok());
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Where::Region(region), Some(named)) = (&mut *place, named) {
            *region = named;
        }
    }

    fn offset_ms(&self) -> Option<i64> {
        *self.offset_ms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn learn(&self, date_ms: i64) {
        let offset = date_ms.saturating_sub(wall_ms());
        *self.offset_ms.lock().unwrap_or_else(PoisonError::into_inner) = Some(offset);
    }
}

/// The call that answers a question, and the time at which it was asked.
fn call_for(asked: GrantRequest) -> Result<(&'static str, Parameters, i64), Error> {
    Ok(match asked {
        GrantRequest::Create { name, title, kind: MediaKind::Image, media, now_ms, .. } => {
            ("CreateUploadImage", media.image_parameters(&title, &name), now_ms)
        }
        GrantRequest::Create { name, title, size, media, now_ms, .. } => {
            ("CreateUploadVideo", media.video_parameters(&title, &name, size), now_ms)
        }
        GrantRequest::Refresh { kind: MediaKind::Image, .. } => {
            let text = "the credential of an image cannot be refreshed; its upload begins anew";
            return Err(Error::video_gone("ImageNotRefreshed", text));
        }
        GrantRequest::Refresh { video_id: Some(video_id), now_ms, .. } => {
            let parameters = vec![("VideoId".to_owned(), video_id)];
            ("RefreshUploadVideo", parameters, now_ms)
        }
        GrantRequest::Refresh { video_id: None, .. } => return Err(no_video_id()),
    })
}

/// A text that is never used twice.
fn nonce() -> Result<String, Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        Error::new(ErrorKind::Io, "NoRandomness", "the system gives no randomness")
            .with_source(error)
    })?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

impl Authorizer for VodApi {
    fn authorize(&self, request: GrantRequest) -> BoxFuture<'_, Result<UploadGrant, Error>> {
        Box::pin(self.ask(request))
    }

    fn listen(&self, news: News) {
        self.tokens.listen(news);
    }

    fn set_token(&self, token: StsToken) -> Result<(), Error> {
        self.tokens.push(token)
    }

    fn network_changed(&self) {
        self.line.network_changed();
    }
}

impl fmt::Debug for VodApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Base { scheme, authority, path } = self.base();
        write!(f, "VodApi({scheme}://{authority}{path}, {:?})", self.tokens)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> StsToken {
        StsToken::new("STS.a", "hush-secret", "hush-token")
    }

    #[test]
    fn a_place_is_a_region_or_an_endpoint() {
        let shown = |place: &str| format!("{:?}", VodApi::new(place, token()).unwrap());
        assert_eq!(shown("cn-beijing"), "VodApi(https://vod.cn-beijing.aliyuncs.com, Tokens(***))");
        assert_eq!(shown("http://127.0.0.1:81/"), "VodApi(http://127.0.0.1:81, Tokens(***))");
        for place in ["", "oss-cn-beijing", "vod.cn-shanghai.aliyuncs.com", "ftp://h", "a b"] {
            let error = VodApi::new(place, token()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Misuse, "{place}");
        }
    }

    #[test]
    fn blank_and_unsendable_tokens_are_refused() {
        for token in [
            StsToken::new("", "s", "t"),
            StsToken::new("a", "", "t"),
            StsToken::new("a", "s", ""),
            StsToken::new("a\r\nx: y", "s", "hush"),
        ] {
            let error = VodApi::new("cn-shanghai", token.clone()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Misuse);
            let api = VodApi::waiting("cn-shanghai").unwrap();
            assert!(!format!("{:?}", api.set_token(token).unwrap_err()).contains("hush"));
        }
        assert!(token().expiration("in an hour").is_err());
        let at = token().expiration("2026-11-20T10:00:00Z").unwrap().expires_at_ms;
        assert_eq!(at, Some(1_795_168_800_000));
    }
}

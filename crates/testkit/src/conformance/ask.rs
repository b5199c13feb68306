//! One request: built, signed and sent over real HTTP.

use std::sync::Once;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::redirect::Policy;
use vodferry_oss::encode::encode_component;
use vodferry_oss::etag::{content_md5, md5};
use vodferry_oss::sign::{OptionsV4, presign_v1, presign_v4, sign_v1, sign_v4};
use vodferry_oss::{Credential, Method, Request, Response, Style};

use super::reply::Reply;
use super::room::Room;
use super::{Failure, Target};

/// How a request is signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Signing {
    /// HMAC-SHA1, in a header.
    V1,
    /// OSS4-HMAC-SHA256, in a header.
    #[default]
    V4,
    /// V1 in the query, for five minutes from the request's time on.
    UrlV1,
    /// V4 in the query, for five minutes from the request's time on.
    UrlV4,
    /// Not at all.
    None,
}

/// A request that is being put together; [`Ask::send`] signs and sends it.
#[derive(Clone)]
pub struct Ask<'a> {
    room: &'a Room,
    request: Request,
    bucket_path: String,
    bucket: String,
    key: String,
    signing: Signing,
    credential: Credential,
    late_by_s: i64,
    tampered: bool,
    cut: bool,
    chunked: bool,
    unannounced: bool,
    plus: bool,
    region: String,
    life_s: u32,
}

impl<'a> Ask<'a> {
    pub(super) fn new(
        room: &'a Room,
        target: &Target,
        method: Method,
        bucket: &str,
        key: &str,
    ) -> Result<Ask<'a>, Failure> {
        let place = vodferry_oss::Target {
            endpoint: target.endpoint.clone(),
            bucket: bucket.to_owned(),
            key: String::new(),
        };
        // The service itself has no bucket in front; a bound domain is written the same way.
        let (place, style) = match bucket {
            "" => (vodferry_oss::Target { bucket: target.bucket.clone(), ..place }, Style::Cname),
            _ if target.style == Style::Cname && bucket != target.bucket => {
                let what = format!("{bucket} at {}: it is bound to one bucket", target.endpoint);
                return Err(Failure::NotOffered(what));
            }
            _ => (place, target.style),
        };
        let mut request = Request::to(method, &place, style).map_err(|error| {
            Failure::NotOffered(format!("{bucket} at {}: {error}", target.endpoint))
        })?;
        // Written here, because a client refuses some keys that a server must answer to.
        let bucket_path = request.path.clone();
        let segments: Vec<String> = key.split('/').map(encode_component).collect();
        request.path.push_str(&segments.join("/"));
        Ok(Ask {
            room,
            request,
            bucket_path,
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            signing: target.signing,
            credential: target.credential.clone(),
            late_by_s: 0,
            tampered: false,
            cut: false,
            chunked: false,
            unannounced: false,
            plus: false,
            region: target.region.clone(),
            life_s: 300,
        })
    }

    /// With a query parameter; an empty value is sent as the bare name.
    pub fn query(mut self, name: &str, value: impl ToString) -> Self {
        self.request.query.push((name.into(), value.to_string()));
        self
    }

    /// With a header; `name` in lower case.
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.request.set_header(name, value);
        self
    }

    /// With a body.
    pub fn body(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.request.body = bytes.as_ref().to_vec();
        self
    }

    /// The slashes of its key are sent as `%2F`.
    pub fn encoded_whole(mut self) -> Self {
        self.request.path = format!("{}{}", self.bucket_path, encode_component(&self.key));
        self
    }

    /// With a document and the Content-MD5 that some calls want.
    pub fn document(self, xml: &str) -> Self {
        self.header("content-md5", content_md5(&md5(xml.as_bytes()))).body(xml)
    }

    /// Its body in chunks, of a length that is not told beforehand.
    pub fn chunked(mut self) -> Self {
        self.chunked = true;
        self
    }

    /// Without a word about the length of its body, which it must not have.
    pub fn unannounced(mut self) -> Self {
        self.unannounced = true;
        self
    }

    /// Announces its whole body, sends half and hangs up.
    pub fn cut(mut self) -> Self {
        self.cut = true;
        self
    }

    /// Signed in another way.
    pub fn signed(mut self, signing: Signing) -> Self {
        self.signing = signing;
        self
    }

    /// Signed by another.
    pub fn by(mut self, credential: Credential) -> Self {
        self.credential = credential;
        self
    }

    /// Signed as if this many seconds earlier (or, below zero, later).
    pub fn late_by(mut self, seconds: i64) -> Self {
        self.late_by_s = seconds;
        self
    }

    /// With a query parameter that was added when the signature was made.
    pub fn tampered(mut self) -> Self {
        self.tampered = true;
        self
    }

    /// Signed with V4 for another region.
    pub fn in_region(mut self, region: &str) -> Self {
        self.region = region.to_owned();
        self
    }

    /// With a signature in the query that lasts so many seconds.
    pub fn lasting(mut self, seconds: u32) -> Self {
        self.life_s = seconds;
        self
    }

    /// With `+` for each space of the query.
    pub fn plus_for_space(mut self) -> Self {
        self.plus = true;
        self
    }

    /// On a bucket of any name, however odd; `None` where the bucket is not in the path.
    pub fn renamed_in_path(mut self, bucket: &str) -> Option<Self> {
        if self.request.path != format!("/{}/", self.bucket) {
            return None;
        }
        self.request.path = format!("/{bucket}/");
        self.bucket = bucket.to_owned();
        Some(self)
    }

    /// Signs and sends; the reply has what every reply must have.
    pub async fn send(self) -> Result<Reply, Failure> {
        let (line, method) = (self.line(), self.request.method);
        let response = self
            .exchange()
            .await
            .map_err(|error| Failure::Differs(format!("{line}: expected a reply, got: {error}")))?;
        Reply::checked(line, method, response)
    }

    /// Signs and sends for what it does to the target; whether a reply comes is not asked.
    pub async fn send_and_forget(self) {
        self.exchange().await.ok();
    }

    fn line(&self) -> String {
        let names: Vec<&str> = self.request.query.iter().map(|(name, _)| name.as_str()).collect();
        let query = if names.is_empty() { String::new() } else { format!("?{}", names.join("&")) };
        format!("{} {}{query}", self.request.method.as_str(), self.request.path)
    }

    async fn exchange(mut self) -> Result<Response, String> {
        self.sign();
        if self.tampered {
            self.request.query.push(("acl".into(), String::new()));
        }
        let request = self.request;
        let method = reqwest::Method::from_bytes(request.method.as_str().as_bytes());
        let mut url = request.url();
        if self.plus
            && let Some((path, query)) = url.split_once('?')
        {
            url = format!("{path}?{}", query.replace("%20", "+"));
        }
        let mut sent = self.room.http().request(method.map_err(|error| error.to_string())?, url);
        for (name, value) in &request.headers {
            sent = sent.header(name, value);
        }
        let length = request.body.len();
        if self.cut {
            let half = request.body.get(..length / 2).unwrap_or_default().to_vec();
            let pieces = [Ok(half), Err(std::io::Error::other("cut on purpose"))];
            let body = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
            sent = sent.header("content-length", length).body(body);
        } else if self.chunked {
            let pieces: Vec<_> = request
                .body
                .chunks(1000)
                .map(|piece| Ok::<_, std::io::Error>(piece.to_vec()))
                .collect();
            sent = sent.body(reqwest::Body::wrap_stream(futures_util::stream::iter(pieces)));
        } else if length > 0 {
            sent = sent.body(request.body);
        } else if matches!(request.method, Method::Put | Method::Post) && !self.unannounced {
            sent = sent.header("content-length", "0");
        }
        let came = sent.send().await.map_err(told)?;
        let status = came.status().as_u16();
        let headers = came.headers().iter();
        let headers = headers
            .map(|(name, value)| {
                (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
            })
            .collect();
        let body = came.bytes().await.map_err(told)?.to_vec();
        Ok(Response { status, headers, body })
    }

    fn sign(&mut self) {
        let (bucket, key, who) = (&self.bucket, &self.key, &self.credential);
        let at_ms = now_ms() - self.late_by_s * 1000;
        let options = OptionsV4 { region: &self.region, additional_headers: &[] };
        let request = &mut self.request;
        match self.signing {
            Signing::V1 => sign_v1(request, bucket, key, who, at_ms),
            Signing::V4 => sign_v4(request, bucket, key, who, options, at_ms),
            Signing::UrlV1 => {
                let until = u64::try_from(at_ms / 1000).unwrap_or(0) + u64::from(self.life_s);
                presign_v1(request, bucket, key, who, until);
            }
            Signing::UrlV4 => presign_v4(request, bucket, key, who, options, at_ms, self.life_s),
            Signing::None => {}
        }
    }
}

/// No redirects, no retries, no proxy: what is sent is what arrives.
pub(super) fn client() -> Result<reqwest::Client, Failure> {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        // An error means that the process has one already, which serves as well.
        rustls::crypto::ring::default_provider().install_default().ok();
    });
    reqwest::Client::builder()
        .redirect(Policy::none())
        .no_proxy()
        .timeout(Duration::from_secs(60))
        .build()
        .map_err(|error| Failure::Differs(format!("no HTTP client: {}", told(error))))
}

pub(super) fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

/// An error and its causes, without the URL, which may be signed.
fn told(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        text.push_str(&format!(": {inner}"));
        cause = inner.source();
    }
    text
}

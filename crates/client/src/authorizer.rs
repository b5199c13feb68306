//! Who may upload where: grants, and the one who hands them out.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};

use vodferry_engine::{Op, Target};
use vodferry_exchange::{Authority, Digests, Signature, request};
use vodferry_oss::Credential;
use vodferry_oss::address::Style as AddressStyle;
use vodferry_vod::{Media, MediaKind};

use crate::clock::wall_ms;
use crate::media::kind_of;
use crate::shell::Shared;
use crate::{Error, StsToken};

/// A future in a box, as the object-safe traits of this crate return it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The right to upload one file: where it goes, who signs, until when, and for which video.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadGrant {
    /// Where the object goes.
    pub target: Target,
    /// Signs the requests. Prints without its secrets.
    pub credential: Credential,
    /// How the bucket is named in requests. The default suits the service's own domains, IP addresses and `localhost`.
    pub style: AddressStyle,
    /// When the credential dies, in milliseconds since 1970; `None` when it does not, or nobody knows.
    pub expires_at_ms: Option<i64>,
    /// The video (or image) this upload belongs to; `None` for plain uploads.
    pub video_id: Option<String>,
    /// Where the image will be seen; `None` for what is no image.
    pub image_url: Option<String>,
    /// Region of the bucket, for example `cn-hangzhou`: requests are signed by V4. `None`: by V1, unless
    /// [`Options::region`](crate::Options::region) says otherwise.
    pub region: Option<String>,
}

impl UploadGrant {
    /// For a place and a credential known beforehand.
    pub fn new(target: Target, credential: Credential) -> UploadGrant {
        let style = AddressStyle::Auto;
        let (expires_at_ms, video_id, image_url, region) = (None, None, None, None);
        UploadGrant { target, credential, style, expires_at_ms, video_id, image_url, region }
    }

    /// Reads an upload address and upload auth as the application server hands them out.
    ///
    /// # Errors
    ///
    /// Kind `Misuse`, saying which of the two is not what it should be (swapped ones included).
    pub fn from_upload_auth(address: &str, auth: &str) -> Result<UploadGrant, Error> {
        let (authority, expires_at_ms) = Authority::from_upload(address, auth, wall_ms())
            .map_err(|error| Error::misuse(error.message()).with_source(error))?;
        // What no request can be made of is told here, where it is known who gave it.
        check_sendable(&authority.credential)?;
        let op = Op::InitiateMultipartUpload;
        request(&op, &authority, &Digests::default(), &[], 0).map_err(|fault| {
            Error::misuse(format!("the upload address cannot be used: {}", fault.message))
        })?;
        let vodferry_oss::Target { endpoint, bucket, key } = authority.target;
        Ok(UploadGrant {
            target: Target { endpoint, bucket, key },
            credential: authority.credential,
            style: authority.style,
            expires_at_ms,
            video_id: None,
            image_url: None,
            region: None,
        })
    }

    /// What is wrong with it whatever the server says. (A place of which no request can be made fails its file alone.)
    pub(crate) fn check(&self) -> Result<(), Error> {
        check_sendable(&self.credential)?;
        self.region.as_deref().map_or(Ok(()), check_region)
    }

    /// What the shell keeps behind a grant id. `region`: for a grant that names none.
    pub(crate) fn rights(&self, region: Option<&str>) -> Rights {
        let Target { endpoint, bucket, key } = self.target.clone();
        let authority = Authority {
            credential: self.credential.clone(),
            target: vodferry_oss::Target { endpoint, bucket, key },
            style: self.style,
        };
        let signature = match self.region.as_deref().or(region) {
            Some(region) => Signature::V4 { region: region.to_owned() },
            None => Signature::V1,
        };
        Rights { authority, signature }
    }

    /// Says for which video it is, so that it can be refreshed.
    pub fn video_id(mut self, video_id: impl Into<String>) -> UploadGrant {
        self.video_id = Some(video_id.into());
        self
    }

    /// Says where the image will be seen.
    pub fn image_url(mut self, url: impl Into<String>) -> UploadGrant {
        self.image_url = Some(url.into());
        self
    }

    /// Says how the bucket is named in requests.
    pub fn style(mut self, style: AddressStyle) -> UploadGrant {
        self.style = style;
        self
    }

    /// Names the region of the bucket, for example `cn-hangzhou`: requests are signed by V4.
    pub fn region(mut self, region: impl Into<String>) -> UploadGrant {
        self.region = Some(region.into());
        self
    }

    /// Says when the credential dies (milliseconds since 1970), so that it is renewed beforehand.
    pub fn expires_at_ms(mut self, at: i64) -> UploadGrant {
        self.expires_at_ms = Some(at);
        self
    }
}

/// What signs the requests of a grant, and how.
pub(crate) struct Rights {
    pub(crate) authority: Authority,
    pub(crate) signature: Signature,
}

/// Whether `region` is one: letters, digits and dashes.
///
/// # Errors
///
/// Kind `Misuse` when it is not. `oss-cn-hangzhou` is the name of a host: the region is `cn-hangzhou`.
pub(crate) fn check_region(region: &str) -> Result<(), Error> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if region.is_empty() || region.len() > 64 || !region.bytes().all(fits) {
        return Err(Error::misuse("a region is letters, digits and dashes, such as cn-hangzhou"));
    }
    match region.strip_prefix("oss-") {
        Some(rest) => {
            Err(Error::misuse(format!("{region} is part of a host name: the region is {rest}")))
        }
        None => Ok(()),
    }
}

/// Whether a credential can stand in headers.
///
/// # Errors
///
/// Kind `Misuse` when it cannot.
pub(crate) fn check_sendable(credential: &Credential) -> Result<(), Error> {
    let visible = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    let Credential { access_key_id, security_token, .. } = credential;
    if !visible(access_key_id) || !security_token.iter().all(|token| visible(token.expose())) {
        return Err(Error::misuse(
            "the access key or its token holds characters that HTTP does not allow",
        ));
    }
    Ok(())
}

/// What an [`Authorizer`] is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GrantRequest {
    /// A place for a new video or image.
    #[non_exhaustive]
    Create {
        /// The file's name, with its extension.
        name: String,
        /// The title to give it: that of `media`, or the name without its extension.
        title: String,
        /// The file's length in bytes; 0 when it is not known yet.
        size: u64,
        /// Video or image.
        kind: MediaKind,
        /// What else the service is to be told.
        media: Media,
        /// The time in milliseconds since 1970: this machine's, corrected by what replies of servers told.
        now_ms: i64,
    },
    /// A new credential for the place the file already has.
    #[non_exhaustive]
    Refresh {
        /// The file's name, with its extension.
        name: String,
        /// Video or image.
        kind: MediaKind,
        /// The video or image; `None` for uploads without one.
        video_id: Option<String>,
        /// The place.
        target: Option<Target>,
        /// The credential that is to be replaced; `None` where none is known, as for an upload that an earlier process began.
        replaces: Option<Credential>,
        /// The time in milliseconds since 1970: this machine's, corrected by what replies of servers told.
        now_ms: i64,
    },
}

impl GrantRequest {
    /// Asks for a place: for applications that ask an [`Authorizer`] themselves.
    pub fn create(
        name: impl Into<String>,
        title: impl Into<String>,
        size: u64,
        media: Media,
    ) -> GrantRequest {
        let (name, title) = (name.into(), title.into());
        let kind = kind_of(&media, &name, None);
        GrantRequest::Create { name, title, size, kind, media, now_ms: wall_ms() }
    }

    /// Asks for a new credential for a video: as [`GrantRequest::create`].
    pub fn refresh(video_id: Option<String>, target: Option<Target>) -> GrantRequest {
        let (name, kind) = (String::new(), MediaKind::Video);
        let (replaces, now_ms) = (None, wall_ms());
        GrantRequest::Refresh { name, kind, video_id, target, replaces, now_ms }
    }
}

/// Hands out grants when the uploader needs them: at the start of a file, and before a credential dies.
///
/// [`AppServer`](crate::AppServer) is one. So is a function:
///
/// ```
/// # use vodferry::{Error, ErrorKind, GrantRequest, UploadGrant, Uploader};
/// let authorizer = |request: GrantRequest| async move {
///     // Ask your own server here.
///     Err::<UploadGrant, _>(Error::new(ErrorKind::Auth, "NotYet", format!("no answer to {request:?}")))
/// };
/// let builder = Uploader::builder().authorizer(authorizer);
/// ```
///
/// It is asked once at a time. An error made by [`Error::transient`] is followed by another question after a pause;
/// [`Error::video_gone`] to a Refresh begins the upload anew; [`Error::token_expired`] makes the file wait, TokenExpired is told,
/// until the authorizer [has news](News) or [`Uploader::authorize`](crate::Uploader::authorize) gives the grant; any other ends the
/// file.
pub trait Authorizer: Send + Sync + 'static {
    /// Gives the grant asked for.
    fn authorize(&self, request: GrantRequest) -> BoxFuture<'_, Result<UploadGrant, Error>>;

    /// An uploader asks from now on, and wants to hear when there are grants again after there were none.
    fn listen(&self, news: News) {
        drop(news);
    }

    /// Takes a temporary credential that the application supplies, see [`Uploader::set_token`](crate::Uploader::set_token).
    ///
    /// # Errors
    ///
    /// Kind `Misuse` when this authorizer has no use for one, or it holds what no request can.
    fn set_token(&self, token: StsToken) -> Result<(), Error> {
        drop(token);
        Err(Error::misuse("this authorizer takes no temporary credential"))
    }

    /// The way to the network changed: connections kept from before are not to be used again, questions under way to be asked anew.
    fn network_changed(&self) {}
}

impl<F, R> Authorizer for F
where
    F: Fn(GrantRequest) -> R + Send + Sync + 'static,
    R: Future<Output = Result<UploadGrant, Error>> + Send + 'static,
{
    fn authorize(&self, request: GrantRequest) -> BoxFuture<'_, Result<UploadGrant, Error>> {
        Box::pin(self(request))
    }
}

/// With this an authorizer tells an uploader that it can give what it could not give before: files that wait after TokenExpired ask
/// again. It does not keep the uploader alive.
#[derive(Clone)]
pub struct News {
    shared: Weak<Shared>,
}

impl News {
    pub(crate) fn of(shared: &Arc<Shared>) -> News {
        News { shared: Arc::downgrade(shared) }
    }

    /// Tells it. Harmless at any time, from any task, event handlers included.
    pub fn tell(&self) {
        if let Some(shared) = self.shared.upgrade() {
            shared.supplied();
        }
    }

    /// Whether the uploader is still there.
    pub fn is_wanted(&self) -> bool {
        self.shared.strong_count() > 0
    }
}

impl fmt::Debug for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("News").field("wanted", &self.is_wanted()).finish()
    }
}

#[cfg(test)]
mod tests {
    use vodferry_engine::ErrorKind;
    use vodferry_vod::{UploadAddress, UploadAuth};

    use super::*;

    fn granted(endpoint: &str, bucket: &str, key_id: &str) -> Result<UploadGrant, Error> {
        let address = UploadAddress {
            endpoint: endpoint.into(),
            bucket: bucket.into(),
            file_name: "sv/a.mp4".into(),
        };
        let auth = UploadAuth {
            access_key_id: key_id.into(),
            access_key_secret: "hush".into(),
            security_token: "token".into(),
            expire_utc_time: None,
            expiration_secs: Some(3000),
            region: None,
        };
        UploadGrant::from_upload_auth(&address.encode(), &auth.encode())
    }

    #[test]
    fn a_place_of_which_no_request_can_be_made_is_refused_where_it_comes_from() {
        granted("http://127.0.0.1:9000", "vod-media", "STS.A").unwrap();
        for (endpoint, bucket, key_id) in [
            ("javascript:alert(1)", "vod-media", "STS.A"),
            ("http://u:p@host", "vod-media", "STS.A"),
            ("http://127.0.0.1:9000", "../x", "STS.A"),
            ("http://127.0.0.1:9000", "vod-media", "STS.A\r\nx: y"),
        ] {
            let error = granted(endpoint, bucket, key_id).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Misuse, "{endpoint} {bucket} {key_id}");
            assert!(!error.to_string().contains("hush"));
        }
    }
}

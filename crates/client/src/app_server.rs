//! The application server as an authorizer: `POST {base}/api/upload-auth/create`, `…/image` and `…/refresh`.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use vodferry_engine::{ErrorKind, FaultKind};
use vodferry_exchange::fault::classify_api;
use vodferry_oss::{Method, Request, Response, Secret};
use vodferry_vod::api::{Granted, Refusal};
use vodferry_vod::{Media, MediaKind, image_extension};

use crate::ask::{Base, Line, bad_reply, refused};
use crate::{Authorizer, BoxFuture, Error, GrantRequest, Http, UploadGrant};

/// An application server that hands out upload address and upload auth.
///
/// It is asked by `POST {base}/api/upload-auth/create` with `{"Title", "FileName", "FileSize"}` and what else [`Media`] says of a
/// video, by `…/image` with `{"Title", "OriginalFileName", "ImageType", "ImageExt"}` and the same of an image, and by `…/refresh` with
/// `{"VideoId"}`. It answers `{"RequestId", "VideoId", "UploadAddress", "UploadAuth"}`, of an image `ImageId` and `ImageURL` instead of
/// `VideoId`, or `{"RequestId", "Code", "Message"}` with a status of 400 or more. Clones share their connections.
#[derive(Clone)]
pub struct AppServer {
    base: Base,
    bearer: Option<Secret>,
    line: Line,
}

impl AppServer {
    /// The server at `base`, for example `https://video.example.com` or `http://127.0.0.1:8080/app`.
    ///
    /// # Errors
    ///
    /// Kind `Misuse` when `base` is not an `http://` or `https://` URL, or has a user, a query or a fragment.
    pub fn new(base: impl AsRef<str>) -> Result<AppServer, Error> {
        let base = Base::parse("the application server's URL", base.as_ref())?;
        Ok(AppServer { base, bearer: None, line: Line::default() })
    }

    /// Sends this token as `Authorization: Bearer …`.
    pub fn bearer(mut self, token: impl Into<Secret>) -> AppServer {
        self.bearer = Some(token.into());
        self
    }

    /// Sends through `http` instead of a client of its own with default options; see [`http_client`](crate::http_client). It is waited
    /// for as [`Http::timeouts`] says.
    pub fn http(mut self, http: Arc<dyn Http>) -> AppServer {
        self.line = Line::over(http);
        self
    }

    async fn ask(&self, request: GrantRequest) -> Result<UploadGrant, Error> {
        let (verb, json) = match &request {
            GrantRequest::Create { name, title, media, kind: MediaKind::Image, .. } => {
                ("image", serde_json::to_vec(&Create::image(name, title, media)))
            }
            GrantRequest::Create { name, title, size, media, .. } => {
                ("create", serde_json::to_vec(&Create::video(name, title, *size, media)))
            }
            GrantRequest::Refresh { video_id: Some(video_id), .. } => {
                ("refresh", serde_json::to_vec(&Refresh { video_id }))
            }
            GrantRequest::Refresh { video_id: None, .. } => return Err(no_video_id()),
        };
        let json = json.map_err(|error| {
            Error::misuse("the question cannot be written as JSON").with_source(error)
        })?;
        let path = format!("/api/upload-auth/{verb}");
        let response = self.post("asking for upload auth", &path, &json).await?;
        if response.status >= 300 {
            let what = format!("{} refused to {verb} an upload", self.base.authority);
            return Err(refusal(what, &response));
        }
        let Some(granted) = Granted::read(&response.body) else {
            let host = &self.base.authority;
            let text = format!("{host} does not answer {verb} as an application server");
            return Err(bad_reply(text));
        };
        grant_of(granted, &format!("{} answered {verb}, but", self.base.authority))
    }

    /// Sends `json`; a status that is not success is no error here.
    pub(crate) async fn post(
        &self,
        about: &str,
        path: &str,
        json: &[u8],
    ) -> Result<Response, Error> {
        let mut headers = vec![
            ("accept".to_owned(), "application/json".to_owned()),
            ("content-type".to_owned(), "application/json".to_owned()),
        ];
        if let Some(token) = &self.bearer {
            if !token.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
                let text = "the bearer token holds characters that HTTP does not allow";
                return Err(Error::misuse(text));
            }
            headers.push(("authorization".to_owned(), format!("Bearer {}", token.expose())));
        }
        let question = || {
            Ok(Request {
                method: Method::Post,
                scheme: self.base.scheme.clone(),
                authority: self.base.authority.clone(),
                path: format!("{}{path}", self.base.path),
                query: Vec::new(),
                headers: headers.clone(),
                body: json.to_vec(),
            })
        };
        self.line.ask(about, question).await
    }
}

/// What a status that is not success means. `what` says who refused what.
pub(crate) fn refusal(what: String, response: &Response) -> Error {
    let told = Refusal::read(&response.body);
    let kind = match classify_api(response.status, &told.code, &told.message, false) {
        _ if (300..400).contains(&response.status) => FaultKind::Fatal(ErrorKind::Protocol),
        // Its own key at the service died: nothing that this side could supply.
        FaultKind::Expired => FaultKind::Fatal(ErrorKind::Auth),
        FaultKind::ClockSkew => FaultKind::Transient(ErrorKind::Auth),
        kind => kind,
    };
    refused(kind, what, response, told)
}

/// The grant that a reply holds. `but` begins the error for one that does not: `host answered create, but`.
pub(crate) fn grant_of(granted: Granted, but: &str) -> Result<UploadGrant, Error> {
    let Granted { request_id, media_id, image_url, upload_address, upload_auth } = granted;
    let grant = UploadGrant::from_upload_auth(&upload_address, upload_auth.expose());
    let mut grant = grant.map_err(|error| {
        bad_reply(format!("{but} {}", error.message())).with_request_id(request_id)
    })?;
    grant.video_id = media_id;
    grant.image_url = image_url;
    Ok(grant)
}

/// For an upload that belongs to no video.
pub(crate) fn no_video_id() -> Error {
    let text = "this upload has no video id, so its credential cannot be refreshed";
    Error::new(ErrorKind::Auth, "NoVideoId", text)
}

impl Authorizer for AppServer {
    fn authorize(&self, request: GrantRequest) -> BoxFuture<'_, Result<UploadGrant, Error>> {
        Box::pin(self.ask(request))
    }

    fn network_changed(&self) {
        self.line.network_changed();
    }
}

impl fmt::Debug for AppServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Base { scheme, authority, path } = &self.base;
        write!(f, "AppServer({scheme}://{authority}{path})")
    }
}

/// What is said of a new video or image; what was not set is left out.
#[derive(Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Create<'a> {
    title: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    original_file_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_ext: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "String::is_empty")]
    tags: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    cate_id: Option<i64>,
    #[serde(rename = "CoverURL", skip_serializing_if = "Option::is_none")]
    cover_url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    template_group_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    workflow_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    storage_location: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    app_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_data: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trans_code_mode: Option<&'a str>,
}

impl<'a> Create<'a> {
    fn video(name: &'a str, title: &'a str, size: u64, media: &'a Media) -> Create<'a> {
        Create {
            file_name: Some(name),
            file_size: Some(size),
            cover_url: media.cover_url.as_deref(),
            template_group_id: media.template_group_id.as_deref(),
            workflow_id: media.workflow_id.as_deref(),
            trans_code_mode: media.transcode_mode(),
            ..Create::common(title, media)
        }
    }

    fn image(name: &'a str, title: &'a str, media: &'a Media) -> Create<'a> {
        Create {
            original_file_name: Some(name),
            image_type: Some(media.image_type.as_str()),
            image_ext: image_extension(name),
            ..Create::common(title, media)
        }
    }

    fn common(title: &'a str, media: &'a Media) -> Create<'a> {
        Create {
            title,
            description: media.description.as_deref(),
            tags: media.joined_tags(),
            cate_id: media.category_id,
            storage_location: media.storage_location.as_deref(),
            app_id: media.app_id.as_deref(),
            user_data: media.user_data.as_deref(),
            ..Create::default()
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Refresh<'a> {
    video_id: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_token() {
        let app = AppServer::new("http://h:1/x/").unwrap().bearer("hush");
        assert_eq!(format!("{app:?}"), "AppServer(http://h:1/x)");
    }
}

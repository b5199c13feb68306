//! Videos and images, as both faces of the upload service see them: the VOD API and the application server.

use std::time::Duration;

use vodferry_oss::{Method, Request, Style, Target};
use vodferry_vod::{MediaKind, UploadAddress, UploadAuth, image_extension};

use super::App;
use super::call::Call;
use crate::policy::Policy;
use crate::store::{MetaError, NewVideo, Video};
use crate::token::{IssueError, KeyMark, Subject, issue_to};

/// What the application says about a file that is to be uploaded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proposal {
    /// Video or image.
    pub(crate) kind: MediaKind,
    /// Name with an extension that is known; a whole path is allowed. Of an image it may be empty.
    pub(crate) file_name: String,
    /// Up to 128 characters; without one, the file's name without its extension.
    pub(crate) title: Option<String>,
    /// Bytes, a hint.
    pub(crate) file_size: Option<u64>,
    /// Up to 1024 characters.
    pub(crate) description: String,
    /// Up to 16, separated by commas, each of up to 32 characters.
    pub(crate) tags: String,
    /// Taken as it is.
    pub(crate) cover_url: String,
    /// Taken as it is.
    pub(crate) cate_id: Option<i64>,
    /// JSON, taken as it is.
    pub(crate) user_data: String,
    /// Taken as it is.
    pub(crate) template_group_id: String,
    /// Taken as it is.
    pub(crate) workflow_id: String,
    /// Taken as it is.
    pub(crate) app_id: String,
    /// `FastTranscode`, `NoTranscode`, or empty.
    pub(crate) transcode_mode: String,
    /// The bucket of videos, by its name or host, or empty.
    pub(crate) storage_location: String,
    /// Of an image: `default` (taken when empty) or `cover`.
    pub(crate) image_type: String,
    /// Of an image: `png`, `jpg`, `jpeg` or `gif`; when empty, that of the file's name, otherwise `png`.
    pub(crate) image_ext: String,
}

/// The right to upload one video or image.
pub(crate) struct Granted {
    /// The video or image.
    pub(crate) video_id: String,
    /// Where an image will be; none for a video.
    pub(crate) image_url: Option<String>,
    /// Base64 of where.
    pub(crate) upload_address: String,
    /// Base64 of with what.
    pub(crate) upload_auth: String,
}

/// Why an upload service call was refused.
#[derive(Debug)]
pub(crate) struct ApiError {
    /// HTTP status.
    pub(crate) status: u16,
    /// As clients match it.
    pub(crate) code: String,
    /// One line for people.
    pub(crate) message: String,
}

/// Writes down a new video and hands out the right to upload it, for as long as the key that asked is
/// not disabled.
pub(crate) async fn create(
    app: &App,
    call: &Call,
    issuer: Option<KeyMark>,
    proposal: Proposal,
) -> Result<Granted, ApiError> {
    let extension = check(&proposal)?;
    let bucket = app.config.bucket.clone();
    let location = proposal.storage_location.split('.').next().unwrap_or_default();
    if !location.is_empty() && location != bucket {
        let message = "StorageLocation is not the bucket of this server";
        return Err(ApiError::new(404, "InvalidStorage.NotFound", message));
    }
    let name = base_name(&proposal.file_name);
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let title = proposal.title.unwrap_or_else(|| stem.chars().take(MAX_TITLE).collect());
    let video_id = new_video_id()?;
    let image_type = match proposal.kind {
        MediaKind::Video => String::new(),
        MediaKind::Image if proposal.image_type.is_empty() => IMAGE_TYPES[0].to_owned(),
        MediaKind::Image => proposal.image_type,
    };
    let video = NewVideo {
        bucket,
        key: match proposal.kind {
            MediaKind::Video => format!("sv/{video_id}/{video_id}.{extension}"),
            MediaKind::Image => format!("image/{image_type}/{video_id}.{extension}"),
        },
        title,
        file_name: proposal.file_name,
        size: proposal.file_size.unwrap_or(0),
        description: proposal.description,
        tags: proposal.tags,
        cover_url: proposal.cover_url,
        cate_id: proposal.cate_id,
        user_data: proposal.user_data,
        kind: proposal.kind,
        template_group_id: proposal.template_group_id,
        workflow_id: proposal.workflow_id,
        app_id: proposal.app_id,
        transcode_mode: proposal.transcode_mode,
        image_type,
        video_id,
    };
    let video = app.meta.create_video(video, app.now_ms()).await?;
    grant(app, call, issuer, &video)
}

/// Hands out a new right for the same place.
pub(crate) async fn refresh(
    app: &App,
    call: &Call,
    issuer: Option<KeyMark>,
    video_id: &str,
) -> Result<Granted, ApiError> {
    let video = app.meta.get_video(video_id).await?;
    grant(app, call, issuer, &video)
}

fn grant(
    app: &App,
    call: &Call,
    issuer: Option<KeyMark>,
    video: &Video,
) -> Result<Granted, ApiError> {
    let life = app.config.credential_life;
    let subject = Subject { issuer, ..Subject::default() };
    let policy = Policy::upload_only(&video.info.bucket, &video.info.key);
    let masters = &app.keys.current().masters;
    let (credential, expires_ms) = issue_to(masters, &subject, &policy, life, app.now_ms())?;
    let address = UploadAddress {
        endpoint: app.endpoint_of(call).into_owned(),
        bucket: video.info.bucket.clone(),
        file_name: video.info.key.clone(),
    };
    let auth = UploadAuth {
        access_key_id: credential.access_key_id,
        access_key_secret: credential.access_key_secret,
        security_token: credential.security_token.unwrap_or_default(),
        expire_utc_time: Some(vodferry_oss::time::format_iso(as_i64(expires_ms))),
        expiration_secs: Some(whole_seconds(life)),
        region: Some(app.config.region.clone()),
    };
    Ok(Granted {
        video_id: video.info.video_id.clone(),
        image_url: image_url(app, call, video)?,
        upload_address: address.encode(),
        upload_auth: auth.encode(),
    })
}

/// Where an image is; none for a video.
fn image_url(app: &App, call: &Call, video: &Video) -> Result<Option<String>, ApiError> {
    if video.info.kind == MediaKind::Video {
        return Ok(None);
    }
    let target = Target {
        endpoint: app.endpoint_of(call).into_owned(),
        bucket: video.info.bucket.clone(),
        key: video.info.key.clone(),
    };
    let request = Request::to(Method::Get, &target, Style::Auto)
        .map_err(|error| ApiError::internal(&std::io::Error::other(error.message().to_owned())))?;
    Ok(Some(request.url()))
}

impl ApiError {
    /// An error of the caller.
    pub(crate) fn bad(code: &str, message: impl Into<String>) -> ApiError {
        ApiError::new(400, code, message)
    }

    /// Any error.
    pub(crate) fn new(status: u16, code: &str, message: impl Into<String>) -> ApiError {
        ApiError { status, code: code.to_owned(), message: message.into() }
    }

    /// An error of ours: the log has the cause.
    pub(crate) fn internal(cause: &(dyn std::error::Error + 'static)) -> ApiError {
        tracing::error!(error = cause, "request failed");
        ApiError::new(500, "InternalError", "the server could not do this now; try again")
    }
}

impl From<MetaError> for ApiError {
    fn from(error: MetaError) -> ApiError {
        match error {
            MetaError::NoSuchVideo(id) => {
                ApiError::new(404, "InvalidVideo.NotFound", format!("there is no video {id}"))
            }
            MetaError::NoSuchBucket(bucket) => ApiError::new(
                404,
                "InvalidStorage.NotFound",
                format!("there is no bucket {bucket}"),
            ),
            MetaError::Full { .. } => {
                tracing::error!(error = &error as &dyn std::error::Error, "no space left");
                ApiError::new(503, "ServiceUnavailable", "the disk of this server is full")
            }
            MetaError::Closed => {
                ApiError::new(503, "ServiceUnavailable", "the server is shutting down")
            }
            other => ApiError::internal(&other),
        }
    }
}

impl From<IssueError> for ApiError {
    fn from(error: IssueError) -> ApiError {
        ApiError::internal(&error)
    }
}

/// Milliseconds as the wire crates count them.
pub(crate) fn as_i64(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

const MAX_TITLE: usize = 128;
const MAX_DESCRIPTION: usize = 1024;
const MAX_FILE_NAME: usize = 1024;
const MAX_USER_DATA: usize = 4096;
const MAX_NAME: usize = 128;
/// The default first.
const IMAGE_TYPES: &[&str] = &["default", "cover"];
const EXTENSIONS: &[&str] = &[
    "3gp", "aac", "ac3", "acm", "amr", "ape", "asf", "avi", "caf", "dat", "dv", "f4v", "flac",
    "flv", "gif", "m2t", "m2ts", "m3u8", "m4a", "m4v", "mj2", "mjpeg", "mkv", "mov", "mp3", "mp4",
    "mpe", "mpeg", "mpg", "mts", "mxf", "ogg", "opus", "qt", "ra", "rm", "rmvb", "swf", "ts",
    "vob", "wav", "webm", "wma", "wmv",
];

/// The extension in lower case, when everything is as it must be.
fn check(proposal: &Proposal) -> Result<String, ApiError> {
    let bounded = |name: &str, text: &str, most: usize| match text.chars().count() {
        n if n > most => Err(ApiError::bad(
            "LengthExceededMax",
            format!("{name} has {n} characters, at most {most} are allowed"),
        )),
        _ if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) => {
            Err(ApiError::bad("IllegalCharacters", format!("{name} holds control characters")))
        }
        _ => Ok(()),
    };
    bounded("FileName", &proposal.file_name, MAX_FILE_NAME)?;
    bounded("Description", &proposal.description, MAX_DESCRIPTION)?;
    bounded("UserData", &proposal.user_data, MAX_USER_DATA)?;
    bounded("CoverURL", &proposal.cover_url, MAX_DESCRIPTION)?;
    if let Some(title) = &proposal.title {
        bounded("Title", title, MAX_TITLE)?;
    }
    bounded("TemplateGroupId", &proposal.template_group_id, MAX_NAME)?;
    bounded("WorkflowId", &proposal.workflow_id, MAX_NAME)?;
    bounded("AppId", &proposal.app_id, MAX_NAME)?;
    let one_of = |name: &str, value: &str, allowed: &[&str]| {
        if value.is_empty() || allowed.contains(&value) {
            return Ok(());
        }
        let message = format!("{name} must be one of {}", allowed.join(", "));
        Err(ApiError::bad(&format!("InvalidParameter.{name}"), message))
    };
    one_of("TransCodeMode", &proposal.transcode_mode, &["FastTranscode", "NoTranscode"])?;
    one_of("ImageType", &proposal.image_type, IMAGE_TYPES)?;
    one_of("ImageExt", &proposal.image_ext, &["png", "jpg", "jpeg", "gif"])?;
    let tags = proposal.tags.split(',').map(|tag| tag.chars().count());
    if tags.clone().count() > 16 || tags.clone().any(|length| length > 32) {
        return Err(ApiError::bad(
            "TagsExceededMax",
            "at most 16 tags of 32 characters are allowed",
        ));
    }
    if proposal.kind == MediaKind::Image {
        if !proposal.image_ext.is_empty() {
            return Ok(proposal.image_ext.clone());
        }
        return Ok(image_extension(&proposal.file_name).unwrap_or("png").to_owned());
    }
    let extension = base_name(&proposal.file_name)
        .rsplit_once('.')
        .map(|(_, extension)| extension.to_ascii_lowercase())
        .filter(|extension| EXTENSIONS.contains(&extension.as_str()));
    extension.ok_or_else(|| {
        ApiError::bad(
            "InvalidFileName.Extension",
            "FileName needs the extension of a video or sound file, as in a.mp4",
        )
    })
}

fn base_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

fn new_video_id() -> Result<String, ApiError> {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| ApiError::internal(&std::io::Error::other(error)))?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

fn whole_seconds(life: Duration) -> u64 {
    life.as_secs().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(change: impl FnOnce(&mut Proposal)) -> String {
        let mut proposal = Proposal { file_name: "a.mp4".into(), ..Proposal::default() };
        change(&mut proposal);
        match check(&proposal) {
            Ok(extension) => extension,
            Err(error) => {
                assert_eq!(error.status, 400);
                error.code
            }
        }
    }

    #[test]
    fn extensions_are_known_ones_in_any_case() {
        assert_eq!(code(|_| ()), "mp4");
        assert_eq!(code(|p| p.file_name = r"C:\films\A.b.MKV".into()), "mkv");
        for name in ["", "mp4", "a.", "a.exe", "x.mp4/readme", "a.mp4/../../etc"] {
            assert_eq!(code(|p| p.file_name = name.into()), "InvalidFileName.Extension", "{name}");
        }
    }

    #[test]
    fn lengths_count_characters() {
        assert_eq!(code(|p| p.title = Some("测".repeat(128))), "mp4");
        assert_eq!(code(|p| p.title = Some("测".repeat(129))), "LengthExceededMax");
        assert_eq!(code(|p| p.description = "x".repeat(1025)), "LengthExceededMax");
        assert_eq!(code(|p| p.tags = vec!["t"; 17].join(",")), "TagsExceededMax");
        assert_eq!(code(|p| p.tags = "t".repeat(33)), "TagsExceededMax");
        assert_eq!(code(|p| p.title = Some("a\0b".into())), "IllegalCharacters");
        assert_eq!(code(|p| p.app_id = "a".repeat(129)), "LengthExceededMax");
    }

    #[test]
    fn images_have_extensions_of_their_own() {
        let image = |name: &str, extension: &str| {
            code(|p| {
                p.kind = MediaKind::Image;
                p.file_name = name.into();
                p.image_ext = extension.into();
            })
        };
        assert_eq!(image("", ""), "png");
        assert_eq!(image("a/b.JPEG", ""), "jpeg");
        assert_eq!(image("b.jpeg", "gif"), "gif");
        assert_eq!(image("b.webp", ""), "png");
        assert_eq!(image("b", "../x"), "InvalidParameter.ImageExt");
        assert_eq!(code(|p| p.image_type = "../..".into()), "InvalidParameter.ImageType");
        assert_eq!(code(|p| p.transcode_mode = "Slow".into()), "InvalidParameter.TransCodeMode");
    }
}

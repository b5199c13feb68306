//! The calls of the VOD API.

use serde_json::{Map, Value, json};
use vodferry_oss::time::format_iso;
use vodferry_vod::MediaKind;

use super::members;
use super::parameters::Parameters;
use crate::http::App;
use crate::http::call::Call;
use crate::http::caller::Caller;
use crate::http::video::{self, ApiError, Granted, Proposal, as_i64};
use crate::keys::DEFAULT_TENANT;
use crate::store::{MetaError, Video};

/// Version of the API.
pub(super) const VERSION: &str = "2017-03-21";

/// The calls of this server.
#[derive(Clone, Copy, Debug)]
pub(super) enum Operation {
    CreateUploadImage,
    CreateUploadVideo,
    GetVideoInfo,
    RefreshUploadVideo,
}

impl Operation {
    /// The one of this name.
    pub(super) fn named(action: &str) -> Option<Operation> {
        Some(match action {
            "CreateUploadImage" => Operation::CreateUploadImage,
            "CreateUploadVideo" => Operation::CreateUploadVideo,
            "GetVideoInfo" => Operation::GetVideoInfo,
            "RefreshUploadVideo" => Operation::RefreshUploadVideo,
            _ => return None,
        })
    }

    /// Carries it out, if the caller may.
    pub(super) async fn run(
        self,
        app: &App,
        call: &Call,
        caller: &Caller,
        given: &Parameters,
    ) -> Result<Map<String, Value>, ApiError> {
        // The bucket of videos is the first tenant's.
        if caller.tenant() != DEFAULT_TENANT || !caller.may(&format!("vod:{self:?}"), "*") {
            let message = format!("this key may not call {self:?}");
            return Err(ApiError::new(403, "Forbidden.RAM", message));
        }
        let issuer = caller.subject.issuer;
        match self {
            Operation::CreateUploadVideo => {
                let proposal = Proposal {
                    title: Some(given.required("Title")?.to_owned()),
                    file_name: given.required("FileName")?.to_owned(),
                    cover_url: given.text("CoverURL"),
                    template_group_id: given.text("TemplateGroupId"),
                    workflow_id: given.text("WorkflowId"),
                    transcode_mode: given.text("TransCodeMode"),
                    ..common(given)?
                };
                video::create(app, call, issuer, proposal).await.map(granted)
            }
            Operation::CreateUploadImage => {
                let proposal = Proposal {
                    kind: MediaKind::Image,
                    image_type: given.required("ImageType")?.to_owned(),
                    image_ext: given.text("ImageExt").to_ascii_lowercase(),
                    title: given.get("Title").map(str::to_owned),
                    file_name: given.text("OriginalFileName"),
                    ..common(given)?
                };
                video::create(app, call, issuer, proposal).await.map(granted)
            }
            Operation::RefreshUploadVideo => {
                let id = given.required("VideoId")?;
                video::refresh(app, call, issuer, id).await.map(granted)
            }
            Operation::GetVideoInfo => {
                let video = app.meta.get_video(given.required("VideoId")?).await?;
                if video.info.kind == MediaKind::Image {
                    return Err(MetaError::NoSuchVideo(video.info.video_id).into());
                }
                Ok(members(json!({ "Video": describe(app, &video) })))
            }
        }
    }
}

/// What is said of videos and images alike.
fn common(given: &Parameters) -> Result<Proposal, ApiError> {
    Ok(Proposal {
        file_size: given.number("FileSize")?,
        description: given.text("Description"),
        tags: given.text("Tags"),
        cate_id: given.number("CateId")?,
        user_data: given.text("UserData"),
        app_id: given.text("AppId"),
        storage_location: given.text("StorageLocation"),
        ..Proposal::default()
    })
}

fn granted(granted: Granted) -> Map<String, Value> {
    let mut members = members(json!({
        "UploadAddress": granted.upload_address,
        "UploadAuth": granted.upload_auth,
    }));
    let mut add = |name: &str, value: String| members.insert(name.to_owned(), value.into());
    match granted.image_url {
        Some(url) => {
            add("ImageId", granted.video_id);
            add("FileURL", url.clone());
            add("ImageURL", url);
        }
        None => {
            add("VideoId", granted.video_id);
        }
    }
    members
}

/// A video in the words of the API. Optional members that are not known are left out.
fn describe(app: &App, video: &Video) -> Value {
    let info = &video.info;
    let mut members = members(json!({
        "VideoId": info.video_id,
        "Title": info.title,
        "Status": video.status.as_str(),
        "Size": info.size,
        "CreationTime": format_iso(as_i64(video.created_ms)),
        "ModificationTime": format_iso(as_i64(video.modified_ms)),
        "StorageLocation": info.bucket,
        "RegionId": app.config.region,
    }));
    let optional = [
        ("Description", &info.description),
        ("Tags", &info.tags),
        ("CoverURL", &info.cover_url),
        ("UserData", &info.user_data),
        ("TemplateGroupId", &info.template_group_id),
        ("AppId", &info.app_id),
    ];
    for (name, value) in optional.into_iter().filter(|(_, value)| !value.is_empty()) {
        members.insert(name.to_owned(), Value::String(value.clone()));
    }
    if let Some(cate_id) = info.cate_id {
        members.insert("CateId".to_owned(), cate_id.into());
    }
    Value::Object(members)
}

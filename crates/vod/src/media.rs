//! What a service is told about a file beside its bytes, and how it is said: as parameters of the calls that make a place for it,
//! and as a header of the object.
//!
//! ```text
//! CreateUploadVideo  Title FileName FileSize Description CateId Tags CoverURL TemplateGroupId WorkflowId
//!                    StorageLocation AppId UserData TransCodeMode
//! CreateUploadImage  ImageType ImageExt Title Description CateId Tags StorageLocation AppId UserData OriginalFileName
//! x-oss-notification base64 of {"Vod":{Title, Description, CateId, CoverUrl, IsProcess, Tags, UserData}}
//! ```
//!
//! Nothing is checked here: the service knows its bounds, which change, and its refusals name the parameter.

use alloc::string::String;
use alloc::vec::Vec;

use vodferry_oss::text::decimal;

use crate::json::{push_member, push_raw};

/// Media information of one file. What is not set is not sent, and the service takes its own default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Media {
    /// Up to 128 characters. `None`: the file's name without its extension.
    pub title: Option<String>,
    /// Up to 16, each of up to 32 characters and without a comma.
    pub tags: Vec<String>,
    /// Up to 1024 characters.
    pub description: Option<String>,
    /// An existing category.
    pub category_id: Option<i64>,
    /// Address of the cover. Videos only.
    pub cover_url: Option<String>,
    /// How the video is transcoded; `VOD_NO_TRANSCODE` for not at all. Videos only.
    pub template_group_id: Option<String>,
    /// What is done with the video; wins over `template_group_id`. Videos only.
    pub workflow_id: Option<String>,
    /// The bucket to store it in, by its host.
    pub storage_location: Option<String>,
    /// The application it belongs to; the service's default is `app-1000000`.
    pub app_id: Option<String>,
    /// Text that comes back in notifications: JSON, at most 512 bytes of `Extend` in it.
    pub user_data: Option<String>,
    /// Whether the watermark of the template is shown. Travels with the object, not with the call.
    pub watermark: Option<bool>,
    /// How soon the service processes it, from 1 (last) to 10. Travels with the object, not with the call.
    pub priority: Option<u8>,
    /// Whether the service processes (transcodes) the video. A template group decides where there is one.
    pub process: Option<bool>,
    /// Video or image. `None`: by the name's extension and the content type.
    pub kind: Option<MediaKind>,
    /// What the image is for. Images only.
    pub image_type: ImageType,
}

/// What a file is to the service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MediaKind {
    /// Moving pictures or sound.
    #[default]
    Video,
    /// A picture.
    Image,
}

/// What an image is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ImageType {
    /// Itself.
    #[default]
    Default,
    /// The cover of a video.
    Cover,
}

impl ImageType {
    /// As on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            ImageType::Cover => "cover",
            ImageType::Default => "default",
        }
    }
}

impl MediaKind {
    /// By the content type, for example `image/png`: what is no image is a video.
    pub fn of_content_type(content_type: &str) -> MediaKind {
        let image = content_type.get(..6).is_some_and(|kind| kind.eq_ignore_ascii_case("image/"));
        if image { MediaKind::Image } else { MediaKind::Video }
    }
}

impl Media {
    /// The tags as on the wire, joined by commas.
    pub fn joined_tags(&self) -> String {
        self.tags.join(",")
    }

    /// What `TransCodeMode` says: nothing where nobody said, or where a template group decides.
    pub fn transcode_mode(&self) -> Option<&'static str> {
        match self.process {
            Some(_) if has(&self.template_group_id) => None,
            Some(true) => Some("FastTranscode"),
            Some(false) => Some("NoTranscode"),
            None => None,
        }
    }

    /// The parameters of CreateUploadVideo. `title` is the one to send, as the service wants one; `size` in bytes, 0 when unknown.
    pub fn video_parameters(&self, title: &str, name: &str, size: u64) -> Vec<(String, String)> {
        let mut parameters = Parameters::default();
        parameters.push("Title", title);
        parameters.push("FileName", name);
        if size > 0 {
            parameters.push("FileSize", &decimal(size));
        }
        self.common(&mut parameters);
        parameters.some("CoverURL", &self.cover_url);
        parameters.some("TemplateGroupId", &self.template_group_id);
        parameters.some("WorkflowId", &self.workflow_id);
        parameters.push("TransCodeMode", self.transcode_mode().unwrap_or_default());
        parameters.0
    }

    /// The parameters of CreateUploadImage.
    pub fn image_parameters(&self, title: &str, name: &str) -> Vec<(String, String)> {
        let mut parameters = Parameters::default();
        parameters.push("ImageType", self.image_type.as_str());
        parameters.push("ImageExt", image_extension(name).unwrap_or_default());
        parameters.push("Title", title);
        parameters.push("OriginalFileName", name);
        self.common(&mut parameters);
        parameters.0
    }

    fn common(&self, parameters: &mut Parameters) {
        parameters.some("Description", &self.description);
        parameters.some("CateId", &self.category_id.map(signed));
        parameters.push("Tags", &self.joined_tags());
        parameters.some("StorageLocation", &self.storage_location);
        parameters.some("AppId", &self.app_id);
        parameters.some("UserData", &self.user_data);
    }

    /// The value of the header `x-oss-notification`, with which Initiate and PutObject tell the service the same: base64 of JSON.
    /// Watermark and priority replace the user data in it. `None` where nothing was set.
    pub fn notification(&self) -> Option<String> {
        let mut vod = String::from("{");
        let mut push = |name: &str, value: Option<&str>| {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                push_member(&mut vod, name, value);
            }
        };
        push("Title", self.title.as_deref());
        push("Description", self.description.as_deref());
        push("CateId", self.category_id.map(signed).as_deref());
        push("CoverUrl", self.cover_url.as_deref());
        push("IsProcess", self.process.map(truth));
        push("Tags", Some(&self.joined_tags()));
        if self.watermark.is_none() && self.priority.is_none() {
            push("UserData", self.user_data.as_deref());
        } else {
            let mut data = String::from("{");
            if let Some(shown) = self.watermark {
                push_member(&mut data, "IsShowWaterMark", truth(shown));
            }
            if let Some(priority) = self.priority {
                push_member(&mut data, "Priority", &decimal(u64::from(priority)));
            }
            data.push('}');
            push_raw(&mut vod, "UserData", &data);
        }
        if vod.len() == 1 {
            return None;
        }
        vod.push('}');
        let mut json = String::from("{");
        push_raw(&mut json, "Vod", &vod);
        json.push('}');
        Some(vodferry_oss::base64::encode(json.as_bytes()))
    }
}

/// The extension of an image as CreateUploadImage takes it; `None` for others, which the service then calls `png`.
pub fn image_extension(name: &str) -> Option<&'static str> {
    let (_, extension) = name.rsplit_once('.')?;
    ["png", "jpg", "jpeg", "gif"].into_iter().find(|known| extension.eq_ignore_ascii_case(known))
}

fn truth(yes: bool) -> &'static str {
    if yes { "true" } else { "false" }
}

fn signed(number: i64) -> String {
    let digits = decimal(number.unsigned_abs());
    match number < 0 {
        true => {
            let mut out = String::from("-");
            out.push_str(&digits);
            out
        }
        false => digits,
    }
}

fn has(text: &Option<String>) -> bool {
    text.as_ref().is_some_and(|text| !text.is_empty())
}

#[derive(Default)]
struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// An empty value is as good as none.
    fn push(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.0.push((String::from(name), String::from(value)));
        }
    }

    fn some(&mut self, name: &str, value: &Option<String>) {
        self.push(name, value.as_deref().unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use alloc::vec;

    use super::*;

    fn full() -> Media {
        Media {
            title: Some("T".to_string()),
            tags: vec!["a".to_string(), "b c".to_string()],
            description: Some("D".to_string()),
            category_id: Some(-1),
            cover_url: Some("http://c/x.png".to_string()),
            template_group_id: Some("tg".to_string()),
            workflow_id: Some("wf".to_string()),
            storage_location: Some("sl".to_string()),
            app_id: Some("app-1".to_string()),
            user_data: Some(r#"{"Extend":"e"}"#.to_string()),
            watermark: None,
            priority: None,
            process: Some(false),
            kind: None,
            image_type: ImageType::Cover,
        }
    }

    fn text(parameters: &[(String, String)]) -> String {
        let pairs: Vec<String> = parameters.iter().map(|(n, v)| [n, "=", v].concat()).collect();
        pairs.join("&")
    }

    fn plain(media: &Media) -> String {
        let bytes = vodferry_oss::base64::decode(&media.notification().unwrap()).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn every_field_is_a_parameter_of_its_call() {
        assert_eq!(
            text(&full().video_parameters("T", "a.mp4", 7)),
            "Title=T&FileName=a.mp4&FileSize=7&Description=D&CateId=-1&Tags=a,b c&StorageLocation=sl&AppId=app-1\
             &UserData={\"Extend\":\"e\"}&CoverURL=http://c/x.png&TemplateGroupId=tg&WorkflowId=wf"
        );
        assert_eq!(
            text(&full().image_parameters("T", "b/a.JPG")),
            "ImageType=cover&ImageExt=jpg&Title=T&OriginalFileName=b/a.JPG&Description=D&CateId=-1&Tags=a,b c\
             &StorageLocation=sl&AppId=app-1&UserData={\"Extend\":\"e\"}"
        );
    }

    #[test]
    fn what_is_not_set_is_not_said() {
        let none = Media::default();
        assert_eq!(text(&none.video_parameters("T", "a.mp4", 0)), "Title=T&FileName=a.mp4");
        assert_eq!(
            text(&none.image_parameters("T", "a.webp")),
            "ImageType=default&Title=T&OriginalFileName=a.webp"
        );
        assert_eq!(none.notification(), None);
        let empty = Media { title: Some(String::new()), ..Media::default() };
        assert_eq!(empty.notification(), None);
    }

    #[test]
    fn a_template_group_decides_about_transcoding() {
        let mode = |process, group: Option<&str>| {
            let template_group_id = group.map(String::from);
            Media { process, template_group_id, ..Media::default() }.transcode_mode()
        };
        assert_eq!(mode(Some(true), None), Some("FastTranscode"));
        assert_eq!(mode(Some(false), None), Some("NoTranscode"));
        assert_eq!(mode(Some(false), Some("g")), None);
        assert_eq!((mode(None, None), mode(Some(true), Some(""))), (None, Some("FastTranscode")));
    }

    #[test]
    fn watermark_and_priority_replace_the_user_data_of_the_header() {
        assert_eq!(
            plain(&full()),
            r#"{"Vod":{"Title":"T","Description":"D","CateId":"-1","CoverUrl":"http://c/x.png","IsProcess":"false","Tags":"a,b c","UserData":"{\"Extend\":\"e\"}"}}"#
        );
        let marked = Media { watermark: Some(true), priority: Some(6), ..full() };
        assert!(
            plain(&marked).ends_with(r#""UserData":{"IsShowWaterMark":"true","Priority":"6"}}}"#)
        );
        let urgent = Media { priority: Some(10), ..Media::default() };
        assert_eq!(plain(&urgent), r#"{"Vod":{"UserData":{"Priority":"10"}}}"#);
    }

    #[test]
    fn images_are_known_by_their_type() {
        assert_eq!(MediaKind::of_content_type("Image/png"), MediaKind::Image);
        for other in ["video/mp4", "image", "", "im", "ïmage/x"] {
            assert_eq!(MediaKind::of_content_type(other), MediaKind::Video);
        }
        assert_eq!(image_extension("a.b.GIF"), Some("gif"));
        assert_eq!((image_extension("png"), image_extension("a.bmp")), (None, None));
    }
}

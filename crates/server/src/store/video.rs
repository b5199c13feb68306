//! Videos and images as the database knows them.

use vodferry_vod::MediaKind;

/// A video to be written down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewVideo {
    /// 32 lower-case hexadecimal digits, chosen by the caller.
    pub video_id: String,
    /// Where its object goes.
    pub bucket: String,
    /// The object's key; no other video has it.
    pub key: String,
    /// Given by the application.
    pub title: String,
    /// As given by the application, perhaps a whole path.
    pub file_name: String,
    /// As declared by the application, replaced by the object's length.
    pub size: u64,
    /// Given by the application, or empty.
    pub description: String,
    /// Comma-separated, or empty.
    pub tags: String,
    /// Given by the application, or empty.
    pub cover_url: String,
    /// Category, when one was given.
    pub cate_id: Option<i64>,
    /// JSON text, or empty.
    pub user_data: String,
    /// Video or image.
    pub kind: MediaKind,
    /// Given by the application, or empty.
    pub template_group_id: String,
    /// Given by the application, or empty.
    pub workflow_id: String,
    /// Given by the application, or empty.
    pub app_id: String,
    /// `FastTranscode`, `NoTranscode`, or empty.
    pub transcode_mode: String,
    /// Of an image: `default` or `cover`. Empty for videos.
    pub image_type: String,
}

/// A video.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Video {
    /// As it was created; `size` is the object's once it is there.
    pub info: NewVideo,
    /// How far it is.
    pub status: VideoStatus,
    /// When it was created.
    pub created_ms: u64,
    /// When it last changed.
    pub modified_ms: u64,
}

/// How far a video is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum VideoStatus {
    /// Its object is not there yet.
    Uploading,
    /// Its object is there and can be played.
    Normal,
}

impl VideoStatus {
    /// As on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            VideoStatus::Uploading => "Uploading",
            VideoStatus::Normal => "Normal",
        }
    }
}

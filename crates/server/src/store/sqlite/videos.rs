//! Videos: what the application was promised for a key.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};
use vodferry_vod::MediaKind;

use super::objects::need_bucket;
use super::{int, uint};
use crate::store::{MetaError, NewVideo, Video, VideoStatus};

pub(super) fn create(db: &Connection, video: NewVideo, now_ms: u64) -> Result<Video, MetaError> {
    need_bucket(db, &video.bucket)?;
    let status = VideoStatus::Uploading;
    db.prepare_cached(
        "INSERT INTO video (video_id, bucket, key, status, title, file_name, size, description,
                            tags, cover_url, cate_id, user_data, created_ms, modified_ms, kind,
                            template_group_id, workflow_id, app_id, transcode_mode, image_type)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?
    .execute(params![
        video.video_id,
        video.bucket,
        video.key,
        status.as_str(),
        video.title,
        video.file_name,
        int(video.size),
        video.description,
        video.tags,
        video.cover_url,
        video.cate_id,
        video.user_data,
        int(now_ms),
        int(now_ms),
        kind_text(video.kind),
        video.template_group_id,
        video.workflow_id,
        video.app_id,
        video.transcode_mode,
        video.image_type,
    ])?;
    Ok(Video { info: video, status, created_ms: now_ms, modified_ms: now_ms })
}

pub(super) fn get(db: &Connection, video_id: &str) -> Result<Video, MetaError> {
    let found = db
        .prepare_cached(
            "SELECT bucket, key, title, file_name, size, description, tags, cover_url, cate_id,
                    user_data, status, created_ms, modified_ms, kind, template_group_id,
                    workflow_id, app_id, transcode_mode, image_type
             FROM video WHERE video_id = ?",
        )?
        .query_row([video_id], |row| {
            let info = NewVideo {
                video_id: video_id.to_owned(),
                bucket: row.get(0)?,
                key: row.get(1)?,
                title: row.get(2)?,
                file_name: row.get(3)?,
                size: uint(row.get(4)?),
                description: row.get(5)?,
                tags: row.get(6)?,
                cover_url: row.get(7)?,
                cate_id: row.get(8)?,
                user_data: row.get(9)?,
                kind: match row.get_ref(13)?.as_str()? {
                    IMAGE => MediaKind::Image,
                    _ => MediaKind::Video,
                },
                template_group_id: row.get(14)?,
                workflow_id: row.get(15)?,
                app_id: row.get(16)?,
                transcode_mode: row.get(17)?,
                image_type: row.get(18)?,
            };
            let status: String = row.get(10)?;
            Ok((info, status, uint(row.get(11)?), uint(row.get(12)?)))
        })
        .optional()?;
    let Some((info, status, created_ms, modified_ms)) = found else {
        return Err(MetaError::NoSuchVideo(video_id.to_owned()));
    };
    Ok(Video { info, status: read_status(&status)?, created_ms, modified_ms })
}

/// The object of a video is there: the video can be played. In the transaction that names the object.
pub(super) fn object_arrived(
    db: &Connection,
    bucket: &str,
    key: &str,
    length: u64,
    now_ms: u64,
) -> Result<(), MetaError> {
    db.prepare_cached(
        "UPDATE video SET status = ?, size = ?, modified_ms = ? WHERE bucket = ? AND key = ?",
    )?
    .execute(params![VideoStatus::Normal.as_str(), int(length), int(now_ms), bucket, key])?;
    Ok(())
}

/// The object of a video was deleted: it waits for its key again.
pub(super) fn object_left(
    db: &Connection,
    bucket: &str,
    key: &str,
    now_ms: u64,
) -> Result<(), MetaError> {
    db.prepare_cached("UPDATE video SET status = ?, modified_ms = ? WHERE bucket = ? AND key = ?")?
        .execute(params![VideoStatus::Uploading.as_str(), int(now_ms), bucket, key])?;
    Ok(())
}

const IMAGE: &str = "image";

fn kind_text(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Image => IMAGE,
        MediaKind::Video => "video",
    }
}

fn read_status(text: &str) -> Result<VideoStatus, MetaError> {
    [VideoStatus::Uploading, VideoStatus::Normal]
        .into_iter()
        .find(|status| status.as_str() == text)
        .ok_or_else(|| MetaError::Storage {
            doing: "read its rows",
            source: Arc::new(std::io::Error::other(format!("{text} is no status of a video"))),
        })
}

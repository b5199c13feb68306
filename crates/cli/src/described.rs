//! What flags say about the files of an upload: to the video service, to whoever reads the object, to who is called when it is there.

use vodferry::{Callback, CallbackBody, File, Media, MediaKind};

use crate::cli::{CallbackArgs, CallbackType, ImageType, MediaArgs, ObjectArgs};
use crate::error::Failure;
use crate::place::Place;

/// The file, described.
pub(crate) fn file(
    file: File,
    of_video: &MediaArgs,
    of_object: &ObjectArgs,
    called: &CallbackArgs,
) -> File {
    object(file.media(media(of_video)), of_object, called)
}

/// The file with what is said of its object, and who is called when that is there.
pub(crate) fn object(mut file: File, of_object: &ObjectArgs, called: &CallbackArgs) -> File {
    for (name, value) in of_object.header.iter().chain(&of_object.metadata) {
        file = file.header(name, value);
    }
    if let Some(content_type) = &of_object.content_type {
        file = file.content_type(content_type);
    }
    match callback(called) {
        Some(callback) => file.callback(callback),
        None => file,
    }
}

/// Whether there is anybody at `place` to be told.
pub(crate) fn check(flags: &MediaArgs, place: &Place) -> Result<(), Failure> {
    let MediaArgs { priority, watermark, process, .. } = flags;
    let with_object = priority.is_some() || watermark.is_some() || process.is_some();
    let with_call = asked_for(flags);
    match place {
        Place::Server { .. } | Place::Vod { .. } => Ok(()),
        Place::Fixed { .. } => match with_call {
            Some(flag) => Err(Failure::usage(format!("{flag} goes with --server and --vod alone"))
                .hint("an upload address is of a video that was described when it was made")),
            None => Ok(()),
        },
        Place::Store { .. } => {
            match with_call.or(with_object.then_some("--priority, --watermark and --process")) {
                Some(flag) => Err(Failure::usage(format!(
                    "{flag}: an object in a bucket of one's own is no video"
                ))
                .hint("--header and --metadata describe the object")),
                None => Ok(()),
            }
        }
    }
}

/// Whether something was said that no checkpoint keeps: it travels with the object's requests, also with those of a later run.
pub(crate) fn travels_with_object(
    media: &MediaArgs,
    object: &ObjectArgs,
    called: &CallbackArgs,
) -> bool {
    let ObjectArgs { content_type, header, metadata } = object;
    let MediaArgs { priority, watermark, process, .. } = media;
    priority.is_some()
        || watermark.is_some()
        || process.is_some()
        || content_type.is_some()
        || !(header.is_empty() && metadata.is_empty() && called.callback_url.is_empty())
}

/// A flag that travels with the call that makes the video.
fn asked_for(flags: &MediaArgs) -> Option<&'static str> {
    let said = [
        ("--image", flags.image),
        ("--image-type", flags.image_type.is_some()),
        ("--title", flags.title.is_some()),
        ("--tags", !flags.tags.is_empty()),
        ("--description", flags.description.is_some()),
        ("--category", flags.category.is_some()),
        ("--cover-url", flags.cover_url.is_some()),
        ("--template-group", flags.template_group.is_some()),
        ("--workflow", flags.workflow.is_some()),
        ("--storage-location", flags.storage_location.is_some()),
        ("--app-id", flags.app_id.is_some()),
        ("--user-data", flags.user_data.is_some()),
    ];
    said.into_iter().find(|(_, said)| *said).map(|(flag, _)| flag)
}

fn media(flags: &MediaArgs) -> Media {
    Media {
        title: flags.title.clone(),
        tags: flags.tags.clone(),
        description: flags.description.clone(),
        category_id: flags.category,
        cover_url: flags.cover_url.clone(),
        template_group_id: flags.template_group.clone(),
        workflow_id: flags.workflow.clone(),
        storage_location: flags.storage_location.clone(),
        app_id: flags.app_id.clone(),
        user_data: flags.user_data.clone(),
        watermark: flags.watermark,
        priority: flags.priority,
        process: flags.process,
        kind: flags.image.then_some(MediaKind::Image),
        image_type: match flags.image_type {
            Some(ImageType::Cover) => vodferry::ImageType::Cover,
            Some(ImageType::Default) | None => vodferry::ImageType::Default,
        },
    }
}

fn callback(flags: &CallbackArgs) -> Option<Callback> {
    let body = flags.callback_body.as_ref()?;
    let mut callback = Callback::new(flags.callback_url.join(";"), body);
    callback.host.clone_from(&flags.callback_host);
    callback.vars.clone_from(&flags.callback_var);
    if let Some(CallbackType::Json) = flags.callback_body_type {
        callback.body_type = CallbackBody::Json;
    }
    Some(callback)
}

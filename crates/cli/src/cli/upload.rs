//! `vodferry upload`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum, ValueHint};
use serde::Deserialize;

use super::{DisplayArgs, PlaceArgs, TransferArgs};
use crate::{units, values};

/// `vodferry upload`.
#[derive(Args)]
pub(crate) struct UploadArgs {
    /// Files to upload, in this order; folders with --recursive; `-` is standard input
    #[arg(required_unless_present = "list", value_name = "FILE", value_hint = ValueHint::AnyPath)]
    pub(crate) files: Vec<PathBuf>,

    /// Also those of this list, behind the others: one JSON object per line, `path` and what is to be said of this file alone, by the names
    /// of the flags with `_`: title, tags, key and so on; `-` reads it from standard input
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) list: Option<PathBuf>,

    /// A file that is named twice: upload it twice, or refuse the call [default: allow]
    #[arg(long, value_name = "allow|refuse", hide_possible_values = true)]
    pub(crate) duplicates: Option<Duplicates>,

    /// What standard input is called [default: the last part of --key]. Fed again after an interruption under the same name, it goes
    /// on: what is stored is not sent again
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,

    /// The file is still being written: a part is sent as soon as its bytes are final. Standard input says which are, one JSON object
    /// per line: {"ready": [FROM, TO]} in any order, at last {"finished": LENGTH}, or {"failed": "WHY"}
    #[arg(long, conflicts_with_all = ["list", "recursive", "name", "foreign_records", "sequential"])]
    pub(crate) growing: bool,

    /// With --growing, in place of standard input: the file is written from front to back, and it is whole when nothing changed for this
    /// long
    #[arg(long, value_name = "DURATION", requires = "growing", value_parser = units::parse_timeout)]
    pub(crate) until_idle: Option<Duration>,

    #[command(flatten)]
    pub(crate) select: SelectArgs,

    #[command(flatten)]
    pub(crate) place: PlaceArgs,

    /// Object key; one that ends in `/` takes the file's name behind it, and the way to it below a folder. With --endpoint [default: the
    /// file's name]
    #[arg(long, value_name = "KEY", help_heading = "Where to")]
    pub(crate) key: Option<String>,

    /// Record folder of the OSS SDK for Android: what that left unfinished goes on. Read, never changed; the files are read whole first.
    /// With --endpoint, or --address and --auth
    #[arg(long, value_name = "DIR", help_heading = "How", value_hint = ValueHint::DirPath)]
    pub(crate) foreign_records: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) media: MediaArgs,

    #[command(flatten)]
    pub(crate) object: ObjectArgs,

    #[command(flatten)]
    pub(crate) callback: CallbackArgs,

    #[command(flatten)]
    pub(crate) transfer: TransferArgs,

    #[command(flatten)]
    pub(crate) display: DisplayArgs,
}

/// Which files of a folder.
#[derive(Args)]
#[command(next_help_heading = "Folders")]
pub(crate) struct SelectArgs {
    /// Upload all files in the folders named, and in the folders in them, in the order of their names
    #[arg(long, short)]
    pub(crate) recursive: bool,

    /// Of a folder only files that match, for example `*.mp4` or `2026/**`; may be repeated. A pattern without `/` is about the name, one
    /// with it about the way from the folder named; `*` does not match `/`, `**` does [default: all]
    #[arg(long, value_name = "GLOB", value_parser = values::parse_glob, requires = "recursive")]
    pub(crate) include: Vec<globset::Glob>,

    /// Of a folder no files and no folders that match; wins over --include; may be repeated
    #[arg(long, value_name = "GLOB", value_parser = values::parse_glob, requires = "recursive")]
    pub(crate) exclude: Vec<globset::Glob>,
}

/// What a video service is told about the files.
#[derive(Args, Clone)]
#[command(next_help_heading = "The video (with --server and --vod)")]
pub(crate) struct MediaArgs {
    /// The files are images, whatever their names say [default: by the names' extensions]
    #[arg(long)]
    pub(crate) image: bool,

    /// What the images are for: themselves, or covers of videos [default: default]
    #[arg(long, value_name = "default|cover", hide_possible_values = true)]
    pub(crate) image_type: Option<ImageType>,

    /// Title of the video, up to 128 characters [default: the file's name]
    #[arg(long, value_name = "TEXT")]
    pub(crate) title: Option<String>,

    /// Tags, with commas in between, up to 16
    #[arg(long, value_name = "TAG,TAG", value_delimiter = ',')]
    pub(crate) tags: Vec<String>,

    /// Description, up to 1024 characters
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Option<String>,

    /// Category, by its number
    #[arg(long, value_name = "ID")]
    pub(crate) category: Option<i64>,

    /// Address of the cover
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub(crate) cover_url: Option<String>,

    /// Template group by which the video is transcoded; VOD_NO_TRANSCODE for not at all
    #[arg(long, value_name = "ID")]
    pub(crate) template_group: Option<String>,

    /// Workflow that the video goes through; wins over --template-group
    #[arg(long, value_name = "ID")]
    pub(crate) workflow: Option<String>,

    /// Bucket that the service is to store it in, by its host
    #[arg(long, value_name = "HOST")]
    pub(crate) storage_location: Option<String>,

    /// Application that it belongs to
    #[arg(long, value_name = "ID")]
    pub(crate) app_id: Option<String>,

    /// JSON that comes back in notifications
    #[arg(long, value_name = "JSON")]
    pub(crate) user_data: Option<String>,

    /// How soon the service processes it, 1 (last) to 10. With --address too
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=10))]
    pub(crate) priority: Option<u8>,

    /// Whether the watermark of the template is shown. With --address too
    #[arg(long, value_name = "BOOL")]
    pub(crate) watermark: Option<bool>,

    /// Whether the service transcodes it, where no template group says. With --address too
    #[arg(long, value_name = "BOOL")]
    pub(crate) process: Option<bool>,
}

/// What an image is for.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ImageType {
    /// Itself
    Default,
    /// The cover of a video
    Cover,
}

/// What to do with a file that is named twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Duplicates {
    /// Upload it twice
    Allow,
    /// Upload nothing
    Refuse,
}

/// Whom the service calls when the object is there.
#[derive(Args)]
#[command(next_help_heading = "Callback")]
pub(crate) struct CallbackArgs {
    /// The service posts here when the object is there, and its answer is told; several, up to five, are asked in their order
    #[arg(long, value_name = "URL", requires = "callback_body", value_hint = ValueHint::Url)]
    pub(crate) callback_url: Vec<String>,

    /// What is posted, for example `object=${object}&size=${size}`
    #[arg(long, value_name = "TEXT", requires = "callback_url")]
    pub(crate) callback_body: Option<String>,

    /// What it is: a form, or JSON [default: form]
    #[arg(long, value_name = "form|json", hide_possible_values = true, requires = "callback_url")]
    pub(crate) callback_body_type: Option<CallbackType>,

    /// Host header of the post [default: that of the URL]
    #[arg(long, value_name = "HOST", requires = "callback_url")]
    pub(crate) callback_host: Option<String>,

    /// Variable of one's own, which is `${x:NAME}` in the body; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = values::parse_variable, requires = "callback_url")]
    pub(crate) callback_var: Vec<(String, String)>,
}

/// What is posted in a callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CallbackType {
    /// `application/x-www-form-urlencoded`
    Form,
    /// `application/json`
    Json,
}

/// What the object says about itself.
#[derive(Args, Clone)]
#[command(next_help_heading = "The object")]
pub(crate) struct ObjectArgs {
    /// Content-Type of the object [default: by the name's extension]
    #[arg(long, value_name = "TYPE")]
    pub(crate) content_type: Option<String>,

    /// Header of the object, for example `Cache-Control: no-cache`; may be repeated
    #[arg(long, value_name = "NAME: VALUE", value_parser = values::parse_header)]
    pub(crate) header: Vec<(String, String)>,

    /// Metadata of the object, stored as x-oss-meta-NAME; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = values::parse_metadata)]
    pub(crate) metadata: Vec<(String, String)>,
}

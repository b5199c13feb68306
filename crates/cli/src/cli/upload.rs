//! `vodferry upload`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::{DisplayArgs, PlaceArgs, TransferArgs};
use crate::values;

/// `vodferry upload`.
#[derive(Args)]
pub(crate) struct UploadArgs {
    /// Files to upload, in this order; folders with --recursive; `-` is standard input
    #[arg(required = true, value_name = "FILE", value_hint = ValueHint::AnyPath)]
    pub(crate) files: Vec<PathBuf>,

    /// What standard input is called. Fed again after an interruption under the same name, it goes on: what is stored is not sent
    /// again
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,

    #[command(flatten)]
    pub(crate) select: SelectArgs,

    #[command(flatten)]
    pub(crate) place: PlaceArgs,

    /// Object key; one that ends in `/` takes the file's name behind it, and the way to it below a folder. With --endpoint [default: the
    /// file's name]
    #[arg(long, value_name = "KEY", help_heading = "Where to")]
    pub(crate) key: Option<String>,

    /// Title of the video. With --server [default: the file's name]
    #[arg(long, value_name = "TEXT", help_heading = "Where to")]
    pub(crate) title: Option<String>,

    #[command(flatten)]
    pub(crate) object: ObjectArgs,

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

/// What the object says about itself.
#[derive(Args)]
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

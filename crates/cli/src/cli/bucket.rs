//! Flags of the verbs that list a bucket, and clear it.

use std::time::Duration;

use clap::Args;

use super::{NetworkArgs, StoreArgs};
use crate::units;

/// `vodferry ls`.
#[derive(Args)]
pub(crate) struct LsArgs {
    /// What to list: all keys of the bucket, or those that begin with the prefix
    #[arg(value_name = "BUCKET[/PREFIX]")]
    pub(crate) place: String,

    /// List unfinished uploads and not objects
    #[arg(long)]
    pub(crate) uploads: bool,

    /// List what is in folders too [default: what keys share up to the next `/` is one line]
    #[arg(long, short)]
    pub(crate) recursive: bool,

    /// Print sizes for people, as 1.5 MiB [default: in bytes]
    #[arg(long, short = 'H')]
    pub(crate) human: bool,

    #[command(flatten)]
    pub(crate) store: StoreArgs,

    #[command(flatten)]
    pub(crate) network: NetworkArgs,

    /// Print one JSON object per line
    #[arg(long)]
    pub(crate) json: bool,
}

/// `vodferry abort`.
#[derive(Args)]
pub(crate) struct AbortArgs {
    /// BUCKET/KEY together with --upload-id, or BUCKET[/PREFIX] together with --older-than or --after-days
    #[arg(value_name = "BUCKET[/PREFIX]")]
    pub(crate) place: String,

    /// The upload to give up, as `vodferry ls --uploads` shows it; may be repeated
    #[arg(long, value_name = "ID", required_unless_present_any = ["older_than", "after_days"])]
    pub(crate) upload_id: Vec<String>,

    /// All uploads below the prefix that were begun at least this long ago, for example 7d; 0 is all of them
    #[arg(long, value_name = "DURATION", value_parser = units::parse_duration, conflicts_with = "upload_id")]
    pub(crate) older_than: Option<Duration>,

    /// Have the service itself give up what nobody finished within so many days below the prefix, now and from now on: a lifecycle rule
    /// of the bucket, whose other rules stay
    #[arg(long, value_name = "N", conflicts_with_all = ["upload_id", "older_than", "dry_run", "json"], value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) after_days: Option<u32>,

    /// Only print what would be given up
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Do not ask before
    #[arg(long, short)]
    pub(crate) yes: bool,

    #[command(flatten)]
    pub(crate) store: StoreArgs,

    #[command(flatten)]
    pub(crate) network: NetworkArgs,

    /// Print one JSON object per line
    #[arg(long)]
    pub(crate) json: bool,
}

/// `vodferry rm`.
#[derive(Args)]
pub(crate) struct RmArgs {
    /// The objects, each by its whole key
    #[arg(required = true, value_name = "BUCKET/KEY")]
    pub(crate) objects: Vec<String>,

    /// Do not ask before
    #[arg(long, short)]
    pub(crate) yes: bool,

    #[command(flatten)]
    pub(crate) store: StoreArgs,

    #[command(flatten)]
    pub(crate) network: NetworkArgs,

    /// Print one JSON object per line
    #[arg(long)]
    pub(crate) json: bool,
}

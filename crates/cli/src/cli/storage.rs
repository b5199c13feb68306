//! Flags of the verbs that look at a bucket.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueHint};

use super::{NetworkArgs, StoreArgs};
use crate::units;

/// `vodferry get`.
#[derive(Args)]
pub(crate) struct GetArgs {
    /// A presigned URL, or BUCKET/KEY together with an endpoint and keys
    #[arg(value_name = "URL|BUCKET/KEY")]
    pub(crate) source: String,

    /// Where to write; `-` is stdout, as the bytes come [default: the last part of the key, in this folder]
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,

    /// Replace a file that is already there
    #[arg(long, short)]
    pub(crate) force: bool,

    #[command(flatten)]
    pub(crate) store: StoreArgs,

    #[command(flatten)]
    pub(crate) network: NetworkArgs,

    /// Print what was downloaded on stdout, as one JSON object
    #[arg(long)]
    pub(crate) json: bool,

    /// Print nothing but errors
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// `vodferry url`.
#[derive(Args)]
pub(crate) struct UrlArgs {
    /// The object
    #[arg(value_name = "BUCKET/KEY")]
    pub(crate) object: String,

    /// For how long the URL works, 1s to 7d; a number alone is seconds
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = units::parse_life)]
    pub(crate) expires: Duration,

    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

//! Flags of the verbs that make an object by one request.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::{CallbackArgs, NetworkArgs, ObjectArgs, StoreArgs};
use crate::units;

/// `vodferry put`.
#[derive(Args)]
pub(crate) struct PutArgs {
    /// The file, at most 5 GiB; what is larger, or on a network that breaks, is for `upload`
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,

    /// Where it goes; an object that is there already is replaced
    #[arg(value_name = "BUCKET/KEY")]
    pub(crate) object: String,

    #[command(flatten)]
    pub(crate) about: ObjectArgs,

    #[command(flatten)]
    pub(crate) callback: CallbackArgs,

    /// Most bytes per second, for example 2MiB/s [default: no limit]
    #[arg(long, value_name = "RATE", env = "VODFERRY_LIMIT", value_parser = units::parse_rate)]
    pub(crate) limit: Option<u64>,

    #[command(flatten)]
    pub(crate) store: StoreArgs,

    #[command(flatten)]
    pub(crate) network: NetworkArgs,

    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// `vodferry append`.
#[derive(Args)]
pub(crate) struct AppendArgs {
    /// What is appended, by one request: a file of at most 1 GiB, which is read into memory; `-` is standard input
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,

    /// The object; where there is none it is made
    #[arg(value_name = "BUCKET/KEY")]
    pub(crate) object: String,

    /// Where the object ends, in bytes: when it ends elsewhere nothing is appended [default: the service is asked]
    #[arg(long, value_name = "BYTES")]
    pub(crate) position: Option<u64>,

    #[command(flatten)]
    pub(crate) store: StoreArgs,

    #[command(flatten)]
    pub(crate) network: NetworkArgs,

    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

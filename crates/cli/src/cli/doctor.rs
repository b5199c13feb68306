//! Flags of `vodferry doctor`.

use std::time::Duration;

use clap::Args;

use super::{NetworkArgs, PlaceArgs, RecordArgs};
use crate::units;

/// `vodferry doctor`.
#[derive(Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,

    /// Key under which an upload is tried and given up again; no object is made. With --endpoint [default:
    /// vodferry-doctor and a number]
    #[arg(long, value_name = "KEY", help_heading = "Where to")]
    pub(crate) key: Option<String>,

    /// Let the application server make a video, and try an upload to its place; the upload is given up again, the video stays in its
    /// list. With --server [default: the server is only asked about a video that does not exist]
    #[arg(long, help_heading = "Where to")]
    pub(crate) make_video: bool,

    /// Origin of the web page that is to upload, for example https://www.example.com: asked of the bucket's CORS rules [default:
    /// http://localhost]
    #[arg(long, value_name = "URL")]
    pub(crate) origin: Option<String>,

    /// For how long the speed is measured, at most 60s; 0 leaves it out [default: 3s]
    #[arg(long, value_name = "DURATION", value_parser = units::parse_duration)]
    pub(crate) measure: Option<Duration>,

    #[command(flatten)]
    pub(crate) records: RecordArgs,

    #[command(flatten)]
    pub(crate) network: NetworkArgs,

    /// Print one JSON object per check
    #[arg(long)]
    pub(crate) json: bool,
}

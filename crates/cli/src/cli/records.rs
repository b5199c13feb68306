//! Flags of the verbs that are about the record directory.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueHint};

use super::{DisplayArgs, PlaceArgs, RecordArgs, TransferArgs};
use crate::units;

/// `vodferry resume`.
#[derive(Args)]
pub(crate) struct ResumeArgs {
    /// Files whose uploads go on [default: all unfinished ones]
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,

    /// Only list what is unfinished; with --json one JSON object per line
    #[arg(long)]
    pub(crate) list: bool,

    /// Only drop the checkpoints of these files [default: of those that were changed or are missing]; the server is not asked
    #[arg(long, conflicts_with = "list")]
    pub(crate) forget: bool,

    #[command(flatten)]
    pub(crate) place: PlaceArgs,

    #[command(flatten)]
    pub(crate) transfer: TransferArgs,

    #[command(flatten)]
    pub(crate) display: DisplayArgs,
}

/// `vodferry checkpoints`.
#[derive(Args)]
pub(crate) struct CheckpointsArgs {
    /// What to do with them.
    #[command(subcommand)]
    pub(crate) verb: CheckpointsVerb,
}

/// What can be done with checkpoints.
#[derive(Subcommand)]
pub(crate) enum CheckpointsVerb {
    /// List them, the latest first
    Ls {
        #[command(flatten)]
        records: RecordArgs,

        /// Print one JSON object per line
        #[arg(long)]
        json: bool,
    },
    /// Show all that is known of some
    Show {
        /// The beginning of a checkpoint's id, or the file whose upload it is of
        #[arg(required = true, value_name = "ID|FILE", value_hint = ValueHint::FilePath)]
        which: Vec<PathBuf>,

        #[command(flatten)]
        records: RecordArgs,

        /// Print one JSON object per line
        #[arg(long)]
        json: bool,
    },
    /// Drop some, so that these files begin anew; the server is not asked and keeps its parts
    Rm {
        /// The beginning of a checkpoint's id, or the file whose upload it is of
        #[arg(value_name = "ID|FILE", value_hint = ValueHint::FilePath)]
        which: Vec<PathBuf>,

        /// Those that nothing was added to for this long, for example 7d
        #[arg(long, value_name = "DURATION", value_parser = units::parse_duration, conflicts_with = "which")]
        older_than: Option<Duration>,

        #[command(flatten)]
        records: RecordArgs,

        /// Print one JSON object per line
        #[arg(long)]
        json: bool,
    },
}

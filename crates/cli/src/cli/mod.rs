//! Every flag of every verb, with its unit and default. No behaviour lives here.

mod bucket;
mod doctor;
mod object;
mod place;
mod records;
mod server;
mod storage;
mod tools;
mod transfer;
mod upload;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueHint};

pub(crate) use bucket::{AbortArgs, LsArgs, RmArgs};
pub(crate) use doctor::DoctorArgs;
pub(crate) use object::{AppendArgs, PutArgs};
pub(crate) use place::{Mode, PlaceArgs, StoreArgs, VodSignature};
pub(crate) use records::{CheckpointsArgs, CheckpointsVerb, ResumeArgs};
pub(crate) use server::{FsckArgs, ServeArgs};
pub(crate) use storage::{GetArgs, UrlArgs};
pub(crate) use tools::{CompletionsArgs, ManArgs};
pub(crate) use transfer::{NetworkArgs, OnBusy, OnPartFailure, RecordArgs, TransferArgs};
pub(crate) use upload::{
    CallbackArgs, CallbackType, Duplicates, ImageType, MediaArgs, ObjectArgs, SelectArgs,
    UploadArgs,
};

/// Carries video to storage over bad networks, and does not lose the voyage when something dies half-way.
#[derive(Parser)]
#[command(
    name = "vodferry",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true
)]
#[command(
    after_help = "Flags win over environment variables, these over the configuration file. Exit codes and event \
    lines: docs/reference/cli.md"
)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: Verb,

    /// Configuration file, TOML [default: $XDG_CONFIG_HOME/vodferry/config.toml when it exists]
    #[arg(long, global = true, value_name = "FILE", env = "VODFERRY_CONFIG", value_hint = ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,

    /// What to log to stderr, for example `debug` or `vodferry=trace,warn` [default: `info` for serve, else `error`]
    #[arg(long, global = true, value_name = "FILTER", env = "VODFERRY_LOG")]
    pub(crate) log: Option<String>,
}

/// The verbs.
#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Upload files; one that was interrupted goes on where it stopped
    Upload(Box<UploadArgs>),
    /// Go on with unfinished uploads
    Resume(ResumeArgs),
    /// Show, export and drop what unfinished uploads go on from
    Checkpoints(CheckpointsArgs),
    /// List the objects of a bucket, or its unfinished uploads
    Ls(LsArgs),
    /// Give unfinished uploads up: the server drops their parts
    Abort(AbortArgs),
    /// Delete objects
    Rm(RmArgs),
    /// Put a file as one object, by one request
    Put(Box<PutArgs>),
    /// Append a file to an object that grows
    Append(AppendArgs),
    /// Check what an upload will meet: network, clocks, rights, speed, checkpoints; and say what to do
    Doctor(DoctorArgs),
    /// Download an object, whole and verified, or not at all
    Get(GetArgs),
    /// Print a presigned URL that lets anyone download an object for a while
    Url(UrlArgs),
    /// Run a server that official OSS and VOD SDKs accept unchanged
    Serve(ServeArgs),
    /// Check the data folder of a server that does not run
    Fsck(FsckArgs),
    /// Manage access keys, roles and master keys of a server, also while it runs
    Admin(crate::admin::AdminArgs),
    /// Print what a shell needs to complete verbs and flags
    Completions(CompletionsArgs),
    /// Print the manual page, or write those of all verbs into a folder
    Man(ManArgs),
}

/// What is shown.
#[derive(Args, Clone, Copy)]
#[command(next_help_heading = "Output")]
pub(crate) struct DisplayArgs {
    /// Print events on stdout, one JSON object per line
    #[arg(long)]
    pub(crate) json: bool,

    /// Print nothing but errors and, on stdout, what was uploaded
    #[arg(long, short)]
    pub(crate) quiet: bool,

    /// Leave the keyboard alone: no keys to pause, skip and stop while bars are shown
    #[arg(long)]
    pub(crate) no_keys: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_flags_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_flag_has_a_help_text() {
        for verb in Cli::command().get_subcommands() {
            for argument in verb.get_arguments().filter(|a| a.get_id() != "help") {
                assert!(argument.get_help().is_some(), "{} {}", verb.get_name(), argument.get_id());
            }
        }
    }
}

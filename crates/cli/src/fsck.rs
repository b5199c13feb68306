//! `vodferry fsck`: findings on stdout, one line each; the exit code says whether a server could serve everything.

use vodferry_server::store::{FsckError, FsckOptions, FsckReport, fsck};

use crate::cli::FsckArgs;
use crate::error::Failure;
use crate::exit_code::ExitCode;
use crate::output;
use crate::serve::chain;
use crate::settings::Settings;

/// Checks the data folder of a server that does not run.
pub(crate) fn run(args: &FsckArgs, settings: &Settings) -> Result<ExitCode, Failure> {
    let data = match &args.data {
        Some(data) => data.clone(),
        None => settings.serve.clone().unwrap_or_default().data,
    };
    let options = FsckOptions { repair: args.repair, verify_hashes: args.verify_hashes };
    let report = fsck(&data, options).map_err(|error| explain(&error))?;
    for line in report.to_string().lines() {
        output::data(line);
    }
    Ok(exit_code(&report))
}

fn exit_code(report: &FsckReport) -> ExitCode {
    if report.is_clean() { ExitCode::Success } else { ExitCode::Integrity }
}

fn explain(error: &FsckError) -> Failure {
    let failure = Failure::new(ExitCode::File, chain(error));
    match error {
        FsckError::NoData(_) => failure.hint("--data takes the data folder of `vodferry serve`"),
        FsckError::Blobs(vodferry_server::store::BlobError::Locked(_)) => {
            failure.hint("stop the server first")
        }
        _ => failure,
    }
}

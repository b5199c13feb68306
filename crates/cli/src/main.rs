//! The binary `vodferry`: flags and glue. What it does lives in the crates `vodferry` (uploading) and `vodferry-server` (serving).

mod admin;
mod again;
mod bars;
mod bucket;
mod calendar;
mod checkpoints;
mod cli;
mod command_line;
mod described;
mod destination;
mod doctor;
mod entry;
mod error;
mod exit_code;
mod face;
mod flights;
mod folders;
mod fresh;
mod fsck;
mod get;
mod growing;
mod helm;
mod json;
mod key;
mod keys;
mod layers;
mod list;
mod listing;
mod object;
mod output;
mod place;
mod records;
mod renewal;
mod resume;
mod serve;
mod settings;
mod shell;
mod signals;
#[cfg(unix)]
mod terminal;
mod tools;
mod transfer;
mod units;
mod upload;
mod values;
mod voyage;

use std::time::Duration;

use vodferry_server::LogFormat;

use crate::cli::{Cli, Verb};
use crate::error::Failure;
use crate::exit_code::ExitCode;
use crate::settings::Settings;

fn main() -> std::process::ExitCode {
    let cli = command_line::read().unwrap_or_else(|error| command_line::misread(&error));
    let told = |failure: Failure| {
        failure.print();
        failure.exit
    };
    let exit = run(&cli).unwrap_or_else(told);
    // What was asked for may be done, but whoever asked did not hear all of it.
    output::lost().map_or(exit, |lost| exit.worse(told(lost))).into()
}

fn run(cli: &Cli) -> Result<ExitCode, Failure> {
    let settings = settings::load(cli.config.as_deref())?;
    start_logging(cli, &settings)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime
        .map_err(|error| Failure::new(ExitCode::Other, format!("cannot start threads: {error}")))?;
    let done = runtime.block_on(async {
        match &cli.verb {
            Verb::Upload(args) => upload::run(cli, args, &settings).await,
            Verb::Resume(args) => resume::run(cli, args, &settings).await,
            Verb::Checkpoints(args) => checkpoints::run(args, &settings),
            Verb::Ls(args) => bucket::ls(args, &settings).await,
            Verb::Abort(args) => bucket::abort(args, &settings).await,
            Verb::Rm(args) => bucket::rm(args, &settings).await,
            Verb::Put(args) => object::put(args, &settings).await,
            Verb::Append(args) => object::append(args, &settings).await,
            Verb::Doctor(args) => doctor::run(args, &settings).await,
            Verb::Get(args) => get::get(args, &settings).await,
            Verb::Url(args) => get::url(args, &settings),
            Verb::Serve(args) => serve::run(args, &settings).await,
            Verb::Fsck(args) => fsck::run(args, &settings),
            Verb::Admin(args) => admin::run(args, &settings),
            Verb::Completions(args) => tools::completions(args),
            Verb::Man(args) => tools::man(args),
        }
    });
    // A read of standard input may never come back.
    runtime.shutdown_timeout(Duration::from_secs(1));
    done
}

/// Logs go to stderr: stdout is for data.
fn start_logging(cli: &Cli, settings: &Settings) -> Result<(), Failure> {
    let (default, json) = match &cli.verb {
        Verb::Serve(args) => ("info", serve::log_format(args, settings) == LogFormat::Json),
        _ => ("error", false),
    };
    let filter = tracing_subscriber::EnvFilter::try_new(cli.log.as_deref().unwrap_or(default))
        .map_err(|error| {
            Failure::usage(format!("no log filter: {error}"))
                .hint("for example debug or vodferry=trace,warn")
        })?;
    // A log that cannot be written is no reason to stop, and the complaint about it would panic.
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .log_internal_errors(false);
    if json {
        log.json().init()
    } else {
        log.with_ansi(is_terminal()).init()
    }
    Ok(())
}

fn is_terminal() -> bool {
    use std::io::IsTerminal;
    std::io::stderr().is_terminal()
}

//! Flags about how bytes travel.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum, ValueHint};
use serde::Deserialize;

use crate::units;

/// How bytes travel.
#[derive(Args)]
#[command(next_help_heading = "How")]
pub(crate) struct TransferArgs {
    /// Bytes per part, 102400 to 5GiB; 0 takes the default; raised where a file would need over 10000 parts [default: by measurement]
    #[arg(long, value_name = "SIZE", env = "VODFERRY_PART_SIZE", value_parser = units::parse_size)]
    pub(crate) part_size: Option<u64>,

    /// Parts of one file in flight at once, 1 to 64 [default: by measurement]
    #[arg(long, value_name = "N", env = "VODFERRY_PARALLEL", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) parallel: Option<u32>,

    /// Files under way at once, 1 to 64; they start in their order and share the parts in flight [default: 1]
    #[arg(long, value_name = "N", env = "VODFERRY_FILES_AT_ONCE", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) files_at_once: Option<u32>,

    /// Whether part size and parts in flight, where they are not set, follow what the network carries; false means 1MiB and 5 [default: true]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) adaptive: Option<bool>,

    /// Most bytes per second, all files together, for example 2MiB/s [default: no limit]
    #[arg(long, value_name = "RATE", env = "VODFERRY_LIMIT", value_parser = units::parse_rate)]
    pub(crate) limit: Option<u64>,

    #[command(flatten)]
    pub(crate) records: RecordArgs,

    /// Keep no checkpoint: an upload that is interrupted begins anew
    #[arg(long, conflicts_with = "record_dir")]
    pub(crate) no_record: bool,

    /// Send no Content-MD5 with parts; the CRC64 check of parts and object stays
    #[arg(long)]
    pub(crate) no_md5: bool,

    /// Parts one after another, in their order: the service can give the whole object a Content-MD5 then
    #[arg(long, conflicts_with = "parallel")]
    pub(crate) sequential: bool,

    /// Memory for the parts in flight; where they do not fit, each is read from the file twice instead [default: 64MiB]
    #[arg(long, value_name = "SIZE", env = "VODFERRY_MAX_BUFFERED", value_parser = units::parse_size)]
    pub(crate) max_buffered: Option<u64>,

    /// Give a file up after this long without an acknowledged part, for example 90s or 10m [default: 10m]
    #[arg(long, value_name = "DURATION", env = "VODFERRY_RETRY_FOR", value_parser = units::parse_duration)]
    pub(crate) retry_for: Option<Duration>,

    /// Give a file up after so many failures in a row without an acknowledged part, at least 1, instead of after a time [default: none]
    #[arg(long, value_name = "N", env = "VODFERRY_RETRY_COUNT", conflicts_with = "retry_for", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) retry_count: Option<u32>,

    /// Wait this long before each further try, always the same [default: anything up to 200ms, doubled with each failure, at most 20s]
    #[arg(long, value_name = "DURATION", env = "VODFERRY_RETRY_DURATION", value_parser = units::parse_duration)]
    pub(crate) retry_duration: Option<Duration>,

    /// When a part fails for good: stop the others of its file, or let those finish that are under way, so that the next run finds
    /// more [default: stop]
    #[arg(
        long,
        value_name = "stop|finish",
        env = "VODFERRY_ON_PART_FAILURE",
        hide_possible_values = true
    )]
    pub(crate) on_part_failure: Option<OnPartFailure>,

    /// When the reply that begins an upload is lost, look at the service for the upload it began and go on with it. Needs the right to
    /// list uploads, and a key that nothing else is uploaded to at the same time, as the upload of the one may be taken for that of the
    /// other [default: another is begun, the first stays until it is cleared away]
    #[arg(long)]
    pub(crate) find_orphans: bool,

    /// Least time between two progress events of a file; 0 tells one per part [default: 100ms]
    #[arg(long, value_name = "DURATION", env = "VODFERRY_PROGRESS_INTERVAL", value_parser = units::parse_duration)]
    pub(crate) progress_interval: Option<Duration>,

    /// End the run when a file fails: those behind it are not uploaded [default: the run goes on with the next]
    #[arg(long)]
    pub(crate) halt_on_failure: bool,

    /// What is cancelled (Ctrl-C, or the key that skips a file) is given up at the server too, and its checkpoint dropped [default: both
    /// are kept, it goes on later]
    #[arg(long)]
    pub(crate) delete_on_cancel: bool,

    /// When another process uploads the same file: fail, or wait until it ends and go on with what it left [default: fail]
    #[arg(long, value_name = "fail|wait", env = "VODFERRY_ON_BUSY", hide_possible_values = true)]
    pub(crate) on_busy: Option<OnBusy>,

    #[command(flatten)]
    pub(crate) network: NetworkArgs,
}

/// Where checkpoints are.
#[derive(Args)]
pub(crate) struct RecordArgs {
    /// Folder of the checkpoints that make an upload resumable [default: $XDG_STATE_HOME/vodferry/uploads]
    #[arg(long, value_name = "DIR", env = "VODFERRY_RECORD_DIR", value_hint = ValueHint::DirPath)]
    pub(crate) record_dir: Option<PathBuf>,
}

/// The way to the network.
#[derive(Args)]
#[command(next_help_heading = "Network")]
pub(crate) struct NetworkArgs {
    /// Proxy for every request, `http://HOST:PORT` with `USER:PASSWORD@` where it asks for them; `none` goes without one [default: as
    /// HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY say]
    #[arg(long, value_name = "URL", env = "VODFERRY_PROXY", hide_env_values = true, value_hint = ValueHint::Url)]
    pub(crate) proxy: Option<String>,

    /// PEM file with certificates to trust besides those of the system
    #[arg(long, value_name = "FILE", env = "VODFERRY_CA_FILE", value_hint = ValueHint::FilePath)]
    pub(crate) ca_file: Option<PathBuf>,

    /// Give a connection attempt up after this long [default: 10s]
    #[arg(long, value_name = "DURATION", env = "VODFERRY_CONNECT_TIMEOUT", value_parser = units::parse_timeout)]
    pub(crate) connect_timeout: Option<Duration>,

    /// Give a request up after this long without a byte in either direction; uploads try it again as --retry-for says [default: 30s]
    #[arg(long, value_name = "DURATION", env = "VODFERRY_IDLE_TIMEOUT", value_parser = units::parse_timeout)]
    pub(crate) idle_timeout: Option<Duration>,

    /// Give a request up after this long, plus the time that its body and the reply's take at --slowest; what --limit holds back does not count [default: 60s]
    #[arg(long, value_name = "DURATION", env = "VODFERRY_REQUEST_TIMEOUT", value_parser = units::parse_timeout)]
    pub(crate) request_timeout: Option<Duration>,

    /// Least bytes per second: a part that is slower is given up and sent anew [default: 8KiB/s]
    #[arg(long, value_name = "RATE", env = "VODFERRY_SLOWEST", value_parser = units::parse_rate)]
    pub(crate) slowest: Option<u64>,
}

/// What becomes of a file's other parts when one fails for good.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OnPartFailure {
    /// They are stopped at once
    Stop,
    /// Those under way are finished
    Finish,
}

/// What to do about another process that uploads the same file.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OnBusy {
    /// End with exit code 7
    Fail,
    /// Wait, then go on
    Wait,
}

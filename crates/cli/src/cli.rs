//! Every flag of every verb, with its unit and default. No behaviour lives here.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use serde::Deserialize;

use crate::units;

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
    Upload(UploadArgs),
    /// Go on with unfinished uploads
    Resume(ResumeArgs),
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
}

/// `vodferry upload`.
#[derive(Args)]
pub(crate) struct UploadArgs {
    /// Files to upload, in this order; `-` is standard input
    #[arg(required = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,

    /// What standard input is called. Fed again after an interruption under the same name, it goes on: what is stored is not sent
    /// again
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,

    #[command(flatten)]
    pub(crate) place: PlaceArgs,

    /// Object key; one that ends in `/` takes the file's name behind it. With --endpoint [default: the file's name]
    #[arg(long, value_name = "KEY", help_heading = "Where to")]
    pub(crate) key: Option<String>,

    /// Title of the video. With --server [default: the file's name]
    #[arg(long, value_name = "TEXT", help_heading = "Where to")]
    pub(crate) title: Option<String>,

    #[command(flatten)]
    pub(crate) transfer: TransferArgs,

    #[command(flatten)]
    pub(crate) display: DisplayArgs,
}

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

/// Who permits the upload, and where it goes: one of three ways.
#[derive(Args)]
#[command(next_help_heading = "Where to")]
pub(crate) struct PlaceArgs {
    /// Application server that hands out upload address and auth, for example http://127.0.0.1:9000 [env: VODFERRY_SERVER]
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url, conflicts_with_all = ["address", "auth", "endpoint", "bucket"])]
    pub(crate) server: Option<String>,

    /// Bearer token of the application server; a server on this machine needs none [env: VODFERRY_TOKEN]
    #[arg(long, value_name = "TOKEN", requires = "server")]
    pub(crate) token: Option<String>,

    /// Upload address, base64, as CreateUploadVideo answers it [env: VODFERRY_ADDRESS]
    #[arg(long, value_name = "BASE64", conflicts_with_all = ["endpoint", "bucket"])]
    pub(crate) address: Option<String>,

    /// Upload auth, base64, as CreateUploadVideo answers it [env: VODFERRY_AUTH]
    #[arg(long, value_name = "BASE64", conflicts_with_all = ["endpoint", "bucket"])]
    pub(crate) auth: Option<String>,

    /// Endpoint of the object storage, for example https://oss-cn-shanghai.aliyuncs.com; the key comes from VODFERRY_ACCESS_KEY_ID,
    /// VODFERRY_ACCESS_KEY_SECRET and VODFERRY_SECURITY_TOKEN, from --keys-file, or from the configuration file, never from the
    /// command line [env: VODFERRY_ENDPOINT]
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub(crate) endpoint: Option<String>,

    /// Bucket. With --endpoint [env: VODFERRY_BUCKET]
    #[arg(long, value_name = "NAME")]
    pub(crate) bucket: Option<String>,

    /// Take access key and server token from the keys.toml of a `vodferry serve` data folder [env: VODFERRY_KEYS_FILE]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) keys_file: Option<PathBuf>,

    /// Region of the bucket, for example cn-hangzhou: requests are signed by V4 [default: none, they are signed by V1]
    #[arg(long, value_name = "NAME", env = "VODFERRY_REGION")]
    pub(crate) region: Option<String>,
}

/// How bytes travel.
#[derive(Args)]
#[command(next_help_heading = "How")]
pub(crate) struct TransferArgs {
    /// Bytes per part, 102400 to 5GiB; 0 takes the default; raised where a file would need over 10000 parts [default: 1MiB]
    #[arg(long, value_name = "SIZE", env = "VODFERRY_PART_SIZE", value_parser = units::parse_size)]
    pub(crate) part_size: Option<u64>,

    /// Parts of one file in flight at once, 1 to 64 [default: 5]
    #[arg(long, value_name = "N", env = "VODFERRY_PARALLEL", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) parallel: Option<u32>,

    /// Whether part size and parts in flight, where they are not set, follow what the network carries; false means 1MiB and 5 [default: true]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) adaptive: Option<bool>,

    /// Most bytes per second, all files together, for example 2MiB/s [default: no limit]
    #[arg(long, value_name = "RATE", env = "VODFERRY_LIMIT", value_parser = units::parse_rate)]
    pub(crate) limit: Option<u64>,

    /// Folder of the checkpoints that make an upload resumable [default: $XDG_STATE_HOME/vodferry/uploads]
    #[arg(long, value_name = "DIR", env = "VODFERRY_RECORD_DIR", value_hint = ValueHint::DirPath)]
    pub(crate) record_dir: Option<PathBuf>,

    /// Keep no checkpoint: an upload that is interrupted begins anew
    #[arg(long, conflicts_with = "record_dir")]
    pub(crate) no_record: bool,

    /// Send no Content-MD5 with parts; the CRC64 check of parts and object stays
    #[arg(long)]
    pub(crate) no_md5: bool,

    /// Give a file up after this long without an acknowledged part, for example 90s or 10m [default: 10m]
    #[arg(long, value_name = "DURATION", env = "VODFERRY_RETRY_FOR", value_parser = units::parse_duration)]
    pub(crate) retry_for: Option<Duration>,

    /// When another process uploads the same file: fail, or wait until it ends and go on with what it left [default: fail]
    #[arg(long, value_name = "fail|wait", env = "VODFERRY_ON_BUSY", hide_possible_values = true)]
    pub(crate) on_busy: Option<OnBusy>,

    /// Give a connection attempt up after this long [default: 10s]
    #[arg(long, value_name = "DURATION", env = "VODFERRY_CONNECT_TIMEOUT", value_parser = units::parse_timeout)]
    pub(crate) connect_timeout: Option<Duration>,

    /// Give a request up after this long without a byte in either direction; it is tried again as --retry-for says [default: 30s]
    #[arg(long, value_name = "DURATION", env = "VODFERRY_IDLE_TIMEOUT", value_parser = units::parse_timeout)]
    pub(crate) idle_timeout: Option<Duration>,
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

/// What is shown.
#[derive(Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct DisplayArgs {
    /// Print events on stdout, one JSON object per line
    #[arg(long)]
    pub(crate) json: bool,

    /// Print nothing but errors and, on stdout, what was uploaded
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

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

    /// For how many seconds the URL works, 1 to 604800
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, value_parser = clap::value_parser!(u32).range(1..=604_800))]
    pub(crate) expires: u32,

    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

/// Where objects are read, and with whose key.
#[derive(Args)]
pub(crate) struct StoreArgs {
    /// Endpoint of the object storage, for example http://127.0.0.1:9000; keys as for `upload` [env: VODFERRY_ENDPOINT]
    #[arg(long, visible_alias = "server", value_name = "URL", value_hint = ValueHint::Url)]
    pub(crate) endpoint: Option<String>,

    /// Take the access key from the keys.toml of a `vodferry serve` data folder [env: VODFERRY_KEYS_FILE]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) keys_file: Option<PathBuf>,

    /// Region of the bucket, for example cn-hangzhou: the URL is signed by V4 [default: none, it is signed by V1]
    #[arg(long, value_name = "NAME", env = "VODFERRY_REGION")]
    pub(crate) region: Option<String>,
}

/// `vodferry serve`.
#[derive(Args)]
pub(crate) struct ServeArgs {
    /// Address and port to listen on; port 0 takes a free one [default: 127.0.0.1:9000]
    #[arg(long, value_name = "ADDRESS", env = "VODFERRY_LISTEN")]
    pub(crate) listen: Option<SocketAddr>,

    /// Folder of objects, database and keys; made on first start [default: vodferry-data]
    #[arg(long, value_name = "DIR", env = "VODFERRY_DATA", value_hint = ValueHint::DirPath)]
    pub(crate) data: Option<PathBuf>,

    /// Life of the upload credentials handed out, 5 to 3600 seconds [default: 3000]
    #[arg(long, value_name = "SECONDS", env = "VODFERRY_CREDENTIAL_LIFE")]
    pub(crate) credential_life: Option<u32>,

    /// URL by which clients reach this server, written into every upload address [default: http://LISTEN]
    #[arg(long, value_name = "URL", env = "VODFERRY_PUBLIC_ENDPOINT", value_hint = ValueHint::Url)]
    pub(crate) public_endpoint: Option<String>,

    /// Bucket of uploaded videos, made on first start [default: vod-media]
    #[arg(long, value_name = "NAME")]
    pub(crate) bucket: Option<String>,

    /// Certificate in PEM, those that vouch for it behind it: speak TLS, and nothing else; read again when it changes [default: plain HTTP]
    #[arg(long, value_name = "FILE", env = "VODFERRY_TLS_CERT", value_hint = ValueHint::FilePath, requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,

    /// Private key of --tls-cert, in PEM
    #[arg(long, value_name = "FILE", env = "VODFERRY_TLS_KEY", value_hint = ValueHint::FilePath, requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,

    /// Address and port of /metrics for Prometheus, which everybody who reaches it may read [default: none]
    #[arg(long, value_name = "ADDRESS", env = "VODFERRY_METRICS_LISTEN")]
    pub(crate) metrics_listen: Option<SocketAddr>,

    /// File that gets one line of JSON per request, `-` for stdout; SIGHUP begins it anew after a move [default: none]
    #[arg(long, value_name = "FILE", env = "VODFERRY_ACCESS_LOG", value_hint = ValueHint::FilePath)]
    pub(crate) access_log: Option<PathBuf>,

    /// Log as JSON, one object per line
    #[arg(long)]
    pub(crate) log_json: bool,
}

/// `vodferry fsck`.
#[derive(Args)]
pub(crate) struct FsckArgs {
    /// Folder of objects, database and keys [default: vodferry-data]
    #[arg(long, value_name = "DIR", env = "VODFERRY_DATA", value_hint = ValueHint::DirPath)]
    pub(crate) data: Option<PathBuf>,

    /// Read every byte and compare it with the hashes that were acknowledged [default: lengths only]
    #[arg(long)]
    pub(crate) verify_hashes: bool,

    /// Move blobs that nothing names aside, and save those that would wrongly be deleted; never deletes what was stored
    #[arg(long)]
    pub(crate) repair: bool,
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

//! Flags of the verbs that are about a server of ours.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueHint};

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

    /// Log to stderr as JSON, one object per line
    #[arg(long, env = "VODFERRY_LOG_JSON")]
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

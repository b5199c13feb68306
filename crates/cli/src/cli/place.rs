//! Flags about where bytes go, and who permits it.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};
use serde::Deserialize;

/// How an upload is permitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// An application server says where each file goes, and renews the right to it
    Server,
    /// An upload address and auth, for one file
    Address,
    /// A temporary key (with a security token), for a bucket or the VOD API
    Sts,
    /// An access key that does not end, for a bucket or the VOD API: for tests, as whoever holds it may do what its owner may
    Ak,
}

/// How calls of the VOD API are signed.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum VodSignature {
    /// HMAC-SHA1 over the parameters
    V1,
    /// ACS3-HMAC-SHA256
    Acs3,
}

/// Who permits the upload, and where it goes: one of four ways.
#[derive(Args)]
#[command(next_help_heading = "Where to")]
pub(crate) struct PlaceArgs {
    /// How the upload is permitted; what environment and configuration file name for other ways is passed over then. `ak`, a plain
    /// access key, is for tests: whoever holds it may do what its owner may [default: as the other flags say]
    #[arg(long, value_name = "server|address|sts|ak", hide_possible_values = true)]
    pub(crate) mode: Option<Mode>,

    /// Application server that hands out upload address and auth, for example http://127.0.0.1:9000 [env: VODFERRY_SERVER]
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url, conflicts_with_all = ["address", "auth", "endpoint", "bucket", "vod"])]
    pub(crate) server: Option<String>,

    /// Bearer token of the application server; a server on this machine needs none [env: VODFERRY_TOKEN]
    #[arg(long, value_name = "TOKEN", requires = "server")]
    pub(crate) token: Option<String>,

    /// VOD API that makes the videos, called with an access key or a temporary one: its region, for example cn-shanghai, or its URL
    /// [env: VODFERRY_VOD]
    #[arg(long, value_name = "REGION|URL", conflicts_with_all = ["address", "auth", "endpoint", "bucket"])]
    pub(crate) vod: Option<String>,

    /// How calls of the VOD API are signed: by version 1, or by ACS3-HMAC-SHA256. With --vod [default: v1]
    #[arg(
        long,
        value_name = "v1|acs3",
        env = "VODFERRY_VOD_SIGNATURE",
        hide_possible_values = true
    )]
    pub(crate) vod_signature: Option<VodSignature>,

    /// Tell the application server what happens to the files, for its statistics: begun, parts, retries, how they ended; no path and
    /// no credential is in it. With --server [default: nobody is told]
    #[arg(long)]
    pub(crate) report: bool,

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

    /// Command whose output is the access key: a JSON object with AccessKeyId, AccessKeySecret, SecurityToken and Expiration, as
    /// AssumeRole answers it. Run by the shell before anything is sent, and again before a temporary key ends
    /// [env: VODFERRY_CREDENTIALS_COMMAND]
    #[arg(long, value_name = "COMMAND", value_hint = ValueHint::CommandString, conflicts_with = "keys_file")]
    pub(crate) credentials_command: Option<String>,

    /// Region of the bucket, for example cn-hangzhou: requests are signed by V4 [default: none, they are signed by V1]
    #[arg(long, value_name = "NAME", env = "VODFERRY_REGION")]
    pub(crate) region: Option<String>,
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

    /// Command whose output is the access key: a JSON object with AccessKeyId, AccessKeySecret, SecurityToken and Expiration, as
    /// AssumeRole answers it. Run by the shell
    /// [env: VODFERRY_CREDENTIALS_COMMAND]
    #[arg(long, value_name = "COMMAND", value_hint = ValueHint::CommandString, conflicts_with = "keys_file")]
    pub(crate) credentials_command: Option<String>,

    /// Region of the bucket, for example cn-hangzhou: what is asked is signed by V4 [default: none, it is signed by V1]
    #[arg(long, value_name = "NAME", env = "VODFERRY_REGION")]
    pub(crate) region: Option<String>,
}

//! What an operator can set, with defaults that suit one machine.
//!
//! A configuration is a TOML file whose names are the fields of [`Config`]; each may be left out,
//! none may be unknown. Times are whole or broken seconds (`0.5`), sizes are bytes.

mod check;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::store::Quota;

/// Settings of one server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address and port to listen on; port 0 takes a free one. Default `127.0.0.1:9000`.
    pub listen: SocketAddr,
    /// Folder of blobs, database and keys; made on first start. Default `vodferry-data`.
    pub data: PathBuf,
    /// The URL that clients reach this server by, handed out in every upload address: scheme, host
    /// and port, nothing behind. Default `http://<listen>` (`https` with `tls`), with a loopback
    /// address for `0.0.0.0`.
    pub public_endpoint: Option<String>,
    /// Addresses and networks of proxies in front of this server, as in `10.0.0.0/8`. What comes from there is
    /// taken for a request of the client that the proxy names in `X-Forwarded-For` or `Forwarded`, encrypted if it
    /// says so in `X-Forwarded-Proto` or `Forwarded`; from anybody else these headers mean nothing. Default none.
    pub trusted_proxies: Vec<String>,
    /// Domains under which a bucket is the first label of the host (`oss.example.com` serves
    /// `bucket.oss.example.com`). `localhost` and the vendor's own domains need no entry. Default
    /// none.
    pub base_domains: Vec<String>,
    /// Region told to clients, and the one that V4 signatures must name. Default `cn-shanghai`.
    pub region: String,
    /// Regions beside `region` whose V4 signatures are accepted, for clients that cannot be told the
    /// right one; `*` is any. Default none.
    pub accepted_regions: Vec<String>,
    /// Bucket of uploaded videos, made on first start. Default `vod-media`.
    pub bucket: String,
    /// Life of the credentials handed out, 5 to 3600 seconds. Default 3000.
    #[serde(with = "seconds")]
    pub credential_life: Duration,
    /// Smallest part but the last that Complete accepts, bytes. Default 102,400.
    pub min_part_size: u64,
    /// How long an unfinished multipart upload is kept after its last part, from 10 s on. Default seven days.
    #[serde(with = "seconds")]
    pub upload_life: Duration,
    /// Pause between two rounds of the janitor, which removes what nothing needs. Default 60 s.
    #[serde(with = "seconds")]
    pub janitor_interval: Duration,
    /// How long bytes that nothing names any more are kept, for those who are reading them: longer than
    /// any request takes, at least 10 s. Default 600 s.
    #[serde(with = "seconds")]
    pub garbage_age: Duration,
    /// Sync files and folders before a 2xx leaves. Off is for tests and throw-away data only: a
    /// power cut loses acknowledged parts. Default on.
    pub durable: bool,
    /// Answer a repeated Complete with NoSuchUpload, as the original does, in place of the
    /// remembered answer. Default off.
    pub strict: bool,
    /// Bytes that must be free on the disk of `data` for `/health/ready` to say that the server is
    /// ready; 0 is no bound. Uploads are taken down to `reserved_space`. Default 64 MiB.
    pub free_space: u64,
    /// Bytes on the disk of `data` that uploads leave for the database and its log to grow: what would take of them is refused as
    /// on a full disk, while deletions and the janitor go on and make room. 0 is none, and a disk that was filled
    /// then needs a hand. Default 32 MiB.
    pub reserved_space: u64,
    /// Address and port of `/metrics`, for Prometheus, and of `/health/live` and `/health/ready`, which are answered
    /// there also while all of `limits.connections` are busy; whoever reaches it may read it, so that it is
    /// best a loopback or an inner one. Default none.
    pub metrics_listen: Option<SocketAddr>,
    /// File that gets a line of JSON for each request, or `-` for stdout. Reopened on SIGHUP. Default
    /// none.
    pub access_log: Option<PathBuf>,
    /// How `vodferry serve` writes its own log to stderr: `text`, or `json`, one object per line, with the id of the
    /// request that a line is about. Default `text`.
    pub log_format: LogFormat,
    /// Certificate and key; with them `listen` speaks TLS (1.2 and 1.3), and nothing else. Default none:
    /// plain HTTP.
    pub tls: Option<TlsFiles>,
    /// Where upload callbacks may go. Default public addresses.
    pub callback: CallbackRules,
    /// Domains that are bound to a bucket each, as by a CNAME of the original: every path there is a key of
    /// this bucket. They stand under `[serve.cnames]`, as in `"media.example.com" = "films"`. Default none.
    pub cnames: BTreeMap<String, String>,
    /// What each tenant may store in all its buckets together.
    pub quota: Quota,
    /// What the tenants named here may store, in place of `quota`. Default none.
    pub quotas: BTreeMap<String, Quota>,
    /// Bounds that keep one client from harming others.
    pub limits: Limits,
}

/// How a log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// Objects for programs.
    Json,
}

/// Where TLS gets its certificate from. Both files are read again when they change, and on SIGHUP.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// The certificate and those that vouch for it, the server's own first, in PEM.
    pub cert: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
}

/// Where upload callbacks may go. Uploaders choose their URLs, so that what is allowed here is open to whoever may
/// upload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CallbackRules {
    /// What may be called although it is not public: names of hosts, addresses, and networks as in
    /// `10.0.0.0/8`. Whatever a host named here resolves to is called, so name none that others can point
    /// elsewhere. Default none.
    pub allow: Vec<String>,
    /// Public addresses may be called; without it only what `allow` names. Default on.
    pub public: bool,
    /// File of certificates in PEM that vouch for applications called by `https`, beside those of the
    /// system. Default none.
    pub ca: Option<PathBuf>,
}

/// Bounds on requests and connections.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Longest body of a request that is not an upload (part lists, forms, JSON). Default 2 MiB.
    pub control_body: usize,
    /// All header bytes and the request line together, 8 KiB or more. Bodies are read in pieces of at
    /// most this size, too. Default 256 KiB.
    pub header_bytes: usize,
    /// Most headers of one request. Default 100.
    pub headers: usize,
    /// Longest time for a request's head to arrive, which is also how long an idle connection stays
    /// open. Default 60 s.
    #[serde(with = "seconds")]
    pub header_time: Duration,
    /// Longest pause within a request's body. Default 60 s.
    #[serde(with = "seconds")]
    pub idle_body: Duration,
    /// Least bytes per second of a body, counted over all the time that it is waited for, with
    /// `idle_body` of grace; 0 is no bound. A client slower than this is cut. Default 256.
    pub body_rate: u32,
    /// Longest time that a client takes nothing of a reply that is there for it. Default 60 s.
    #[serde(with = "seconds")]
    pub idle_reply: Duration,
    /// Open connections, of which each may hold `header_bytes` of memory before it has asked anything. When there
    /// are as many, a new one takes the place of the one that has been silent for longest: that has asked nothing
    /// yet, or waits between requests. When all have requests, more wait in the system's queue. Default 4096.
    pub connections: usize,
    /// Open connections of one address, or, of IPv6, of one network of 64 bits; further ones are closed at once. Those
    /// of `trusted_proxies` are not counted; any other proxy in front of this server is one address, as are all
    /// clients behind one router. Default 0, which is no bound.
    pub address_connections: usize,
    /// Requests that one connection of HTTP/2 may have open at once. Default 100.
    pub http2_streams: u32,
    /// Connections that may speak HTTP/2 at once; each may make the server hold 8 MiB. Further ones are
    /// offered HTTP/1.1. Default 64; 0 turns HTTP/2 off.
    pub http2_connections: usize,
    /// How long a shutdown waits for requests under way. Default 10 s.
    #[serde(with = "seconds")]
    pub shutdown: Duration,
}

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read configuration {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not TOML, or a name or a type is wrong.
    #[error("configuration {} is not understood: {}", path.display(), source.message())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Line, column and cause.
        source: Box<toml::de::Error>,
    },
    /// A value is outside its range.
    #[error("{name} is {value}: {rule}")]
    Value {
        /// The field.
        name: &'static str,
        /// What it holds.
        value: String,
        /// What it must be.
        rule: String,
    },
}

impl Config {
    /// Reads and checks a TOML file.
    pub fn load(path: &Path) -> Result<Config, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_path_buf(), source })?;
        let config: Config = toml::from_str(&text).map_err(|source| ConfigError::Parse {
            path: path.to_path_buf(),
            source: Box::new(source),
        })?;
        config.check()?;
        Ok(config)
    }
}

impl Default for Config {
    fn default() -> Config {
        Config {
            listen: SocketAddr::from(([127, 0, 0, 1], 9000)),
            data: PathBuf::from("vodferry-data"),
            public_endpoint: None,
            trusted_proxies: Vec::new(),
            base_domains: Vec::new(),
            region: "cn-shanghai".to_owned(),
            accepted_regions: Vec::new(),
            bucket: "vod-media".to_owned(),
            credential_life: Duration::from_secs(3000),
            min_part_size: 102_400,
            upload_life: Duration::from_secs(7 * 86_400),
            janitor_interval: Duration::from_secs(60),
            garbage_age: Duration::from_secs(600),
            durable: true,
            strict: false,
            free_space: 64 << 20,
            reserved_space: 32 << 20,
            metrics_listen: None,
            access_log: None,
            log_format: LogFormat::Text,
            tls: None,
            callback: CallbackRules::default(),
            cnames: BTreeMap::new(),
            quota: Quota::default(),
            quotas: BTreeMap::new(),
            limits: Limits::default(),
        }
    }
}

impl Default for CallbackRules {
    fn default() -> CallbackRules {
        CallbackRules { allow: Vec::new(), public: true, ca: None }
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            control_body: 2 << 20,
            header_bytes: 256 << 10,
            headers: 100,
            header_time: Duration::from_secs(60),
            idle_body: Duration::from_secs(60),
            body_rate: 256,
            idle_reply: Duration::from_secs(60),
            connections: 4096,
            address_connections: 0,
            http2_streams: 100,
            http2_connections: 64,
            shutdown: Duration::from_secs(10),
        }
    }
}

/// Durations as seconds.
mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(
        duration: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match duration.subsec_nanos() {
            0 => serializer.serialize_u64(duration.as_secs()),
            _ => serializer.serialize_f64(duration.as_secs_f64()),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        Duration::try_from_secs_f64(seconds)
            .map_err(|_| D::Error::custom("seconds, zero or more, are needed"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_the_default() {
        let config: Config = toml::from_str("").unwrap();
        assert_eq!(config, Config::default());
        config.check().unwrap();
    }

    #[test]
    fn a_default_survives_writing_and_reading() {
        let text = toml::to_string(&Config::default()).unwrap();
        assert!(text.contains("credential_life = 3000"), "{text}");
        assert_eq!(toml::from_str::<Config>(&text).unwrap(), Config::default());
    }

    #[test]
    fn seconds_may_be_broken_but_not_negative() {
        let config: Config = toml::from_str("[limits]\nidle_body = 0.25").unwrap();
        assert_eq!(config.limits.idle_body, Duration::from_millis(250));
        assert!(toml::from_str::<Config>("credential_life = -1").is_err());
        assert!(toml::from_str::<Config>("credential_live = 10").is_err(), "an unknown name");
    }
}

//! What an operator can set, with defaults that suit one machine.
//!
//! A configuration is a TOML file whose names are the fields of [`Config`]; each may be left out,
//! none may be unknown. Times are whole or broken seconds (`0.5`), sizes are bytes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use vodferry_oss::address::valid_bucket;

use crate::callback::is_entry;
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
    /// How long an unfinished multipart upload is kept. Default seven days.
    #[serde(with = "seconds")]
    pub upload_life: Duration,
    /// Pause between two rounds of the janitor, which removes what nothing needs. Default 60 s.
    #[serde(with = "seconds")]
    pub janitor_interval: Duration,
    /// How long bytes that nothing names any more are kept, for those who are reading them: longer than
    /// any request takes. Default 600 s.
    #[serde(with = "seconds")]
    pub garbage_age: Duration,
    /// Sync files and folders before a 2xx leaves. Off is for tests and throw-away data only: a
    /// power cut loses acknowledged parts. Default on.
    pub durable: bool,
    /// Answer a repeated Complete with NoSuchUpload, as the original does, in place of the
    /// remembered answer. Default off.
    pub strict: bool,
    /// Bytes that must be free on the disk of `data` for `/health/ready` to say that the server is
    /// ready; 0 is no bound. Uploads are taken as long as there is any space. Default 64 MiB.
    pub free_space: u64,
    /// Address and port of `/metrics`, for Prometheus; whoever reaches it may read it, so that it is
    /// best a loopback or an inner one. Default none.
    pub metrics_listen: Option<SocketAddr>,
    /// File that gets a line of JSON for each request, or `-` for stdout. Reopened on SIGHUP. Default
    /// none.
    pub access_log: Option<PathBuf>,
    /// Certificate and key; with them `listen` speaks TLS (1.2 and 1.3), and nothing else. Default none:
    /// plain HTTP.
    pub tls: Option<TlsFiles>,
    /// Where upload callbacks may go. Default public addresses.
    pub callback: CallbackRules,
    /// What each tenant may store in all its buckets together. Default anything.
    pub quota: Quota,
    /// What the tenants named here may store, in place of `quota`. Default none.
    pub quotas: BTreeMap<String, Quota>,
    /// Bounds that keep one client from harming others.
    pub limits: Limits,
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
    /// Open connections; more wait in the system's queue. Default 4096.
    pub connections: usize,
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
        rule: &'static str,
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

    /// Whether every value is within its range.
    pub fn check(&self) -> Result<(), ConfigError> {
        let refuse = |name, value: &dyn ToString, rule| {
            Err(ConfigError::Value { name, value: value.to_string(), rule })
        };
        let life = self.credential_life;
        if life < Duration::from_secs(5) || life > Duration::from_secs(3600) {
            return refuse("credential_life", &life.as_secs_f64(), "5 to 3600 seconds are allowed");
        }
        if !valid_bucket(&self.bucket) {
            return refuse(
                "bucket",
                &self.bucket,
                "3 to 63 of a-z, 0-9 and -, first and last no -",
            );
        }
        const REGION: &str = "letters, digits and - are allowed, as in cn-shanghai";
        if !is_region(&self.region) {
            return refuse("region", &self.region, REGION);
        }
        if let Some(region) = self.accepted_regions.iter().find(|r| *r != "*" && !is_region(r)) {
            return refuse("accepted_regions", region, REGION);
        }
        if let Some(endpoint) = &self.public_endpoint
            && !is_endpoint(endpoint)
        {
            return refuse(
                "public_endpoint",
                endpoint,
                "http or https, host and port, nothing behind",
            );
        }
        if let Some(domain) = self.base_domains.iter().find(|d| !is_domain(d)) {
            return refuse(
                "base_domains",
                domain,
                "a domain without scheme, port and path is needed",
            );
        }
        if let Some(entry) = self.callback.allow.iter().find(|entry| !is_entry(entry)) {
            return refuse(
                "callback.allow",
                entry,
                "a host without scheme and port, an address or a network is needed",
            );
        }
        if self.janitor_interval < Duration::from_millis(100) {
            return refuse(
                "janitor_interval",
                &self.janitor_interval.as_secs_f64(),
                "at least 0.1 seconds are needed",
            );
        }
        if self.limits.header_bytes < 8192 {
            return refuse(
                "limits.header_bytes",
                &self.limits.header_bytes,
                "at least 8192 are needed",
            );
        }
        if self.limits.http2_streams == 0 {
            return refuse(
                "limits.http2_streams",
                &self.limits.http2_streams,
                "at least 1 is needed",
            );
        }
        if self.limits.connections == 0 {
            return refuse("limits.connections", &self.limits.connections, "at least 1 is needed");
        }
        Ok(())
    }
}

impl Default for Config {
    fn default() -> Config {
        Config {
            listen: SocketAddr::from(([127, 0, 0, 1], 9000)),
            data: PathBuf::from("vodferry-data"),
            public_endpoint: None,
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
            metrics_listen: None,
            access_log: None,
            tls: None,
            callback: CallbackRules::default(),
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
            http2_streams: 100,
            http2_connections: 64,
            shutdown: Duration::from_secs(10),
        }
    }
}

fn is_region(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn is_endpoint(text: &str) -> bool {
    text.parse::<http::Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.authority().is_some_and(|a| !a.as_str().contains('@'))
            && uri.path_and_query().is_none_or(|p| p.as_str() == "/")
            && !text.ends_with('/')
    })
}

fn is_domain(text: &str) -> bool {
    !text.is_empty()
        && text.split('.').all(|label| {
            !label.is_empty()
                && label
                    .bytes()
                    .all(|b| matches!(b, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_'))
        })
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

    #[test]
    fn values_outside_their_range_are_refused_by_name() {
        let refused = |change: fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            config.check().unwrap_err().to_string()
        };
        assert!(
            refused(|c| c.credential_life = Duration::from_secs(4))
                .starts_with("credential_life is 4:")
        );
        assert!(
            refused(|c| c.credential_life = Duration::from_secs(3601))
                .starts_with("credential_life")
        );
        assert!(refused(|c| c.bucket = "No".into()).starts_with("bucket is No:"));
        assert!(refused(|c| c.region = "a b".into()).starts_with("region"));
        assert!(
            refused(|c| c.accepted_regions = vec!["*".into(), "".into()])
                .starts_with("accepted_regions is :")
        );
        assert!(
            refused(|c| c.public_endpoint = Some("http://a/b".into()))
                .starts_with("public_endpoint")
        );
        assert!(
            refused(|c| c.public_endpoint = Some("ftp://a".into())).starts_with("public_endpoint")
        );
        assert!(
            refused(|c| c.public_endpoint = Some("http://u:p@a".into()))
                .starts_with("public_endpoint")
        );
        assert!(refused(|c| c.base_domains = vec!["a..b".into()]).starts_with("base_domains"));
        assert!(
            refused(|c| c.callback.allow = vec!["http://a".into()]).starts_with("callback.allow")
        );
        assert!(refused(|c| c.limits.header_bytes = 10).starts_with("limits.header_bytes"));
        assert!(
            refused(|c| c.janitor_interval = Duration::ZERO).starts_with("janitor_interval is 0:")
        );
        assert!(refused(|c| c.limits.connections = 0).starts_with("limits.connections"));
    }

    #[test]
    fn good_endpoints_and_domains_pass() {
        for endpoint in ["http://10.0.0.5:9000", "https://upload.example.com", "http://[::1]:9000"]
        {
            assert!(is_endpoint(endpoint), "{endpoint}");
        }
        assert!(is_domain("oss.example.com"));
    }
}

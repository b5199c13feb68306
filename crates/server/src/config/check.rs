//! What each setting may be. Everything is looked at before a server opens anything, so that a slip of the
//! pen is a line at the start and not a puzzle later.

use std::time::Duration;

use vodferry_oss::address::valid_bucket;

use super::{Config, ConfigError};
use crate::callback::is_entry;
use crate::keys::is_tenant;
use crate::policy::Network;

impl Config {
    /// Whether every value is within its range.
    ///
    /// # Errors
    /// [`ConfigError::Value`] for the first one that is not.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.check_texts()?;
        for (name, value, least, most) in self.times() {
            let most_seconds = most.as_secs_f64();
            if value < least || value > most {
                let rule = format!("{} to {most_seconds} seconds are allowed", least.as_secs_f64());
                return Err(refused(name, value.as_secs_f64(), rule));
            }
        }
        for (name, value, least, most) in self.numbers() {
            if value < least || value > most {
                return Err(refused(name, value, format!("{least} to {most} are allowed")));
            }
        }
        Ok(())
    }

    /// Name, value, least and most.
    fn times(&self) -> [(&'static str, Duration, Duration, Duration); 8] {
        let limits = &self.limits;
        [
            ("credential_life", self.credential_life, Duration::from_secs(5), HOUR),
            ("upload_life", self.upload_life, Duration::from_secs(10), 3650 * DAY),
            ("janitor_interval", self.janitor_interval, MOMENT, DAY),
            // Requests read what was garbage when they began, and commits are refused what is on that list.
            ("garbage_age", self.garbage_age, Duration::from_secs(10), 30 * DAY),
            ("limits.header_time", limits.header_time, MOMENT, DAY),
            ("limits.idle_body", limits.idle_body, MOMENT, DAY),
            ("limits.idle_reply", limits.idle_reply, MOMENT, DAY),
            ("limits.shutdown", limits.shutdown, Duration::ZERO, DAY),
        ]
    }

    fn numbers(&self) -> [(&'static str, u64, u64, u64); 9] {
        let limits = &self.limits;
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        [
            ("min_part_size", self.min_part_size, 0, 5 << 30),
            ("limits.control_body", count(limits.control_body), 1000, 1 << 30),
            // Buffers of connections have this size.
            ("limits.header_bytes", count(limits.header_bytes), 8192, 16 << 20),
            ("limits.headers", count(limits.headers), 20, 10_000),
            ("limits.body_rate", limits.body_rate.into(), 0, 100 << 20),
            ("limits.connections", count(limits.connections), 1, 1_000_000),
            ("limits.address_connections", count(limits.address_connections), 0, 1_000_000),
            ("limits.http2_streams", limits.http2_streams.into(), 1, 10_000),
            ("limits.http2_connections", count(limits.http2_connections), 0, 1_000_000),
        ]
    }

    fn check_texts(&self) -> Result<(), ConfigError> {
        const REGION: &str = "letters, digits and - are allowed, as in cn-shanghai";
        const BUCKET: &str = "3 to 63 of a-z, 0-9 and -, first and last no -";
        const DOMAIN: &str = "a domain without scheme, port and path is needed";
        if !valid_bucket(&self.bucket) {
            return Err(refused("bucket", &self.bucket, BUCKET));
        }
        if !is_region(&self.region) {
            return Err(refused("region", &self.region, REGION));
        }
        if let Some(region) = self.accepted_regions.iter().find(|r| *r != "*" && !is_region(r)) {
            return Err(refused("accepted_regions", region, REGION));
        }
        if let Some(endpoint) = self.public_endpoint.as_ref().filter(|text| !is_endpoint(text)) {
            let rule = "http or https, host and port, nothing behind";
            return Err(refused("public_endpoint", endpoint, rule));
        }
        if let Some(domain) = self.base_domains.iter().find(|d| !is_domain(d)) {
            return Err(refused("base_domains", domain, DOMAIN));
        }
        for (domain, bucket) in &self.cnames {
            if !is_domain(domain) {
                return Err(refused("cnames", domain, DOMAIN));
            }
            if !valid_bucket(bucket) {
                return Err(refused("cnames", bucket, BUCKET));
            }
        }
        if let Some(proxy) = self.trusted_proxies.iter().find(|p| Network::parse(p).is_none()) {
            let rule = "an address or a network is needed, as in 10.0.0.0/8";
            return Err(refused("trusted_proxies", proxy, rule));
        }
        if let Some(entry) = self.callback.allow.iter().find(|entry| !is_entry(entry)) {
            let rule = "a host without scheme and port, an address or a network is needed";
            return Err(refused("callback.allow", entry, rule));
        }
        if let Some(tenant) = self.quotas.keys().find(|tenant| !is_tenant(tenant)) {
            return Err(refused("quotas", tenant, "a tenant is 1 to 32 of a-z, 0-9, - and _"));
        }
        Ok(())
    }
}

const MOMENT: Duration = Duration::from_millis(100);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

fn refused(name: &'static str, value: impl ToString, rule: impl Into<String>) -> ConfigError {
    ConfigError::Value { name, value: value.to_string(), rule: rule.into() }
}

fn is_region(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
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
    let in_labels = |b| matches!(b, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_');
    !text.is_empty()
        && text.split('.').all(|label| !label.is_empty() && label.bytes().all(in_labels))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(change: impl FnOnce(&mut Config)) -> String {
        let mut config = Config::default();
        change(&mut config);
        config.check().map_or_else(|error| error.to_string(), |()| "fine".to_owned())
    }

    #[test]
    fn texts_that_are_none_are_refused_by_name() {
        assert!(told(|c| c.bucket = "No".into()).starts_with("bucket is No:"));
        assert!(told(|c| c.region = "a b".into()).starts_with("region"));
        assert!(
            told(|c| c.accepted_regions = vec!["*".into(), "".into()])
                .starts_with("accepted_regions is :")
        );
        for bad in ["http://a/b", "ftp://a", "http://u:p@a", "a:80", ""] {
            let told = told(|c| c.public_endpoint = Some(bad.into()));
            assert!(told.starts_with("public_endpoint"), "{bad}");
        }
        assert!(told(|c| c.base_domains = vec!["a..b".into()]).starts_with("base_domains"));
        for (domain, bucket, bad) in
            [("a.example:80", "films", "a.example:80"), ("a.example", "No", "No")]
        {
            let told = told(|c| c.cnames = [(domain.into(), bucket.into())].into());
            assert!(told.starts_with(&format!("cnames is {bad}:")), "{told}");
        }
        assert!(told(|c| c.callback.allow = vec!["http://a".into()]).starts_with("callback.allow"));
        for bad in ["proxy", "10.0.0.0/33", ""] {
            let told = told(|c| c.trusted_proxies = vec!["::1".into(), bad.into()]);
            assert!(told.starts_with(&format!("trusted_proxies is {bad}:")), "{told}");
        }
        let told = told(|c| c.quotas = [("A b".into(), Default::default())].into());
        assert!(told.starts_with("quotas is A b:"), "{told}");
    }

    #[test]
    fn times_outside_their_range_are_refused_with_it() {
        assert_eq!(
            told(|c| c.garbage_age = Duration::ZERO),
            "garbage_age is 0: 10 to 2592000 seconds are allowed"
        );
        type Time = fn(&mut Config) -> &mut Duration;
        let times: [(&str, Time); 8] = [
            ("credential_life", |c| &mut c.credential_life),
            ("upload_life", |c| &mut c.upload_life),
            ("janitor_interval", |c| &mut c.janitor_interval),
            ("garbage_age", |c| &mut c.garbage_age),
            ("limits.header_time", |c| &mut c.limits.header_time),
            ("limits.idle_body", |c| &mut c.limits.idle_body),
            ("limits.idle_reply", |c| &mut c.limits.idle_reply),
            ("limits.shutdown", |c| &mut c.limits.shutdown),
        ];
        for ((name, field), (listed, _, least, most)) in
            times.into_iter().zip(Config::default().times())
        {
            assert_eq!(name, listed);
            for good in [least, most] {
                assert_eq!(told(|c| *field(c) = good), "fine", "{name} {good:?}");
            }
            let below = least.checked_sub(Duration::from_millis(1));
            for bad in below.into_iter().chain([most + Duration::from_millis(1), Duration::MAX]) {
                let told = told(|c| *field(c) = bad);
                assert!(told.starts_with(&format!("{name} is ")), "{bad:?}: {told}");
                assert!(told.ends_with(" seconds are allowed"), "{told}");
            }
        }
    }

    #[test]
    fn numbers_outside_their_range_are_refused_with_it() {
        assert_eq!(
            told(|c| c.limits.connections = 0),
            "limits.connections is 0: 1 to 1000000 are allowed"
        );
        type Set = fn(&mut Config, u64);
        let numbers: [(&str, Set); 9] = [
            ("min_part_size", |c, n| c.min_part_size = n),
            ("limits.control_body", |c, n| c.limits.control_body = n as usize),
            ("limits.header_bytes", |c, n| c.limits.header_bytes = n as usize),
            ("limits.headers", |c, n| c.limits.headers = n as usize),
            ("limits.body_rate", |c, n| c.limits.body_rate = n as u32),
            ("limits.connections", |c, n| c.limits.connections = n as usize),
            ("limits.address_connections", |c, n| c.limits.address_connections = n as usize),
            ("limits.http2_streams", |c, n| c.limits.http2_streams = n as u32),
            ("limits.http2_connections", |c, n| c.limits.http2_connections = n as usize),
        ];
        for ((name, set), (listed, _, least, most)) in
            numbers.into_iter().zip(Config::default().numbers())
        {
            assert_eq!(name, listed);
            for good in [least, most] {
                assert_eq!(told(|c| set(c, good)), "fine", "{name} {good}");
            }
            for bad in least.checked_sub(1).into_iter().chain([most + 1]) {
                let told = told(|c| set(c, bad));
                assert_eq!(told, format!("{name} is {bad}: {least} to {most} are allowed"));
            }
        }
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

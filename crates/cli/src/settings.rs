//! The configuration file: what a user does not want to type each time, and the table `[serve]` for an operator.
//!
//! The names are those of the long flags with `_` for `-`, plus the access key, which no flag offers. An unknown name is an error: a
//! misspelt setting that is silently ignored costs more than the error.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Deserializer, de::Error as _};

use crate::cli::{OnBusy, OnPartFailure, VodSignature};
use crate::error::Failure;
use crate::exit_code::ExitCode;
use crate::units;

/// The configuration file. No `Debug`: it may hold secrets.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) server: Option<String>,
    pub(crate) token: Option<String>,
    pub(crate) vod: Option<String>,
    pub(crate) vod_signature: Option<VodSignature>,
    pub(crate) endpoint: Option<String>,
    pub(crate) bucket: Option<String>,
    pub(crate) access_key_id: Option<String>,
    pub(crate) access_key_secret: Option<String>,
    pub(crate) security_token: Option<String>,
    pub(crate) keys_file: Option<PathBuf>,
    pub(crate) credentials_command: Option<String>,
    #[serde(deserialize_with = "size")]
    pub(crate) part_size: Option<u64>,
    pub(crate) parallel: Option<u32>,
    pub(crate) files_at_once: Option<u32>,
    pub(crate) adaptive: Option<bool>,
    #[serde(deserialize_with = "rate")]
    pub(crate) limit: Option<u64>,
    pub(crate) record_dir: Option<PathBuf>,
    #[serde(deserialize_with = "duration")]
    pub(crate) retry_for: Option<Duration>,
    pub(crate) retry_count: Option<NonZeroU32>,
    #[serde(deserialize_with = "duration")]
    pub(crate) retry_duration: Option<Duration>,
    #[serde(deserialize_with = "size")]
    pub(crate) max_buffered: Option<u64>,
    pub(crate) sequential: Option<bool>,
    pub(crate) find_orphans: Option<bool>,
    pub(crate) on_part_failure: Option<OnPartFailure>,
    #[serde(deserialize_with = "duration")]
    pub(crate) progress_interval: Option<Duration>,
    pub(crate) md5: Option<bool>,
    pub(crate) region: Option<String>,
    pub(crate) on_busy: Option<OnBusy>,
    #[serde(deserialize_with = "timeout")]
    pub(crate) connect_timeout: Option<Duration>,
    #[serde(deserialize_with = "timeout")]
    pub(crate) idle_timeout: Option<Duration>,
    #[serde(deserialize_with = "timeout")]
    pub(crate) request_timeout: Option<Duration>,
    #[serde(deserialize_with = "rate")]
    pub(crate) slowest: Option<u64>,
    pub(crate) proxy: Option<String>,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) serve: Option<vodferry_server::Config>,
}

/// Reads the file named, or the one at the default place when there is one.
pub(crate) fn load(named: Option<&Path>) -> Result<Settings, Failure> {
    let path = match (named, default_path()) {
        (Some(path), _) => path.to_owned(),
        (None, Some(path)) if path.exists() => path,
        (None, _) => return Ok(Settings::default()),
    };
    let text =
        std::fs::read_to_string(&path).map_err(|error| Failure::file("read", &path, &error))?;
    // `message()` alone: the whole text would quote the line, and the line may be a secret.
    toml::from_str(&text).map_err(|error| {
        let line = error
            .span()
            .map(|span| 1 + text.bytes().take(span.start).filter(|b| *b == b'\n').count());
        let place = line.map_or_else(String::new, |line| format!(", line {line}"));
        let reason = without_values(error.message());
        let of_server = error.span().is_some_and(|span| is_of_server(&text, span.start));
        Failure::new(ExitCode::Usage, format!("configuration {}{place}: {reason}", path.display()))
            .hint(if of_server {
                SERVER_SETTINGS
            } else {
                "docs/reference/cli.md lists the settings"
            })
    })
}

/// Where an operator finds what may be set.
pub(crate) const SERVER_SETTINGS: &str =
    "docs/reference/config.md lists the settings of the table [serve]";

/// Whether what stands at `place` is in the table `[serve]`, or in one of its own.
fn is_of_server(text: &str, place: usize) -> bool {
    let Some((before, after)) = text.split_at_checked(place) else { return false };
    let (above, line) = before.rsplit_once('\n').unwrap_or(("", before));
    let line = format!("{line}{}", after.lines().next().unwrap_or_default());
    let mut headings = [line.as_str()].into_iter().chain(above.lines().rev()).map(str::trim_start);
    let heading = headings.find_map(|line| line.strip_prefix('[')).unwrap_or_default();
    let name = heading.trim_start_matches('[').trim_start();
    let is_serve = |name: &str| {
        let rest = name.strip_prefix("serve").map(str::trim_start);
        rest.is_some_and(|rest| rest.starts_with(['.', ']', '=']))
    };
    is_serve(name) || (heading.is_empty() && is_serve(line.trim_start()))
}

/// Messages of the parser may quote the value that they refuse, and the value may be a secret.
fn without_values(message: &str) -> String {
    match message.split_once(", expected ") {
        Some((before, expected)) if before.starts_with("invalid") => {
            format!("not what this setting takes, which is {}", in_words(expected))
        }
        _ => message.replace('\n', ", "),
    }
}

/// What the parser expected, without the names that programmers have for it.
fn in_words(expected: &str) -> String {
    match expected.trim_end() {
        "u8" | "u16" | "u32" => "a whole number, zero or more, of at most nine digits".to_owned(),
        "u64" | "usize" => "a whole number, zero or more".to_owned(),
        "a nonzero u32" => "a whole number above zero".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a boolean" => "true or false".to_owned(),
        other => other.replace('\n', ", "),
    }
}

fn default_path() -> Option<PathBuf> {
    let folder = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = folder("XDG_CONFIG_HOME").or_else(|| Some(folder("HOME")?.join(".config")))?;
    Some(base.join("vodferry").join("config.toml"))
}

/// A number, or text with a unit.
#[derive(Deserialize)]
#[serde(untagged)]
enum Quantity {
    Number(u64),
    Text(String),
}

fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    quantity(deserializer, units::parse_size)
}

fn rate<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    quantity(deserializer, units::parse_rate)
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    quantity(deserializer, units::parse_duration)
}

fn timeout<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    quantity(deserializer, units::parse_timeout)
}

fn quantity<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    parse: fn(&str) -> Result<T, String>,
) -> Result<Option<T>, D::Error> {
    let text = match Quantity::deserialize(deserializer)? {
        Quantity::Number(number) => number.to_string(),
        Quantity::Text(text) => text,
    };
    parse(&text).map(Some).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load_text(text: &str) -> Result<Settings, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, text).unwrap();
        load(Some(&path))
    }

    #[test]
    fn quantities_may_be_numbers_or_text() {
        let settings = load_text("part_size = \"8MiB\"\nlimit = 1000\nretry_for = \"2m\"\n")
            .unwrap_or_default();
        assert_eq!(settings.part_size, Some(8 << 20));
        assert_eq!(settings.limit, Some(1000));
        assert_eq!(settings.retry_for, Some(Duration::from_secs(120)));
    }

    #[test]
    fn the_server_has_a_table() {
        let settings = load_text("[serve]\ncredential_life = 60\n").unwrap_or_default();
        assert_eq!(settings.serve.unwrap().credential_life, Duration::from_secs(60));
    }

    #[test]
    fn mistakes_are_told_with_their_line_and_without_the_secret() {
        for text in [
            "server = \"x\"\naccess_key_secret = [\"hush\"]",
            "\naccess_key_sceret = \"hush\"",
            "\nparallel = \"hush\"",
            "\naccess_key_secret = hush",
        ] {
            let failure = load_text(text).err().unwrap();
            assert_eq!(failure.exit, ExitCode::Usage);
            assert!(failure.message.contains("line 2"), "{failure}");
            assert!(!failure.to_string().contains("hush"), "{failure}");
        }
    }

    #[test]
    fn what_a_setting_takes_is_told_in_words_and_where_it_is_described() {
        for (text, words, page) in [
            ("[serve]\nmin_part_size = -1", "a whole number, zero or more", "config.md"),
            ("[serve.limits]\nhttp2_streams = \"x\"", "a whole number, zero or more", "config.md"),
            ("[serve]\ndurable = 1", "true or false", "config.md"),
            ("[serve]\ncredential_life = \"x\"", "a number", "config.md"),
            ("serve.listen = 1", "", "config.md"),
            ("[serve]\nlimits = { connections = -1 }", "a whole number", "config.md"),
            ("[ serve ]\n# said\nlissen = 1", "unknown field", "config.md"),
            ("server = 1\n[serve]\n", "a string", "cli.md"),
            ("parallel = -1", "a whole number, zero or more", "cli.md"),
            ("retry_count = 0", "a whole number above zero", "cli.md"),
        ] {
            let failure = load_text(text).err().unwrap();
            let told = failure.to_string();
            assert!(failure.message.contains(words), "{text}: {told}");
            assert!(told.contains(page), "{text}: {told}");
            assert!(!["u32", "u64", "usize", "f64"].iter().any(|t| told.contains(t)), "{told}");
        }
    }

    #[test]
    fn a_named_file_must_exist() {
        assert_eq!(
            load(Some(Path::new("/nonexistent/config.toml"))).err().unwrap().exit,
            ExitCode::File
        );
    }
}

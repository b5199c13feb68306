//! What `packaging` names is there: flags, variables, settings, folders, and what systemd makes of the unit.

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::TestEnv;
use vodferry_server::Config;

fn packaged(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The values of these settings of the unit.
fn all<'a>(unit: &'a str, name: &str) -> Vec<&'a str> {
    unit.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('=')).collect()
}

fn one<'a>(unit: &'a str, name: &str) -> &'a str {
    let values = all(unit, name);
    assert_eq!(values.len(), 1, "{name}");
    values[0]
}

/// The settings of the packaged file, those too that are written as comments.
fn config() -> Config {
    let text: Vec<String> = packaged("config.toml")
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(rest) if rest.starts_with('[') || rest.contains(" = ") => rest.to_owned(),
            _ => line.to_owned(),
        })
        .collect();
    let mut table: toml::Table = text.join("\n").parse().unwrap();
    let config: Config = table.remove("serve").unwrap().try_into().unwrap();
    assert!(table.is_empty() && config.tls.is_some(), "{table}");
    config.check().unwrap();
    config
}

#[test]
fn the_unit_starts_what_is_there() {
    let unit = packaged("vodferry.service");
    let start: Vec<&str> = one(&unit, "ExecStart").split(' ').collect();
    // A flag that is not known is told before the help.
    let env = TestEnv::new();
    env.run(&[&start[1..], &["--help"]].concat()).ok();
    let after = |flag| start.iter().skip_while(|word| **word != flag).nth(1).copied();
    assert_eq!(after("--data"), Some("/var/lib/vodferry"));
    assert_eq!(one(&unit, "StateDirectory"), "vodferry");
    let settings = after("--config").unwrap();
    let installing = packaged("README.md");
    for installed in [start[0], settings, "/etc/systemd/system/vodferry.service"] {
        assert!(installing.contains(installed), "{installed}");
    }
    let config = config();
    assert!(config.access_log.unwrap().starts_with("/var/log/vodferry"));
    assert_eq!(one(&unit, "LogsDirectory"), "vodferry");
    let patience: u64 = one(&unit, "TimeoutStopSec").parse().unwrap();
    assert!(patience > config.limits.shutdown.as_secs(), "it would be killed while it ends");
    let files: usize = one(&unit, "LimitNOFILE").parse().unwrap();
    assert!(files > 2 * config.limits.connections, "a connection and a file for each");
}

#[test]
fn systemd_understands_the_unit() {
    if !Command::new("systemd-analyze").arg("--version").output().is_ok_and(|o| o.status.success())
    {
        return vodferry_testkit::skip::skipped("the unit", "there is no systemd-analyze here");
    }
    let env = TestEnv::new();
    let unit = packaged("vodferry.service");
    let verify = |text: &str| {
        // It wants a program that is there.
        let text = text.replace("/usr/bin/vodferry ", concat!(env!("CARGO_BIN_EXE_vodferry"), " "));
        let path = env.text("vodferry.service", &text);
        let mut verify = Command::new("systemd-analyze");
        verify.args(["verify", "--man=no", "--recursive-errors=no"]).arg(&path);
        let done = verify.output().unwrap();
        let told = String::from_utf8_lossy(&done.stderr).into_owned();
        let about_it = told.lines().filter(|line| line.contains("vodferry")).count();
        (done.status.success() && about_it == 0, told)
    };
    let (good, told) = verify(&unit);
    assert!(good, "{told}");
    let (good, _) = verify(&unit.replace("StateDirectory=", "StateFolder="));
    assert!(!good, "a slip of the pen is not noticed");
}

#[test]
fn the_container_runs_what_is_there() {
    let file = packaged("Containerfile");
    let env = TestEnv::new();
    let help = env.run(&["serve", "--help"]).ok().stdout;
    let line = |begins: &str| {
        let mut lines = file.lines().filter_map(|line| line.strip_prefix(begins));
        lines.next().unwrap_or_else(|| panic!("no {begins}"))
    };
    let variables: Vec<(&str, &str)> =
        line("ENV ").split(' ').map(|pair| pair.split_once('=').unwrap()).collect();
    for (name, _) in &variables {
        assert!(help.contains(&format!("[env: {name}")), "{name}");
    }
    let value = |of: &str| variables.iter().find(|(name, _)| *name == of).unwrap().1;
    assert_eq!(value("VODFERRY_DATA"), line("VOLUME "));
    assert_eq!(value("VODFERRY_LISTEN").rsplit(':').next(), Some(line("EXPOSE ")));
    let entry: Vec<String> = serde_json::from_str(line("ENTRYPOINT ")).unwrap();
    assert!(line("COPY --from=build /src/").ends_with(&format!(" {}", entry[0])));
    env.run(&[&entry[1..], &["--help".to_owned()]].concat()).ok();
    assert!(file.contains(concat!("-p ", env!("CARGO_PKG_NAME"), " ")));
    let flags = file.split_whitespace().skip_while(|word| *word != "run").skip(1);
    for flag in flags.take_while(|word| *word != "FROM").filter(|word| word.starts_with("--p")) {
        assert!(help.contains(flag), "{flag}");
    }
    let version = |text: &str| -> Vec<u32> {
        text.split('.').map_while(|number| number.parse().ok()).collect()
    };
    let rust = line("FROM docker.io/library/rust:").split('-').next().unwrap();
    assert!(version(rust) >= version(env!("CARGO_PKG_RUST_VERSION")), "{rust} is too old");
}

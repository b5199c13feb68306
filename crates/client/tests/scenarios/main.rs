//! Replays the scenarios of `conformance/`, each as one test, against the public `Uploader` in virtual time.
//!
//! `cargo test -p vodferry --test scenarios -- NAME` replays those whose file name contains `NAME`; a failure shows the trace as a
//! scenario would write it. `docs/reference/scenarios.md` describes the files. The table of what they cover is generated from what
//! the replays did: `UPDATE=1` rewrites `docs/reference/scenarios-table.md`.

mod app;
mod format;
mod judge;
mod replay;
mod selftest;
mod server;
mod table;

use std::path::{Path, PathBuf};
use std::sync::{LazyLock, OnceLock};

use libtest_mimic::{Arguments, Failed, Trial};

use crate::format::Scenario;
use crate::replay::Trace;

/// One scenario, and its replay once somebody wanted it.
pub(crate) struct Played {
    /// The file's name without `.json`.
    pub(crate) name: String,
    pub(crate) scenario: Result<Scenario, String>,
    trace: OnceLock<Option<Trace>>,
}

impl Played {
    /// Its trace; `None` when the file is none.
    pub(crate) fn trace(&self) -> Option<&Trace> {
        let replay = || self.scenario.as_ref().ok().map(replay::replay);
        self.trace.get_or_init(replay).as_ref()
    }
}

/// All scenarios, by name.
pub(crate) static ALL: LazyLock<Vec<Played>> = LazyLock::new(|| {
    let folder = root().join("conformance");
    let entries = std::fs::read_dir(&folder).expect("the folder conformance");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    let played = |path: PathBuf| Played {
        name: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        scenario: Scenario::read(&path),
        trace: OnceLock::new(),
    };
    paths.into_iter().map(played).collect()
});

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn main() {
    let arguments = Arguments::from_args();
    let scenario = |played: &'static Played| Trial::test(&played.name, move || check(played));
    let mut trials: Vec<Trial> = ALL.iter().map(scenario).collect();
    trials.extend(selftest::trials());
    trials.push(Trial::test("the_table_is_what_the_replays_did", table::check));
    libtest_mimic::run(&arguments, trials).exit();
}

fn check(played: &Played) -> Result<(), Failed> {
    let scenario = played.scenario.as_ref().map_err(|why| format!("{}: {why}", played.name))?;
    let Some(trace) = played.trace() else { return Err("it was not replayed".into()) };
    let wrongs = judge::judge(scenario, trace);
    if wrongs.is_empty() {
        return Ok(());
    }
    let seen = &trace.seen.requests;
    let shown = judge::shown(trace);
    Err(format!(
        "{}: {}\n{}\n  what was told:\n{shown}  the list: {:?}\n  requests: {seen:?}",
        played.name,
        scenario.what,
        wrongs.join("\n"),
        trace.end
    )
    .into())
}

//! The table of which scenario calls which verb in which state, written from what the replays did.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use libtest_mimic::Failed;

use crate::format::{State, Verb};
use crate::replay::{Cell, ListState};
use crate::{ALL, root};

const LISTS: [(ListState, &str); 3] = [
    (ListState::Stopped, "No run is under way"),
    (ListState::Running, "A run is under way"),
    (ListState::Paused, "A run is under way, and the list is paused"),
];

const STATES: [Option<State>; 8] = [
    Some(State::Waiting),
    Some(State::Active),
    Some(State::Paused),
    Some(State::Expired),
    Some(State::Succeeded),
    Some(State::Failed),
    Some(State::Canceled),
    None,
];

/// Verbs of one file, and verbs of the list.
const VERBS: [(Verb, bool, &str); 19] = [
    (Verb::Authorize, true, "authorize"),
    (Verb::Cancel, true, "cancel"),
    (Verb::Pause, true, "pause (file)"),
    (Verb::Remove, true, "remove"),
    (Verb::Restore, true, "restore"),
    (Verb::Resume, true, "resume (file)"),
    (Verb::SetPriority, true, "set_priority"),
    (Verb::Add, false, "add"),
    (Verb::Clear, false, "clear"),
    (Verb::List, false, "list"),
    (Verb::NetworkChanged, false, "network_changed"),
    (Verb::Pause, false, "pause (list)"),
    (Verb::Release, false, "release"),
    (Verb::Restart, false, "restart"),
    (Verb::Resume, false, "resume (list)"),
    (Verb::SetMetered, false, "set_metered"),
    (Verb::SetOnline, false, "set_online"),
    (Verb::Start, false, "start"),
    (Verb::Stop, false, "stop"),
];

/// Compares the table with the replays; `UPDATE=1` rewrites it. A cell with neither a scenario nor a reason is an error.
pub(crate) fn check() -> Result<(), Failed> {
    let mut cells: BTreeMap<Cell, Vec<&str>> = BTreeMap::new();
    for played in ALL.iter() {
        for cell in played.trace().into_iter().flat_map(|trace| &trace.cells) {
            cells.entry(*cell).or_default().push(&played.name);
        }
    }
    let mut missing = Vec::new();
    let table = table(&cells, &mut missing);
    if !missing.is_empty() {
        return Err(format!("no scenario, and no reason why, for {}", missing.join("; ")).into());
    }
    let path = root().join("docs/reference/scenarios-table.md");
    if std::env::var_os("UPDATE").is_some() {
        return std::fs::write(&path, table).map_err(|error| error.to_string().into());
    }
    match std::fs::read_to_string(&path) {
        Ok(found) if found == table => Ok(()),
        _ => Err("docs/reference/scenarios-table.md is not what the replays did: UPDATE=1".into()),
    }
}

fn table(cells: &BTreeMap<Cell, Vec<&str>>, missing: &mut Vec<String>) -> String {
    let mut text = String::from(
        "# Which scenario calls which verb in which state\n\nGenerated from the replays: `UPDATE=1 cargo test -p vodferry --test scenarios \
         table`. A cell names a scenario that\ncalls the verb so; a verb of the list stands in each column of which \
         the list held a file.\n",
    );
    for (list, title) in LISTS {
        let _ = writeln!(text, "\n## {title}\n");
        text.push_str("| verb |");
        for file in STATES {
            let _ = write!(
                text,
                " {} |",
                file.map_or("not in the list, or an empty one".into(), |state| format!(
                    "{state:?}"
                ))
            );
        }
        text.push_str("\n|---|---|---|---|---|---|---|---|---|\n");
        for (verb, of_file, name) in VERBS {
            let _ = write!(text, "| {name} |");
            for file in STATES {
                let cell = Cell { verb, of_file, list, file };
                match (cells.get(&cell).map(Vec::as_slice), impossible(cell)) {
                    (Some(names), _) => {
                        let name = telling(cell, names);
                        let _ = write!(text, " [{name}](../../conformance/{name}.json) |");
                    }
                    (_, Some(reason)) => {
                        let _ = write!(text, " {reason} |");
                    }
                    _ => {
                        missing.push(format!("{name}, {list:?}, {file:?}"));
                        text.push_str(" |");
                    }
                }
            }
            text.push('\n');
        }
    }
    text
}

/// Of those that call a verb so, the one that was written for it, or else the first.
fn telling<'a>(cell: Cell, names: &[&'a str]) -> &'a str {
    let written =
        cell.file.map(|file| format!("{file:?}-files-list-{:?}", cell.list).to_lowercase());
    let first = names.first().copied().unwrap_or_default();
    names.iter().copied().find(|name| Some(*name) == written.as_deref()).unwrap_or(first)
}

/// Why a verb cannot be called so.
fn impossible(cell: Cell) -> Option<&'static str> {
    match (cell.list, cell.file) {
        (ListState::Stopped, Some(State::Active | State::Expired)) => {
            Some("*impossible: the end of a run leaves no file under way*")
        }
        (ListState::Running | ListState::Paused, None) if !cell.of_file => {
            Some("*impossible: a run of an empty list ends*")
        }
        _ => None,
    }
}

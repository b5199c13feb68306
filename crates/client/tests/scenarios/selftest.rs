//! The replayer itself: a scenario that is wrong is noticed, whichever way it is wrong.

use libtest_mimic::{Failed, Trial};

use crate::ALL;
use crate::format::{Expected, Kind, Order, Scenario};
use crate::judge::judge;
use crate::replay::replay;

/// The tests.
pub(crate) fn trials() -> Vec<Trial> {
    vec![
        Trial::test("self_every_wrong_expectation_is_noticed", every_wrong_expectation),
        Trial::test("self_a_wrong_server_is_noticed", wrong_server),
        Trial::test("self_figures_that_come_too_often_are_noticed", too_often),
        Trial::test("self_unknown_and_missing_fields_are_errors", wrong_form),
        Trial::test("self_there_are_enough_scenarios", enough),
    ]
}

/// Each event of each scenario left out, told twice, told of another kind, exchanged with its neighbour.
fn every_wrong_expectation() -> Result<(), Failed> {
    for played in ALL.iter() {
        let (Ok(scenario), Some(trace)) = (&played.scenario, played.trace()) else { continue };
        let noticed = |events: Vec<Expected>| {
            let changed = Scenario { events, ..copy(scenario) };
            !judge(&changed, trace).is_empty()
        };
        let events = &scenario.events;
        for at in 0..events.len() {
            let mut fewer = events.clone();
            let one = fewer.remove(at);
            let mut more = events.clone();
            more.insert(at, one.clone());
            let mut other = events.clone();
            other[at].event = Some(match one.event {
                Some(Kind::Warning) => Kind::Started,
                _ => Kind::Warning,
            });
            let mut exchanged = events.clone();
            if let (Some(next), Order::List) = (events.get(at + 1), scenario.order)
                && *next != one
                && (next.event, &next.file) != (one.event, &one.file)
            {
                exchanged.swap(at, at + 1);
            }
            let exchanged = exchanged == *events || noticed(exchanged);
            if !(noticed(fewer) && noticed(more) && noticed(other) && exchanged) {
                return Err(format!("{}: event {at} may be any", played.name).into());
            }
        }
    }
    Ok(())
}

fn copy(scenario: &Scenario) -> Scenario {
    Scenario {
        what: scenario.what.clone(),
        shows: scenario.shows.clone(),
        options: crate::format::Options { ..scenario.options },
        authority: Default::default(),
        files: scenario
            .files
            .iter()
            .map(|(n, f)| (n.clone(), crate::format::File { size: f.size, source: f.source }))
            .collect(),
        server: Default::default(),
        steps: Vec::new(),
        events: Vec::new(),
        order: scenario.order,
        progress: scenario.progress.clone(),
        requests: scenario.requests.clone(),
        side_by_side: scenario.side_by_side,
        end: scenario.end.clone(),
        until_s: scenario.until_s,
    }
}

const WHOLE: &str = r#"{
    "what": "w", "shows": "s", "files": {"a": {"size": 204800}},
    "steps": [{"do": "add", "file": "a"}, {"do": "start"}],
    "events": [{"event": "Started", "file": "a"}, {"event": "Succeeded", "file": "a"}, {"event": "Ended", "file": "a"}]
}"#;

/// The same expectation, and a server or an application that does something else.
fn wrong_server() -> Result<(), Failed> {
    let noticed = |text: &str| {
        let scenario = Scenario::parse(text)?;
        Ok::<bool, String>(!judge(&scenario, &replay(&scenario)).is_empty())
    };
    if noticed(WHOLE)? {
        return Err("the scenario is wrong as it stands".into());
    }
    let with = |field: &str| WHOLE.replacen('{', &format!("{{{field},"), 1);
    for field in [
        r#""server": {"rules": [{"on": "UploadPart", "lose": "request"}]}"#,
        r#""server": {"rules": [{"on": "CompleteMultipartUpload", "status": 403, "code": "AccessDenied"}]}"#,
        r#""server": {"rules": [{"on": "Any", "silent": true, "times": 0}]}"#,
        r#""authority": {"mode": "manual"}"#,
        r#""progress": {"a": [0, 204800]}"#,
        r#""requests": {"UploadPart": 3}"#,
        r#""side_by_side": [2, 2]"#,
        r#""end": [["a", "Failed"]]"#,
        r#""until_s": 0"#,
    ] {
        if !noticed(&with(field))? {
            return Err(format!("nobody noticed {field}").into());
        }
    }
    for (good, bad) in [
        (r#"{"do": "start"}"#, r#"{"do": "start"}, {"do": "cancel", "file": "a", "misuse": true}"#),
        (r#"{"do": "start"}"#, r#"{"do": "start"}, {"do": "restore", "file": "a"}"#),
        (r#"{"do": "start"}"#, r#"{"do": "start"}, {"do": "list", "is": []}"#),
        (r#"{"do": "start"}"#, r#"{"do": "start"}, {"when": {"event": "Retry"}, "do": "stop"}"#),
    ] {
        if !noticed(&WHOLE.replace(good, bad))? {
            return Err(format!("nobody noticed {bad}").into());
        }
    }
    Ok(())
}

/// What is told per part is no coalesced progress, and what is coalesced is not told per part.
fn too_often() -> Result<(), Failed> {
    let with = |interval: &str| {
        let options = format!("{{\"options\": {{\"progress_interval_ms\": {interval}}},");
        Scenario::parse(&WHOLE.replacen('{', &options, 1).replace("204800", "2048000"))
    };
    let (each, seldom) = (with("0")?, with("1000")?);
    let noticed = |scenario: &Scenario, played: &Scenario| {
        judge(scenario, &replay(played)).iter().any(|wrong| wrong.contains("a figure at"))
    };
    if noticed(&each, &each) || noticed(&seldom, &seldom) {
        return Err("the figures are wrong as they stand".into());
    }
    if !noticed(&seldom, &each) {
        return Err("nobody noticed a figure per part".into());
    }
    Ok(())
}

fn wrong_form() -> Result<(), Failed> {
    for (good, bad) in [
        (r#""what": "w","#, ""),
        (r#""what": "w","#, r#""what": "w", "whot": "","#),
        (r#"{"do": "start"}"#, r#"{"do": "begin"}"#),
        (r#"{"do": "start"}"#, r#"{"do": "start", "file": "a"}"#),
        (r#"{"do": "start"}"#, r#"{"do": "start", "at": 5}"#),
        (r#"{"do": "add", "file": "a"}"#, r#"{"do": "add"}"#),
        (r#"{"do": "add", "file": "a"}"#, r#"{"do": "add", "file": "b"}"#),
        (r#""event": "Ended""#, r#""event": "Over""#),
        (r#"{"size": 204800}"#, r#"{"length": 204800}"#),
    ] {
        let text = WHOLE.replace(good, bad);
        if text == WHOLE || Scenario::parse(&text).is_ok() {
            return Err(format!("{bad} was taken for {good}").into());
        }
    }
    Ok(())
}

fn enough() -> Result<(), Failed> {
    if ALL.len() < 40 {
        return Err(format!("{} scenarios", ALL.len()).into());
    }
    Ok(())
}

//! Compares what was told with what a scenario expects, and with what holds of every upload.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::format::{Expected, Kind, Order, Scenario, SourceKind};
use crate::replay::{Told, Trace};

/// What is wrong with the trace; empty when nothing is.
pub(crate) fn judge(scenario: &Scenario, trace: &Trace) -> Vec<String> {
    let mut wrongs = trace.wrongs.clone();
    wrongs.extend(trace.seen.wrongs.iter().cloned());
    let is_progress = |told: &&Told| told.what.event == Some(Kind::Progress);
    let told: Vec<&Told> = trace.events.iter().filter(|told| !is_progress(told)).collect();
    match scenario.order {
        Order::List => {
            compare("", &scenario.events.iter().collect::<Vec<_>>(), &told, false, &mut wrongs)
        }
        Order::File => {
            // The end of a run comes after all of its files: its place is compared in a group of its own.
            let group = |what: &Expected| match what.event {
                Some(Kind::Ended) => String::new(),
                _ => what.file.clone().unwrap_or_default(),
            };
            let mut groups: BTreeMap<String, (Vec<&Expected>, Vec<&Told>)> = BTreeMap::new();
            for expected in &scenario.events {
                groups.entry(group(expected)).or_default().0.push(expected);
            }
            for told in &told {
                groups.entry(group(&told.what)).or_default().1.push(told);
            }
            for (file, (expected, told)) in groups {
                compare(&format!("{file}: "), &expected, &told, true, &mut wrongs);
            }
            let ends = |last: Option<&Expected>| {
                last.is_some_and(|expected| expected.event == Some(Kind::Ended))
            };
            if ends(scenario.events.last()) != ends(told.last().map(|told| &told.what)) {
                wrongs.push("the run does not end where it should".into());
            }
        }
    }
    for (file, expected) in &scenario.progress {
        let figures = acknowledged(trace, file);
        if figures != *expected {
            wrongs.push(format!("progress of {file} is {figures:?}, not {expected:?}"));
        }
    }
    for (operation, expected) in &scenario.requests {
        let seen = trace.seen.requests.get(operation).copied().unwrap_or_default();
        if seen != *expected {
            wrongs.push(format!("{seen} requests for {operation:?}, not {expected}"));
        }
    }
    if let Some(end) = &scenario.end
        && *end != trace.end
    {
        wrongs.push(format!("the list ends as {:?}, not {end:?}", trace.end));
    }
    let (of_file, of_all) = scenario.side_by_side;
    for (expected, seen) in [(of_file, trace.seen.most_of_file), (of_all, trace.seen.most_of_all)] {
        if expected.is_some_and(|expected| expected != seen) {
            wrongs.push(format!("{seen} parts side by side, not {expected:?}"));
        }
    }
    if trace.seen.most_of_file > scenario.options.parallel {
        wrongs.push(format!("{} parts of a file at one time", trace.seen.most_of_file));
    }
    if trace.seen.most_of_all > scenario.options.max_in_flight {
        wrongs.push(format!("{} parts at one time", trace.seen.most_of_all));
    }
    coalesced(scenario, trace, &mut wrongs);
    always(scenario, trace, &mut wrongs);
    wrongs
}

/// The trace as a scenario would write it.
pub(crate) fn shown(trace: &Trace) -> String {
    let told = trace.events.iter().filter(|told| told.what.event != Some(Kind::Progress));
    told.fold(String::new(), |mut text, told| {
        let _ = writeln!(text, "    {}", line(told));
        text
    })
}

fn line(told: &Told) -> String {
    let Expected { event, file, code, kind, delay_ms, parts, video, verified, .. } = &told.what;
    let mut text = String::from("{");
    let mut put = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            let _ = write!(text, "\"{name}\": {value}, ");
        }
    };
    let quoted = |value: &Option<String>| value.as_ref().map(|value| format!("\"{value}\""));
    put("event", event.map(|event| format!("\"{event:?}\"")));
    put("file", quoted(file));
    put("code", quoted(code));
    put("kind", quoted(kind));
    put("delay_ms", delay_ms.map(|value| value.to_string()));
    put("parts", parts.map(|value| value.to_string()));
    put("video", quoted(video));
    put("verified", verified.map(|value| value.to_string()));
    put("at_ms", Some(told.at_ms.to_string()));
    text.truncate(text.len() - 2);
    text + "}"
}

/// `any_last`: files finish side by side, so that any may be the last one of a run.
fn compare(
    of: &str,
    expected: &[&Expected],
    told: &[&Told],
    any_last: bool,
    wrongs: &mut Vec<String>,
) {
    for (at, (expected, told)) in expected.iter().zip(told).enumerate() {
        if !fits(expected, told, any_last) {
            wrongs.push(format!("{of}event {at} is {}, not {expected:?}", line(told)));
            return;
        }
    }
    if let Some(more) = told.get(expected.len()) {
        wrongs.push(format!("{of}unexpected {}", line(more)));
    }
    if let Some(missing) = expected.get(told.len()) {
        wrongs.push(format!("{of}missing {missing:?}"));
    }
}

fn fits(expected: &Expected, told: &Told, any_last: bool) -> bool {
    fn asked<T: PartialEq>(expected: &Option<T>, told: &Option<T>) -> bool {
        expected.is_none() || expected == told
    }
    let what = &told.what;
    expected.event == what.event
        && (expected.file == what.file || any_last && what.event == Some(Kind::Ended))
        && expected.code == what.code
        && asked(&expected.kind, &what.kind)
        && asked(&expected.delay_ms, &what.delay_ms)
        && asked(&expected.parts, &what.parts)
        && asked(&expected.video, &what.video)
        && asked(&expected.verified, &what.verified)
        && expected.at_ms.is_none_or(|at| at == told.at_ms)
}

/// Each acknowledged figure of a file that differs from the one before.
fn acknowledged(trace: &Trace, file: &str) -> Vec<u64> {
    let of_file = trace.events.iter().filter(|told| told.what.file.as_deref() == Some(file));
    let mut figures: Vec<u64> = of_file.filter_map(|told| Some(told.figure?.0)).collect();
    figures.dedup();
    figures
}

/// Figures of an attempt are an interval apart. One may come early: the whole, or the last before the file is left as it is, after
/// which none comes until its time.
fn coalesced(scenario: &Scenario, trace: &Trace, wrongs: &mut Vec<String>) {
    let interval = scenario.options.progress_interval_ms;
    // Per file: from when on the next one may come, and whether one came before.
    let mut next: BTreeMap<&str, (u64, bool)> = BTreeMap::new();
    for told in &trace.events {
        let Some(file) = told.what.file.as_deref() else { continue };
        if told.what.event == Some(Kind::Started) {
            next.remove(file);
        }
        let Some((acknowledged, in_flight, total)) = told.figure else { continue };
        let (due, early) = next.entry(file).or_default();
        if told.at_ms >= *due {
            (*due, *early) = (told.at_ms + interval, false);
        } else if (acknowledged, in_flight) != (total.unwrap_or(u64::MAX), 0)
            && (in_flight > 0 || *early)
        {
            let at = told.at_ms;
            wrongs.push(format!("{file}: a figure at {at} ms, where none is due before {due} ms"));
        } else {
            *early = true;
        }
    }
}

/// What holds whatever the scenario is about: the object is the file, progress never goes back nor beyond the total and ends at it, an
/// attempt ends once.
fn always(scenario: &Scenario, trace: &Trace, wrongs: &mut Vec<String>) {
    let mut attempts: BTreeMap<&str, Option<u64>> = BTreeMap::new();
    for told in &trace.events {
        let Some(file) = told.what.file.as_deref() else { continue };
        let Some(kind) = told.what.event.filter(|kind| *kind != Kind::Ended) else { continue };
        let size = scenario.files.get(file).and_then(|file| file.size);
        let open = attempts.entry(file).or_default();
        if let Some((acknowledged, in_flight, total)) = told.figure {
            let Some(before) = open else {
                wrongs.push(format!("{file}: progress outside of an attempt"));
                continue;
            };
            if acknowledged < *before || acknowledged + in_flight > size.unwrap_or(0) {
                wrongs.push(format!("{file}: {acknowledged} + {in_flight} after {before}"));
            }
            let unknown = scenario.files.get(file).is_some_and(|f| f.source != SourceKind::Content);
            if total != size && !(unknown && total.is_none()) {
                wrongs.push(format!("{file}: a total of {total:?} bytes, not {size:?}"));
            }
            *before = acknowledged;
            continue;
        }
        match (kind, *open) {
            (Kind::Started, _) => *open = Some(0),
            (Kind::Succeeded, Some(reached)) => {
                if Some(reached) != size {
                    wrongs.push(format!("{file}: progress ends at {reached}, not {size:?}"));
                }
                if !told.whole {
                    wrongs.push(format!("{file}: the object is not the file"));
                }
                *open = None;
            }
            (Kind::Failed | Kind::Canceled, Some(_)) | (Kind::Canceled, None) => *open = None,
            (_, Some(_)) => {}
            (_, None) => wrongs.push(format!("{file}: {kind:?} outside of an attempt")),
        }
    }
}

//! The engine lives many thousand seeded worlds; after every step the promises of the design are asserted.
//!
//! `SEEDS=n` sets how many worlds, `FIRST=n` the first of them, `SEED=n` lives one again and prints everything that happened in it.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use vodferry_testkit::coverage::Coverage;
use vodferry_testkit::world::run;

/// Worlds when the environment asks for no other number.
const SEEDS: u64 = 60_000;
/// Lines of the trace printed for the first seed that failed.
const TAIL: usize = 60;
/// Below this many worlds not everything can be expected to happen.
const ENOUGH: u64 = 2_000;
/// From this many worlds on every kind of fault has to strike often, and every pair of state and input to be met.
const PLENTY: u64 = SEEDS;
/// How often.
const OFTEN: u64 = 1_000;
/// Worlds that a thread takes at a time.
const BATCH: u64 = 100;
/// How often a long run says how far it is.
const NEWS: Duration = Duration::from_secs(15);

/// What all threads found.
#[derive(Default)]
struct Findings {
    coverage: Coverage,
    worlds: u64,
    failed: BTreeMap<&'static str, Vec<(u64, String)>>,
    told: Option<Instant>,
}

#[test]
fn every_promise_holds_in_every_world() {
    if let Some(seed) = number("SEED") {
        let report = run(seed, true);
        report.trace.iter().for_each(|line| println!("{line}"));
        println!("{}", report.coverage);
        assert_eq!(report.violation, None, "seed {seed}");
        return;
    }
    let seeds = number("SEEDS").unwrap_or(SEEDS);
    let Findings { coverage, mut failed, .. } = live(number("FIRST").unwrap_or(0), seeds);
    let missing = coverage.missing();
    say(&format!("{seeds} worlds\n{coverage}\n{}\nnever happened: {missing:?}", coverage.pairs));
    failed.values_mut().for_each(|cases| cases.sort());
    if let Some((seed, _)) = failed.values().flatten().min() {
        let trace = run(*seed, true).trace;
        println!("the end of seed {seed}:");
        trace.iter().skip(trace.len().saturating_sub(TAIL)).for_each(|line| println!("{line}"));
    }
    for (rule, cases) in &failed {
        println!("broken in {} worlds: {rule}", cases.len());
        cases.iter().take(3).for_each(|(seed, what)| println!("  SEED={seed}: {what}"));
    }
    assert!(failed.is_empty(), "promises are broken, see above");
    assert!(seeds < ENOUGH || missing.is_empty(), "never happened in {seeds} worlds: {missing:?}");
    let refuted = coverage.pairs.refuted();
    assert!(refuted.is_empty(), "listed as impossible, and happened: {refuted:?}");
    if seeds >= PLENTY {
        let rare = coverage.rare_faults(OFTEN);
        assert!(rare.is_empty(), "struck fewer than {OFTEN} times: {rare:?}");
        let missing = coverage.pairs.missing();
        assert!(missing.is_empty(), "neither met nor listed as impossible: {missing:?}");
    }
}

/// A seed lives the same life each time: what fails can be looked at again.
#[test]
fn one_seed_is_one_world() {
    for seed in 0..20 {
        assert_eq!(run(seed, true).trace, run(seed, true).trace, "seed {seed}");
    }
}

/// Lives `seeds` worlds on all cores.
fn live(first: u64, seeds: u64) -> Findings {
    let (next, findings) = (AtomicU64::new(0), Mutex::new(Findings::default()));
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let begin = next.fetch_add(BATCH, Ordering::Relaxed);
                    if begin >= seeds {
                        return;
                    }
                    let batch = first + begin..first + seeds.min(begin + BATCH);
                    note(&findings, live_batch(batch), seeds);
                }
            });
        }
    });
    findings.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn live_batch(seeds: std::ops::Range<u64>) -> Findings {
    let mut found = Findings::default();
    for seed in seeds {
        let report = run(seed, false);
        found.worlds += 1;
        found.coverage.merge(&report.coverage);
        if let Some(violation) = report.violation {
            found.failed.entry(violation.rule).or_default().push((seed, violation.what));
        }
    }
    found
}

fn note(all: &Mutex<Findings>, found: Findings, seeds: u64) {
    let mut all = all.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some((rule, (seed, what))) = found
        .failed
        .iter()
        .filter(|_| all.failed.is_empty())
        .find_map(|(r, c)| Some((r, c.first()?)))
    {
        say(&format!(
            "broken: {rule}\n  {what}\n  replay: SEED={seed} cargo test -p vodferry-engine --test simulation -- \
             every_promise --nocapture"
        ));
    }
    all.worlds += found.worlds;
    all.coverage.merge(&found.coverage);
    for (rule, cases) in found.failed {
        all.failed.entry(rule).or_default().extend(cases);
    }
    let told = *all.told.get_or_insert_with(Instant::now);
    if told.elapsed() >= NEWS {
        all.told = Some(Instant::now());
        let broken: usize = all.failed.values().map(Vec::len).sum();
        say(&format!("{} of {seeds} worlds, broken in {broken}", all.worlds));
    }
}

/// Not by println, which a passing test swallows: a world in which nothing happens proves nothing.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

//! The engine lives a few thousand seeded worlds; after every step the promises of the design are asserted.
//!
//! `SEEDS=n` sets how many worlds, `SEED=n` lives one again and prints everything that happened in it.

use std::collections::BTreeMap;
use std::io::Write as _;

use vodferry_testkit::coverage::Coverage;
use vodferry_testkit::world::run;

/// Worlds when the environment asks for no other number.
const SEEDS: u64 = 20_000;
/// Lines of the trace printed for the first seed that failed.
const TAIL: usize = 60;
/// Below this many worlds not everything can be expected to happen.
const ENOUGH: u64 = 2_000;

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
    let mut coverage = Coverage::default();
    let mut failed: BTreeMap<&str, Vec<(u64, String)>> = BTreeMap::new();
    for seed in 0..seeds {
        let report = run(seed, false);
        coverage.merge(&report.coverage);
        if let Some(violation) = report.violation {
            failed.entry(violation.rule).or_default().push((seed, violation.what));
        }
    }
    let missing = coverage.missing();
    // Not by println, which a passing test swallows: a world in which nothing happens proves nothing.
    let _ = writeln!(std::io::stdout(), "{seeds} worlds\n{coverage}never happened: {missing:?}");
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
}

/// A seed lives the same life each time: what fails can be looked at again.
#[test]
fn one_seed_is_one_world() {
    for seed in 0..20 {
        assert_eq!(run(seed, true).trace, run(seed, true).trace, "seed {seed}");
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

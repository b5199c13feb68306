//! A server that is asked too much is asked less: no outage, no retry burnt.

use vodferry_engine::{Backoff, Budget, Config, Event, Fault, FaultKind, Op, Retry};
use vodferry_testkit::script::{Performed, Script};
use vodferry_testkit::store::fault;

const PARTS: u64 = 60;

fn slow_down(retry_after_ms: Option<u64>) -> Fault {
    Fault { retry_after_ms, ..fault(FaultKind::SlowDown, "SlowDown") }
}

/// A world with four parts in flight, in which one failure too many is the end.
fn under_way() -> (Script, Vec<Performed>) {
    let retry = Retry { budget: Budget::Count(1), backoff: Backoff::Fixed { ms: 500 } };
    let mut world = Script::new(Config { parallel: 4, retry, ..Config::default() });
    world.add(PARTS << 20);
    world.start();
    let first = world.serve_until(|op| matches!(op, Op::UploadPart { .. }));
    world.serve(&first);
    let flight = all(&mut world);
    assert_eq!(flight.len(), 4);
    (world, flight)
}

fn all(world: &mut Script) -> Vec<Performed> {
    std::iter::from_fn(|| world.try_next_op()).collect()
}

/// How many requests are in flight in each round, when a round is answered before the next begins.
fn rounds(world: &mut Script, count: usize) -> Vec<usize> {
    let mut sizes = Vec::new();
    while sizes.len() < count {
        let round = all(world);
        if round.is_empty() {
            world.pass_to_timer();
            continue;
        }
        sizes.push(round.len());
        // Answered together: what an answer sets free belongs to the next round.
        round.iter().for_each(|op| world.serve(op));
    }
    sizes
}

#[test]
fn the_pool_halves_and_grows_by_one_a_round() {
    let (mut world, flight) = under_way();
    world.answer(&flight[0], Err(slow_down(None)));
    flight[1..].iter().for_each(|op| world.serve(op));
    let sizes = rounds(&mut world, 10);
    assert_eq!(sizes[0], 2, "{sizes:?}");
    assert_eq!(sizes.last(), Some(&4), "{sizes:?}");
    assert!(sizes.windows(2).all(|pair| (pair[0]..=pair[0] + 1).contains(&pair[1])), "{sizes:?}");
    world.run_to_end();
    assert!(matches!(world.events().last(), Some(Event::Ended { .. })));
}

#[test]
fn refusals_of_one_round_halve_it_once() {
    let (mut world, flight) = under_way();
    for op in &flight {
        world.answer(op, Err(slow_down(None)));
    }
    assert_eq!(rounds(&mut world, 1), [2]);
}

#[test]
fn the_servers_wish_is_honoured() {
    let (mut world, flight) = under_way();
    for op in &flight {
        world.answer(op, Err(slow_down(Some(7_000))));
    }
    assert!(world.try_next_op().is_none());
    world.pass(6_999);
    assert!(world.try_next_op().is_none(), "before the time the server named");
    world.pass(60_000);
    assert!(world.try_next_op().is_some());
}

#[test]
fn it_burns_no_retry_and_opens_no_outage() {
    let (mut world, mut flight) = under_way();
    for _ in 0..8 {
        for op in std::mem::take(&mut flight) {
            world.answer(&op, Err(slow_down(None)));
        }
        while flight.is_empty() {
            world.pass_to_timer();
            flight = all(&mut world);
        }
    }
    flight.iter().for_each(|op| world.serve(op));
    world.run_to_end();
    let events = world.events();
    let bad = |e: &Event| matches!(e, Event::Retry { .. } | Event::Failed { .. });
    assert!(!events.iter().any(bad), "{events:?}");
    assert!(events.iter().any(|e| matches!(e, Event::Succeeded { .. })));
}

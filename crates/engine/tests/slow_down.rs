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
    (world.events(), ());
    let flight = all(&mut world);
    assert_eq!(flight.len(), 4);
    (world, flight)
}

fn all(world: &mut Script) -> Vec<Performed> {
    std::iter::from_fn(|| world.try_next_op()).collect()
}

#[test]
fn the_pool_shrinks_and_grows_again() {
    let (mut world, flight) = under_way();
    world.answer(&flight[0], Err(slow_down(None)));
    for op in &flight[1..] {
        world.serve(op);
    }
    let mut most = 0;
    for _ in 0..20 {
        let next = all(&mut world);
        if next.is_empty() {
            world.pass_to_timer();
            continue;
        }
        most = next.len();
        break;
    }
    assert!((1..=2).contains(&most), "{most} after the server asked for less");
    let mut flight: Vec<_> = Vec::new();
    world.pass_to_timer();
    world.run_to_end();
    flight.extend(all(&mut world));
    assert!(flight.is_empty());
    assert!(matches!(world.events().last(), Some(Event::Ended { .. })));
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

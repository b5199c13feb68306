//! A credential that dies stops everything under it, is told once at most, and the next one goes on.

use vodferry_engine::{
    Config, ErrorKind, Event, Fault, FaultKind, FileId, FileState, OnCancel, Op, Want,
};
use vodferry_testkit::script::{Performed, Script};
use vodferry_testkit::store::fault;

const LENGTH: u64 = 12 << 20;

fn is_part(op: &Op) -> bool {
    matches!(op, Op::UploadPart { .. })
}

fn expired() -> Fault {
    fault(FaultKind::Expired, "SecurityTokenExpired")
}

fn told(events: &[Event]) -> usize {
    events.iter().filter(|event| matches!(event, Event::TokenExpired { .. })).count()
}

/// Three parts in flight, the first one of the file already stored.
fn under_way(config: Config) -> (Script, FileId, Vec<Performed>) {
    let mut world = Script::new(Config { parallel: 3, on_cancel: OnCancel::Keep, ..config });
    let file = world.add(LENGTH);
    world.start();
    let first = world.serve_until(is_part);
    world.serve(&first);
    let mut flight = Vec::new();
    while let Some(op) = world.try_next_op() {
        assert!(is_part(&op.op), "{op:?}");
        flight.push(op);
    }
    assert_eq!(flight.len(), 3);
    world.events();
    (world, file, flight)
}

#[test]
fn one_refusal_stops_the_pool_and_is_told_once() {
    let (mut world, file, flight) = under_way(Config::default());
    world.grants = false;
    let grant = flight[0].grant;
    world.answer(&flight[0], Err(expired()));
    assert!(world.try_next_op().is_none());
    let state = world.engine.files().first().map(|view| view.state);
    assert_eq!(state, Some(FileState::Expired));
    // The others were on their way: one is refused as well, one arrives.
    world.answer(&flight[1], Err(expired()));
    world.serve(&flight[2]);
    assert!(world.try_next_op().is_none());
    let events = world.events();
    assert_eq!(told(&events), 1, "{events:?}");
    let acknowledged = |e: &Event| matches!(e, Event::PartAcknowledged { .. });
    assert_eq!(events.iter().filter(|e| acknowledged(e)).count(), 1, "{events:?}");

    world.grant(file);
    let mut again = Vec::new();
    while let Some(op) = world.try_next_op() {
        assert_ne!(op.grant, grant);
        again.push(op.op.clone());
        world.serve(&op);
    }
    assert!(again.contains(&flight[0].op) && again.contains(&flight[1].op));
    assert!(!again.contains(&flight[2].op), "what arrived is not sent again");
    assert!(world.is_stored(file, "of-v1"));
}

#[test]
fn an_authorizer_keeps_expiry_silent() {
    let (mut world, file, flight) = under_way(Config { authorizer: true, ..Config::default() });
    world.wants.clear();
    world.answer(&flight[0], Err(expired()));
    world.answer(&flight[1], Err(expired()));
    world.answer(&flight[2], Err(expired()));
    assert_eq!(world.wants, [Want::Refresh { video_id: Some("v1".to_owned()) }]);
    world.run_to_end();
    let events = world.events();
    assert_eq!(told(&events), 0, "{events:?}");
    let outage = |e: &Event| matches!(e, Event::Retry { .. } | Event::RetryResume { .. });
    assert!(!events.iter().any(outage), "{events:?}");
    assert!(world.is_stored(file, "of-v1"));
}

#[test]
fn a_grant_is_renewed_at_four_fifths_of_its_life_while_parts_go_on() {
    let (mut world, file, flight) = under_way(Config { authorizer: true, ..Config::default() });
    world.wants.clear();
    world.pass(world.life_ms as u64 * 79 / 100);
    assert!(world.wants.is_empty());
    world.pass(world.life_ms as u64 * 2 / 100);
    assert_eq!(world.wants, [Want::Refresh { video_id: Some("v1".to_owned()) }]);
    assert!(world.abandoned.is_empty(), "parts go on");
    world.serve(&flight[0]);
    let next = world.next_op();
    assert_ne!(next.grant, flight[0].grant, "what is sent from now on is signed anew");
    world.serve(&next);
    world.serve(&flight[1]);
    world.serve(&flight[2]);
    world.run_to_end();
    assert!(world.is_stored(file, "of-v1"));
}

#[test]
fn a_credential_that_never_worked_fails_the_file() {
    let mut world = Script::new(Config::default());
    world.add(LENGTH);
    world.start();
    let first = world.next_op();
    world.answer(&first, Err(expired()));
    assert!(world.try_next_op().is_none());
    let events = world.events();
    let auth =
        |e: &Event| matches!(e, Event::Failed { error, .. } if error.kind == ErrorKind::Auth);
    assert!(events.iter().any(auth), "{events:?}");
    assert_eq!(told(&events), 0, "{events:?}");
}

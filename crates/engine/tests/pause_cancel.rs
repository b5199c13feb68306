//! Pause, stop and cancel cut what is in flight; what was acknowledged stays.

use std::collections::BTreeSet;

use vodferry_engine::{
    Config, Event, Fault, FaultKind, FileState, Grant, GrantId, OnCancel, Op, Record, Target,
};
use vodferry_testkit::script::{Performed, Script};

const LENGTH: u64 = 8 << 20;

fn config() -> Config {
    Config { parallel: 3, ..Config::default() }
}

fn part(op: &Op) -> Option<(String, u32)> {
    match op {
        Op::UploadPart { upload_id, number, .. } => Some((upload_id.clone(), *number)),
        _ => None,
    }
}

/// Two parts acknowledged, three in flight.
fn under_way(world: &mut Script) -> (String, Vec<Performed>) {
    world.start();
    let first = world.serve_until(|op| part(op).is_some());
    let (upload, _) = part(&first.op).unwrap();
    world.serve(&first);
    let second = world.next_op();
    world.serve(&second);
    let mut flight = Vec::new();
    while let Some(op) = world.try_next_op() {
        flight.push(op);
    }
    assert_eq!(flight.len(), 3);
    (upload, flight)
}

fn cut(world: &Script, flight: &[Performed]) {
    let abandoned: BTreeSet<_> = world.abandoned.iter().copied().collect();
    assert!(flight.iter().all(|op| abandoned.contains(&op.id)), "{abandoned:?}");
}

fn expired() -> Fault {
    Fault {
        kind: FaultKind::Expired,
        code: "SecurityTokenExpired".to_owned(),
        message: String::new(),
        request_id: String::new(),
        retry_after_ms: None,
    }
}

/// The parts sent until the end.
fn sent_until_the_end(world: &mut Script, upload: &str) -> Vec<u32> {
    let mut sent = Vec::new();
    while let Some(op) = world.try_next_op() {
        if let Some((upload_id, number)) = part(&op.op) {
            assert_eq!(upload_id, upload);
            sent.push(number);
        }
        world.serve(&op);
    }
    sent.sort_unstable();
    sent
}

#[test]
fn a_pause_cuts_and_resume_lists_before_it_sends() {
    let mut world = Script::new(config());
    let file = world.add(LENGTH);
    let (upload, flight) = under_way(&mut world);
    world.engine.pause(world.clock.now(), None).unwrap();
    assert!(world.try_next_op().is_none());
    cut(&world, &flight);
    // One of the cut requests had arrived.
    let (_, arrived) = part(&flight[1].op).unwrap();
    world.carry_out(&flight[1]).unwrap();
    world.pass(3_600_000);
    assert!(world.try_next_op().is_none());

    world.engine.resume(world.clock.now(), None).unwrap();
    let list = world.next_op();
    assert!(matches!(list.op, Op::ListParts { .. }), "{list:?}");
    world.serve(&list);
    let sent = sent_until_the_end(&mut world, &upload);
    assert_eq!(sent.len(), 5);
    assert!(!sent.contains(&arrived), "{sent:?}");
    assert!(world.is_stored(file, "of-v1"));
}

#[test]
fn a_late_answer_to_a_cut_request_is_ignored() {
    let mut world = Script::new(config());
    world.add(LENGTH);
    let (_, flight) = under_way(&mut world);
    world.engine.pause(world.clock.now(), None).unwrap();
    world.events();
    world.serve(&flight[0]);
    assert_eq!(world.events(), []);
    assert!(world.try_next_op().is_none());
}

#[test]
fn a_paused_file_frees_its_place() {
    let mut world = Script::new(config());
    let (first, second) = (world.add(LENGTH), world.add(LENGTH));
    under_way(&mut world);
    world.engine.pause(world.clock.now(), Some(first)).unwrap();
    let next = world.next_op();
    assert_eq!(next.file, second);
    let states: Vec<_> = world.engine.files().iter().map(|view| view.state).collect();
    assert_eq!(states, [FileState::Paused, FileState::Active]);
}

#[test]
fn stop_then_start_goes_on_with_the_same_upload() {
    let mut world = Script::new(config());
    let file = world.add(LENGTH);
    let (upload, flight) = under_way(&mut world);
    world.engine.stop(world.clock.now());
    assert!(world.try_next_op().is_none());
    cut(&world, &flight);
    world.start();
    let sent = sent_until_the_end(&mut world, &upload);
    assert_eq!(sent.len(), 6);
    assert!(world.is_stored(file, "of-v1"));
    let ended = |e: &Event| matches!(e, Event::Ended { .. });
    assert_eq!(world.events().iter().filter(|e| ended(e)).count(), 1);
}

#[test]
fn cancel_skips_to_the_next_file_and_keeps_the_checkpoint() {
    let mut world = Script::new(config());
    let (first, second) = (world.add(LENGTH), world.add(1_000));
    let (upload, flight) = under_way(&mut world);
    world.events();
    world.engine.cancel(world.clock.now(), first).unwrap();
    let next = world.next_op();
    cut(&world, &flight);
    assert_eq!((next.file, &next.op), (second, &Op::PutObject { length: 1_000 }));
    let told = world.events();
    let of_first = told.iter().filter(|event| event.file() == Some(first)).collect::<Vec<_>>();
    assert!(
        matches!(of_first[..], [Event::Progress { in_flight: 0, .. }, Event::Canceled { .. }]),
        "{told:?}"
    );
    assert!(!world.records.contains(&Record::End));
    world.serve(&next);
    world.run_to_end();
    assert_eq!(world.events().last(), Some(&Event::Ended { last: Some(second) }));

    world.engine.restore(world.clock.now(), first).unwrap();
    world.start();
    assert_eq!(sent_until_the_end(&mut world, &upload).len(), 6);
}

#[test]
fn cancelling_a_waiting_file_tells_canceled_alone() {
    let mut world = Script::new(config());
    let (_, second) = (world.add(LENGTH), world.add(LENGTH));
    under_way(&mut world);
    world.events();
    world.engine.cancel(world.clock.now(), second).unwrap();
    assert_eq!(world.events(), [Event::Canceled { file: second }]);
    assert!(world.engine.cancel(world.clock.now(), second).is_err() || world.events().is_empty());
}

#[test]
fn cancel_aborts_where_that_is_wanted() {
    let mut world = Script::new(Config { on_cancel: OnCancel::Abort, ..config() });
    let file = world.add(LENGTH);
    let (upload, _) = under_way(&mut world);
    world.engine.cancel(world.clock.now(), file).unwrap();
    let abort = world.next_op();
    assert_eq!(abort.op, Op::AbortMultipartUpload { upload_id: upload.clone() });
    world.serve(&abort);
    world.run_to_end();
    assert!(world.store.upload(&upload).is_none());
    assert_eq!(world.records.last(), Some(&Record::End));
}

#[test]
fn a_file_that_was_paused_alone_is_aborted_too() {
    for (waits, removed) in [(false, false), (true, false), (false, true)] {
        let mut world = Script::new(Config { on_cancel: OnCancel::Abort, ..config() });
        let file = world.add(LENGTH);
        let (upload, _) = under_way(&mut world);
        let now = world.clock.now();
        world.engine.pause(now, Some(file)).unwrap();
        world.events();
        if waits {
            // Its place is taken before it is back.
            world.add(LENGTH);
            world.events();
            world.engine.resume(now, Some(file)).unwrap();
        }
        if removed {
            world.engine.remove(now, file).unwrap();
        } else {
            world.engine.cancel(now, file).unwrap();
        }
        let aborts = std::iter::from_fn(|| Some(world.next_op()))
            .take(2)
            .find(|flight| matches!(flight.op, Op::AbortMultipartUpload { .. }));
        let abort = aborts.expect("an Abort");
        assert_eq!(abort.op, Op::AbortMultipartUpload { upload_id: upload.clone() });
        world.serve(&abort);
        assert!(world.store.upload(&upload).is_none());
        assert!(world.records.contains(&Record::End));
    }
}

/// The credential died while the file was paused, and the application has pushed another one.
#[test]
fn a_paused_file_is_aborted_with_its_newest_credential() {
    for (elsewhere, told) in [(false, false), (true, true)] {
        let mut world = Script::new(Config { on_cancel: OnCancel::Abort, ..config() });
        let file = world.add(LENGTH);
        let (upload, parts) = under_way(&mut world);
        let now = world.clock.now();
        let target = world.engine.files()[0].target.clone().unwrap();
        world.grants = false;
        world.answer(&parts[0], Err(expired()));
        world.engine.pause(now, Some(file)).unwrap();
        world.events();
        let key = if elsewhere { "elsewhere" } else { target.key.as_str() };
        let next = Grant {
            id: GrantId(99),
            expires_at: None,
            target: Target { key: key.to_owned(), ..target.clone() },
            video_id: None,
        };
        world.engine.authorize(now, file, next.clone()).unwrap();
        world.engine.cancel(now, file).unwrap();
        let skipped = |event: &Event| matches!(event, Event::Warning { error, .. } if error.code == "AbortSkipped");
        assert_eq!(world.events().iter().any(skipped), told);
        if !told {
            let abort = world.next_op();
            assert_eq!(abort.op, Op::AbortMultipartUpload { upload_id: upload });
            assert_eq!(abort.grant, next.id);
        }
    }
}

#[test]
fn a_file_that_was_stopped_keeps_its_upload() {
    let mut world = Script::new(Config { on_cancel: OnCancel::Abort, ..config() });
    let file = world.add(LENGTH);
    let (upload, _) = under_way(&mut world);
    let now = world.clock.now();
    world.engine.pause(now, Some(file)).unwrap();
    world.engine.stop(now);
    world.engine.cancel(now, file).unwrap();
    world.run_to_end();
    assert!(world.store.upload(&upload).is_some());
    assert!(!world.records.contains(&Record::End));
}

#[test]
fn a_removed_file_tells_nothing_more() {
    let mut world = Script::new(config());
    let (first, second) = (world.add(LENGTH), world.add(1_000));
    let (_, flight) = under_way(&mut world);
    world.events();
    world.engine.remove(world.clock.now(), first).unwrap();
    world.run_to_end();
    cut(&world, &flight);
    let events = world.events();
    let text = format!("{events:?}");
    assert!(!text.contains(&format!("file: {first:?}")), "{text}");
    assert_eq!(events.last(), Some(&Event::Ended { last: Some(second) }));
}

//! A lost reply to Complete never makes bytes travel again.

use vodferry_engine::{Config, Event, ObjectInfo, Op, Record, Want};
use vodferry_testkit::script::{Performed, Script};

const LENGTH: u64 = 3 * (1 << 20) + 17;

fn is_complete(op: &Op) -> bool {
    matches!(op, Op::CompleteMultipartUpload { .. })
}

/// A file of four parts whose Complete was carried out unheard.
fn completed_unheard(world: &mut Script) -> Performed {
    world.add(LENGTH);
    world.start();
    let complete = world.serve_until(is_complete);
    world.lose_reply(&complete);
    complete
}

/// The next operation, after whatever pause the engine takes.
fn next_after_pause(world: &mut Script) -> Performed {
    if let Some(op) = world.try_next_op() {
        return op;
    }
    world.pass_to_timer();
    world.next_op()
}

fn succeeded(events: &[Event]) -> Option<&ObjectInfo> {
    events.iter().find_map(|event| match event {
        Event::Succeeded { object, .. } => Some(object),
        _ => None,
    })
}

fn failed(events: &[Event]) -> Option<&str> {
    events.iter().find_map(|event| match event {
        Event::Failed { error, .. } => Some(error.code.as_str()),
        _ => None,
    })
}

#[test]
fn the_same_complete_is_repeated_and_answered_alike() {
    let mut world = Script::new(Config::default());
    let first = completed_unheard(&mut world);
    let second = next_after_pause(&mut world);
    assert_eq!(second.op, first.op);
    world.serve(&second);
    assert!(world.try_next_op().is_none());
    let events = world.events();
    assert!(succeeded(&events).is_some_and(|object| object.verified), "{events:?}");
    assert_eq!(world.records.last(), Some(&Record::End));
}

#[test]
fn where_the_server_forgets_the_object_is_looked_at() {
    let mut world = Script::new(Config::default());
    world.store.policy.remembers = false;
    completed_unheard(&mut world);
    let repeat = next_after_pause(&mut world);
    assert!(is_complete(&repeat.op));
    world.serve(&repeat);
    let head = world.next_op();
    assert!(
        matches!(&head.op, Op::HeadObject { length, parts } if *length == LENGTH && parts.len() == 4),
        "{head:?}"
    );
    world.serve(&head);
    let events = world.events();
    assert!(succeeded(&events).is_some_and(|object| object.verified), "{events:?}");
}

#[test]
fn where_nobody_may_look_success_is_unverified() {
    let mut world = Script::new(Config::default());
    world.store.policy.remembers = false;
    world.store.policy.head = false;
    completed_unheard(&mut world);
    world.run_to_end();
    let events = world.events();
    assert!(succeeded(&events).is_some_and(|object| !object.verified), "{events:?}");
}

#[test]
fn after_a_crash_the_whole_checkpoint_asks_for_a_look() {
    let mut world = Script::new(Config { authorizer: true, ..Config::default() });
    world.store.policy.remembers = false;
    completed_unheard(&mut world);
    world.crash();
    world.wants.clear();
    world.start();
    let list = world.next_op();
    assert!(matches!(list.op, Op::ListParts { marker: 0, .. }), "{list:?}");
    assert!(matches!(world.wants[..], [Want::Refresh { video_id: Some(_) }]), "{:?}", world.wants);
    world.serve(&list);
    let repeat = world.next_op();
    assert!(is_complete(&repeat.op), "{repeat:?}");
    world.serve(&repeat);
    let head = world.next_op();
    assert!(matches!(head.op, Op::HeadObject { .. }), "{head:?}");
    world.serve(&head);
    let events = world.events();
    assert!(succeeded(&events).is_some_and(|object| object.verified), "{events:?}");
}

#[test]
fn after_a_crash_the_same_complete_is_answered_alike() {
    let mut world = Script::new(Config::default());
    world.store.policy.head = false;
    let first = completed_unheard(&mut world);
    world.crash();
    world.start();
    let list = world.next_op();
    world.serve(&list);
    let second = world.next_op();
    assert_eq!(second.op, first.op);
    world.serve(&second);
    let events = world.events();
    assert!(succeeded(&events).is_some_and(|object| object.verified), "{events:?}");
    assert_eq!(world.records.last(), Some(&Record::End));
}

#[test]
fn after_a_crash_without_the_right_to_look_the_checkpoint_is_kept() {
    let mut world = Script::new(Config::default());
    world.store.policy.remembers = false;
    world.store.policy.head = false;
    completed_unheard(&mut world);
    world.crash();
    world.start();
    world.run_to_end();
    let events = world.events();
    assert_eq!(failed(&events), Some("CompletionUnknown"), "{events:?}");
    assert!(!world.records.contains(&Record::End));
}

#[test]
fn an_upload_that_was_dropped_is_begun_anew() {
    let mut world = Script::new(Config::default());
    let file = world.add(LENGTH);
    world.start();
    let complete = world.serve_until(is_complete);
    let Op::CompleteMultipartUpload { upload_id, .. } = &complete.op else { unreachable!() };
    assert!(world.store.drop_upload(upload_id));
    world.serve(&complete);
    let head = world.next_op();
    assert!(matches!(head.op, Op::HeadObject { .. }), "{head:?}");
    world.serve(&head);
    let anew = world.next_op();
    assert_eq!(anew.op, Op::InitiateMultipartUpload);
    world.serve(&anew);
    world.run_to_end();
    assert!(succeeded(&world.events()).is_some());
    assert!(world.is_stored(file, "of-v1"));
}

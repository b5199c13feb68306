//! Content of two versions is never spliced.

use vodferry_engine::{Config, ErrorKind, Event, FaultKind, Op, Record, Want};
use vodferry_testkit::script::Script;
use vodferry_testkit::store::fault;

const LENGTH: u64 = 5 << 20;

#[test]
fn found_on_resume_it_is_another_upload_with_a_grant_of_its_own() {
    let mut world = Script::new(Config { authorizer: true, parallel: 1, ..Config::default() });
    let file = world.add(LENGTH);
    world.start();
    let part = world.serve_until(|op| matches!(op, Op::UploadPart { number: 3, .. }));
    world.serve(&part);
    world.engine.stop(world.clock.now());
    world.change(file, LENGTH);
    world.events();
    world.wants.clear();
    world.start();
    let anew = world.next_op();
    assert_eq!(anew.op, Op::InitiateMultipartUpload);
    assert_eq!(world.wants, [Want::Create]);
    let events = world.events();
    assert_eq!(events.first(), Some(&Event::Started { file, video_id: None, target: None }));
    world.serve(&anew);
    world.run_to_end();
    assert!(world.is_stored(file, "of-v2"));
    assert!(world.store.object("of-v1").is_none());
}

#[test]
fn found_while_reading_it_fails_the_file_and_nothing_is_completed() {
    let mut world = Script::new(Config { parallel: 2, ..Config::default() });
    let first = world.add(LENGTH);
    let second = world.add(10);
    world.start();
    let part = world.serve_until(|op| matches!(op, Op::UploadPart { number: 2, .. }));
    world.answer(&part, Err(fault(FaultKind::SourceChanged, "SourceChanged")));
    world.run_to_end();
    let events = world.events();
    let changed = |e: &Event| {
        matches!(e, Event::Failed { file, error }
            if *file == first && error.kind == ErrorKind::SourceChanged)
    };
    assert!(events.iter().any(changed), "{events:?}");
    assert!(world.store.object("of-v1").is_none());
    assert!(world.is_stored(second, "of-v2"), "the list goes on");

    // Restored, it goes up as what it is now.
    world.change(first, LENGTH + 1);
    world.engine.restore(world.clock.now(), first).unwrap();
    world.start();
    world.run_to_end();
    assert_eq!(world.records.iter().filter(|r| matches!(r, Record::Begin(_))).count(), 2);
    let succeeded = world.events().into_iter().find_map(|event| match event {
        Event::Succeeded { target, .. } => Some(target.key),
        _ => None,
    });
    assert!(succeeded.is_some_and(|key| world.is_stored(first, &key)));
}

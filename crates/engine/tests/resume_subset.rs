//! Any subset of parts resumes: the server's listing, page by page, says what is missing.

use vodferry_engine::{Config, Event, Op};
use vodferry_testkit::script::Script;

const PART: u64 = 1 << 20;
const PARTS: u64 = 7;

fn number(op: &Op) -> Option<u32> {
    match op {
        Op::UploadPart { number, .. } => Some(*number),
        _ => None,
    }
}

/// A world whose process died when parts 2, 5 and 6 of seven had been stored, the last unheard.
fn died_with_a_subset() -> (Script, String) {
    let mut world = Script::new(Config { parallel: 7, ..Config::default() });
    world.add(PARTS * PART);
    world.start();
    let mut upload = String::new();
    while let Some(op) = world.try_next_op() {
        match (&op.op, number(&op.op)) {
            (_, None) => world.serve(&op),
            (_, Some(2 | 5)) => world.serve(&op),
            (Op::UploadPart { upload_id, .. }, Some(6)) => {
                upload = upload_id.clone();
                world.carry_out(&op).unwrap();
            }
            _ => {}
        }
    }
    world.crash();
    (world, upload)
}

#[test]
fn only_what_is_missing_is_sent_with_the_same_upload_id() {
    let (mut world, upload) = died_with_a_subset();
    world.store.policy.page = 2;
    world.start();
    let first = world.next_op();
    assert_eq!(first.op, Op::ListParts { upload_id: upload.clone(), marker: 0 });
    world.serve(&first);
    let second = world.next_op();
    assert_eq!(second.op, Op::ListParts { upload_id: upload.clone(), marker: 5 });
    world.serve(&second);

    let mut sent = Vec::new();
    let complete = loop {
        let op = world.next_op();
        let Op::UploadPart { upload_id, number, range, .. } = &op.op else { break op };
        assert_eq!(*upload_id, upload);
        assert_eq!(range.start, u64::from(number - 1) * PART);
        sent.push(*number);
        world.serve(&op);
    };
    sent.sort_unstable();
    assert_eq!(sent, [1, 3, 4, 7]);
    assert!(matches!(&complete.op, Op::CompleteMultipartUpload { parts, .. } if parts.len() == 7));
    world.serve(&complete);
    let events = world.events();
    let resumed =
        |e: &Event| matches!(e, Event::Resumed { parts: 3, bytes, .. } if *bytes == 3 * PART);
    assert!(events.iter().any(resumed), "{events:?}");
    assert!(matches!(events.last(), Some(Event::Ended { .. })), "{events:?}");
}

#[test]
fn where_listing_is_refused_the_checkpoint_serves() {
    let (mut world, upload) = died_with_a_subset();
    world.store.policy.list_parts = false;
    world.start();
    let mut sent = Vec::new();
    while let Some(op) = world.try_next_op() {
        if let Op::UploadPart { upload_id, number, .. } = &op.op {
            assert_eq!(*upload_id, upload);
            sent.push(*number);
        }
        world.serve(&op);
    }
    sent.sort_unstable();
    assert_eq!(sent, [1, 3, 4, 6, 7], "part 6 was never acknowledged");
    assert!(matches!(world.events().last(), Some(Event::Ended { .. })));
}

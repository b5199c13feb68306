//! Sources whose length is unknown at first: pipes, and files that are still being written.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use crate::script::*;
use crate::*;

const FILE: FileId = FileId(1);

fn open_source() -> Source {
    Source { length: None, modified_ms: 0, fingerprint: "pipe".into() }
}

fn begun(parts: Vec<PartInfo>, length: Option<u64>) -> Checkpoint {
    let begin = Begin {
        source: open_source(),
        target: target("k"),
        video_id: Some("v".into()),
        part_size: MIB,
        grows_to: Some(64 * MIB),
        upload_id: "U".into(),
    };
    Checkpoint { begin, parts, length }
}

/// The source is looked at: its length is not known, and this was found.
fn answer_look(s: &mut Script, found: Option<Checkpoint>) {
    let Effect::LoadCheckpoint { id, .. } = s.effect() else { panic!("expected a load") };
    s.engine.handle(s.now, Input::Loaded { id, result: Ok((open_source(), found)) });
    s.started_event();
}

/// From the look at a new source to its opened upload.
fn begins(s: &mut Script) -> Begin {
    answer_look(s, None);
    s.grant_asked(grant(1, None));
    let (id, _) = s.perform();
    s.answer(id, Ok(Reply::Initiated { upload_id: "U".into() }));
    let Record::Begin(begin) = s.saved(true) else { panic!("expected Begin") };
    begin
}

/// A run in which the source was looked at and the grant is there.
fn looked_at(found: Option<Checkpoint>) -> Script {
    let mut s = Script::new(config());
    s.add();
    s.engine.start(s.now);
    answer_look(&mut s, found);
    s.grant_asked(grant(1, None));
    s
}

/// The same, with these bytes announced and the upload opened for them.
fn sending(range: Range<u64>) -> Script {
    let mut s = looked_at(None);
    assert_eq!(s.idle(), None);
    // Half a part opens nothing.
    grown(&mut s, range.start..range.start + 7);
    assert_eq!(s.idle(), None);
    grown(&mut s, range.start + 7..range.end);
    let (id, op) = s.perform();
    assert_eq!(op, Op::InitiateMultipartUpload);
    s.answer(id, Ok(Reply::Initiated { upload_id: "U".into() }));
    let Record::Begin(begin) = s.saved(true) else { panic!("expected Begin") };
    assert_eq!((begin.source.length, begin.part_size), (None, MIB));
    assert_eq!(begin.grows_to, Some(64 * MIB));
    s
}

fn grown(s: &mut Script, range: Range<u64>) {
    s.engine.handle(s.now, Input::Grown { file: FILE, range });
}

fn finished(s: &mut Script, length: u64) {
    s.engine.handle(s.now, Input::Finished { file: FILE, length });
}

/// The next request sends this part, to be compared with this ETag first.
#[track_caller]
fn compared(s: &mut Script, expected: u32, etag: &str) -> EffectId {
    match s.perform() {
        (id, Op::UploadPart { number, held, .. }) => {
            assert_eq!((number, held.as_deref()), (expected, Some(etag)));
            id
        }
        other => panic!("expected part {expected}, got {other:?}"),
    }
}

fn completes(s: &mut Script, count: usize) -> EffectId {
    let (id, op) = s.perform();
    assert!(matches!(op, Op::CompleteMultipartUpload { parts, .. } if parts.len() == count));
    id
}

#[test]
fn parts_go_out_as_they_become_final_and_the_first_may_be_the_last() {
    // As an MP4 is written: its first bytes change until the end.
    let mut s = sending(MIB..2 * MIB + 7);
    let progress = |s: &mut Script, acknowledged: u64, total: Option<u64>| {
        let told = Event::Progress { file: FILE, acknowledged, in_flight: 0, total };
        assert_eq!(s.event(), told);
    };
    let id = s.parts(&[2])[0];
    assert_eq!(s.idle(), None);
    s.stored(id);
    assert!(matches!(s.event(), Event::PartAcknowledged { .. }));
    progress(&mut s, MIB, None);
    s.saved(false);
    finished(&mut s, 2 * MIB + 9);
    let ids = s.parts(&[1, 3]);
    s.stored(ids[1]);
    s.event();
    progress(&mut s, MIB + 9, Some(2 * MIB + 9));
    s.saved(false);
    s.stored(ids[0]);
    s.event();
    progress(&mut s, 2 * MIB + 9, Some(2 * MIB + 9));
    assert_eq!(s.saved(false), Record::Length(2 * MIB + 9));
    assert!(matches!(s.saved(true), Record::Part(part) if part.number == 1));
    completes(&mut s, 3);
}

#[test]
fn the_end_may_come_after_the_last_part_is_stored() {
    let mut s = sending(0..MIB);
    let id = s.parts(&[1])[0];
    s.acknowledge(id, false);
    assert_eq!(s.idle(), None);
    finished(&mut s, MIB);
    assert_eq!(s.saved(false), Record::Length(MIB));
    s.saved(true);
    completes(&mut s, 1);
}

#[test]
fn what_turns_out_small_or_empty_goes_up_in_one_request() {
    for length in [0, 1, SMALL_FILE - 1] {
        let mut s = looked_at(None);
        grown(&mut s, 0..length / 2);
        assert_eq!(s.idle(), None);
        finished(&mut s, length);
        let (id, op) = s.perform();
        assert_eq!(op, Op::PutObject { length });
        // Told again, it changes nothing.
        finished(&mut s, length);
        assert_eq!(s.idle(), None);
        s.answer(id, Ok(Reply::Put(ObjectInfo::default())));
        let over = |o: &Output| matches!(o, Output::Event(Event::Succeeded { .. }));
        assert!(s.drain().iter().any(over));
    }
}

#[test]
fn what_was_announced_before_the_turn_came_counts() {
    let mut s = Script::new(config());
    s.add();
    grown(&mut s, 0..3 * MIB);
    finished(&mut s, 3 * MIB);
    s.engine.start(s.now);
    begins(&mut s);
    s.parts(&[1, 2, 3]);
    // Stop and start again: it is not forgotten.
    s.engine.stop(s.now);
    s.drain();
    assert_eq!(s.engine.files()[0].total, Some(3 * MIB));
}

#[test]
fn an_end_before_what_was_announced_fails_the_file() {
    let mut s = sending(0..3 * MIB);
    finished(&mut s, 2 * MIB);
    assert_eq!(s.failed().kind, ErrorKind::SourceChanged);
}

#[test]
fn a_writer_that_gives_up_fails_the_file_and_the_checkpoint_stays() {
    let error = ErrorInfo {
        kind: ErrorKind::Io,
        code: "ReadFailed".into(),
        message: "the pipe broke".into(),
        request_id: String::new(),
    };
    let mut s = sending(0..MIB);
    let id = s.parts(&[1])[0];
    s.acknowledge(id, false);
    s.engine.handle(s.now, Input::Broken { file: FILE, error: error.clone() });
    let ended = s.drain();
    let failed =
        |o: &Output| matches!(o, Output::Event(Event::Failed { error: e, .. }) if *e == error);
    assert!(ended.iter().any(failed));
    let forgets = |o: &Output| {
        matches!(o, Output::Effect(Effect::AppendCheckpoint { record: Record::End, .. }))
    };
    assert!(!ended.iter().any(forgets));
    // Told while the file waits for its turn, it is no less true then.
    let mut s = Script::new(config());
    s.add();
    s.engine.handle(s.now, Input::Broken { file: FILE, error: error.clone() });
    s.engine.start(s.now);
    answer_look(&mut s, None);
    assert_eq!(s.failed(), error);
}

#[test]
fn a_source_without_end_is_refused_where_parts_end() {
    let small = Config { part_size: SMALL_FILE, max_buffered: 0, ..config() };
    let mut s = Script::new(small);
    s.add();
    s.engine.start(s.now);
    answer_look(&mut s, None);
    grown(&mut s, 0..SMALL_FILE * MAX_PARTS);
    assert!(matches!(s.effect(), Effect::AskGrant { .. }));
    grown(&mut s, SMALL_FILE * MAX_PARTS..SMALL_FILE * MAX_PARTS + 1);
    let error = s.failed();
    assert_eq!((error.kind, &*error.code), (ErrorKind::Misuse, "TooLarge"));
    assert!(error.message.contains("max_buffered"));
}

#[test]
fn after_a_crash_each_part_is_compared_before_it_counts() {
    let recorded = Vec::from([part(1, MIB)]);
    let mut s = looked_at(Some(begun(recorded, None)));
    let (id, op) = s.perform();
    assert!(matches!(op, Op::ListParts { .. }));
    let parts = Vec::from([part(1, MIB), part(2, MIB)]);
    s.answer(id, Ok(Reply::Parts { parts, next: None }));
    assert!(matches!(s.event(), Event::Resumed { parts: 2, .. }));
    s.drain();
    grown(&mut s, 0..3 * MIB);
    let ids = [compared(&mut s, 1, "E"), compared(&mut s, 2, "E")];
    let third = s.parts(&[3])[0];
    for id in [ids[0], ids[1], third] {
        s.stored(id);
    }
    s.drain();
    finished(&mut s, 3 * MIB);
    assert_eq!(s.saved(false), Record::Length(3 * MIB));
    s.saved(true);
    completes(&mut s, 3);
}

#[test]
fn a_part_of_this_run_is_not_compared_again() {
    let mut s = sending(0..2 * MIB);
    let ids = s.parts(&[1, 2]);
    s.acknowledge(ids[0], false);
    // Complete would do the same; a pause is shorter.
    s.engine.pause(s.now, None).unwrap();
    s.drain();
    s.engine.resume(s.now, None).unwrap();
    let (id, op) = s.perform();
    assert!(matches!(op, Op::ListParts { .. }));
    let parts = Vec::from([part(1, MIB), part(2, MIB)]);
    let listed: Vec<PartInfo> = parts.into_iter().map(|p| PartInfo { crc64: None, ..p }).collect();
    s.answer(id, Ok(Reply::Parts { parts: listed, next: None }));
    // The second one's answer was cut: who knows what the server got.
    compared(&mut s, 2, "E");
    assert_eq!(s.idle(), None);
}

/// A checkpoint of a whole source whose upload is gone: Complete may have been carried out.
fn completed_before() -> Script {
    let recorded = Vec::from([part(1, MIB), part(2, MIB)]);
    let mut s = looked_at(Some(begun(recorded, Some(2 * MIB))));
    let (id, _) = s.perform();
    s.answer(id, Err(fault(FaultKind::NoSuchUpload)));
    assert_eq!(s.idle(), None);
    grown(&mut s, 0..2 * MIB);
    s
}

#[test]
fn after_a_crash_in_complete_equal_content_does_not_travel_again() {
    let mut s = completed_before();
    let ids = [compared(&mut s, 1, "E"), compared(&mut s, 2, "E")];
    s.stored(ids[0]);
    finished(&mut s, 2 * MIB);
    s.drain();
    s.stored(ids[1]);
    let done = |o: Output| match o {
        Output::Effect(Effect::AppendCheckpoint { id, sync: true, .. }) => Some(id),
        _ => None,
    };
    let saving = s.drain().into_iter().find_map(done).expect("the last part is saved");
    s.engine.handle(s.now, Input::Appended { id: saving, result: Ok(()) });
    let id = completes(&mut s, 2);
    s.answer(id, Err(fault(FaultKind::NoSuchUpload)));
    assert!(matches!(s.perform().1, Op::HeadObject { length, .. } if length == 2 * MIB));
}

#[test]
fn a_source_that_ends_before_what_was_completed_begins_anew() {
    let mut s = looked_at(Some(begun(Vec::from([part(1, MIB), part(2, MIB)]), Some(2 * MIB))));
    let (id, _) = s.perform();
    s.answer(id, Err(fault(FaultKind::NoSuchUpload)));
    grown(&mut s, 0..MIB);
    finished(&mut s, MIB);
    // Equal as far as it goes; Complete, which may have been carried out, named more.
    let first = compared(&mut s, 1, "E");
    s.stored(first);
    let initiates = |output: &Output| {
        matches!(output, Output::Effect(Effect::Perform { op: Op::InitiateMultipartUpload, .. }))
    };
    assert!(s.drain().iter().any(initiates));
}

/// The first of the two parts was compared; then the list is paused, and the server asked again.
fn compared_and_interrupted() -> (Script, EffectId) {
    let mut s = completed_before();
    let ids = [compared(&mut s, 1, "E"), compared(&mut s, 2, "E")];
    s.stored(ids[0]);
    s.drain();
    s.engine.pause(s.now, None).unwrap();
    s.drain();
    s.engine.resume(s.now, None).unwrap();
    let (id, op) = s.perform();
    assert!(matches!(op, Op::ListParts { .. }));
    (s, id)
}

#[test]
fn what_is_to_be_compared_is_not_forgotten_by_an_interruption() {
    let (mut s, id) = compared_and_interrupted();
    s.answer(id, Err(fault(FaultKind::NoSuchUpload)));
    compared(&mut s, 2, "E");
    assert_eq!(s.idle(), None);
}

#[test]
fn nor_where_the_server_refuses_to_list() {
    let mut s = looked_at(Some(begun(Vec::from([part(1, MIB), part(2, MIB)]), None)));
    grown(&mut s, 0..2 * MIB);
    for _ in 0..2 {
        let (id, op) = s.perform();
        assert!(matches!(op, Op::ListParts { .. }));
        s.answer(id, Err(fault(FaultKind::Fatal(ErrorKind::Auth))));
        let sent = s.drain().into_iter().filter_map(|o| match o {
            Output::Effect(Effect::Perform { op: Op::UploadPart { number, held, .. }, .. }) => {
                Some((number, held))
            }
            _ => None,
        });
        let both = [(1, Some("E".into())), (2, Some("E".into()))];
        assert!(sent.eq(both));
        s.engine.pause(s.now, None).unwrap();
        s.drain();
        s.engine.resume(s.now, None).unwrap();
    }
}

#[test]
fn what_was_compared_and_not_sent_proves_nothing() {
    let mut s = completed_before();
    let ids = [compared(&mut s, 1, "E"), compared(&mut s, 2, "E")];
    finished(&mut s, 2 * MIB);
    s.answer(ids[0], Err(no_reply()));
    assert!(matches!(s.event(), Event::Retry { .. }));
    s.stored(ids[1]);
    let told = s.drain();
    let over = |o: &Output| matches!(o, Output::Event(Event::RetryResume { .. }));
    assert!(!told.iter().any(over), "the network is as it was: {told:?}");
    s.pass(60_000);
    let id = compared(&mut s, 1, "E");
    s.stored(id);
    let saving = s.drain().into_iter().find_map(|o| match o {
        Output::Effect(Effect::AppendCheckpoint { id, sync: true, .. }) => Some(id),
        _ => None,
    });
    let saving = saving.expect("the last part is saved");
    s.engine.handle(s.now, Input::Appended { id: saving, result: Ok(()) });
    let id = completes(&mut s, 2);
    s.answer(id, Err(fault(FaultKind::NoSuchUpload)));
    let (id, op) = s.perform();
    assert!(matches!(op, Op::HeadObject { .. }));
    // The upload was never seen alive by this run, and nobody may look: success would be a guess.
    s.answer(id, Err(fault(FaultKind::Fatal(ErrorKind::Auth))));
    assert_eq!(s.failed().code, "CompletionUnknown");
}

#[test]
fn after_a_crash_in_complete_other_content_begins_anew() {
    let mut s = completed_before();
    let id = compared(&mut s, 1, "E");
    s.answer(id, Err(fault(FaultKind::NoSuchUpload)));
    let initiates = |o: &Output| {
        matches!(o, Output::Effect(Effect::Perform { op: Op::InitiateMultipartUpload, .. }))
    };
    assert!(s.drain().iter().any(initiates));
}

#[test]
fn what_was_longer_in_another_run_ends_that_upload_when_it_is_small_now() {
    let mut s = looked_at(Some(begun(Vec::from([part(1, MIB)]), None)));
    let (id, _) = s.perform();
    s.answer(id, Ok(Reply::Parts { parts: Vec::new(), next: None }));
    s.drain();
    finished(&mut s, 5);
    assert_eq!(s.saved(false), Record::End);
    assert_eq!(s.perform().1, Op::PutObject { length: 5 });
}

/// The upload of the other run is gone at the server; what the checkpoint says of it would be gone on with after Succeeded.
#[test]
fn what_turns_out_small_leaves_nothing_to_resume_of_an_upload_that_is_gone() {
    let mut s = looked_at(Some(begun(Vec::from([part(1, MIB)]), None)));
    let (id, _) = s.perform();
    s.answer(id, Err(fault(FaultKind::NoSuchUpload)));
    s.drain();
    finished(&mut s, 5);
    assert_eq!(s.saved(false), Record::End);
    let (id, op) = s.perform();
    assert_eq!(op, Op::PutObject { length: 5 });
    s.answer(id, Ok(Reply::Put(ObjectInfo::default())));
    assert_eq!(s.effect(), Effect::CloseCheckpoint { file: FILE });
}

#[test]
fn what_turns_out_small_keeps_its_place() {
    let mut s = Script::new(config());
    s.add();
    finished(&mut s, 5);
    s.engine.start(s.now);
    answer_look(&mut s, Some(begun(Vec::from([part(1, MIB)]), None)));
    assert_eq!(s.saved(false), Record::End);
    assert_eq!(s.ask().1, Want::Refresh { video_id: Some("v".into()) });
}

#[test]
fn the_cut_does_not_depend_on_a_length_that_is_known_early() {
    let mut s = Script::new(config());
    s.add();
    finished(&mut s, 3 * MIB);
    s.engine.start(s.now);
    let begin = begins(&mut s);
    assert_eq!((begin.source.length, begin.grows_to), (None, Some(64 * MIB)));
    s.parts(&[1, 2, 3]);
}

#[test]
fn the_total_is_told_though_all_was_acknowledged_before_the_end() {
    let mut s = sending(0..MIB);
    let id = s.parts(&[1])[0];
    s.acknowledge(id, false);
    finished(&mut s, MIB);
    s.saved(false);
    s.saved(true);
    let id = completes(&mut s, 1);
    s.answer(id, Ok(Reply::Completed(ObjectInfo::default())));
    let total = |o: &Output| {
        matches!(o, Output::Event(Event::Progress { acknowledged: MIB, total: Some(MIB), .. }))
    };
    assert!(s.drain().iter().any(total));
}

#[test]
fn nothing_that_is_announced_of_a_file_of_known_length_matters() {
    let mut s = Script::sending(config(), 2);
    s.parts(&[1, 2]);
    grown(&mut s, 0..u64::MAX);
    finished(&mut s, 5);
    s.engine.handle(s.now, Input::Grown { file: FileId(7), range: 0..5 });
    assert_eq!(s.idle(), None);
    assert_eq!(s.engine.files()[0].total, Some(2 * MIB));
    let text: String = s.engine.files()[0].target.clone().unwrap().key;
    assert_eq!(text, "k");
}

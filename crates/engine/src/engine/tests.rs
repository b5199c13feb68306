//! Commands, as scripts.

use super::*;
use crate::script::*;
use crate::{
    Effect, EffectId, ErrorKind, FaultKind, ObjectInfo, OnCancel, Op, Record, Reply, Want,
};
use alloc::vec;

/// Two files of three parts, the first one sending.
fn two(config: Config) -> (Script, Vec<EffectId>) {
    let mut s = Script::sending(config, 3);
    s.add();
    let ids = s.parts(&[1, 2, 3]);
    (s, ids)
}

fn states(s: &Script) -> Vec<FileState> {
    s.engine.files().iter().map(|f| f.state).collect()
}

const FIRST: FileId = FileId(1);
const SECOND: FileId = FileId(2);

#[test]
fn settings_that_cannot_work_are_misuse() {
    let bad = |config| Engine::new(config, 0).is_err();
    assert!(bad(Config { max_in_flight: 0, ..Config::default() }));
    assert!(bad(Config { files_at_once: 0, ..Config::default() }));
    assert!(bad(Config { part_size: 102_399, ..Config::default() }));
    assert!(bad(Config { part_size: (5 << 30) + 1, ..Config::default() }));
    let mut s = Script::new(Config { part_size: 102_400, ..Config::default() });
    assert!(s.engine.add(s.now, FileSpec { part_size: 1, ..FileSpec::default() }).is_err());
    assert!(s.engine.files().is_empty());
}

#[test]
fn every_verb_refuses_an_unknown_file_and_changes_nothing() {
    let mut s = Script::new(config());
    let (engine, now, file) = (&mut s.engine, s.now, FileId(9));
    assert!(engine.remove(now, file).is_err());
    assert!(engine.cancel(now, file).is_err());
    assert!(engine.restore(now, file).is_err());
    assert!(engine.pause(now, Some(file)).is_err());
    assert!(engine.resume(now, Some(file)).is_err());
    assert!(engine.authorize(now, file, grant(1, None)).is_err());
    assert_eq!(s.idle(), None);
}

#[test]
fn an_empty_list_ends_at_once_and_the_next_run_is_another() {
    let mut s = Script::new(config());
    s.engine.start(s.now);
    assert_eq!(s.event(), Event::Ended { last: None });
    assert_eq!(s.idle(), None);
    let file = s.add();
    assert_eq!(s.idle(), None);
    s.engine.start(s.now);
    s.load(0, None);
    s.started_event();
    s.grant_asked(grant(1, None));
    let (id, op) = s.perform();
    assert_eq!(op, Op::PutObject { length: 0 });
    s.answer(id, Ok(Reply::Put(ObjectInfo::default())));
    assert_eq!(s.effect(), Effect::CloseCheckpoint { file });
    assert!(matches!(s.event(), Event::Progress { acknowledged: 0, total: Some(0), .. }));
    assert!(matches!(s.event(), Event::Succeeded { .. }));
    assert_eq!(s.event(), Event::Ended { last: Some(file) });
    assert!(s.engine.cancel(s.now, file).is_err());
    assert!(s.engine.restore(s.now, file).is_err());
}

#[test]
fn cancel_skips_to_the_next_and_keeps_the_upload() {
    let (mut s, ids) = two(config());
    s.engine.cancel(s.now, FIRST).unwrap();
    for id in ids {
        assert_eq!(s.effect(), Effect::Abandon { id });
    }
    assert_eq!(s.event(), Event::Canceled { file: FIRST });
    assert_eq!(s.effect(), Effect::CloseCheckpoint { file: FIRST });
    assert!(matches!(s.effect(), Effect::LoadCheckpoint { file: SECOND, .. }));
    assert_eq!(states(&s), [FileState::Canceled, FileState::Active]);
    s.engine.restore(s.now, FIRST).unwrap();
    assert_eq!(states(&s), [FileState::Waiting, FileState::Active]);
    assert_eq!(s.idle(), None);
}

#[test]
fn cancel_with_abort_tells_the_server_in_the_background() {
    let (mut s, _) = two(Config { on_cancel: OnCancel::Abort, ..config() });
    s.engine.cancel(s.now, FIRST).unwrap();
    let all = s.drain();
    let end = all
        .iter()
        .any(|o| matches!(o, Output::Effect(Effect::AppendCheckpoint { record: Record::End, .. })));
    assert!(end);
    let abort = |all: &[Output]| {
        all.iter().find_map(|o| match o {
            Output::Effect(Effect::Perform { id, op: Op::AbortMultipartUpload { .. }, .. }) => {
                Some(*id)
            }
            _ => None,
        })
    };
    let mut id = abort(&all).unwrap();
    // Tried again a few times, and no word of it to the application.
    let mut tries = 1;
    loop {
        s.answer(id, Err(no_reply()));
        let Some(due) = s.idle() else { break };
        s.pass(due - s.now.mono_ms);
        id = abort(&s.drain()).unwrap();
        tries += 1;
    }
    assert_eq!(tries, 4);
}

#[test]
fn cancel_with_abort_says_so_when_there_is_nothing_to_abort_with() {
    let abort = Config { on_cancel: OnCancel::Abort, ..config() };
    for removed in [false, true] {
        // The checkpoint was found, and no grant is there yet.
        let mut s = Script::started(abort.clone(), 3 * MIB, Some(checkpoint(3 * MIB, &[1])));
        s.ask();
        if removed {
            s.engine.remove(s.now, FIRST).unwrap();
        } else {
            s.engine.cancel(s.now, FIRST).unwrap();
        }
        let all = s.drain();
        let told: Vec<&Event> = all
            .iter()
            .filter_map(|o| match o {
                Output::Event(event) => event.file().and(Some(event)),
                _ => None,
            })
            .collect();
        match (removed, &told[..]) {
            (true, []) => {}
            (false, [Event::Warning { error, .. }, Event::Canceled { .. }]) => {
                assert_eq!((error.kind, &*error.code), (ErrorKind::Auth, "AbortSkipped"));
                assert!(error.message.ends_with(" U"), "{}", error.message);
            }
            _ => panic!("{told:?}"),
        }
        let performs = |o: &Output| matches!(o, Output::Effect(Effect::Perform { .. }));
        assert!(!all.iter().any(performs));
    }
}

#[test]
fn a_removed_file_tells_nothing_more_and_the_run_ends_without_it() {
    let (mut s, ids) = two(config());
    s.stored(ids[0]);
    s.engine.clear(s.now);
    s.stored(ids[1]);
    let events: Vec<Output> =
        s.drain().into_iter().filter(|o| matches!(o, Output::Event(_))).collect();
    assert_eq!(events, [Output::Event(Event::Ended { last: None })]);
    assert!(s.engine.files().is_empty());
}

#[test]
fn stop_and_start_load_the_checkpoint_again() {
    let (mut s, ids) = two(config());
    s.acknowledge(ids[0], false);
    s.engine.stop(s.now);
    assert_eq!(s.effect(), Effect::Abandon { id: ids[1] });
    assert_eq!(s.effect(), Effect::Abandon { id: ids[2] });
    assert_eq!(s.effect(), Effect::CloseCheckpoint { file: FIRST });
    assert_eq!(s.idle(), None);
    assert_eq!(states(&s), [FileState::Waiting, FileState::Waiting]);
    assert_eq!(s.engine.files()[0].acknowledged, MIB);
    s.engine.start(s.now);
    s.load(3 * MIB, Some(checkpoint(3 * MIB, &[1])));
    assert_eq!(s.started_event(), (Some("v".into()), Some(target("k"))));
    s.grant_asked(grant(2, None));
    let (id, op) = s.perform();
    assert_eq!(op, Op::ListParts { upload_id: "U".into(), marker: 0 });
    // Part 2 had arrived after all; the listing comes in two pages.
    s.answer(id, Ok(Reply::Parts { parts: vec![part(1, MIB)], next: Some(1) }));
    let (id, op) = s.perform();
    assert_eq!(op, Op::ListParts { upload_id: "U".into(), marker: 1 });
    s.answer(id, Ok(Reply::Parts { parts: vec![part(2, MIB)], next: None }));
    assert!(matches!(s.event(), Event::Resumed { parts: 2, .. }));
    assert!(matches!(s.saved(false), Record::Part(part) if part.number == 2));
    assert!(matches!(s.event(), Event::Progress { .. }));
    s.parts(&[3]);
}

#[test]
fn the_highest_priority_starts_next_and_interrupts_nothing() {
    let (mut s, _) = two(config());
    let third = s.engine.add(s.now, FileSpec { priority: 1, ..FileSpec::default() }).unwrap();
    let fourth = s.add();
    s.engine.set_priority(s.now, fourth, 2).unwrap();
    s.engine.set_priority(s.now, FIRST, i32::MIN).unwrap();
    assert_eq!(s.idle(), None);
    for next in [fourth, third, SECOND] {
        let active = *s.engine.list.active().first().unwrap();
        s.engine.cancel(s.now, active).unwrap();
        let loads = |o: &Output| matches!(o, Output::Effect(Effect::LoadCheckpoint { file, .. }) if *file == next);
        assert!(s.drain().iter().any(loads), "file {} is next", next.0);
    }
    assert!(s.engine.set_priority(s.now, FileId(9), 1).is_err());
}

#[test]
fn a_list_pause_cuts_keeps_and_lists_before_it_sends() {
    let (mut s, ids) = two(config());
    s.engine.pause(s.now, None).unwrap();
    for id in &ids {
        assert_eq!(s.effect(), Effect::Abandon { id: *id });
    }
    s.stored(ids[0]);
    assert_eq!(s.idle(), None);
    s.engine.resume(s.now, None).unwrap();
    let (id, op) = s.perform();
    assert_eq!(op, Op::ListParts { upload_id: "U".into(), marker: 0 });
    s.answer(id, Ok(Reply::Parts { parts: vec![part(1, MIB)], next: None }));
    assert!(matches!(s.event(), Event::PartAcknowledged { .. }));
    s.saved(false);
    assert!(matches!(s.event(), Event::Progress { .. }));
    s.parts(&[2, 3]);
}

#[test]
fn what_was_never_given_out_is_taken_back_by_a_pause() {
    let mut s = Script::sending(config(), 3);
    s.parts(&[1]);
    s.engine.pause(s.now, None).unwrap();
    assert!(matches!(s.effect(), Effect::Abandon { .. }));
    assert_eq!(s.idle(), None);
}

#[test]
fn a_file_paused_alone_frees_its_place_and_ended_waits_for_it() {
    let (mut s, _) = two(config());
    s.engine.pause(s.now, Some(FIRST)).unwrap();
    s.drain();
    assert_eq!(states(&s), [FileState::Paused, FileState::Active]);
    s.engine.cancel(s.now, SECOND).unwrap();
    s.drain();
    assert!(s.engine.is_running());
    s.engine.resume(s.now, Some(FIRST)).unwrap();
    assert!(matches!(s.effect(), Effect::LoadCheckpoint { file: FIRST, .. }));
}

#[test]
fn a_network_change_sends_anew_at_once_without_a_word() {
    let (mut s, ids) = two(config());
    s.answer(ids[0], Err(no_reply()));
    assert!(matches!(s.event(), Event::Retry { .. }));
    s.engine.network_changed(s.now);
    assert_eq!(s.effect(), Effect::Abandon { id: ids[1] });
    assert_eq!(s.effect(), Effect::Abandon { id: ids[2] });
    s.parts(&[1, 2, 3]);
    assert_eq!(s.idle(), None);
}

#[test]
fn files_share_what_may_be_in_flight() {
    let config = Config { files_at_once: 2, max_in_flight: 4, ..config() };
    let mut s = Script::new(config);
    s.add();
    s.add();
    s.engine.start(s.now);
    let mut sent = vec![];
    loop {
        match s.next() {
            Output::Effect(Effect::LoadCheckpoint { id, .. }) => {
                let result = Ok((source(9 * MIB), None));
                s.engine.handle(s.now, Input::Loaded { id, result });
            }
            Output::Effect(Effect::AskGrant { id, .. }) => s.granted(id, Ok(grant(1, None))),
            Output::Effect(Effect::AppendCheckpoint { id, .. }) => {
                s.engine.handle(s.now, Input::Appended { id, result: Ok(()) });
            }
            Output::Effect(Effect::Perform { id, op: Op::UploadPart { .. }, file, .. }) => {
                sent.push((id, file));
            }
            Output::Effect(Effect::Perform { id, .. }) => {
                s.answer(id, Ok(Reply::Initiated { upload_id: "U".into() }));
            }
            Output::Event(_) => {}
            Output::Timeout(_) => break,
            other => panic!("{other:?}"),
        }
    }
    let of = |file| sent.iter().filter(|(_, f)| *f == file).count();
    assert_eq!(of(FIRST) + of(SECOND), 4);
    for (id, _) in &sent {
        s.stored(*id);
    }
    let next: Vec<FileId> = s
        .drain()
        .into_iter()
        .filter_map(|o| match o {
            Output::Effect(Effect::Perform { file, .. }) => Some(file),
            _ => None,
        })
        .collect();
    assert_eq!(next.len(), 4);
    assert_eq!(next.iter().filter(|f| **f == FIRST).count(), 2);
}

#[test]
fn a_failed_file_stops_the_run_where_asked_and_takes_part_again() {
    let config = Config { halt_on_failure: true, restart_failed: true, ..config() };
    let (mut s, ids) = two(config);
    s.answer(ids[0], Err(fault(FaultKind::Fatal(ErrorKind::Service))));
    s.drain();
    assert!(!s.engine.is_running());
    assert_eq!(states(&s), [FileState::Failed, FileState::Waiting]);
    s.engine.start(s.now);
    assert!(matches!(s.effect(), Effect::LoadCheckpoint { file: FIRST, .. }));
}

/// The video of a file added with a grant is gone, and nothing took its place before the file was left.
#[test]
fn a_grant_that_was_used_up_is_not_taken_again_at_the_next_start() {
    let mut s = Script::new(config());
    let spec = FileSpec { grant: Some(grant(1, None)), ..FileSpec::default() };
    let file = s.engine.add(s.now, spec).expect("a valid spec");
    s.engine.start(s.now);
    s.load(MIB, None);
    s.started_event();
    let (id, _) = s.perform();
    s.answer(id, Ok(Reply::Initiated { upload_id: "U".into() }));
    s.saved(true);
    let id = s.parts(&[1])[0];
    s.answer(id, Err(fault(FaultKind::Expired)));
    let (id, want) = s.ask();
    assert_eq!(want, Want::Refresh { video_id: Some("v".into()) });
    s.granted(id, Err(fault(FaultKind::NoSuchUpload)));
    assert_eq!(s.ask().1, Want::Create);
    s.engine.pause(s.now, Some(file)).expect("under way");
    s.engine.resume(s.now, Some(file)).expect("paused");
    let found = s.drain().into_iter().find_map(|output| match output {
        Output::Effect(Effect::LoadCheckpoint { id, .. }) => Some(id),
        _ => None,
    });
    let result = Ok((source(MIB), Some(checkpoint(MIB, &[]))));
    s.engine.handle(s.now, Input::Loaded { id: found.expect("a load"), result });
    s.started_event();
    assert_eq!(s.ask().1, Want::Refresh { video_id: Some("v".into()) });
}

#[test]
fn an_answer_of_another_kind_or_a_repeated_one_changes_nothing() {
    let (mut s, ids) = two(config());
    s.engine.handle(s.now, Input::Appended { id: ids[0], result: Ok(()) });
    s.granted(ids[0], Ok(grant(5, None)));
    assert_eq!(s.idle(), None);
    s.acknowledge(ids[0], false);
    s.stored(ids[0]);
    assert_eq!(s.idle(), None);
    let input = Input::Sent { id: EffectId(999), bytes: 5 };
    s.engine.handle(s.now, input);
    assert_eq!(s.idle(), None);
}

#[test]
fn a_deadline_is_always_ahead() {
    let (mut s, ids) = two(Config { progress_interval_ms: 100, ..config() });
    s.engine.handle(s.now, Input::Sent { id: ids[0], bytes: 10 });
    assert!(matches!(s.event(), Event::Progress { in_flight: 10, .. }));
    s.engine.handle(s.now, Input::Sent { id: ids[0], bytes: 20 });
    s.answer(ids[1], Err(fault(FaultKind::SlowDown)));
    assert!(matches!(s.event(), Event::Warning { .. }));
    s.answer(ids[2], Err(no_reply()));
    assert!(matches!(s.event(), Event::Retry { .. }));
    for _ in 0..50 {
        let Some(due) = s.idle() else { break };
        assert!(due > s.now.mono_ms);
        s.pass(due - s.now.mono_ms);
        s.drain();
    }
    assert_eq!(s.idle(), None);
}

#[test]
fn ten_thousand_waiting_files_cost_little() {
    let mut s = Script::new(config());
    let files: Vec<FileId> = (0..10_000).map(|_| s.add()).collect();
    s.engine.start(s.now);
    for file in &files {
        s.engine.cancel(s.now, *file).unwrap();
    }
    let canceled = |o: &Output| matches!(o, Output::Event(Event::Canceled { .. }));
    assert_eq!(s.drain().into_iter().filter(canceled).count(), 10_000);
    assert!(!s.engine.is_running());
}

#[test]
fn a_removed_file_is_not_the_last_of_the_run() {
    for (removed, kept) in [(0, true), (1, false)] {
        let mut s = Script::new(config());
        let files = [s.add(), s.add(), s.add()];
        s.engine.cancel(s.now, files[0]).unwrap();
        s.engine.cancel(s.now, files[1]).unwrap();
        s.engine.remove(s.now, files[removed]).unwrap();
        s.engine.remove(s.now, files[2]).unwrap();
        s.engine.start(s.now);
        let last = s.drain().into_iter().find_map(|output| match output {
            Output::Event(Event::Ended { last }) => Some(last),
            _ => None,
        });
        assert_eq!(last, Some(kept.then_some(files[1])));
    }
}

#[test]
fn a_given_grants_place_is_known_at_once() {
    let mut s = Script::new(config());
    let spec = FileSpec { grant: Some(grant(1, None)), ..FileSpec::default() };
    s.engine.add(s.now, spec).unwrap();
    let file = &s.engine.files()[0];
    assert_eq!((file.target.clone(), file.video_id.as_deref()), (Some(target("k")), Some("v")));
}

#[test]
fn while_the_source_is_looked_at_again_the_old_figures_stand() {
    let mut s = Script::sending(Config { restart_failed: true, ..config() }, 2);
    let ids = s.parts(&[1, 2]);
    s.acknowledge(ids[0], false);
    s.answer(ids[1], Err(fault(FaultKind::Fatal(ErrorKind::Auth))));
    s.failed();
    s.engine.start(s.now);
    let all = s.drain();
    assert!(all.iter().any(|o| matches!(o, Output::Effect(Effect::LoadCheckpoint { .. }))));
    let file = &s.engine.files()[0];
    assert_eq!((file.acknowledged, file.total), (MIB, Some(2 * MIB)));
}

#[test]
fn one_file_looks_as_it_does_in_the_list() {
    let (s, _) = two(config());
    for view in s.engine.files() {
        assert_eq!(s.engine.file(view.id).as_ref(), Some(&view));
    }
    assert_eq!(s.engine.file(FileId(9)), None);
}

#[test]
fn only_what_has_not_finished_can_be_resumed() {
    let (mut s, _) = two(config());
    s.engine.cancel(s.now, FIRST).unwrap();
    s.engine.resume(s.now, Some(FIRST)).unwrap_err();
    s.engine.resume(s.now, Some(SECOND)).unwrap();
    s.engine.pause(s.now, Some(SECOND)).unwrap();
    s.engine.resume(s.now, Some(SECOND)).unwrap();
    assert_eq!(states(&s)[0], FileState::Canceled);
}

#[test]
fn a_credential_is_known_to_be_refused_though_its_file_fails_anyway() {
    for (second, refused) in
        [(FaultKind::Expired, true), (FaultKind::Fatal(ErrorKind::Service), false)]
    {
        let finish = crate::OnPartFailure::FinishOthers;
        let (mut s, ids) = two(Config { on_part_failure: finish, ..config() });
        s.answer(ids[0], Err(fault(FaultKind::Fatal(ErrorKind::Service))));
        s.answer(ids[1], Err(fault(second)));
        assert_eq!(s.engine.desk.refused.contains(&crate::GrantId(1)), refused, "{second:?}");
    }
}

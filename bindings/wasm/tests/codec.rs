//! What is written reads back, byte for byte; what is not written so is refused.
#![allow(missing_docs)]

use std::fmt::Debug;

use proptest::prelude::*;
use vodferry_engine::*;
use vodferry_exchange::{Authority, Digests};
use vodferry_oss::{Credential, Response, Secret, Style, Target as OssTarget};
use vodferry_wasm::{Command, Wire, decode};

fn bytes(value: &impl Wire) -> Vec<u8> {
    let mut out = vec![];
    value.put(&mut out);
    out
}

/// Survives as it is, and neither shortened nor with something behind it.
fn survives<T: Wire + PartialEq + Debug>(value: T) {
    let mut written = bytes(&value);
    assert_eq!(decode::<T>(&written).as_ref(), Some(&value));
    for length in 0..written.len() {
        assert_eq!(decode::<T>(&written[..length]), None, "{value:?} cut to {length}");
    }
    written.push(0);
    assert_eq!(decode::<T>(&written), None);
}

fn target() -> Target {
    Target { endpoint: "https://h".into(), bucket: "b".into(), key: "测".into() }
}

fn part() -> PartInfo {
    PartInfo { number: 7, length: u64::MAX, etag: "E".into(), crc64: Some(1) }
}

fn fault(kind: FaultKind) -> Fault {
    Fault {
        kind,
        code: "C".into(),
        message: "m".into(),
        request_id: "r".into(),
        retry_after_ms: Some(5),
    }
}

fn error() -> ErrorInfo {
    ErrorInfo {
        kind: ErrorKind::Auth,
        code: "C".into(),
        message: "m".into(),
        request_id: "r".into(),
    }
}

fn object() -> ObjectInfo {
    ObjectInfo {
        length: Some(1),
        etag: "E".into(),
        crc64: None,
        verified: true,
        location: Some("l".into()),
        request_id: "r".into(),
        callback_body: Some("b".into()),
        image_url: Some("i".into()),
    }
}

fn grant() -> Grant {
    Grant { id: GrantId(3), expires_at: Some(-1), target: target(), video_id: Some("v".into()) }
}

fn ops() -> Vec<Op> {
    let upload_id = String::from("U");
    vec![
        Op::AbortMultipartUpload { upload_id: upload_id.clone() },
        Op::CompleteMultipartUpload { upload_id: upload_id.clone(), parts: vec![part(), part()] },
        Op::HeadObject { length: 5, parts: vec![part()] },
        Op::InitiateMultipartUpload,
        Op::ListMultipartUploads,
        Op::ListParts { upload_id: upload_id.clone(), marker: 1000 },
        Op::PutObject { length: 9 },
        Op::UploadPart { upload_id: upload_id.clone(), number: 2, range: 5..9, held: None },
        Op::UploadPart { upload_id, number: 2, range: 5..9, held: Some("E".into()) },
    ]
}

#[test]
fn outputs() {
    let (id, file) = (EffectId(1), FileId(2));
    let source = Source { length: Some(1), modified_ms: -5, fingerprint: "f".into() };
    let begin = Begin {
        source: source.clone(),
        target: target(),
        video_id: None,
        part_size: 102_400,
        grows_to: None,
        upload_id: "U".into(),
    };
    let mut effects = vec![
        Effect::Abandon { id },
        Effect::AskGrant { id, file, want: Want::Create },
        Effect::AskGrant { id, file, want: Want::Refresh { video_id: Some("v".into()) } },
        Effect::CloseCheckpoint { file },
        Effect::LoadCheckpoint { id, file },
    ];
    let open = Source { length: None, ..source.clone() };
    let growing = Begin { source: open, grows_to: Some(9), ..begin.clone() };
    for record in [
        Record::Begin(begin.clone()),
        Record::Begin(growing),
        Record::End,
        Record::Length(8),
        Record::Part(part()),
    ] {
        effects.push(Effect::AppendCheckpoint { id, file, record, sync: true });
    }
    for op in ops() {
        effects.push(Effect::Perform { id, file, grant: GrantId(3), op, clock_offset_ms: -1 });
    }
    effects.into_iter().for_each(|effect| survives(Output::Effect(effect)));
    let (video_id, bytes) = (Some("v".to_string()), 6);
    for event in [
        Event::Canceled { file },
        Event::Ended { last: Some(file) },
        Event::Failed { file, error: error() },
        Event::PartAcknowledged { file, part: part() },
        Event::Progress { file, acknowledged: 1, in_flight: 2, total: Some(3) },
        Event::Resumed { file, parts: 4, bytes },
        Event::Retry { file, error: error(), delay_ms: 7 },
        Event::RetryResume { file },
        Event::Started { file, video_id: video_id.clone(), target: Some(target()) },
        Event::Succeeded { file, target: target(), video_id: video_id.clone(), object: object() },
        Event::TokenExpired { file, video_id },
        Event::Warning { file, error: error() },
    ] {
        survives(Output::Event(event));
    }
    survives(Output::Timeout(None));
    survives(Output::Timeout(Some(9)));

    let checkpoint = Checkpoint { begin, parts: vec![part()], length: Some(3) };
    let result = Ok((source, Some(checkpoint)));
    survives(Input::Loaded { id, result });
    let result = Err(fault(FaultKind::Transient(ErrorKind::Io)));
    survives(Input::Loaded { id, result });
}

#[test]
fn inputs() {
    let id = EffectId(u64::MAX);
    for reply in [
        Reply::Aborted,
        Reply::Completed(object()),
        Reply::Head(None),
        Reply::Head(Some(object())),
        Reply::Initiated { upload_id: "U".into() },
        Reply::PartUploaded { etag: "E".into(), crc64: Some(0) },
        Reply::Parts { parts: vec![part()], next: Some(7) },
        Reply::Put(object()),
        Reply::Uploads(vec!["A".into(), "B".into()]),
    ] {
        survives(Input::Answer { id, result: Ok(reply), server_date_ms: Some(-1) });
    }
    for kind in [
        FaultKind::ClockSkew,
        FaultKind::Expired,
        FaultKind::NoSuchUpload,
        FaultKind::Relist,
        FaultKind::SlowDown,
        FaultKind::SourceChanged,
        FaultKind::Fatal(ErrorKind::Misuse),
        FaultKind::Transient(ErrorKind::Network),
    ] {
        survives(Input::Answer { id, result: Err(fault(kind)), server_date_ms: None });
    }
    survives(Input::Appended { id, result: Ok(()) });
    survives(Input::Granted { id, result: Ok(grant()) });
    survives(Input::Sent { id, bytes: 1 });
    survives(Input::Finished { file: FileId(1), length: 4 });
    survives(Input::Grown { file: FileId(1), range: 4..6 });
}

#[test]
fn error_kinds_go_by_their_fixed_numbers() {
    for number in 1..=11u8 {
        let kind = decode::<ErrorKind>(&[number]).expect("a kind is missing");
        assert_eq!(kind as u8, number);
        survives(kind);
    }
    assert_eq!(decode::<ErrorKind>(&[0]), None);
    assert_eq!(decode::<ErrorKind>(&[12]), None);
}

#[test]
fn commands_and_settings() {
    let file = FileId(5);
    for command in [
        Command::Add { spec: FileSpec { grant: Some(grant()), part_size: 3, priority: -7 } },
        Command::Authorize { file, grant: grant() },
        Command::Cancel { file },
        Command::Clear,
        Command::NetworkChanged,
        Command::Pause { file: None },
        Command::Remove { file },
        Command::Restore { file },
        Command::Resume { file: Some(file) },
        Command::SetPriority { file, priority: i32::MIN },
        Command::Start,
        Command::Stop,
    ] {
        survives(command);
    }
    survives(Config::default());
    let retry = Retry { budget: Budget::Count(3), backoff: Backoff::Fixed { ms: 2000 } };
    survives(Config { retry, on_cancel: OnCancel::Abort, authorizer: true, ..Config::default() });
    survives(Config { on_part_failure: OnPartFailure::FinishOthers, ..Config::default() });
    for style in [Style::Auto, Style::Cname, Style::Path, Style::VirtualHost] {
        survives(Authority {
            credential: Credential {
                access_key_id: "id".into(),
                access_key_secret: Secret::from("secret"),
                security_token: Some(Secret::from("token")),
            },
            target: OssTarget { endpoint: "e".into(), bucket: "b".into(), key: "k".into() },
            style,
        });
    }
    survives(Digests { length: 1, md5: Some([7; 16]), crc64: None });
    let headers = vec![("etag".to_string(), "\"E\"".to_string())];
    survives(Response { status: 200, headers, body: vec![0, 255] });
}

#[test]
fn the_form_is_fixed() {
    assert_eq!(bytes(&Output::Timeout(Some(0x0102))), [2, 1, 2, 1, 0, 0, 0, 0, 0, 0]);
    assert_eq!(bytes(&"é".to_string()), [2, 0, 0, 0, 0xc3, 0xa9]);
    assert_eq!(bytes(&Err::<u8, String>("x".into())), [1, 1, 0, 0, 0, b'x']);
    assert_eq!(decode::<String>(&[1, 0, 0, 0, 0xff]), None, "not UTF-8");
    assert_eq!(decode::<bool>(&[2]), None);
    assert_eq!(decode::<Vec<u64>>(&[0xff, 0xff, 0xff, 0xff, 0]), None, "a count without items");
}

proptest! {
    #[test]
    fn reading_never_panics(junk in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode::<(Now, Input)>(&junk);
        let _ = decode::<(Now, Command)>(&junk);
        let _ = decode::<(Config, u64)>(&junk);
        let _ = decode::<(Authority, Op, Digests, Response)>(&junk);
    }

    /// Junk that begins well goes deeper.
    #[test]
    fn damaged_input_is_refused_or_read(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let answer = Input::Answer {
            id: EffectId(1),
            result: Ok(Reply::Parts { parts: vec![part(), part()], next: None }),
            server_date_ms: None,
        };
        let mut damaged = bytes(&answer);
        let at = at.index(damaged.len());
        damaged[at] = byte;
        if let Some(input) = decode::<Input>(&damaged) {
            prop_assert_eq!(bytes(&input), damaged, "one value, one form");
        }
    }
}

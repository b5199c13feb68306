//! A browser's side of the boundary in miniature: everything crosses as bytes, and a file arrives.
#![allow(missing_docs)]

use vodferry_engine::*;
use vodferry_exchange::{Answer, Authority, Digests, fault::BAD_REQUEST};
use vodferry_oss::crc64::crc64;
use vodferry_oss::etag::{etag_of_md5, md5, multipart_etag};
use vodferry_oss::{Response, Secret, xml};
use vodferry_vod::{UploadAddress, UploadAuth};
use vodferry_wasm::{Command, Prepared, Shell, Wire, decode, exchange_answer, exchange_request};

const UPLOAD_ID: &str = "0004B9894A22E5B1888A1E29F8236E2D";
const WALL: i64 = 1_795_168_800_000;

type Done<T> = Result<T, String>;

fn bytes(value: &impl Wire) -> Vec<u8> {
    let mut out = vec![];
    value.put(&mut out);
    out
}

fn read<T: Wire>(bytes: &[u8]) -> T {
    decode(bytes).expect("the answer is not written as the codec says")
}

fn authority() -> (Option<i64>, Authority) {
    let address = UploadAddress {
        endpoint: "https://oss.example.com".into(),
        bucket: "vod-media".into(),
        file_name: "sv/测 试.mp4".into(),
    };
    let auth = UploadAuth {
        access_key_id: "STS.N".into(),
        access_key_secret: Secret::from("s"),
        security_token: Secret::from("t"),
        expire_utc_time: None,
        expiration_secs: Some(3000),
        region: None,
    };
    let (authority, expires_at) =
        Authority::from_upload(&address.encode(), &auth.encode(), WALL).unwrap();
    (expires_at, authority)
}

/// A server that keeps parts; it believes every signature, that is tested elsewhere.
#[derive(Default)]
struct Server {
    parts: Vec<(u32, Vec<u8>)>,
    object: Vec<u8>,
}

impl Server {
    fn serve(&mut self, request: &Prepared, body: &[u8]) -> Response {
        assert!(
            request.url.starts_with("https://vod-media.oss.example.com/sv/"),
            "{}",
            request.url
        );
        assert!(request.headers.iter().any(|(name, _)| name == "authorization"));
        let (_, query) = request.url.split_once('?').unwrap_or((&request.url, ""));
        let reply = |etag: &[u8], crc: &[u8], body: String| Response {
            status: 200,
            headers: vec![
                ("etag".into(), etag_of_md5(&md5(etag))),
                ("x-oss-hash-crc64ecma".into(), crc64(crc).to_string()),
            ],
            body: body.into(),
        };
        match request.method.as_str() {
            "POST" if query == "uploads" => {
                let id = UPLOAD_ID.into();
                let result =
                    xml::InitiateMultipartUploadResult { upload_id: id, ..Default::default() };
                reply(b"", b"", result.encode(false))
            }
            "PUT" => {
                let number = query.strip_prefix("partNumber=").unwrap().split('&').next().unwrap();
                self.parts.push((number.parse().unwrap(), body.to_vec()));
                reply(body, body, String::new())
            }
            "POST" => {
                let list = xml::CompleteMultipartUpload::decode(&request.body).unwrap();
                self.parts.sort();
                assert_eq!(list.parts.len(), self.parts.len());
                self.object = self.parts.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
                let etag = multipart_etag(list.parts.iter().map(|part| &part.etag));
                let result = xml::CompleteMultipartUploadResult { etag, ..Default::default() };
                reply(b"", &self.object, result.encode(false))
            }
            other => panic!("unexpected {other} {}", request.url),
        }
    }
}

#[test]
fn a_file_arrives() {
    let content: Vec<u8> = (0..300_000u32).map(|n| (n % 251) as u8).collect();
    let (expires_at, authority) = authority();
    assert_eq!(expires_at, Some(WALL + 3_000_000));
    let target = Target {
        endpoint: authority.target.endpoint.clone(),
        bucket: authority.target.bucket.clone(),
        key: authority.target.key.clone(),
    };

    let mut shell = Shell::default();
    let config = Config { part_size: 102_400, ..Config::default() };
    let engine: u32 = read::<Done<_>>(&shell.engine_new(&bytes(&(config, 1u64)))).unwrap();
    let mut mono_ms = 0;
    let mut now = || {
        mono_ms += 1;
        Now { mono_ms, wall_ms: WALL }
    };
    let grant = Some(Grant { id: GrantId(1), expires_at, target, video_id: None });
    let add = Command::Add { spec: FileSpec { grant, ..FileSpec::default() } };
    let file: u64 = read::<Done<_>>(&shell.engine_command(engine, &bytes(&(now(), add)))).unwrap();
    assert_eq!(
        read::<Done<u64>>(&shell.engine_command(engine, &bytes(&(now(), Command::Start)))),
        Ok(0)
    );

    let mut server = Server::default();
    let mut records = vec![];
    let mut events = vec![];
    for _ in 0..1000 {
        let effect = match read::<Done<Output>>(&shell.engine_poll(engine, &bytes(&now()))).unwrap()
        {
            Output::Effect(effect) => effect,
            Output::Event(event @ Event::Ended { .. }) => {
                events.push(event);
                break;
            }
            Output::Event(event) => {
                events.push(event);
                continue;
            }
            Output::Timeout(at) => panic!("waits until {at:?} after {events:?}"),
        };
        let input = match effect {
            Effect::LoadCheckpoint { id, .. } => {
                let source =
                    Source { length: Some(300_000), modified_ms: 1, fingerprint: "f".into() };
                Input::Loaded { id, result: Ok((source, None)) }
            }
            Effect::AppendCheckpoint { id, record, .. } => {
                records.push(record);
                Input::Appended { id, result: Ok(()) }
            }
            Effect::Perform { id, op, clock_offset_ms, .. } => {
                let body = match &op {
                    Op::UploadPart { range, .. } => {
                        &content[range.start as usize..range.end as usize]
                    }
                    _ => &[],
                };
                let digests = Digests {
                    length: body.len() as u64,
                    md5: Some(md5(body)),
                    crc64: Some(crc64(body)),
                };
                let headers = vec![("content-type".to_string(), "video/mp4".to_string())];
                let asked = (authority.clone(), op, digests, headers, WALL + clock_offset_ms);
                let request: Result<Prepared, Fault> = read(&exchange_request(&bytes(&asked)));
                let response = server.serve(&request.unwrap(), body);
                let (authority, op, digests, _, _) = asked;
                let got = bytes(&(authority, op, digests, response));
                let answer = read::<Done<Answer>>(&exchange_answer(&got)).unwrap();
                Input::Answer { id, result: answer.result, server_date_ms: answer.server_date_ms }
            }
            Effect::CloseCheckpoint { .. } => continue,
            other => panic!("unexpected {other:?}"),
        };
        read::<Done<()>>(&shell.engine_handle(engine, &bytes(&(now(), input)))).unwrap();
    }

    assert_eq!(server.object, content);
    assert!(matches!(records.first(), Some(Record::Begin(begin)) if begin.upload_id == UPLOAD_ID));
    assert_eq!(records.last(), Some(&Record::End));
    assert!(matches!(events.first(), Some(Event::Started { .. })));
    let succeeded = events.iter().find_map(|event| match event {
        Event::Succeeded { object, .. } => Some(object),
        _ => None,
    });
    assert!(succeeded.expect("no Succeeded").verified);
    let files: Vec<FileView> = read::<Done<_>>(&shell.engine_files(engine)).unwrap();
    assert_eq!((files[0].id, files[0].state), (FileId(file), FileState::Succeeded));
}

#[test]
fn what_cannot_be_read_or_done_is_told() {
    let mut shell = Shell::default();
    let refused = |answer: Vec<u8>| read::<Done<()>>(&answer).unwrap_err();
    let garbled = "the input is not written as the codec says";
    assert_eq!(refused(shell.engine_new(b"junk")), garbled);
    assert_eq!(refused(shell.engine_poll(1, &[])), "there is no engine of this number");
    let tiny = Config { part_size: 1, ..Config::default() };
    assert!(refused(shell.engine_new(&bytes(&(tiny, 0u64)))).contains("part"));

    let engine: u32 =
        read::<Done<_>>(&shell.engine_new(&bytes(&(Config::default(), 0u64)))).unwrap();
    assert_eq!(refused(shell.engine_poll(engine, &[1, 2])), garbled);
    assert_eq!(refused(shell.engine_handle(engine, &[])), garbled);
    let now = Now { mono_ms: 1, wall_ms: WALL };
    let cancel = Command::Cancel { file: FileId(99) };
    assert!(!refused(shell.engine_command(engine, &bytes(&(now, cancel)))).is_empty());
    shell.engine_free(engine);
    shell.engine_free(engine);
    assert_eq!(refused(shell.engine_files(engine)), "there is no engine of this number");

    for answer in [exchange_request(b"\x01"), exchange_answer(b"\xff\xff")] {
        assert_eq!(refused(answer), garbled);
    }

    let (_, mut authority) = authority();
    authority.target.key = String::new();
    let asked = (authority, Op::InitiateMultipartUpload, Digests::default(), vec![], WALL);
    type Asked = (Authority, Op, Digests, Vec<(String, String)>, i64);
    let asked: Asked = asked;
    let fault = read::<Result<Prepared, Fault>>(&exchange_request(&bytes(&asked))).unwrap_err();
    assert_eq!(fault.code, BAD_REQUEST);
}

//! Files of every size arrive whole: none, one byte, around the limit of a single request, around a part, larger than memory should
//! hold, and of more parts than one page of a list names.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use crate::common::content::{Crc64, assert_same_bytes, sparse_file};
use crate::common::ledger::{self, Acknowledged};
use crate::common::observer::{Exchange, Observer, Op};
use crate::common::{Line, Process, Ran, TestEnv, bytes};

/// For what moves more than a gigabyte.
const LONG: Duration = Duration::from_secs(240);

#[test]
fn around_one_request_and_around_one_part() {
    let env = TestEnv::new();
    let observer = Observer::new();
    let server = env.serve(&["--public-endpoint", &observer.url]);
    observer.forward_to(server.address());
    const MIB: usize = 1 << 20;
    for (length, parts) in
        [(0, 0), (1, 0), (102_399, 0), (102_400, 1), (MIB - 1, 1), (MIB, 1), (MIB + 1, 2)]
    {
        let content = bytes(length as u64, length);
        let file = env.path(format!("{length}.mp4"));
        fs::write(&file, &content).unwrap();
        let run = observer.next_run();
        let mut upload = env.command(&["upload", "--json", "--server", &server.url]);
        let ran = Ran::of(upload.args(["--part-size", "1MiB"]).arg(&file)).ok();
        let done = ran.event("succeeded");
        assert_eq!(done.number("bytes"), length as u64);
        assert_eq!(done.text("crc64"), Crc64::of(&content).to_string(), "{length}");
        assert_eq!(done.value["verified"], true, "{length}");
        let seen: Vec<_> = observer.exchanges().into_iter().filter(|one| one.run == run).collect();
        assert_eq!(seen.iter().filter(|one| one.is_part()).count(), parts, "{length}: {seen:?}");
        let puts = seen.iter().filter(|one| one.op() == Op::Other("PUT".into())).count();
        assert_eq!(puts, usize::from(parts == 0), "{length}: {seen:?}");
        let object = format!("{}/{}", done.text("bucket"), done.text("key"));
        assert!(env.get(&server, &object) == content, "{length}");
    }
}

#[test]
fn more_than_a_gigabyte() {
    const LENGTH: u64 = 1_234_567_890;
    let env = TestEnv::new();
    let server = env.serve(&[]);
    let file = env.path("long.mp4");
    sparse_file(&file, LENGTH, 1 << 20);
    let mut upload = env.command(&["upload", "--json", "--part-size", "8MiB", "--server"]);
    upload.arg(&server.url).arg(&file);
    let ran = Ran::within(&mut upload, LONG).ok();
    let done = ran.event("succeeded");
    assert_eq!((done.number("bytes"), &done.value["verified"]), (LENGTH, &true.into()));
    let parts: BTreeSet<_> = acknowledged(&ran.events()).collect();
    assert_eq!(parts, (1..=148).collect());

    let object = format!("{}/{}", done.text("bucket"), done.text("key"));
    let copy = env.path("copy.mp4");
    let mut get = env.command(&["get", &object, "--json", "--endpoint", &server.url]);
    get.arg("--keys-file").arg(server.keys_file()).arg("-o").arg(&copy);
    let got = Ran::within(&mut get, LONG).ok().event("downloaded");
    let crc = assert_same_bytes(&file, &copy).to_string();
    assert_eq!((got.text("crc64"), done.text("crc64")), (crc.as_str(), crc.as_str()));
    assert_eq!((got.number("bytes"), &got.value["verified"]), (LENGTH, &true.into()));
}

#[test]
fn more_parts_than_one_list_names() {
    const PART: usize = 102_400;
    let env = TestEnv::new();
    let observer = Observer::new();
    let server = env.serve(&["--public-endpoint", &observer.url]);
    observer.forward_to(server.address());
    let content = bytes(7, 1_499 * PART + 5_000);
    let file = env.path("many.mp4");
    fs::write(&file, &content).unwrap();
    let upload = || {
        let mut command = env.command(&["upload", "--json", "--server", &server.url]);
        command.args(["--part-size", "102400", "--parallel", "16"]).arg(&file);
        command
    };

    let first = observer.next_run();
    let mut client = Process::spawn(upload());
    let mut count = 0;
    let before = client.wait_for(|line| {
        count += u32::from(line.event == "part");
        count == 1_100
    });
    client.kill();

    let second = observer.next_run();
    let ran = Ran::within(&mut upload(), LONG).ok();
    let after = ran.events();
    let exchanges = observer.exchanges();
    let seen: Vec<&Exchange> = exchanges.iter().filter(|one| one.run == second).collect();
    let pages: Vec<Vec<u64>> = seen
        .iter()
        .filter(|one| matches!(one.op(), Op::ListParts { .. }))
        .map(|one| one.listed())
        .collect();
    assert_eq!(pages.len(), 2, "{:?}", pages.iter().map(Vec::len).collect::<Vec<_>>());
    assert_eq!(pages[0].len(), 1_000);
    let listed: BTreeSet<u64> = pages.concat().into_iter().collect();
    assert!(acknowledged(&before).all(|number| listed.contains(&number)));
    let missing: Vec<u64> = (1..=1_500).filter(|number| !listed.contains(number)).collect();
    let mut sent: Vec<u64> = seen
        .iter()
        .filter_map(|one| match one.op() {
            Op::UploadPart { number, .. } => Some(number),
            _ => None,
        })
        .collect();
    sent.sort_unstable();
    assert_eq!(sent, missing);
    assert_eq!(ran.event("resumed").number("parts"), listed.len() as u64);

    let acknowledged = Acknowledged::from([
        (first, acknowledged(&before).collect()),
        (second, acknowledged(&after).collect()),
    ]);
    let sent = ledger::check(&exchanges, &acknowledged);
    println!("{} parts listed on two pages; {sent:?}", listed.len());
    let done = ran.event("succeeded");
    assert_eq!(done.text("crc64"), Crc64::of(&content).to_string());
    let object = format!("{}/{}", done.text("bucket"), done.text("key"));
    assert!(env.get(&server, &object) == content);
}

fn acknowledged(events: &[Line]) -> impl Iterator<Item = u64> {
    events.iter().filter(|line| line.event == "part").map(|line| line.number("number"))
}

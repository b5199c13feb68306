//! What bad input gets: one clear error, or nobody notices; nothing is lost, nothing hangs, nothing panics, no secret is told.
//!
//! What needs no second process is in `usage.rs`; what single uploads show is in `upload.rs` and `interrupt.rs`.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::common::observer::{Observer, Op, ReplyHead, Verdict};
use crate::common::secrets::{Secrets, decode, encode};
use crate::common::{
    FakeServer, Line, PATIENCE, Process, Ran, Server, TestEnv, app_server, upload_auth,
};
use serde_json::{Value, json};

/// One `error:` line and one `hint:` line, no panic, none of the secrets.
fn one_clear_error(ran: &Ran, secrets: &Secrets) {
    let count = |of: &str| ran.stderr.lines().filter(|line| line.starts_with(of)).count();
    assert_eq!(count("error: "), 1, "{ran:#?}");
    assert!(count("hint: ") <= 1, "{ran:#?}");
    assert!(!ran.stderr.contains("panicked"), "{ran:#?}");
    secrets.are_not_in("stdout", ran.stdout.as_bytes());
    secrets.are_not_in("stderr", ran.stderr.as_bytes());
}

fn with_auth(env: &TestEnv, address: &str, auth: &str, more: &[&str]) -> Ran {
    let mut command = env.command(&["upload", "--json", "a.mp4"]);
    command.env("VODFERRY_ADDRESS", address).env("VODFERRY_AUTH", auth).args(more);
    Ran::of(&mut command)
}

/// The same blob with another value in place.
fn altered(blob: &str, name: &str, value: &str) -> String {
    let mut inside: Value = serde_json::from_slice(&decode(blob)).unwrap();
    assert!(inside[name].is_string());
    inside[name] = value.into();
    encode(inside.to_string().as_bytes())
}

fn object_of(done: &Line) -> String {
    format!("{}/{}", done.text("bucket"), done.text("key"))
}

#[test]
fn an_auth_that_is_wrong_is_refused_once_and_told() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    env.file("a.mp4", 3_000_000);
    let (address, auth) = upload_auth(&server, "a.mp4");
    let (_, others) = upload_auth(&server, "a.mp4");
    let token = "CAIS".to_owned() + &"QUFB".repeat(40);
    let secrets = Secrets::of(&server).with_auth(&auth).with_auth(&others);
    for (wrong, code) in [
        (altered(&auth, "AccessKeySecret", "another-secret"), "SignatureDoesNotMatch"),
        (altered(&auth, "SecurityToken", &token), "InvalidSecurityToken"),
        (altered(&auth, "AccessKeyId", "STS.nobody"), "AccessKeyIdAndSecurityTokenNotMatch"),
        (others.clone(), "AccessDenied"),
    ] {
        let began = Instant::now();
        let ran = with_auth(&env, &address, &wrong, &[]).fails(3, code);
        one_clear_error(&ran, &secrets);
        assert!(began.elapsed() < Duration::from_secs(30), "it was tried again and again");
        let failed = ran.event("failed");
        assert_eq!((failed.text("kind"), failed.text("code")), ("auth", code), "{ran:#?}");
        assert_eq!(failed.text("request_id").len(), 24, "{ran:#?}");
        assert!(ran.stderr.contains(failed.text("request_id")), "{ran:#?}");
        assert!(ran.stderr.contains("hint: "), "{ran:#?}");
    }
    // The right one is none the worse for it.
    let done = with_auth(&env, &address, &auth, &[]).ok().event("succeeded");
    assert!(env.get(&server, &object_of(&done)) == fs::read(env.path("a.mp4")).unwrap());
}

#[test]
fn garbled_and_swapped_texts_are_told_before_anything_is_sent() {
    let env = TestEnv::new();
    let observer = Observer::new();
    let server = env.serve(&["--public-endpoint", &observer.url]);
    observer.forward_to(server.address());
    env.file("a.mp4", 3_000_000);
    let (address, auth) = upload_auth(&server, "a.mp4");
    let secrets = Secrets::of(&server).with_auth(&auth);
    let swapped = with_auth(&env, &auth, &address, &[]).fails(2, "swapped");
    one_clear_error(&swapped, &secrets);
    let mut wrong = vec![(address.clone(), address.clone()), (auth.clone(), auth.clone())];
    for cut in [1, 2, 3, auth.len() / 3, auth.len() / 2, auth.len() * 2 / 3] {
        wrong.push((address.clone(), auth[..cut].to_owned()));
        wrong.push((address.clone(), auth[cut..].to_owned()));
        wrong.push((address[..cut.min(address.len() - 8)].to_owned(), auth.clone()));
        wrong.push((address.clone(), format!("{}\u{1F3AC}{}", &auth[..cut], &auth[cut..])));
    }
    for (address, auth) in &wrong {
        let ran = with_auth(&env, address, auth, &[]).fails(2, "upload a");
        one_clear_error(&ran, &secrets);
    }
    let sent = observer.exchanges();
    assert!(sent.is_empty(), "{sent:?}");
    with_auth(&env, &address, &auth, &[]).ok();
}

#[test]
fn an_auth_that_is_past_is_told_and_a_new_one_goes_on() {
    let env = TestEnv::new();
    let server = env.serve(&["--credential-life", "5"]);
    env.file("a.mp4", 3_000_000);
    let (address, auth) = upload_auth(&server, "a.mp4");
    let secrets = Secrets::of(&server).with_auth(&auth);
    // The date inside has whole seconds.
    std::thread::sleep(Duration::from_secs(6));
    let ran = with_auth(&env, &address, &auth, &[]).fails(3, "expired");
    one_clear_error(&ran, &secrets);
    assert!(ran.stderr.contains("hint: "), "{ran:#?}");
    // One whose date was lost: the server says it.
    let undated = altered(&auth, "ExpireUTCTime", "2099-01-01T00:00:00Z");
    let ran = with_auth(&env, &address, &undated, &[]).fails(3, "expired");
    one_clear_error(&ran, &secrets);
    let failed = ran.event("failed");
    assert_eq!(failed.text("code"), "SecurityTokenExpired");
    assert_eq!(failed.text("request_id").len(), 24, "{ran:#?}");
    let (address, auth) = upload_auth(&server, "a.mp4");
    with_auth(&env, &address, &auth, &[]).ok();
}

#[test]
fn an_expiry_on_the_way_keeps_the_checkpoint_and_a_new_auth_goes_on() {
    let env = TestEnv::new();
    let observer = Observer::new();
    let server = env.serve(&["--credential-life", "5", "--public-endpoint", &observer.url]);
    observer.forward_to(server.address());
    let file = env.file("a.mp4", 9 << 20);
    let grant = app_server(&server, "create", &json!({"Title": "t", "FileName": "a.mp4"}));
    let text = |grant: &Value, name: &str| grant[name].as_str().unwrap().to_owned();
    let (address, auth) = (text(&grant, "UploadAddress"), text(&grant, "UploadAuth"));
    observer.next_run();
    let slow = ["--limit", "1MiB/s", "--parallel", "2", "--part-size", "1MiB"];
    let ran = with_auth(&env, &address, &auth, &slow);
    let ran = ran.fails(3, "expired");
    let secrets = Secrets::of(&server).with_auth(&auth);
    one_clear_error(&ran, &secrets);
    let events = ran.events();
    let count = |name: &str| events.iter().filter(|line| line.event == name).count();
    assert_eq!((count("token_expired"), count("failed")), (1, 1), "{ran:#?}");
    assert!(count("part") >= 2, "{ran:#?}");
    let listed = env.run(&["resume", "--list"]).ok();
    assert!(listed.stdout.contains("a.mp4"), "{listed:?}");
    secrets.are_not_in_files_of(&env.record_dir());

    // Another way does not take it over, and does not harm it.
    let ran = env.run(&["resume", "a.mp4", "--server", &server.url]).fails(2, "another place");
    one_clear_error(&ran, &secrets);

    let again = app_server(&server, "refresh", &json!({"VideoId": grant["VideoId"]}));
    let mut command = env.command(&["resume", "--json", "a.mp4"]);
    command.env("VODFERRY_ADDRESS", text(&again, "UploadAddress"));
    command.env("VODFERRY_AUTH", text(&again, "UploadAuth"));
    let resume = observer.next_run();
    let ran = Ran::of(&mut command).ok();
    let resumed = ran.event("resumed").number("parts");
    assert!(resumed >= count("part") as u64, "{ran:#?}");
    let sent = observer.exchanges().iter().filter(|one| one.run == resume && one.is_part()).count();
    assert_eq!(resumed + sent as u64, 9);
    let done = ran.event("succeeded");
    assert!(env.get(&server, &object_of(&done)) == fs::read(file).unwrap());
}

#[test]
fn with_an_application_server_expiry_is_not_noticed() {
    let env = TestEnv::new();
    let observer = Observer::new();
    let server = env.serve(&["--credential-life", "5", "--public-endpoint", &observer.url]);
    observer.forward_to(server.address());
    let file = env.file("a.mp4", 11 << 20);
    let args = ["upload", "--json", "a.mp4", "--limit", "1MiB/s", "--server", &observer.url];
    let ran = env.run(&args).ok();
    let told = ["token_expired", "retry", "warning", "failed"];
    let events = ran.events();
    assert!(events.iter().all(|line| !told.contains(&line.event.as_str())), "{ran:#?}");
    let renewed = observer.exchanges().iter().filter(|one| one.path.ends_with("/refresh")).count();
    assert!(renewed >= 1, "the upload was over before its credential");
    assert!(renewed <= 4, "asked {renewed} times in 11 s: a life is 5 s, of which 80 % are used");
    let secrets = Secrets::of(&server).with_seen(&observer);
    secrets.are_not_in("stdout", ran.stdout.as_bytes());
    secrets.are_not_in("stderr", ran.stderr.as_bytes());
    assert!(env.get(&server, &object_of(&ran.event("succeeded"))) == fs::read(file).unwrap());
}

/// Uploads five parts; replies to part 2 are spoiled `times` times.
fn with_spoiled_replies(
    times: u32,
    spoil: fn(&mut ReplyHead),
) -> (TestEnv, Observer, Server, PathBuf, Ran) {
    let env = TestEnv::new();
    let observer = Observer::new();
    let server = env.serve(&["--public-endpoint", &observer.url]);
    observer.forward_to(server.address());
    let spoilt = AtomicU32::new(0);
    observer.hook(move |exchange, head| {
        let meant = matches!(exchange.op(), Op::UploadPart { number: 2, .. });
        if meant && spoilt.fetch_add(1, Ordering::SeqCst) < times {
            spoil(head);
        }
        Verdict::Forward
    });
    let file = env.file("a.mp4", 5 << 20);
    let ran = env.run(&["upload", "--json", "--server", &server.url, "a.mp4"]);
    (env, observer, server, file, ran)
}

#[test]
fn a_part_that_arrived_otherwise_is_sent_again() {
    let spoils: [fn(&mut ReplyHead); 2] = [
        |head| head.set("etag", "\"00112233445566778899AABBCCDDEEFF\""),
        |head| head.set("x-oss-hash-crc64ecma", "1"),
    ];
    for spoil in spoils {
        let (env, observer, server, file, ran) = with_spoiled_replies(1, spoil);
        let (ran, exchanges) = (ran.ok(), observer.exchanges());
        let sent = exchanges
            .iter()
            .filter(|one| matches!(one.op(), Op::UploadPart { number: 2, .. }))
            .count();
        assert_eq!(sent, 2, "{exchanges:#?}");
        let retry = ran.event("retry");
        assert_eq!(retry.text("kind"), "integrity");
        assert!(retry.text("message").contains("part 2"), "{retry:?}");
        ran.event("retry_resume");
        assert!(env.get(&server, &object_of(&ran.event("succeeded"))) == fs::read(file).unwrap());
    }
}

#[test]
fn a_part_that_always_arrives_otherwise_fails_the_file() {
    let (env, observer, server, file, ran) =
        with_spoiled_replies(u32::MAX, |head| head.set("x-oss-hash-crc64ecma", "1"));
    let (ran, exchanges) = (ran.fails(5, "part 2"), observer.exchanges());
    one_clear_error(&ran, &Secrets::of(&server));
    let failed = ran.event("failed");
    assert_eq!(failed.text("kind"), "integrity");
    assert!(!failed.text("request_id").is_empty() && !failed.text("hint").is_empty());
    let sent =
        exchanges.iter().filter(|one| matches!(one.op(), Op::UploadPart { number: 2, .. })).count();
    assert_eq!(sent, 3, "three mismatches in a row");
    assert!(exchanges.iter().all(|one| !one.is_complete()), "nothing doubtful is completed");
    // Nothing is lost: without the spoiler it goes on.
    observer.hook(|_, _| Verdict::Forward);
    let ran = env.run(&["resume", "--json", "--server", &server.url]).ok();
    assert!(ran.event("resumed").number("parts") >= 1, "{ran:#?}");
    assert!(env.get(&server, &object_of(&ran.event("succeeded"))) == fs::read(file).unwrap());
}

#[test]
fn a_lost_reply_to_complete_does_not_send_bytes_again() {
    let env = TestEnv::new();
    let observer = Observer::new();
    let server = env.serve(&["--public-endpoint", &observer.url]);
    observer.forward_to(server.address());
    let lost = AtomicU32::new(0);
    observer.hook(move |exchange, _| {
        let cut = exchange.is_complete() && lost.fetch_add(1, Ordering::SeqCst) < 2;
        if cut { Verdict::Cut } else { Verdict::Forward }
    });
    let file = env.file("a.mp4", 3 << 20);
    let upload = ["upload", "--json", "--server", &server.url, "--part-size", "1MiB", "a.mp4"];
    let ran = env.run(&upload).ok();
    let exchanges = observer.exchanges();
    assert_eq!(exchanges.iter().filter(|one| one.is_part()).count(), 3, "{exchanges:#?}");
    assert_eq!(exchanges.iter().filter(|one| one.is_complete()).count(), 3, "{exchanges:#?}");
    let done = ran.event("succeeded");
    assert_eq!(done.value["verified"], true);
    assert!(env.get(&server, &object_of(&done)) == fs::read(file).unwrap());
}

#[test]
fn storage_that_is_none_is_given_up_with_an_error() {
    let env = TestEnv::new();
    env.file("a.mp4", 300_000);
    let html: &[u8] =
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 15\r\n\r\n<html>hi</html>";
    let teapot: &[u8] = b"HTTP/1.1 404 Not Found\r\nContent-Length: 15\r\n\r\n<html>no</html>";
    let half: &[u8] =
        b"HTTP/1.1 200 OK\r\nContent-Length: 1500\r\n\r\n<?xml version=\"1.0\"?><Initia";
    let half_head: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Le";
    let noise: &[u8] = b"\x16\x03\x01\x02\x00\xff\xfe SSH-2.0-OpenSSH\r\n\r\n";
    let nothing: &[u8] = b"";
    // Heads of half a megabyte, and of a hundred thousand lines.
    let long = [b"HTTP/1.1 200 OK\r\nX-A: ", &[b'a'; 600_000][..], b"\r\n\r\n"].concat();
    let many = [&b"HTTP/1.1 200 OK\r\n"[..], &b"X-A: a\r\n".repeat(100_000), b"\r\n"].concat();
    for (answer, code) in [
        (html, 9),
        (teapot, 9),
        (noise, 9),
        (&long[..], 9),
        (&many[..], 9),
        (half, 4),
        (half_head, 4),
        (nothing, 4),
    ] {
        let server = FakeServer::answering(answer);
        let upload = ["upload", "--json", "a.mp4", "--retry-for", "300ms", "--bucket", "films"];
        let ran = with_key(&env, &server.url, &upload).fails(code, "a.mp4");
        one_clear_error(&ran, &Secrets::default());
        assert_eq!(ran.event("ended").number("exit_code"), code as u64);
        if [half_head, nothing, noise, &long, &many].contains(&answer) {
            // A download takes its time with what may be the network's fault: one of a kind is enough.
            continue;
        }
        let ran = with_key(&env, &server.url, &["get", "films/a.mp4", "-o", "x"]);
        // A page of HTML may well be what is stored there; from storage it has an ETag.
        assert_eq!(ran.code, Some(code), "{ran:#?}");
        assert!(!env.path("x").exists(), "half of it is left");
    }
}

/// Runs with an access key that nobody knows.
fn with_key(env: &TestEnv, endpoint: &str, args: &[&str]) -> Ran {
    let mut command = env.command(args);
    command.args(["--endpoint", endpoint]).env("VODFERRY_ACCESS_KEY_ID", "id");
    let ran = Ran::of(command.env("VODFERRY_ACCESS_KEY_SECRET", "hush-hush"));
    assert!(!ran.stdout.contains("hush") && !ran.stderr.contains("hush"), "{ran:#?}");
    assert!(!ran.stderr.contains("panicked"), "{ran:#?}");
    ran
}

#[test]
fn keys_of_every_script_survive_a_kill() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    let keys = server.keys_file();
    let store = ["--endpoint", &server.url, "--keys-file", keys.to_str().unwrap()];
    let file = env.file("a.mp4", 4 << 20);
    for key in ["a b/100% sure+1.mp4", "%2F%00 %.mp4", "电影/假 期🎬.mp4", "ü\u{301}?&=#~'\"<>.mp4"]
    {
        let upload = ["upload", "--json", "a.mp4", "--bucket", "vod-media", "--key", key];
        let slow = [&upload[..], &store, &["--limit", "2MiB/s", "--parallel", "1"]].concat();
        let mut client = Process::spawn(env.command(&slow));
        client.wait_for(|line| line.event == "part");
        client.kill();
        let ran = env.run(&[&upload[..], &store].concat()).ok();
        assert!(ran.event("resumed").number("parts") >= 1, "{ran:#?}");
        let done = ran.event("succeeded");
        assert_eq!(done.text("key"), key);
        assert!(env.get(&server, &object_of(&done)) == fs::read(&file).unwrap(), "{key}");
    }
}

#[test]
fn of_three_that_begin_at_once_those_that_are_refused_harm_nobody() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    let file = env.file("a.mp4", 4 << 20);
    let limit = ["a.mp4", "--limit", "2MiB/s"];
    let mut clients: Vec<_> = (0..3).map(|_| env.spawn_upload(&server, &limit)).collect();
    let mut codes = Vec::new();
    for client in &mut clients {
        let events = client.rest();
        let (code, stderr) = client.end();
        assert!(!stderr.contains("panicked"), "{stderr}");
        match events.iter().find(|line| line.event == "succeeded") {
            Some(done) => {
                assert!(env.get(&server, &object_of(done)) == fs::read(&file).unwrap());
            }
            None => {
                let failed = events.iter().find(|line| line.event == "failed").expect(&stderr);
                assert_eq!(failed.text("kind"), "busy", "{failed:?}");
                assert_eq!(stderr.lines().filter(|l| l.starts_with("error: ")).count(), 1);
                assert!(stderr.contains("a.mp4"), "{stderr}");
            }
        }
        codes.push(code);
    }
    codes.sort_unstable();
    assert_eq!(codes, [Some(0), Some(7), Some(7)]);
    assert_eq!(env.run(&["resume", "--list"]).ok().stdout, "");
}

#[test]
fn a_damaged_checkpoint_costs_at_most_what_it_held() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    let file = env.file("a.mp4", 3 << 20);
    let whole = fs::read(&file).unwrap();
    let slow = ["a.mp4", "--limit", "2MiB/s", "--parallel", "1"];
    type Damage = (&'static str, fn(&[u8]) -> Vec<u8>, bool);
    // The last column: whether its first record is whole, so that the upload goes on.
    let damages: [Damage; 7] = [
        ("a bit of its last line", |text| flipped(text, text.len() - 20), true),
        ("a tail of noise", |text| [text, &[0, 255, 10, 7, 0, 200]].concat(), true),
        ("a tail of zeroes", |text| [text, &[0; 5000]].concat(), true),
        ("all but its first line", |text| text[..first_line(text)].to_vec(), true),
        ("a bit of its first line", |text| flipped(text, 20), false),
        ("half of its first line", |text| text[..40].to_vec(), false),
        ("all of it", |_| Vec::new(), false),
    ];
    for (what, damage, goes_on) in damages {
        let mut client = env.spawn_upload(&server, &slow);
        client.wait_for(|line| line.event == "part");
        client.kill();
        let record = only_record(&env);
        let damaged = damage(&fs::read(&record).unwrap());
        fs::write(&record, &damaged).unwrap();
        let ran = env.run(&["upload", "--json", "--server", &server.url, "a.mp4"]).ok();
        assert!(!ran.stderr.contains("panicked"), "{what}: {ran:#?}");
        let count = |name: &str| ran.events().iter().filter(|line| line.event == name).count();
        assert_eq!(count("resumed"), usize::from(goes_on), "{what}: {ran:#?}");
        assert!(env.get(&server, &object_of(&ran.event("succeeded"))) == whole, "{what}");
        // Half a record is a torn tail, also where it is the first: nothing but one that was whole is another's.
        assert_eq!(record.exists(), what == "a bit of its first line", "{what}");
        if record.exists() {
            assert!(fs::read(&record).unwrap() == damaged, "{what}: not ours, and altered");
            assert_eq!(count("warning"), 1, "{what}: {ran:#?}");
            fs::remove_file(&record).unwrap();
        }
    }
    // Not even a file.
    let mut client = env.spawn_upload(&server, &slow);
    client.wait_for(|line| line.event == "part");
    client.kill();
    let record = only_record(&env);
    fs::remove_file(&record).unwrap();
    fs::create_dir(&record).unwrap();
    let ran = env.run(&["upload", "--json", "--server", &server.url, "a.mp4"]).ok();
    assert!(ran.events().iter().any(|line| line.event == "warning"), "{ran:#?}");
    assert!(env.get(&server, &object_of(&ran.event("succeeded"))) == whole);
}

fn first_line(text: &[u8]) -> usize {
    text.iter().position(|byte| *byte == b'\n').unwrap() + 1
}

fn flipped(text: &[u8], place: usize) -> Vec<u8> {
    let mut text = text.to_vec();
    text[place] ^= 1;
    text
}

fn only_record(env: &TestEnv) -> PathBuf {
    let files = fs::read_dir(env.record_dir()).unwrap();
    let mut files: Vec<_> = files.map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files.pop().unwrap()
}

#[test]
fn a_taken_port_harms_neither() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    let file = env.file("a.mp4", 3 << 20);
    let mut upload = env.spawn_upload(&server, &["a.mp4", "--limit", "2MiB/s"]);
    upload.wait_for(|line| line.event == "part");
    let began = Instant::now();
    let args = ["serve", "--data", "other", "--listen", server.address()];
    let ran = env.run(&args).fails(1, server.address());
    one_clear_error(&ran, &Secrets::of(&server));
    assert!(began.elapsed() < PATIENCE / 4);
    let done = upload.rest().into_iter().find(|line| line.event == "succeeded").unwrap();
    assert!(env.get(&server, &object_of(&done)) == fs::read(file).unwrap());
}

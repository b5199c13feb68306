//! Uploads and downloads against a real server, by each of the three ways.

mod common;

use std::fs;
use std::path::Path;
use std::process::Stdio;

use common::{FakeServer, Ran, TestEnv};

#[test]
fn files_of_every_kind_of_length_arrive_whole() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    for length in [0, 1, 102_399, 102_400, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 5_000_000] {
        let file = env.file(format!("film-{length}.mp4"), length);
        let upload =
            env.run(&["upload", "--json", "--server", &server.url, file.to_str().unwrap()]).ok();
        let done = upload.event("succeeded");
        assert_eq!(done.number("bytes"), length as u64);
        assert_eq!(done.value["verified"], true, "{done:?}");
        assert!(!done.text("video_id").is_empty());
        let object = format!("{}/{}", done.text("bucket"), done.text("key"));
        assert!(env.get(&server, &object) == fs::read(&file).unwrap(), "{length}");
    }
}

#[test]
fn json_lines_tell_the_whole_story() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    env.file("a.mp4", 3_500_000);
    env.file("b.mp4", 10);
    let upload = ["upload", "--json", "--server", &server.url, "--part-size", "1MiB"];
    let ran = env.run(&[&upload[..], &["a.mp4", "b.mp4"]].concat()).ok();
    let events = ran.events();
    let of = |file: u64| {
        events
            .iter()
            .filter(|l| l.value["file"] == file)
            .map(|l| l.event.as_str())
            .collect::<Vec<_>>()
    };
    assert_eq!((of(1).first(), of(1).last()), (Some(&"started"), Some(&"succeeded")));
    assert_eq!((of(2).first(), of(2).last()), (Some(&"started"), Some(&"succeeded")));
    let mut parts: Vec<_> = events
        .iter()
        .filter(|l| l.event == "part")
        .map(|l| (l.number("number"), l.number("bytes"), l.text("etag").len()))
        .collect();
    parts.sort();
    assert_eq!(parts, [(1, 1 << 20, 32), (2, 1 << 20, 32), (3, 1 << 20, 32), (4, 354_272, 32)]);
    let progress: Vec<_> =
        events.iter().filter(|l| l.event == "progress" && l.value["file"] == 1).collect();
    assert!(
        progress
            .windows(2)
            .all(|two| two[0].number("acknowledged") <= two[1].number("acknowledged"))
    );
    assert_eq!(progress.last().unwrap().number("acknowledged"), 3_500_000);
    let ended = events.last().unwrap();
    assert_eq!(ended.event, "ended");
    assert_eq!((ended.number("succeeded"), ended.number("exit_code")), (2, 0));
}

#[test]
fn what_is_not_set_is_chosen_unless_told_otherwise() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    env.file("a.mp4", 3_000_000);
    let upload = ["upload", "--json", "--server", &server.url, "a.mp4"];
    let first = |more: &[&str]| {
        let events = env.run(&[&upload[..], more].concat()).ok().events();
        let part = events.iter().find(|l| l.event == "part" && l.number("number") == 1);
        part.expect("part 1 is told").number("bytes")
    };
    assert_eq!(first(&[]), 256 << 10);
    assert_eq!(first(&["--part-size", "512KiB", "--parallel", "2"]), 512 << 10);
    assert_eq!(first(&["--adaptive=false"]), 1 << 20);
}

#[test]
fn without_a_terminal_there_are_lines_and_no_bars() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    env.file("a.mp4", 300_000);
    let ran = env.run(&["upload", "--server", &server.url, "a.mp4"]).ok();
    let lines: Vec<_> = ran.stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{ran:?}");
    assert!(lines[0].starts_with("a.mp4: uploading 293.0 KiB"), "{ran:?}");
    assert!(lines[1].starts_with("a.mp4: done, 293.0 KiB in "), "{ran:?}");
    assert!(!ran.stderr.contains('\x1b') && !ran.stderr.contains('\r'), "{ran:?}");
    let fields: Vec<_> = ran.stdout.trim_end().split('\t').collect();
    assert_eq!((fields.len(), fields[0]), (3, "a.mp4"), "{ran:?}");
    assert!(fields[2].starts_with("vod-media/"), "{ran:?}");

    let quiet = env.run(&["upload", "--quiet", "--server", &server.url, "a.mp4"]).ok();
    assert_eq!(quiet.stderr, "");
    assert_eq!(quiet.stdout.lines().count(), 1);
}

#[test]
fn with_keys_a_file_goes_where_it_is_told() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    env.file("a.mp4", 300_000);
    env.file("b.mp4", 200_000);
    let keys = server.keys_file();
    let upload = |args: &[&str]| {
        let mut command = env.command(&["upload", "--json", "--endpoint", &server.url]);
        command.args(["--bucket", "vod-media", "--keys-file"]).arg(&keys).args(args);
        Ran::of(&mut command)
    };
    for key in ["plain", "with space.mp4", "100%.mp4", "电影/假日.mp4", "🎬+&=?#.mp4"] {
        let done = upload(&["a.mp4", "--key", key]).ok().event("succeeded");
        assert_eq!(done.text("key"), key);
        assert!(
            env.get(&server, &format!("vod-media/{key}")) == fs::read(env.path("a.mp4")).unwrap()
        );
    }
    let ran = upload(&["a.mp4", "b.mp4", "--key", "v/"]).ok();
    let keys: Vec<_> = ran
        .events()
        .iter()
        .filter(|line| line.event == "succeeded")
        .map(|line| line.text("key").to_owned())
        .collect();
    assert_eq!(keys, ["v/a.mp4", "v/b.mp4"]);
    upload(&["a.mp4", "--key", "/leading"]).fails(2, "key");
}

#[test]
fn with_an_address_and_auth_one_file_goes_there() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    let file = env.file("a.mp4", 1_500_000);
    let (address, auth) = common::upload_auth(&server, "a.mp4");
    let args = ["upload", "--json", "a.mp4", "--address", &address, "--auth", &auth];
    let done = env.run(&args).ok().event("succeeded");
    let object = format!("{}/{}", done.text("bucket"), done.text("key"));
    assert!(env.get(&server, &object) == fs::read(file).unwrap());
}

#[test]
fn an_expired_credential_that_nobody_renews_fails_with_a_hint() {
    let env = TestEnv::new();
    let server = env.serve(&["--credential-life", "5"]);
    env.file("a.mp4", 6_000_000);
    let (address, auth) = common::upload_auth(&server, "a.mp4");
    let mut command = env.command(&["upload", "--json", "a.mp4", "--limit", "500KiB/s"]);
    command.env("VODFERRY_ADDRESS", &address).env("VODFERRY_AUTH", &auth);
    let ran = Ran::of(&mut command).fails(3, "expired");
    assert!(ran.stderr.contains("hint: "), "{ran:?}");
    let events: Vec<_> = ran.events().into_iter().map(|line| line.event).collect();
    assert!(
        events.ends_with(&["token_expired".into(), "failed".into(), "ended".into()]),
        "{ran:?}"
    );
    assert!(!ran.stderr.contains(&auth) && !ran.stdout.contains(&auth), "{ran:?}");
}

#[test]
fn a_dead_credential_is_no_wish_to_give_up() {
    let env = TestEnv::new();
    let server = env.serve(&["--credential-life", "5"]);
    let file = env.file("a.mp4", 6_000_000);
    let asked = serde_json::json!({"Title": "t", "FileName": "a.mp4"});
    let begun = common::app_server(&server, "create", &asked);
    let upload = |auth: &serde_json::Value, more: &[&str]| {
        let upload = ["upload", "--json", "a.mp4", "--delete-on-cancel"];
        let mut command = env.command(&[&upload[..], more].concat());
        command.env("VODFERRY_ADDRESS", begun["UploadAddress"].as_str().unwrap());
        command.env("VODFERRY_AUTH", auth["UploadAuth"].as_str().unwrap());
        Ran::of(&mut command)
    };
    let ran = upload(&begun, &["--limit", "500KiB/s"]).fails(3, "expired");
    assert!(ran.stderr.contains("goes on where it stopped"), "{ran:?}");

    let asked = serde_json::json!({"VideoId": begun["VideoId"]});
    let ran = upload(&common::app_server(&server, "refresh", &asked), &[]).ok();
    assert!(ran.event("resumed").number("parts") >= 1, "{ran:?}");
    let done = ran.event("succeeded");
    let object = format!("{}/{}", done.text("bucket"), done.text("key"));
    assert!(env.get(&server, &object) == fs::read(file).unwrap());
}

#[test]
fn the_application_server_renews_credentials_silently() {
    let env = TestEnv::new();
    let server = env.serve(&["--credential-life", "5"]);
    let file = env.file("a.mp4", 5_000_000);
    let args = ["upload", "--json", "a.mp4", "--limit", "600KiB/s", "--server", &server.url];
    let ran = env.run(&args).ok();
    let done = ran.event("succeeded");
    assert!(ran.events().iter().all(|line| line.event != "token_expired"), "{ran:?}");
    let object = format!("{}/{}", done.text("bucket"), done.text("key"));
    assert!(env.get(&server, &object) == fs::read(file).unwrap());
}

#[test]
fn files_that_cannot_be_read_fail_and_the_others_arrive() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    env.file("good.mp4", 200_000);
    fs::create_dir(env.path("folder")).unwrap();
    let args = ["upload", "--json", "--server", &server.url, "missing.mp4", "folder", "good.mp4"];
    let ran = env.run(&args).fails(8, "missing.mp4");
    assert!(ran.stderr.contains("folder"), "{ran:?}");
    let failed: Vec<_> = ran.events().into_iter().filter(|line| line.event == "failed").collect();
    assert_eq!(failed.len(), 2, "{ran:?}");
    assert!(failed.iter().all(|line| line.text("kind") == "io"), "{ran:?}");
    assert_eq!(ran.event("succeeded").text("path"), "good.mp4");
    assert_eq!(ran.event("ended").number("failed"), 2);
}

#[cfg(unix)]
#[test]
fn a_file_without_permission_fails() {
    use std::os::unix::fs::PermissionsExt;
    let env = TestEnv::new();
    let server = env.serve(&[]);
    let file = env.file("secret.mp4", 200_000);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).unwrap();
    let mut command =
        unprivileged(&env, &["upload", "--server", &server.url, "secret.mp4", "--no-record"]);
    Ran::of(&mut command).fails(8, "ermission denied");
}

#[cfg(unix)]
#[test]
fn a_record_directory_without_permission_costs_a_warning() {
    use std::os::unix::fs::PermissionsExt;
    let env = TestEnv::new();
    let server = env.serve(&[]);
    let film = env.file("a.mp4", 200_000);
    fs::create_dir(env.path("records")).unwrap();
    fs::set_permissions(env.path("records"), fs::Permissions::from_mode(0o000)).unwrap();
    let records = ["--record-dir", "records"];
    let upload = ["upload", "--json", "--server", &server.url, "a.mp4"];
    let ran = Ran::of(&mut unprivileged(&env, &[&upload[..], &records].concat())).ok();
    assert_eq!(ran.event("warning").text("kind"), "storage", "{ran:?}");
    let done = ran.event("succeeded");
    let object = format!("{}/{}", done.text("bucket"), done.text("key"));
    assert!(env.get(&server, &object) == fs::read(film).unwrap());
    let mut list = unprivileged(&env, &[&["resume", "--list"][..], &records].concat());
    Ran::of(&mut list).fails(8, "records");
    fs::set_permissions(env.path("records"), fs::Permissions::from_mode(0o700)).unwrap();
}

/// The program, as somebody who may not read everything.
#[cfg(unix)]
fn unprivileged(env: &TestEnv, args: &[&str]) -> std::process::Command {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::os::unix::process::CommandExt;
    let command = env.command(args);
    if fs::metadata(env.path(".")).unwrap().uid() != 0 {
        return command;
    }
    // root reads everything: be nobody, with a copy of the binary that nobody can reach.
    let binary = env.path("vodferry");
    if !binary.exists() {
        // By another process: a program is busy as long as any child of this one, of another test, has it open for writing.
        let mut copy = std::process::Command::new("cp");
        assert!(copy.arg(command.get_program()).arg(&binary).status().unwrap().success());
        fs::set_permissions(env.path("."), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut command = std::process::Command::new(binary);
    command.env_clear().current_dir(env.path(".")).uid(65_534).gid(65_534).args(args);
    command
}

#[cfg(unix)]
#[test]
fn names_that_are_not_utf_8_are_carried() {
    use std::os::unix::ffi::OsStrExt;
    let env = TestEnv::new();
    let server = env.serve(&[]);
    let name = std::ffi::OsStr::from_bytes(b"film-\xff\xfe.mp4");
    let file = env.file(Path::new(name), 150_000);
    let mut command = env.command(&["upload", "--json", "--server", &server.url]);
    let done = Ran::of(command.arg(name)).ok().event("succeeded");
    assert_eq!(done.text("path"), "film-\u{fffd}\u{fffd}.mp4");
    let object = format!("{}/{}", done.text("bucket"), done.text("key"));
    assert!(env.get(&server, &object) == fs::read(file).unwrap());
}

#[test]
fn servers_that_are_none_are_given_up_with_an_error() {
    let env = TestEnv::new();
    env.file("a.mp4", 200_000);
    let html: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n<html>hi</html>";
    let half: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 1500\r\n\r\n{\"VideoId\":";
    for (answer, code) in [(html, 9), (half, 4), (b"" as &[u8], 4)] {
        let server = FakeServer::answering(answer);
        let args = ["upload", "a.mp4", "--retry-for", "300ms", "--server", &server.url];
        let ran = env.run(&args).fails(code, "a.mp4");
        assert_eq!(ran.stdout, "", "{ran:?}");
    }
    let args = ["upload", "a.mp4", "--retry-for", "300ms", "--server", "http://127.0.0.1:1"];
    env.run(&args).fails(4, "a.mp4");
}

#[test]
fn a_reader_that_goes_away_does_not_stop_an_upload() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    env.file("a.mp4", 2_000_000);
    let mut command = env.command(&["upload", "--json", "--server", &server.url, "a.mp4"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    assert_eq!(child.wait().unwrap().code(), Some(8), "the exit code says that lines were lost");
    let again = env.run(&["resume", "--list"]).ok();
    assert_eq!(again.stdout, "", "it went to its end");
}

#[test]
fn wrong_keys_are_refused_with_the_request_id() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    env.file("a.mp4", 200_000);
    let upload = ["upload", "--json", "a.mp4", "--endpoint", &server.url, "--bucket", "vod-media"];
    let mut command = env.command(&upload);
    command.env("VODFERRY_ACCESS_KEY_ID", "nobody").env("VODFERRY_ACCESS_KEY_SECRET", "hush-hush");
    let ran = Ran::of(&mut command).fails(3, "InvalidAccessKeyId");
    assert!(!ran.event("failed").text("request_id").is_empty());
    assert!(!ran.stderr.contains("hush") && !ran.stdout.contains("hush"), "{ran:?}");
}

#[test]
fn downloads_are_whole_or_nothing() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    let file = env.file("a.mp4", 1_234_567);
    let keys = server.keys_file();
    let keys = keys.to_str().unwrap();
    let store = ["--endpoint", &server.url, "--keys-file", keys];
    let upload = ["upload", "a.mp4", "--bucket", "vod-media", "--key", "v/b c.mp4"];
    env.run(&[&upload[..], &store].concat()).ok();

    let url = env.run(&[&["url", "vod-media/v/b c.mp4"][..], &store].concat()).ok();
    let ran = env.run(&["get", url.stdout.trim()]).ok();
    assert!(ran.stderr.contains("verified"), "{ran:?}");
    assert!(fs::read(env.path("b c.mp4")).unwrap() == fs::read(&file).unwrap());
    env.run(&["get", url.stdout.trim()]).fails(8, "already there");
    let ran = env.run(&["get", url.stdout.trim(), "--force", "--json", "--quiet"]).ok();
    let done = ran.event("downloaded");
    assert_eq!((done.number("bytes"), ran.stderr.as_str()), (1_234_567, ""), "{ran:?}");
    assert!(done.text("crc64").parse::<u64>().is_ok(), "{ran:?}");

    let before = fs::read_dir(env.path(".")).unwrap().count();
    let ran = env.run(&[&["get", "vod-media/none", "-o", "x"][..], &store].concat());
    let ran = ran.fails(9, "NoSuchKey");
    assert!(ran.stderr.contains(&format!("vod-media/none from {}", server.url)), "{ran:?}");
    let tampered = url.stdout.trim().replace("Signature=", "Signature=x");
    let ran = env.run(&["get", &tampered, "-o", "x"]).fails(3, "SignatureDoesNotMatch");
    let named = format!("vod-media/v/b%20c.mp4 from {}", server.url);
    assert!(ran.stderr.contains(&named) && ran.stderr.contains("altered"), "{ran:?}");
    assert!(!ran.stderr.contains("upload"), "{ran:?}");
    assert!(!ran.stderr.contains("Signature="), "{ran:?}");
    env.run(&["get", url.stdout.trim(), "-o", "no/such/folder/x"]).fails(8, "no/such/folder");
    assert_eq!(fs::read_dir(env.path(".")).unwrap().count(), before, "nothing half is left");

    let cut: &[u8] = b"HTTP/1.1 200 OK\r\nx-oss-hash-crc64ecma: 1\r\nContent-Length: 2\r\n\r\nhi";
    let liar = FakeServer::answering(cut);
    env.run(&["get", &format!("{}/b/k", liar.url), "-o", "x"]).fails(5, "CRC64");
    assert!(!env.path("x").exists());
}

#[cfg(target_os = "linux")]
#[test]
fn data_that_stdout_does_not_take_is_told() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    env.file("a.mp4", 200_000);
    let keys = server.keys_file();
    let lost = |args: &[&str]| {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let child = env.command(args).stdout(full).stderr(Stdio::piped()).spawn().unwrap();
        let ended = child.wait_with_output().unwrap();
        let stderr = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(8), "{args:?}: {stderr}");
        assert_eq!(stderr.matches("error: cannot write to stdout").count(), 1, "{stderr}");
    };
    let store = ["--endpoint", &server.url, "--keys-file", keys.to_str().unwrap()];
    let there = ["--bucket", "vod-media", "--key", "k"];
    lost(&[&["upload", "a.mp4"][..], &store, &there].concat());
    lost(&[&["upload", "--json", "a.mp4"][..], &store, &there].concat());
    lost(&[&["url", "vod-media/k"][..], &store].concat());
    lost(&[&["get", "vod-media/k", "-o", "b", "--json"][..], &store].concat());
    assert!(fs::read(env.path("b")).unwrap() == fs::read(env.path("a.mp4")).unwrap());

    env.file("c.mp4", 5_000_000);
    let mut upload = env.spawn_upload(&server, &["c.mp4", "--limit", "1MiB/s"]);
    upload.wait_for(|line| line.event == "part");
    upload.kill();
    lost(&["resume", "--list"]);
    lost(&["resume", "--list", "--json"]);
}

#[test]
fn stdout_takes_an_object_and_the_exit_code_says_whether_it_is_right() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    let file = env.file("a.mp4", 1_234_567);
    let keys = server.keys_file();
    let store = ["--endpoint", &server.url, "--keys-file", keys.to_str().unwrap()];
    let upload = ["upload", "a.mp4", "--bucket", "vod-media", "--key", "k"];
    env.run(&[&upload[..], &store].concat()).ok();
    let get = [&["get", "vod-media/k", "-o", "-"][..], &store].concat();
    let ran = env.command(&get).output().unwrap();
    assert_eq!(ran.status.code(), Some(0));
    assert!(ran.stdout == fs::read(&file).unwrap());
    assert!(!env.path("-").exists());
    env.run(&[&get[..], &["--json"]].concat()).fails(2, "stdout");

    let cut: &[u8] = b"HTTP/1.1 200 OK\r\nx-oss-hash-crc64ecma: 1\r\nContent-Length: 2\r\n\r\nhi";
    let liar = FakeServer::answering(cut);
    let ran = env.run(&["get", &format!("{}/b/k", liar.url), "-o", "-"]).fails(5, "CRC64");
    assert_eq!(ran.stdout, "hi");

    #[cfg(target_os = "linux")]
    {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        assert_eq!(env.command(&get).stdout(full).status().unwrap().code(), Some(8));
    }
    let get = [&["get", "vod-media/k", "--force", "-o", "/dev/null"][..], &store].concat();
    env.run(&get).fails(8, "not a regular file");
}

#[test]
fn a_proxy_of_the_environment_is_not_asked_for_this_machine() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    env.file("a.mp4", 200_000);
    let upload = |url: &str| {
        let args = ["upload", "a.mp4", "--retry-for", "300ms", "--server", url];
        let mut command = env.command(&args);
        command.env("http_proxy", "http://127.0.0.1:1").env("HTTP_PROXY", "http://127.0.0.1:1");
        Ran::of(&mut command)
    };
    upload(&server.url).ok();
    upload("http://10.255.255.1:9").fails(4, "a.mp4");
}

#[test]
fn a_long_name_without_a_title_arrives() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    let name = format!("{}.mp4", "x".repeat(200));
    env.file(&name, 10);
    env.run(&["upload", &name, "--server", &server.url]).ok();
}

#[test]
fn with_a_region_requests_are_signed_by_v4() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    env.file("a.mp4", 3_500_000);
    let args = ["upload", "--json", "--server", &server.url, "a.mp4", "--region"];
    let done = env.run(&[&args[..], &["cn-shanghai"]].concat()).ok().event("succeeded");
    let object = format!("{}/{}", done.text("bucket"), done.text("key"));
    let wrong = env.run(&[&args[..], &["cn-hangzhou"]].concat()).fails(9, "region");
    assert!(wrong.stderr.contains("hint: the region"), "{wrong:?}");
    for none in ["oss-cn-shanghai", "cn shanghai", "cn-shanghai\r\nx: y"] {
        env.run(&[&args[..], &[none]].concat()).fails(2, "region");
    }
    // The environment's, which an empty flag takes back.
    let mut by_variable = env.command(&args[..5]);
    Ran::of(by_variable.env("VODFERRY_REGION", "cn-hangzhou")).fails(9, "region");
    let mut taken_back = env.command(&[&args[..], &[""]].concat());
    Ran::of(taken_back.env("VODFERRY_REGION", "cn-hangzhou")).ok();

    let keys = server.keys_file();
    let presigned = |region: &str| {
        let mut command = env.command(&["url", &object, "--endpoint", &server.url, "--keys-file"]);
        Ran::of(command.arg(&keys).args(["--region", region])).ok().stdout.trim_end().to_owned()
    };
    let url = presigned("cn-shanghai");
    assert!(url.contains("x-oss-signature-version=OSS4-HMAC-SHA256"), "{url}");
    env.run(&["get", &url, "-o", "back.mp4"]).ok();
    assert!(fs::read(env.path("back.mp4")).unwrap() == fs::read(env.path("a.mp4")).unwrap());
    let code = env.run(&["get", &presigned("cn-hangzhou"), "-o", "no.mp4"]).fails(9, "region").code;
    assert_eq!(code, Some(9));
}

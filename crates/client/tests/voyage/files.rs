//! Files of this machine.

use std::path::Path;
use std::time::Duration;

use vodferry::{AppServer, ErrorKind, Event, File, FileState, Target, UploadGrant, Uploader};
use vodferry_server::serve;

use crate::harbour::{Harbour, config, http};

#[tokio::test]
async fn files_of_all_sizes_arrive_whole() {
    let harbour = Harbour::open().await;
    let uploader = harbour.uploader(harbour.options());
    let mut files = Vec::new();
    for length in [0, 1, 102_399, 102_400, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 7_654_321] {
        let (path, bytes) = harbour.write(&format!("{length}.mp4"), length);
        files.push((uploader.add(File::path(path)).unwrap(), bytes));
    }
    uploader.start();
    let statuses = uploader.wait().await;
    for (status, (id, bytes)) in statuses.iter().zip(&files) {
        assert_eq!((status.id, status.state), (*id, FileState::Succeeded), "{:?}", status.error);
        assert!(status.object.as_ref().unwrap().verified && status.video_id.is_some());
        let target = status.target.as_ref().unwrap();
        assert!(harbour.fetch(target, bytes.len()).await == *bytes, "{} differs", status.name);
    }
    uploader.close().await;
    assert_eq!(harbour.journals(), 0);
    harbour.server.shutdown().await;
}

#[tokio::test]
async fn what_was_acknowledged_is_not_sent_again() {
    let harbour = Harbour::open().await;
    let (path, bytes) = harbour.write("long.mp4", 3_000_001);
    let mut options = harbour.options();
    options.part_size = 102_400;
    options.parallel = 3;
    let mut acknowledged = std::collections::BTreeSet::new();
    let mut runs = 0;
    let target = loop {
        runs += 1;
        assert!(runs < 10, "no end in sight");
        let uploader = harbour.uploader(options.clone());
        let mut events = uploader.events();
        uploader.add(File::path(&path)).unwrap();
        uploader.start();
        let mut seen = 0;
        let done = loop {
            match events.next().await.unwrap() {
                Event::PartAcknowledged { part, .. } => {
                    assert!(acknowledged.insert(part.number), "part {} again", part.number);
                    seen += 1;
                    if seen == 8 {
                        break None; // Dies here.
                    }
                }
                Event::Succeeded { target, object, .. } => {
                    assert!(object.verified);
                    break Some(target);
                }
                Event::Failed { error, .. } => panic!("{error:?}"),
                Event::Warning { error, .. } => panic!("{error:?}"),
                _ => {}
            }
        };
        uploader.close().await;
        if let Some(target) = done {
            break target;
        }
        assert_eq!(harbour.journals(), 1);
    };
    assert!(runs > 2, "nothing was resumed");
    assert!(harbour.fetch(&target, bytes.len()).await == bytes);
}

#[tokio::test]
async fn what_is_not_set_is_measured_and_what_is_set_stays() {
    let harbour = Harbour::open().await;
    let (path, bytes) = harbour.write("a.mp4", 3_000_001);
    // An eighth of the file, as nothing was measured yet: raised to the least part that is chosen.
    for (asked, length, count) in [(0, 256 << 10, 12), (500_000, 500_000, 7)] {
        let mut options = harbour.options();
        (options.adaptive, options.part_size, options.parallel) = (true, asked, 0);
        let uploader = harbour.uploader(options);
        let mut events = uploader.events();
        uploader.add(File::path(&path)).unwrap();
        uploader.start();
        let mut parts = std::collections::BTreeMap::new();
        let target = loop {
            match events.next().await.unwrap() {
                Event::PartAcknowledged { part, .. } => {
                    parts.insert(part.number, part.length);
                }
                Event::Succeeded { target, object, .. } => {
                    assert!(object.verified);
                    break target;
                }
                Event::Failed { error, .. } => panic!("{error:?}"),
                _ => {}
            }
        };
        assert_eq!((parts.len(), parts.get(&1)), (count, Some(&length)));
        assert!(harbour.fetch(&target, bytes.len()).await == bytes);
        uploader.close().await;
    }
}

#[tokio::test]
async fn a_place_and_a_key_known_beforehand_need_no_application_server() {
    let harbour = Harbour::open().await;
    let (path, bytes) = harbour.write("a.mp4", 300_000);
    let target = Target {
        endpoint: harbour.server.endpoint().to_owned(),
        bucket: "vod-media".into(),
        key: "films/夏天 100%+🎬.mp4".into(),
    };
    let uploader = Uploader::builder().options(harbour.options()).build().unwrap();
    uploader.add(File::path(&path).to(target.clone(), harbour.operator.clone())).unwrap();
    uploader.start();
    let status = uploader.wait().await.remove(0);
    assert_eq!(status.state, FileState::Succeeded, "{:?}", status.error);
    assert!(harbour.fetch(&target, bytes.len()).await == bytes);
}

#[tokio::test]
async fn keys_with_dot_segments_arrive_as_they_are() {
    let harbour = Harbour::open().await;
    let target = |key: &str| Target {
        endpoint: harbour.server.endpoint().to_owned(),
        bucket: "vod-media".into(),
        key: key.into(),
    };
    // One goes up in one request, the other in parts.
    for (key, length) in [
        ("a/../b.mp4", 10),
        ("../c.mp4", 300_000),
        ("./d", 11),
        ("e/.", 12),
        ("f/..", 300_001),
        ("g//./h", 13),
    ] {
        let (path, bytes) = harbour.write("a.mp4", length);
        let uploader = Uploader::builder().options(harbour.options()).build().unwrap();
        uploader.add(File::path(&path).to(target(key), harbour.operator.clone())).unwrap();
        uploader.start();
        let status = uploader.wait().await.remove(0);
        assert_eq!(status.state, FileState::Succeeded, "{key}: {:?}", status.error);
        uploader.close().await;
        assert!(harbour.fetch(&target(key), length).await == bytes, "{key}");
    }
    for key in [".", ".."] {
        let (path, _) = harbour.write("a.mp4", 10);
        let uploader = Uploader::builder().options(harbour.options()).build().unwrap();
        uploader.add(File::path(&path).to(target(key), harbour.operator.clone())).unwrap();
        uploader.start();
        let status = uploader.wait().await.remove(0);
        let error = status.error.expect("no such key can be requested");
        assert_eq!(error.kind, vodferry::ErrorKind::Misuse, "{key}: {error:?}");
        assert!(error.message.contains("HTTP"), "{error:?}");
    }
}

#[tokio::test]
async fn with_a_region_everything_is_signed_by_v4() {
    let harbour = Harbour::open().await;
    let (path, bytes) = harbour.write("a.mp4", 3_500_000);
    let v4 = |region: &str| {
        let mut options = harbour.options();
        options.region = Some(region.into());
        options
    };
    // By an application server, and to a place known beforehand whose grant names the region.
    let uploader = harbour.uploader(v4("cn-shanghai"));
    uploader.add(File::path(&path)).unwrap();
    let target = Target {
        endpoint: harbour.server.endpoint().to_owned(),
        bucket: "vod-media".into(),
        key: "v4/假 日+%.mp4".into(),
    };
    let grant = UploadGrant::new(target, harbour.operator.clone()).region("cn-shanghai");
    uploader.add(File::path(&path).grant(grant.clone())).unwrap();
    uploader.start();
    for status in uploader.wait().await {
        assert_eq!(status.state, FileState::Succeeded, "{:?}", status.error);
        assert!(harbour.fetch(status.target.as_ref().unwrap(), bytes.len()).await == bytes);
    }
    // The grant's region wins.
    let uploader = harbour.uploader(v4("cn-nowhere"));
    uploader.add(File::path(&path).grant(grant)).unwrap();
    uploader.add(File::path(&path)).unwrap();
    uploader.start();
    let statuses = uploader.wait().await;
    assert_eq!(statuses[0].state, FileState::Succeeded, "{:?}", statuses[0].error);
    // Another region is refused by what it is, at the first request.
    let error = vodferry::Error::from(statuses[1].error.clone().unwrap());
    assert_eq!((error.kind(), error.code()), (ErrorKind::Service, "InvalidArgument"));
    assert!(error.message().contains("region"), "{error}");
    assert!(error.hint().unwrap().contains("region") && error.request_id().is_some());
    harbour.server.shutdown().await;
}

#[tokio::test]
async fn what_is_no_region_or_no_credential_is_refused_at_once() {
    let harbour = Harbour::open().await;
    for region in
        ["", "cn shanghai", "cn-shanghai\r\nx: y", "cn/shanghai", "oss-cn-shanghai", "深圳"]
    {
        let mut options = harbour.options();
        options.region = Some(region.into());
        let error = Uploader::builder().options(options).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misuse, "{region}");
    }
    let target = Target { endpoint: "http://h".into(), bucket: "bkt".into(), key: "k".into() };
    let good = UploadGrant::new(target, harbour.operator.clone());
    let uploader = harbour.uploader(harbour.options());
    let id = uploader.add(File::path("a").grant(good.clone())).unwrap();
    let mut split = good.clone();
    split.credential.access_key_id = "AK\r\nx-evil: 1".into();
    let mut split_token = good.clone();
    split_token.credential.security_token = Some("hush\nx-evil: 1".into());
    for bad in [good.region("a b"), split, split_token] {
        let error = uploader.add(File::path("a").grant(bad.clone())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misuse);
        assert!(!error.to_string().contains("hush"));
        assert_eq!(uploader.authorize(id, bad.clone()).unwrap_err().kind(), ErrorKind::Misuse);
        // As the authorizer's answer.
        let answer = move |_| std::future::ready(Ok(bad.clone()));
        let asking = Uploader::builder().options(harbour.options()).authorizer(answer);
        let asking = asking.build().unwrap();
        asking.add(File::path(harbour.write("b.mp4", 10).0)).unwrap();
        asking.start();
        let error = asking.wait().await[0].error.clone().unwrap();
        assert_eq!(error.kind, ErrorKind::Misuse, "{error:?}");
    }
    harbour.server.shutdown().await;
}

#[tokio::test]
async fn the_limit_holds_on_the_wire() {
    let harbour = Harbour::open().await;
    let (path, _) = harbour.write("a.mp4", 1_000_000);
    let mut options = harbour.options();
    options.limit = 1_000_000;
    options.part_size = 102_400;
    let uploader = harbour.uploader(options);
    let begun = std::time::Instant::now();
    uploader.add(File::path(path)).unwrap();
    uploader.start();
    let status = uploader.wait().await.remove(0);
    assert_eq!(status.state, FileState::Succeeded, "{:?}", status.error);
    assert!(begun.elapsed() > Duration::from_millis(850), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_server_that_comes_back_finds_the_upload_waiting() {
    let harbour = Harbour::open().await;
    let (path, bytes) = harbour.write("a.mp4", 2_000_000);
    let mut options = harbour.options();
    options.part_size = 102_400;
    options.limit = 2_000_000;
    let uploader = harbour.uploader(options);
    let mut events = uploader.events();
    uploader.add(File::path(path)).unwrap();
    uploader.start();
    loop {
        if let Event::PartAcknowledged { part, .. } = events.next().await.unwrap()
            && part.number >= 5
        {
            break;
        }
    }
    let Harbour { dir, server, operator, app } = harbour;
    let address = server.addr();
    server.shutdown().await;
    let server = serve(config(dir.path(), address)).await.unwrap();
    let harbour = Harbour { dir, server, operator, app };
    let status = uploader.wait().await.remove(0);
    assert_eq!(status.state, FileState::Succeeded, "{:?}", status.error);
    assert!(harbour.fetch(status.target.as_ref().unwrap(), bytes.len()).await == bytes);
}

#[tokio::test]
async fn wrong_tokens_are_refused_with_a_hint() {
    let harbour = Harbour::open().await;
    let (path, _) = harbour.write("a.mp4", 10);
    let app = AppServer::new(harbour.server.endpoint()).unwrap().bearer("hush-wrong").http(http());
    let uploader = Uploader::builder().options(harbour.options()).authorizer(app).build().unwrap();
    let mut events = uploader.events();
    uploader.add(File::path(Path::new(&path))).unwrap();
    uploader.start();
    let error = loop {
        if let Event::Failed { error, .. } = events.next().await.unwrap() {
            break vodferry::Error::from(error);
        }
    };
    assert_eq!(error.kind(), vodferry::ErrorKind::Auth, "{error}");
    assert!(error.hint().is_some() && !error.to_string().contains("hush"));
}

/// What people copy from must run: the examples are built beside the tests.
#[tokio::test(flavor = "multi_thread")]
async fn the_examples_run() {
    let harbour = Harbour::open().await;
    let (film, _) = harbour.write("film.mp4", 300_000);
    let (second, _) = harbour.write("second.mp4", 1_500_000);
    let server = harbour.server.endpoint().to_owned();
    let list = run(&harbour, "list", &[server.as_ref(), film.as_ref(), second.as_ref()]).await;
    assert_eq!(list.matches(": video ").count(), 2, "{list}");
    let one = run(&harbour, "one_file", &[film.as_ref(), server.as_ref()]).await;
    assert!(one.starts_with("video ") && one.contains(" is at sv/"), "{one}");
}

async fn run(harbour: &Harbour, example: &str, arguments: &[&std::ffi::OsStr]) -> String {
    let beside = std::env::current_exe().unwrap();
    let name = format!("{example}{}", std::env::consts::EXE_SUFFIX);
    let program = beside.parent().unwrap().parent().unwrap().join("examples").join(name);
    let mut command = std::process::Command::new(program);
    command.args(arguments).env("XDG_STATE_HOME", harbour.dir.path()).env("NO_PROXY", "127.0.0.1");
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    assert!(output.status.success(), "{example}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

//! The client's address goes away in mid-part and another one comes, as when Wi-Fi gives way to mobile data. Nothing tells the old
//! connections; the upload goes on all the same, and soon.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::common::content::assert_same_bytes;
use crate::common::{Process, Ran, TestEnv};
use vodferry_testkit::net::link::{Cable, DEVICE, Link, LinkOptions, Namespace, Shape, Way};

const PARTS: u64 = 16;
const PARALLEL: u64 = 3;
/// The next byte moves within this after the new address is there.
const SOON: Duration = Duration::from_secs(10);

#[test]
fn an_upload_over_a_slow_line_goes_on_within_ten_seconds_after_its_address_changed() {
    // 16 MiB take seven seconds.
    let way = Shape::new(20_000_000, Duration::from_millis(20));
    let Some(link) = Link::open_or_skip("roaming", &LinkOptions::both(way)) else { return };
    goes_on(&link.a, &link.b, &[], || link.traffic(Way::AToB).bytes);
}

#[test]
fn an_upload_over_virtual_ethernet_goes_on_within_ten_seconds_after_its_address_changed() {
    let Some(cable) = Cable::open_or_skip("roaming over veth") else { return };
    // As long.
    goes_on(&cable.a, &cable.b, &["--limit", "2400000"], || cable.sent().unwrap());
}

/// From one namespace to the other, with some flags; `sent` tells the bytes that left the first.
fn goes_on(a: &Namespace, b: &Namespace, flags: &[&str], sent: impl Fn() -> u64) {
    let env = TestEnv::new();
    let file = env.file("film.mp4", (PARTS << 20) as usize);
    let data = env.path("data");

    let listen = format!("{}:0", b.address());
    let mut serve = env.command(&["serve", "--listen", &listen, "--data"]);
    serve.arg(&data).args(["--access-log", "-"]);
    let mut server = Process::spawn(inside(b, &serve));
    let line = server.next_line().expect("the server starts");
    let url = line.strip_prefix("listening on ").expect("where it listens").to_owned();

    let mut upload =
        env.command(&["upload", "--json", "--bucket", "vod-media", "--key", "film.mp4"]);
    upload.args(["--part-size", "1MiB", "--parallel", &PARALLEL.to_string(), "--endpoint", &url]);
    upload.args(flags).arg("--keys-file").arg(data.join("keys.toml")).arg(&file);
    let mut client = Process::spawn(inside(a, &upload));
    let mut acknowledged = BTreeSet::new();
    let parts = |lines: &[crate::common::Line], acknowledged: &mut BTreeSet<u64>| {
        for line in lines.iter().filter(|line| line.event == "part") {
            assert!(acknowledged.insert(line.number("number")), "acknowledged twice: {line:?}");
        }
    };
    let seen = client.wait_for(|line| line.event == "part" && line.number("number") >= 6);
    parts(&seen, &mut acknowledged);
    let early = acknowledged.clone();

    ip(a, &["address", "flush", "dev", DEVICE]);
    thread::sleep(Duration::from_secs(1));
    ip(b, &["route", "add", "10.78.0.0/30", "dev", DEVICE]);
    let before = sent();
    ip(a, &["address", "add", "10.78.0.1/30", "dev", DEVICE]);
    ip(a, &["route", "add", &b.address().to_string(), "dev", DEVICE]);
    let began = Instant::now();
    // More than a few packets of the old connections, or of new ones that are only being made.
    while sent() < before + (64 << 10) {
        assert!(began.elapsed() < SOON, "nothing moved for {SOON:?}");
        thread::sleep(Duration::from_millis(50));
    }

    let rest = client.rest();
    parts(&rest, &mut acknowledged);
    let (code, stderr) = client.end();
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(acknowledged.len() as u64, PARTS);
    assert!(rest.iter().all(|line| line.event != "failed"), "{rest:#?}");

    let back = env.path("back.mp4");
    let mut get = env.command(&["get", "vod-media/film.mp4", "--endpoint", &url, "--keys-file"]);
    get.arg(data.join("keys.toml")).arg("-o").arg(&back);
    Ran::of(&mut inside(a, &get)).ok();
    assert_same_bytes(&file, &back);

    // What the server took: all parts, and again only those that nobody acknowledged before the address changed.
    server.signal("TERM");
    let log = std::iter::from_fn(|| server.next_line());
    let log = log.map(|line| serde_json::from_str::<serde_json::Value>(&line).unwrap());
    let stored = log.filter(|line| line["operation"] == "UploadPart" && line["status"] == 200);
    let mut times = BTreeMap::new();
    for line in stored {
        *times.entry(line["part"].as_u64().expect("the log names the part")).or_insert(0u64) += 1;
    }
    assert!(times.keys().copied().eq(1..=PARTS), "{times:?}");
    let again: BTreeSet<u64> =
        times.iter().filter(|(_, times)| **times > 1).map(|(number, _)| *number).collect();
    assert!(again.is_disjoint(&early), "sent again though acknowledged: {again:?} of {early:?}");
    let more: u64 = times.values().map(|times| times - 1).sum();
    assert!(more <= PARALLEL, "more than was in flight was sent again: {times:?}");
}

/// The same command, in a network of its own.
fn inside(namespace: &Namespace, command: &Command) -> Command {
    let mut inner = namespace.command(command.get_program());
    inner.args(command.get_args()).env_clear();
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            inner.env(name, value);
        }
    }
    if let Some(folder) = command.get_current_dir() {
        inner.current_dir(folder);
    }
    inner
}

fn ip(namespace: &Namespace, arguments: &[&str]) {
    let output = namespace.command("ip").args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {arguments:?}: {said}");
}

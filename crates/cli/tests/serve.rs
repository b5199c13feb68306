//! `vodferry serve`: starting, telling where, stopping.

mod common;

use std::io::Write;
use std::time::{Duration, Instant};

use common::TestEnv;

#[test]
fn the_first_start_tells_how_to_use_it_and_no_secret() {
    let env = TestEnv::new();
    let mut server = env.serve(&[]);
    assert!(server.url.starts_with("http://127.0.0.1:"), "{}", server.url);
    server.process.signal("TERM");
    let (code, stderr) = server.process.end();
    assert_eq!(code, Some(0), "{stderr}");
    for needed in ["vod-media", "access key id", "keys.toml", "vodferry upload", &server.url] {
        assert!(stderr.contains(needed), "no {needed:?} in {stderr}");
    }
    let keys = std::fs::read_to_string(server.keys_file()).unwrap();
    let secrets = keys
        .lines()
        .filter(|l| ["secret", "key", "app_server_token"].iter().any(|n| l.starts_with(n)));
    let secrets: Vec<_> = secrets.filter_map(|line| line.split('"').nth(1)).collect();
    assert!(secrets.len() >= 3, "{keys}");
    assert!(secrets.iter().all(|secret| !stderr.contains(secret)), "{stderr}");

    let mut again = env.serve(&[]);
    again.process.signal("INT");
    let (code, stderr) = again.process.end();
    assert_eq!(code, Some(0), "{stderr}");
    assert!(!stderr.contains("a new server"), "{stderr}");
}

#[test]
fn a_taken_port_is_told() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    let args = ["serve", "--data", "other", "--listen", server.address()];
    let ran = env.run(&args).fails(1, "is taken");
    assert!(ran.stderr.contains("hint: choose another address with --listen;"), "{ran:?}");
    let args = [
        "serve",
        "--data",
        "other",
        "--listen",
        "127.0.0.1:0",
        "--metrics-listen",
        server.address(),
    ];
    let ran = env.run(&args).fails(1, "is taken");
    assert!(ran.stderr.contains("with --metrics-listen;"), "{ran:?}");
    assert!(!env.path("other").exists(), "nothing is made for a server that cannot start");
}

#[test]
fn a_data_folder_has_one_server() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    let data = server.data.to_str().unwrap();
    let ran = env.run(&["serve", "--listen", "127.0.0.1:0", "--data", data]);
    ran.fails(8, "data");
}

#[test]
fn wrong_settings_are_told_by_name() {
    let env = TestEnv::new();
    let listen = ["serve", "--listen", "127.0.0.1:0"];
    env.run(&[&listen[..], &["--credential-life", "4"]].concat()).fails(2, "credential_life");
    env.run(&[&listen[..], &["--bucket", "No"]].concat()).fails(2, "bucket");
    env.run(&["serve", "--listen", "nowhere"]).fails(2, "--listen");
    env.text("file", "");
    env.run(&[&listen[..], &["--data", "file"]].concat()).fails(8, "file");
    let config = env.text("config.toml", "[serve]\nbucket = \"No\"\n");
    let config = config.to_str().unwrap();
    env.run(&[&listen[..], &["--config", config]].concat()).fails(2, "bucket");
}

#[test]
fn the_configuration_file_has_a_table_for_it() {
    let env = TestEnv::new();
    let config = env.text("config.toml", "[serve]\nbucket = \"from-the-file\"\n");
    let mut server = env.serve(&["--config", config.to_str().unwrap()]);
    server.process.signal("TERM");
    assert!(server.process.end().1.contains("from-the-file"));
}

#[test]
fn the_log_is_json_where_programs_read_it() {
    let env = TestEnv::new();
    let config = env.text("config.toml", "[serve]\nlog_format = \"json\"\n");
    let by_file: &[&str] = &["--config", config.to_str().unwrap()];
    for args in [by_file, &["--log-json", "--metrics-listen", "127.0.0.1:0"]] {
        let mut server = env.serve(args);
        let mut stream = std::net::TcpStream::connect(server.address()).unwrap();
        stream.write_all(b"GET /health/live HTTP/1.0\r\n\r\n").unwrap();
        let mut reply = String::new();
        std::io::Read::read_to_string(&mut stream, &mut reply).unwrap();
        let id = reply.lines().find_map(|line| line.strip_prefix("x-oss-request-id: ")).unwrap();
        server.process.signal("TERM");
        let (code, stderr) = server.process.end();
        assert_eq!(code, Some(0), "{stderr}");
        let lines: Vec<serde_json::Value> =
            stderr.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
        let said = |text: &str| {
            lines.iter().any(|line| line["fields"]["message"].as_str().unwrap().contains(text))
        };
        assert!(said("serving") && said("stopping"), "{stderr}");
        let answered = lines.iter().find(|line| line["span"]["id"] == id).expect(&stderr);
        assert_eq!(answered["fields"]["status"], 200, "{stderr}");
        assert!(answered["timestamp"].is_string() && answered["level"] == "INFO", "{stderr}");
    }
}

/// Waits for a file that says this.
#[cfg(unix)]
fn says(path: &std::path::Path, what: &str) {
    let began = Instant::now();
    while !std::fs::read_to_string(path).unwrap_or_default().contains(what) {
        assert!(began.elapsed() < common::PATIENCE, "no {what:?} in {}", path.display());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[cfg(unix)]
#[test]
fn a_hangup_begins_the_access_log_anew_and_metrics_are_told() {
    let env = TestEnv::new();
    let (log, moved) = (env.path("access.log"), env.path("access.log.1"));
    let args = ["--access-log", log.to_str().unwrap(), "--metrics-listen", "127.0.0.1:0"];
    let mut server = env.serve(&args);
    let ask = |address: &str, path: &str| {
        use std::io::Read;
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(common::PATIENCE)).unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        reply
    };
    ask(server.address(), "/health/live");
    says(&log, "/health/live");
    std::fs::rename(&log, &moved).unwrap();
    server.process.signal("HUP");
    let began = Instant::now();
    while !log.exists() {
        assert!(began.elapsed() < common::PATIENCE, "no new log");
        std::thread::sleep(Duration::from_millis(20));
    }
    ask(server.address(), "/health/ready");
    says(&log, "/health/ready");
    let stderr = server.process.stderr_so_far();
    let url = stderr.split("metrics on http://").nth(1).unwrap().split("/metrics").next().unwrap();
    let reply = ask(url, "/metrics");
    assert!(reply.contains("vodferry_requests_total{operation=\"Health\""), "{reply}");
    server.process.signal("TERM");
    assert_eq!(server.process.end().0, Some(0));
}

#[cfg(unix)]
#[test]
fn a_hangup_ends_no_service_that_has_nothing_to_reload() {
    let env = TestEnv::new();
    let mut server = env.serve(&[]);
    for _ in 0..3 {
        server.process.signal("HUP");
        std::thread::sleep(Duration::from_millis(50));
    }
    std::fs::write(env.path("a.mp4"), b"film").unwrap();
    env.run(&["upload", "a.mp4", "--server", &server.url]).ok();
    server.process.signal("TERM");
    assert_eq!(server.process.end().0, Some(0));
}

#[test]
fn a_certificate_needs_its_key_and_both_must_be_there() {
    let env = TestEnv::new();
    let cert = ["serve", "--listen", "127.0.0.1:0", "--tls-cert", "cert.pem"];
    env.run(&cert).fails(2, "--tls-key");
    env.run(&[&cert[..], &["--tls-key", "key.pem"]].concat()).fails(8, "cert.pem");
}

#[test]
fn a_second_signal_ends_at_once() {
    let env = TestEnv::new();
    let mut server = env.serve(&[]);
    // A request whose body never comes holds an orderly end up for ten seconds.
    let mut slow = std::net::TcpStream::connect(server.address()).unwrap();
    let head = "POST /api/upload-auth/create HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n{";
    slow.write_all(head.as_bytes()).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    server.process.signal("TERM");
    let began = Instant::now();
    while !server.process.stderr_so_far().contains("stopping") {
        assert!(began.elapsed() < common::PATIENCE);
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(300));
    server.process.signal("TERM");
    assert_eq!(server.process.end().0, Some(130));
    assert!(began.elapsed() < Duration::from_secs(8), "it waited for the request");
}

#[cfg(target_os = "linux")]
#[test]
fn a_log_that_cannot_be_written_stops_nothing() {
    use std::io::{BufRead, BufReader, Read};
    let env = TestEnv::new();
    let mut command = env.command(&["serve", "--listen", "127.0.0.1:0", "--log", "trace"]);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut server = command.stderr(full).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim_end().strip_prefix("listening on http://").map(str::to_owned);
    let reply = address.as_ref().and_then(|address| {
        let mut stream = std::net::TcpStream::connect(address).ok()?;
        stream.set_read_timeout(Some(common::PATIENCE)).ok()?;
        let head =
            format!("GET /health/ready HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).ok()?;
        let mut reply = String::new();
        stream.read_to_string(&mut reply).ok()?;
        Some(reply)
    });
    server.kill().unwrap();
    server.wait().unwrap();
    let reply = reply.unwrap_or_else(|| panic!("no reply; it said {line:?}"));
    assert!(reply.starts_with("HTTP/1.1 200 "), "{reply}");
}

#[test]
fn a_data_folder_that_lost_its_keys_gets_no_new_ones() {
    let env = TestEnv::new();
    let mut server = env.serve(&[]);
    server.process.signal("TERM");
    server.process.end();
    std::fs::remove_file(server.keys_file()).unwrap();
    let data = server.data.to_str().unwrap();
    let ran = env.run(&["serve", "--listen", "127.0.0.1:0", "--data", data]);
    ran.fails(8, "keys.toml is missing");
    assert!(!server.keys_file().exists());
}

#[test]
fn a_server_without_its_folder_is_not_ready() {
    use std::io::Read;
    let env = TestEnv::new();
    let server = env.serve(&[]);
    let ready = || {
        let mut stream = std::net::TcpStream::connect(server.address()).unwrap();
        stream.set_read_timeout(Some(common::PATIENCE)).unwrap();
        let head = b"GET /health/ready HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
        stream.write_all(head).unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        reply
    };
    assert!(ready().starts_with("HTTP/1.1 200 "));
    std::fs::remove_dir_all(&server.data).unwrap();
    let reply = ready();
    assert!(reply.starts_with("HTTP/1.1 503 ") && reply.contains("folder is gone"), "{reply}");
}

//! Drives the real binary: each test has a folder of its own, and no setting of the machine reaches it.
//!
//! ```ignore
//! let env = TestEnv::new();
//! let server = env.serve(&[]);
//! let film = env.file("film.mp4", 5_000_000);
//! let mut upload = env.spawn_upload(&server, &[&film]);
//! upload.wait_for(|line| line.event == "part");
//! upload.kill();
//! ```
// Each test file uses its own share.
#![allow(dead_code, unreachable_pub)]

pub mod arguments;
pub mod content;
pub mod ledger;
pub mod observer;
#[cfg(target_os = "linux")]
pub mod pty;
pub mod recorder;
pub mod secrets;
#[cfg(target_os = "linux")]
pub mod strace;

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Longer than anything here takes on a busy machine; a test that hangs fails by it.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A folder with an environment that holds nothing but `PATH` and a home inside it.
pub struct TestEnv {
    dir: tempfile::TempDir,
}

impl TestEnv {
    pub fn new() -> TestEnv {
        let dir = tempfile::Builder::new().prefix("vodferry-cli-").tempdir().unwrap();
        fs::create_dir(dir.path().join("home")).unwrap();
        TestEnv { dir }
    }

    /// A path inside the folder.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A file of `length` bytes that look like no other file's of another name.
    pub fn file(&self, name: impl AsRef<Path>, length: usize) -> PathBuf {
        let path = self.path(&name);
        let seed: u64 =
            name.as_ref().as_os_str().as_encoded_bytes().iter().map(|b| u64::from(*b)).sum();
        fs::write(&path, bytes(seed, length)).unwrap();
        path
    }

    /// A text file.
    pub fn text(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// The binary, its working folder this one, without the machine's environment.
    pub fn command(&self, args: &[impl AsRef<OsStr>]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vodferry"));
        command.env_clear().current_dir(self.dir.path()).args(args).stdin(Stdio::null());
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        command.env("HOME", self.path("home"));
        command
    }

    /// Runs the binary to its end.
    pub fn run(&self, args: &[impl AsRef<OsStr>]) -> Ran {
        Ran::of(&mut self.command(args))
    }

    /// Where checkpoints are kept unless a flag says otherwise.
    pub fn record_dir(&self) -> PathBuf {
        self.path("home/.local/state/vodferry/uploads")
    }

    /// A server on a free port with the data folder `data`; returns when it listens.
    pub fn serve(&self, more: &[&str]) -> Server {
        self.serve_at("127.0.0.1:0", more)
    }

    /// A server at this address, for example that of one that was killed before.
    pub fn serve_at(&self, listen: &str, more: &[&str]) -> Server {
        self.served_by(self.serve_command(listen, more))
    }

    /// What starts a server there.
    pub fn serve_command(&self, listen: &str, more: &[&str]) -> Command {
        let mut command = self.command(&["serve", "--listen", listen, "--data"]);
        command.arg(self.path("data")).args(more);
        command
    }

    /// The server that this command starts.
    pub fn served_by(&self, command: Command) -> Server {
        let data = self.path("data");
        let mut process = Process::spawn(command);
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            let Some(line) = process.next_line() else { break };
            if let Some(url) = line.strip_prefix("listening on ") {
                let url = url.to_owned();
                return Server { process, url, data };
            }
        }
        panic!("the server did not start: {}", process.stderr_so_far());
    }

    /// An upload with `--json` through the application server of `server`.
    pub fn spawn_upload(&self, server: &Server, args: &[impl AsRef<OsStr>]) -> Process {
        let mut command = self.command(&["upload", "--json", "--server", &server.url]);
        command.args(args);
        Process::spawn(command)
    }

    /// A resume with `--json` through the application server of `server`.
    pub fn spawn_resume(&self, server: &Server, args: &[impl AsRef<OsStr>]) -> Process {
        let mut command = self.command(&["resume", "--json", "--server", &server.url]);
        command.args(args);
        Process::spawn(command)
    }

    /// Downloads `bucket/key` with the server's own keys and gives its bytes.
    pub fn get(&self, server: &Server, object: &str) -> Vec<u8> {
        let path = self.path("downloaded");
        let mut command = self.command(&["get", object, "--force", "--endpoint", &server.url]);
        command.arg("--keys-file").arg(server.keys_file()).arg("-o").arg(&path);
        Ran::of(&mut command).ok();
        fs::read(path).unwrap()
    }
}

/// Bytes that follow from `seed` alone and do not compress.
pub fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// A server process. Killed when dropped.
pub struct Server {
    pub process: Process,
    /// `http://127.0.0.1:PORT`
    pub url: String,
    pub data: PathBuf,
}

impl Server {
    /// `127.0.0.1:PORT`, to start another one at the same place.
    pub fn address(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    pub fn keys_file(&self) -> PathBuf {
        self.data.join("keys.toml")
    }

    /// SIGKILL: nothing is finished, nothing is flushed.
    pub fn kill(&mut self) {
        self.process.kill();
    }
}

/// A line of `--json`.
#[derive(Clone, Debug)]
pub struct Line {
    pub event: String,
    pub value: Value,
}

impl Line {
    pub fn parse(text: &str) -> Line {
        let value: Value =
            serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text:?}"));
        let event = value["event"].as_str().unwrap_or_else(|| panic!("no event in {text:?}"));
        Line { event: event.to_owned(), value }
    }

    pub fn number(&self, name: &str) -> u64 {
        self.value[name].as_u64().unwrap_or_else(|| panic!("no number {name} in {}", self.value))
    }

    pub fn text(&self, name: &str) -> &str {
        self.value[name].as_str().unwrap_or_else(|| panic!("no text {name} in {}", self.value))
    }
}

/// A process under way; its output is read beside it, so that it never blocks on a full pipe. Killed when dropped.
pub struct Process {
    child: Child,
    lines: Receiver<String>,
    stderr: Receiver<String>,
    seen_stderr: String,
}

impl Process {
    pub fn spawn(mut command: Command) -> Process {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = read_lines(child.stdout.take().unwrap());
        let stderr = read_lines(child.stderr.take().unwrap());
        Process { child, lines, stderr, seen_stderr: String::new() }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next line of stdout; `None` at its end. Panics when nothing comes for [`PATIENCE`].
    pub fn next_line(&mut self) -> Option<String> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => {
                let stderr = self.stderr_so_far();
                panic!("nothing came on stdout; on stderr: {stderr}")
            }
        }
    }

    /// The next event if one comes in time. `Err` at the end.
    pub fn event_within(&mut self, wait: Duration) -> Result<Option<Line>, ()> {
        match self.lines.recv_timeout(wait) {
            Ok(line) => Ok(Some(Line::parse(&line))),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(()),
        }
    }

    /// The next event; `None` at the end.
    pub fn next_event(&mut self) -> Option<Line> {
        self.next_line().map(|line| Line::parse(&line))
    }

    /// Events up to and including the first that is meant. Panics when the output ends before.
    pub fn wait_for(&mut self, mut meant: impl FnMut(&Line) -> bool) -> Vec<Line> {
        let mut seen = Vec::new();
        while let Some(line) = self.next_event() {
            let found = meant(&line);
            seen.push(line);
            if found {
                return seen;
            }
        }
        panic!("the event did not come; seen: {seen:#?}; on stderr: {}", self.stderr_so_far());
    }

    /// All events that are left.
    pub fn rest(&mut self) -> Vec<Line> {
        std::iter::from_fn(|| self.next_event()).collect()
    }

    /// What came on stderr until now.
    pub fn stderr_so_far(&mut self) -> String {
        while let Ok(line) = self.stderr.try_recv() {
            self.seen_stderr.push_str(&line);
            self.seen_stderr.push('\n');
        }
        self.seen_stderr.clone()
    }

    /// SIGKILL, and waits until it is gone. No harm when it has ended already.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Sends a signal by its name, for example `INT`.
    pub fn signal(&self, name: &str) {
        assert!(signal(name, self.child.id()), "no signal {name} could be sent");
    }

    /// Waits for the end: exit code and all of stderr. Panics after [`PATIENCE`].
    pub fn end(&mut self) -> (Option<i32>, String) {
        let began = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if began.elapsed() > PATIENCE {
                let stderr = self.stderr_so_far();
                panic!("the process does not end; on stderr: {stderr}");
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        while let Ok(line) = self.stderr.recv_timeout(PATIENCE) {
            self.seen_stderr.push_str(&line);
            self.seen_stderr.push('\n');
        }
        (status.code(), self.seen_stderr.clone())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn read_all(mut pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}

fn read_lines(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut line = Vec::new();
        while pipe.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned();
            line.clear();
            if sender.send(text).is_err() {
                return;
            }
        }
    });
    receiver
}

/// A process that ended.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// Panics when the process takes longer than [`PATIENCE`].
    pub fn of(command: &mut Command) -> Ran {
        Ran::within(command, PATIENCE)
    }

    /// Panics when the process takes longer.
    pub fn within(command: &mut Command, patience: Duration) -> Ran {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdout = read_all(child.stdout.take().unwrap());
        let stderr = read_all(child.stderr.take().unwrap());
        let Ok(stdout) = stdout.recv_timeout(patience) else {
            let _ = child.kill();
            let _ = child.wait();
            panic!("{command:?} does not end; on stderr: {}", stderr.recv().unwrap());
        };
        let code = child.wait().unwrap().code();
        Ran { code, stdout, stderr: stderr.recv_timeout(PATIENCE).unwrap() }
    }

    /// It must have succeeded.
    pub fn ok(self) -> Ran {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self
    }

    /// It must have failed with this code and one `error:` line that holds `text`, and without a panic.
    pub fn fails(self, code: i32, text: &str) -> Ran {
        assert_eq!(self.code, Some(code), "{self:#?}");
        assert!(self.stderr.contains("error: "), "{self:#?}");
        assert!(self.stderr.contains(text), "no {text:?} in {self:#?}");
        assert!(!self.stderr.contains("panicked"), "{self:#?}");
        self
    }

    /// The lines of `--json`.
    pub fn events(&self) -> Vec<Line> {
        self.stdout.lines().map(Line::parse).collect()
    }

    /// The one event of this name.
    pub fn event(&self, name: &str) -> Line {
        let mut found = self.events().into_iter().filter(|line| line.event == name);
        let line = found.next().unwrap_or_else(|| panic!("no {name} in {self:#?}"));
        assert!(found.next().is_none(), "more than one {name} in {self:#?}");
        line
    }
}

/// Upload address and auth, asked of the application server as any HTTP client would.
pub fn upload_auth(server: &Server, file_name: &str) -> (String, String) {
    let grant = app_server(server, "create", &json!({"Title": "t", "FileName": file_name}));
    let text = |name: &str| grant[name].as_str().unwrap_or_else(|| panic!("{grant}")).to_owned();
    (text("UploadAddress"), text("UploadAuth"))
}

/// What the application server answers to `create` or `refresh`.
pub fn app_server(server: &Server, action: &str, body: &Value) -> Value {
    let body = body.to_string();
    let address = server.address();
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(
        stream,
        "POST /api/upload-auth/{action} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    let json = reply.split_once("\r\n\r\n").unwrap().1;
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {reply}"))
}

/// A server that gives the same answer to whoever connects, then closes: HTML, nothing, half a body.
pub struct FakeServer {
    pub url: String,
}

impl FakeServer {
    pub fn answering(answer: &[u8]) -> FakeServer {
        let answer: std::sync::Arc<[u8]> = answer.into();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let answer = answer.clone();
                std::thread::spawn(move || {
                    let mut head = [0u8; 8192];
                    let _ = stream.read(&mut head);
                    let _ = stream.write_all(&answer);
                    let _ = stream.shutdown(std::net::Shutdown::Write);
                    // Taking what still comes keeps the reset away that would hide the answer.
                    let _ = stream.read_to_end(&mut Vec::new());
                });
            }
        });
        FakeServer { url }
    }
}

/// Sends a signal by its name, for example `INT`; whether there was somebody to get it. The shell has its own `kill`: a program of
/// that name is not on every machine.
pub fn signal(name: &str, process: u32) -> bool {
    Command::new("sh").args(["-c", &format!("kill -{name} {process}")]).status().unwrap().success()
}

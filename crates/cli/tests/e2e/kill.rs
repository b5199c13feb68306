//! SIGKILL of either end, at any moment: the video arrives whole, and what was acknowledged is not sent again.
//!
//! An [`Observer`] stands between the two and sees the wire. `SEED=… cargo test -p vodferry-cli --test e2e kill::` repeats a run: the same files
//! and the same moments, as far as the machine's own timing permits.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use crate::common::content::{Chance, Crc64};
use crate::common::ledger::{self, Acknowledged};
use crate::common::observer::{Exchange, Observer, Op, Verdict};
use crate::common::secrets::Secrets;
use crate::common::{Line, PATIENCE, Server, TestEnv, bytes, signal};

/// No test here takes nearly as long; one that would hang ends by it.
const DEADLINE: Duration = Duration::from_secs(240);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Client,
    Server,
}

#[test]
fn ten_kills_of_each_end_at_random_moments() {
    let mut chance = Chance::from_env();
    let mut stage = Stage::new();
    stage.plan = [[Who::Client; 10], [Who::Server; 10]].concat();
    chance.shuffle(&mut stage.plan);
    let mut uploads = 0;
    // A kill for which one upload was over too soon is done in the next.
    while !stage.plan.is_empty() || uploads < 2 {
        uploads += 1;
        let length = chance.between(20 << 20, 60 << 20) as usize;
        let content = bytes(chance.between(1, 1 << 40), length);
        let file = stage.env.path(format!("film-{uploads}.mp4"));
        fs::write(&file, &content).unwrap();
        let part_size = ["256KiB", "512KiB", "1MiB"][chance.between(0, 2) as usize];
        let mut verb = "upload";
        let done = loop {
            let more = ["--limit", "12MiB/s", "--part-size", part_size];
            let acknowledged = stage.acknowledged_parts();
            if let Some(done) = stage.run(verb, &file, &more, &mut chance) {
                break done;
            }
            // `upload` goes on by itself. `resume` does too, once there is something to resume.
            let begun = verb == "resume" || stage.acknowledged_parts() > acknowledged;
            verb = if begun && chance.between(0, 1) == 1 { "resume" } else { "upload" };
        };
        stage.arrived(&done, &content);
        fs::remove_file(file).unwrap();
    }
    let (clients, servers) = (stage.client_kills, stage.server_kills);
    let took = stage.began.elapsed();
    let (sent, _) = stage.close();
    println!(
        "{uploads} uploads, killed: {clients} clients, {servers} servers; {sent:?}; {took:.1?}"
    );
    assert_eq!((clients, servers), (10, 10));
}

#[test]
fn killed_between_an_answer_and_its_arrival() {
    type Meant = fn(&Exchange) -> bool;
    let moments: [(&str, Meant); 4] = [
        ("Initiate", |exchange| exchange.op() == Op::Initiate),
        ("UploadPart", |exchange| exchange.query_value("partNumber").as_deref() == Some("3")),
        ("ListParts", |exchange| matches!(exchange.op(), Op::ListParts { .. })),
        ("Complete", Exchange::is_complete),
    ];
    let mut chance = Chance::from_env();
    for (name, meant) in moments {
        for who in [Who::Client, Who::Server] {
            let content = bytes(chance.between(1, 1 << 40), 5_500_000);
            let mut stage = Stage::new();
            let file = stage.env.path("film.mp4");
            fs::write(&file, &content).unwrap();
            if name == "ListParts" {
                // There must be something to list.
                stage.kill_at_answer(Who::Client, |exchange| {
                    exchange.query_value("partNumber").as_deref() == Some("4")
                });
                assert!(stage.run("upload", &file, &[], &mut chance).is_none());
            }
            stage.kill_at_answer(who, meant);
            let mut done = None;
            while done.is_none() {
                done = stage.run("upload", &file, &[], &mut chance);
            }
            stage.arrived(&done.unwrap(), &content);
            let kills = (stage.client_kills, stage.server_kills);
            let (sent, exchanges) = stage.close();
            println!("{who:?} killed at the answer to {name}: {kills:?}, {sent:?}");
            let answers: Vec<_> =
                exchanges.iter().filter(|one| meant(one) && one.is_ok()).collect();
            let lost = answers.iter().filter(|one| one.returned.is_none()).count();
            let arrived = answers.len() - lost;
            assert_eq!(lost, 1, "{exchanges:#?}");
            // A new client finds the part in the server's list; an old one has nothing but its request.
            let listed = (name, who) == ("UploadPart", Who::Client);
            assert_eq!(arrived, usize::from(!listed), "{exchanges:#?}");
            if name == "Complete" {
                let first = exchanges.iter().find(|one| one.is_complete()).unwrap();
                assert!(first.is_ok(), "{first:?}");
                let after = exchanges.iter().find(|one| one.is_part() && one.began > first.began);
                assert!(after.is_none(), "bytes travel again: {after:?}");
            }
        }
    }
}

/// A request with part 1 as an observer would have seen it: answered, and arrived, unless it was lost.
fn seen(run: u32, began: u64, lost: bool) -> Exchange {
    let query = "partNumber=1&uploadId=U".to_owned();
    let arrived = (!lost).then_some(began + 3);
    Exchange {
        run,
        method: "PUT".into(),
        path: "/bucket/key".into(),
        query,
        began,
        delivered: Some(began + 1),
        answered: arrived.map(|at| at - 1),
        returned: arrived,
        status: arrived.map(|_| 200),
        reply: Vec::new(),
    }
}

/// A reply to ListParts that names part 1, or nothing.
fn listed(run: u32, began: u64, names_it: bool) -> Exchange {
    let part = if names_it { "<Part><PartNumber>1</PartNumber></Part>" } else { "" };
    Exchange {
        method: "GET".into(),
        query: "uploadId=U".into(),
        reply: format!("<R><IsTruncated>false</IsTruncated>{part}</R>").into_bytes(),
        ..seen(run, began, false)
    }
}

/// Whether the ledger finds the promise broken; `logged` are the runs whose log acknowledged part 1.
fn is_broken(exchanges: Vec<Exchange>, logged: &[u32]) -> bool {
    let acknowledged = logged.iter().map(|run| (*run, [1].into())).collect();
    std::panic::catch_unwind(move || ledger::check(&exchanges, &acknowledged)).is_err()
}

#[test]
fn the_ledger_sees_a_broken_promise() {
    let (lost, kept) = (seen(1, 10, true), seen(1, 10, false));
    assert!(!is_broken(vec![lost.clone(), seen(1, 20, false)], &[1]), "a lost reply");
    assert!(!is_broken(vec![kept.clone(), listed(2, 20, true)], &[1]), "nothing sent again");
    assert!(is_broken(vec![kept.clone(), seen(1, 20, false)], &[]), "the client was told");
    assert!(is_broken(vec![kept.clone(), seen(1, 12, false)], &[]), "sent twice at once");
    assert!(is_broken(vec![kept.clone(), seen(2, 20, false)], &[1]), "it was logged");
    assert!(is_broken(vec![lost, listed(2, 20, true), seen(2, 30, false)], &[2]), "listed");
    assert!(is_broken(vec![kept, listed(2, 20, false)], &[1]), "the server forgot it");
    assert!(is_broken(vec![seen(1, 10, true)], &[1]), "the log made it up");
}

/// Client, observer and server, and what they left on their way.
struct Stage {
    env: TestEnv,
    observer: Observer,
    server: Server,
    began: Instant,
    /// Who is killed, from the last to the first. Moments are chosen as they come.
    plan: Vec<Who>,
    tell: Sender<Who>,
    killed: Receiver<Who>,
    client_id: Arc<AtomicU32>,
    client_kills: u32,
    server_kills: u32,
    acknowledged: Acknowledged,
    /// Everything that any client or server of the test printed.
    printed: String,
}

impl Stage {
    fn new() -> Stage {
        let env = TestEnv::new();
        let observer = Observer::new();
        let server = env.serve(&["--public-endpoint", &observer.url]);
        observer.forward_to(server.address());
        let (tell, killed) = channel();
        Stage {
            env,
            observer,
            server,
            began: Instant::now(),
            plan: Vec::new(),
            tell,
            killed,
            client_id: Arc::default(),
            client_kills: 0,
            server_kills: 0,
            acknowledged: Acknowledged::new(),
            printed: String::new(),
        }
    }

    fn acknowledged_parts(&self) -> usize {
        self.acknowledged.values().map(|numbers| numbers.len()).sum()
    }

    /// Runs the client on `file` to its end, killing as planned. Gives the event of success; nothing when the client was
    /// killed before it.
    fn run(&mut self, verb: &str, file: &Path, more: &[&str], chance: &mut Chance) -> Option<Line> {
        let run = self.observer.next_run();
        let mut command = self.env.command(&[verb, "--json", "--server", &self.observer.url]);
        let mut client = crate::common::Process::spawn({
            command.arg(file).args(more);
            command
        });
        self.client_id.store(client.id(), Ordering::SeqCst);
        let mut armed = false;
        let mut client_is_dead = false;
        let mut done = None;
        loop {
            assert!(self.began.elapsed() < DEADLINE, "it takes too long; left: {:?}", self.plan);
            if let (false, false, Some(who)) = (armed, client_is_dead, self.plan.last()) {
                self.arm(*who, chance.between(1, 120));
                armed = true;
            }
            match self.killed.try_recv() {
                Ok(Who::Server) => {
                    self.restart_server();
                    armed = false;
                }
                Ok(Who::Client) => client_is_dead = true,
                Err(_) => {}
            }
            match client.event_within(Duration::from_millis(5)) {
                Err(()) => break,
                Ok(None) => {}
                Ok(Some(line)) => {
                    self.note(run, &line);
                    if line.event == "succeeded" {
                        done = Some(line);
                    }
                }
            }
        }
        // An armed trap that is gone is at work: wait for what it does.
        if armed && !client_is_dead && !self.observer.disarm() {
            if self.killed.recv_timeout(PATIENCE).unwrap() == Who::Server {
                self.restart_server();
            }
        } else if self.killed.try_recv() == Ok(Who::Server) {
            self.restart_server();
        }
        let (code, stderr) = client.end();
        self.printed.push_str(&stderr);
        match code {
            // Killed between the last line and the exit, it had done its work all the same.
            None => {
                self.client_kills += 1;
                self.no_secret_in_records();
                assert_eq!(self.plan.pop().unwrap_or(Who::Client), Who::Client);
            }
            code => assert_eq!((code, done.is_some()), (Some(0), true), "{stderr}"),
        }
        done
    }

    fn arm(&self, who: Who, ticks: u64) {
        let process = self.id_of(who);
        let tell = self.tell.clone();
        self.observer.trap(ticks, move || {
            kill(process.load(Ordering::SeqCst));
            tell.send(who).unwrap();
        });
    }

    /// Kills once, when the server gave the answer that is meant and nobody has it yet.
    fn kill_at_answer(&self, who: Who, meant: impl Fn(&Exchange) -> bool + Send + Sync + 'static) {
        let process = self.id_of(who);
        let tell = self.tell.clone();
        let fired = AtomicBool::new(false);
        self.observer.hook(move |exchange, _| {
            if !meant(exchange) || fired.swap(true, Ordering::SeqCst) {
                return Verdict::Forward;
            }
            kill(process.load(Ordering::SeqCst));
            if who == Who::Server {
                tell.send(who).unwrap();
            }
            Verdict::Cut
        });
    }

    fn id_of(&self, who: Who) -> Arc<AtomicU32> {
        match who {
            Who::Client => self.client_id.clone(),
            Who::Server => Arc::new(AtomicU32::new(self.server.process.id())),
        }
    }

    /// Starts the killed server again: the same port, the same data folder.
    fn restart_server(&mut self) {
        let (code, stderr) = self.server.process.end();
        assert_eq!(code, None, "the server ended by itself: {stderr}");
        self.printed.push_str(&stderr);
        self.server_kills += 1;
        assert_eq!(self.plan.pop().unwrap_or(Who::Server), Who::Server);
        let address = self.server.address().to_owned();
        self.server = self.env.serve_at(&address, &["--public-endpoint", &self.observer.url]);
    }

    fn note(&mut self, run: u32, line: &Line) {
        self.printed.push_str(&line.value.to_string());
        if line.event == "part" {
            let fresh = self.acknowledged.entry(run).or_default().insert(line.number("number"));
            assert!(fresh, "acknowledged twice in one run: {line:?}");
        }
    }

    fn no_secret_in_records(&self) {
        let folder = self.env.record_dir();
        // Killed early, the client had not made it yet.
        if folder.is_dir() {
            Secrets::of(&self.server).with_seen(&self.observer).are_not_in_files_of(&folder);
        }
    }

    /// What arrived is what was sent.
    fn arrived(&self, done: &Line, sent: &[u8]) {
        assert_eq!(done.number("bytes"), sent.len() as u64);
        assert_eq!(done.text("crc64").parse::<u64>().unwrap(), Crc64::of(sent));
        let object = format!("{}/{}", done.text("bucket"), done.text("key"));
        assert!(self.env.get(&self.server, &object) == sent, "{object} is not what was sent");
    }

    /// What must hold at the end of every test; gives what was sent.
    fn close(mut self) -> (ledger::Sent, Vec<Exchange>) {
        let exchanges = self.observer.exchanges();
        self.server.process.signal("TERM");
        let (code, stderr) = self.server.process.end();
        assert_eq!(code, Some(0), "{stderr}");
        self.printed.push_str(&stderr);
        assert!(!self.printed.contains("panicked"), "{}", self.printed);
        let secrets = Secrets::of(&self.server).with_seen(&self.observer);
        secrets.are_not_in("the output", self.printed.as_bytes());
        secrets.are_not_in_files_of(&self.server.data);
        (ledger::check(&exchanges, &self.acknowledged), exchanges)
    }
}

/// Kills at once; the process is reaped by whoever owns it.
fn kill(process: u32) {
    assert!(signal("KILL", process), "process {process} had ended already");
}

//! The real client and the real server over a network that breaks: the video arrives whole, and what was acknowledged is not sent again.
//!
//! The [`Proxy`] breaks connections by seed and all of them at once; client and server are killed as well. `SEED=…` repeats the same files and the same
//! faults, as far as the machine's own timing permits. `KILLS=40` kills each end so often, 8 by default.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::content::{Chance, Crc64};
use crate::common::ledger::{self, Acknowledged};
use crate::common::observer::Observer;
use crate::common::secrets::Secrets;
use crate::common::{Line, Process, Server, TestEnv, bytes};
use vodferry_testkit::net::proxy::{Again, Counts, Fault, Faults, Kind, Odds, Proxy, Way};

const MS: Duration = Duration::from_millis(1);

/// How often each end is killed.
fn kills() -> u32 {
    std::env::var("KILLS").map_or(8, |kills| kills.parse().expect("KILLS is a number"))
}

/// What happens to all at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strike {
    KillClient,
    KillServer,
    CutAll,
    ResetAll,
    /// Nothing passes for a while.
    Freeze,
    /// Nobody can connect for a while.
    Refuse,
}

#[test]
fn kills_of_both_ends_over_a_bad_network() {
    let kills = kills();
    let mut stage = Stage::new(Duration::from_secs(60 + 12 * u64::from(kills)));
    let each = kills as usize;
    let mut plan = [vec![Strike::KillClient; each], vec![Strike::KillServer; each]].concat();
    for strike in [Strike::CutAll, Strike::ResetAll, Strike::Freeze, Strike::Refuse] {
        plan.extend(vec![strike; each.div_ceil(4)]);
    }
    stage.chance.shuffle(&mut plan);
    stage.plan = plan;
    // Copies of answers would have to be told from answers: they have tests of their own.
    let mut odds = Odds::new(stage.chance.between(1, 1 << 40)).with_per_mille(250).with_kinds(&[
        Kind::Cut,
        Kind::Reset,
        Kind::HalfClose,
        Kind::Stall,
        Kind::Slow,
        Kind::Truncate,
    ]);
    odds.longest_stall = 1_000 * MS;
    odds.slowest = 512 << 10;
    stage.proxy.set(Faults::Seeded(odds));
    let mut uploads = 0;
    while !stage.plan.is_empty() {
        uploads += 1;
        let length = stage.chance.between(20 << 20, 60 << 20) as usize;
        let content = bytes(stage.chance.between(1, 1 << 40), length);
        let file = stage.env.path(format!("film-{uploads}.mp4"));
        fs::write(&file, &content).unwrap();
        let part_size = ["256KiB", "512KiB", "1MiB"][stage.chance.between(0, 2) as usize];
        let mut verb = "upload";
        let done = loop {
            let acknowledged = stage.acknowledged_parts();
            let more = ["--limit", "16MiB/s", "--part-size", part_size];
            if let Some(done) = stage.run(verb, &file, &more) {
                break done;
            }
            // `upload` goes on by itself. `resume` does too, once there is something to resume.
            let begun = verb == "resume" || stage.acknowledged_parts() > acknowledged;
            verb = if begun && stage.chance.between(0, 1) == 1 { "resume" } else { "upload" };
        };
        arrived(&stage.env, &stage.server, &done, &content);
        fs::remove_file(file).unwrap();
    }
    let killed = (stage.client_kills, stage.server_kills);
    let took = stage.began.elapsed();
    let (sent, counts) = stage.close();
    println!("{uploads} uploads, {} clients and {} servers killed", killed.0, killed.1);
    println!("{sent:?}; {counts:?}; {took:.1?}");
    assert_eq!(killed, (kills, kills));
    assert!(counts.faults() >= u64::from(kills), "the network was too good: {counts:?}");
    // A short run may miss one of them.
    let both = counts.cuts > 0 && counts.stalls > 0;
    assert!(kills < 20 || both, "neither cut nor stood still: {counts:?}");
}

#[test]
fn each_fault_on_eight_connections_in_a_row() {
    let (mib, time) = (1 << 20, 700 * MS);
    let both = [Way::Up, Way::Down];
    let mut faults = vec![
        Fault::Slow { way: Way::Up, bytes_per_second: mib },
        Fault::Slow { way: Way::Down, bytes_per_second: 500 },
        Fault::Truncate { answer: 0, keep: 0 },
        Fault::Truncate { answer: 0, keep: 40 },
        Fault::Truncate { answer: 1, keep: 200 },
        Fault::Duplicate { answer: 0, again: Again::AtOnce },
        Fault::Duplicate { answer: 0, again: Again::BeforeNext },
        Fault::Duplicate { answer: 1, again: Again::BeforeNext },
    ];
    // Nothing, the middle of a head, the middle of a body; of an answer the first bytes alone.
    for (way, after) in both.into_iter().flat_map(|way| {
        let later = if way == Way::Up { 150_000 } else { 300 };
        [(way, 0), (way, 100), (way, later)]
    }) {
        faults.push(Fault::Cut { way, after });
        faults.push(Fault::Reset { way, after });
        faults.push(Fault::HalfClose { way, after });
        faults.push(Fault::Stall { way, after, time });
    }
    let deadline = Instant::now() + Duration::from_secs(240);
    // They wait for back-offs most of the time.
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(fault) = faults.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let began = Instant::now();
                    println!("{fault:?}");
                    let mut stage = Direct::new(Faults::Script(vec![vec![*fault]; 8]));
                    let twice = matches!(fault, Fault::Duplicate { .. });
                    let seed = began.elapsed().as_nanos() as u64;
                    let failed = stage.upload(seed, 4_000_000, deadline, twice);
                    let counts = stage.close();
                    println!("{fault:?}: {:.1?}, {failed} clients failed", began.elapsed());
                    assert!(counts.faults() > 0, "{fault:?} did not happen: {counts:?}");
                }
            });
        }
    });
    println!("{} faults, each on eight connections in a row", faults.len());
}

#[test]
fn truncated_and_duplicated_answers_by_seed() {
    let deadline = Instant::now() + Duration::from_secs(300);
    let mut chance = Chance::from_env();
    let mut odds = Odds::new(chance.between(1, 1 << 40)).with_per_mille(700);
    odds.longest_stall = 500 * MS;
    odds.slowest = 1 << 20;
    odds.kinds.extend([(Kind::Truncate, 4), (Kind::Duplicate, 6)]);
    let mut stage = Direct::new(Faults::Seeded(odds));
    let uploads = u64::from(kills().div_ceil(2));
    let mut failed = 0;
    for _ in 0..uploads {
        let length = chance.between(1 << 20, 12 << 20) as usize;
        failed += stage.upload(chance.between(1, 1 << 40), length, deadline, true);
    }
    let counts = stage.close();
    println!("{uploads} uploads, {failed} clients failed before: {counts:?}");
    assert!(counts.truncated + counts.duplicated >= uploads, "{counts:?}");
}

/// What arrived is what was sent.
fn arrived(env: &TestEnv, server: &Server, done: &Line, sent: &[u8]) {
    assert_eq!(done.number("bytes"), sent.len() as u64);
    assert_eq!(done.text("crc64").parse::<u64>().unwrap(), Crc64::of(sent));
    let object = format!("{}/{}", done.text("bucket"), done.text("key"));
    assert!(env.get(server, &object) == sent, "{object} is not what was sent");
}

/// Client, observer, proxy, server, in this order: the observer sees what the client sees.
struct Stage {
    env: TestEnv,
    observer: Observer,
    proxy: Proxy,
    server: Server,
    chance: Chance,
    began: Instant,
    deadline: Instant,
    /// From the last to the first.
    plan: Vec<Strike>,
    next_strike: Instant,
    client_kills: u32,
    server_kills: u32,
    acknowledged: Acknowledged,
    /// Everything that any client or server of the test printed.
    printed: String,
}

impl Stage {
    fn new(patience: Duration) -> Stage {
        let env = TestEnv::new();
        let observer = Observer::new();
        let server = env.serve(&["--public-endpoint", &observer.url]);
        let proxy = Proxy::open(server.address(), Faults::None).unwrap();
        observer.forward_to(&proxy.address().to_string());
        Stage {
            env,
            observer,
            proxy,
            server,
            chance: Chance::from_env(),
            began: Instant::now(),
            deadline: Instant::now() + patience,
            plan: Vec::new(),
            next_strike: Instant::now(),
            client_kills: 0,
            server_kills: 0,
            acknowledged: Acknowledged::new(),
            printed: String::new(),
        }
    }

    fn acknowledged_parts(&self) -> usize {
        self.acknowledged.values().map(|numbers| numbers.len()).sum()
    }

    /// Runs the client on `file` to its end, striking as planned. Gives the event of success; nothing when the client was killed before it.
    fn run(&mut self, verb: &str, file: &Path, more: &[&str]) -> Option<Line> {
        let run = self.observer.next_run();
        let mut command = self.env.command(&[verb, "--json", "--server", &self.observer.url]);
        command.arg(file).args(more);
        let mut client = Process::spawn(command);
        let mut done = None;
        let mut killed = false;
        self.next_strike = Instant::now() + MS * self.chance.between(5, 700) as u32;
        loop {
            assert!(Instant::now() < self.deadline, "it takes too long; left: {:?}", self.plan);
            if !killed && Instant::now() >= self.next_strike {
                if let Some(strike) = self.plan.pop() {
                    killed = strike == Strike::KillClient;
                    self.strike(strike, &mut client);
                }
                self.next_strike = Instant::now() + MS * self.chance.between(5, 700) as u32;
            }
            match client.event_within(Duration::from_millis(5)) {
                Err(()) => break,
                Ok(None) => {}
                Ok(Some(line)) => {
                    self.printed.push_str(&line.value.to_string());
                    if line.event == "part" {
                        let number = line.number("number");
                        let fresh = self.acknowledged.entry(run).or_default().insert(number);
                        assert!(fresh, "acknowledged twice in one run: {line:?}");
                    }
                    if line.event == "succeeded" {
                        done = Some(line);
                    }
                }
            }
        }
        let (code, stderr) = client.end();
        self.printed.push_str(&stderr);
        match code {
            // Killed between the last line and the exit, it had done its work all the same.
            None => self.client_kills += 1,
            code => {
                assert_eq!((code, done.is_some()), (Some(0), true), "{stderr}");
                // It was faster than the blow.
                self.plan.extend(killed.then_some(Strike::KillClient));
            }
        }
        done
    }

    fn strike(&mut self, strike: Strike, client: &mut Process) {
        let while_ = MS * self.chance.between(50, 1_200) as u32;
        match strike {
            Strike::KillClient => client.kill(),
            Strike::KillServer => {
                self.server.kill();
                let (code, stderr) = self.server.process.end();
                assert_eq!(code, None, "the server ended by itself: {stderr}");
                self.printed.push_str(&stderr);
                self.server_kills += 1;
                self.server = self.env.serve(&["--public-endpoint", &self.observer.url]);
                self.proxy.forward_to(self.server.address());
            }
            Strike::CutAll => self.proxy.cut_all(),
            Strike::ResetAll => self.proxy.reset_all(),
            Strike::Freeze => self.proxy.freeze(while_),
            Strike::Refuse => {
                self.proxy.refuse(true).unwrap();
                self.proxy.cut_all();
                thread::sleep(while_);
                self.proxy.refuse(false).unwrap();
            }
        }
    }

    /// What must hold at the end; gives what was sent, and what the network did.
    fn close(mut self) -> (ledger::Sent, Counts) {
        self.server.process.signal("TERM");
        let (code, stderr) = self.server.process.end();
        assert_eq!(code, Some(0), "{stderr}");
        self.printed.push_str(&stderr);
        assert!(!self.printed.contains("panicked"), "{}", self.printed);
        let secrets = Secrets::of(&self.server).with_seen(&self.observer);
        secrets.are_not_in("the output", self.printed.as_bytes());
        let sent = ledger::check(&self.observer.exchanges(), &self.acknowledged);
        (sent, self.proxy.counts())
    }
}

/// Client, proxy, server: nobody between them who would put answers in order.
struct Direct {
    env: TestEnv,
    proxy: Proxy,
    server: Server,
}

impl Direct {
    fn new(faults: Faults) -> Direct {
        let env = TestEnv::new();
        // The proxy's address must be known before the server's.
        let proxy = Proxy::open("127.0.0.1:9", faults).unwrap();
        let server = env.serve(&["--public-endpoint", &proxy.url()]);
        proxy.forward_to(server.address());
        Direct { env, proxy, server }
    }

    /// Clients, until one succeeds; gives how many failed before it. One fails only where answers come twice: the second of them is taken for
    /// the answer to the next request, and after three wrong answers to one part in a row a client says so rather than believe the fourth.
    /// Its checkpoint stays good: the next one goes on from there.
    fn upload(&mut self, seed: u64, length: usize, deadline: Instant, may_fail: bool) -> u32 {
        let content = bytes(seed, length);
        let file = self.env.path("film.mp4");
        fs::write(&file, &content).unwrap();
        let mut numbers = Vec::new();
        let mut failed = 0;
        let (done, held) = loop {
            let run = self.run(&file, deadline);
            let of =
                |event: &str| run.iter().filter(|line| line.event == event).collect::<Vec<_>>();
            numbers.extend(of("part").iter().map(|line| line.number("number")));
            let (done, wrong) = (of("succeeded"), of("failed"));
            let code = run.last().unwrap().number("exit_code");
            if let ([done], []) = (&done[..], &wrong[..]) {
                assert_eq!(code, 0, "{run:#?}");
                // What the server held, the last client found and does not tell as its own.
                let found = of("resumed").iter().map(|line| line.number("parts")).sum::<u64>();
                break ((*done).clone(), found + of("part").len() as u64);
            }
            assert_eq!((code, done.len(), wrong.len()), (5, 0, 1), "{run:#?}");
            assert_eq!(wrong[0].text("kind"), "integrity");
            failed += 1;
            assert!(may_fail && failed < 8, "{failed} clients failed: {run:#?}");
        };
        numbers.sort_unstable();
        let parts = (length as u64).div_ceil(256 << 10);
        assert_eq!(held, parts, "found and sent by the last client");
        assert!(numbers.is_sorted_by(|a, b| a < b), "each part once: {numbers:?}");
        assert!(failed > 0 || numbers.len() as u64 == parts, "each part told: {numbers:?}");
        arrived(&self.env, &self.server, &done, &content);
        failed
    }

    /// One client from its start to its end; gives what it told.
    fn run(&self, file: &Path, deadline: Instant) -> Vec<Line> {
        let mut command = self.env.command(&["upload", "--json", "--server", &self.proxy.url()]);
        command.arg(file).args(["--part-size", "256KiB"]);
        let mut client = Process::spawn(command);
        let mut events = Vec::new();
        while let Ok(line) = client.event_within(Duration::from_millis(100)) {
            events.extend(line);
            let counts = self.proxy.counts();
            assert!(Instant::now() < deadline, "it takes too long: {counts:?}, {events:#?}");
        }
        let (code, stderr) = client.end();
        assert!(!stderr.contains("panicked"), "{stderr}");
        let told = events.last().filter(|line| line.event == "ended");
        let told = told.and_then(|line| i32::try_from(line.number("exit_code")).ok());
        assert!(code.is_some() && code == told, "{code:?}: {stderr}\n{events:#?}");
        events
    }

    fn close(mut self) -> Counts {
        self.server.process.signal("TERM");
        let (code, stderr) = self.server.process.end();
        assert_eq!(code, Some(0), "{stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
        self.proxy.counts()
    }
}

//! The link seen from inside of both ends. Where the machine cannot have one, each test says so.
#![cfg(target_os = "linux")]

use std::io::{BufRead, BufReader};
use std::net::{TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use vodferry_testkit::net::link::{Link, LinkOptions, Shape, Way};

const MS: Duration = Duration::from_millis(1);

/// The shortest round trip of so many, in UDP.
fn round_trip(link: &Link, times: u32) -> Duration {
    let echo = link.b.run(|| UdpSocket::bind((link.b.address(), 0))).unwrap().unwrap();
    let ask = link.a.run(|| UdpSocket::bind((link.a.address(), 0))).unwrap().unwrap();
    for socket in [&echo, &ask] {
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    }
    ask.connect(echo.local_addr().unwrap()).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut byte = [0];
            for _ in 0..times {
                let (_, from) = echo.recv_from(&mut byte).unwrap();
                echo.send_to(&byte, from).unwrap();
            }
        });
        let trips = (0..times).map(|_| {
            let began = Instant::now();
            ask.send(&[1]).unwrap();
            ask.recv(&mut [0]).unwrap();
            began.elapsed()
        });
        trips.min().unwrap()
    })
}

fn is_alive(process: &str) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // A zombie is dead; who made it has only not looked yet.
    state.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
}

fn dies(process: &str) -> bool {
    let began = Instant::now();
    while is_alive(process) {
        if began.elapsed() > Duration::from_secs(20) {
            return false;
        }
        thread::sleep(20 * MS);
    }
    true
}

#[test]
fn a_round_trip_takes_its_time_and_can_be_changed() {
    let options = LinkOptions::both(Shape::new(100_000_000, 50 * MS));
    let Some(link) = Link::open_or_skip("a round trip", &options) else { return };
    let trip = round_trip(&link, 8);
    assert!((100 * MS..150 * MS).contains(&trip), "{trip:?}");
    link.set(Way::AToB, Shape::new(0, 5 * MS));
    link.set(Way::BToA, Shape::default());
    let trip = round_trip(&link, 20);
    assert!((5 * MS..50 * MS).contains(&trip), "{trip:?}");
    assert_eq!(link.traffic(Way::AToB).packets, 28);
    assert_eq!(link.traffic(Way::BToA).packets, 28);
}

#[test]
fn packets_are_lost_and_overtaken_by_chance() {
    let way = Shape::new(0, 20 * MS).with_loss_ppm(50_000).with_reorder(50_000, 15 * MS);
    let Some(link) = Link::open_or_skip("loss", &LinkOptions::both(way)) else { return };
    let sink = link.b.run(|| UdpSocket::bind((link.b.address(), 0))).unwrap().unwrap();
    let source = link.a.run(|| UdpSocket::bind((link.a.address(), 0))).unwrap().unwrap();
    sink.set_read_timeout(Some(500 * MS)).unwrap();
    source.connect(sink.local_addr().unwrap()).unwrap();
    let arrived: Vec<u32> = thread::scope(|scope| {
        let sink = scope.spawn(|| {
            let mut number = [0; 4];
            let mut numbers = Vec::new();
            while sink.recv(&mut number).is_ok() {
                numbers.push(u32::from_be_bytes(number));
            }
            numbers
        });
        for number in 0..4_000u32 {
            source.send(&number.to_be_bytes()).unwrap();
            if number % 20 == 0 {
                thread::sleep(2 * MS);
            }
        }
        sink.join().unwrap()
    });
    let traffic = link.traffic(Way::AToB);
    assert_eq!((traffic.packets, traffic.dropped, traffic.refused), (4_000, 0, 0));
    assert_eq!(traffic.delivered, 4_000 - traffic.lost);
    assert!((120..280).contains(&traffic.lost), "{traffic:?}");
    assert!((120..280).contains(&traffic.reordered), "{traffic:?}");
    let overtaken = arrived.windows(2).filter(|two| two[0] > two[1]).count();
    assert!(overtaken > 50, "{overtaken} of {}", arrived.len());
    assert_eq!(arrived.len() as u64, traffic.delivered);
}

#[test]
fn tcp_fills_the_line_and_no_more() {
    let way = Shape::new(100_000_000, 100 * MS).with_loss_ppm(100);
    let way = way.with_queue(200 * MS);
    let Some(link) = Link::open_or_skip("tcp", &LinkOptions::both(way)) else { return };
    link.a.sysctl("net.ipv4.tcp_wmem", "4096 262144 67108864").unwrap();
    link.b.sysctl("net.ipv4.tcp_rmem", "4096 262144 67108864").unwrap();
    let transfer = link.transfer(Way::AToB, 8, 8).unwrap();
    let rates: Vec<u64> = transfer.seconds.iter().map(|bytes| bytes * 8 / 1_000_000).collect();
    let traffic = link.traffic(Way::AToB);
    println!("100 Mbit/s, 200 ms, 0.01 % loss, 8 connections: {rates:?} Mbit/s; {traffic:?}");
    // What was held back behind a lost packet comes at once: only the whole says how fast the line is.
    assert!(transfer.rate_after(0) < 100_000_000, "{rates:?}");
    assert!(transfer.rate_after(0) > 30_000_000, "{rates:?}");
    assert_eq!(traffic.refused, 0);
}

#[test]
fn a_full_queue_drops() {
    let way = Shape::new(10_000_000, 10 * MS).with_queue(20 * MS);
    let Some(link) = Link::open_or_skip("queue", &LinkOptions::both(way)) else { return };
    let transfer = link.transfer(Way::AToB, 2, 3).unwrap();
    assert!(link.traffic(Way::AToB).dropped > 0);
    assert!(transfer.rate_after(1) > 4_000_000, "{transfer:?}");
}

#[test]
fn programs_run_inside_and_nothing_is_reachable_but_the_other_end() {
    let Some(link) = Link::open_or_skip("programs", &LinkOptions::default()) else { return };
    let mut server = link.b.command("sh");
    server.args(["-c", "ip -o address show"]);
    let shown = String::from_utf8(server.output().unwrap().stdout).unwrap();
    assert!(shown.contains("10.77.0.2/30"), "{shown}");
    assert!(!shown.contains("inet6"), "{shown}");
    let outside = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = outside.local_addr().unwrap();
    assert!(link.a.run(|| TcpStream::connect(address)).unwrap().is_err());
    assert!(link.a.run(|| TcpStream::connect("192.0.2.1:80")).unwrap().is_err());
}

#[test]
fn nothing_stays_behind() {
    let Some(link) = Link::open_or_skip("clean-up", &LinkOptions::default()) else { return };
    let script = "sleep 1000 & echo $!; wait";
    let mut shell = link.a.command("sh");
    let mut shell = shell.args(["-c", script]).stdout(Stdio::piped()).spawn().unwrap();
    let mut sleeper = String::new();
    BufReader::new(shell.stdout.take().unwrap()).read_line(&mut sleeper).unwrap();
    assert!(is_alive(sleeper.trim()));
    let panicked = thread::spawn(move || {
        let _inside = link;
        panic!("this panic is part of the test");
    });
    assert!(panicked.join().is_err());
    assert!(dies(sleeper.trim()), "a grandchild lives on");
    assert_eq!(shell.wait().unwrap().code(), None, "the child was not killed");
}

/// Set for the process of [`nothing_stays_behind_after_sigkill`] that is killed.
const VICTIM: &str = "VODFERRY_LINK_VICTIM";

#[test]
fn nothing_stays_behind_after_sigkill() {
    let options = LinkOptions::default();
    let Some(link) = Link::open_or_skip("clean-up after SIGKILL", &options) else { return };
    if std::env::var_os(VICTIM).is_some() {
        let mut sleeper = link.a.command("sleep").arg("1000").spawn().unwrap();
        println!("\nsleeper {}", sleeper.id());
        sleeper.wait().unwrap();
        return;
    }
    drop(link);
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "nothing_stays_behind_after_sigkill", "--nocapture"])
        .env(VICTIM, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(victim.stdout.take().unwrap()).lines();
    let mut lines = lines.map(|line| line.unwrap());
    let sleeper = lines.find_map(|line| line.strip_prefix("sleeper ").map(str::to_owned));
    let sleeper = sleeper.expect("the victim opens its link");
    assert!(is_alive(&sleeper));
    victim.kill().unwrap();
    victim.wait().unwrap();
    assert!(dies(&sleeper), "process {sleeper} lives on");
}

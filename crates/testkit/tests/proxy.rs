//! Each fault of the proxy as a plain TCP client and server see it.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use vodferry_testkit::net::proxy::{Again, Fault, Faults, Kind, Odds, Proxy, Way};

const PATIENCE: Duration = Duration::from_secs(30);
const MS: Duration = Duration::from_millis(1);

/// A server for one connection: `serve` gets it.
fn server<T: Send + 'static>(
    serve: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> (String, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let thread = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        serve(stream)
    });
    (address, thread)
}

/// All that comes until the end, and how it ended.
fn read_all(stream: &mut TcpStream) -> (Vec<u8>, Option<ErrorKind>) {
    let mut bytes = Vec::new();
    let end = stream.read_to_end(&mut bytes).err().map(|error| error.kind());
    (bytes, end)
}

fn connect(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn each(fault: Fault) -> Faults {
    Faults::Each(vec![fault])
}

/// Answers every line with `answer:` and the line.
fn echo(mut stream: TcpStream) {
    let mut byte = [0];
    let mut line = Vec::new();
    while stream.read(&mut byte).is_ok_and(|read| read == 1) {
        line.push(byte[0]);
        if byte[0] == b'\n' {
            let answer = [b"answer:", line.as_slice()].concat();
            line.clear();
            if stream.write_all(&answer).is_err() {
                return;
            }
        }
    }
}

fn read_exactly(stream: &mut TcpStream, length: usize) -> String {
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn without_faults_everything_passes_and_the_end_too() {
    let (address, received) = server(|mut stream| {
        let received = read_all(&mut stream);
        stream.write_all(&[7; 300_000]).unwrap();
        received
    });
    let proxy = Proxy::open(&address, Faults::None).unwrap();
    let mut client = connect(&proxy);
    client.write_all(&[1; 1_000_000]).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(&mut client), (vec![7; 300_000], None));
    assert_eq!(received.join().unwrap(), (vec![1; 1_000_000], None));
    let counts = proxy.counts();
    assert_eq!((counts.connections, counts.bytes_up, counts.bytes_down), (1, 1_000_000, 300_000));
    assert_eq!(counts.faults(), 0);
}

#[test]
fn a_cut_after_so_many_bytes_up() {
    let (address, received) = server(|mut stream| read_all(&mut stream));
    let proxy = Proxy::open(&address, each(Fault::Cut { way: Way::Up, after: 70_001 })).unwrap();
    let mut client = connect(&proxy);
    client.write_all(&[1; 100_000]).unwrap();
    assert_eq!(read_all(&mut client), (vec![], None), "an orderly end");
    assert_eq!(received.join().unwrap(), (vec![1; 70_001], None));
    assert_eq!(proxy.counts().cuts, 1);
}

#[test]
fn a_cut_before_the_first_byte_of_an_answer_loses_the_answer_alone() {
    let (address, _server) = server(echo);
    let proxy = Proxy::open(&address, each(Fault::Cut { way: Way::Down, after: 0 })).unwrap();
    let mut client = connect(&proxy);
    client.write_all(b"x\n").unwrap();
    assert_eq!(read_all(&mut client), (vec![], None));
    let counts = proxy.counts();
    assert_eq!((counts.bytes_up, counts.bytes_down, counts.cuts), (2, 0, 1));
}

#[test]
fn a_reset_is_a_reset_on_both_sides() {
    let (address, received) = server(|mut stream| read_all(&mut stream));
    let proxy = Proxy::open(&address, each(Fault::Reset { way: Way::Up, after: 1 })).unwrap();
    let mut client = connect(&proxy);
    client.write_all(b"xy").unwrap();
    assert_eq!(read_all(&mut client).1, Some(ErrorKind::ConnectionReset));
    assert_eq!(received.join().unwrap().1, Some(ErrorKind::ConnectionReset));
    assert_eq!(proxy.counts().resets, 1);
}

#[test]
fn a_half_close_up_lets_the_server_answer() {
    let (address, received) = server(|mut stream| {
        let received = read_all(&mut stream);
        stream.write_all(b"early").unwrap();
        received
    });
    let fault = Fault::HalfClose { way: Way::Up, after: 3 };
    let proxy = Proxy::open(&address, each(fault)).unwrap();
    let mut client = connect(&proxy);
    client.write_all(b"abcdef").unwrap();
    assert_eq!(read_exactly(&mut client, 5), "early");
    assert_eq!(received.join().unwrap(), (b"abc".to_vec(), None));
    assert_eq!(proxy.counts().half_closes, 1);
}

#[test]
fn a_half_close_down_lets_the_client_go_on() {
    let (address, received) = server(|mut stream| {
        stream.write_all(b"abcdef").unwrap();
        read_all(&mut stream)
    });
    let fault = Fault::HalfClose { way: Way::Down, after: 3 };
    let proxy = Proxy::open(&address, each(fault)).unwrap();
    let mut client = connect(&proxy);
    assert_eq!(read_all(&mut client), (b"abc".to_vec(), None));
    client.write_all(b"still here").unwrap();
    drop(client);
    assert_eq!(received.join().unwrap(), (b"still here".to_vec(), None));
}

#[test]
fn a_stall_is_over_after_its_time_and_loses_nothing() {
    let (address, received) = server(|mut stream| read_all(&mut stream));
    let fault = Fault::Stall { way: Way::Up, after: 10, time: 300 * MS };
    let proxy = Proxy::open(&address, each(fault)).unwrap();
    let began = Instant::now();
    let mut client = connect(&proxy);
    client.write_all(&[3; 50_000]).unwrap();
    drop(client);
    assert_eq!(received.join().unwrap(), (vec![3; 50_000], None));
    assert!(began.elapsed() >= 300 * MS, "{:?}", began.elapsed());
    assert_eq!(proxy.counts().stalls, 1);
}

#[test]
fn a_slow_way_keeps_its_pace() {
    let (address, _server) = server(|mut stream| stream.write_all(&[5; 50_000]).unwrap());
    let fault = Fault::Slow { way: Way::Down, bytes_per_second: 100_000 };
    let proxy = Proxy::open(&address, each(fault)).unwrap();
    let began = Instant::now();
    assert_eq!(read_all(&mut connect(&proxy)), (vec![5; 50_000], None));
    let took = began.elapsed();
    assert!(took >= 400 * MS && took < 20_000 * MS, "{took:?}");
    assert_eq!(proxy.counts().slowed, 1);
}

#[test]
fn a_black_hole_takes_everything_and_says_nothing() {
    let (address, _server) = server(echo);
    let fault = Fault::BlackHole { way: Way::Up, after: 2 };
    let proxy = Proxy::open(&address, each(fault)).unwrap();
    let mut client = connect(&proxy);
    client.write_all(b"a\n").unwrap();
    assert_eq!(read_exactly(&mut client, 9), "answer:a\n");
    client.write_all(&[b'\n'; 100_000]).unwrap();
    client.set_read_timeout(Some(300 * MS)).unwrap();
    assert_eq!(read_all(&mut client), (vec![], Some(ErrorKind::WouldBlock)));
    let counts = proxy.counts();
    assert_eq!((counts.black_holes, counts.bytes_up), (1, 2));
}

#[test]
fn an_answer_is_truncated_and_the_connection_closed() {
    let (address, _server) = server(echo);
    let fault = Fault::Truncate { answer: 1, keep: 4 };
    let proxy = Proxy::open(&address, each(fault)).unwrap();
    let mut client = connect(&proxy);
    client.write_all(b"a\n").unwrap();
    assert_eq!(read_exactly(&mut client, 9), "answer:a\n");
    client.write_all(b"b\n").unwrap();
    assert_eq!(read_all(&mut client), (b"answ".to_vec(), None));
    assert_eq!(proxy.counts().truncated, 1);
}

#[test]
fn an_answer_arrives_twice_at_once() {
    let (address, _server) = server(echo);
    let fault = Fault::Duplicate { answer: 0, again: Again::AtOnce };
    let proxy = Proxy::open(&address, each(fault)).unwrap();
    let mut client = connect(&proxy);
    client.write_all(b"a\n").unwrap();
    assert_eq!(read_exactly(&mut client, 18), "answer:a\nanswer:a\n");
    client.write_all(b"b\n").unwrap();
    assert_eq!(read_exactly(&mut client, 9), "answer:b\n");
    assert_eq!(proxy.counts().duplicated, 1);
}

#[test]
fn an_answer_arrives_again_before_the_next_one() {
    let (address, _server) = server(echo);
    let fault = Fault::Duplicate { answer: 0, again: Again::BeforeNext };
    let proxy = Proxy::open(&address, each(fault)).unwrap();
    let mut client = connect(&proxy);
    client.write_all(b"a\n").unwrap();
    assert_eq!(read_exactly(&mut client, 9), "answer:a\n");
    client.set_read_timeout(Some(100 * MS)).unwrap();
    assert_eq!(client.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock, "not yet");
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.write_all(b"b\n").unwrap();
    assert_eq!(read_exactly(&mut client, 18), "answer:a\nanswer:b\n");
}

#[test]
fn the_door_closes_and_opens_again() {
    let (address, _server) = server(echo);
    let proxy = Proxy::open(&address, Faults::None).unwrap();
    proxy.refuse(true).unwrap();
    let refused = TcpStream::connect(proxy.address()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    proxy.refuse(false).unwrap();
    let mut client = connect(&proxy);
    client.write_all(b"a\n").unwrap();
    assert_eq!(read_exactly(&mut client, 9), "answer:a\n");
    proxy.refuse(true).unwrap();
    client.write_all(b"b\n").unwrap();
    assert_eq!(read_exactly(&mut client, 9), "answer:b\n", "what stands goes on");
    assert_eq!(proxy.counts().connections, 1);
}

#[test]
fn all_are_cut_or_frozen_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || echo(stream.unwrap()));
        }
    });
    let proxy = Proxy::open(&address, Faults::None).unwrap();
    let mut clients: Vec<TcpStream> = (0..5).map(|_| connect(&proxy)).collect();
    let mut ask = |client: &mut TcpStream| {
        client.write_all(b"a\n").unwrap();
        assert_eq!(read_exactly(client, 9), "answer:a\n");
    };
    clients.iter_mut().for_each(&mut ask);
    proxy.freeze(300 * MS);
    let began = Instant::now();
    clients.iter_mut().for_each(&mut ask);
    assert!(began.elapsed() >= 290 * MS, "{:?}", began.elapsed());
    proxy.cut_all();
    for client in &mut clients {
        assert_eq!(read_all(client), (vec![], None));
    }
    let mut again = connect(&proxy);
    ask(&mut again);
    proxy.reset_all();
    assert_eq!(read_all(&mut again).1, Some(ErrorKind::ConnectionReset));
    let counts = proxy.counts();
    assert_eq!((counts.connections, counts.ended, counts.freezes), (6, 6, 1));
}

#[test]
fn no_server_is_a_reset_and_another_one_can_be_named() {
    let (address, _server) = server(echo);
    let nowhere = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let proxy = Proxy::open(&nowhere, Faults::None).unwrap();
    assert_eq!(read_all(&mut connect(&proxy)).1, Some(ErrorKind::ConnectionReset));
    assert_eq!(proxy.counts().unreachable, 1);
    proxy.forward_to(&address);
    let mut client = connect(&proxy);
    client.write_all(b"a\n").unwrap();
    assert_eq!(read_exactly(&mut client, 9), "answer:a\n");
}

#[test]
fn a_seed_breaks_connections_and_never_alters_what_passes() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || echo(stream.unwrap()));
        }
    });
    let mut odds = Odds::new(11).with_per_mille(800);
    odds.most_bytes = 100;
    odds.longest_stall = 5 * MS;
    let odds = odds.with_kinds(&[
        Kind::Cut,
        Kind::Reset,
        Kind::HalfClose,
        Kind::Stall,
        Kind::Slow,
        Kind::Truncate,
    ]);
    let proxy = Proxy::open(&address, Faults::Seeded(odds)).unwrap();
    let mut whole = 0;
    for _ in 0..150 {
        let mut client = connect(&proxy);
        let _ = client.write_all(b"0123456789\n0123456789\n");
        let _ = client.shutdown(Shutdown::Write);
        let (bytes, _) = read_all(&mut client);
        let expected = b"answer:0123456789\nanswer:0123456789\n";
        assert!(expected.starts_with(&bytes), "{}", String::from_utf8_lossy(&bytes));
        whole += usize::from(bytes == expected);
    }
    let counts = proxy.counts();
    println!("whole: {whole}; {counts:?}");
    let kinds = [counts.cuts, counts.resets, counts.half_closes, counts.stalls, counts.slowed];
    assert!(kinds.iter().all(|count| *count > 0) && counts.truncated > 0, "{counts:?}");
    assert!((30..140).contains(&whole), "{whole}");
}

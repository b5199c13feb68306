//! What plain TCP reaches over a link: the floor beside which an uploader's speed is read.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::{Link, Way};

/// Bytes that arrived in each second of a transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// One figure for each whole second.
    pub seconds: Vec<u64>,
}

impl Transfer {
    /// Bits per second from this second on; 0 when the transfer was no longer than that.
    pub fn rate_after(&self, second: usize) -> u64 {
        let seconds = self.seconds.get(second..).unwrap_or_default();
        let bytes: u64 = seconds.iter().sum();
        bytes * 8 / (seconds.len() as u64).max(1)
    }
}

impl Link {
    /// Sends over so many connections at once as fast as TCP goes, for so many seconds.
    ///
    /// # Errors
    /// When a connection cannot be made.
    pub fn transfer(&self, way: Way, connections: usize, seconds: u64) -> io::Result<Transfer> {
        let (from, to) = match way {
            Way::AToB => (&self.a, &self.b),
            Way::BToA => (&self.b, &self.a),
        };
        let listener = to.run(|| TcpListener::bind((to.address(), 0)))??;
        let address = listener.local_addr()?;
        let received = AtomicU64::new(0);
        let mut pairs = Vec::new();
        for _ in 0..connections {
            let stream = from.run(|| TcpStream::connect(address))??;
            let (sink, _) = listener.accept()?;
            sink.set_read_timeout(Some(Duration::from_millis(100)))?;
            stream.set_write_timeout(Some(Duration::from_millis(100)))?;
            pairs.push((stream, sink));
        }
        let end = Instant::now() + Duration::from_secs(seconds);
        let mut transfer = Transfer { seconds: Vec::new() };
        thread::scope(|scope| {
            for (stream, sink) in pairs {
                let received = &received;
                scope.spawn(move || send(stream, end));
                scope.spawn(move || receive(sink, end, received));
            }
            let mut before = 0;
            for second in (0..seconds).rev() {
                let next = end - Duration::from_secs(second);
                thread::sleep(next.saturating_duration_since(Instant::now()));
                let now = received.load(Ordering::Relaxed);
                transfer.seconds.push(now - before);
                before = now;
            }
            Ok(transfer)
        })
    }
}

fn send(mut stream: TcpStream, end: Instant) {
    let bytes = vec![0x5a; 256 << 10];
    while Instant::now() < end {
        match stream.write(&bytes) {
            Err(error) if !is_patience(&error) => return,
            _ => {}
        }
    }
}

fn receive(mut stream: TcpStream, end: Instant, received: &AtomicU64) {
    let mut buffer = vec![0; 256 << 10];
    while Instant::now() < end {
        match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(length) => {
                received.fetch_add(length as u64, Ordering::Relaxed);
            }
            Err(error) if is_patience(&error) => {}
            Err(_) => return,
        }
    }
}

fn is_patience(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
    )
}

//! A TCP proxy between one client and one server that breaks connections on purpose: cuts, resets, half-closes, stalls, a slow line, black holes, truncated
//! and duplicated answers; and, for all connections at once, a closed door, a freeze, or a cut.
//!
//! It runs on a thread of its own, so that it serves tests with and without a runtime. It knows nothing of what it carries: an *answer* is what the server
//! says between two bytes of the client.
//!
//! ```
//! use std::io::{Read, Write};
//! use std::net::{TcpListener, TcpStream};
//! use vodferry_testkit::net::proxy::{Fault, Faults, Proxy, Way};
//!
//! let server = TcpListener::bind("127.0.0.1:0")?;
//! // The first connection is reset after 3 bytes of the answer; the second is well.
//! let reset = Fault::Reset { way: Way::Down, after: 3 };
//! let proxy = Proxy::open(&server.local_addr()?.to_string(), Faults::Script(vec![vec![reset]]))?;
//! std::thread::spawn(move || {
//!     for client in server.incoming() {
//!         client.unwrap().write_all(b"hello").unwrap();
//!     }
//! });
//! let mut text = String::new();
//! assert!(TcpStream::connect(proxy.address())?.read_to_string(&mut text).is_err());
//! text.clear();
//! TcpStream::connect(proxy.address())?.read_to_string(&mut text)?;
//! assert_eq!(text, "hello");
//! assert_eq!(proxy.counts().resets, 1);
//! # Ok::<(), std::io::Error>(())
//! ```

mod connection;
mod faults;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

pub use faults::{Again, Fault, Faults, Kind, Odds, Way};

use faults::Planner;

/// A proxy at work, until dropped; its connections end with it.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    doors: Option<mpsc::UnboundedSender<Door>>,
    thread: Option<JoinHandle<()>>,
}

/// What happened until now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Connections that clients made.
    pub connections: u64,
    /// Of these, those for which no server was there; they were reset.
    pub unreachable: u64,
    /// Bytes that went to the server.
    pub bytes_up: u64,
    /// Bytes that went to the client, copies apart.
    pub bytes_down: u64,
    /// [`Fault::Cut`]s that happened.
    pub cuts: u64,
    /// [`Fault::Reset`]s that happened.
    pub resets: u64,
    /// [`Fault::HalfClose`]s that happened.
    pub half_closes: u64,
    /// [`Fault::Stall`]s that happened.
    pub stalls: u64,
    /// Ways of connections that were slow.
    pub slowed: u64,
    /// [`Fault::BlackHole`]s that were reached.
    pub black_holes: u64,
    /// Answers truncated.
    pub truncated: u64,
    /// Answers duplicated.
    pub duplicated: u64,
    /// Connections that [`Proxy::cut_all`] and [`Proxy::reset_all`] ended.
    pub ended: u64,
    /// Calls of [`Proxy::freeze`].
    pub freezes: u64,
}

impl Counts {
    /// Faults that happened, of all kinds.
    pub fn faults(&self) -> u64 {
        let broken = self.cuts + self.resets + self.half_closes + self.truncated + self.ended;
        broken + self.stalls + self.slowed + self.black_holes + self.duplicated + self.freezes
    }
}

/// How connections end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Orderly,
    Reset,
}

/// Whether connects are refused, and whom to tell when it is so.
struct Door {
    open: bool,
    done: std::sync::mpsc::Sender<io::Result<()>>,
}

struct Shared {
    upstream: Mutex<String>,
    planner: Mutex<Planner>,
    counts: Mutex<Counts>,
    /// Each change ends all connections.
    end: watch::Sender<Option<End>>,
    frozen_until: watch::Sender<Option<Instant>>,
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1, in the network namespace of the calling thread. `upstream` is the server's `ADDRESS:PORT`.
    ///
    /// # Errors
    /// When no port or thread is to be had.
    pub fn open(upstream: &str, faults: Faults) -> io::Result<Proxy> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let shared = Arc::new(Shared {
            upstream: Mutex::new(upstream.to_owned()),
            planner: Mutex::new(Planner::new(faults)),
            counts: Mutex::default(),
            end: watch::Sender::new(None),
            frozen_until: watch::Sender::new(None),
        });
        // Bound all the time, listening or not, so that nobody else gets the port while connects are refused.
        let (reserved, listener) = {
            let _inside = runtime.enter();
            let reserved = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
            let listener = listen(reserved.local_addr()?)?;
            (reserved, listener)
        };
        let address = listener.local_addr()?;
        let (doors, orders) = mpsc::unbounded_channel();
        let serving = shared.clone();
        let thread = thread::Builder::new().name("proxy".to_owned()).spawn(move || {
            runtime.block_on(serve(&serving, listener, orders));
            // Connections end here, with the tasks that carry them.
            drop(runtime);
            drop(reserved);
        })?;
        Ok(Proxy { address, shared, doors: Some(doors), thread: Some(thread) })
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Another server, from the next connection on.
    pub fn forward_to(&self, upstream: &str) {
        *lock(&self.shared.upstream) = upstream.to_owned();
    }

    /// Other faults, from the next connection on. A script and a seed begin anew.
    pub fn set(&self, faults: Faults) {
        *lock(&self.shared.planner) = Planner::new(faults);
    }

    /// Ends all connections in an orderly way.
    pub fn cut_all(&self) {
        self.shared.end.send_replace(Some(End::Orderly));
    }

    /// Resets all connections.
    pub fn reset_all(&self) {
        self.shared.end.send_replace(Some(End::Reset));
    }

    /// Nothing passes on any connection for a time, counted from now; new ones are accepted and stand still too.
    pub fn freeze(&self, time: Duration) {
        self.shared.count(|counts| counts.freezes += 1);
        self.shared.frozen_until.send_replace(Some(Instant::now() + time));
    }

    /// Whether connects are refused (ECONNREFUSED). Connections that stand go on. Returns when it is so.
    ///
    /// # Errors
    /// When the port cannot be listened on again.
    pub fn refuse(&self, refuse: bool) -> io::Result<()> {
        let (done, is_done) = std::sync::mpsc::channel();
        let gone = || io::Error::other("the proxy's thread has ended");
        let doors = self.doors.as_ref().ok_or_else(gone)?;
        doors.send(Door { open: !refuse, done }).map_err(|_| gone())?;
        is_done.recv().map_err(|_| gone())?
    }

    /// What happened until now.
    pub fn counts(&self) -> Counts {
        *lock(&self.shared.counts)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.doors.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn count(&self, add: impl FnOnce(&mut Counts)) {
        add(&mut lock(&self.counts));
    }
}

/// Accepts until the proxy is dropped.
async fn serve(
    shared: &Arc<Shared>,
    listener: TcpListener,
    mut orders: mpsc::UnboundedReceiver<Door>,
) {
    let Ok(address) = listener.local_addr() else { return };
    let mut listener = Some(listener);
    loop {
        let accept = async {
            match &listener {
                Some(listener) => listener.accept().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            order = orders.recv() => {
                let Some(Door { open, done }) = order else { return };
                let mut result = Ok(());
                if !open {
                    listener = None;
                } else if listener.is_none() {
                    match listen(address) {
                        Ok(again) => listener = Some(again),
                        Err(error) => result = Err(error),
                    }
                }
                let _ = done.send(result);
            }
            accepted = accept => {
                let Ok((client, _)) = accepted else { continue };
                tokio::spawn(one(shared.clone(), client));
            }
        }
    }
}

async fn one(shared: Arc<Shared>, client: TcpStream) {
    shared.count(|counts| counts.connections += 1);
    let end = shared.end.subscribe();
    let plan = lock(&shared.planner).next();
    let upstream = lock(&shared.upstream).clone();
    let Ok(server) = TcpStream::connect(upstream).await else {
        shared.count(|counts| counts.unreachable += 1);
        let _ = client.set_zero_linger();
        return;
    };
    connection::carry(&shared, client, server, plan, end).await;
}

fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    bind(address)?.listen(1024)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

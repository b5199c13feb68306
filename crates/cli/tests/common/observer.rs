//! A forwarder between client and server that sees the wire: client → observer → server.
//!
//! It speaks just enough HTTP/1.1 to know where a request and its reply begin and end, and passes everything else through
//! untouched, as it comes. Of each exchange it records when its head came, when its body was handed to the server whole, what
//! the server answered, and when the client had the answer (see [`Exchange`]). Moments are *ticks*: one for each of
//! these steps and one for each piece of a body, so that a test can name a moment without a clock.
//!
//! A test can act on what passes: a [trap](Observer::trap) runs at a tick, a [hook](Observer::hook) sees each reply before the client does,
//! and may alter its head or cut the connection. Both run on the thread that forwards, which stands still meanwhile.
//!
//! Signatures hold because they do not cover the host. Point the client at it with `serve --public-endpoint`.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Instant;

use super::PATIENCE;

/// The largest piece of a body that passes between two ticks.
const PIECE: usize = 64 << 10;
/// Replies up to this long are kept: all but downloads.
const MOST_KEPT: usize = 1 << 20;

pub struct Observer {
    /// `http://127.0.0.1:PORT`
    pub url: String,
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// A request and what became of it. `None`: not yet, or never.
#[derive(Clone)]
pub struct Exchange {
    /// The [run](Observer::next_run) of the client that sent it.
    pub run: u32,
    pub method: String,
    /// As on the wire, without the query.
    pub path: String,
    pub query: String,
    /// Tick: the head is here.
    pub began: u64,
    /// Tick: the whole body was handed to the server.
    pub delivered: Option<u64>,
    /// Tick: the head of the reply came from the server.
    pub answered: Option<u64>,
    /// Tick: the whole reply was handed to the client.
    pub returned: Option<u64>,
    pub status: Option<u16>,
    /// The reply's body, unless it is long.
    pub reply: Vec<u8>,
}

/// What an exchange is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    Initiate,
    UploadPart {
        upload_id: String,
        number: u64,
    },
    ListParts {
        upload_id: String,
    },
    Complete {
        upload_id: String,
    },
    Abort {
        upload_id: String,
    },
    /// Everything else, by its method.
    Other(String),
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Exchange {
            run, method, path, query, began, delivered, answered, returned, status, ..
        } = self;
        write!(f, "run {run}: {method} {path}?{query} [{began} ")?;
        write!(f, "delivered {delivered:?} answered {answered:?} returned {returned:?}] {status:?}")
    }
}

impl Exchange {
    pub fn op(&self) -> Op {
        let upload_id = self.query_value("uploadId");
        let number = self.query_value("partNumber").and_then(|number| number.parse().ok());
        match (self.method.as_str(), upload_id, number) {
            ("PUT", Some(upload_id), Some(number)) => Op::UploadPart { upload_id, number },
            ("GET", Some(upload_id), None) => Op::ListParts { upload_id },
            ("POST", Some(upload_id), None) => Op::Complete { upload_id },
            ("DELETE", Some(upload_id), None) => Op::Abort { upload_id },
            ("POST", None, None) if self.query_value("uploads").is_some() => Op::Initiate,
            _ => Op::Other(self.method.clone()),
        }
    }

    pub fn is_complete(&self) -> bool {
        matches!(self.op(), Op::Complete { .. })
    }

    pub fn is_part(&self) -> bool {
        matches!(self.op(), Op::UploadPart { .. })
    }

    /// Whether the server said yes.
    pub fn is_ok(&self) -> bool {
        self.status == Some(200)
    }

    /// The part numbers that a reply to ListParts names.
    pub fn listed(&self) -> Vec<u64> {
        let reply = String::from_utf8_lossy(&self.reply);
        let numbers = reply.split("<PartNumber>").skip(1);
        numbers.map(|rest| rest.split('<').next().unwrap().parse().unwrap()).collect()
    }

    /// One parameter of the query; a bare name is empty. Upload ids and numbers need no decoding.
    pub fn query_value(&self, name: &str) -> Option<String> {
        let found = self.query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        found.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
    }
}

/// The head of a reply, to be altered by a [hook](Observer::hook).
pub struct ReplyHead {
    lines: Vec<String>,
}

impl ReplyHead {
    pub fn set(&mut self, name: &str, value: &str) {
        self.lines.retain(|line| !is_header(line, name));
        self.lines.push(format!("{name}: {value}"));
    }

    fn get(&self, name: &str) -> Option<&str> {
        let line = self.lines.iter().find(|line| is_header(line, name))?;
        line.split_once(':').map(|(_, value)| value.trim())
    }

    fn status(&self) -> Option<u16> {
        self.lines.first()?.split(' ').nth(1)?.parse().ok()
    }
}

/// What a hook wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Forward,
    /// The request, or the reply, is lost, and the connection with it.
    Cut,
}

type Trap = Box<dyn FnOnce() + Send>;
type Gate = dyn Fn(&Exchange) -> Verdict + Send + Sync;
type Hook = dyn Fn(&Exchange, &mut ReplyHead) -> Verdict + Send + Sync;

struct Shared {
    upstream: Mutex<String>,
    run: AtomicU32,
    state: Mutex<State>,
    changed: Condvar,
    gate: Mutex<Option<Arc<Gate>>>,
    hook: Mutex<Option<Arc<Hook>>>,
}

#[derive(Default)]
struct State {
    ticks: u64,
    exchanges: Vec<Exchange>,
    trap: Option<(u64, Trap)>,
    accepted: Option<SocketAddr>,
}

impl Observer {
    /// Listens on a free port. [`forward_to`](Self::forward_to) says where to.
    pub fn new() -> Observer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            upstream: Mutex::default(),
            run: AtomicU32::new(0),
            state: Mutex::default(),
            changed: Condvar::new(),
            gate: Mutex::default(),
            hook: Mutex::default(),
        });
        let accepting = shared.clone();
        thread::spawn(move || accept(&listener, &accepting));
        Observer { url: format!("http://{address}"), address, shared }
    }

    /// The server's `ADDRESS:PORT`. A server that is not there is a connection that closes.
    pub fn forward_to(&self, address: &str) {
        *self.shared.upstream.lock().unwrap() = address.to_owned();
    }

    /// Tells requests of the next client from those of the last, which must be dead. What that one left in the system's
    /// queues still counts as its own.
    pub fn next_run(&self) -> u32 {
        // Connections are accepted in order: when this one was, so were all that were made before.
        let mark = TcpStream::connect(self.address).unwrap();
        let mark = mark.local_addr().unwrap();
        let mut state = self.shared.lock();
        let began = Instant::now();
        while state.accepted != Some(mark) {
            let left = PATIENCE.checked_sub(began.elapsed()).expect("the observer accepts nothing");
            state = self.shared.changed.wait_timeout(state, left).unwrap().0;
        }
        self.shared.run.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// All exchanges until now, in the order in which they began.
    pub fn exchanges(&self) -> Vec<Exchange> {
        self.shared.lock().exchanges.clone()
    }

    /// Runs `act` so many ticks from now, once. It replaces a trap that is still open.
    pub fn trap(&self, ticks: u64, act: impl FnOnce() + Send + 'static) {
        let mut state = self.shared.lock();
        state.trap = Some((state.ticks + ticks, Box::new(act)));
    }

    /// Takes an open trap away. False: it is running or was run.
    pub fn disarm(&self) -> bool {
        self.shared.lock().trap.take().is_some()
    }

    /// Runs at each request, when its head came and before the server has any of it: [`Verdict::Cut`] loses it.
    pub fn gate(&self, gate: impl Fn(&Exchange) -> Verdict + Send + Sync + 'static) {
        *self.shared.gate.lock().unwrap() = Some(Arc::new(gate));
    }

    /// Runs at each reply, when its head came and before the client has any of it.
    pub fn hook(
        &self,
        hook: impl Fn(&Exchange, &mut ReplyHead) -> Verdict + Send + Sync + 'static,
    ) {
        *self.shared.hook.lock().unwrap() = Some(Arc::new(hook));
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Counts one tick, notes it in the exchange, and springs the trap that waits for it.
    fn tick(&self, id: usize, note: impl FnOnce(&mut Exchange, u64)) {
        let mut state = self.lock();
        state.ticks += 1;
        let now = state.ticks;
        note(&mut state.exchanges[id], now);
        let due = state.trap.as_ref().is_some_and(|(at, _)| *at <= now);
        let trap = if due { state.trap.take() } else { None };
        self.changed.notify_all();
        drop(state);
        if let Some((_, act)) = trap {
            act();
        }
    }

    fn begin(&self, run: u32, line: &str) -> io::Result<usize> {
        let mut words = line.split(' ');
        let (Some(method), Some(target)) = (words.next(), words.next()) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let exchange = Exchange {
            run,
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            began: 0,
            delivered: None,
            answered: None,
            returned: None,
            status: None,
            reply: Vec::new(),
        };
        let mut state = self.lock();
        state.exchanges.push(exchange);
        let id = state.exchanges.len() - 1;
        drop(state);
        self.tick(id, |exchange, now| exchange.began = now);
        Ok(id)
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for client in listener.incoming() {
        let Ok(client) = client else { continue };
        let run = shared.run.load(Ordering::SeqCst);
        shared.lock().accepted = client.peer_addr().ok();
        shared.changed.notify_all();
        let shared = shared.clone();
        thread::spawn(move || {
            // Whatever breaks, both ends learn of it by their connection closing.
            let _ = connection(&shared, run, client);
        });
    }
}

/// Exchange by exchange, until either side closes.
fn connection(shared: &Shared, run: u32, client: TcpStream) -> io::Result<()> {
    client.set_nodelay(true)?;
    client.set_read_timeout(Some(PATIENCE))?;
    client.set_write_timeout(Some(PATIENCE))?;
    let mut from_client = BufReader::with_capacity(PIECE, client.try_clone()?);
    let mut server: Option<(TcpStream, BufReader<TcpStream>)> = None;
    loop {
        let head = read_head(&mut from_client)?;
        let Some(line) = head.first() else { return Ok(()) };
        let id = shared.begin(run, line)?;
        let gate = shared.gate.lock().unwrap().clone();
        if gate.is_some_and(|gate| gate(&shared.lock().exchanges[id].clone()) == Verdict::Cut) {
            return Ok(());
        }
        let (to_server, from_server) = match &mut server {
            Some(open) => open,
            none => {
                let address = shared.upstream.lock().unwrap().clone();
                let stream = TcpStream::connect(address)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                none.insert((stream.try_clone()?, BufReader::with_capacity(PIECE, stream)))
            }
        };
        write_head(to_server, &head)?;
        // A server may answer before it has the whole body: both directions are open at once.
        let (sent, returned) = thread::scope(|scope| {
            let to_server: &TcpStream = to_server;
            let from_client = &mut from_client;
            let sent = scope.spawn(move || {
                let sent = send_body(shared, id, &head, from_client, to_server);
                if sent.as_ref().is_err_and(|cut| *cut == CutAt::Client) {
                    let _ = to_server.shutdown(Shutdown::Both);
                }
                sent.is_ok()
            });
            let returned = return_reply(shared, id, from_server, &client);
            if returned.is_err() {
                // The sender may be waiting for the client's next bytes.
                let _ = client.shutdown(Shutdown::Both);
            }
            (sent.join().unwrap_or(false), returned)
        });
        if !returned? || !sent {
            return Ok(());
        }
    }
}

/// Which side broke a body off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CutAt {
    Client,
    Server,
}

fn send_body(
    shared: &Shared,
    id: usize,
    head: &[String],
    from: &mut impl BufRead,
    mut to: &TcpStream,
) -> Result<(), CutAt> {
    let length = head.iter().find(|line| is_header(line, "content-length"));
    let length = length.and_then(|line| line.split_once(':')?.1.trim().parse::<u64>().ok());
    let mut left = length.unwrap_or(0);
    while left > 0 {
        let piece = from.fill_buf().map_err(|_| CutAt::Client)?;
        let piece = &piece[..piece.len().min(usize::try_from(left).unwrap_or(usize::MAX))];
        if piece.is_empty() {
            return Err(CutAt::Client);
        }
        to.write_all(piece).map_err(|_| CutAt::Server)?;
        let taken = piece.len();
        from.consume(taken);
        left -= taken as u64;
        if left > 0 {
            shared.tick(id, |_, _| ());
        }
    }
    shared.tick(id, |exchange, now| exchange.delivered = Some(now));
    Ok(())
}

/// Gives the reply to the client; false when the server ends the connection with it.
fn return_reply(
    shared: &Shared,
    id: usize,
    from: &mut impl BufRead,
    mut to: &TcpStream,
) -> io::Result<bool> {
    let cut = || io::Error::from(io::ErrorKind::UnexpectedEof);
    let mut head = ReplyHead { lines: read_head(from)? };
    let status = head.status().ok_or_else(cut)?;
    shared.tick(id, |exchange, now| {
        exchange.answered = Some(now);
        exchange.status = Some(status);
    });
    let exchange = shared.lock().exchanges[id].clone();
    let hook = shared.hook.lock().unwrap().clone();
    if hook.is_some_and(|hook| hook(&exchange, &mut head) == Verdict::Cut) {
        return Err(cut());
    }
    write_head(&mut to, &head.lines)?;
    let length = head.get("content-length").and_then(|length| length.parse::<u64>().ok());
    let chunked = head.get("transfer-encoding").is_some_and(|coding| coding.contains("chunked"));
    let mut kept = Vec::new();
    if exchange.method == "HEAD" || matches!(status, 204 | 304) {
        // No body, whatever the head says.
    } else if chunked {
        loop {
            let size = read_line(from)?;
            to.write_all(format!("{size}\r\n").as_bytes())?;
            let digits = size.split(';').next().unwrap_or("").trim();
            let size = u64::from_str_radix(digits, 16).map_err(|_| cut())?;
            pass(from, to, size, &mut kept)?;
            pass(from, to, 2, &mut Vec::new())?;
            if size == 0 {
                break;
            }
        }
    } else {
        pass(from, to, length.unwrap_or(0), &mut kept)?;
    }
    shared.tick(id, |exchange, now| {
        exchange.returned = Some(now);
        exchange.reply = kept;
    });
    Ok(!head.get("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")))
}

fn pass(
    from: &mut impl Read,
    mut to: &TcpStream,
    length: u64,
    kept: &mut Vec<u8>,
) -> io::Result<()> {
    let mut left = length;
    let mut buffer = vec![0; PIECE];
    while left > 0 {
        let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let read = from.read(&mut buffer[..most])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        to.write_all(&buffer[..read])?;
        if kept.len() + read <= MOST_KEPT {
            kept.extend_from_slice(&buffer[..read]);
        }
        left -= read as u64;
    }
    Ok(())
}

/// The lines of a head, without the empty one; none at the end of the connection.
fn read_head(from: &mut impl BufRead) -> io::Result<Vec<String>> {
    let mut lines = Vec::new();
    loop {
        let line = match read_line(from) {
            Err(error) if lines.is_empty() && error.kind() == io::ErrorKind::UnexpectedEof => {
                return Ok(lines);
            }
            other => other?,
        };
        if line.is_empty() {
            return Ok(lines);
        }
        lines.push(line);
    }
}

fn read_line(from: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    from.read_until(b'\n', &mut line)?;
    let text = String::from_utf8_lossy(&line);
    let text = text.strip_suffix("\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(text.to_owned())
}

fn write_head(to: &mut impl Write, lines: &[String]) -> io::Result<()> {
    let mut head = lines.join("\r\n");
    head.push_str("\r\n\r\n");
    to.write_all(head.as_bytes())
}

fn is_header(line: &str, name: &str) -> bool {
    line.split_once(':').is_some_and(|(found, _)| found.eq_ignore_ascii_case(name))
}

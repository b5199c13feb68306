//! Carries packets from one device to another, as late and as few as the shape says.
//!
//! Two threads for each way: one reads and decides, one waits and writes. Between them stands a heap ordered by arrival.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tun_rs::{InterruptEvent, SyncDevice};

use super::shape::{Fate, Gate, Shape};

/// Buffers kept for reuse, and packets written without looking at the heap again.
const BATCH: usize = 64;
const MOST_SPARE: usize = 4096;

/// What happened on one way until now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Packets that were sent into the link.
    pub packets: u64,
    /// Their bytes, IP headers included.
    pub bytes: u64,
    /// Packets that came out of it.
    pub delivered: u64,
    /// Packets taken by chance.
    pub lost: u64,
    /// Packets that found the queue full.
    pub dropped: u64,
    /// Packets made late so that others overtake them.
    pub reordered: u64,
    /// Packets that the other side's device did not take.
    pub refused: u64,
}

/// One way, at work until it is dropped.
pub(super) struct Carrier {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    epoch: Instant,
    from: Arc<SyncDevice>,
    to: Arc<SyncDevice>,
    interrupt: InterruptEvent,
    state: Mutex<State>,
    sooner: Condvar,
}

struct State {
    gate: Gate,
    under_way: BinaryHeap<Reverse<Packet>>,
    spare: Vec<Vec<u8>>,
    traffic: Traffic,
    stopped: bool,
}

/// Ordered by arrival; packets of one moment by their sequence.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Packet {
    at: Duration,
    sequence: u64,
    bytes: Vec<u8>,
}

impl Carrier {
    /// Both devices must not block.
    pub(super) fn start(
        from: &Arc<SyncDevice>,
        to: &Arc<SyncDevice>,
        shape: Shape,
        seed: u64,
    ) -> io::Result<Carrier> {
        let shared = Arc::new(Shared {
            epoch: Instant::now(),
            from: from.clone(),
            to: to.clone(),
            interrupt: InterruptEvent::new()?,
            state: Mutex::new(State {
                gate: Gate::new(shape, seed),
                under_way: BinaryHeap::new(),
                spare: Vec::new(),
                traffic: Traffic::default(),
                stopped: false,
            }),
            sooner: Condvar::new(),
        });
        let mut carrier = Carrier { shared, threads: Vec::new() };
        let (reads, writes) = (carrier.shared.clone(), carrier.shared.clone());
        let thread = |name: &str| thread::Builder::new().name(name.to_owned());
        carrier.threads.push(thread("link-read").spawn(move || read(&reads))?);
        carrier.threads.push(thread("link-write").spawn(move || write(&writes))?);
        Ok(carrier)
    }

    pub(super) fn set(&self, shape: Shape) {
        self.shared.lock().gate.set(shape);
    }

    pub(super) fn traffic(&self) -> Traffic {
        self.shared.lock().traffic
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.shared.sooner.notify_all();
        let _ = self.shared.interrupt.trigger();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads until the device or the carrier is gone.
fn read(shared: &Shared) {
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        match shared.from.recv(&mut buffer) {
            Ok(length) => take(shared, &buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if shared.from.wait_readable_intr(&shared.interrupt).is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
        // A device that never runs dry must not keep the thread from its end.
        if shared.interrupt.is_trigger() {
            return;
        }
    }
}

fn take(shared: &Shared, packet: &[u8]) {
    let mut state = shared.lock();
    let now = shared.epoch.elapsed();
    state.traffic.packets += 1;
    state.traffic.bytes += packet.len() as u64;
    let (at, late) = match state.gate.pass(now, packet.len()) {
        Fate::Arrives { at, late } => (at, late),
        Fate::Lost => {
            state.traffic.lost += 1;
            return;
        }
        Fate::Dropped => {
            state.traffic.dropped += 1;
            return;
        }
    };
    state.traffic.reordered += u64::from(late);
    let mut bytes = state.spare.pop().unwrap_or_default();
    bytes.clear();
    bytes.extend_from_slice(packet);
    let sequence = state.traffic.packets;
    let first = state.under_way.peek().is_none_or(|Reverse(next)| at < next.at);
    state.under_way.push(Reverse(Packet { at, sequence, bytes }));
    drop(state);
    if first {
        shared.sooner.notify_one();
    }
}

fn write(shared: &Shared) {
    let mut batch = Vec::with_capacity(BATCH);
    let mut state = shared.lock();
    while !state.stopped {
        let now = shared.epoch.elapsed();
        while batch.len() < BATCH && state.under_way.peek().is_some_and(|next| next.0.at <= now) {
            batch.extend(state.under_way.pop());
        }
        if batch.is_empty() {
            let next = state.under_way.peek().map(|next| next.0.at - now);
            state = match next {
                None => shared.sooner.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(wait) => {
                    let woken = shared.sooner.wait_timeout(state, wait);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
            };
            continue;
        }
        drop(state);
        let mut refused = 0;
        for Reverse(packet) in &batch {
            refused += u64::from(shared.to.send(&packet.bytes).is_err());
        }
        state = shared.lock();
        state.traffic.delivered += batch.len() as u64 - refused;
        state.traffic.refused += refused;
        let room = MOST_SPARE.saturating_sub(state.spare.len());
        state.spare.extend(batch.drain(..).take(room).map(|Reverse(packet)| packet.bytes));
    }
}

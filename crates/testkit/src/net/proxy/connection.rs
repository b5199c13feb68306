//! One client, one server, and what happens between them.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::faults::{Again, Fault, Way};
use super::{End, Shared};

/// Bytes read at once.
const PIECE: usize = 64 << 10;
/// A server that is silent for so long has said all.
const SILENCE: Duration = Duration::from_millis(30);
/// Bytes of an answer that are kept for its copy.
const MOST_KEPT: usize = 1 << 20;
/// How long an orderly end waits for the other side's.
const FAREWELL: Duration = Duration::from_secs(2);

/// Carries bytes both ways until both sides are done, a fault ends it, or `end` changes.
pub(super) async fn carry(
    shared: &Shared,
    client: TcpStream,
    server: TcpStream,
    plan: Vec<Fault>,
    mut end: watch::Receiver<Option<End>>,
) {
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let talk = Talk {
        shared,
        plan,
        answers: Mutex::default(),
        to_client: tokio::sync::Mutex::new(to_client),
    };
    let to_server = tokio::sync::Mutex::new(to_server);
    let (mut up_from, mut down_from) = (from_client, from_server);
    let ended = {
        let up = talk.pump(Way::Up, &mut up_from, &to_server);
        let down = talk.pump(Way::Down, &mut down_from, &talk.to_client);
        let both = async {
            tokio::pin!(up, down);
            // A way that is over says nothing about the other, unless a fault ended it.
            tokio::select! {
                Over(end) = &mut up => match end { None => down.await, end => Over(end) },
                Over(end) = &mut down => match end { None => up.await, end => Over(end) },
            }
        };
        tokio::select! {
            Over(ended) = both => ended,
            Ok(()) = end.changed() => {
                shared.count(|counts| counts.ended += 1);
                *end.borrow()
            }
        }
    };
    let (to_client, to_server) = (talk.to_client.into_inner(), to_server.into_inner());
    match ended {
        None => {}
        Some(End::Reset) => {
            for half in [to_client, to_server] {
                let _ = half.as_ref().set_zero_linger();
                // Dropped, it would say an orderly goodbye first.
                half.forget();
            }
        }
        Some(End::Orderly) => {
            let farewell = async |mut to: OwnedWriteHalf, from: &mut OwnedReadHalf| {
                let _ = to.shutdown().await;
                // Closing with bytes unread would be a reset.
                let _ = timeout(FAREWELL, swallow(from)).await;
            };
            tokio::join!(farewell(to_client, &mut up_from), farewell(to_server, &mut down_from));
        }
    }
}

/// How a way ended: `None` when its sender closed it.
struct Over(Option<End>);

struct Talk<'a> {
    shared: &'a Shared,
    plan: Vec<Fault>,
    answers: Mutex<Answers>,
    to_client: tokio::sync::Mutex<OwnedWriteHalf>,
}

/// What the server said since the client's last byte.
#[derive(Default)]
struct Answers {
    /// Answers that began.
    count: u32,
    speaking: bool,
    last: Vec<u8>,
}

impl Talk<'_> {
    async fn pump(
        &self,
        way: Way,
        from: &mut OwnedReadHalf,
        to: &tokio::sync::Mutex<OwnedWriteHalf>,
    ) -> Over {
        let ended = self.forward(way, from, to).await;
        // Whatever broke: the receiver learns that nothing more comes.
        ended.unwrap_or(Over(Some(End::Orderly)))
    }

    async fn forward(
        &self,
        way: Way,
        from: &mut OwnedReadHalf,
        to: &tokio::sync::Mutex<OwnedWriteHalf>,
    ) -> io::Result<Over> {
        let mut faults: Vec<Due> = self.plan.iter().filter_map(|fault| due(*fault, way)).collect();
        let pace = self.plan.iter().find_map(|fault| match fault {
            Fault::Slow { way: slow, bytes_per_second } if *slow == way => Some(*bytes_per_second),
            _ => None,
        });
        if pace.is_some() {
            self.shared.count(|counts| counts.slowed += 1);
        }
        // A slow way moves twenty times a second.
        let most = pace.map_or(PIECE as u64, |pace| (pace / 20).clamp(1, PIECE as u64));
        let mut buffer = vec![0; usize::try_from(most).unwrap_or(PIECE)];
        let mut passed = 0u64;
        loop {
            let length = match self.copy_due(way) {
                false => from.read(&mut buffer).await?,
                true => match timeout(SILENCE, from.read(&mut buffer)).await {
                    Ok(read) => read?,
                    Err(_) => {
                        self.write_copy().await?;
                        continue;
                    }
                },
            };
            if length == 0 {
                if self.copy_due(way) {
                    self.write_copy().await?;
                }
                to.lock().await.shutdown().await?;
                return Ok(Over(None));
            }
            if let Some(keep) = self.turn(way, &buffer[..length]).await? {
                faults.push(Due { after: passed + keep, act: Act::Truncate });
            }
            let mut piece = &buffer[..length];
            while !piece.is_empty() {
                let next = faults.iter().enumerate().min_by_key(|(_, due)| due.after);
                let next = next.map(|(place, due)| (place, due.after.saturating_sub(passed)));
                let room = next.map_or(piece.len() as u64, |(_, room)| room);
                let (now, later) =
                    piece.split_at(usize::try_from(room).unwrap_or(PIECE).min(piece.len()));
                self.thaw().await;
                to.lock().await.write_all(now).await?;
                passed += now.len() as u64;
                self.shared.count(|counts| match way {
                    Way::Up => counts.bytes_up += now.len() as u64,
                    Way::Down => counts.bytes_down += now.len() as u64,
                });
                piece = later;
                let Some((place, _)) = next else { break };
                if !piece.is_empty() {
                    let due = faults.swap_remove(place);
                    if let Some(over) = self.act(due.act, from, to).await? {
                        return Ok(over);
                    }
                }
            }
            if let Some(pace) = pace {
                sleep(Duration::from_nanos(length as u64 * 1_000_000_000 / pace)).await;
            }
        }
    }

    /// Lets a fault happen; tells how this way ended if it did.
    async fn act(
        &self,
        act: Act,
        from: &mut OwnedReadHalf,
        to: &tokio::sync::Mutex<OwnedWriteHalf>,
    ) -> io::Result<Option<Over>> {
        match act {
            Act::End(End::Orderly) => {
                self.shared.count(|counts| counts.cuts += 1);
                Ok(Some(Over(Some(End::Orderly))))
            }
            Act::End(End::Reset) => {
                self.shared.count(|counts| counts.resets += 1);
                Ok(Some(Over(Some(End::Reset))))
            }
            Act::Truncate => {
                self.shared.count(|counts| counts.truncated += 1);
                Ok(Some(Over(Some(End::Orderly))))
            }
            Act::Stall(time) => {
                self.shared.count(|counts| counts.stalls += 1);
                sleep(time).await;
                Ok(None)
            }
            Act::HalfClose => {
                self.shared.count(|counts| counts.half_closes += 1);
                to.lock().await.shutdown().await?;
                swallow(from).await?;
                Ok(Some(Over(None)))
            }
            Act::BlackHole => {
                self.shared.count(|counts| counts.black_holes += 1);
                swallow(from).await?;
                // The end of the connection is swallowed too: it is over when the other way is.
                Ok(Some(Over(None)))
            }
        }
    }

    /// Notes who speaks. When the client begins, the copy of the last answer may be due; when the server does, how much of its answer is to be kept.
    async fn turn(&self, way: Way, bytes: &[u8]) -> io::Result<Option<u64>> {
        match way {
            Way::Up => {
                let answer = {
                    let mut answers = self.answers();
                    let spoke = std::mem::take(&mut answers.speaking);
                    // Empty: the copy was sent already.
                    (spoke && !answers.last.is_empty()).then(|| answers.count - 1)
                };
                // A client that is faster than the silence after an answer does not escape its copy.
                let due = |answer| {
                    [Again::AtOnce, Again::BeforeNext].iter().any(|&a| self.is_planned(answer, a))
                };
                if answer.is_some_and(due) {
                    self.write_copy().await?;
                }
                Ok(None)
            }
            Way::Down => {
                let mut answers = self.answers();
                let begins = !std::mem::replace(&mut answers.speaking, true);
                if begins {
                    answers.count += 1;
                    answers.last.clear();
                }
                let room = MOST_KEPT.saturating_sub(answers.last.len());
                answers.last.extend_from_slice(&bytes[..bytes.len().min(room)]);
                let number = answers.count - 1;
                Ok(self.plan.iter().find_map(|fault| match fault {
                    Fault::Truncate { answer, keep } if begins && *answer == number => Some(*keep),
                    _ => None,
                }))
            }
        }
    }

    /// Whether a copy of the answer that the server is giving is to follow at once.
    fn copy_due(&self, way: Way) -> bool {
        let answers = self.answers();
        let speaks = way == Way::Down && answers.speaking && !answers.last.is_empty();
        speaks && self.is_planned(answers.count - 1, Again::AtOnce)
    }

    /// Sends the last answer once more, and forgets it.
    async fn write_copy(&self) -> io::Result<()> {
        let copy = std::mem::take(&mut self.answers().last);
        self.to_client.lock().await.write_all(&copy).await?;
        self.shared.count(|counts| counts.duplicated += 1);
        Ok(())
    }

    fn is_planned(&self, answer: u32, again: Again) -> bool {
        self.plan.contains(&Fault::Duplicate { answer, again })
    }

    /// Waits while the whole proxy is frozen.
    async fn thaw(&self) {
        loop {
            let until = *self.shared.frozen_until.borrow();
            match until {
                Some(until) if until > Instant::now() => sleep_until(until).await,
                _ => return,
            }
        }
    }

    fn answers(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A fault of one way, with what it does.
struct Due {
    after: u64,
    act: Act,
}

enum Act {
    End(End),
    HalfClose,
    Stall(Duration),
    BlackHole,
    Truncate,
}

fn due(fault: Fault, meant: Way) -> Option<Due> {
    let (way, after, act) = match fault {
        Fault::Cut { way, after } => (way, after, Act::End(End::Orderly)),
        Fault::Reset { way, after } => (way, after, Act::End(End::Reset)),
        Fault::HalfClose { way, after } => (way, after, Act::HalfClose),
        Fault::Stall { way, after, time } => (way, after, Act::Stall(time)),
        Fault::BlackHole { way, after } => (way, after, Act::BlackHole),
        // A pace is not a moment, and answers are counted as they come.
        Fault::Slow { .. } | Fault::Truncate { .. } | Fault::Duplicate { .. } => return None,
    };
    (way == meant).then_some(Due { after, act })
}

/// Reads to the end of the connection and forgets it.
async fn swallow(from: &mut OwnedReadHalf) -> io::Result<()> {
    let mut buffer = vec![0; PIECE];
    while from.read(&mut buffer).await? > 0 {}
    Ok(())
}

//! Bytes that come once and in order: a pipe, a socket, a program's output.
//!
//! What was read stays in memory until the server has it, so that a part can be sent again; no more is read than the budget allows, or
//! one part needs. Then it is let go of, and only its ETag remembered.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::io::AsyncRead;
use tokio::sync::Notify;
use vodferry_engine::{Begin, Fault, FaultKind, FileId, Input, PartInfo, Source as Identity};

use super::growing::gave_up;
use super::intake::Intake;
use super::{Feed, changed, fault};

/// A stream, and what of it is in memory.
pub(crate) struct Stream {
    name: String,
    identity: Identity,
    intake: Mutex<Option<Intake>>,
    claimed: AtomicBool,
    state: Mutex<State>,
    /// Bytes were let go of.
    room: Notify,
}

#[derive(Default)]
struct State {
    /// By where they begin; they do not overlap.
    pieces: BTreeMap<u64, Bytes>,
    /// Bytes in `pieces`.
    held: u64,
    /// Where parts that are or were on their way begin.
    begins: HashMap<u32, u64>,
    /// Parts whose bytes are gone, by where they begin.
    stored: HashMap<u64, PartInfo>,
    /// The parts of the earlier upload that is gone on with.
    earlier: Option<Begin>,
}

impl Stream {
    /// `name` is what its checkpoint is found by.
    pub(crate) fn new(name: &str, reader: impl AsyncRead + Send + 'static) -> Stream {
        let fingerprint = format!("stream {name}");
        Stream {
            name: name.to_owned(),
            identity: Identity { length: None, modified_ms: 0, fingerprint },
            intake: Mutex::new(Some(Intake::new(reader))),
            claimed: AtomicBool::new(false),
            state: Mutex::default(),
            room: Notify::new(),
        }
    }

    pub(super) fn identity(&self) -> &Identity {
        &self.identity
    }

    pub(super) fn claim(&self) -> bool {
        !self.claimed.swap(true, Ordering::Relaxed)
    }

    pub(super) fn let_go(&self) {
        self.claimed.store(false, Ordering::Relaxed);
    }

    pub(super) fn changed(&self) -> Fault {
        changed(&self.name)
    }

    pub(super) fn read(&self, buffer: &mut [u8], offset: u64) -> Result<(), Fault> {
        let state = self.state();
        let mut at = offset;
        let mut rest = buffer;
        while !rest.is_empty() {
            let Some(bytes) = state.from(at) else { return Err(self.gone()) };
            let size = bytes.len().min(rest.len());
            let (now, later) = rest.split_at_mut(size);
            now.copy_from_slice(bytes.get(..size).unwrap_or_default());
            at += size as u64;
            rest = later;
        }
        Ok(())
    }

    pub(super) fn sending(&self, number: u32, begin: u64) {
        self.state().begins.insert(number, begin);
    }

    pub(super) fn stored(&self, begin: u64) -> Option<PartInfo> {
        self.state().stored.get(&begin).cloned()
    }

    pub(super) fn release(&self, part: &PartInfo) {
        let mut state = self.state();
        let Some(begin) = state.begins.get(&part.number).copied() else { return };
        state.cut(begin, begin.saturating_add(part.length));
        state.stored.insert(begin, part.clone());
        drop(state);
        self.room.notify_one();
    }

    pub(super) fn resumes(&self, begin: &Begin) {
        self.state().earlier = Some(begin.clone());
        self.room.notify_one();
    }

    pub(super) fn feed(
        self: Arc<Stream>,
        file: FileId,
        most: u64,
        tell: impl Fn(Input) -> bool + Send + Sync + 'static,
    ) -> Option<Feed> {
        let intake = self.intake.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some(Box::pin(async move {
            let last = match self.pump(intake, file, most, &tell).await {
                Ok(length) => Input::Finished { file, length },
                Err(error) => {
                    let message = format!("cannot read {}: {error}", self.name);
                    Input::Broken { file, error: gave_up(message) }
                }
            };
            tell(last);
        }))
    }

    /// Reads to the end, and gives the length.
    async fn pump(
        &self,
        mut intake: Intake,
        file: FileId,
        most: u64,
        tell: &(impl Fn(Input) -> bool + Send + Sync),
    ) -> io::Result<u64> {
        let mut end = 0_u64;
        loop {
            let room = loop {
                let room = self.state().room(most, end);
                if room > 0 {
                    break room;
                }
                self.room.notified().await;
            };
            let (piece, ended) = intake.next(room).await?;
            if piece.is_empty() {
                return Ok(end);
            }
            let begin = end;
            end += piece.len() as u64;
            let mut state = self.state();
            state.held += piece.len() as u64;
            state.pieces.insert(begin, piece);
            drop(state);
            if !tell(Input::Grown { file, range: begin..end }) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            if ended {
                // The end of what is typed at a terminal comes once: reading on would wait for more.
                return Ok(end);
            }
        }
    }

    fn gone(&self) -> Fault {
        let text = format!(
            "the server lost a part of {}, and its bytes are gone: a stream is read only once",
            self.name
        );
        fault(FaultKind::Fatal(vodferry_engine::ErrorKind::Io), "StreamGone", text)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Bytes that may be read from this place on. The part that begins there or goes on there always has room: it is sent, and let go
    /// of, when it is whole.
    fn room(&self, most: u64, at: u64) -> u64 {
        let part = self.earlier.as_ref().map_or(0, |begin| begin.part_length_at(at));
        most.max(part).saturating_sub(self.held)
    }

    /// What is in one piece from this place on; never empty.
    fn from(&self, at: u64) -> Option<&[u8]> {
        let (begin, bytes) = self.pieces.range(..=at).next_back()?;
        let within = usize::try_from(at - begin).ok()?;
        bytes.get(within..).filter(|bytes| !bytes.is_empty())
    }

    /// Lets go of these bytes.
    fn cut(&mut self, begin: u64, end: u64) {
        let first = self.pieces.range(..=begin).next_back().map_or(begin, |(at, _)| *at);
        let touched: Vec<u64> = self.pieces.range(first..end).map(|(at, _)| *at).collect();
        for at in touched {
            let Some(mut bytes) = self.pieces.remove(&at) else { continue };
            self.held -= bytes.len() as u64;
            let place = |offset: u64| {
                usize::try_from(offset.saturating_sub(at)).unwrap_or(usize::MAX).min(bytes.len())
            };
            let (from, to) = (place(begin), place(end));
            let after = bytes.split_off(to);
            bytes.truncate(from);
            for (at, bytes) in [(at, bytes), (at + to as u64, after)] {
                if !bytes.is_empty() {
                    self.held += bytes.len() as u64;
                    self.pieces.insert(at, bytes);
                }
            }
        }
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::sync::mpsc;

    use proptest::prelude::*;

    use super::*;

    const FILE: FileId = FileId(1);

    fn part(number: u32, length: u64) -> PartInfo {
        PartInfo { number, length, etag: "E".into(), crc64: None }
    }

    #[tokio::test]
    async fn no_more_is_read_than_there_is_room_for() {
        let bytes: Vec<u8> = (0..1_000_000_u32).map(|i| (i * 7 + i / 251) as u8).collect();
        let stream = Arc::new(Stream::new("s", io::Cursor::new(bytes.clone())));
        let (tell, told) = mpsc::channel();
        let feed = stream.clone().feed(FILE, 300_000, move |input| tell.send(input).is_ok());
        assert!(stream.clone().feed(FILE, 300_000, |_| true).is_none(), "read by one alone");
        let mut feed = tokio::spawn(feed.unwrap());
        let mut announced = 0;
        let mut number = 0;
        while announced < 1_000_000 {
            let Ok(Input::Grown { range, .. }) = told.try_recv() else {
                tokio::task::yield_now().await;
                continue;
            };
            assert_eq!(range.start, announced);
            announced = range.end;
            assert!(stream.state().held <= 300_000);
            let mut buffer = vec![0; (range.end - range.start) as usize];
            stream.read(&mut buffer, range.start).unwrap();
            assert!(buffer == bytes[range.start as usize..range.end as usize]);
            number += 1;
            stream.sending(number, range.start);
            stream.release(&part(number, range.end - range.start));
            assert_eq!(stream.read(&mut buffer, range.start).unwrap_err().code, "StreamGone");
            assert_eq!(stream.stored(range.start).map(|part| part.number), Some(number));
        }
        (&mut feed).await.unwrap();
        assert_eq!(told.recv(), Ok(Input::Finished { file: FILE, length: 1_000_000 }));
    }

    #[tokio::test]
    async fn a_reader_that_fails_is_told() {
        let broken = torn();
        let stream = Arc::new(Stream::new("the pipe", broken));
        let (tell, told) = mpsc::channel();
        stream.clone().feed(FILE, 10, move |input| tell.send(input).is_ok()).unwrap().await;
        let Ok(Input::Broken { error, .. }) = told.recv() else { panic!("expected Broken") };
        assert!(error.message.contains("the pipe") && error.message.contains("torn"));
    }

    /// A reader that only fails.
    fn torn() -> impl AsyncRead + Send {
        struct Torn;
        impl AsyncRead for Torn {
            fn poll_read(
                self: Pin<&mut Self>,
                _: &mut std::task::Context<'_>,
                _: &mut tokio::io::ReadBuf<'_>,
            ) -> std::task::Poll<io::Result<()>> {
                std::task::Poll::Ready(Err(io::Error::other("torn")))
            }
        }
        Torn
    }

    proptest! {
        #[test]
        fn what_is_cut_is_gone_and_all_else_stays(
            sizes in proptest::collection::vec(1..40_usize, 1..8),
            cuts in proptest::collection::vec((0..200_u64, 1..60_u64), 0..8),
        ) {
            let mut state = State::default();
            let mut model = Vec::new();
            for size in sizes {
                let bytes: Vec<u8> = (0..size).map(|i| (model.len() + i) as u8).collect();
                state.pieces.insert(model.len() as u64, Bytes::from(bytes.clone()));
                state.held += size as u64;
                model.extend(bytes.into_iter().map(Some));
            }
            for (begin, length) in cuts {
                state.cut(begin, begin + length);
                let from = (begin as usize).min(model.len());
                let to = ((begin + length) as usize).min(model.len());
                model[from..to].fill(None);
            }
            for (at, byte) in model.iter().enumerate() {
                prop_assert_eq!(state.from(at as u64).map(|bytes| bytes[0]), *byte);
            }
            prop_assert_eq!(state.held as usize, model.iter().flatten().count());
        }
    }
}

//! MD5 of whole parts, several at a time.
//!
//! MD5 is serial within a message, but a processor's vectors take up to sixteen messages of one length side by side: measured with
//! AVX-512, 1.27 CPU-seconds per GiB for one message at a time, 0.86 for four, 0.44 for eight, 0.24 for sixteen. So parts that wait at the same moment are
//! hashed together, on their way out of a client and on their way into a server. One thread hashes for all, another only when more wait
//! than one takes at a time; what comes meanwhile waits. When it is free it takes all that wait if they are enough to be worth it,
//! otherwise the one that waited longest, alone: nothing ever waits for company. Where fewer than [`LEAST`] can ever wait at once,
//! whoever reads a part hashes it with less ado.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::oneshot;

/// The MD5 of one message in pieces, or of one that nobody waits beside: a fifth faster than RustCrypto's on x86-64.
pub use md5_simd::Md5;

/// From so many messages on the vectors pay.
pub const LEAST: usize = 4;
/// No more at once, so that those who come meanwhile wait for moments only.
const MOST: usize = 16;
/// The vector code is written to be inlined; in a build with debug assertions it is not, and ten times slower than one by one.
const VECTORS: bool = !cfg!(debug_assertions);

/// Those who wait to be hashed.
///
/// ```
/// # use std::sync::Arc;
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let lanes = Arc::new(vodferry_lanes::Lanes::default());
/// let (a, b) = tokio::join!(lanes.md5("a".into()), lanes.md5("b".into()));
/// assert_eq!(a.unwrap()[..2], [0x0c, 0xc1]);
/// assert_eq!(b.unwrap()[..2], [0x92, 0xeb]);
/// # });
/// ```
#[derive(Debug, Default)]
pub struct Lanes {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Waiting>,
    /// So many threads hash.
    busy: usize,
}

#[derive(Debug)]
struct Waiting {
    bytes: Bytes,
    reply: oneshot::Sender<[u8; 16]>,
}

impl Lanes {
    /// The MD5 of `bytes`; `None` only when the runtime ends. Dropping the future gives the place up. To be called in a tokio runtime.
    pub async fn md5(self: &Arc<Lanes>, bytes: Bytes) -> Option<[u8; 16]> {
        let (reply, replied) = oneshot::channel();
        if self.join(Waiting { bytes, reply }) {
            let lanes = self.clone();
            tokio::task::spawn_blocking(move || lanes.work());
        }
        replied.await.ok()
    }

    /// Joins the queue. True: another thread should hash.
    fn join(&self, waiting: Waiting) -> bool {
        let mut state = self.state();
        state.waiting.push_back(waiting);
        let more = state.waiting.len() > state.busy * MOST;
        state.busy += usize::from(more);
        more
    }

    /// Hashes until nobody waits.
    fn work(&self) {
        let _shift = Shift(self);
        loop {
            let mut state = self.state();
            let taken = state.take();
            if taken.is_empty() {
                state.busy = state.busy.saturating_sub(1);
            }
            drop(state);
            if taken.is_empty() {
                return;
            }
            let messages: Vec<&[u8]> = taken.iter().map(|waiting| waiting.bytes.as_ref()).collect();
            let digests = md5_of(&messages, VECTORS);
            for (Waiting { bytes, reply }, digest) in taken.into_iter().zip(digests) {
                // Before the answer, so that the buffer is the asker's alone again.
                drop(bytes);
                let _ = reply.send(digest);
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The time a thread hashes. One that panics leaves nobody waiting for it.
struct Shift<'a>(&'a Lanes);

impl Drop for Shift<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            *self.0.state() = State::default();
        }
    }
}

impl State {
    /// Whom to hash next: those as long as the first, if there are enough of them, or the first alone. None when nobody waits.
    fn take(&mut self) -> Vec<Waiting> {
        self.waiting.retain(|waiting| !waiting.reply.is_closed());
        let Some(first) = self.waiting.pop_front() else { return Vec::new() };
        let length = first.bytes.len();
        let alike = |waiting: &Waiting| waiting.bytes.len() == length;
        let mut taken = vec![first];
        if self.waiting.iter().filter(|waiting| alike(waiting)).count() + 1 < LEAST {
            return taken;
        }
        for waiting in std::mem::take(&mut self.waiting) {
            if taken.len() < MOST && alike(&waiting) {
                taken.push(waiting);
            } else {
                self.waiting.push_back(waiting);
            }
        }
        taken
    }
}

/// The MD5 of `message`.
#[must_use]
pub fn md5(message: &[u8]) -> [u8; 16] {
    md5_simd::digest(message)
}

/// The MD5 of each message. `vectors`: side by side, where there are at least four neighbours of one length.
fn md5_of(messages: &[&[u8]], vectors: bool) -> Vec<[u8; 16]> {
    let mut digests = vec![[0; 16]; messages.len()];
    if !vectors {
        return messages.iter().map(|message| md5(message)).collect();
    }
    md5_simd::Md5Engine::new().hash_many(messages, &mut digests);
    digests
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hex(digest: &[u8]) -> String {
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// RFC 1321, A.5.
    const VECTORS_OF_RFC_1321: [(&str, &str); 7] = [
        ("", "d41d8cd98f00b204e9800998ecf8427e"),
        ("a", "0cc175b9c0f1b6a831c399e269772661"),
        ("abc", "900150983cd24fb0d6963f7d28e17f72"),
        ("message digest", "f96b697d7cb7938d525a2f31aaf161d0"),
        ("abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"),
        (
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
            "d174ab98d277d9f5a5611c2c9f419d9f",
        ),
        (
            "12345678901234567890123456789012345678901234567890123456789012345678901234567890",
            "57edf4a22be3c955ac49da2e2107b67a",
        ),
    ];

    #[test]
    fn every_lane_of_every_width_computes_the_rfc_s_digests() {
        for (text, digest) in VECTORS_OF_RFC_1321 {
            for width in 1..=17 {
                for vectors in [false, true] {
                    let digests = md5_of(&vec![text.as_bytes(); width], vectors);
                    assert_eq!(digests.len(), width);
                    assert!(digests.iter().all(|found| hex(found) == digest), "{text} × {width}");
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn side_by_side_and_one_by_one_are_what_another_computes(
            lengths in proptest::collection::vec(0usize..3, 0..20),
            sizes in proptest::array::uniform3(0usize..700),
            seed in any::<u64>(),
        ) {
            let message = |(at, length): (usize, &usize)| -> Vec<u8> {
                let byte = |i: usize| seed.wrapping_mul((at + 1) as u64).rotate_left(i as u32 * 7);
                (0..sizes[*length]).map(|i| (byte(i) >> 5) as u8).collect()
            };
            let messages: Vec<Vec<u8>> = lengths.iter().enumerate().map(message).collect();
            let messages: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
            let want: Vec<[u8; 16]> =
                messages.iter().map(|message| <md5::Md5 as md5::Digest>::digest(message).into()).collect();
            prop_assert_eq!(&md5_of(&messages, false), &want);
            prop_assert_eq!(&md5_of(&messages, true), &want);
        }
    }

    fn queue(lengths: &[usize]) -> (State, Vec<oneshot::Receiver<[u8; 16]>>) {
        let mut state = State::default();
        let mut replies = Vec::new();
        for length in lengths {
            let (reply, replied) = oneshot::channel();
            state.waiting.push_back(Waiting { bytes: vec![7; *length].into(), reply });
            replies.push(replied);
        }
        (state, replies)
    }

    fn lengths(taken: &[Waiting]) -> Vec<usize> {
        taken.iter().map(|waiting| waiting.bytes.len()).collect()
    }

    #[test]
    fn enough_of_one_length_go_together_and_fewer_alone() {
        let (mut state, _replies) = queue(&[8, 8, 5, 8, 8, 8, 5]);
        assert_eq!(lengths(&state.take()), [8; 5]);
        assert_eq!(lengths(&state.take()), [5]);
        assert_eq!(lengths(&state.take()), [5]);
        assert!(state.take().is_empty());
        let (mut state, _replies) = queue(&[3; MOST + 5]);
        assert_eq!(lengths(&state.take()), [3; MOST]);
        assert_eq!(lengths(&state.take()), [3; 5]);
    }

    #[test]
    fn who_gave_up_is_not_hashed() {
        let (mut state, mut replies) = queue(&[1, 2, 3]);
        replies.remove(1);
        assert_eq!((lengths(&state.take()), lengths(&state.take())), (vec![1], vec![3]));
        assert!(state.take().is_empty());
    }

    #[tokio::test]
    async fn all_who_come_are_answered_each_with_its_own() {
        let lanes = Arc::new(Lanes::default());
        for wave in 0..20usize {
            let asks = (0..=wave).map(|at| {
                let bytes = vec![at as u8; if at % 5 == 4 { 99 } else { 20_000 }];
                let lanes = lanes.clone();
                async move {
                    let want = md5(&bytes);
                    assert_eq!(lanes.md5(bytes.into()).await.unwrap(), want, "{at}");
                }
            });
            futures_util::future::join_all(asks).await;
        }
        // The last one is answered a moment before the thread looks again and finds nobody.
        while lanes.state().busy > 0 {
            tokio::task::yield_now().await;
        }
        assert!(lanes.state().waiting.is_empty());
    }
}

//! Removes what nothing needs: blobs that were replaced, aborted or never named, uploads that
//! nobody finished, answers that nobody asks for any more.
//!
//! Every round deletes garbage: the file first, then the row, so a crash in between only deletes
//! again. The walk through all blobs for those that no row names is rarer; it asks the meta store,
//! which decides in the order of its commits, so a blob is never lost to a race with its naming.
//! What lies in `tmp/` is removed when the blobs are opened.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, interval};
use tokio_util::sync::CancellationToken;

use super::steady::Steady;
use super::{BlobError, BlobId, BlobStore, Clock, Ended, MetaError, MetaStore, apply_lifecycles};

/// A janitor at work. Dropped, it stops after the deletion under way.
#[derive(Debug)]
pub struct Janitor {
    stop: CancellationToken,
    tally: Arc<Tally>,
    work: JoinHandle<()>,
}

/// When what is removed.
#[derive(Clone, Debug)]
pub struct JanitorOptions {
    /// Pause between two rounds. Default one minute.
    pub every: Duration,
    /// Pause between two walks through all blobs, and through all objects and uploads that lifecycle
    /// rules are about. Default one hour.
    pub walk_every: Duration,
    /// How long an upload may stay open after Initiate and its last part. Default seven days.
    pub upload_life: Duration,
    /// How long the answer to a Complete is remembered. Default 24 hours.
    pub completion_life: Duration,
    /// Age from which a blob that no row names is garbage. Longer than any request takes between
    /// finishing its blob and naming it. Default one hour.
    pub unnamed_age: Duration,
    /// How long garbage is kept: for those who are reading it, and because a blob that was found
    /// without a name is refused to those who would name it only as long as it is on the list, so
    /// again longer than any request takes. Default ten minutes.
    pub garbage_age: Duration,
}

impl Default for JanitorOptions {
    fn default() -> JanitorOptions {
        const HOUR: Duration = Duration::from_secs(3600);
        JanitorOptions {
            every: Duration::from_secs(60),
            walk_every: HOUR,
            upload_life: 7 * 24 * HOUR,
            completion_life: 24 * HOUR,
            unnamed_age: HOUR,
            garbage_age: Duration::from_secs(600),
        }
    }
}

impl Janitor {
    /// Starts one; its first round begins at once. When `clock` jumps ahead, or stands ahead of the newest
    /// time in the database, it goes by the old time for another hour: a clock that was set wrong must not
    /// expire every upload.
    pub fn start(
        blobs: Arc<dyn BlobStore>,
        meta: Arc<dyn MetaStore>,
        options: JanitorOptions,
        clock: Clock,
    ) -> Janitor {
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let tally = Arc::<Tally>::default();
        let counts = tally.clone();
        let work = tokio::spawn(async move {
            stopped.run_until_cancelled(work(&*blobs, &*meta, &options, &clock, &counts)).await;
        });
        Janitor { stop, tally, work }
    }

    /// What it has done so far; goes on counting.
    pub fn tally(&self) -> Arc<Tally> {
        self.tally.clone()
    }

    /// Stops, and returns when nothing of it is left.
    pub async fn stop(mut self) {
        self.stop.cancel();
        (&mut self.work).await.ok();
    }
}

impl Drop for Janitor {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// One round: deletes garbage, expires uploads, forgets completions. Times count from `now_ms`.
///
/// # Errors
/// The first failure; what does not depend on it is done nevertheless.
pub async fn sweep(
    blobs: &dyn BlobStore,
    meta: &dyn MetaStore,
    options: &JanitorOptions,
    now_ms: u64,
) -> Result<Swept, SweepError> {
    let (swept, failures) = round(blobs, meta, options, now_ms).await;
    failures.into_iter().next().map_or(Ok(swept), Err)
}

/// As [`sweep`], with what was done beside the failures. Garbage comes first: on a full disk the other steps
/// need the room that it gives.
async fn round(
    blobs: &dyn BlobStore,
    meta: &dyn MetaStore,
    options: &JanitorOptions,
    now_ms: u64,
) -> (Swept, Vec<SweepError>) {
    let before =
        |age: Duration| now_ms.saturating_sub(u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
    let mut swept = Swept::default();
    let garbage = delete_garbage(blobs, meta, before(options.garbage_age), &mut swept.blobs).await;
    let uploads = before(options.upload_life);
    let expired = expire(meta, uploads, now_ms, &mut swept.uploads).await;
    let forgotten = match meta.forget_completions(before(options.completion_life)).await {
        Ok(completions) => {
            swept.completions = completions;
            Ok(())
        }
        Err(error) => Err(error.into()),
    };
    let room = match meta.give_back_room().await {
        Ok(bytes) => {
            swept.room = bytes;
            Ok(())
        }
        Err(error) => Err(error.into()),
    };
    (swept, [garbage, expired, forgotten, room].into_iter().filter_map(Result::err).collect())
}

/// A blob that cannot be deleted stays on the list, and is in nobody's way there.
async fn delete_garbage(
    blobs: &dyn BlobStore,
    meta: &dyn MetaStore,
    before_ms: u64,
    count: &mut u64,
) -> Result<(), SweepError> {
    loop {
        let garbage = meta.garbage(before_ms, BLOBS).await?;
        if garbage.is_empty() {
            return Ok(());
        }
        let mut failed = None;
        let mut gone = Vec::with_capacity(garbage.len());
        for blob in garbage {
            match blobs.delete(&blob).await {
                Ok(()) => gone.push(blob),
                Err(error) => failed = Some(error),
            }
        }
        *count += gone.len() as u64;
        meta.forget_garbage(gone).await?;
        if let Some(error) = failed {
            return Err(error.into());
        }
    }
}

async fn expire(
    meta: &dyn MetaStore,
    before_ms: u64,
    now_ms: u64,
    count: &mut u64,
) -> Result<(), SweepError> {
    loop {
        let expired = meta.expire_uploads(before_ms, UPLOADS, now_ms).await?;
        *count += expired;
        if expired < UPLOADS as u64 {
            return Ok(());
        }
    }
}

/// Walks through all blobs and puts those on the garbage list that are old and named by no row;
/// answers how many these were.
///
/// # Errors
/// The first failure; what was done before it stays done.
pub async fn discard_unnamed(
    blobs: &dyn BlobStore,
    meta: &dyn MetaStore,
    options: &JanitorOptions,
    now_ms: u64,
) -> Result<u64, SweepError> {
    let mut discarded = 0;
    let mut after: Option<BlobId> = None;
    loop {
        let old = blobs.older_than(options.unnamed_age, after.as_ref(), BLOBS).await?;
        let Some(last) = old.last() else { return Ok(discarded) };
        after = Some(last.clone());
        discarded += meta.discard_unnamed(old, now_ms).await?;
    }
}

/// Ends what a clock that was ahead for a moment did: what it dated would live until that time comes, and hold its
/// files for years. Answers how many times were set back to `now_ms`, by a clock that has run without a jump for
/// `stood`.
///
/// A clock that is behind must shorten nobody's life: set right, it makes everything look old that was set back
/// meanwhile. Garbage is in no danger, at any time: it lives for its age from `now_ms` on, and a jump ahead is
/// believed after an hour only. The others are set back once the clock has stood for as long as they live: if it
/// is wrong nevertheless, they had their lives by it.
///
/// # Errors
/// The database failed.
pub async fn set_back(
    meta: &dyn MetaStore,
    options: &JanitorOptions,
    now_ms: u64,
    stood: Duration,
) -> Result<u64, SweepError> {
    let lives = stood >= options.upload_life.max(options.completion_life);
    Ok(meta.set_back(now_ms, lives).await?)
}

/// What one round removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Uploads that were too old.
    pub uploads: u64,
    /// Remembered answers that were too old.
    pub completions: u64,
    /// Blobs deleted.
    pub blobs: u64,
    /// Bytes of the database given back to the file system.
    pub room: u64,
}

/// What a janitor has done since it started.
#[derive(Debug, Default)]
pub struct Tally(Mutex<Tallied>);

impl Tally {
    /// Up to now.
    pub fn now(&self) -> Tallied {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, change: impl FnOnce(&mut Tallied)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Numbers of a [`Tally`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tallied {
    /// Rounds that ended well.
    pub rounds: u64,
    /// Steps that failed; the next round tries again.
    pub failures: u64,
    /// Uploads that were too old.
    pub uploads: u64,
    /// Remembered answers that were too old.
    pub completions: u64,
    /// Blobs deleted.
    pub blobs: u64,
    /// Objects and uploads that lifecycle rules ended.
    pub lifecycle: Ended,
    /// When the last round ended well, in milliseconds since 1970; 0 before the first.
    pub last_ms: u64,
}

/// Why a step of a round failed; the next round tries again.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// A blob could not be listed or deleted.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// The database failed.
    #[error(transparent)]
    Meta(#[from] MetaError),
}

/// Per transaction: an upload may have 10,000 parts, and others wait while they are dropped.
const UPLOADS: usize = 4;
const BLOBS: usize = 1000;

async fn work(
    blobs: &dyn BlobStore,
    meta: &dyn MetaStore,
    options: &JanitorOptions,
    clock: &Clock,
    tally: &Tally,
) {
    let failed = |error: &SweepError| {
        tally.add(|sum| sum.failures += 1);
        report(error);
    };
    let mut steady: Option<Steady> = None;
    let mut rounds = interval(options.every.max(Duration::from_millis(1)));
    let mut walked: Option<Instant> = None;
    loop {
        rounds.tick().await;
        let (wall_ms, at) = (clock(), std::time::Instant::now());
        let steady = match &mut steady {
            Some(steady) => steady,
            none => match meta.newest_ms().await {
                Ok(newest) => none.insert(Steady::new(newest.unwrap_or(wall_ms), at)),
                Err(error) => {
                    failed(&error.into());
                    continue;
                }
            },
        };
        let now_ms = steady.at(wall_ms, at);
        let (swept, failures) = round(blobs, meta, options, now_ms).await;
        tally.add(|sum| {
            sum.uploads += swept.uploads;
            sum.completions += swept.completions;
            sum.blobs += swept.blobs;
            if failures.is_empty() {
                sum.rounds += 1;
                sum.last_ms = clock();
            }
        });
        failures.iter().for_each(failed);
        if swept != Swept::default() {
            let Swept { uploads, completions, blobs, room } = swept;
            tracing::info!(uploads, completions, blobs, room, "removed what nothing needs");
        }
        if walked.is_none_or(|at| at.elapsed() >= options.walk_every) {
            walked = Some(Instant::now());
            match set_back(meta, options, now_ms, steady.stood()).await {
                Ok(0) => {}
                Ok(times) => tracing::info!(times, "times that have not come yet were set back"),
                Err(error) => failed(&error),
            }
            match discard_unnamed(blobs, meta, options, now_ms).await {
                Ok(0) => {}
                Ok(unnamed) => tracing::info!(unnamed, "blobs that nothing names are garbage now"),
                Err(error) => failed(&error),
            }
            match apply_lifecycles(meta, now_ms).await {
                Ok(ended) if ended == Ended::default() => {}
                Ok(Ended { objects, uploads }) => {
                    tally.add(|sum| {
                        sum.lifecycle.objects += objects;
                        sum.lifecycle.uploads += uploads;
                    });
                    tracing::info!(objects, uploads, "ended what lifecycle rules say");
                }
                Err(error) => failed(&error.into()),
            }
        }
    }
}

fn report(error: &SweepError) {
    let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    tracing::warn!(%error, cause, "the janitor could not finish its round");
}

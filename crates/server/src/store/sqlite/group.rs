//! Who talks to the database: one thread that writes, a few connections that read.
//!
//! The writer takes every command that waits into one transaction, each in a savepoint of its own,
//! commits, and only then answers them all: while one commit syncs, the next batch gathers. A
//! command that fails undoes itself and not its neighbours.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::spawn_blocking;

use super::schema::{self, OpenError};
use crate::store::MetaError;

/// The thread that writes. It ends when this is dropped, after what it was given.
pub(super) struct Writer {
    commands: mpsc::Sender<Box<dyn Command>>,
    commits: Arc<AtomicU64>,
    watch: Arc<OnceLock<CommitWatch>>,
}

/// Is told of each transaction that waiting commands shared, before they are answered.
pub type CommitWatch = Box<dyn Fn(Commit) + Send + Sync>;

/// A transaction of the writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Commands in it, refused ones included.
    pub commands: usize,
    /// From its begin until it was durable, or had failed.
    pub spent: Duration,
    /// It failed as a whole.
    pub failed: bool,
}

impl Writer {
    pub(super) fn start(connection: Connection) -> Result<Writer, OpenError> {
        let (commands, waiting) = mpsc::channel();
        let commits = Arc::new(AtomicU64::new(0));
        let counter = commits.clone();
        let watch = Arc::<OnceLock<CommitWatch>>::default();
        let watching = watch.clone();
        thread::Builder::new()
            .name("vodferry-meta".to_owned())
            .spawn(move || serve(connection, &waiting, &counter, &watching))
            .map_err(OpenError::Thread)?;
        Ok(Writer { commands, commits, watch })
    }

    /// Runs `verb` in a transaction, and answers once that is durable. `doing` completes "the
    /// database could not …". The verb runs even when nobody waits for its answer any more.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        doing: &'static str,
        verb: impl FnOnce(&Connection) -> Result<T, MetaError> + Send + 'static,
    ) -> Result<T, MetaError> {
        let (reply, answer) = oneshot::channel();
        let command = Box::new(Verb { doing, verb: Some(verb), outcome: None, reply });
        self.commands.send(command).map_err(|_| MetaError::Closed)?;
        answer.await.map_err(|_| MetaError::Closed)?
    }

    /// Tells of commits from now on; the first who asks is told.
    pub(super) fn watch(&self, watch: CommitWatch) {
        self.watch.set(watch).ok();
    }

    /// Transactions committed so far.
    pub(super) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }
}

/// Connections that read.
pub(super) struct Readers {
    path: PathBuf,
    idle: Arc<Mutex<Vec<Connection>>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn new(path: PathBuf, most: usize) -> Readers {
        Readers { path, idle: Arc::default(), permits: Arc::new(Semaphore::new(most)) }
    }

    /// Runs `verb` on one snapshot of the database.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        doing: &'static str,
        verb: impl FnOnce(&Connection) -> Result<T, MetaError> + Send + 'static,
    ) -> Result<T, MetaError> {
        let permit = self.permits.clone().acquire_owned().await.map_err(|_| MetaError::Closed)?;
        let (path, idle) = (self.path.clone(), self.idle.clone());
        let reading = move || {
            let _permit = permit;
            let taken = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut connection = match taken {
                Some(connection) => connection,
                None => schema::open_reader(&path)?,
            };
            let snapshot = connection.transaction()?;
            let outcome = verb(&snapshot);
            snapshot.rollback()?;
            idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            outcome
        };
        spawn_blocking(reading)
            .await
            .map_err(|_| MetaError::Closed)?
            .map_err(|e| e.while_doing(doing))
    }

    /// Brings the log into the database and gives back its room, unless somebody reads it.
    pub(super) async fn empty_log(&self) -> Result<(), MetaError> {
        let path = self.path.clone();
        let emptying = move || {
            let connection = schema::open_reader(&path)?;
            connection.busy_timeout(WAIT_FOR_READERS)?;
            let empty = "PRAGMA wal_checkpoint(TRUNCATE)";
            Ok::<_, MetaError>(connection.query_row(empty, [], |_| Ok(()))?)
        };
        spawn_blocking(emptying)
            .await
            .map_err(|_| MetaError::Closed)?
            .map_err(|e| e.while_doing("empty the log"))
    }
}

/// A verb that waits for its turn, and then for its transaction.
trait Command: Send {
    /// Answers why it did not do what it should; its changes must be undone then.
    fn run(&mut self, connection: &Connection) -> Option<&MetaError>;
    /// Ends it, with the error of its transaction if there was one.
    fn answer(self: Box<Self>, failed: Option<&MetaError>);
}

struct Verb<F, T> {
    doing: &'static str,
    verb: Option<F>,
    outcome: Option<Result<T, MetaError>>,
    reply: oneshot::Sender<Result<T, MetaError>>,
}

impl<F, T> Command for Verb<F, T>
where
    F: FnOnce(&Connection) -> Result<T, MetaError> + Send,
    T: Send,
{
    fn run(&mut self, connection: &Connection) -> Option<&MetaError> {
        self.outcome = self.verb.take().map(|verb| verb(connection));
        self.outcome.as_ref().and_then(|outcome| outcome.as_ref().err())
    }

    fn answer(self: Box<Self>, failed: Option<&MetaError>) {
        let outcome = match (self.outcome, failed) {
            // Its own failure may be what the transaction failed of.
            (Some(Err(own @ (MetaError::Full { .. } | MetaError::Storage { .. }))), _) => Err(own),
            // A refusal may be due to what a neighbour did, which is undone.
            (_, Some(e)) => Err(e.clone()),
            (Some(Err(own)), None) => Err(own),
            (Some(Ok(done)), None) => Ok(done),
            (None, None) => Err(MetaError::Closed),
        };
        // Nobody may be waiting any more.
        self.reply.send(outcome.map_err(|e| e.while_doing(self.doing))).ok();
    }
}

/// Longer transactions would only make those at their front wait. With small bodies one writes 8 MiB of
/// them at most.
const MOST_PER_COMMIT: usize = 512;

fn serve(
    mut connection: Connection,
    waiting: &mpsc::Receiver<Box<dyn Command>>,
    commits: &AtomicU64,
    watch: &OnceLock<CommitWatch>,
) {
    let mut mended: Option<Instant> = None;
    while let Ok(first) = waiting.recv() {
        let mut batch: Vec<Box<dyn Command>> = vec![first];
        batch.extend(waiting.try_iter().take(MOST_PER_COMMIT - 1));
        let began = Instant::now();
        let failed = commit_together(&mut connection, &mut batch).err();
        if let Some(watch) = watch.get() {
            let (commands, failed) = (batch.len(), failed.is_some());
            watch(Commit { commands, spent: began.elapsed(), failed });
        }
        match &failed {
            None => drop(commits.fetch_add(1, Ordering::Relaxed)),
            Some(error) => tracing::error!(?error, commands = batch.len(), "a commit failed"),
        }
        for command in batch {
            command.answer(failed.as_ref());
        }
        let full = matches!(failed, Some(MetaError::Full { .. }));
        if full && mended.is_none_or(|at| at.elapsed() >= BETWEEN_MENDINGS) {
            mended = Some(Instant::now());
            empty_log(&connection);
        }
    }
}

/// On a full disk the log can grow no further, but what it holds can still be written over pages that the
/// database has; it starts anew then, and gives back its room.
fn empty_log(connection: &Connection) {
    // Those who read the log are waited for, and all others wait meanwhile.
    let emptied = connection.busy_timeout(WAIT_FOR_READERS).and_then(|()| {
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0))
    });
    match emptied {
        Ok(0) => tracing::info!("the disk is full: the database's log was emptied"),
        Ok(_) => tracing::warn!("the disk is full, and the database's log is in use"),
        Err(error) => tracing::warn!(%error, "the disk is full, and the database's log with it"),
    }
    if let Err(error) = connection.busy_timeout(schema::PATIENCE) {
        tracing::error!(%error, "the database does not take its settings");
    }
}

const WAIT_FOR_READERS: Duration = Duration::from_millis(200);
/// One costs up to the log's length of writes, also where it is in vain.
const BETWEEN_MENDINGS: Duration = Duration::from_secs(1);

fn commit_together(
    connection: &mut Connection,
    batch: &mut [Box<dyn Command>],
) -> Result<(), MetaError> {
    let together = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for command in batch {
        step(&together, "SAVEPOINT command")?;
        if let Some(error) = command.run(&together) {
            // After some failures (a full disk) SQLite has undone the whole transaction.
            still_open(&together, error)?;
            step(&together, "ROLLBACK TO command")?;
        }
        step(&together, "RELEASE command")?;
    }
    Ok(together.commit()?)
}

fn step(transaction: &Transaction<'_>, statement: &str) -> rusqlite::Result<()> {
    transaction.prepare_cached(statement)?.execute([]).map(drop)
}

fn still_open(transaction: &Transaction<'_>, cause: &MetaError) -> Result<(), MetaError> {
    if !transaction.is_autocommit() {
        return Ok(());
    }
    if let MetaError::Full { .. } = cause {
        return Err(cause.clone());
    }
    Err(rusqlite::Error::SqliteFailure(
        rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_ABORT_ROLLBACK),
        Some("a neighbour's failure undid the transaction".to_owned()),
    )
    .into())
}

impl From<rusqlite::Error> for MetaError {
    fn from(source: rusqlite::Error) -> MetaError {
        let doing = "do its work";
        match source.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => MetaError::Full { doing, source: Arc::new(source) },
            _ => MetaError::Storage { doing, source: Arc::new(source) },
        }
    }
}

impl MetaError {
    fn while_doing(self, doing: &'static str) -> MetaError {
        match self {
            MetaError::Full { source, .. } => MetaError::Full { doing, source },
            MetaError::Storage { source, .. } => MetaError::Storage { doing, source },
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a command saw of its neighbours was never there.
    #[tokio::test]
    async fn a_refusal_does_not_outlive_the_commit_that_it_was_decided_in() {
        let connection = Connection::open_in_memory().unwrap();
        let tables = "PRAGMA foreign_keys = ON; CREATE TABLE key (name TEXT PRIMARY KEY);
            CREATE TABLE late (name TEXT REFERENCES key DEFERRABLE INITIALLY DEFERRED)";
        connection.execute_batch(tables).unwrap();
        let writer = Writer::start(connection).unwrap();
        // Holds the writer until the others wait for it, so that they share a commit.
        let (begin, begun) = oneshot::channel();
        let (go, gate) = mpsc::channel::<()>();
        let hold = writer.run("wait", move |_| {
            begin.send(()).ok();
            let _: () = gate.recv().unwrap_or_default();
            Ok(())
        });
        let put = || {
            writer.run("put", |db| match db.execute("INSERT INTO key VALUES ('k')", []) {
                Ok(_) => Ok(()),
                Err(_) => Err(MetaError::FileAlreadyExists { key: "k".to_owned() }),
            })
        };
        let spoil = writer.run("spoil", |db| Ok(db.execute("INSERT INTO late VALUES ('no')", [])?));
        let together = async {
            begun.await.unwrap();
            tokio::join!(put(), put(), spoil, async { go.send(()).unwrap() })
        };
        let (held, (one, two, spoilt, ())) = tokio::join!(hold, together);
        held.unwrap();
        for failed in [one, two, spoilt.map(drop)] {
            assert!(matches!(failed, Err(MetaError::Storage { .. })), "{failed:?}");
        }
        put().await.unwrap();
        assert!(matches!(put().await, Err(MetaError::FileAlreadyExists { .. })));
    }
}

//! The knobs of the engine, with their defaults.

use crate::limit::Limit;

/// Below this many bytes a file goes up in one PutObject; also the smallest part the service accepts.
pub const SMALL_FILE: u64 = 102_400;
/// The largest part the service accepts: 5 GiB.
pub const MAX_PART_SIZE: u64 = 5 << 30;
/// The most parts one upload may have.
pub const MAX_PARTS: u64 = 10_000;
/// Part size when none is asked for: 1 MiB.
pub const DEFAULT_PART_SIZE: u64 = 1 << 20;
/// Parts of one file in flight when no number is asked for.
pub const DEFAULT_PARALLEL: u32 = 5;

/// How the engine behaves. Fixed for the life of an engine.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Bytes per part; 0 means [`DEFAULT_PART_SIZE`], or what suits file and network when `adaptive`. From [`SMALL_FILE`] to
    /// [`MAX_PART_SIZE`], raised where a file would need more than [`MAX_PARTS`].
    pub part_size: u64,
    /// Parts of one file in flight; 0 means [`DEFAULT_PARALLEL`], or what the measured goodput asks for (up to
    /// `max_in_flight`) when `adaptive`.
    pub parallel: u32,
    /// What is not set is chosen by measurement: the part size once per upload, the parallelism while it runs. Default false.
    pub adaptive: bool,
    /// Bytes that the shell keeps in memory for all parts in flight: the measure for parts that nobody set a size for, and the
    /// largest part of a source of unknown length. Default 64 MiB.
    pub max_buffered: u64,
    /// Parts of all files in flight. Default 16.
    pub max_in_flight: u32,
    /// Files under way at once; they start by [`FileSpec::priority`](crate::FileSpec::priority), equals in the order added. Default 1.
    pub files_at_once: u32,
    /// When to try again and when to give up.
    pub retry: Retry,
    /// What cancelling and removing do at the server. Default [`OnCancel::Keep`].
    pub on_cancel: OnCancel,
    /// What becomes of a file's other parts in flight when one fails for good. Default [`OnPartFailure::StopAtOnce`].
    pub on_part_failure: OnPartFailure,
    /// The shell answers [`Effect::AskGrant`](crate::Effect::AskGrant). Default false: grants are pushed with
    /// [`Engine::authorize`](crate::Engine::authorize).
    pub authorizer: bool,
    /// A failed file stops the run, as a call of `stop` does: without [`Event::Ended`](crate::Event::Ended). Default false.
    pub halt_on_failure: bool,
    /// `start` queues failed files again. Default false.
    pub restart_failed: bool,
    /// Least milliseconds between two Progress events of a file; 0 gives one per acknowledged part. Default 100.
    pub progress_interval_ms: u64,
    /// After a lost reply to Initiate, look for the upload it may have opened, and adopt it when it is the only one under its
    /// key and has no parts. Needs the right to list, and that no two files go to one key at the same time: the upload of the one
    /// would pass for an orphan of the other. Default false.
    pub find_orphans: bool,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            part_size: 0,
            parallel: 0,
            adaptive: false,
            max_buffered: 64 << 20,
            max_in_flight: 16,
            files_at_once: 1,
            retry: Retry::default(),
            on_cancel: OnCancel::Keep,
            on_part_failure: OnPartFailure::StopAtOnce,
            authorizer: false,
            halt_on_failure: false,
            restart_failed: false,
            progress_interval_ms: 100,
            find_orphans: false,
        }
    }
}

impl Config {
    /// How many parts of a file may be in flight when it begins.
    pub(crate) fn limit(&self) -> Limit {
        match self.parallel {
            0 if self.adaptive => Limit::climbing(self.max_in_flight),
            0 => Limit::fixed(DEFAULT_PARALLEL.min(self.max_in_flight)),
            parts => Limit::fixed(parts),
        }
    }
}

/// When to try again and when to give up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// How much may fail in a row.
    pub budget: Budget,
    /// How long to wait in between.
    pub backoff: Backoff,
}

impl Default for Retry {
    /// Full jitter between 0 and 200 ms doubled each time, at most 20 s, until ten minutes pass without an acknowledged part.
    fn default() -> Retry {
        Retry {
            budget: Budget::Time { ms: 600_000 },
            backoff: Backoff::FullJitter { base_ms: 200, cap_ms: 20_000 },
        }
    }
}

/// How much may fail in a row before a file is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Budget {
    /// So many failures in a row without an acknowledged part (seed 001's `retryCount`): with 3, the third one fails the
    /// file; 0 is like 1. Parts that fail between two back-offs count once, and so do those that were under way when
    /// the back-off began.
    Count(u32),
    /// So many milliseconds of one outage, counted from its opening; the first failure after them fails the file.
    Time {
        /// Milliseconds.
        ms: u64,
    },
}

/// How long to wait before trying again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backoff {
    /// Always the same (seed 001's `retryDuration`).
    Fixed {
        /// Milliseconds.
        ms: u64,
    },
    /// Anything between nothing and `base_ms` doubled with each failure, at most `cap_ms`.
    FullJitter {
        /// Milliseconds.
        base_ms: u64,
        /// Milliseconds.
        cap_ms: u64,
    },
}

/// What becomes of a file's other parts in flight when one fails for good, and the file with it (the exception mode of the
/// OSS SDKs). Either way no new part is sent, and the checkpoint stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnPartFailure {
    /// They are given up, and Failed is told at once.
    StopAtOnce,
    /// They are answered and recorded first, so that the next attempt finds more; then Failed is told, with the first error.
    /// Where they are of no use (the source changed, the upload is gone) they are given up all the same.
    FinishOthers,
}

/// What cancelling (or removing) a file does at the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnCancel {
    /// The parts and the checkpoint stay; the file can be resumed later.
    Keep,
    /// The upload is aborted and the checkpoint deleted. Where no usable credential is there to abort it with, a warning with the
    /// code `AbortSkipped` comes before Canceled (none when the file is removed): its parts stay until the bucket's lifecycle
    /// rule takes them. It is about files under way, and those paused alone while they were: what an earlier run began of a file
    /// whose turn did not come in this one stays.
    Abort,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_parts_are_under_way_where_nothing_is_said_or_measured() {
        let fixed = |config: Config| config.limit().get();
        assert_eq!(fixed(Config::default()), 5);
        assert_eq!(fixed(Config { max_in_flight: 3, ..Config::default() }), 3);
        assert_eq!(fixed(Config { parallel: 7, ..Config::default() }), 7);
    }
}

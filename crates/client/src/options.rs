//! The knobs of an uploader, with their defaults.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use vodferry_engine::{Config, DEFAULT_PARALLEL, OnCancel, OnPartFailure, Retry};
use vodferry_lanes::LEAST;

use crate::Error;
use crate::authorizer::check_region;
use crate::part::PartMd5;

/// How an [`Uploader`](crate::Uploader) behaves. Take the default and change fields.
///
/// ```
/// let mut options = vodferry::Options::default();
/// options.parallel = 3;
/// options.limit = 2_000_000; // 2 MB/s
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Bytes per part, from 102,400 bytes to 5 GiB. 0 (default): what suits file and network (see `adaptive`). Raised where a file would
    /// need more than 10,000 parts.
    pub part_size: u64,
    /// Parts of one file in flight. 0 (default): what the measured goodput asks for (see `adaptive`).
    pub parallel: u32,
    /// Choose by measurement what is not set, that is 0: the part size once per upload, from 256 KiB to 8 MiB and to an eighth of
    /// `max_buffered`; the parts in flight while it runs, up to `max_in_flight`. A long fast line gets many large ones, a slow one that
    /// often breaks few small ones; before anything was measured a part is about 1/256 of the file. Default true; false means 1 MiB and 5.
    pub adaptive: bool,
    /// Parts of all files in flight, at least 1. Default 16.
    pub max_in_flight: u32,
    /// Files under way at once, at least 1; they start by priority, equals in the order added. Default 1.
    pub files_at_once: u32,
    /// When to try again and when to give up. Default: full jitter up to 20 s, until ten minutes pass without an acknowledged part.
    pub retry: Retry,
    /// What cancelling and removing a file do at the server. Default: the parts stay, the upload can be resumed later.
    pub on_cancel: OnCancel,
    /// What becomes of a file's other parts in flight when one fails for good. Default: they are stopped at once.
    pub on_part_failure: OnPartFailure,
    /// A failed file stops the run, as [`Uploader::stop`](crate::Uploader::stop) does: without `Ended`; `start` goes on with the next one.
    /// Default false: the list goes on.
    pub halt_on_failure: bool,
    /// `start` queues failed files again. Default false.
    pub restart_failed: bool,
    /// Least time between two Progress events of a file; zero gives one per acknowledged part. Default 100 ms.
    pub progress_interval: Duration,
    /// Look for the upload that a lost reply to Initiate may have left behind. Needs the right to list uploads, and keys to which nobody
    /// else uploads at the same time, not even this list: the one may take the upload of the other for its own, and both would
    /// send their parts into it. Default false.
    pub find_orphans: bool,
    /// Where checkpoints are kept. Default: `$XDG_STATE_HOME/vodferry/uploads`, or `~/.local/state/vodferry/uploads`.
    /// `None`: in memory, for the life of this uploader.
    pub record_dir: Option<PathBuf>,
    /// What to do with a file that another process is uploading. Default: it fails.
    pub on_busy: OnBusy,
    /// What to do with a file that is in the list already. Default: it is added once more.
    pub duplicates: Duplicates,
    /// Whether [`Uploader::set_metered`](crate::Uploader::set_metered) pauses the list. Default false.
    pub pause_on_metered: bool,
    /// Send Content-MD5 with every part and compare the ETag. Default true. CRC64 is compared always.
    pub content_md5: bool,
    /// Bytes per second of all uploads of an uploader, or of a [`Bucket`](crate::Bucket), together; 0 (default) is no limit.
    /// [`Uploader::set_limit`](crate::Uploader::set_limit) and [`Bucket::set_limit`](crate::Bucket::set_limit) change it under way.
    pub limit: u64,
    /// Memory for part bodies in bytes. Where not all parts in flight fit, each is read twice instead, in windows of 256 KiB. Without
    /// [`content_md5`](Options::content_md5) every part is read once, in such windows. Default 64 MiB.
    pub max_buffered: u64,
    /// Region of the buckets, for example `cn-hangzhou`: requests are signed by V4. `None` (default): by V1, which every service and
    /// server of this protocol takes, but for buckets set to V4 alone. The region of a grant wins.
    pub region: Option<String>,
    /// How long to wait for what.
    pub timeouts: Timeouts,
    /// The way to the network. Default: as the environment says.
    pub proxy: Proxy,
    /// A file of PEM certificates to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// Sent as User-Agent. Default `vodferry/<version>`.
    pub user_agent: String,
}

impl Default for Options {
    fn default() -> Options {
        let config = Config::default();
        Options {
            part_size: config.part_size,
            parallel: 0,
            adaptive: true,
            max_in_flight: config.max_in_flight,
            files_at_once: config.files_at_once,
            retry: config.retry,
            on_cancel: config.on_cancel,
            on_part_failure: config.on_part_failure,
            halt_on_failure: config.halt_on_failure,
            restart_failed: config.restart_failed,
            progress_interval: Duration::from_millis(config.progress_interval_ms),
            find_orphans: config.find_orphans,
            record_dir: crate::Checkpoints::default_dir(),
            on_busy: OnBusy::default(),
            duplicates: Duplicates::default(),
            pause_on_metered: false,
            content_md5: true,
            limit: 0,
            max_buffered: 64 << 20,
            region: None,
            timeouts: Timeouts::default(),
            proxy: Proxy::System,
            ca_file: None,
            user_agent: concat!("vodferry/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

impl Options {
    /// Most parts in flight at one time.
    pub(crate) fn in_flight(&self) -> u32 {
        let parallel = match self.parallel {
            0 if self.adaptive => self.max_in_flight,
            0 => DEFAULT_PARALLEL,
            parts => parts,
        };
        parallel.saturating_mul(self.files_at_once).min(self.max_in_flight)
    }

    /// How the MD5 of parts is computed: together where enough of them can wait at one time.
    pub(crate) fn part_md5(&self) -> PartMd5 {
        match self.content_md5 {
            false => PartMd5::Off,
            true if usize::try_from(self.in_flight()).is_ok_and(|parts| parts < LEAST) => {
                PartMd5::Alone
            }
            true => PartMd5::Together(Arc::default()),
        }
    }

    /// What the engine needs to know of them. The engine checks the numbers.
    pub(crate) fn config(&self, authorizer: bool) -> Result<Config, Error> {
        if self.user_agent.bytes().any(|b| !(0x20..0x7f).contains(&b)) {
            return Err(Error::misuse("user_agent holds a character that HTTP does not allow"));
        }
        self.region.as_deref().map_or(Ok(()), check_region)?;
        Ok(Config {
            part_size: self.part_size,
            parallel: self.parallel,
            adaptive: self.adaptive,
            max_buffered: self.max_buffered,
            max_in_flight: self.max_in_flight,
            files_at_once: self.files_at_once,
            retry: self.retry,
            on_cancel: self.on_cancel,
            authorizer,
            on_part_failure: self.on_part_failure,
            halt_on_failure: self.halt_on_failure,
            restart_failed: self.restart_failed,
            progress_interval_ms: u64::try_from(self.progress_interval.as_millis())
                .unwrap_or(u64::MAX),
            find_orphans: self.find_orphans,
        })
    }
}

/// What to do with a file that another process is uploading: one that uses the same record directory, and holds the checkpoint there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnBusy {
    /// Failed is told with kind `Busy`, after a fifth of a second: a process that dies needs that to let go.
    #[default]
    Fail,
    /// It waits, and with it the files behind it, until the other process lets go. Then it goes on with what that left
    /// unfinished, or, where that was finished, uploads the file once more. Nothing is told meanwhile.
    Wait,
}

/// What to do with a file that is in the list already: one of the same path and, where it was fixed when added, the same target.
/// Other sources (memory, streams) are never taken for each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Duplicates {
    /// It is added once more.
    #[default]
    Allow,
    /// [`Uploader::add`](crate::Uploader::add) answers `Misuse`, code `FileAlreadyExist`.
    Refuse,
}

/// How long to wait for what. A request that runs out of time is tried again as the retry rules say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// For a connection, TLS included. Default 10 s.
    pub connect: Duration,
    /// Without a byte moving in either direction. Default 30 s.
    pub idle: Duration,
    /// For a whole request, plus the time that its body and the reply's take at `slowest`. Time spent waiting for the bandwidth limit does not count. Default 60 s.
    pub request: Duration,
    /// Bytes per second below which a part is given up and sent anew, at least 1. Default 8 KiB/s.
    pub slowest: u64,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            connect: Duration::from_secs(10),
            idle: Duration::from_secs(30),
            request: Duration::from_secs(60),
            slowest: 8 << 10,
        }
    }
}

impl Timeouts {
    /// For a whole request that moves so many bytes both ways.
    pub(crate) fn for_bytes(&self, bytes: u64) -> Duration {
        self.request.saturating_add(Duration::from_secs(bytes / self.slowest.max(1)))
    }
}

/// The way to the network.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Proxy {
    /// None, whatever the environment says.
    Direct,
    /// As `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` say, and none for `localhost` and loopback addresses.
    #[default]
    System,
    /// This one for everything: `http://host:port`, with `user:password@` where it asks for them.
    Url(String),
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Proxy::Direct => "Direct",
            Proxy::System => "System",
            // It may hold a password.
            Proxy::Url(_) => "Url(***)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_part_gets_more_time() {
        let timeouts = Timeouts::default();
        assert_eq!(timeouts.for_bytes(0), Duration::from_secs(60));
        assert_eq!(timeouts.for_bytes(8 << 20), Duration::from_secs(60 + 1024));
        let none = Timeouts { slowest: 0, ..timeouts };
        assert_eq!(none.for_bytes(10), Duration::from_secs(70));
    }

    #[test]
    fn enough_parts_at_once_are_hashed_together() {
        let md5 = |parallel, files_at_once, content_md5| {
            let options = Options { parallel, files_at_once, content_md5, ..Options::default() };
            options.part_md5()
        };
        assert!(matches!(Options::default().part_md5(), PartMd5::Together(_)));
        assert!(matches!(md5(1, 1, true), PartMd5::Alone));
        assert!(matches!(md5(1, LEAST as u32, true), PartMd5::Together(_)));
        assert!(matches!(md5(16, 1, false), PartMd5::Off));
        let narrow = Options { parallel: 16, max_in_flight: 1, ..Options::default() };
        assert!(matches!(narrow.part_md5(), PartMd5::Alone));
    }

    #[test]
    fn memory_is_for_as_many_parts_as_may_be_in_flight() {
        let parts = |parallel, adaptive| {
            Options { parallel, adaptive, max_in_flight: 12, ..Options::default() }.in_flight()
        };
        assert_eq!([parts(0, false), parts(0, true)], [5, 12]);
        assert_eq!([parts(3, false), parts(3, true), parts(40, true)], [3, 3, 12]);
    }

    #[test]
    fn a_proxy_shows_no_password() {
        let options = Options { proxy: Proxy::Url("http://u:hush@h".into()), ..Options::default() };
        assert!(!format!("{options:?}").contains("hush"));
    }

    #[test]
    fn a_user_agent_cannot_smuggle_a_header() {
        let options = Options { user_agent: "a\r\nb: c".into(), ..Options::default() };
        assert!(options.config(false).is_err());
    }
}

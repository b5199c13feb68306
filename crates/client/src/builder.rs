//! How an uploader is made.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tokio::sync::{Notify, mpsc, watch};
use vodferry_engine::Engine;

use crate::clock::Clock;
use crate::limit::Limit;
use crate::perform::Means;
use crate::shell::{Shared, Shell, Told};
use crate::state::{Grants, State};
use crate::store::Store;
use crate::{Authorizer, Error, ErrorKind, Holds, Http, News, Options, Reporter, Uploader, report};

/// Makes an [`Uploader`]; see [`Uploader::builder`].
#[derive(Clone, Default)]
pub struct UploaderBuilder {
    options: Options,
    authorizer: Option<Arc<dyn Authorizer>>,
    http: Option<Arc<dyn Http>>,
    reporter: Option<Arc<dyn Reporter>>,
    clock: Option<Clock>,
    limit: Option<Arc<Limit>>,
}

impl UploaderBuilder {
    /// Takes all options at once.
    pub fn options(mut self, options: Options) -> UploaderBuilder {
        self.options = options;
        self
    }

    /// Hands out grants. Without one, files bring their grant along, or get it by [`Uploader::authorize`].
    pub fn authorizer(mut self, authorizer: impl Authorizer) -> UploaderBuilder {
        self.authorizer = Some(Arc::new(authorizer));
        self
    }

    /// Sends through this instead of [`http_client`](crate::http_client).
    pub fn http(mut self, http: Arc<dyn Http>) -> UploaderBuilder {
        self.http = Some(http);
        self
    }

    /// Tells this what the uploader does, for statistics. Default: nobody.
    pub fn reporter(mut self, reporter: impl Reporter) -> UploaderBuilder {
        self.reporter = Some(Arc::new(reporter));
        self
    }

    /// Goes by this clock instead of the system's. For tests: with [`Clock::scripted`] and tokio's clock paused, hours of
    /// back-off and expiry pass in milliseconds.
    pub fn clock(mut self, clock: Clock) -> UploaderBuilder {
        self.clock = Some(clock);
        self
    }

    /// Queues at this limit, together with others, instead of one of its own.
    pub(crate) fn sharing(mut self, limit: Arc<Limit>) -> UploaderBuilder {
        self.limit = Some(limit);
        self
    }

    /// Sets [`Options::parallel`].
    pub fn parallel(mut self, parts: u32) -> UploaderBuilder {
        self.options.parallel = parts;
        self
    }

    /// Sets [`Options::part_size`].
    pub fn part_size(mut self, bytes: u64) -> UploaderBuilder {
        self.options.part_size = bytes;
        self
    }

    /// Sets [`Options::limit`].
    pub fn limit(mut self, bytes_per_second: u64) -> UploaderBuilder {
        self.options.limit = bytes_per_second;
        self
    }

    /// Sets [`Options::record_dir`].
    pub fn record_dir(mut self, dir: Option<PathBuf>) -> UploaderBuilder {
        self.options.record_dir = dir;
        self
    }

    /// An empty list, stopped.
    ///
    /// # Errors
    ///
    /// Kind `Misuse` when an option is out of its range, or outside of a tokio runtime; those of [`http_client`](crate::http_client).
    pub fn build(self) -> Result<Uploader, Error> {
        let runtime = tokio::runtime::Handle::try_current()
            .map_err(|_| Error::misuse("an uploader is made inside of a tokio runtime"))?;
        let UploaderBuilder { options, authorizer, http, reporter, clock, limit } = self;
        let clock = clock.unwrap_or_else(Clock::system);
        let config = options.config(authorizer.is_some())?;
        let seed = getrandom::u64().map_err(|error| {
            Error::new(ErrorKind::Io, "NoRandomness", "the system gives no randomness")
                .with_source(error)
        })?;
        let http = match http {
            Some(http) => http,
            None => crate::http_client(&options)?,
        };
        let state = State {
            engine: Engine::new(config, seed)?,
            files: Default::default(),
            grants: Grants::new(options.region.clone()),
            subscribers: Vec::new(),
            authorizer,
            duplicates: options.duplicates,
            pause_on_metered: options.pause_on_metered,
            holds: Holds::default(),
            closed: false,
            removed: false,
        };
        let mut means = Means::new(&options, http);
        if let Some(limit) = limit {
            means.limit = limit;
        }
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            wake: Notify::new(),
            running: watch::Sender::new(false),
            idle: watch::Sender::new(true),
            changed: watch::Sender::new(()),
            runtime: runtime.clone(),
            means,
            clock: clock.clone(),
        });
        let (tell, told) = mpsc::unbounded_channel();
        let stored = tell.clone();
        let (store, ended) = Store::start(
            options.record_dir,
            options.on_busy,
            options.part_size,
            clock,
            move |answer| {
                let _ = stored.send(Told::Stored(answer));
            },
        )?;
        let reported = reporter.map(|reporter| {
            let (sender, events) = mpsc::unbounded_channel();
            shared.lock().subscribers.push(sender);
            runtime.spawn(report::run(Arc::downgrade(&shared), events, reporter))
        });
        let authorizer = shared.lock().authorizer.clone();
        if let Some(authorizer) = authorizer {
            authorizer.listen(News::of(&shared));
        }
        runtime.spawn(Shell::new(shared.clone(), store, tell, told).run());
        Ok(Uploader::new(shared, ended, reported))
    }
}

impl fmt::Debug for UploaderBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UploaderBuilder").field("options", &self.options).finish_non_exhaustive()
    }
}

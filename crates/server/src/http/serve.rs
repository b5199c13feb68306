//! A server's life: opening its folder and its socket, running, stopping.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::App;
use super::first_start::FirstStart;
use super::listen::accept;
use super::observe::{AccessLog, Metrics, serve_metrics};
use super::proxies::Proxies;
use super::serve_error::ServeError;
use super::tls::Tls;
use crate::callback::Callbacks;
use crate::config::Config;
use crate::keys::{self, Keys, LiveKeys};
use crate::store::{
    BlobStore, Clock, CommitWatch, DATABASE_FILE, DiskBlobs, Fs, Janitor, JanitorOptions, LOG_FILE,
    MetaStore, Quotas, RealFs, SqliteOptions, SqliteStore, lost, make_private_folder, wall_clock,
};

/// Starts a server: makes the data folder, keys and bucket when they are missing, and listens. When
/// this returns, requests are served.
///
/// ```no_run
/// # async fn example() -> Result<(), vodferry_server::ServeError> {
/// let config = vodferry_server::Config { data: "data".into(), ..Default::default() };
/// let running = vodferry_server::serve(config).await?;
/// println!("serving {}", running.endpoint());
/// running.shutdown().await;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// A setting, the folder, the keys, the database, or the address (most often: the port is taken).
pub async fn serve(config: Config) -> Result<Running, ServeError> {
    serve_in(config, Environment::default()).await
}

/// What a server stands on. The default is this machine; tests play a disk that is full and a clock
/// that jumps.
#[derive(Clone)]
pub struct Environment {
    /// Holds the blobs. The database and the keys are always on this machine's file system.
    pub fs: Arc<dyn Fs>,
    /// Tells the time of requests, credentials and the janitor.
    pub clock: Clock,
    /// In place of the one that is configured, and below what may be configured.
    pub garbage_age: Option<Duration>,
}

impl Default for Environment {
    fn default() -> Environment {
        Environment { fs: Arc::new(RealFs), clock: wall_clock(), garbage_age: None }
    }
}

/// As [`serve`], in another environment.
///
/// # Errors
/// As [`serve`].
pub async fn serve_in(config: Config, environment: Environment) -> Result<Running, ServeError> {
    config.check()?;
    // First of all, so that a second start on the same port disturbs nothing.
    let (listener, addr) = listen(config.listen, "listen").await?;
    let tls = match &config.tls {
        Some(files) => Some(Arc::new(Tls::open(files, &config.limits)?)),
        None => None,
    };
    let own = own_endpoint(addr, tls.is_some());
    if !config.trusted_proxies.is_empty() && config.public_endpoint.is_none() {
        tracing::warn!(
            endpoint = own,
            "clients behind a proxy are told this server's own address: set public_endpoint"
        );
    }
    let endpoint = config.public_endpoint.clone().unwrap_or(own);
    let Environment { fs, clock, garbage_age } = environment;
    let scraping = match config.metrics_listen {
        Some(addr) => Some(listen(addr, "metrics_listen").await?),
        None => None,
    };
    let callbacks = Callbacks::new(config.data.clone(), &endpoint, &config.callback)?;
    let janitor = JanitorOptions {
        every: config.janitor_interval,
        upload_life: config.upload_life,
        garbage_age: garbage_age.unwrap_or(config.garbage_age),
        ..JanitorOptions::default()
    };
    let lost_lines = Arc::default();
    let mut metrics = Metrics::new(Arc::clone(&lost_lines));
    let opened = open(&config, fs, &clock, janitor, metrics.commit_watch()).await?;
    let access_log = match &config.access_log {
        Some(path) => Some(open_log(path, &lost_lines)?),
        None => None,
    };
    metrics.watch_janitor(opened.janitor.tally());
    let first_start = opened.fresh_keys.then(|| FirstStart::of(&config, &endpoint, &opened.keys));

    let mut base_domains = config.base_domains.clone();
    base_domains.push("localhost".to_owned());
    let app = Arc::new(App {
        callbacks: Arc::new(callbacks),
        endpoint: endpoint.clone(),
        proxies: Proxies::new(&config.trusted_proxies),
        base_domains,
        cnames: config.cnames.clone().into_iter().collect(),
        keys: LiveKeys::new(&config.data, opened.keys),
        nonces: Default::default(),
        blobs: opened.blobs,
        meta: opened.meta,
        clock,
        metrics: Arc::new(metrics),
        tls,
        access_log,
        config,
    });
    let stop = CancellationToken::new();
    let metrics_addr = scraping.as_ref().map(|(_, addr)| *addr);
    let reloading = Arc::downgrade(&app);
    let scraped = scraping.map(|(listener, _)| serve_metrics(listener, app.clone(), stop.clone()));
    let watching = app.tls.clone().map(|tls| {
        let (metrics, stop) = (app.metrics.clone(), stop.clone());
        async move {
            stop.run_until_cancelled(tls.watch(&metrics)).await;
        }
    });
    let secure = app.tls.is_some();
    let accepting = accept(listener, app, stop.clone());
    let serving = tokio::spawn(async move {
        tokio::join!(accepting, maybe(scraped), maybe(watching));
    });
    tracing::info!(%addr, endpoint, "serving");
    let janitor = Some(opened.janitor);
    let app = reloading;
    Ok(Running { addr, secure, metrics_addr, endpoint, first_start, stop, app, serving, janitor })
}

/// A server that runs. Dropped without [`shutdown`](Running::shutdown) it stops at once, as if the
/// process had died: what it acknowledged is kept, requests under way are cut.
pub struct Running {
    addr: SocketAddr,
    secure: bool,
    metrics_addr: Option<SocketAddr>,
    endpoint: String,
    first_start: Option<FirstStart>,
    stop: CancellationToken,
    app: Weak<App>,
    serving: JoinHandle<()>,
    janitor: Option<Janitor>,
}

impl Running {
    /// Where it listens, with the port that port 0 became.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The address with its scheme, as in `https://127.0.0.1:9000`.
    pub fn url(&self) -> String {
        format!("{}://{}", scheme(self.secure), self.addr)
    }

    /// Where `/metrics` is, if anywhere.
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        self.metrics_addr
    }

    /// Begins a new access log where the old one was moved away, and reads certificate and key again; ones
    /// that are no good change nothing and are told in the log.
    pub fn reload(&self) {
        let Some(app) = self.app.upgrade() else { return };
        if let Some(tls) = &app.tls {
            tls.reload(&app.metrics);
        }
        if let Some(log) = &app.access_log {
            log.reopen();
        }
    }

    /// The URL that clients are told.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// What there is to know after the very first start on a folder.
    pub fn first_start(&self) -> Option<&FirstStart> {
        self.first_start.as_ref()
    }

    /// Stops accepting, finishes requests under way, at most as long as the configuration says, and
    /// stops.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        if let Err(error) = (&mut self.serving).await {
            tracing::error!(%error, "the server did not end well");
        }
        if let Some(janitor) = self.janitor.take() {
            janitor.stop().await;
        }
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("addr", &self.addr).finish_non_exhaustive()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

struct Opened {
    keys: Keys,
    fresh_keys: bool,
    blobs: Arc<dyn BlobStore>,
    meta: Arc<dyn MetaStore>,
    janitor: Janitor,
}

async fn open(
    config: &Config,
    fs: Arc<dyn Fs>,
    clock: &Clock,
    options: JanitorOptions,
    watch: CommitWatch,
) -> Result<Opened, ServeError> {
    let (data, durable, min_part_size) =
        (config.data.clone(), config.durable, config.min_part_size);
    let reserved_space = config.reserved_space;
    let quotas = Quotas { every: config.quota, of: config.quotas.clone() };
    let opening = tokio::task::spawn_blocking(move || {
        make_private_folder(&data)
            .map_err(|source| ServeError::Folder { path: data.clone(), source })?;
        // The blobs lock the folder, so that of two servers started at once one makes the rest.
        let blobs = DiskBlobs::open_on(fs.clone(), &data, durable)?;
        blobs.keep_free(reserved_space, &data.join(LOG_FILE));
        if let Some(error) = lost(&*fs, &data)? {
            return Err(error.into());
        }
        // What a start that was cut here left has secrets in it.
        keys::remove_drafts(&data)?;
        let (keys, fresh_keys) = Keys::open(&data)?;
        let options = SqliteOptions { durable, min_part_size, quotas, ..SqliteOptions::default() };
        let meta = SqliteStore::open(&data.join(DATABASE_FILE), options)?;
        Ok::<_, ServeError>((blobs, keys, fresh_keys, meta))
    });
    let (blobs, keys, fresh_keys, meta) = opening.await.map_err(|error| ServeError::Folder {
        path: config.data.clone(),
        source: io::Error::other(error),
    })??;
    let blobs: Arc<dyn BlobStore> = Arc::new(blobs);
    meta.watch_commits(watch);
    let meta: Arc<dyn MetaStore> = Arc::new(meta);
    meta.create_bucket(&config.bucket, clock()).await?;
    let janitor = Janitor::start(blobs.clone(), meta.clone(), options, clock.clone());
    Ok(Opened { keys, fresh_keys, blobs, meta, janitor })
}

async fn maybe(work: Option<impl Future<Output = ()>>) {
    if let Some(work) = work {
        work.await;
    }
}

fn scheme(secure: bool) -> &'static str {
    if secure { "https" } else { "http" }
}

/// Where clients on this machine reach `addr`.
fn own_endpoint(mut addr: SocketAddr, secure: bool) -> String {
    if addr.ip().is_unspecified() {
        let own: IpAddr = match addr {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        };
        addr.set_ip(own);
        tracing::warn!(
            "other machines are served, but told a loopback address: set public_endpoint"
        );
    }
    format!("{}://{addr}", scheme(secure))
}

async fn listen(
    addr: SocketAddr,
    setting: &'static str,
) -> Result<(TcpListener, SocketAddr), ServeError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => ServeError::AddressInUse { addr, setting },
        _ => ServeError::Listen { addr, setting, source },
    };
    let listener = TcpListener::bind(addr).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

fn open_log(path: &Path, lost: &Arc<AtomicU64>) -> Result<AccessLog, ServeError> {
    let failed = |source| ServeError::AccessLog { path: path.to_owned(), source };
    AccessLog::open(path, lost.clone()).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_told_an_address_that_they_can_reach() {
        let told = |addr: &str| own_endpoint(addr.parse().unwrap(), false);
        assert_eq!(told("127.0.0.1:9000"), "http://127.0.0.1:9000");
        assert_eq!(told("0.0.0.0:9000"), "http://127.0.0.1:9000");
        assert_eq!(told("[::]:80"), "http://[::1]:80");
        assert_eq!(told("10.0.0.5:80"), "http://10.0.0.5:80");
        let secure = own_endpoint(([10, 0, 0, 5], 443).into(), true);
        assert_eq!(secure, "https://10.0.0.5:443");
    }
}

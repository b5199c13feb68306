//! TLS: a certificate and its key, read from files, and read again when these change.
//!
//! A new pair that is no good (half of it written, a key of another certificate) is told in the log and
//! changes nothing: connections go on with the pair that was good before.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::observe::Metrics;
use crate::config::{Limits, TlsFiles};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What connections are encrypted with.
pub(crate) struct Tls {
    files: TlsFiles,
    now: Mutex<Loaded>,
    http2: Arc<Semaphore>,
}

/// How one connection is to be accepted.
pub(crate) struct Offer {
    /// For the handshake.
    pub(crate) config: Arc<ServerConfig>,
    /// There when HTTP/2 is offered; to be kept as long as it is spoken.
    pub(crate) http2: Option<OwnedSemaphorePermit>,
}

struct Loaded {
    /// Of the files when they were looked at last, good or not.
    stamp: Option<Stamp>,
    with_http2: Arc<ServerConfig>,
    without: Arc<ServerConfig>,
}

type Stamp = [(SystemTime, u64); 2];

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("{} holds no {what} in PEM", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
    },
    /// The two do not fit, or are of a kind that is not supported.
    #[error("the certificate {} and the key {} cannot be used", cert.display(), key.display())]
    Pair {
        /// The file of the certificate.
        cert: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// What is wrong with them.
        source: rustls::Error,
    },
}

impl Tls {
    pub(crate) fn open(files: &TlsFiles, limits: &Limits) -> Result<Tls, TlsError> {
        let stamp = stamp(files);
        let (with_http2, without) = load(files)?;
        Ok(Tls {
            files: files.clone(),
            now: Mutex::new(Loaded { stamp, with_http2, without }),
            http2: Arc::new(Semaphore::new(limits.http2_connections)),
        })
    }

    /// For a connection that comes now. When as many speak HTTP/2 as may, it is not offered.
    pub(crate) fn offer(&self) -> Offer {
        let http2 = self.http2.clone().try_acquire_owned().ok();
        let now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        let config = if http2.is_some() { &now.with_http2 } else { &now.without };
        Offer { config: config.clone(), http2 }
    }

    /// Reads the files again, whether they changed or not.
    pub(crate) fn reload(&self, metrics: &Metrics) {
        self.take(stamp(&self.files), metrics);
    }

    /// Reads the files again whenever they changed. Never ends.
    pub(crate) async fn watch(self: &Arc<Tls>, metrics: &Arc<Metrics>) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let (tls, metrics) = (self.clone(), metrics.clone());
            let looked = tokio::task::spawn_blocking(move || {
                let found = stamp(&tls.files);
                let seen = tls.now.lock().unwrap_or_else(PoisonError::into_inner).stamp;
                if found != seen {
                    tls.take(found, &metrics);
                }
            });
            // It does not panic; were the runtime ending, so would this.
            let _ = looked.await;
        }
    }

    fn take(&self, stamp: Option<Stamp>, metrics: &Metrics) {
        let loaded = load(&self.files);
        metrics.certificate_loaded(loaded.is_ok());
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        now.stamp = stamp;
        match loaded {
            Ok((with_http2, without)) => {
                (now.with_http2, now.without) = (with_http2, without);
                tracing::info!(cert = %self.files.cert.display(), "the certificate was read again");
            }
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::error!(%error, cause, "the certificate stays the one that it was");
            }
        }
    }
}

/// What changes when the files do; none when one cannot be looked at.
fn stamp(files: &TlsFiles) -> Option<Stamp> {
    let of = |path: &Path| {
        let metadata = fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    Some([of(&files.cert)?, of(&files.key)?])
}

fn load(files: &TlsFiles) -> Result<(Arc<ServerConfig>, Arc<ServerConfig>), TlsError> {
    let read = |path: &Path| {
        fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source })
    };
    let pem = |path: &Path, what| TlsError::Pem { path: path.to_owned(), what };
    let chain = CertificateDer::pem_slice_iter(&read(&files.cert)?)
        .collect::<Result<Vec<_>, _>>()
        .ok()
        .filter(|chain| !chain.is_empty())
        .ok_or_else(|| pem(&files.cert, "certificate"))?;
    let key = zeroize::Zeroizing::new(read(&files.key)?);
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(|_| pem(&files.key, "private key"))?;
    let pair = |source| TlsError::Pair { cert: files.cert.clone(), key: files.key.clone(), source };
    let mut without = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(pair)?;
    let mut with_http2 = without.clone();
    with_http2.alpn_protocols = vec![HTTP2.to_vec(), b"http/1.1".to_vec()];
    without.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok((Arc::new(with_http2), Arc::new(without)))
}

/// As ALPN names it.
pub(crate) const HTTP2: &[u8] = b"h2";

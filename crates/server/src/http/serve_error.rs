//! Why a server does not start.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::tls::TlsError;
use crate::config::ConfigError;
use crate::keys::KeysError;
use crate::store::{BlobError, MetaError, OpenError};

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// Another process listens there.
    #[error("{addr} is taken: another program listens there")]
    AddressInUse {
        /// The configured address.
        addr: SocketAddr,
        /// Its setting: `listen` or `metrics_listen`.
        setting: &'static str,
    },
    /// The address cannot be listened on for another reason.
    #[error("cannot listen on {addr}")]
    Listen {
        /// The configured address.
        addr: SocketAddr,
        /// Its setting: `listen` or `metrics_listen`.
        setting: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The data folder cannot be made.
    #[error("cannot make the data folder {path}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A setting is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The access log cannot be opened.
    #[error("cannot write the access log {}", path.display())]
    AccessLog {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Certificate or key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The keys cannot be read or made.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The blobs cannot be opened, for example because another server uses the folder.
    #[error(transparent)]
    Blobs(#[from] BlobError),
    /// The database cannot be opened.
    #[error(transparent)]
    Database(#[from] OpenError),
    /// The database is open and does not work.
    #[error(transparent)]
    Meta(#[from] MetaError),
}

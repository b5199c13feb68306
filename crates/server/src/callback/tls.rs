//! TLS towards applications: the system's certificates, and those that the configuration adds.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::failure::Failure;
use crate::http::TlsError;

/// How applications are believed to be who they are.
pub(super) struct Tls {
    /// Beside the system's.
    added: Vec<CertificateDer<'static>>,
    /// Made by the first callback that needs it, since it reads many files.
    config: OnceCell<Arc<ClientConfig>>,
}

impl Tls {
    /// With the certificates of a PEM file.
    ///
    /// # Errors
    /// The file cannot be read, or holds none.
    pub(super) fn new(file: Option<&Path>) -> Result<Tls, TlsError> {
        let mut added = Vec::new();
        if let Some(path) = file {
            let pem = fs::read(path)
                .map_err(|source| TlsError::Read { path: path.to_owned(), source })?;
            let none = || TlsError::Pem { path: path.to_owned(), what: "certificate" };
            added = CertificateDer::pem_slice_iter(&pem)
                .collect::<Result<_, _>>()
                .map_err(|_| none())?;
            // What is none of an authority is found out here and not by the first callback.
            let (good, _) = RootCertStore::empty().add_parsable_certificates(added.clone());
            if good == 0 {
                return Err(none());
            }
        }
        Ok(Tls { added, config: OnceCell::new() })
    }

    /// Speaks TLS over `stream` with whoever proves to be `host`. `sni` tells it that name beforehand.
    pub(super) async fn connect(
        &self,
        stream: TcpStream,
        host: &str,
        sni: bool,
    ) -> Result<TlsStream<TcpStream>, Failure> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| Failure::Tls("the host is no name for a certificate".to_owned()))?;
        let mut config = self.config().await?;
        if !sni {
            let mut silent = ClientConfig::clone(&config);
            silent.enable_sni = false;
            config = Arc::new(silent);
        }
        let connected = TlsConnector::from(config).connect(name, stream).await;
        connected.map_err(|error| Failure::Tls(error.to_string()))
    }

    async fn config(&self) -> Result<Arc<ClientConfig>, Failure> {
        let make = || async {
            let added = self.added.clone();
            let made = tokio::task::spawn_blocking(move || config(added)).await;
            made.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
        };
        self.config.get_or_try_init(make).await.cloned().map_err(Failure::Tls)
    }
}

fn config(added: Vec<CertificateDer<'static>>) -> Result<Arc<ClientConfig>, rustls::Error> {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "certificates of the system that callbacks go without");
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    roots.add_parsable_certificates(added);
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

//! What a server made when it found an empty folder.

use std::path::PathBuf;

use crate::config::Config;
use crate::keys::{KEYS_FILE, Keys};

/// What a first start made, for a person to read. Holds no secret, only where the secrets are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstStart {
    /// The URL that clients are told.
    pub endpoint: String,
    /// Bucket of uploaded videos.
    pub bucket: String,
    /// Id of the operator's access key.
    pub access_key_id: String,
    /// The file with its secret and with the bearer token of the application server.
    pub keys_file: PathBuf,
    /// Commands to try, one per line.
    pub commands: Vec<String>,
}

impl FirstStart {
    pub(super) fn of(config: &Config, endpoint: &str, keys: &Keys) -> FirstStart {
        let create = format!(
            "curl -H 'Content-Type: application/json' -d '{{\"FileName\":\"film.mp4\"}}' {endpoint}/api/upload-auth/create"
        );
        FirstStart {
            endpoint: endpoint.to_owned(),
            bucket: config.bucket.clone(),
            access_key_id: keys.root().map(|key| key.id.clone()).unwrap_or_default(),
            keys_file: config.data.join(KEYS_FILE),
            commands: vec![
                format!("vodferry upload film.mp4 --server {endpoint}"),
                create,
                format!("curl {endpoint}/health/ready"),
            ],
        }
    }
}

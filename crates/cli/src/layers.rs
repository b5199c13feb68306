//! What one source of settings (the command line, the environment, the configuration file) says about the place of uploads and the key
//! to it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use vodferry::{Credential, Secret};
use vodferry_server::keys::Keys;

use crate::cli::{PlaceArgs, StoreArgs};
use crate::error::Failure;
use crate::exit_code::ExitCode;
use crate::key::{self, Key};
use crate::settings::Settings;

/// What one source of settings says about the place.
#[derive(Default)]
pub(crate) struct Layer {
    pub(crate) server: Option<String>,
    pub(crate) token: Option<Secret>,
    pub(crate) address: Option<Secret>,
    pub(crate) auth: Option<Secret>,
    pub(crate) vod: Option<String>,
    pub(crate) endpoint: Option<String>,
    pub(crate) bucket: Option<String>,
    pub(crate) access_key_id: Option<String>,
    pub(crate) access_key_secret: Option<Secret>,
    pub(crate) security_token: Option<Secret>,
    pub(crate) keys_file: Option<PathBuf>,
    pub(crate) credentials_command: Option<String>,
}

impl Layer {
    pub(crate) fn flags(flags: &PlaceArgs) -> Layer {
        Layer {
            server: flags.server.clone(),
            token: flags.token.as_deref().map(Secret::new),
            address: flags.address.as_deref().map(Secret::new),
            auth: flags.auth.as_deref().map(Secret::new),
            vod: flags.vod.clone(),
            endpoint: flags.endpoint.clone(),
            bucket: flags.bucket.clone(),
            keys_file: flags.keys_file.clone(),
            credentials_command: flags.credentials_command.clone(),
            ..Layer::default()
        }
    }

    /// What the flags say of a verb that reads a storage.
    pub(crate) fn store_flags(flags: &StoreArgs) -> Layer {
        Layer {
            endpoint: flags.endpoint.clone(),
            keys_file: flags.keys_file.clone(),
            credentials_command: flags.credentials_command.clone(),
            ..Layer::default()
        }
    }

    /// A variable that is set to nothing counts as not set; one that is no text is an error, lest a token be left out in silence.
    pub(crate) fn environment(
        variable: &dyn Fn(&str) -> Option<OsString>,
    ) -> Result<Layer, Failure> {
        let set = |name| variable(name).filter(|value| !value.is_empty());
        let text = |name| match set(name).map(OsString::into_string) {
            Some(Err(_)) => Err(Failure::usage(format!("{name} is set to what is not UTF-8"))),
            Some(Ok(text)) => Ok(Some(text)),
            None => Ok(None),
        };
        let secret = |name| Ok::<_, Failure>(text(name)?.map(Secret::new));
        Ok(Layer {
            server: text("VODFERRY_SERVER")?,
            token: secret("VODFERRY_TOKEN")?,
            address: secret("VODFERRY_ADDRESS")?,
            auth: secret("VODFERRY_AUTH")?,
            vod: text("VODFERRY_VOD")?,
            endpoint: text("VODFERRY_ENDPOINT")?,
            bucket: text("VODFERRY_BUCKET")?,
            access_key_id: text("VODFERRY_ACCESS_KEY_ID")?,
            access_key_secret: secret("VODFERRY_ACCESS_KEY_SECRET")?,
            security_token: secret("VODFERRY_SECURITY_TOKEN")?,
            keys_file: set("VODFERRY_KEYS_FILE").map(PathBuf::from),
            credentials_command: text("VODFERRY_CREDENTIALS_COMMAND")?,
        })
    }

    pub(crate) fn file(settings: &Settings) -> Layer {
        let secret = |text: &Option<String>| text.as_deref().map(Secret::new);
        Layer {
            server: settings.server.clone(),
            token: secret(&settings.token),
            address: None,
            auth: None,
            vod: settings.vod.clone(),
            endpoint: settings.endpoint.clone(),
            bucket: settings.bucket.clone(),
            access_key_id: settings.access_key_id.clone(),
            access_key_secret: secret(&settings.access_key_secret),
            security_token: secret(&settings.security_token),
            keys_file: settings.keys_file.clone(),
            credentials_command: settings.credentials_command.clone(),
        }
    }

    /// The access key that it names, or the first one that its command gives. An id, its secret and its token belong together: parts of
    /// two layers never make a credential.
    pub(crate) fn key(&self) -> Result<Option<Key>, Failure> {
        let whole = match (&self.access_key_id, &self.access_key_secret) {
            (Some(id), Some(secret)) => Some((id, secret)),
            (None, None) => None,
            _ => return Err(half_a_key()),
        };
        match (whole, &self.credentials_command, &self.keys_file) {
            (Some(_), Some(_), _) | (None, Some(_), Some(_)) => Err(Failure::usage(
                "a credentials command and an access key are named in the same place",
            )
            .hint("one of them: the command gives the key")),
            (None, Some(command), None) => Key::by_command(command)
                .map(Some)
                .map_err(|error| Failure::from(error).hint(key::HINT)),
            (Some((id, secret)), None, _) => Ok(Some(Key::from(Credential {
                access_key_id: id.clone(),
                access_key_secret: secret.clone(),
                security_token: self.security_token.clone(),
            }))),
            (None, None, Some(path)) => {
                let keys = load_keys(path)?;
                let root = keys.root().ok_or_else(|| {
                    Failure::new(ExitCode::Auth, format!("{} holds no access key", path.display()))
                })?;
                Ok(Some(Key::from(Credential {
                    access_key_id: root.id.clone(),
                    access_key_secret: root.secret.clone(),
                    security_token: None,
                })))
            }
            (None, None, None) => Ok(None),
        }
    }
}

fn half_a_key() -> Failure {
    Failure::new(ExitCode::Auth, "half an access key: id and secret belong together")
        .hint("set both VODFERRY_ACCESS_KEY_ID and VODFERRY_ACCESS_KEY_SECRET, or neither")
}

/// The keys of the data folder of a server.
pub(crate) fn load_keys(path: &Path) -> Result<Keys, Failure> {
    use vodferry_server::keys::KeysError;
    Keys::load(path).map_err(|error| match &error {
        KeysError::Io { source, .. } => Failure::file("read", path, source)
            .hint("the keys file is keys.toml in the data folder of `vodferry serve`"),
        _ => Failure::new(ExitCode::File, error.to_string()),
    })
}

//! Upload callbacks: after an upload the server asks an application, and hands its answer to the
//! uploader.
//!
//! [`Callback::read`] understands the argument before anything is stored, [`Callbacks::perform`]
//! makes the request once the object is there. The uploader chooses the URL, so that the request is
//! one that strangers make this server send: `guard` says where it may go, a name is looked up once,
//! and `send` connects to the very address that was checked.

mod argument;
mod failure;
mod guard;
mod image;
mod key;
mod names;
mod send;
mod target;
mod template;
mod tls;

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::{OnceCell, Semaphore};
use tokio::time::timeout;

pub(crate) use argument::Callback;
pub(crate) use failure::Failure;
pub(crate) use guard::is_entry;
pub(crate) use image::Image;
pub(crate) use key::KEY_FILE;
pub(crate) use template::{Value, Values};

use self::guard::Guard;
use self::key::Key;
use self::names::Names;
use self::send::{Line, Outgoing};
use self::tls::Tls;
use crate::config::CallbackRules;
use crate::http::TlsError;

/// Where the public key is, for applications that check signatures.
pub(crate) const KEY_PATH: &str = "/api/callback-public-key.pem";
/// The header that names it. No other request has it.
pub(crate) const KEY_URL: &str = "x-oss-pub-key-url";

/// Everything that callbacks need, for the life of the server.
pub(crate) struct Callbacks {
    line: Line,
    folder: PathBuf,
    key_url: String,
    /// Made by the first callback: most servers never have one.
    key: OnceCell<Key>,
    /// Bounds what slow applications can hold.
    at_once: Semaphore,
}

/// Callbacks under way at once; more wait for their turn, at most [`PATIENCE`].
const AT_ONCE: usize = 256;

/// How long one application may take, from the look-up of its name to the end of its answer.
const PATIENCE: Duration = Duration::from_secs(5);

impl Callbacks {
    /// Callbacks of the server with this data folder and this URL.
    ///
    /// # Errors
    /// The certificates that `rules` name cannot be used.
    pub(crate) fn new(
        folder: PathBuf,
        endpoint: &str,
        rules: &CallbackRules,
    ) -> Result<Callbacks, TlsError> {
        let line = Line {
            guard: Guard::new(&rules.allow, rules.public),
            names: Names::of_system(),
            tls: Tls::new(rules.ca.as_deref())?,
        };
        Ok(Callbacks {
            line,
            folder,
            key_url: format!("{endpoint}{KEY_PATH}"),
            key: OnceCell::new(),
            at_once: Semaphore::new(AT_ONCE),
        })
    }

    /// The public key as PEM; none when the key file cannot be read or made, which the log tells.
    pub(crate) async fn public_key(&self) -> Option<String> {
        Some(self.key().await?.public.clone())
    }

    /// Asks the applications of `callback` in their order until one answers as it should; its answer.
    ///
    /// # Errors
    /// What was wrong with the last one.
    pub(crate) async fn perform(
        &self,
        callback: &Callback,
        values: &Values,
    ) -> Result<Vec<u8>, Failure> {
        let turn = timeout(PATIENCE, self.at_once.acquire()).await;
        let Ok(Ok(_turn)) = turn else { return Err(Failure::Busy) };
        let key = self.key().await.ok_or(Failure::Unsigned)?;
        let body = callback.body.fill(callback.json, values, &callback.variables);
        let mut last = Failure::Unknown;
        for url in &callback.urls {
            let signed = format!("{}\n{body}", url.signed);
            let outgoing = Outgoing {
                url,
                host: callback.host.as_deref(),
                sni: callback.sni,
                json: callback.json,
                body: &body,
                signature: &key.sign(&signed).await.ok_or(Failure::Unsigned)?,
                key_url: &self.key_url,
            };
            let sent = timeout(PATIENCE, self.line.send(outgoing)).await;
            match sent.unwrap_or(Err(Failure::Late)) {
                Ok(answer) => return Ok(answer),
                Err(failure) => {
                    let (host, outcome) = (&url.host, failure.word());
                    tracing::warn!(host, port = url.port, outcome, %failure, "a callback failed");
                    last = failure;
                }
            }
        }
        Err(last)
    }

    async fn key(&self) -> Option<&Key> {
        let folder = self.folder.clone();
        let open = || async {
            let opened = tokio::task::spawn_blocking(move || Key::open(&folder)).await;
            opened.unwrap_or_else(|error| Err(error.into()))
        };
        match self.key.get_or_try_init(open).await {
            Ok(key) => Some(key),
            Err(error) => {
                tracing::error!(error = &*error as &dyn std::error::Error, "no key for callbacks");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_what_guards() {
        let admits = |public| {
            let rules = CallbackRules { allow: vec!["10.0.0.1".into()], public, ca: None };
            let callbacks = Callbacks::new(PathBuf::new(), "http://a", &rules).unwrap();
            let admits = |address: &str| callbacks.line.guard.admits("a", address.parse().unwrap());
            [admits("10.0.0.1"), admits("10.0.0.2"), admits("1.1.1.1")]
        };
        assert_eq!(admits(true), [true, false, true]);
        assert_eq!(admits(false), [true, false, false]);
    }
}

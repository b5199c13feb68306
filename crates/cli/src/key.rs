//! The access key with which requests are signed, and the command that gives the next one when it ends.
//!
//! What a command prints is what AssumeRole answers, with or without `Credentials` around it. It is run once before anything is sent, and
//! again when what it gave comes to its end. What it prints is a secret: no error repeats any of it.

use std::fmt;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use serde::Deserialize;
use vodferry::{Credential, Error, ErrorKind, Secret, StsToken};

use crate::output;

/// Our code for a command that gave no credential.
pub(crate) const CODE: &str = "CredentialsCommand";
/// What can be done about a command that gave none.
pub(crate) const HINT: &str = "run it by hand: it is to print a JSON object with AccessKeyId, AccessKeySecret, SecurityToken and Expiration, and to \
     end with status 0";

/// Who waits for longer is told for what.
const SILENCE: Duration = Duration::from_secs(3);

/// An access key, and where the next one comes from.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Key {
    /// The one to begin with.
    pub(crate) token: StsToken,
    /// Gives the next one.
    command: Option<String>,
}

impl From<Credential> for Key {
    fn from(credential: Credential) -> Key {
        Key { token: credential.into(), command: None }
    }
}

impl Key {
    /// The first one that `command` gives. It may ask its user for something, so it gets all the time that it wants, and says nothing of
    /// this itself: we do.
    pub(crate) fn by_command(command: &str) -> Result<Key, Error> {
        let (over, waits) = mpsc::channel::<()>();
        thread::spawn(move || {
            if waits.recv_timeout(SILENCE) == Err(RecvTimeoutError::Timeout) {
                output::say("waiting for what --credentials-command runs");
            }
        });
        let token = ask(command);
        drop(over);
        Ok(Key { token: token?, command: Some(command.to_owned()) })
    }

    /// What signs now.
    pub(crate) fn credential(&self) -> &Credential {
        &self.token.credential
    }

    /// What asks for the next one; `None` where nobody has any.
    pub(crate) fn supplier(
        &self,
    ) -> Option<impl Fn() -> Asked + Clone + Send + Sync + 'static + use<>> {
        let command = self.command.clone()?;
        Some(move || {
            let command = command.clone();
            let asked = tokio::task::spawn_blocking(move || ask(&command));
            Box::pin(async move { asked.await.unwrap_or_else(|_| Err(none("was not run"))) })
                as Asked
        })
    }
}

/// An answer on its way.
pub(crate) type Asked = vodferry::BoxFuture<'static, Result<StsToken, Error>>;

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A command line may hold a secret.
        f.debug_struct("Key").field("token", &self.token).finish_non_exhaustive()
    }
}

/// Runs it by the shell, and reads what it prints. What it says on stderr is its user's to see.
fn ask(command: &str) -> Result<StsToken, Error> {
    let (shell, flag) = if cfg!(windows) { ("cmd", "/C") } else { ("sh", "-c") };
    let ran = Command::new(shell)
        .args([flag, command])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| none(&format!("cannot be run: {error}")))?;
    if !ran.status.success() {
        return Err(none(&format!("failed ({})", ran.status)));
    }
    read(&ran.stdout)
}

fn read(printed: &[u8]) -> Result<StsToken, Error> {
    let answer: Answer = serde_json::from_slice(printed)
        .map_err(|_| none("printed something else than the JSON of a credential"))?;
    let Triple { access_key_id, access_key_secret, security_token, expiration } = match answer {
        Answer::Whole { credentials } => credentials,
        Answer::Bare(triple) => triple,
    };
    let token = StsToken::from(Credential {
        access_key_id,
        access_key_secret: Secret::new(access_key_secret),
        security_token: security_token.map(Secret::new),
    });
    match expiration {
        Some(time) => token.expiration(&time).map_err(|_| {
            none("printed an Expiration that is no time such as 2026-11-20T11:00:00Z")
        }),
        None => Ok(token),
    }
}

fn none(why: &str) -> Error {
    Error::new(ErrorKind::Auth, CODE, format!("the credentials command {why}"))
}

/// As AssumeRole answers it, or what is in it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Answer {
    Whole {
        #[serde(rename = "Credentials")]
        credentials: Triple,
    },
    Bare(Triple),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Triple {
    access_key_id: String,
    access_key_secret: String,
    security_token: Option<String>,
    expiration: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read() {
        let bare = r#"{"AccessKeyId":"id","AccessKeySecret":"hush","SecurityToken":"hushed",
            "Expiration":"2026-11-20T11:00:00Z"}"#;
        let token = read(bare.as_bytes()).unwrap();
        assert_eq!(token.credential.access_key_id, "id");
        assert_eq!(token.expires_at_ms, Some(1_795_172_400_000));
        let whole = format!(r#"{{"RequestId":"r","Credentials":{bare}}}"#);
        assert_eq!(read(whole.as_bytes()).unwrap(), token);
        let plain = read(br#"{"AccessKeyId":"id","AccessKeySecret":"hush"}"#).unwrap();
        assert_eq!((plain.credential.security_token, plain.expires_at_ms), (None, None));
    }

    #[test]
    fn what_is_none_is_told_without_what_was_printed() {
        for printed in [
            "",
            "hush",
            "[\"hush\"]",
            r#"{"AccessKeyId":"hush"}"#,
            r#"{"AccessKeyId":"id","AccessKeySecret":["hush"]}"#,
            r#"{"AccessKeyId":"id","AccessKeySecret":"hush","Expiration":"hush"}"#,
        ] {
            let error = read(printed.as_bytes()).unwrap_err();
            assert_eq!((error.kind(), error.code()), (ErrorKind::Auth, CODE));
            assert!(!format!("{error} {error:?}").contains("hush"), "{error:?}");
        }
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_command_is_run_each_time_it_is_asked() {
        let dir = tempfile::tempdir().unwrap();
        let count = dir.path().join("count");
        let command = format!(
            "echo x >> {count}; n=$(wc -l < {count}); \
             echo '{{\"AccessKeyId\":\"id'$n'\",\"AccessKeySecret\":\"hush\"}}'",
            count = count.display()
        );
        let key = Key::by_command(&command).unwrap();
        assert_eq!(key.credential().access_key_id, "id1");
        assert!(!format!("{key:?}").contains("hush"));
        let supplier = key.supplier().unwrap();
        for n in [2, 3] {
            assert_eq!(supplier().await.unwrap().credential.access_key_id, format!("id{n}"));
        }
        let failed = Key::by_command("echo '{}'; exit 7").unwrap_err();
        assert!(failed.to_string().contains('7'), "{failed}");
        assert_eq!(failed.code(), CODE);
    }
}

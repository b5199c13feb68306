//! Temporary credentials that the application supplies: pushed when it has one, pulled when one is needed.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use vodferry_engine::{ErrorKind, FaultKind};
use vodferry_oss::{Credential, Secret};

use crate::authorizer::check_sendable;
use crate::{BoxFuture, Error, News};

/// For one answer of whoever supplies them. The uploader asks again.
const PATIENCE: Duration = Duration::from_secs(30);

/// A temporary credential as AssumeRole gives it, and when it dies. Made of a plain access key, it does not; such a key is for tests:
/// who has it can do everything its owner may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StsToken {
    /// Key id, secret and security token. Prints without its secrets.
    pub credential: Credential,
    /// When it dies, in milliseconds since 1970; `None` when that is not known. Worth giving: one that is found dead by the first
    /// request of a file fails that file.
    pub expires_at_ms: Option<i64>,
}

impl StsToken {
    /// Of the three texts that AssumeRole answers.
    pub fn new(
        access_key_id: impl Into<String>,
        access_key_secret: impl Into<Secret>,
        security_token: impl Into<Secret>,
    ) -> StsToken {
        StsToken::from(Credential {
            access_key_id: access_key_id.into(),
            access_key_secret: access_key_secret.into(),
            security_token: Some(security_token.into()),
        })
    }

    /// Says when it dies, as AssumeRole writes it: `2026-11-20T11:00:00Z`.
    ///
    /// # Errors
    ///
    /// Kind `Misuse` when that is no such time.
    pub fn expiration(mut self, time: &str) -> Result<StsToken, Error> {
        let parsed = vodferry_oss::time::parse_iso(time.trim());
        let wrong = || Error::misuse("the expiration is no time such as 2026-11-20T11:00:00Z");
        self.expires_at_ms = Some(parsed.ok_or_else(wrong)?);
        Ok(self)
    }

    /// What is wrong with it whatever a server says.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let Credential { access_key_id, access_key_secret, security_token } = &self.credential;
        let blank = |what: &str| Err(Error::misuse(format!("the {what} is empty")));
        if access_key_id.is_empty() {
            return blank("access key id");
        }
        if access_key_secret.expose().is_empty() {
            return blank("access key secret");
        }
        if security_token.as_ref().is_some_and(|token| token.expose().is_empty()) {
            return blank("security token");
        }
        check_sendable(&self.credential)
    }
}

impl From<Credential> for StsToken {
    fn from(credential: Credential) -> StsToken {
        StsToken { credential, expires_at_ms: None }
    }
}

type Supplier = Arc<dyn Fn() -> BoxFuture<'static, Result<StsToken, Error>> + Send + Sync>;

/// The credential of an authorizer: the newest one that was supplied. Clones share it.
#[derive(Clone)]
pub(crate) struct Tokens {
    held: Arc<watch::Sender<Held>>,
    supplier: Option<Supplier>,
    /// The uploaders that wait for one.
    news: Arc<Mutex<Vec<News>>>,
}

/// What is held.
#[derive(Clone)]
enum Held {
    /// Nothing was supplied yet.
    Nothing,
    /// The newest. `given`: it was used.
    Newest { token: StsToken, given: bool },
    /// The newest was refused.
    Dead,
}

/// A credential to use.
pub(crate) struct Given {
    pub(crate) token: StsToken,
    /// It came from the supplier this moment: another question would bring nothing better.
    pub(crate) fresh: bool,
}

impl Tokens {
    /// With a first one.
    pub(crate) fn new(token: StsToken) -> Result<Tokens, Error> {
        token.check()?;
        let tokens = Tokens::waiting();
        tokens.held.send_replace(Held::Newest { token, given: false });
        Ok(tokens)
    }

    /// Without any yet.
    pub(crate) fn waiting() -> Tokens {
        let held = Arc::new(watch::Sender::new(Held::Nothing));
        Tokens { held, supplier: None, news: Arc::default() }
    }

    pub(crate) fn supplier<F, R>(&mut self, supplier: F)
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<StsToken, Error>> + Send + 'static,
    {
        self.supplier = Some(Arc::new(move || Box::pin(supplier())));
    }

    /// Takes a new one, and tells those who wait for it.
    pub(crate) fn push(&self, token: StsToken) -> Result<(), Error> {
        token.check()?;
        self.held.send_replace(Held::Newest { token, given: false });
        let mut listeners = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.retain(News::is_wanted);
        let told = listeners.clone();
        // Not under the lock: who is told may push again.
        drop(listeners);
        told.iter().for_each(News::tell);
        Ok(())
    }

    /// See [`Authorizer::listen`](crate::Authorizer::listen).
    pub(crate) fn listen(&self, news: News) {
        let mut listeners = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.retain(News::is_wanted);
        listeners.push(news);
    }

    /// `refused` was called dead: it is not used again.
    pub(crate) fn retire(&self, refused: &Credential) {
        self.retire_if(refused, |_| true);
    }

    /// `old` is to be replaced. One without a date is not renewed ahead of time: it was refused, and is not used again.
    pub(crate) fn retire_undated(&self, old: &Credential) {
        self.retire_if(old, |token| token.expires_at_ms.is_none());
    }

    fn retire_if(&self, old: &Credential, condition: impl Fn(&StsToken) -> bool) {
        self.held.send_if_modified(|held| match held {
            Held::Newest { token, .. } if token.credential == *old && condition(token) => {
                *held = Held::Dead;
                true
            }
            _ => false,
        });
    }

    /// A credential to use at `now_ms` (milliseconds since 1970, the server's time as far as it is known), another than `instead_of`.
    /// Before the first one was supplied it is waited for.
    ///
    /// One whose date is past is used once all the same, as long as nobody supplies another: this machine's clock may be wrong, and
    /// the server decides.
    ///
    /// # Errors
    ///
    /// What the supplier answered; [`Error::token_expired`] when there is none.
    pub(crate) async fn current(
        &self,
        instead_of: Option<&Credential>,
        now_ms: i64,
    ) -> Result<Given, Error> {
        loop {
            let (usable, waits) = match &*self.held.borrow() {
                Held::Newest { token, given } if Some(&token.credential) != instead_of => {
                    let alive = token.expires_at_ms.is_none_or(|at| at > now_ms);
                    let try_once = !given && self.supplier.is_none();
                    ((alive || try_once).then(|| token.clone()), false)
                }
                Held::Newest { .. } | Held::Dead => (None, false),
                Held::Nothing => (None, self.supplier.is_none()),
            };
            if let Some(token) = usable {
                self.mark_given(&token);
                return Ok(Given { token, fresh: false });
            }
            if waits {
                // An error would mean that the sender is gone; this one keeps it.
                let _ = self.held.subscribe().wait_for(|held| !matches!(held, Held::Nothing)).await;
                continue;
            }
            let Some(supplier) = &self.supplier else {
                let text = "the temporary credential ran out, and nobody supplied another";
                return Err(Error::token_expired(text));
            };
            let token = match tokio::time::timeout(PATIENCE, supplier()).await {
                Ok(token) => token?,
                Err(_) => {
                    let text = "who supplies temporary credentials does not answer";
                    return Err(Error::transient(ErrorKind::Auth, "TimedOut", text));
                }
            };
            token.check()?;
            self.held.send_replace(Held::Newest { token: token.clone(), given: true });
            return Ok(Given { token, fresh: true });
        }
    }

    fn mark_given(&self, used: &StsToken) {
        self.held.send_if_modified(|held| {
            if let Held::Newest { token, given } = held {
                *given |= token == used;
            }
            // Nobody waits for that.
            false
        });
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &*self.held.borrow() {
            Held::Nothing => "Tokens(none yet)",
            Held::Newest { .. } => "Tokens(***)",
            Held::Dead => "Tokens(dead)",
        })
    }
}

/// The supplier's newest credential was refused as well: who asks again at once would ask for ever.
pub(crate) fn still_dead(refusal: Error) -> Error {
    let text = format!("the credential just supplied is refused: {}", refusal.message());
    let request_id = refusal.request_id().unwrap_or_default().to_owned();
    Error::of(FaultKind::Transient(ErrorKind::Auth), refusal.code(), text)
        .with_request_id(request_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(mark: &str, expires_at_ms: Option<i64>) -> StsToken {
        let token = StsToken::new(mark, "hush-secret", "hush-token");
        StsToken { expires_at_ms, ..token }
    }

    async fn given(tokens: &Tokens, instead_of: Option<&Credential>) -> Result<String, FaultKind> {
        let given = tokens.current(instead_of, 1_000).await;
        given.map(|given| given.token.credential.access_key_id).map_err(|error| error.fault_kind())
    }

    #[tokio::test]
    async fn one_whose_date_is_past_is_tried_once_where_there_is_no_other() {
        let tokens = Tokens::new(token("a", Some(999))).unwrap();
        assert_eq!(given(&tokens, None).await, Ok("a".into()));
        assert_eq!(given(&tokens, None).await, Err(FaultKind::Expired));
        tokens.push(token("b", Some(1_001))).unwrap();
        assert_eq!(given(&tokens, None).await, Ok("b".into()));
        assert_eq!(given(&tokens, None).await, Ok("b".into()));
        let mut pulled = Tokens::new(token("a", Some(999))).unwrap();
        pulled.supplier(|| async { Ok(token("c", None)) });
        assert_eq!(given(&pulled, None).await, Ok("c".into()));
    }

    #[tokio::test]
    async fn what_is_to_be_replaced_is_not_given_again_unless_it_is_not_the_newest() {
        let (a, b) = (token("a", None), token("b", None));
        let tokens = Tokens::new(a.clone()).unwrap();
        assert_eq!(given(&tokens, Some(&a.credential)).await, Err(FaultKind::Expired));
        assert_eq!(given(&tokens, None).await, Ok("a".into()));
        tokens.push(b.clone()).unwrap();
        assert_eq!(given(&tokens, Some(&a.credential)).await, Ok("b".into()));
        // Of one without a date, who asks for another was refused.
        tokens.retire_undated(&b.credential);
        assert_eq!(given(&tokens, None).await, Err(FaultKind::Expired));
        let dated = token("d", Some(5_000));
        tokens.push(dated.clone()).unwrap();
        tokens.retire_undated(&dated.credential);
        assert_eq!(given(&tokens, None).await, Ok("d".into()));
        tokens.retire(&dated.credential);
        assert_eq!(given(&tokens, None).await, Err(FaultKind::Expired));
    }

    #[tokio::test(start_paused = true)]
    async fn a_supplier_that_does_not_answer_may_be_asked_again() {
        let mut tokens = Tokens::waiting();
        tokens.supplier(std::future::pending);
        assert_eq!(given(&tokens, None).await, Err(FaultKind::Transient(ErrorKind::Auth)));
        assert!(!format!("{tokens:?} {:?}", token("a", None)).contains("hush"));
    }
}

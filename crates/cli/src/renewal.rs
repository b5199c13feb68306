//! Why no new credential came: told when an old one dies.

use std::sync::{Arc, Mutex, PoisonError};

use vodferry::{Authorizer, BoxFuture, Error, ErrorInfo, GrantRequest, UploadGrant};

/// The last refusal of an authorizer, if its last answer was one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Refusal {
    last: Arc<Mutex<Option<ErrorInfo>>>,
}

impl Refusal {
    /// What went wrong at last.
    pub(crate) fn last(&self) -> Option<ErrorInfo> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, answer: &Result<UploadGrant, Error>) {
        let refused = answer.as_ref().err().map(ErrorInfo::from);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = refused;
    }
}

/// An authorizer whose refusals are remembered.
pub(crate) struct Remembered<A> {
    pub(crate) authorizer: A,
    pub(crate) refusal: Refusal,
}

impl<A: Authorizer> Authorizer for Remembered<A> {
    fn authorize(&self, request: GrantRequest) -> BoxFuture<'_, Result<UploadGrant, Error>> {
        Box::pin(async move {
            let answer = self.authorizer.authorize(request).await;
            self.refusal.note(&answer);
            answer
        })
    }
}

#[cfg(test)]
mod tests {
    use vodferry::{Credential, ErrorKind, Target};

    use super::*;

    #[tokio::test]
    async fn the_last_refusal_is_known_until_a_grant_comes() {
        let answers = Mutex::new(vec![true, false]);
        let authorizer = move |_: GrantRequest| {
            let grant = answers.lock().unwrap().pop();
            async move {
                match grant {
                    Some(true) => {
                        let (endpoint, bucket, key) = ("e".into(), "b".into(), "k".into());
                        let target = Target { endpoint, bucket, key };
                        let credential = Credential {
                            access_key_id: "id".into(),
                            access_key_secret: "secret".into(),
                            security_token: None,
                        };
                        Ok(UploadGrant::new(target, credential))
                    }
                    _ => Err(Error::new(ErrorKind::Network, "ConnectFailed", "nobody is there")),
                }
            }
        };
        let refusal = Refusal::default();
        let remembered = Remembered { authorizer, refusal: refusal.clone() };
        let ask = || remembered.authorize(GrantRequest::Refresh { video_id: None, target: None });
        assert!(ask().await.is_err());
        assert_eq!(refusal.last().unwrap().kind, ErrorKind::Network);
        assert!(ask().await.is_ok());
        assert!(refusal.last().is_none());
    }
}

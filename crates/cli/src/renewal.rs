//! What the application server said when it was asked for a credential: why no new one came (told when the old one dies), and that it
//! does not know the video for which an upload was begun.

use std::sync::{Arc, Mutex, PoisonError};

use vodferry::{
    Authorizer, BoxFuture, Error, ErrorInfo, ErrorKind, GrantRequest, News, StsToken, UploadGrant,
};

/// The application server's code for a video that it does not know.
pub(crate) const VIDEO_GONE: &str = "InvalidVideo.NotFound";

/// The last refusal of an authorizer, if its last answer was one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Refusal {
    last: Arc<Mutex<Option<ErrorInfo>>>,
    /// Videos that it did not know, and nobody told yet.
    gone: Arc<Mutex<Vec<String>>>,
}

impl Refusal {
    /// What went wrong at last.
    pub(crate) fn last(&self) -> Option<ErrorInfo> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The videos of uploads that begin anew, each once.
    pub(crate) fn take_gone(&self) -> Vec<String> {
        std::mem::take(&mut self.gone.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// An upload begins anew as that of another video.
    pub(crate) fn note_gone(&self, video: String) {
        self.gone.lock().unwrap_or_else(PoisonError::into_inner).push(video);
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
    /// Whether an upload begins anew, as that of another video, where its video is gone.
    pub(crate) anew: bool,
}

impl<A> Remembered<A> {
    /// What to make of a refusal because the video is gone.
    fn gone(&self, video: &str, refusal: Error) -> Error {
        if self.anew {
            self.refusal.note_gone(video.to_owned());
            return refusal;
        }
        let text = format!(
            "the application server does not know the video {video}, for which the upload was begun"
        );
        let request_id = refusal.request_id().unwrap_or_default().to_owned();
        Error::new(ErrorKind::Service, VIDEO_GONE, text).with_request_id(request_id)
    }
}

impl<A: Authorizer> Authorizer for Remembered<A> {
    fn authorize(&self, request: GrantRequest) -> BoxFuture<'_, Result<UploadGrant, Error>> {
        Box::pin(async move {
            let video = match &request {
                GrantRequest::Refresh { video_id, .. } => video_id.clone(),
                _ => None,
            };
            let answer = self.authorizer.authorize(request).await;
            let answer = answer.map_err(|refusal| match &video {
                Some(video) if refusal.code() == VIDEO_GONE => self.gone(video, refusal),
                _ => refusal,
            });
            self.refusal.note(&answer);
            answer
        })
    }

    fn listen(&self, news: News) {
        self.authorizer.listen(news);
    }

    fn set_token(&self, token: StsToken) -> Result<(), Error> {
        self.authorizer.set_token(token)
    }

    fn network_changed(&self) {
        self.authorizer.network_changed();
    }
}

#[cfg(test)]
mod tests {
    use vodferry::{Credential, Target};

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
        let remembered = Remembered { authorizer, refusal: refusal.clone(), anew: true };
        let ask = || remembered.authorize(GrantRequest::refresh(None, None));
        assert!(ask().await.is_err());
        assert_eq!(refusal.last().unwrap().kind, ErrorKind::Network);
        assert!(ask().await.is_ok());
        assert!(refusal.last().is_none());
    }
}

//! The verbs about credentials as the pages of the seeds name them, for faces that carry those names: each is one of ours in another
//! form.
//!
//! | here | concept page and browser | phones |
//! |---|---|---|
//! | [`resume_upload_with_auth`](Uploader::resume_upload_with_auth) | `resumeUploadWithAuth` | `resumeWithAuth`, `refreshWithUploadAuth:` |
//! | [`resume_upload_with_token`](Uploader::resume_upload_with_token) | `resumeUploadWithToken` | `resumeWithToken` |
//! | [`resume_upload_with_sts_token`](Uploader::resume_upload_with_sts_token) | `resumeUploadWithSTSToken` | `resumeWithToken` in STS mode |
//! | [`set_upload_auth_and_address`](Uploader::set_upload_auth_and_address) | `setUploadAuthAndAddress` | `setUploadAuthAndAddress` |
//! | [`set_sts_token`](Uploader::set_sts_token) | `setSTSToken` | `init` in STS mode |
//! | [`set_sts_token_directly_upload`](Uploader::set_sts_token_directly_upload) | `setSTSTokenDirectlyUpload` | `init` with a key, `addFile` with a target |

use vodferry_engine::{FileId, FileState};
use vodferry_vod::UploadAuth;

use crate::clock::wall_ms;
use crate::{Error, FileStatus, StsToken, UploadGrant, Uploader};

impl Uploader {
    /// Gives the authorizer a temporary credential ([`VodApi`](crate::VodApi), [`DirectOss`](crate::DirectOss)): the next question
    /// goes by it, and files that wait after TokenExpired go on. Harmless at any time, event handlers included, and twice.
    ///
    /// # Errors
    ///
    /// Kind `Misuse` when it is blank or holds what no request can, or there is no authorizer that takes one.
    pub fn set_token(&self, token: impl Into<StsToken>) -> Result<(), Error> {
        let authorizer = self.shared().lock().authorizer.clone();
        match authorizer {
            Some(authorizer) => authorizer.set_token(token.into()),
            None => Err(Error::misuse(
                "there is no authorizer to give the credential to: build the uploader with one, or call authorize",
            )),
        }
    }

    /// Gives a file its upload address and upload auth (seed 001 `setUploadAuthAndAddress`, seed 003's page for phones the same): the
    /// answer to Started, and after TokenExpired with those of a refresh. `video_id` names the video they were created for; `None` keeps
    /// the one known.
    ///
    /// # Errors
    ///
    /// Kind `Misuse`: one of the two is not what it should be (swapped ones included), or the file is not in the list, or finished.
    pub fn set_upload_auth_and_address(
        &self,
        file: FileId,
        upload_auth: &str,
        upload_address: &str,
        video_id: Option<&str>,
    ) -> Result<(), Error> {
        let mut grant = UploadGrant::from_upload_auth(upload_address, upload_auth)?;
        grant.video_id = video_id.filter(|id| !id.is_empty()).map(str::to_owned);
        self.authorize(file, grant)
    }

    /// Goes on after TokenExpired with the upload auth of a refresh; place and upload id stay.
    ///
    /// # Errors
    ///
    /// Kind `Misuse`: it is no upload auth, or no file waits for one, or several do: [`authorize`](Uploader::authorize) says which.
    #[doc(alias = "resume_with_auth")]
    pub fn resume_upload_with_auth(&self, upload_auth: &str) -> Result<(), Error> {
        let auth = UploadAuth::decode(upload_auth)
            .map_err(|error| Error::misuse(error.message()).with_source(error))?;
        let expires_at_ms = auth.expires_at_ms(wall_ms());
        self.go_on(&StsToken { credential: auth.into_credential(), expires_at_ms })
    }

    /// Goes on after TokenExpired with the texts of a new credential for the same place. `expire_time` as in
    /// `2026-11-20T11:00:00Z`.
    ///
    /// # Errors
    ///
    /// Kind `Misuse`: one of the four is blank or no request can hold it, or no file waits for one, or several do:
    /// [`authorize`](Uploader::authorize) says which.
    #[doc(alias = "resume_with_token")]
    pub fn resume_upload_with_token(
        &self,
        access_key_id: &str,
        access_key_secret: &str,
        security_token: &str,
        expire_time: &str,
    ) -> Result<(), Error> {
        let token = StsToken::new(access_key_id, access_key_secret, security_token);
        self.go_on(&token.expiration(expire_time)?)
    }

    /// Goes on after TokenExpired in STS mode: the authorizer refreshes the video by this credential and goes on where the upload
    /// stood. Without a file that waits, the credential is that of the next question.
    ///
    /// # Errors
    ///
    /// As [`set_token`](Uploader::set_token); an `expire_time` that is no such time.
    pub fn resume_upload_with_sts_token(
        &self,
        access_key_id: &str,
        access_key_secret: &str,
        security_token: &str,
        expire_time: Option<&str>,
    ) -> Result<(), Error> {
        let token = StsToken::new(access_key_id, access_key_secret, security_token);
        self.set_token(match expire_time {
            Some(time) => token.expiration(time)?,
            None => token,
        })
    }

    /// Gives the authorizer the credential with which it asks for a place for `file`: the answer to Started in STS mode. One credential
    /// serves all files, so that which file it is given for matters only as far as it must be in the list.
    ///
    /// # Errors
    ///
    /// As [`set_token`](Uploader::set_token); the file is not in the list, or finished.
    pub fn set_sts_token(
        &self,
        file: FileId,
        access_key_id: &str,
        access_key_secret: &str,
        security_token: &str,
    ) -> Result<(), Error> {
        self.unfinished(file)?;
        self.set_token(StsToken::new(access_key_id, access_key_secret, security_token))
    }

    /// Gives a file that says its whole target ([`File::target`](crate::File::target)) the credential to upload it straight there: the
    /// answer to Started without an authorizer. `expiration` as in `2026-11-20T11:00:00Z`.
    ///
    /// # Errors
    ///
    /// Kind `Misuse`: the file is not in the list, or finished, or does not say endpoint, bucket and key; one of the texts is blank or no
    /// request can hold it.
    pub fn set_sts_token_directly_upload(
        &self,
        file: FileId,
        access_key_id: &str,
        access_key_secret: &str,
        security_token: &str,
        expiration: &str,
    ) -> Result<(), Error> {
        self.unfinished(file)?;
        let token = StsToken::new(access_key_id, access_key_secret, security_token);
        let token = token.expiration(expiration)?;
        token.check()?;
        let known = {
            let state = self.shared().lock();
            state.files.get(&file).and_then(|entry| entry.file.known_target())
        };
        let Some(target) = known else {
            let text = "the file does not say endpoint, bucket and key of its target";
            return Err(Error::misuse(text));
        };
        self.authorize(file, grant(target, &token))
    }

    /// Gives `token` to the file that waits after TokenExpired, for the place it has.
    fn go_on(&self, token: &StsToken) -> Result<(), Error> {
        token.check()?;
        let waits = |file: &FileStatus| file.state == FileState::Expired && file.target.is_some();
        let mut waiting = self.files().into_iter().filter(waits);
        match (waiting.next(), waiting.next()) {
            (Some(FileStatus { id, target: Some(target), .. }), None) => {
                self.authorize(id, grant(target, token))
            }
            (Some(_), Some(_)) => Err(Error::misuse(
                "several files wait for a credential: `authorize` says which one it is for",
            )),
            _ => Err(Error::misuse("no file waits for a credential for the place it has")),
        }
    }

    fn unfinished(&self, file: FileId) -> Result<(), Error> {
        match self.file(file).map(|status| status.state) {
            None => Err(Error::misuse("no such file in the list")),
            Some(FileState::Succeeded | FileState::Failed | FileState::Canceled) => {
                Err(Error::misuse("only a file that has not finished can be given a credential"))
            }
            Some(_) => Ok(()),
        }
    }
}

fn grant(target: vodferry_engine::Target, token: &StsToken) -> UploadGrant {
    let grant = UploadGrant::new(target, token.credential.clone());
    UploadGrant { expires_at_ms: token.expires_at_ms, ..grant }
}

//! The application's side of a scenario: the files it has, and who hands out grants.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use vodferry::{
    BoxFuture, Content, Credential, Error, ErrorKind, GrantRequest, Target, UploadGrant,
};

use crate::format::{Authority, Refusal, Want};
use crate::server::{BUCKET, Store};

/// The bytes of a file; another version after each `change`.
#[derive(Clone)]
pub(crate) struct Source {
    size: u64,
    seed: u32,
    version: Arc<AtomicU32>,
    /// The version that an upload began with.
    seen: Arc<AtomicU32>,
}

/// A source as it was when it was added: one that changed since says so.
pub(crate) struct Version {
    source: Source,
    version: u32,
}

impl Source {
    /// `size` bytes, which `seed` makes others than those of other files.
    pub(crate) fn new(size: u64, seed: u32) -> Source {
        Source { size, seed, version: Arc::default(), seen: Arc::default() }
    }

    /// Its content changes.
    pub(crate) fn change(&self) {
        self.version.fetch_add(1, Ordering::SeqCst);
    }

    /// As it is now.
    pub(crate) fn now(&self) -> Version {
        let version = self.version.load(Ordering::SeqCst);
        self.seen.store(version, Ordering::SeqCst);
        Version { source: self.clone(), version }
    }

    /// What an upload of the version added last makes.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let version = self.seen.load(Ordering::SeqCst);
        (0..self.size).map(|at| self.byte(at, version)).collect()
    }

    fn byte(&self, at: u64, version: u32) -> u8 {
        let place = at * 31 + at / 251 + at / 65_521;
        (place + u64::from(self.seed) * 13 + u64::from(version) * 7) as u8
    }
}

impl Content for Version {
    fn length(&self) -> u64 {
        self.source.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        for (at, place) in (offset..).zip(buffer) {
            *place = self.source.byte(at, self.version);
        }
        Ok(())
    }

    fn is_unchanged(&self) -> bool {
        self.source.version.load(Ordering::SeqCst) == self.version
    }
}

/// Hands out credentials, and tells the store which are good.
pub(crate) struct Grants {
    authority: Authority,
    store: Store,
    state: Mutex<GrantState>,
}

#[derive(Default)]
struct GrantState {
    last: u32,
    /// Videos made so far, by file.
    videos: BTreeMap<String, u32>,
    asked: [u32; 2],
}

impl Grants {
    /// As `authority` says, for `store`.
    pub(crate) fn new(authority: &Authority, store: Store) -> Grants {
        let authority = Authority {
            mode: authority.mode,
            life_s: authority.life_s,
            answers: authority.answers.clone(),
        };
        Grants { authority, store, state: Mutex::default() }
    }

    /// A grant for `file`: for its video, or for a new one.
    pub(crate) fn push(
        &self,
        file: &str,
        video: Option<String>,
        life_s: Option<i64>,
        key: Option<String>,
    ) -> UploadGrant {
        let mut state = self.state.lock().expect("no panic under it");
        let video = video.unwrap_or_else(|| {
            let made = state.videos.entry(file.to_owned()).or_default();
            *made += 1;
            if *made == 1 { file.to_owned() } else { format!("{file}-{made}") }
        });
        state.last += 1;
        let access_key_id = format!("k{}", state.last);
        let expires = life_s.map(|seconds| self.store.now_ms() + seconds * 1000);
        self.store.admit(&access_key_id, expires);
        let credential = Credential {
            access_key_id,
            access_key_secret: "hush".into(),
            security_token: Some("hush".into()),
        };
        let key = key.unwrap_or_else(|| format!("{video}.mp4"));
        let endpoint = "http://127.0.0.1:9".into();
        let target = Target { endpoint, bucket: BUCKET.into(), key };
        let grant = UploadGrant::new(target, credential).video_id(video);
        match expires {
            Some(at) => grant.expires_at_ms(at),
            None => grant,
        }
    }

    /// As an authorizer.
    pub(crate) fn answer(
        self: Arc<Grants>,
        request: GrantRequest,
    ) -> BoxFuture<'static, Result<UploadGrant, Error>> {
        let (want, file, video) = match request {
            GrantRequest::Refresh { video_id, .. } => {
                let video = video_id.unwrap_or_default();
                (Want::Refresh, video.split('-').next().unwrap_or_default().to_owned(), Some(video))
            }
            GrantRequest::Create { name, .. } => {
                (Want::Create, name.trim_end_matches(".mp4").to_owned(), None)
            }
            _ => return Box::pin(async { Err(refused("Unknown")) }),
        };
        let nth = {
            let mut state = self.state.lock().expect("no panic under it");
            let asked = &mut state.asked[want as usize];
            *asked += 1;
            *asked
        };
        let answer = self.authority.answers.iter().find(|a| a.on == want && a.nth == nth).cloned();
        Box::pin(async move {
            let Some(answer) = answer else {
                return Ok(self.push(&file, video, self.authority.life_s, None));
            };
            tokio::time::sleep(Duration::from_millis(answer.delay_ms)).await;
            let text = "as the scenario wishes";
            match answer.fail {
                None => Ok(self.push(&file, video, answer.life_s.or(self.authority.life_s), None)),
                Some(Refusal::Again) => Err(Error::transient(ErrorKind::Auth, answer.code, text)),
                Some(Refusal::Expired) => Err(Error::token_expired(text)),
                Some(Refusal::Gone) => Err(Error::video_gone(answer.code, text)),
                Some(Refusal::Fatal) => Err(refused(&answer.code)),
            }
        })
    }
}

fn refused(code: &str) -> Error {
    Error::new(ErrorKind::Auth, code, "as the scenario wishes")
}

//! Who hands out grants: the application's server, with videos or with plain keys.

use std::collections::BTreeSet;

use vodferry_engine::{FaultKind, Grant, GrantId, Target};

use crate::store::{Store, fault};

/// A life that outlasts every world.
const LONG_MS: i64 = 90 * 86_400_000;

/// Hands out grants, and knows which videos exist.
#[derive(Debug)]
pub struct Authority {
    videos: bool,
    dated: bool,
    gone: BTreeSet<String>,
    next_video: u64,
    next_grant: u64,
}

/// How long a grant lives, and in which words it is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// The server's time now.
    pub now_ms: i64,
    /// From now; negative is dead on arrival.
    pub life_ms: i64,
}

impl Terms {
    /// A grant that outlasts the world.
    pub fn long(now_ms: i64) -> Terms {
        Terms { now_ms, life_ms: LONG_MS }
    }
}

impl Authority {
    /// `videos`: every creation makes a video with a key of its own. `dated`: grants tell when they die.
    pub fn new(videos: bool, dated: bool) -> Authority {
        Authority { videos, dated, gone: BTreeSet::new(), next_video: 1, next_grant: 1 }
    }

    /// A grant for a new place; for `key` where there are no videos.
    pub fn create(&mut self, store: &mut Store, key: &str, terms: Terms) -> Grant {
        if !self.videos {
            return self.issue(store, key.to_owned(), None, terms);
        }
        let video = format!("v{}", self.next_video);
        self.next_video += 1;
        self.issue(store, format!("of-{video}"), Some(video), terms)
    }

    /// Another grant for the place of `video`; for `key` where there are no videos.
    pub fn refresh(
        &mut self,
        store: &mut Store,
        video: Option<&str>,
        key: &str,
        terms: Terms,
    ) -> Result<Grant, vodferry_engine::Fault> {
        match video {
            Some(video) if self.gone.contains(video) => {
                Err(fault(FaultKind::NoSuchUpload, "InvalidVideo.NotFound"))
            }
            Some(video) => {
                Ok(self.issue(store, format!("of-{video}"), Some(video.to_owned()), terms))
            }
            None => Ok(self.issue(store, key.to_owned(), None, terms)),
        }
    }

    /// Somebody deletes the video.
    pub fn delete(&mut self, video: &str) {
        self.gone.insert(video.to_owned());
    }

    fn issue(
        &mut self,
        store: &mut Store,
        key: String,
        video_id: Option<String>,
        terms: Terms,
    ) -> Grant {
        let id = GrantId(self.next_grant);
        self.next_grant += 1;
        let dies_at = terms.now_ms + terms.life_ms;
        store.permit(id, &key, dies_at);
        let target =
            Target { endpoint: "https://oss.example".to_owned(), bucket: "bucket".to_owned(), key };
        Grant { id, expires_at: self.dated.then_some(dies_at), target, video_id }
    }
}

//! What the keys do to a run.

use vodferry::Uploader;

use crate::entry::Entry;
use crate::face::Face;
use crate::keys::Key;
use crate::units;

/// The least that a limit is taken down to, in bytes per second: below it not even a small part gets through in time.
const LEAST_LIMIT: u64 = 16 << 10;
/// What a limit begins at where nothing was measured yet.
const FIRST_LIMIT: u64 = 1 << 20;

/// What was steered so far.
pub(crate) struct Helm {
    /// By a key.
    paused: bool,
    /// By a signal.
    held: bool,
    /// Bytes per second; 0 is no limit.
    limit: u64,
}

impl Helm {
    /// Begins with what the flags say.
    pub(crate) fn new(limit: u64) -> Helm {
        Helm { paused: false, held: false, limit }
    }

    /// Does what the key asks for; `true` when it asks for the end.
    pub(crate) fn press(
        &mut self,
        key: Key,
        uploader: &Uploader,
        entries: &[Entry],
        face: &mut Face,
    ) -> bool {
        match key {
            Key::Stop => return true,
            Key::Pause => self.pause(true, uploader, face),
            Key::Resume => self.pause(false, uploader, face),
            Key::PauseOrResume => self.pause(!self.paused, uploader, face),
            Key::Skip => skip(uploader, entries),
            Key::TryNow => uploader.network_changed(),
            Key::Faster => self.set_limit(self.limit.saturating_mul(2), uploader, face),
            Key::Slower => {
                let limit = match (self.limit, face.speed()) {
                    (0, 0) => FIRST_LIMIT,
                    (0, speed) => speed / 2,
                    (limit, _) => limit / 2,
                };
                self.set_limit(limit.max(LEAST_LIMIT), uploader, face);
            }
            Key::Unlimited => self.set_limit(0, uploader, face),
        }
        false
    }

    fn pause(&mut self, paused: bool, uploader: &Uploader, face: &mut Face) {
        let done = if paused { uploader.pause(None) } else { uploader.resume(None) };
        match done {
            Ok(()) => self.paused = paused,
            Err(error) => tracing::debug!(%error, "the run ended by itself"),
        }
        face.pause(self.paused || self.held);
    }

    /// Whoever watches the network says whether the list is to wait. A pause by a key is another matter: work goes on when there is
    /// neither.
    pub(crate) fn hold(&mut self, held: bool, uploader: &Uploader, face: &mut Face) {
        if std::mem::replace(&mut self.held, held) == held {
            return;
        }
        uploader.set_metered(held);
        face.pause(self.paused || held);
        face.remark(if held { "held by SIGUSR1 until SIGUSR2" } else { "goes on by SIGUSR2" });
    }

    fn set_limit(&mut self, limit: u64, uploader: &Uploader, face: &mut Face) {
        self.limit = limit;
        uploader.set_limit(limit);
        face.limit((limit > 0).then(|| format!("{}/s", units::size(limit))));
    }
}

/// Cancels the file that is under way for longest; before one is, the first in the list.
fn skip(uploader: &Uploader, entries: &[Entry]) {
    let open = || entries.iter().filter(|entry| entry.is_open());
    let under_way = open().filter(|entry| entry.began.is_some()).min_by_key(|entry| entry.began);
    if let Some(entry) = under_way.or_else(|| open().next())
        && let Err(error) = uploader.cancel(entry.id)
    {
        tracing::debug!(%error, "the file ended by itself");
    }
}

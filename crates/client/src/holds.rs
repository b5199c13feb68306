//! Why the list is paused: the application's own pause, a metered network, no network. It goes on when none is left.

use vodferry_engine::{Engine, Now};

use crate::state::State;
use crate::{Error, Uploader};

/// The reasons for which the list is paused; all off: it is not. See [`Snapshot::held`](crate::Snapshot::held).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holds {
    /// [`Uploader::pause`] was called for the list.
    pub paused: bool,
    /// The network costs money ([`Uploader::set_metered`]), and [`Options::pause_on_metered`](crate::Options::pause_on_metered) is set.
    pub metered: bool,
    /// There is no network ([`Uploader::set_online`]).
    pub offline: bool,
}

impl Holds {
    /// Whether the list is paused for any of them.
    pub fn any(self) -> bool {
        self.paused || self.metered || self.offline
    }
}

impl State {
    /// Switches holds, and pauses or resumes the list where that makes a difference.
    fn hold(&mut self, now: Now, change: impl FnOnce(&mut Holds)) {
        let before = self.holds;
        change(&mut self.holds);
        let verb = match (before.any(), self.holds.any()) {
            (false, true) => Engine::pause,
            (true, false) => Engine::resume,
            _ => return,
        };
        // The list, unlike one file, can always be paused and resumed.
        let _ = verb(&mut self.engine, now, None);
    }
}

impl Uploader {
    /// The application says whether the network costs money (seed 000: mobile data or Wi-Fi). With
    /// [`Options::pause_on_metered`](crate::Options::pause_on_metered) the list is paused as long as it does; without, nothing happens.
    pub fn set_metered(&self, metered: bool) {
        self.always(|state, now| {
            let metered = metered && state.pause_on_metered;
            state.hold(now, |holds| holds.metered = metered);
        });
    }

    /// The application says whether there is a network. Without one the list is paused, so that no time of the retry budget runs out;
    /// when it is back, work goes on at once over new connections. A list that was never told to be offline is not disturbed.
    pub fn set_online(&self, online: bool) {
        let mut came_back = false;
        self.always(|state, now| {
            came_back = online && state.holds.offline;
            state.hold(now, |holds| holds.offline = !online);
        });
        if came_back {
            self.network_changed();
        }
    }

    /// Pauses or resumes the whole list for the application's own reason.
    pub(crate) fn hold_list(&self, paused: bool) -> Result<(), Error> {
        self.command(|state, now| {
            state.hold(now, |holds| holds.paused = paused);
            Ok(())
        })
    }
}

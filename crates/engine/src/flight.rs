//! What is in flight of a transfer: sent, cut, answered.

use crate::desk::Desk;
use crate::transfer::{Phase, Transfer};
use crate::vocab::{EffectId, GrantId};

/// A request in flight.
#[derive(Debug)]
pub(crate) struct Flight {
    pub(crate) what: What,
    /// What it was signed with…
    pub(crate) grant: GrantId,
    /// …and which grant of the file that is.
    pub(crate) serial: u64,
    /// Of its body; 0 where it has none.
    pub(crate) length: u64,
    sent: u64,
    /// Counts among the bodies on their way.
    body: bool,
}

/// What is in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// The one request of the phase.
    Only,
    /// One part.
    Part(u32),
}

impl Transfer {
    /// Bytes of a body were handed to the network.
    pub(crate) fn on_sent(&mut self, id: EffectId, bytes: u64) {
        if let Some(flight) = self.flight.get_mut(&id) {
            flight.sent = flight.sent.max(bytes.min(flight.length));
            self.progress.on_sent(self.stored_bytes(), self.sent_bytes());
        }
    }

    /// Takes everything out of flight. What was cut is sent again when its time comes.
    pub(crate) fn cut(&mut self, desk: &mut Desk) {
        for (id, flight) in core::mem::take(&mut self.flight) {
            let left = desk.abandon(id);
            Transfer::land(desk, &flight);
            match flight.what {
                What::Part(number) => {
                    self.unsure |= left;
                    if let Some(parts) = &mut self.parts {
                        parts.give_back(number);
                    }
                }
                What::Only => self.initiate_lost |= left && matches!(self.phase, Phase::Initiating),
            }
        }
    }

    /// The way to the network changed: what is in flight is sent anew at once. Where nothing is sent any more it may still arrive.
    pub(crate) fn network_changed(&mut self, desk: &mut Desk) {
        if self.failing.is_some() {
            return;
        }
        let unsure = self.unsure;
        self.cut(desk);
        // Sending a part twice costs less than a listing would on a network that is just coming back.
        self.unsure = unsure;
        self.limit.on_network_changed(desk.next_id());
        self.retry.on_network_changed();
    }

    /// A request is no longer in flight.
    pub(crate) fn land(desk: &mut Desk, flight: &Flight) {
        if flight.body {
            desk.bodies = desk.bodies.saturating_sub(1);
        }
    }

    pub(crate) fn sent_bytes(&self) -> u64 {
        self.flight.values().map(|f| f.sent).sum()
    }

    /// A request goes out; `body`: the bytes of its body, where it has one.
    pub(crate) fn fly(&mut self, id: EffectId, grant: GrantId, what: What, body: Option<u64>) {
        let (serial, length) = (self.access.serial(), body.unwrap_or(0));
        let body = body.is_some();
        self.flight.insert(id, Flight { what, grant, serial, length, sent: 0, body });
    }
}

//! What an uploader tells, as a stream.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use tokio::sync::mpsc::UnboundedReceiver;
use vodferry_engine::Event;

/// All events of an uploader since [`Uploader::events`](crate::Uploader::events) was called, in order.
///
/// None is ever lost: what is not taken yet waits in memory (Progress is rare enough for that; see
/// [`Options::progress_interval`](crate::Options::progress_interval)). The stream ends when the uploader is released. It does not keep
/// the uploader alive.
#[derive(Debug)]
pub struct Events {
    pub(crate) receiver: UnboundedReceiver<Event>,
}

impl Events {
    /// The next event; `None` when the uploader is released. Safe to drop and call again: no event is lost.
    pub async fn next(&mut self) -> Option<Event> {
        self.receiver.recv().await
    }

    /// The next event if one waits already.
    pub fn try_next(&mut self) -> Option<Event> {
        self.receiver.try_recv().ok()
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.receiver.poll_recv(cx)
    }
}

//! Upload reports on their way to the application server, and the wait for the last of them: a process that ends takes with it what was
//! not handed over.

use std::convert::Infallible;
use std::time::Duration;

use tokio::sync::mpsc::{Receiver, Sender, channel};
use vodferry::{AppServer, BoxFuture, Error, Report, Reporter};

/// For the last reports; whoever does not take them by then does not get them.
const FAREWELL: Duration = Duration::from_secs(10);

/// Hands reports to an application server.
pub(crate) struct Reports {
    server: AppServer,
    /// Closed when the uploader has let go of this.
    _open: Sender<Infallible>,
}

/// The end of all reporting.
pub(crate) struct Last(Receiver<Infallible>);

impl Reports {
    /// To `server`.
    pub(crate) fn to(server: AppServer) -> (Reports, Last) {
        let (open, closed) = channel(1);
        (Reports { server, _open: open }, Last(closed))
    }
}

impl Last {
    /// Waits, after the uploader was closed, until all was handed over.
    pub(crate) async fn wait(mut self) {
        if tokio::time::timeout(FAREWELL, self.0.recv()).await.is_err() {
            tracing::warn!("the application server does not take the last upload reports");
        }
    }
}

impl Reporter for Reports {
    fn report(&self, reports: Vec<Report>) -> BoxFuture<'_, Result<(), Error>> {
        self.server.report(reports)
    }
}

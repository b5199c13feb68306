//! Ctrl-C and SIGTERM: the first asks for an orderly end, the second is one.

use std::future::Future;

use tokio::sync::oneshot;

use crate::exit_code::ExitCode;

/// Resolves at the first Ctrl-C or SIGTERM. From then on the second one ends the process at once.
///
/// Listening begins with the call, not with the first poll: a signal in between is not lost.
pub(crate) fn interrupted() -> impl Future<Output = ()> {
    let (tell, told) = oneshot::channel();
    let mut signals = Signals::listen();
    tokio::spawn(async move {
        signals.next().await;
        let _ = tell.send(());
        signals.next().await;
        std::process::exit(ExitCode::Interrupted as i32);
    });
    async {
        if told.await.is_err() {
            // The listener is gone with the runtime: nobody will ask any more.
            std::future::pending().await
        }
    }
}

/// SIGHUPs from now on; on other systems there are none.
pub(crate) fn hangups() -> Hangups {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let listening = signal(SignalKind::hangup())
            .inspect_err(|error| tracing::warn!(%error, "cannot listen to a signal"));
        Hangups(listening.ok())
    }
    #[cfg(not(unix))]
    Hangups
}

/// See [`hangups`].
#[cfg(unix)]
pub(crate) struct Hangups(Option<tokio::signal::unix::Signal>);

/// See [`hangups`].
#[cfg(not(unix))]
pub(crate) struct Hangups;

impl Hangups {
    /// Resolves at the next one.
    pub(crate) async fn next(&mut self) {
        #[cfg(unix)]
        receive(&mut self.0).await;
        #[cfg(not(unix))]
        std::future::pending::<()>().await;
    }
}

#[cfg(unix)]
struct Signals {
    interrupt: Option<tokio::signal::unix::Signal>,
    terminate: Option<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Signals {
    fn listen() -> Signals {
        use tokio::signal::unix::{SignalKind, signal};
        let listen = |kind| {
            signal(kind)
                .inspect_err(|error| tracing::warn!(%error, "cannot listen to a signal"))
                .ok()
        };
        Signals {
            interrupt: listen(SignalKind::interrupt()),
            terminate: listen(SignalKind::terminate()),
        }
    }

    async fn next(&mut self) {
        tokio::select! {
            () = receive(&mut self.interrupt) => {}
            () = receive(&mut self.terminate) => {}
        }
    }
}

#[cfg(unix)]
async fn receive(signal: &mut Option<tokio::signal::unix::Signal>) {
    let received = match signal {
        Some(signal) => signal.recv().await,
        None => None,
    };
    if received.is_none() {
        std::future::pending().await
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn listen() -> Signals {
        Signals
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }
}

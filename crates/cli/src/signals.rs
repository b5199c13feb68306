//! Signals: the first that asks for the end gets an orderly one, the second an immediate one.

use std::future::Future;
#[cfg(unix)]
use std::time::Duration;

use tokio::sync::oneshot;

use crate::exit_code::ExitCode;
use crate::keys;

/// Who asks for the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// A person, by Ctrl-C.
    Interrupt,
    /// Whoever sent SIGTERM; with `terminal` also Ctrl-\ and the window that closes.
    Terminate,
}

/// Resolves at the first Ctrl-C or SIGTERM. From then on the second one ends the process at once. `terminal`: SIGHUP and SIGQUIT too,
/// which would leave the terminal as it is otherwise.
///
/// Listening begins with the call, not with the first poll: a signal in between is not lost.
pub(crate) fn interrupted(terminal: bool) -> impl Future<Output = Asked> {
    let (tell, told) = oneshot::channel();
    let mut signals = Signals::listen(terminal);
    tokio::spawn(async move {
        let asked = signals.next().await;
        let _ = tell.send(asked);
        signals.next().await;
        keys::give_terminal_back();
        std::process::exit(ExitCode::Interrupted as i32);
    });
    async {
        match told.await {
            Ok(asked) => asked,
            // The listener is gone with the runtime: nobody will ask any more.
            Err(_) => std::future::pending().await,
        }
    }
}

/// Calls `before` when Ctrl-Z asks the process to stop, stops it, and calls `after` when it goes on; for ever. A process that has no shell
/// above it does not stop: nobody could bring it back.
#[cfg(unix)]
pub(crate) async fn suspended(before: fn(), after: fn()) {
    use rustix::process::{Signal, getpid, getsid, kill_process};
    use tokio::signal::unix::{SignalKind, signal};
    let listen = |asked: Signal| signal(SignalKind::from_raw(asked.as_raw()));
    let (Ok(mut stop), Ok(mut go_on)) = (listen(Signal::TSTP), listen(Signal::CONT)) else {
        return;
    };
    loop {
        tokio::select! {
            asked = stop.recv() => if asked.is_none() { return },
            // After a stop that nobody announced.
            _ = go_on.recv() => continue,
        }
        if getsid(None).is_ok_and(|leader| leader == getpid()) {
            continue;
        }
        before();
        // This is the one that cannot be listened to. The time counts from when it goes on: a stop takes no second to come.
        if kill_process(getpid(), Signal::STOP).is_ok() {
            let _ = tokio::time::timeout(Duration::from_secs(1), go_on.recv()).await;
        }
        after();
    }
}

/// From now on SIGUSR1 says that the list is to wait, SIGUSR2 that it may go on; on other systems nobody can say so.
pub(crate) fn holds() -> Holds {
    #[cfg(unix)]
    {
        use tokio::signal::unix::SignalKind;
        Holds {
            hold: listen(SignalKind::user_defined1()),
            go_on: listen(SignalKind::user_defined2()),
        }
    }
    #[cfg(not(unix))]
    Holds
}

/// See [`holds`].
#[cfg(unix)]
pub(crate) struct Holds {
    hold: Option<tokio::signal::unix::Signal>,
    go_on: Option<tokio::signal::unix::Signal>,
}

/// See [`holds`].
#[cfg(not(unix))]
pub(crate) struct Holds;

impl Holds {
    /// Whether the list is to wait, when somebody says so next.
    pub(crate) async fn next(&mut self) -> bool {
        #[cfg(unix)]
        return tokio::select! {
            () = receive(&mut self.hold) => true,
            () = receive(&mut self.go_on) => false,
        };
        #[cfg(not(unix))]
        std::future::pending().await
    }
}

/// SIGHUPs from now on; on other systems there are none.
pub(crate) fn hangups() -> Hangups {
    #[cfg(unix)]
    {
        use tokio::signal::unix::SignalKind;
        Hangups(listen(SignalKind::hangup()))
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
    hangup: Option<tokio::signal::unix::Signal>,
    quit: Option<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Signals {
    fn listen(terminal: bool) -> Signals {
        use tokio::signal::unix::SignalKind;
        Signals {
            interrupt: listen(SignalKind::interrupt()),
            terminate: listen(SignalKind::terminate()),
            // Without a terminal whoever started it may have arranged for it to outlive a hang-up.
            hangup: terminal.then(|| listen(SignalKind::hangup())).flatten(),
            quit: terminal.then(|| listen(SignalKind::quit())).flatten(),
        }
    }

    async fn next(&mut self) -> Asked {
        tokio::select! {
            () = receive(&mut self.interrupt) => Asked::Interrupt,
            () = receive(&mut self.terminate) => Asked::Terminate,
            () = receive(&mut self.hangup) => Asked::Terminate,
            () = receive(&mut self.quit) => Asked::Terminate,
        }
    }
}

#[cfg(unix)]
fn listen(kind: tokio::signal::unix::SignalKind) -> Option<tokio::signal::unix::Signal> {
    tokio::signal::unix::signal(kind)
        .inspect_err(|error| tracing::warn!(%error, "cannot listen to a signal"))
        .ok()
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
    fn listen(_: bool) -> Signals {
        Signals
    }

    async fn next(&mut self) -> Asked {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
        Asked::Interrupt
    }
}

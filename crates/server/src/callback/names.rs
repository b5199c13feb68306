//! Names of hosts, looked up once per callback.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::failure::Failure;

/// What looks a name up; it may block.
pub(super) type LookUp = dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync;

/// Looks names up, few at once: each takes a thread for as long as the name servers make it wait, and
/// those are the threads that blobs are written by.
pub(super) struct Names {
    look_up: Arc<LookUp>,
    at_once: Arc<Semaphore>,
}

const AT_ONCE: usize = 32;

impl Names {
    /// As this system knows them.
    pub(super) fn of_system() -> Names {
        Names::by(Arc::new(|host, port| Ok((host, port).to_socket_addrs()?.collect())))
    }

    /// As `look_up` says.
    pub(super) fn by(look_up: Arc<LookUp>) -> Names {
        Names { look_up, at_once: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// The addresses of a host.
    pub(super) async fn of(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Failure> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let turn = self.at_once.clone().acquire_owned().await.map_err(|_| Failure::Busy)?;
        let (look_up, host) = (self.look_up.clone(), host.to_owned());
        let found = tokio::task::spawn_blocking(move || {
            // Until the thread is free again, and not only as long as somebody waits for it.
            let _turn = turn;
            look_up(&host, port)
        });
        match found.await {
            Ok(Ok(addresses)) if !addresses.is_empty() => Ok(addresses),
            _ => Err(Failure::Unknown),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::sync::{Mutex, PoisonError};

    use super::*;

    #[tokio::test]
    async fn few_names_are_looked_up_at_once_whoever_waits_for_them() {
        let (open, gate) = mpsc::channel::<()>();
        let (gate, begun) = (Mutex::new(gate), Arc::new(AtomicUsize::new(0)));
        let counted = begun.clone();
        let names = Arc::new(Names::by(Arc::new(move |_: &str, port| {
            counted.fetch_add(1, Ordering::SeqCst);
            let _ = gate.lock().unwrap_or_else(PoisonError::into_inner).recv();
            Ok(vec![SocketAddr::from(([192, 0, 2, 1], port))])
        })));
        let ask = || {
            let names = names.clone();
            tokio::spawn(async move { names.of("slow.example", 80).await })
        };
        for asked in (0..AT_ONCE).map(|_| ask()).collect::<Vec<_>>() {
            while begun.load(Ordering::SeqCst) < AT_ONCE {
                tokio::task::yield_now().await;
            }
            // Those who asked give up, the threads go on.
            asked.abort();
        }
        let one_more = ask();
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        assert_eq!(begun.load(Ordering::SeqCst), AT_ONCE);
        // An address is no name, and waits for none.
        assert_eq!(names.of("::1", 7).await.unwrap(), ["[::1]:7".parse().unwrap()]);
        drop(open);
        assert_eq!(one_more.await.unwrap().unwrap(), ["192.0.2.1:80".parse().unwrap()]);
        assert_eq!(begun.load(Ordering::SeqCst), AT_ONCE + 1);
    }
}

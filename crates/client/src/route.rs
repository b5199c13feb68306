//! From which address this machine reaches its servers. When a cable is pulled or Wi-Fi gives way to mobile data, connections made from
//! the old address are not told: they go silent. A look at the routing table tells at once.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The way to the server that answered last.
#[derive(Debug, Default)]
pub(crate) struct Route {
    known: Mutex<Option<Way>>,
}

#[derive(Clone, Copy, Debug)]
struct Way {
    /// The server, or the proxy before it.
    peer: SocketAddr,
    from: IpAddr,
}

impl Route {
    /// `peer` answered: the way to it works.
    pub(crate) fn leads_to(&self, peer: SocketAddr) {
        let mut known = self.known();
        if known.is_none_or(|way| way.peer != peer) {
            *known = address_to(peer).map(|from| Way { peer, from });
        }
    }

    /// Whether the way leads from another address by now. No way at all is no other one.
    pub(crate) fn changed(&self) -> bool {
        let mut known = self.known();
        let Some(way) = known.as_mut() else { return false };
        match address_to(way.peer) {
            Some(from) if from != way.from => {
                way.from = from;
                true
            }
            _ => false,
        }
    }

    fn known(&self) -> MutexGuard<'_, Option<Way>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The address from which packets to `peer` leave. Connecting a datagram socket asks the routing table and sends nothing.
fn address_to(peer: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr = match peer {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(peer).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_that_stays_is_none_that_changed() {
        let route = Route::default();
        assert!(!route.changed());
        route.leads_to("127.0.0.1:9".parse().unwrap());
        assert!(!route.changed());
    }

    #[test]
    fn another_address_is_told_once() {
        let peer = "127.0.0.1:9".parse().unwrap();
        let before = Way { peer, from: "127.0.0.9".parse().unwrap() };
        let route = Route { known: Mutex::new(Some(before)) };
        assert!(route.changed());
        assert!(!route.changed());
    }
}

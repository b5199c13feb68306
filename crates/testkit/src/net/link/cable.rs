//! Two network namespaces joined by the kernel's own virtual Ethernet: no delay, no loss and no rate, but real devices that can be unplugged
//! and given other addresses.

use std::fs;
use std::io;
use std::net::Ipv4Addr;

use super::{DEVICE, Namespace, NoLink, ip, needs};
use crate::skip::skipped;

/// Two namespaces and a pair of devices, both named [`DEVICE`], until dropped.
pub struct Cable {
    /// One end, for the client by convention.
    pub a: Namespace,
    /// The other end, for the server by convention.
    pub b: Namespace,
}

impl Cable {
    /// Lays a cable.
    ///
    /// # Errors
    /// [`NoLink::Skip`] where the machine has no such devices or no rights to make namespaces, [`NoLink::Failed`] when something else went wrong.
    pub fn open() -> Result<Cable, NoLink> {
        needs()?;
        let a = Namespace::open(Ipv4Addr::new(10, 77, 1, 1))?;
        let b = Namespace::open(Ipv4Addr::new(10, 77, 1, 2))?;
        let peer = b.process().to_string();
        let pair = ["link", "add", DEVICE, "type", "veth", "peer", "name", DEVICE, "netns", &peer];
        let laid = a.run(|| ip(&pair)).map_err(NoLink::Failed)?;
        laid.map_err(|error| NoLink::Skip(format!("no veth devices can be made: {error}")))?;
        for end in [&a, &b] {
            let address = format!("{}/30", end.address());
            let plug = || -> Result<(), NoLink> {
                ip(&["link", "set", "dev", "lo", "up"])?;
                ip(&["address", "add", &address, "dev", DEVICE])?;
                ip(&["link", "set", "dev", DEVICE, "up"])
            };
            end.run(plug).map_err(NoLink::Failed)??;
        }
        Ok(Cable { a, b })
    }

    /// For tests: `None` where this machine cannot have one, after saying so (see [`skipped`]).
    ///
    /// # Panics
    /// When it should have worked.
    pub fn open_or_skip(test: &str) -> Option<Cable> {
        match Cable::open() {
            Ok(cable) => Some(cable),
            Err(NoLink::Skip(reason)) => {
                skipped(test, &reason);
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Bytes that left `a` until now, headers included.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn sent(&self) -> io::Result<u64> {
        let table = self.a.run(|| fs::read_to_string("/proc/thread-self/net/dev"))??;
        let row = table
            .lines()
            .find_map(|line| line.trim_start().strip_prefix(DEVICE)?.strip_prefix(':'));
        // Eight figures of what came in, then the bytes that went out.
        let sent = row.and_then(|row| row.split_whitespace().nth(8)?.parse().ok());
        sent.ok_or_else(|| io::Error::other(format!("{DEVICE} is not in\n{table}")))
    }
}

//! A network path between two network namespaces: every packet is delayed, rated, queued, lost or overtaken as a [`Shape`] says.
//!
//! Each namespace has a TUN device; threads of this process carry IP packets from one to the other. The kernel's own TCP runs on both sides,
//! so its windows, congestion control and retransmissions are the real ones. Linux's `netem` does the same where it is built in; this works without.
//!
//! ```no_run
//! use std::time::Duration;
//! use vodferry_testkit::net::link::{Link, LinkOptions, Shape};
//!
//! // 100 Mbit/s, a round trip of 200 ms, one packet in 10,000 lost.
//! let way = Shape::new(100_000_000, Duration::from_millis(100)).with_loss_ppm(100);
//! let link = Link::open(&LinkOptions::both(way))?;
//! let mut server = link.b.command("python3").args(["-m", "http.server", "8000"]).spawn()?;
//! let url = format!("http://{}:8000/", link.b.address());
//! link.a.command("curl").args(["--retry-connrefused", "--retry", "5", &url]).status()?;
//! server.kill()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! It needs root, `/dev/net/tun`, and the commands `ip`, `unshare`, `nsenter`, `find` (Debian: iproute2, util-linux, findutils). Where one is missing,
//! [`Link::open`] answers [`NoLink::Skip`]; tests use [`Link::open_or_skip`]. Nothing stays behind, however the process ends (see [`Namespace`]).
//! Cargo's example `link` opens one by hand.
//!
//! # What it carries
//!
//! Measured with the example (`measure=10`) on two cores that also built other crates, in the `dev` profile, payload of plain TCP (cubic):
//!
//! | line | connections | Mbit/s, second half |
//! |---|---|---|
//! | 100 Mbit/s, 200 ms, no loss, queue 200 ms, MTU 1,500 | 1 | 95 |
//! | 100 Mbit/s, 200 ms, 0.01 % loss, queue 300 ms, MTU 1,500 | 8 | 96.5 (all that headers leave) |
//! | 1 Gbit/s, 20 ms, MTU 9,000 | 1 | 993 |
//! | 1 Gbit/s, 20 ms, MTU 65,000 | 1 | 999 |
//! | without limit, MTU 1,500 | 1 | 500 to 800: what the threads can carry |

mod cable;
mod carrier;
mod namespace;
mod shape;
mod transfer;

use std::fmt;
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use tun_rs::{DeviceBuilder, SyncDevice};

pub use cable::Cable;
pub use carrier::Traffic;
pub use namespace::Namespace;
pub use shape::Shape;
pub use transfer::Transfer;

use crate::skip::skipped;
use carrier::Carrier;

/// The name of the device in both namespaces.
pub const DEVICE: &str = "link0";

/// Packets that a device holds until they are read. Large: what is lost is for the [`Shape`] to say.
const DEVICE_QUEUE: u32 = 20_000;

/// Both ways of a link.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct LinkOptions {
    /// From `a` to `b`.
    pub a_to_b: Shape,
    /// From `b` to `a`.
    pub b_to_a: Shape,
    /// The largest IP packet in bytes, 576 to 65,535; default 1,500. Larger ones cost less work per byte, but chance then takes larger pieces.
    pub mtu: u16,
    /// Of loss and reordering; default 1.
    pub seed: u64,
}

impl Default for LinkOptions {
    fn default() -> LinkOptions {
        LinkOptions::both(Shape::default())
    }
}

impl LinkOptions {
    /// The same both ways.
    pub fn both(way: Shape) -> LinkOptions {
        LinkOptions { a_to_b: way, b_to_a: way, mtu: 1500, seed: 1 }
    }
}

/// Which way packets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From `a` to `b`.
    AToB,
    /// From `b` to `a`.
    BToA,
}

/// Why there is no link.
#[derive(Debug)]
pub enum NoLink {
    /// This machine cannot have one; why.
    Skip(String),
    /// It should have worked.
    Failed(io::Error),
}

impl fmt::Display for NoLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoLink::Skip(reason) => write!(f, "no link on this machine: {reason}"),
            NoLink::Failed(error) => write!(f, "the link failed to open: {error}"),
        }
    }
}

impl std::error::Error for NoLink {}

/// Two namespaces and what is between them, until dropped.
pub struct Link {
    // Dropped in this order: what carries, then the ends.
    a_to_b: Carrier,
    b_to_a: Carrier,
    /// One end, for the client by convention.
    pub a: Namespace,
    /// The other end, for the server by convention.
    pub b: Namespace,
}

impl Link {
    /// Opens a link.
    ///
    /// # Errors
    /// [`NoLink::Skip`] where the machine has no TUN devices or no rights to make namespaces, [`NoLink::Failed`] when something else went wrong.
    pub fn open(options: &LinkOptions) -> Result<Link, NoLink> {
        needs()?;
        if !Path::new("/dev/net/tun").exists() {
            return Err(NoLink::Skip("no /dev/net/tun".to_owned()));
        }
        let a = Namespace::open(Ipv4Addr::new(10, 77, 0, 1))?;
        let b = Namespace::open(Ipv4Addr::new(10, 77, 0, 2))?;
        let (at_a, at_b) = (device(&a, options.mtu)?, device(&b, options.mtu)?);
        let start =
            |from, to, shape, seed| Carrier::start(from, to, shape, seed).map_err(NoLink::Failed);
        Ok(Link {
            a_to_b: start(&at_a, &at_b, options.a_to_b, options.seed)?,
            b_to_a: start(&at_b, &at_a, options.b_to_a, !options.seed)?,
            a,
            b,
        })
    }

    /// For tests: `None` where this machine cannot have a link, after saying so (see [`skipped`]).
    ///
    /// # Panics
    /// When it should have worked.
    pub fn open_or_skip(test: &str, options: &LinkOptions) -> Option<Link> {
        match Link::open(options) {
            Ok(link) => Some(link),
            Err(NoLink::Skip(reason)) => {
                skipped(test, &reason);
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Changes one way, from the next packet on.
    pub fn set(&self, way: Way, shape: Shape) {
        self.carrier(way).set(shape);
    }

    /// What happened on one way until now.
    pub fn traffic(&self, way: Way) -> Traffic {
        self.carrier(way).traffic()
    }

    fn carrier(&self, way: Way) -> &Carrier {
        match way {
            Way::AToB => &self.a_to_b,
            Way::BToA => &self.b_to_a,
        }
    }
}

/// What namespaces need.
fn needs() -> Result<(), NoLink> {
    if !rustix::process::geteuid().is_root() {
        return Err(NoLink::Skip("not root".to_owned()));
    }
    for (command, package) in [("ip", "iproute2"), ("nsenter", "util-linux"), ("find", "findutils")]
    {
        if let Err(error) = Command::new(command).arg("--version").output() {
            return Err(NoLink::Skip(format!("{command}: {error} (Debian: {package})")));
        }
    }
    Ok(())
}

/// A device inside of the namespace, with its address, up.
fn device(namespace: &Namespace, mtu: u16) -> Result<Arc<SyncDevice>, NoLink> {
    let inside = || -> Result<SyncDevice, NoLink> {
        // Without IPv6 nothing is on the link but what the test sends. A kernel without it has nothing to turn off.
        for which in ["all", "default"] {
            let _ = std::fs::write(format!("/proc/sys/net/ipv6/conf/{which}/disable_ipv6"), "1");
        }
        let device = DeviceBuilder::new().name(DEVICE).enable(false).build_sync();
        let device =
            device.map_err(|error| NoLink::Skip(format!("no TUN device can be made: {error}")))?;
        device.set_nonblocking(true).map_err(NoLink::Failed)?;
        let (address, mtu) = (format!("{}/30", namespace.address()), mtu.to_string());
        let queue = DEVICE_QUEUE.to_string();
        ip(&["link", "set", "dev", "lo", "up"])?;
        ip(&["address", "add", &address, "dev", DEVICE])?;
        ip(&["link", "set", "dev", DEVICE, "mtu", &mtu, "txqueuelen", &queue, "up"])?;
        Ok(device)
    };
    let device = namespace.run(inside).map_err(NoLink::Failed)??;
    Ok(Arc::new(device))
}

/// `ip` in the namespace of this thread.
fn ip(args: &[&str]) -> Result<(), NoLink> {
    let output = Command::new("ip").args(args).output().map_err(NoLink::Failed)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(NoLink::Failed(io::Error::other(format!("ip {}: {}", args.join(" "), said.trim()))))
}

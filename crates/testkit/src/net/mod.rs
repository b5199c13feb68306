//! Bad networks for real programs (feature `net`): what the model world does to the engine, done to sockets.
//!
//! [`proxy`] stands between one client and one server and breaks TCP connections: it needs nothing of the machine. [`link`] is a whole network path between two
//! network namespaces, with delay, rate, queue and loss for every packet: it needs root and `/dev/net/tun`.
//!
//! Both follow a seed as far as they decide themselves; what the machine's scheduler decides cannot be repeated.

#[cfg(target_os = "linux")]
pub mod link;
pub mod proxy;

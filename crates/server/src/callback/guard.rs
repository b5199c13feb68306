//! Which addresses callbacks may go to: public ones, and what the configuration names.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Which addresses may be connected to.
#[derive(Debug)]
pub(super) struct Guard {
    hosts: Vec<String>,
    networks: Vec<Network>,
    public: bool,
}

#[derive(Debug)]
struct Network {
    address: IpAddr,
    bits: u32,
}

/// Whether this is a host, an address, or a network such as `10.0.0.0/8`.
pub(crate) fn is_entry(text: &str) -> bool {
    Network::read(text).is_some()
        || (!text.is_empty()
            && !text.contains('/')
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_')))
}

impl Guard {
    /// Those that `allowed` names, and with `public` all public ones.
    pub(super) fn new(allowed: &[String], public: bool) -> Guard {
        let (mut hosts, mut networks) = (Vec::new(), Vec::new());
        for entry in allowed {
            match Network::read(entry) {
                Some(network) => networks.push(network),
                None => hosts.push(entry.to_ascii_lowercase()),
            }
        }
        Guard { hosts, networks, public }
    }

    /// Whether a callback to `host` may connect to `address`, which is what the host is now.
    pub(super) fn admits(&self, host: &str, address: IpAddr) -> bool {
        let address = unmapped(address);
        self.hosts.iter().any(|allowed| allowed == host)
            || self.networks.iter().any(|network| network.holds(address))
            || (self.public && is_public(address))
    }
}

impl Network {
    fn read(text: &str) -> Option<Network> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u32>().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        (bits <= most).then_some(Network { address, bits })
    }

    fn holds(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differ = u32::from(own) ^ u32::from(other);
                differ.leading_zeros() >= self.bits
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differ = u128::from(own) ^ u128::from(other);
                differ.leading_zeros() >= self.bits
            }
            _ => false,
        }
    }
}

/// `::ffff:10.0.0.1` is 10.0.0.1.
fn unmapped(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || a == 0
        // Behind a carrier's NAT, and the metadata of some clouds.
        || (a == 100 && b & 0xc0 == 64)
        || (a, b, c) == (192, 0, 0)
        || (a, b, c) == (192, 88, 99)
        || (a == 198 && b & 0xfe == 18)
        // Multicast, reserved, broadcast.
        || a >= 224)
}

/// Of what is given out at all, without the ways that lead to IPv4 addresses.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    a & 0xe000 == 0x2000
        && !(a == 0x2001 && b < 0x200)
        && !(a == 0x2001 && b == 0x0db8)
        && a != 0x2002
        && !(a == 0x3fff && b < 0x1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inner_addresses_are_refused_in_all_their_forms() {
        let guard = Guard::new(&[], true);
        for address in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.100.100.200",
            "100.64.0.1",
            "192.0.0.192",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "::1",
            "::",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "::ffff:0:127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::7f00:1",
            "2002:7f00:1::",
            "2001:0:1::1",
            "2001:db8::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "100::1",
        ] {
            assert!(!guard.admits("a", address.parse().unwrap()), "{address}");
        }
        for address in ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1", "::ffff:8.8.8.8"] {
            assert!(guard.admits("a", address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn the_configuration_opens_what_it_names_and_nothing_else() {
        let list = ["10.1.0.0/16", "App.internal", "::1", "192.168.0.7"].map(str::to_owned);
        let guard = Guard::new(&list, true);
        let admits = |host: &str, address: &str| guard.admits(host, address.parse().unwrap());
        assert!(admits("a", "10.1.2.3") && admits("a", "::ffff:10.1.2.3"));
        assert!(!admits("a", "10.2.0.1"));
        assert!(admits("app.internal", "127.0.0.1") && !admits("a.app.internal", "127.0.0.1"));
        assert!(admits("a", "::1") && admits("a", "192.168.0.7") && !admits("a", "192.168.0.8"));
        let all = Guard::new(&["0.0.0.0/0".to_owned()], true);
        assert!(all.admits("a", IpAddr::from([127, 0, 0, 1])));
        assert!(!all.admits("a", IpAddr::V6(Ipv6Addr::LOCALHOST)));
    }

    #[test]
    fn public_addresses_may_be_closed_too() {
        let guard = Guard::new(&["8.8.8.0/24".to_owned(), "app.example".to_owned()], false);
        let admits = |host: &str, address: &str| guard.admits(host, address.parse().unwrap());
        assert!(admits("a", "8.8.8.8") && admits("app.example", "1.1.1.1"));
        assert!(!admits("a", "1.1.1.1") && !admits("a", "2606:4700::1"));
    }

    #[test]
    fn entries_are_hosts_addresses_and_networks() {
        for entry in ["app.internal", "10.0.0.0/8", "::1", "fd00::/8", "10.0.0.1"] {
            assert!(is_entry(entry), "{entry}");
        }
        for entry in ["", "http://a", "10.0.0.0/33", "fd00::/129", "a/8", "a:80", "a b"] {
            assert!(!is_entry(entry), "{entry}");
        }
    }
}

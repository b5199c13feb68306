//! Proxies in front of this server, and the client that asked through them.
//!
//! A header that tells an address is worth what its writer is worth. So only what a trusted proxy wrote counts:
//! the lists are read from their end, where the nearest proxy put the address that it saw, and onwards for as
//! long as the address found is itself a trusted proxy. What stands before the first address that is not one was
//! written by that client, and is not looked at.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;

use super::call::Peer;
use crate::policy::Network;

/// Whose word is taken for who asked.
#[derive(Debug, Default)]
pub(crate) struct Proxies(Vec<Network>);

/// Two headers tell of two clients: one of them was not written by the proxy, and nobody knows which.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Contradiction;

impl Proxies {
    /// Entries that are no networks are left out; the configuration has none.
    pub(crate) fn new(trusted: &[String]) -> Proxies {
        Proxies(trusted.iter().filter_map(|text| Network::parse(text)).collect())
    }

    /// Who asked, with these headers, over the connection from `peer`.
    pub(crate) fn client(&self, peer: Peer, headers: &HeaderMap) -> Result<Peer, Contradiction> {
        if !self.trusts(peer.ip) {
            return Ok(peer);
        }
        let listed = entries(headers, X_FORWARDED_FOR, b',');
        let listed = (!listed.is_empty()).then(|| {
            let hops = listed.iter().map(|entry| Hop { from: address(entry), secure: None });
            self.farthest(hops.rev())
        });
        let elements = entries(headers, FORWARDED, b',');
        let described = (!elements.is_empty())
            .then(|| self.farthest(elements.iter().map(|element| Hop::of(element)).rev()));
        if let (Some(one), Some(other)) = (&listed, &described)
            && one.from != other.from
        {
            return Err(Contradiction);
        }
        let from = listed.and_then(|hop| hop.from).or(described.and_then(|hop| hop.from));
        let schemes = entries(headers, X_FORWARDED_PROTO, b',');
        let told = schemes
            .iter()
            .map(|scheme| is_https(scheme))
            .chain(described.and_then(|hop| hop.secure))
            // All must say so: one of them may be the client's.
            .reduce(|one, other| one && other);
        Ok(Peer {
            ip: from.unwrap_or(peer.ip),
            secure: told.unwrap_or(peer.secure),
            via: Some(peer.ip),
        })
    }

    /// Whether this is one of them.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// Of hops, nearest first: the first that is no trusted proxy, or the last of those whose address is
    /// known.
    fn farthest(&self, hops: impl Iterator<Item = Hop>) -> Hop {
        let mut farthest = Hop::default();
        for hop in hops {
            let Some(from) = hop.from else { break };
            farthest = hop;
            if !self.trusts(from) {
                break;
            }
        }
        farthest
    }
}

/// What one proxy says of whom it answers.
#[derive(Clone, Copy, Debug, Default)]
struct Hop {
    from: Option<IpAddr>,
    /// Whether what came from there was encrypted.
    secure: Option<bool>,
}

impl Hop {
    /// Reads an element of `Forwarded`, as in `for="[2001:db8::1]:4711";proto=https`.
    fn of(element: &str) -> Hop {
        let mut hop = Hop::default();
        for pair in split(element, b';') {
            let Some((name, value)) = pair.split_once('=') else { continue };
            let value = value.trim().trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                "for" => hop.from = address(value),
                "proto" => hop.secure = Some(is_https(value)),
                _ => {}
            }
        }
        hop
    }
}

const X_FORWARDED_FOR: &str = "x-forwarded-for";
const X_FORWARDED_PROTO: &str = "x-forwarded-proto";
const FORWARDED: &str = "forwarded";

/// The entries of a list, over all headers of this name; none of an empty one. What is no text is an entry that
/// names nobody.
fn entries<'a>(headers: &'a HeaderMap, name: &str, separator: u8) -> Vec<&'a str> {
    let values = headers.get_all(name).iter().map(|value| value.to_str().unwrap_or("?"));
    values.flat_map(|value| split(value, separator)).filter(|entry| !entry.is_empty()).collect()
}

/// Cuts at separators that stand in no quotes.
fn split(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |c: char| {
        quoted ^= c == '"';
        c == char::from(separator) && !quoted
    })
    .map(str::trim)
}

/// An address, perhaps with a port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok().or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

fn is_https(scheme: &str) -> bool {
    scheme.eq_ignore_ascii_case("https")
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn asked(from: &str, headers: &[(&str, &str)]) -> Result<(String, bool), Contradiction> {
        let proxies = Proxies::new(&["10.0.0.0/8".into(), "::1".into()]);
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name: HeaderName = name.parse().unwrap();
            map.append(name, HeaderValue::from_str(value).unwrap());
        }
        let peer = Peer { ip: from.parse().unwrap(), secure: false, via: None };
        proxies.client(peer, &map).map(|peer| (peer.ip.to_string(), peer.secure))
    }

    fn client(from: &str, header: &str, value: &str) -> String {
        asked(from, &[(header, value)]).unwrap().0
    }

    #[test]
    fn the_client_is_the_last_address_that_is_no_trusted_proxy() {
        for (value, is) in [
            ("203.0.113.7", "203.0.113.7"),
            ("203.0.113.7, 10.0.0.2", "203.0.113.7"),
            ("1.1.1.1, 203.0.113.7", "203.0.113.7"),
            ("10.0.0.9, 203.0.113.7, 10.0.0.2,::1", "203.0.113.7"),
            ("203.0.113.7:4711", "203.0.113.7"),
            ("[2001:db8::7]:4711", "2001:db8::7"),
            ("[2001:db8::7]", "2001:db8::7"),
            ("2001:db8::7", "2001:db8::7"),
            ("::ffff:203.0.113.7", "203.0.113.7"),
            ("203.0.113.7, ::ffff:10.0.0.2", "203.0.113.7"),
            // All are proxies: the farthest.
            ("10.0.0.3, 10.0.0.2", "10.0.0.3"),
            // Nobody knows who is behind 10.0.0.2.
            ("203.0.113.7, unknown, 10.0.0.2", "10.0.0.2"),
            ("'; DROP, 203.0.113.7", "203.0.113.7"),
            ("300.1.1.1", "10.0.0.1"),
            ("", "10.0.0.1"),
            (" , ,", "10.0.0.1"),
        ] {
            assert_eq!(client("10.0.0.1", "x-forwarded-for", value), is, "{value}");
            assert_eq!(client("::ffff:10.0.0.1", "x-forwarded-for", "1.1.1.1"), "1.1.1.1");
        }
        let lines = [("x-forwarded-for", "10.0.0.9"), ("x-forwarded-for", "203.0.113.7, 10.0.0.2")];
        assert_eq!(asked("10.0.0.1", &lines).unwrap().0, "203.0.113.7");
    }

    #[test]
    fn forwarded_is_read_alike() {
        for (value, is) in [
            ("for=203.0.113.7", "203.0.113.7"),
            ("For=\"[2001:db8::7]:4711\";proto=https;by=10.0.0.1", "2001:db8::7"),
            ("for=1.1.1.1, for=203.0.113.7;host=\"a,b;c\", for=10.0.0.2", "203.0.113.7"),
            ("for=203.0.113.7, for=_hidden", "10.0.0.1"),
            ("for=203.0.113.7, proto=https", "10.0.0.1"),
            ("for", "10.0.0.1"),
        ] {
            assert_eq!(client("10.0.0.1", "forwarded", value), is, "{value}");
        }
    }

    #[test]
    fn of_anybody_else_the_headers_mean_nothing() {
        for from in ["203.0.113.7", "11.0.0.1", "::2", "::ffff:11.0.0.1"] {
            let headers = [
                ("x-forwarded-for", "10.0.0.1"),
                ("x-forwarded-proto", "https"),
                ("forwarded", "for=10.0.0.1;proto=https"),
            ];
            let is: IpAddr = from.parse().unwrap();
            assert_eq!(asked(from, &headers), Ok((is.to_string(), false)));
        }
    }

    #[test]
    fn encrypted_is_what_nobody_denies() {
        let secure = |headers: &[(&str, &str)]| asked("10.0.0.1", headers).unwrap().1;
        assert!(secure(&[("x-forwarded-proto", "HTTPS")]));
        assert!(secure(&[("forwarded", "for=1.1.1.1;proto=https")]));
        assert!(!secure(&[]));
        // The client's own word, with that of a proxy that adds to it.
        assert!(!secure(&[("x-forwarded-proto", "https, http")]));
        assert!(!secure(&[("x-forwarded-proto", "https"), ("x-forwarded-proto", "http")]));
        assert!(!secure(&[
            ("x-forwarded-proto", "http"),
            ("forwarded", "for=1.1.1.1;proto=https")
        ]));
        // Of the hop of the client, not of one that it made up.
        assert!(!secure(&[("forwarded", "for=2.2.2.2;proto=https, for=1.1.1.1;proto=http")]));
        assert!(secure(&[("forwarded", "for=1.1.1.1;proto=https, for=10.0.0.2;proto=http")]));
    }

    #[test]
    fn two_headers_that_differ_are_refused() {
        let both =
            |one, other| asked("10.0.0.1", &[("x-forwarded-for", one), ("forwarded", other)]);
        assert_eq!(both("203.0.113.7", "for=10.9.9.9"), Err(Contradiction));
        assert_eq!(both("10.9.9.9", "for=203.0.113.7"), Err(Contradiction));
        assert_eq!(both("203.0.113.7", "for=nobody"), Err(Contradiction));
        assert_eq!(both("9.9.9.9, 203.0.113.7", "for=203.0.113.7").unwrap().0, "203.0.113.7");
    }
}

//! The compact form of a policy inside a token: there is one spelling of each.
//!
//! ```text
//! policy    = count statement*
//! statement = effect patterns patterns conditions      (actions, resources)
//! patterns  = count pattern*
//! pattern   = kind and length in a byte, or kind and 127 and the length in two bytes; then the text
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::condition::{Condition, Order, TextKey};
use super::network::Network;
use super::pattern::Pattern;
use super::{Effect, Policy, Statement};

impl Policy {
    /// The compact form; none when a count or a text is too long for it.
    pub(crate) fn encode(&self) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        push_all(&mut out, &self.statements, |out, statement| {
            out.push(match statement.effect {
                Effect::Allow => ALLOW,
                Effect::Deny => DENY,
            });
            push_all(out, &statement.actions, push_pattern)?;
            push_all(out, &statement.resources, push_pattern)?;
            push_all(out, &statement.conditions, push_condition)
        })?;
        Some(out)
    }

    /// Reads the compact form; none when it is not one, or when something follows it.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Policy> {
        let mut rest = bytes;
        let statements = take_all(&mut rest, |rest| {
            let effect = match take_byte(rest)? {
                ALLOW => Effect::Allow,
                DENY => Effect::Deny,
                _ => return None,
            };
            Some(Statement {
                effect,
                actions: take_all(rest, take_pattern)?,
                resources: take_all(rest, take_pattern)?,
                conditions: take_all(rest, take_condition)?,
            })
        })?;
        rest.is_empty().then_some(Policy { statements })
    }
}

const ALLOW: u8 = 1;
const DENY: u8 = 2;

/// Set in the first byte of a glob; the other bits are its length, or `LONG`.
const GLOB: u8 = 0x80;
const LONG: u8 = 0x7f;

const TIME: u8 = 1;
const SECURE: u8 = 2;
const ADDRESS: u8 = 3;
const TEXT: u8 = 4;

fn push_all<T>(
    out: &mut Vec<u8>,
    items: &[T],
    push: impl Fn(&mut Vec<u8>, &T) -> Option<()>,
) -> Option<()> {
    out.push(u8::try_from(items.len()).ok()?);
    items.iter().try_for_each(|item| push(out, item))
}

fn push_pattern(out: &mut Vec<u8>, pattern: &Pattern) -> Option<()> {
    let (kind, text) = match pattern {
        Pattern::Glob(text) => (GLOB, text),
        Pattern::Literal(text) => (0, text),
    };
    match u8::try_from(text.len()) {
        Ok(short) if short < LONG => out.push(kind | short),
        _ => {
            out.push(kind | LONG);
            out.extend(u16::try_from(text.len()).ok()?.to_be_bytes());
        }
    }
    out.extend(text.as_bytes());
    Some(())
}

fn push_condition(out: &mut Vec<u8>, condition: &Condition) -> Option<()> {
    match condition {
        Condition::CurrentTime { order, at_ms } => {
            let order = ORDERS.iter().position(|o| o == order)?;
            out.extend([TIME, u8::try_from(order).ok()?]);
            out.extend(at_ms.to_be_bytes());
        }
        Condition::SecureTransport(wanted) => out.extend([SECURE, u8::from(*wanted)]),
        Condition::SourceIp { not, networks } => {
            out.extend([ADDRESS, u8::from(*not)]);
            push_all(out, networks, |out, network| {
                let (first, bits) = network.parts();
                match first {
                    IpAddr::V4(v4) => {
                        out.extend([4, bits]);
                        out.extend(v4.octets());
                    }
                    IpAddr::V6(v6) => {
                        out.extend([6, bits]);
                        out.extend(v6.octets());
                    }
                }
                Some(())
            })?;
        }
        Condition::Text { key, not, ignore_case, values } => {
            let key = TEXT_KEYS.iter().position(|k| k == key)?;
            out.extend([TEXT, u8::try_from(key).ok()?, u8::from(*not), u8::from(*ignore_case)]);
            push_all(out, values, push_pattern)?;
        }
    }
    Some(())
}

const ORDERS: [Order; 6] = [
    Order::Equals,
    Order::Greater,
    Order::GreaterEquals,
    Order::Less,
    Order::LessEquals,
    Order::NotEquals,
];
const TEXT_KEYS: [TextKey; 3] = [TextKey::Delimiter, TextKey::Prefix, TextKey::UserAgent];

fn take_all<T>(rest: &mut &[u8], take: impl Fn(&mut &[u8]) -> Option<T>) -> Option<Vec<T>> {
    (0..take_byte(rest)?).map(|_| take(rest)).collect()
}

fn take_pattern(rest: &mut &[u8]) -> Option<Pattern> {
    let first = take_byte(rest)?;
    let length = match first & !GLOB {
        LONG => {
            let length = u16::from_be_bytes(take(rest)?);
            // One spelling only.
            if length < u16::from(LONG) {
                return None;
            }
            usize::from(length)
        }
        short => usize::from(short),
    };
    let text = std::str::from_utf8(rest.split_off(..length)?).ok()?.to_owned();
    Some(if first & GLOB == 0 { Pattern::Literal(text) } else { Pattern::Glob(text) })
}

fn take_condition(rest: &mut &[u8]) -> Option<Condition> {
    Some(match take_byte(rest)? {
        TIME => Condition::CurrentTime {
            order: *ORDERS.get(usize::from(take_byte(rest)?))?,
            at_ms: i64::from_be_bytes(take(rest)?),
        },
        SECURE => Condition::SecureTransport(take_bool(rest)?),
        ADDRESS => Condition::SourceIp {
            not: take_bool(rest)?,
            networks: take_all(rest, |rest| {
                let [version, bits] = take(rest)?;
                let first: IpAddr = match version {
                    4 => Ipv4Addr::from(take::<4>(rest)?).into(),
                    6 => Ipv6Addr::from(take::<16>(rest)?).into(),
                    _ => return None,
                };
                Network::of(first, bits).filter(|network| network.parts().0 == first)
            })?,
        },
        TEXT => Condition::Text {
            key: *TEXT_KEYS.get(usize::from(take_byte(rest)?))?,
            not: take_bool(rest)?,
            ignore_case: take_bool(rest)?,
            values: take_all(rest, take_pattern)?,
        },
        _ => return None,
    })
}

fn take_bool(rest: &mut &[u8]) -> Option<bool> {
    match take_byte(rest)? {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    rest.split_off(..N)?.try_into().ok()
}

fn take_byte(rest: &mut &[u8]) -> Option<u8> {
    rest.split_off_first().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole() -> Policy {
        let mut policy = Policy::upload_only("films", "sv/*中.mp4");
        let network = |text: &str| Network::parse(text).unwrap();
        policy.statements.push(Statement {
            effect: Effect::Deny,
            actions: vec![Pattern::Glob("oss:Get*".to_owned())],
            resources: vec![Pattern::Literal(String::new()), Pattern::Glob("k".repeat(127))],
            conditions: vec![
                Condition::SecureTransport(false),
                Condition::CurrentTime { order: Order::NotEquals, at_ms: -5 },
                Condition::SourceIp {
                    not: true,
                    networks: vec![network("10.0.0.0/8"), network("2001:db8::/32")],
                },
                Condition::Text {
                    key: TextKey::Prefix,
                    not: false,
                    ignore_case: true,
                    values: vec![Pattern::Glob("a/*".to_owned())],
                },
            ],
        });
        policy.statements.push(Statement {
            effect: Effect::Allow,
            actions: vec![],
            resources: vec![],
            conditions: vec![],
        });
        policy
    }

    #[test]
    fn there_and_back() {
        let policy = whole();
        let bytes = policy.encode().unwrap();
        assert_eq!(Policy::decode(&bytes), Some(policy));
        for cut in 0..bytes.len() {
            assert_eq!(Policy::decode(&bytes[..cut]), None, "cut at {cut}");
        }
        assert_eq!(Policy::decode(&[bytes.as_slice(), &[0]].concat()), None);
        assert_eq!(Policy::upload_only("b", &"k".repeat(70_000)).encode(), None);
    }

    #[test]
    fn what_is_read_is_written_alike() {
        // Any byte changed: either refused, or a policy that has this spelling.
        let bytes = whole().encode().unwrap();
        for at in 0..bytes.len() {
            for other in [0, 1, 2, 5, 0x7f, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[at] = other;
                if let Some(policy) = Policy::decode(&changed) {
                    assert_eq!(policy.encode().as_deref(), Some(changed.as_slice()), "at {at}");
                }
            }
        }
    }

    #[test]
    fn lengths_around_the_short_form() {
        for length in [0, 1, 126, 127, 128, 255, 256, 65_535] {
            let policy = Policy::upload_only("b", &"k".repeat(length));
            assert_eq!(
                Policy::decode(&policy.encode().unwrap_or_default()).is_some(),
                length < 65_534
            );
        }
    }
}

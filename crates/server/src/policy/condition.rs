//! Conditions of a statement: what else must hold of a request.

use std::net::IpAddr;

use super::network::Network;
use super::pattern::Pattern;

/// What is known of a request beside its action and its resource.
#[derive(Clone, Debug)]
pub struct Context<'a> {
    /// The other end of the connection.
    pub source_ip: IpAddr,
    /// Whether it came over TLS.
    pub secure: bool,
    /// When it came, in milliseconds since 1970.
    pub now_ms: u64,
    /// `prefix` of a listing, empty when it has none; none for what is no listing: a right that is
    /// bound to a prefix must not be had by adding a parameter to another request.
    pub prefix: Option<&'a str>,
    /// `delimiter` of a listing, likewise.
    pub delimiter: Option<&'a str>,
    /// What the client calls itself; empty when it does not.
    pub user_agent: &'a str,
}

/// Something that must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// `acs:CurrentTime` (`Date…`).
    CurrentTime {
        /// How it compares …
        order: Order,
        /// … with this moment, in milliseconds since 1970.
        at_ms: i64,
    },
    /// `acs:SecureTransport` (`Bool`).
    SecureTransport(bool),
    /// `acs:SourceIp` (`IpAddress`, `NotIpAddress`).
    SourceIp {
        /// It lies in none of them, rather than in any.
        not: bool,
        /// The networks.
        networks: Vec<Network>,
    },
    /// A text of the request (`String…`).
    Text {
        /// Which text.
        key: TextKey,
        /// It matches none of them, rather than any.
        not: bool,
        /// In any case of ASCII letters.
        ignore_case: bool,
        /// What it is compared with.
        values: Vec<Pattern>,
    },
}

/// How two moments compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Order {
    Equals,
    Greater,
    GreaterEquals,
    Less,
    LessEquals,
    NotEquals,
}

/// Texts of a request that a condition may speak of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextKey {
    /// `oss:Delimiter`.
    Delimiter,
    /// `oss:Prefix`.
    Prefix,
    /// `acs:UserAgent`.
    UserAgent,
}

impl Condition {
    /// Whether it holds. A text that the request does not have matches nothing.
    pub(super) fn holds(&self, context: &Context<'_>) -> bool {
        match self {
            Condition::CurrentTime { order, at_ms } => {
                let now = i64::try_from(context.now_ms).unwrap_or(i64::MAX);
                match order {
                    Order::Equals => now == *at_ms,
                    Order::Greater => now > *at_ms,
                    Order::GreaterEquals => now >= *at_ms,
                    Order::Less => now < *at_ms,
                    Order::LessEquals => now <= *at_ms,
                    Order::NotEquals => now != *at_ms,
                }
            }
            Condition::SecureTransport(wanted) => context.secure == *wanted,
            Condition::SourceIp { not, networks } => {
                networks.iter().any(|network| network.contains(context.source_ip)) != *not
            }
            Condition::Text { key, not, ignore_case, values } => {
                let text = match key {
                    TextKey::Delimiter => context.delimiter,
                    TextKey::Prefix => context.prefix,
                    TextKey::UserAgent => Some(context.user_agent),
                };
                let fits = |text: &str| {
                    values.iter().any(|value| match ignore_case {
                        true => value.matches_ignore_case(text),
                        false => value.matches(text),
                    })
                };
                text.is_some_and(fits) != *not
            }
        }
    }
}

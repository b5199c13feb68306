//! What a server must do to be taken for OSS, as functions that run against any endpoint.
//!
//! Each case is a named `async fn(&Room) -> Verdict` in the file of its mechanism: [`objects`], [`ranges`] (and
//! conditions), [`multipart`], [`listing`], [`copies`], [`append`], [`tagging`] (and ACLs of objects), [`buckets`], [`cors`],
//! [`lifecycle`], [`forms`], [`signatures`], [`errors`] and [`limits`]. It says what the protocol asks, not what one server
//! happens to do. [`run`] lives through those whose name a filter matches: each in a [`Room`] of its own, which is a
//! prefix of keys and, where settings of a whole bucket are the subject, a bucket made for the purpose. What a case
//! left is removed after it. A case ends in one of three ways: it passes, it fails with a text of what was expected
//! and what came, or it is skipped because the target does not offer what it is about.
//!
//! Beside its own subject every reply of every case is checked for what all replies have: see [`Reply`].

pub mod append;
pub mod buckets;
pub mod copies;
pub mod cors;
pub mod errors;
pub mod forms;
pub mod lifecycle;
pub mod limits;
pub mod listing;
pub mod multipart;
pub mod objects;
pub mod ranges;
pub mod signatures;
pub mod tagging;

mod ask;
mod reply;
mod report;
mod room;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use vodferry_oss::{Credential, Style};

pub use ask::{Ask, Signing};
pub use reply::Reply;
pub use report::{Outcome, Report, Run};
pub use room::Room;

/// An endpoint under test, and what it takes to speak to it.
#[derive(Clone, Debug)]
pub struct Target {
    /// `[http://|https://]host[:port]`; `https` when it names no scheme.
    pub endpoint: String,
    /// A bucket of the credential's owner. Only keys below `vodferry-conformance-…/` are touched in it.
    pub bucket: String,
    /// A permanent or a temporary one. It should be allowed everything on the bucket.
    pub credential: Credential,
    /// How requests name the bucket.
    pub style: Style,
    /// How requests are signed where a case does not ask for another way.
    pub signing: Signing,
    /// What V4 signatures name, for example `cn-hangzhou`.
    pub region: String,
}

/// How a case ended when it did not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The target did something else than the protocol asks: what was expected, and what came.
    Differs(String),
    /// The target does not offer what the case is about.
    NotOffered(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Differs(text) | Failure::NotOffered(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Failure {}

/// What a case returns.
pub type Verdict = Result<(), Failure>;

type Running<'a> = Pin<Box<dyn Future<Output = Verdict> + Send + 'a>>;

/// One case, by name.
#[derive(Clone, Copy)]
pub struct Case {
    /// Its mechanism: the name of the module that it is in.
    pub group: &'static str,
    /// Its function's name.
    pub name: &'static str,
    body: for<'a> fn(&'a Room) -> Running<'a>,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::{}", self.group, self.name)
    }
}

/// The cases of one module, in their order.
macro_rules! in_order {
    ($group:literal: $($name:ident,)*) => {
        /// The cases of this file, in their order.
        pub const CASES: &[$crate::conformance::Case] = &[$($crate::conformance::Case {
            group: $group,
            name: stringify!($name),
            body: |room| Box::pin($name(room)),
        },)*];
    };
}
use in_order;

/// All cases, in their order.
pub fn cases() -> impl Iterator<Item = Case> {
    [
        objects::CASES,
        ranges::CASES,
        multipart::CASES,
        listing::CASES,
        copies::CASES,
        append::CASES,
        tagging::CASES,
        buckets::CASES,
        cors::CASES,
        lifecycle::CASES,
        forms::CASES,
        signatures::CASES,
        errors::CASES,
        limits::CASES,
    ]
    .into_iter()
    .flatten()
    .copied()
}

/// Lives through the cases whose `group::name` contains `filter` (all of them when it is empty), one after the other.
///
/// # Errors
/// The endpoint or the bucket's name is no such thing, or TLS cannot be set up. What the target does wrong is in the report.
pub async fn run(target: &Target, filter: &str) -> Result<Report, Failure> {
    let http = ask::client()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let stamp = format!("{:x}{:x}", now.as_micros(), std::process::id());
    let mut report = Report::default();
    let chosen = cases().filter(|case| format!("{case:?}").contains(filter));
    for (number, case) in chosen.enumerate() {
        let room = Room::new(target, &http, &stamp, number)?;
        let ended = tokio::time::timeout(PATIENCE, (case.body)(&room)).await;
        let mut outcome = match ended {
            Ok(Ok(())) => Outcome::Passed,
            Ok(Err(Failure::Differs(text))) => Outcome::Failed(text),
            Ok(Err(Failure::NotOffered(text))) => Outcome::Skipped(text),
            Err(_) => Outcome::Failed(format!("not finished after {} s", PATIENCE.as_secs())),
        };
        if let Err(failure) = room.clean().await
            && outcome == Outcome::Passed
        {
            outcome = Outcome::Failed(format!("cleaning up: {failure}"));
        }
        report.runs.push(Run { case, outcome });
    }
    Ok(report)
}

/// No case sends more than a few megabytes.
const PATIENCE: Duration = Duration::from_secs(120);

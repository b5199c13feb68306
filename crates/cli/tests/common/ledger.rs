//! Holds what passed an [`Observer`](super::observer::Observer) against what the client's event log acknowledged.
//!
//! The promise: no part that the log acknowledged, or that ListParts named at resume, is sent again, and none is under way twice at once.
//! What is sent again for another reason is counted by that reason.

use std::collections::{BTreeMap, BTreeSet};

use super::observer::{Exchange, Op};

/// Part numbers that the event log acknowledged, by [run](super::observer::Observer::next_run). A run uploads one file.
pub type Acknowledged = BTreeMap<u32, BTreeSet<u64>>;

/// Requests with a part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// All.
    pub parts: usize,
    /// Sent again although the server had the whole body: the client never saw the reply.
    pub after_lost_reply: usize,
    /// Sent again because the body broke off, or because no server was there.
    pub after_cut_body: usize,
    /// Sent again because the server said no.
    pub after_refusal: usize,
}

/// Panics when the promise is broken, or when the server forgot a part that it had acknowledged.
pub fn check(exchanges: &[Exchange], acknowledged: &Acknowledged) -> Sent {
    let mut parts: BTreeMap<(String, u64), Vec<&Exchange>> = BTreeMap::new();
    let mut lists: Vec<(String, &Exchange, BTreeSet<u64>)> = Vec::new();
    for exchange in exchanges {
        match exchange.op() {
            Op::UploadPart { upload_id, number } => {
                parts.entry((upload_id, number)).or_default().push(exchange);
            }
            Op::ListParts { upload_id } if exchange.is_ok() && exchange.returned.is_some() => {
                lists.push((upload_id, exchange, exchange.listed().into_iter().collect()));
            }
            _ => {}
        }
    }
    every_acknowledgement_was_given(&parts, acknowledged);
    nothing_acknowledged_is_forgotten(&parts, &lists);
    let mut sent = Sent::default();
    for ((upload_id, number), attempts) in &parts {
        sent.parts += attempts.len();
        for (place, again) in attempts.iter().enumerate().skip(1) {
            let what = || format!("part {number} of {upload_id} was sent again: {again:?}");
            for (of, list, numbers) in &lists {
                let seen = list.run <= again.run && list.returned < Some(again.began);
                assert!(
                    of != upload_id || !seen || !numbers.contains(number),
                    "{}, listed before: {list:?}",
                    what()
                );
            }
            for before in attempts[..place].iter().filter(|before| before.is_ok()) {
                let logged = acknowledged.get(&before.run).is_some_and(|of| of.contains(number));
                // Before it was asked again or meanwhile: nobody sends a part twice at once.
                let told = before.run == again.run && before.returned.is_some();
                assert!(!told, "{}, answered as well: {before:?}", what());
                assert!(
                    !logged || before.run == again.run,
                    "{}, logged before: {before:?}",
                    what()
                );
            }
            let before = attempts[place - 1];
            if before.delivered.is_none() {
                sent.after_cut_body += 1;
            } else if before.status.is_none_or(|status| status == 200) {
                sent.after_lost_reply += 1;
            } else {
                sent.after_refusal += 1;
            }
        }
    }
    sent
}

/// The log must not acknowledge what no server did.
fn every_acknowledgement_was_given(
    parts: &BTreeMap<(String, u64), Vec<&Exchange>>,
    acknowledged: &Acknowledged,
) {
    for (run, numbers) in acknowledged {
        for number in numbers {
            let given = parts.iter().any(|((_, of), attempts)| {
                of == number && attempts.iter().any(|one| one.run == *run && one.is_ok())
            });
            assert!(given, "run {run} logged part {number}, but no server acknowledged it");
        }
    }
}

/// A 2xx means durable: what was acknowledged before a list of one page was asked for is in that list.
fn nothing_acknowledged_is_forgotten(
    parts: &BTreeMap<(String, u64), Vec<&Exchange>>,
    lists: &[(String, &Exchange, BTreeSet<u64>)],
) {
    for (upload_id, list, numbers) in lists {
        let whole = String::from_utf8_lossy(&list.reply).contains("<IsTruncated>false");
        let first = list.query_value("part-number-marker").is_none_or(|marker| marker == "0");
        if !(whole && first) {
            continue;
        }
        for ((_, number), attempts) in parts.iter().filter(|((of, _), _)| of == upload_id) {
            let acknowledged = attempts
                .iter()
                .any(|one| one.is_ok() && one.answered.is_some_and(|at| at < list.began));
            assert!(
                !acknowledged || numbers.contains(number),
                "the server acknowledged part {number} of {upload_id} and does not list it: {list:?}"
            );
        }
    }
}

//! When to try again and when to give up: outages, budgets and back-off.
//!
//! An outage opens with a failed request and ends with the next acknowledged part or object. Requests fail in waves:
//! those that were under way when a back-off was armed belong to the failure that armed it and count no further.

use crate::config::{self, Backoff, Budget};
use crate::vocab::EffectId;

/// So long only SlowDown, and the file is given up, where the budget counts failures instead of time.
const SLOW_BUDGET_MS: u64 = 600_000;
/// No server's wish for a pause is followed for longer: a wrong `Retry-After` must not be a hang.
const LONGEST_WISH_MS: u64 = 300_000;
/// The first pause after SlowDown is at most this long, each further one twice as long.
const SLOW_BASE_MS: u64 = 1_000;
/// No pause after SlowDown is longer, unless the server asks for more.
const SLOW_CAP_MS: u64 = 20_000;
/// No pause after SlowDown is shorter.
const SLOW_LEAST_MS: u64 = 100;

/// Small seeded randomness (splitmix64): only for jitter.
#[derive(Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Rng {
        Rng(seed)
    }

    /// Anything from 0 to `most`, both included.
    pub(crate) fn up_to(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        match most.checked_add(1) {
            Some(n) => z % n,
            None => z,
        }
    }
}

/// What to do after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Try again when [`Retry::hold`] is over; nothing to tell.
    Again,
    /// The same, and an outage opened: tell Retry with this first pause.
    Opened {
        /// Milliseconds.
        delay_ms: u64,
    },
    /// The budget is spent.
    GiveUp,
}

/// Who asks for patience.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    Storage,
    Authorizer,
}

/// The patience left for one file.
#[derive(Debug)]
pub(crate) struct Retry {
    policy: config::Retry,
    /// Failures in a row, each wave once.
    failures: u32,
    /// When the open outage began.
    outage: Option<u64>,
    /// No request before this moment.
    hold: u64,
    /// Requests below this id were under way when the last back-off was armed.
    wave: EffectId,
    /// Since when SlowDown has been the only answer.
    slow_since: Option<(u64, Asker)>,
    slow_streak: u32,
    slow_hold: u64,
    /// That the server asks to slow down was told.
    slow_told: bool,
    /// Requests from this id on were signed with the corrected clock.
    skew: Option<EffectId>,
}

impl Retry {
    pub(crate) fn new(policy: config::Retry) -> Retry {
        Retry {
            policy,
            failures: 0,
            outage: None,
            hold: 0,
            wave: EffectId(0),
            slow_since: None,
            slow_streak: 0,
            slow_hold: 0,
            slow_told: false,
            skew: None,
        }
    }

    /// Request `id` failed; `next` will be the id of the next request.
    pub(crate) fn on_failure(
        &mut self,
        mono: u64,
        id: EffectId,
        next: EffectId,
        retry_after_ms: Option<u64>,
        rng: &mut Rng,
    ) -> Verdict {
        self.slow_since = None;
        if self.outage.is_some() && id < self.wave {
            // Of the same failure; but what the server asks for holds for all.
            if retry_after_ms.is_some() {
                self.hold = self.hold.max(mono.saturating_add(wish(retry_after_ms)));
            }
            return Verdict::Again;
        }
        self.failures = self.failures.saturating_add(1);
        let opened = self.outage.is_none();
        let since = *self.outage.get_or_insert(mono);
        let spent = match self.policy.budget {
            Budget::Count(most) => self.failures >= most,
            Budget::Time { ms } => mono.saturating_sub(since) >= ms,
        };
        if spent {
            // An outage that nobody was told of has no end to tell either.
            if opened {
                self.outage = None;
            }
            return Verdict::GiveUp;
        }
        let delay_ms = self.backoff(self.failures, rng).max(wish(retry_after_ms));
        // An outage that ended before its pause did may have left a longer one, and it may be a wish of the server.
        self.hold = self.hold.max(mono.saturating_add(delay_ms));
        self.wave = next;
        let delay_ms = self.hold.saturating_sub(mono);
        if opened { Verdict::Opened { delay_ms } } else { Verdict::Again }
    }

    /// SlowDown was answered: burns nothing, unless it has been the only answer for as long as the budget lasts (ten minutes where
    /// it counts failures). `Opened` the first time: to be told, but as no outage.
    pub(crate) fn on_slow_down(
        &mut self,
        mono: u64,
        asker: Asker,
        retry_after_ms: Option<u64>,
        rng: &mut Rng,
    ) -> Verdict {
        let (since, _) = *self.slow_since.get_or_insert((mono, asker));
        let patience = match self.policy.budget {
            Budget::Count(_) => SLOW_BUDGET_MS,
            Budget::Time { ms } => ms,
        };
        if mono.saturating_sub(since) >= patience {
            return Verdict::GiveUp;
        }
        // Several parts refused at once arm one pause; only a longer wish of the server extends it.
        if self.slow_hold <= mono {
            let most = doubled(SLOW_BASE_MS, self.slow_streak, SLOW_CAP_MS);
            self.slow_streak = self.slow_streak.saturating_add(1);
            self.slow_hold = mono.saturating_add(rng.up_to(most).max(SLOW_LEAST_MS));
        }
        self.slow_hold = self.slow_hold.max(mono.saturating_add(wish(retry_after_ms)));
        if core::mem::replace(&mut self.slow_told, true) {
            return Verdict::Again;
        }
        Verdict::Opened { delay_ms: self.slow_hold.saturating_sub(mono) }
    }

    /// Request `id` was refused for its time. True: sign again at once; false: the corrected clock was refused too.
    pub(crate) fn on_skew(&mut self, id: EffectId, next: EffectId) -> bool {
        match self.skew {
            Some(first) => id < first,
            None => {
                self.skew = Some(next);
                true
            }
        }
    }

    /// A request succeeded, whatever it was.
    pub(crate) fn on_success(&mut self) {
        self.slow_since = None;
        self.skew = None;
    }

    /// The authorizer gave a grant: whatever patience it had asked for is over. Storage, asked for nothing meanwhile, has not answered.
    pub(crate) fn on_granted(&mut self) {
        self.slow_since = self.slow_since.filter(|(_, asker)| *asker == Asker::Storage);
    }

    /// A part or the object was acknowledged. True: an outage is over by it.
    pub(crate) fn on_acknowledged(&mut self) -> bool {
        self.failures = 0;
        self.slow_streak = 0;
        self.outage.take().is_some()
    }

    /// The way to the network changed: waiting for it to come back is over. What the server asked for stays.
    pub(crate) fn on_network_changed(&mut self) {
        self.hold = 0;
    }

    /// Somebody helped (a new grant after the budget was spent): patience begins anew, an open outage stays open.
    pub(crate) fn renew(&mut self, mono: u64) {
        self.failures = 0;
        self.hold = 0;
        self.slow_since = None;
        if let Some(since) = &mut self.outage {
            *since = mono;
        }
    }

    /// No request before this moment.
    pub(crate) fn hold(&self) -> u64 {
        self.hold.max(self.slow_hold)
    }

    /// How long to wait after so many failures.
    pub(crate) fn backoff(&self, failures: u32, rng: &mut Rng) -> u64 {
        match self.policy.backoff {
            Backoff::Fixed { ms } => ms,
            Backoff::FullJitter { base_ms, cap_ms } => {
                rng.up_to(doubled(base_ms, failures.saturating_sub(1), cap_ms))
            }
        }
    }
}

/// The pause that a server asked for, as far as it is followed.
pub(crate) fn wish(retry_after_ms: Option<u64>) -> u64 {
    retry_after_ms.unwrap_or(0).min(LONGEST_WISH_MS)
}

fn doubled(base: u64, times: u32, cap: u64) -> u64 {
    base.saturating_mul(1_u64.checked_shl(times).unwrap_or(u64::MAX)).min(cap)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(n: u32) -> Retry {
        Retry::new(config::Retry {
            budget: Budget::Count(n),
            backoff: Backoff::Fixed { ms: 2_000 },
        })
    }

    #[test]
    fn the_third_failure_in_a_row_spends_a_count_of_three() {
        let (mut retry, mut rng) = (count(3), Rng::new(1));
        let first = retry.on_failure(0, EffectId(1), EffectId(6), None, &mut rng);
        assert_eq!(first, Verdict::Opened { delay_ms: 2_000 });
        // Four more of the same wave count no further, even after the pause.
        for id in 2..6 {
            let late = retry.on_failure(5_000, EffectId(id), EffectId(7), None, &mut rng);
            assert_eq!(late, Verdict::Again);
        }
        assert_eq!(retry.hold(), 2_000);
        assert_eq!(
            retry.on_failure(6_000, EffectId(6), EffectId(7), None, &mut rng),
            Verdict::Again
        );
        assert_eq!(
            retry.on_failure(9_000, EffectId(7), EffectId(8), None, &mut rng),
            Verdict::GiveUp
        );
    }

    #[test]
    fn an_acknowledged_part_ends_the_outage_and_restores_the_budget() {
        let (mut retry, mut rng) = (count(2), Rng::new(1));
        assert!(!retry.on_acknowledged());
        for round in 0..10 {
            let id = EffectId(round * 2);
            let verdict = retry.on_failure(round, id, EffectId(round * 2 + 1), None, &mut rng);
            assert_eq!(verdict, Verdict::Opened { delay_ms: 2_000 });
            assert!(retry.on_acknowledged());
        }
    }

    #[test]
    fn a_time_budget_counts_from_the_opening_of_the_outage() {
        let policy = config::Retry {
            budget: Budget::Time { ms: 600_000 },
            backoff: Backoff::FullJitter { base_ms: 200, cap_ms: 20_000 },
        };
        let (mut retry, mut rng) = (Retry::new(policy), Rng::new(7));
        let mut id = 0;
        let mut at = 1_000_000;
        let mut longest = 0;
        let began = at;
        while retry.on_failure(at, EffectId(id), EffectId(id + 1), None, &mut rng)
            != Verdict::GiveUp
        {
            longest = longest.max(retry.hold() - at);
            at = retry.hold();
            id += 1;
            assert!(at - began <= 620_000, "the budget does not end");
        }
        assert!(at - began >= 600_000);
        assert!(longest > 10_000 && longest <= 20_000, "{longest}");
    }

    #[test]
    fn retry_after_is_the_least_pause() {
        let (mut retry, mut rng) = (count(9), Rng::new(1));
        retry.on_failure(100, EffectId(0), EffectId(1), Some(30_000), &mut rng);
        assert_eq!(retry.hold(), 30_100);
        retry.on_network_changed();
        assert_eq!(retry.hold(), 0);
        retry.on_slow_down(100, Asker::Storage, Some(5_000), &mut rng);
        retry.on_network_changed();
        assert_eq!(retry.hold(), 5_100);
    }

    /// Of several parts refused at once it may be the last that tells how long.
    #[test]
    fn retry_after_of_a_request_of_the_same_wave_makes_the_pause_longer() {
        let (mut retry, mut rng) = (count(3), Rng::new(1));
        retry.on_failure(0, EffectId(1), EffectId(6), None, &mut rng);
        for (id, wish, hold) in
            [(2, Some(30_000), 30_100), (3, Some(10), 30_100), (4, None, 30_100)]
        {
            let verdict = retry.on_failure(100, EffectId(id), EffectId(6), wish, &mut rng);
            assert_eq!((verdict, retry.hold()), (Verdict::Again, hold));
        }
        assert_eq!(
            retry.on_failure(40_000, EffectId(6), EffectId(7), None, &mut rng),
            Verdict::Again,
            "they count once"
        );
    }

    /// A part of the wave was acknowledged after all, and another one failed for its own reason.
    #[test]
    fn a_new_outage_does_not_cut_the_pause_short_that_a_server_asked_for() {
        let (mut retry, mut rng) = (count(9), Rng::new(1));
        retry.on_failure(0, EffectId(1), EffectId(4), Some(30_000), &mut rng);
        assert!(retry.on_acknowledged());
        let opened = retry.on_failure(100, EffectId(2), EffectId(4), None, &mut rng);
        assert_eq!((opened, retry.hold()), (Verdict::Opened { delay_ms: 29_900 }, 30_000));
    }

    #[test]
    fn ten_minutes_of_slow_down_give_up() {
        let (mut retry, mut rng) = (count(1), Rng::new(3));
        assert!(matches!(
            retry.on_slow_down(0, Asker::Storage, None, &mut rng),
            Verdict::Opened { .. }
        ));
        assert!(retry.hold() >= SLOW_LEAST_MS && retry.hold() <= SLOW_BASE_MS);
        assert_eq!(retry.on_slow_down(599_999, Asker::Storage, None, &mut rng), Verdict::Again);
        assert_eq!(retry.on_slow_down(600_000, Asker::Storage, None, &mut rng), Verdict::GiveUp);
        retry.on_success();
        assert_eq!(retry.on_slow_down(700_000, Asker::Storage, None, &mut rng), Verdict::Again);
    }

    #[test]
    fn a_second_refusal_of_the_corrected_clock_is_a_failure() {
        let mut retry = count(3);
        assert!(retry.on_skew(EffectId(1), EffectId(3)));
        assert!(retry.on_skew(EffectId(2), EffectId(3)));
        assert!(!retry.on_skew(EffectId(3), EffectId(4)));
        retry.on_success();
        assert!(retry.on_skew(EffectId(4), EffectId(5)));
    }

    #[test]
    fn jitter_stays_in_its_bounds_and_repeats_for_a_seed() {
        let backoff = Backoff::FullJitter { base_ms: 200, cap_ms: 20_000 };
        let retry = Retry::new(config::Retry { backoff, ..config::Retry::default() });
        let (mut a, mut b) = (Rng::new(42), Rng::new(42));
        let (mut low, mut high) = (u64::MAX, 0);
        for _ in 0..10_000 {
            let pause = retry.backoff(3, &mut a);
            assert_eq!(pause, retry.backoff(3, &mut b));
            (low, high) = (low.min(pause), high.max(pause));
        }
        assert_eq!((low, high), (0, 800));
        assert_eq!(doubled(200, 300, 20_000), 20_000);
    }

    #[test]
    fn the_generator_is_splitmix64() {
        let mut rng = Rng::new(0);
        let drawn = [(); 3].map(|()| rng.up_to(u64::MAX));
        assert_eq!(drawn, [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4, 0x06c4_5d18_8009_454f]);
    }

    #[test]
    fn help_begins_patience_anew() {
        let policy = config::Retry {
            budget: Budget::Time { ms: 2_000 },
            backoff: Backoff::Fixed { ms: 100 },
        };
        let (mut retry, mut rng) = (Retry::new(policy), Rng::new(1));
        let failed = |retry: &mut Retry, rng: &mut Rng, mono, id| {
            retry.on_failure(mono, EffectId(id), EffectId(id + 1), None, rng)
        };
        assert!(matches!(failed(&mut retry, &mut rng, 0, 1), Verdict::Opened { .. }));
        retry.renew(5_000);
        assert_eq!(retry.hold(), 0);
        assert_eq!(failed(&mut retry, &mut rng, 6_999, 2), Verdict::Again);
        assert_eq!(failed(&mut retry, &mut rng, 7_000, 3), Verdict::GiveUp);
    }

    #[test]
    fn a_server_that_only_asks_for_patience_has_the_budgets_time() {
        let mut rng = Rng::new(1);
        let policy = config::Retry {
            budget: Budget::Time { ms: 2_000 },
            backoff: Backoff::Fixed { ms: 100 },
        };
        let mut retry = Retry::new(policy);
        let first = retry.on_slow_down(0, Asker::Storage, None, &mut rng);
        assert!(matches!(first, Verdict::Opened { .. }), "told once");
        assert_eq!(retry.on_slow_down(1_999, Asker::Storage, None, &mut rng), Verdict::Again);
        assert_eq!(retry.on_slow_down(2_000, Asker::Storage, None, &mut rng), Verdict::GiveUp);
    }

    #[test]
    fn no_wish_of_a_server_is_a_hang() {
        let (mut retry, mut rng) = (count(3), Rng::new(1));
        retry.on_slow_down(0, Asker::Storage, Some(u64::MAX), &mut rng);
        retry.on_failure(0, EffectId(1), EffectId(2), Some(u64::MAX), &mut rng);
        assert_eq!(retry.hold(), LONGEST_WISH_MS);
    }

    #[test]
    fn a_grant_ends_the_patience_that_the_authorizer_asked_for_and_no_other() {
        let mut rng = Rng::new(1);
        let mut retry = count(3);
        retry.on_slow_down(0, Asker::Authorizer, None, &mut rng);
        retry.on_granted();
        assert_eq!(retry.on_slow_down(600_000, Asker::Storage, None, &mut rng), Verdict::Again);
        retry.on_granted();
        assert_eq!(retry.on_slow_down(1_200_000, Asker::Storage, None, &mut rng), Verdict::GiveUp);
        retry.renew(1_200_000);
        assert_eq!(retry.on_slow_down(1_200_000, Asker::Storage, None, &mut rng), Verdict::Again);
    }
}

//! The places that connections take.
//!
//! There are so many as are configured. When all are taken and somebody else comes, the connection that has
//! been silent for longest gives its place: one that nobody has asked anything on yet (half a head, or half
//! a handshake, is nothing), or one that waits between requests. So those who only hold connections cannot
//! keep anybody out, and a client whose idle connection ends opens another, as it does after any time-out. A
//! connection with a request is never told to go.
//!
//! One address may be allowed fewer than all. Of IPv6 the first half counts, which is what one customer of a
//! network has.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// How long one that was told to go has for it before the next is told, and how soon one that falls silent
/// is found when all were busy.
const MOMENT: Duration = Duration::from_millis(100);

/// All places of a listener.
pub(super) struct Places {
    free: Arc<Semaphore>,
    each: usize,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Counts moments of falling silent.
    last: u64,
    /// The silent ones, in the order in which they became so.
    silent: BTreeMap<u64, CancellationToken>,
    /// Connections of each address; only when that is bounded.
    of: HashMap<IpAddr, usize>,
}

impl Places {
    /// `each` is the most of one address; 0 is no bound.
    pub(super) fn new(most: usize, each: usize) -> Arc<Places> {
        let free = Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS)));
        Arc::new(Places { free, each, inner: Mutex::default() })
    }

    /// Counts a connection of this address; `None` when it has as many as it may.
    pub(super) fn admit(self: &Arc<Places>, address: IpAddr) -> Option<Admitted> {
        let places = self.clone();
        if self.each == 0 {
            return Some(Admitted { places, address: None });
        }
        let address = counted_as(address);
        let mut inner = self.lock();
        let count = inner.of.entry(address).or_default();
        if *count >= self.each {
            return None;
        }
        *count += 1;
        drop(inner);
        Some(Admitted { places, address: Some(address) })
    }

    /// A connection that is not counted for its address.
    pub(super) fn admit_any(self: &Arc<Places>) -> Admitted {
        Admitted { places: self.clone(), address: None }
    }

    /// Waits for a place; when none is free, who has been silent for longest is told to go.
    pub(super) async fn take(admitted: Admitted) -> Option<Place> {
        let places = admitted.places.clone();
        let permit = loop {
            if let Ok(permit) = places.free.clone().try_acquire_owned() {
                break permit;
            }
            places.tell_one();
            if let Ok(permit) = timeout(MOMENT, places.free.clone().acquire_owned()).await {
                break permit.ok()?;
            }
        };
        let told = CancellationToken::new();
        let since = places.lock().falls_silent(told.clone());
        let held = Mutex::new(Held { requests: 0, since });
        Some(Place(Arc::new(Seat { places, held, told, _admitted: admitted, _permit: permit })))
    }

    fn tell_one(&self) {
        if let Some((_, told)) = self.lock().silent.pop_first() {
            told.cancel();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn falls_silent(&mut self, told: CancellationToken) -> u64 {
        self.last += 1;
        self.silent.insert(self.last, told);
        self.last
    }
}

fn counted_as(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let half = v6.to_bits() >> 64 << 64;
            Ipv6Addr::from_bits(half).into()
        }
        v4 => v4,
    }
}

/// A connection that counts for its address, until this is dropped.
pub(super) struct Admitted {
    places: Arc<Places>,
    address: Option<IpAddr>,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let Some(address) = self.address else { return };
        let mut inner = self.places.lock();
        if let Some(count) = inner.of.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                inner.of.remove(&address);
            }
        }
    }
}

/// The place of one connection, given back when the last clone is dropped.
#[derive(Clone)]
pub(super) struct Place(Arc<Seat>);

struct Seat {
    places: Arc<Places>,
    held: Mutex<Held>,
    told: CancellationToken,
    _admitted: Admitted,
    _permit: OwnedSemaphorePermit,
}

struct Held {
    /// That are not answered.
    requests: usize,
    /// The moment under which it is listed while there are none.
    since: u64,
}

impl Place {
    /// Resolves when the connection is to go.
    pub(super) async fn told_to_go(&self) {
        self.0.told.cancelled().await;
    }

    /// Whether it was told to.
    pub(super) fn is_told_to_go(&self) -> bool {
        self.0.told.is_cancelled()
    }

    /// Marks the connection as one with a request, until the result is dropped.
    pub(super) fn busy(&self) -> Busy {
        let mut held = self.0.held();
        held.requests += 1;
        if held.requests == 1 {
            self.0.places.lock().silent.remove(&held.since);
        }
        drop(held);
        Busy(self.clone())
    }
}

impl Seat {
    /// Always locked before the list of all.
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let since = self.held().since;
        self.places.lock().silent.remove(&since);
    }
}

/// A request that is not answered.
pub(super) struct Busy(Place);

impl Drop for Busy {
    fn drop(&mut self) {
        let seat = &self.0.0;
        let mut held = seat.held();
        held.requests = held.requests.saturating_sub(1);
        // Who was told goes when its requests are answered.
        if held.requests == 0 && !seat.told.is_cancelled() {
            held.since = seat.places.lock().falls_silent(seat.told.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

    async fn take(places: &Arc<Places>) -> Place {
        Places::take(places.admit_any()).await.unwrap()
    }

    async fn is_waiting<T>(taking: &mut (impl Future<Output = T> + Unpin)) -> bool {
        timeout(MOMENT * 5, taking).await.is_err()
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_silent_for_longest_is_told_first() {
        let places = Places::new(3, 0);
        let (first, second, third) =
            (take(&places).await, take(&places).await, take(&places).await);
        // It has asked something since, so that it is the last now.
        drop(first.busy());
        let mut next = Box::pin(take(&places));
        // Within its moment only one is told.
        assert!(timeout(MOMENT / 2, &mut next).await.is_err());
        assert!(second.is_told_to_go() && !third.is_told_to_go() && !first.is_told_to_go());
        drop(second);
        let _next = next.await;
        assert!(!third.is_told_to_go());
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_does_not_go_does_not_hold_up_the_next() {
        let places = Places::new(2, 0);
        let (stays, goes) = (take(&places).await, take(&places).await);
        let mut next = Box::pin(take(&places));
        assert!(is_waiting(&mut next).await);
        assert!(stays.is_told_to_go() && goes.is_told_to_go());
        drop(goes);
        next.await;
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_has_a_request_keeps_the_place_until_it_is_answered() {
        let places = Places::new(1, 0);
        let place = take(&places).await;
        let (one, other) = (place.busy(), place.busy());
        let mut next = Box::pin(take(&places));
        assert!(is_waiting(&mut next).await && !place.is_told_to_go());
        drop(one);
        assert!(is_waiting(&mut next).await && !place.is_told_to_go());
        drop(other);
        assert!(is_waiting(&mut next).await && place.is_told_to_go());
        drop(place);
        next.await;
        assert!(places.lock().silent.is_empty());
    }

    #[tokio::test]
    async fn an_address_has_its_share_and_gets_it_back() {
        let places = Places::new(9, 2);
        let (one, other) = (places.admit(HERE).unwrap(), places.admit(HERE).unwrap());
        assert!(places.admit(HERE).is_none());
        // The same customer's, another one's, and one that is not counted.
        assert!(places.admit("::2".parse().unwrap()).is_none());
        assert!(places.admit("10.0.0.1".parse().unwrap()).is_some());
        let _any = places.admit_any();
        let place = Places::take(one).await.unwrap();
        drop(other);
        let again = places.admit(HERE).unwrap();
        assert!(places.admit(HERE).is_none());
        drop((place, again));
        assert!(places.lock().of.is_empty());
    }

    #[test]
    fn addresses_that_are_the_same_are_counted_together() {
        let counted = |text: &str| counted_as(text.parse().unwrap()).to_string();
        assert_eq!(counted("::ffff:10.0.0.1"), "10.0.0.1");
        assert_eq!(counted("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
    }
}

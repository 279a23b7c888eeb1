//! The limit of live agents. Whoever needs an agent takes a seat for it, first come first served; while nobody gives one
//! up, it waits. An agent that idles gives its seat up when somebody waits: the one that has idled longest first.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio::time::Instant;

/// Asks whoever holds a seat to give it up, if it idles.
pub type Ask = Box<dyn Fn() + Send + Sync>;

/// All seats.
pub struct Seats {
    /// How many there are; `None` for no limit.
    limit: Option<usize>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// By agent session. There may be more than the limit: agents that were there already are not ended for it.
    held: HashMap<String, Holder>,
    waiting: VecDeque<Waiter>,
    /// Names the seats that were given out.
    count: u64,
}

struct Holder {
    number: u64,
    /// Since when its agent idles.
    idle: Option<Instant>,
    ask: Ask,
    /// It was asked since it began to idle.
    is_asked: bool,
}

struct Waiter {
    name: String,
    ask: Ask,
    seat: oneshot::Sender<Seat>,
}

/// A seat, for as long as this is kept.
pub struct Seat {
    seats: Arc<Seats>,
    name: String,
    number: u64,
}

impl Seats {
    /// So many seats; zero for any number.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit: Some(limit).filter(|limit| *limit > 0), inner: Mutex::default() })
    }

    /// A seat for an agent that is there already, whatever the limit.
    pub fn keep(self: &Arc<Self>, name: &str, ask: Ask) -> Seat {
        self.give(&mut self.inner(), name.to_owned(), ask)
    }

    /// A seat at once, or else a receiver of the next one that is free. Who drops it does not wait any more.
    pub fn take(self: &Arc<Self>, name: &str, ask: Ask) -> Result<Seat, oneshot::Receiver<Seat>> {
        let mut inner = self.inner();
        if self.can_take(&mut inner, name) {
            return Ok(self.give(&mut inner, name.to_owned(), ask));
        }
        let (seat, receiver) = oneshot::channel();
        inner.waiting.push_back(Waiter { name: name.to_owned(), ask, seat });
        inner.make_room();
        Err(receiver)
    }

    /// A seat at once, or none: nobody is asked to give one up.
    pub fn try_take(self: &Arc<Self>, name: &str, ask: Ask) -> Option<Seat> {
        let mut inner = self.inner();
        self.can_take(&mut inner, name).then(|| self.give(&mut inner, name.to_owned(), ask))
    }

    fn can_take(&self, inner: &mut Inner, name: &str) -> bool {
        inner.waiting.retain(|waiter| !waiter.seat.is_closed());
        let is_free = self.limit.is_none_or(|limit| inner.held.len() < limit);
        // Where an earlier owner left the agent, its seat goes to whoever takes the agent over.
        let is_left = inner.held.get(name).is_some_and(|holder| !holder.is_asked);
        is_left || (is_free && inner.waiting.is_empty())
    }

    /// Whether the seat that this one was asked for is still waited for; if not, it was not asked.
    pub fn is_wanted(&self, name: &str) -> bool {
        let mut inner = self.inner();
        inner.waiting.retain(|waiter| !waiter.seat.is_closed());
        let (asked, waiting) = (inner.asked(), inner.waiting.len());
        let Some(holder) = inner.held.get_mut(name) else { return false };
        holder.is_asked &= asked <= waiting;
        holder.is_asked
    }

    /// Whether the agent of this session idles.
    pub fn set_idle(&self, name: &str, idle: bool) {
        let mut inner = self.inner();
        let Some(holder) = inner.held.get_mut(name) else { return };
        if idle != holder.idle.is_some() {
            holder.idle = idle.then(Instant::now);
            holder.is_asked = false;
        }
        inner.make_room();
    }

    /// How many wait for a seat.
    pub fn waiting(&self) -> usize {
        self.inner().waiting.iter().filter(|waiter| !waiter.seat.is_closed()).count()
    }

    fn give(self: &Arc<Self>, inner: &mut Inner, name: String, ask: Ask) -> Seat {
        inner.count += 1;
        let number = inner.count;
        inner.held.insert(name.clone(), Holder { number, idle: None, ask, is_asked: false });
        Seat { seats: self.clone(), name, number }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// How many were asked, and have not given their seat up yet.
    fn asked(&self) -> usize {
        self.held.values().filter(|holder| holder.is_asked).count()
    }

    /// Asks as many idle holders as there are waiting, save for those that were asked.
    fn make_room(&mut self) {
        self.waiting.retain(|waiter| !waiter.seat.is_closed());
        let wanted = self.waiting.len().saturating_sub(self.asked());
        let mut idle: Vec<&mut Holder> =
            self.held.values_mut().filter(|holder| holder.idle.is_some() && !holder.is_asked).collect();
        idle.sort_by_key(|holder| holder.idle);
        for holder in idle.into_iter().take(wanted) {
            holder.is_asked = true;
            (holder.ask)();
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let seats = self.seats.clone();
        // Handed over outside the lock: who does not take it drops it, and comes here again.
        let mut given = Vec::new();
        {
            let mut inner = seats.inner();
            if inner.held.get(&self.name).is_some_and(|holder| holder.number == self.number) {
                inner.held.remove(&self.name);
            }
            while seats.limit.is_none_or(|limit| inner.held.len() < limit) {
                let Some(waiter) = inner.waiting.pop_front() else { break };
                if !waiter.seat.is_closed() {
                    given.push((waiter.seat, seats.give(&mut inner, waiter.name, waiter.ask)));
                }
            }
            inner.make_room();
        }
        for (waiter, seat) in given {
            drop(waiter.send(seat));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn counting() -> (Arc<AtomicUsize>, impl Fn() -> Ask) {
        let count = Arc::new(AtomicUsize::new(0));
        let counted = count.clone();
        let ask = move || -> Ask {
            let counted = counted.clone();
            Box::new(move || {
                counted.fetch_add(1, Ordering::Relaxed);
            })
        };
        (count, ask)
    }

    #[test]
    fn seats_go_to_whoever_came_first() {
        let (_, ask) = counting();
        let seats = Seats::new(1);
        let first = seats.take("a", ask()).ok().unwrap();
        let mut second = seats.take("b", ask()).err().unwrap();
        let gone = seats.take("c", ask()).err().unwrap();
        let mut third = seats.take("d", ask()).err().unwrap();
        drop(gone);
        assert_eq!(seats.waiting(), 2);
        assert!(second.try_recv().is_err());
        drop(first);
        let second = second.try_recv().unwrap();
        assert!(third.try_recv().is_err());
        // A seat that nobody takes goes on to the next.
        drop(seats.take("e", ask()).err().unwrap());
        drop(second);
        drop(third.try_recv().unwrap());
        assert!(seats.take("f", ask()).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn who_idles_longest_is_asked_first_and_once() {
        let seats = Seats::new(2);
        let ((asked_a, ask_a), (asked_b, ask_b)) = (counting(), counting());
        let (_a, _b) = (seats.take("a", ask_a()).ok(), seats.take("b", ask_b()).ok());
        let count = || (asked_a.load(Ordering::Relaxed), asked_b.load(Ordering::Relaxed));
        let (_, ask) = counting();
        let _waiting = seats.take("c", ask()).err().unwrap();
        assert_eq!(count(), (0, 0), "both are at work");
        seats.set_idle("b", true);
        assert_eq!(count(), (0, 1));
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
        seats.set_idle("a", true);
        assert_eq!(count(), (0, 1), "one waits, and one was asked");
        let _more = seats.take("d", ask()).err().unwrap();
        assert_eq!(count(), (1, 1));
        // It went on to work before it heard of it.
        seats.set_idle("b", false);
        seats.set_idle("b", true);
        assert_eq!(count(), (1, 2));
    }

    #[test]
    fn nobody_is_asked_for_one_who_does_not_wait_and_nobody_gives_for_one_who_has_gone() {
        let ((asked_a, ask_a), (asked_b, ask_b)) = (counting(), counting());
        let seats = Seats::new(2);
        let _held = [seats.take("a", ask_a()).ok().unwrap(), seats.take("b", ask_b()).ok().unwrap()];
        seats.set_idle("a", true);
        seats.set_idle("b", true);
        let (_, ask) = counting();
        assert!(seats.try_take("c", ask()).is_none());
        let count = || asked_a.load(Ordering::Relaxed) + asked_b.load(Ordering::Relaxed);
        assert_eq!((count(), seats.waiting()), (0, 0));
        let waiting = [seats.take("c", ask()).err().unwrap(), seats.take("d", ask()).err().unwrap()];
        assert_eq!(count(), 2);
        let [first, second] = waiting;
        drop(first);
        assert_eq!((seats.is_wanted("a"), seats.is_wanted("b")), (false, true), "one still waits");
        drop(second);
        assert!(!seats.is_wanted("b"));
        let _waits = seats.take("e", ask()).err().unwrap();
        assert_eq!(count(), 3, "who was asked for nothing is asked again");
    }

    #[test]
    fn an_agent_that_is_there_keeps_its_place_whatever_the_limit() {
        let (_, ask) = counting();
        let seats = Seats::new(1);
        let kept = [seats.keep("a", ask()), seats.keep("b", ask())];
        let mut waiting = seats.take("c", ask()).err().unwrap();
        let [a, b] = kept;
        drop(a);
        assert!(waiting.try_recv().is_err(), "there is still one");
        drop(b);
        assert!(waiting.try_recv().is_ok());
        let none = Seats::new(0);
        let all: Vec<_> = (0..100).map(|number| none.take(&number.to_string(), ask())).collect();
        assert!(all.iter().all(Result::is_ok));
    }
}

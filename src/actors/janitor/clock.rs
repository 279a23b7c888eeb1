//! When the janitor is called: at an interval, and when something changes.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep};

/// Least time from one look at a session to the next: an agent that keeps changing files shall not keep us busy.
const REST: Duration = Duration::from_millis(100);

/// Calls at once and then once every `period`, until there is nobody who hears.
pub(super) async fn every(period: Duration, tell: impl Fn() -> bool) {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        // The first one is over at once.
        ticks.tick().await;
        if !tell() {
            return;
        }
    }
}

/// Tells of changes: of the first one at once, of those within [`REST`] together. None is passed over.
pub(super) async fn tell_changes(mut changes: watch::Receiver<u64>, tell: impl Fn() -> bool) {
    while changes.changed().await.is_ok() && tell() {
        sleep(REST).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    async fn after(time: Duration) {
        sleep(time).await;
        // Whoever is due at the same moment goes first.
        tokio::task::yield_now().await;
    }

    #[tokio::test(start_paused = true)]
    async fn the_interval_begins_at_once_and_ends_with_its_hearer() {
        let (told, heard) = mpsc::channel();
        let clock = tokio::spawn(every(Duration::from_secs(60), move || told.send(()).is_ok()));
        after(Duration::from_secs(1)).await;
        assert_eq!(heard.try_iter().count(), 1);
        after(Duration::from_secs(58)).await;
        assert_eq!(heard.try_iter().count(), 0);
        after(Duration::from_secs(121)).await;
        assert_eq!(heard.try_iter().count(), 3);
        drop(heard);
        after(Duration::from_secs(60)).await;
        assert!(clock.is_finished());
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_is_told_at_once_and_a_storm_of_them_seldom() {
        let (changes, changed) = watch::channel(0_u64);
        let (told, heard) = mpsc::channel();
        tokio::spawn(tell_changes(changed, move || told.send(()).is_ok()));
        after(Duration::from_secs(60)).await;
        assert_eq!(heard.try_iter().count(), 0, "nothing has changed");
        changes.send_modify(|count| *count += 1);
        after(Duration::from_millis(1)).await;
        assert_eq!(heard.try_iter().count(), 1);
        for _ in 0..1_000 {
            changes.send_modify(|count| *count += 1);
            after(Duration::from_millis(1)).await;
        }
        let storm = heard.try_iter().count();
        assert!((9..=11).contains(&storm), "{storm}");
        // The last change was not the last that was told of.
        after(REST).await;
        assert_eq!(heard.try_iter().count(), 1);
        after(Duration::from_secs(60)).await;
        assert_eq!(heard.try_iter().count(), 0);
    }
}

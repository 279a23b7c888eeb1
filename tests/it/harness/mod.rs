//! The product as a child process, with a real tmux and the demo agent, and clients of it. Nothing here sleeps to let
//! something happen: every wait is for an event and has a deadline, save for the one interval in [`eventually`].

pub mod accounts;
pub mod app;
pub mod client;
pub mod database;
pub mod http;
mod pipe;
pub mod planted;
mod points;
pub mod postgres;
pub mod processes;
pub mod random;
pub mod server;
pub mod sse;
pub mod typed;

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

pub use app::TestApp;
pub use client::{Accepted, Client};
pub use sse::{Event, EventStream};

/// What a test or a step of one gives.
pub type Tested<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// Longest wait for anything; long, for the machine may be busy with other things.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// From one look to the next, where nothing tells of a change.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Waits for something, at most as long as [`PATIENCE`].
pub async fn within<T>(what: &str, event: impl Future<Output = T>) -> Tested<T> {
    timeout(PATIENCE, event).await.map_err(|_| format!("waited {PATIENCE:?} for {what}").into())
}

/// Looks until there is something to be seen, for what nobody tells of.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Tested<Option<T>>) -> Tested<T> {
    let deadline = Instant::now() + PATIENCE;
    let mut looks = interval(LOOK_AGAIN);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        if let Some(seen) = look().await? {
            return Ok(seen);
        }
        if Instant::now() > deadline {
            return Err(format!("looked {PATIENCE:?} for {what}").into());
        }
    }
}

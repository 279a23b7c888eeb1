//! What another process may hold when this one starts.

use std::io::{self, ErrorKind};
use std::time::Duration;

use tokio::time::Instant;

use super::StartError;
use crate::config::Config;
use crate::private;

/// How long a start tries for what an earlier process seems to hold. One that was killed while it started a program leaves a
/// copy of itself, with its address and its lock, until that has become the program: up to 22 ms on two busy cores.
const HELD: Duration = Duration::from_secs(1);
/// From one try to the next: nothing tells of the end of such a copy.
const TRY_AGAIN: Duration = Duration::from_millis(10);

/// Tries until it is not refused by this error, for a moment.
///
/// # Errors
/// Of the last try.
pub async fn once_free<T>(mut get: impl AsyncFnMut() -> io::Result<T>, held: ErrorKind) -> io::Result<T> {
    let by = Instant::now() + HELD;
    loop {
        match get().await {
            Err(error) if error.kind() == held && Instant::now() < by => tokio::time::sleep(TRY_AGAIN).await,
            got => return got,
        }
    }
}

/// One server at a time may use a state directory: two would end each other's agents. The lock ends with the process.
///
/// # Errors
/// Where another server holds it, or the file cannot be locked.
pub(super) async fn lock_state(config: &Config) -> Result<std::fs::File, StartError> {
    let path = config.state.dir.join("lock");
    let io = || StartError::io(format!("state.dir: {} cannot be locked", path.display()));
    let file = private::lock_file(&path).map_err(io())?;
    let lock = async || Ok(rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive)?);
    match once_free(lock, ErrorKind::WouldBlock).await {
        Ok(()) => Ok(file),
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            let dir = config.state.dir.display();
            Err(StartError::Configuration(format!("state.dir: another server is running with {dir}")))
        }
        Err(error) => Err(io()(error)),
    }
}

/// Whether a server is running on this state directory. Makes nothing; one that is just starting may try for its lock once more.
///
/// # Errors
/// Where the lock cannot be looked at.
pub fn is_running(config: &Config) -> io::Result<bool> {
    let file = match std::fs::File::open(config.state.dir.join("lock")) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        file => file?,
    };
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(false),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of it where it is held for so long, and how long that takes.
    async fn held_for(held: Duration, as_what: ErrorKind) -> (Result<(), ErrorKind>, Duration) {
        let since = Instant::now();
        let get = async || if since.elapsed() < held { Err(as_what.into()) } else { Ok(()) };
        let got = once_free(get, ErrorKind::AddrInUse).await.map_err(|error| error.kind());
        (got, since.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_killed_process_holds_for_a_moment_is_waited_for() {
        assert_eq!(held_for(Duration::ZERO, ErrorKind::AddrInUse).await, (Ok(()), Duration::ZERO));
        let (got, took) = held_for(Duration::from_millis(22), ErrorKind::AddrInUse).await;
        assert!(got.is_ok() && took < Duration::from_millis(22) + 2 * TRY_AGAIN, "{got:?} after {took:?}");
        let (got, took) = held_for(Duration::from_secs(60), ErrorKind::AddrInUse).await;
        assert!(got == Err(ErrorKind::AddrInUse) && took < HELD + 2 * TRY_AGAIN, "{got:?} after {took:?}");
        let denied = held_for(Duration::from_secs(60), ErrorKind::PermissionDenied).await;
        assert_eq!(denied, (Err(ErrorKind::PermissionDenied), Duration::ZERO));
    }
}

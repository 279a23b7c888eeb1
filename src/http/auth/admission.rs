//! Open event streams: each ends when its user may not come in any more.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::sleep;

use super::{Access, App, Credential, admit};
use crate::turn::{Timestamp, UserId};

/// Whose streams are open.
pub struct Admissions {
    open: Mutex<Open>,
    /// Counts the reasons to look at once.
    reasons: watch::Sender<u64>,
}

#[derive(Default)]
struct Open {
    /// By credential and access. Streams of the same ones share a look.
    watched: HashMap<String, Weak<Watched>>,
    /// How many each user has.
    streams: HashMap<UserId, usize>,
}

/// Credentials by which streams are open.
struct Watched {
    over: watch::Receiver<bool>,
    look: AbortHandle,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.look.abort();
    }
}

/// The place of one stream.
pub struct Admission {
    watched: Option<Arc<Watched>>,
    key: String,
    user: UserId,
    admissions: Arc<Admissions>,
}

impl Default for Admissions {
    fn default() -> Self {
        Self { open: Mutex::default(), reasons: watch::channel(0).0 }
    }
}

impl Admissions {
    /// A place for a stream; `None` where the user has as many as there may be.
    pub fn open(
        self: &Arc<Self>,
        app: &App,
        user: UserId,
        credential: Credential,
        access: Access,
        ends_at: Option<Timestamp>,
    ) -> Option<Admission> {
        let key = format!("{access:?} {}", credential.key());
        let mut open = self.locked();
        let streams = open.streams.entry(user).or_default();
        if *streams >= app.config.server.max_streams {
            return None;
        }
        *streams += 1;
        let watched =
            open.watched.get(&key).and_then(Weak::upgrade).filter(|watched| !*watched.over.borrow()).unwrap_or_else(
                || {
                    let (tell, over) = watch::channel(false);
                    let look = look(app.clone(), credential, access, ends_at, self.reasons.subscribe(), tell);
                    let watched = Arc::new(Watched { over, look: tokio::spawn(look).abort_handle() });
                    open.watched.insert(key.clone(), Arc::downgrade(&watched));
                    watched
                },
            );
        Some(Admission { watched: Some(watched), key, user, admissions: self.clone() })
    }

    /// Someone may have lost their admission: all are looked at now.
    pub fn look_again(&self) {
        self.reasons.send_modify(|reasons| *reasons += 1);
    }

    fn locked(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Admission {
    /// Resolves when the stream has to end.
    pub fn over(&self) -> impl Future<Output = ()> + use<> {
        let over = self.watched.as_ref().map(|watched| watched.over.clone());
        async move {
            if let Some(mut over) = over {
                let _ = over.wait_for(|over| *over).await;
            }
        }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut open = self.admissions.locked();
        if let Some(streams) = open.streams.get_mut(&self.user) {
            *streams -= 1;
            if *streams == 0 {
                open.streams.remove(&self.user);
            }
        }
        // Under the lock, so that nobody takes it up again meanwhile.
        self.watched = None;
        if open.watched.get(&self.key).is_some_and(|watched| watched.strong_count() == 0) {
            open.watched.remove(&self.key);
        }
    }
}

/// Looks until the credentials are worth nothing any more. While nobody can tell, they hold: what is open was let in.
async fn look(
    app: App,
    credential: Credential,
    access: Access,
    mut ends_at: Option<Timestamp>,
    mut reasons: watch::Receiver<u64>,
    over: watch::Sender<bool>,
) {
    loop {
        let end = ends_at.map(|end| u64::try_from(end.0.saturating_sub(Timestamp::now().0)).unwrap_or(0));
        let next = end.map_or(app.config.auth.recheck, |end| app.config.auth.recheck.min(Duration::from_millis(end)));
        tokio::select! {
            () = sleep(next) => {}
            changed = reasons.changed() => if changed.is_err() { return },
        }
        match admit(&app, access, &credential).await {
            Ok(admitted) if admitted.ends_at.is_none_or(|end| end > Timestamp::now()) => {
                ends_at = admitted.ends_at;
                continue;
            }
            Err(problem) if !problem.is_refusal() => {
                ends_at = None;
                continue;
            }
            _ => {}
        }
        tracing::info!(?credential, "an event stream ends: its user may not come in any more");
        over.send_replace(true);
        return;
    }
}

//! Where to send to an actor, whichever incarnation of it lives, and the count of what waits for it.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, PoisonError, RwLock};

use futures_util::FutureExt;
use ractor::{ActorRef, Message};
use tokio::sync::oneshot;

use super::observe::Gauge;

/// A lasting address. Mailboxes are unbounded, so whoever takes work in from outside limits it before it sends.
pub struct Address<M> {
    inner: Arc<Inner<M>>,
}

struct Inner<M> {
    gauge: Arc<Gauge>,
    current: RwLock<Option<ActorRef<M>>>,
}

impl<M> Clone for Address<M> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

/// The actor is gone, or ended before it answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the actor is gone")]
pub struct Gone;

impl<M: Message> Address<M> {
    /// An address at which nobody lives yet.
    pub fn new(gauge: Arc<Gauge>) -> Self {
        Self { inner: Arc::new(Inner { gauge, current: RwLock::new(None) }) }
    }

    /// From now on messages go to this incarnation. First thing in its `pre_start`: an answer to what it asks may come
    /// before whoever starts it goes on.
    pub fn bind(&self, actor: ActorRef<M>) {
        self.inner.gauge.started();
        *self.inner.current.write().unwrap_or_else(PoisonError::into_inner) = Some(actor);
    }

    /// The actor's entry in the snapshot.
    pub fn gauge(&self) -> &Arc<Gauge> {
        &self.inner.gauge
    }

    /// Puts a message into the mailbox.
    ///
    /// # Errors
    /// [`Gone`] where no incarnation lives.
    pub fn send(&self, message: M) -> Result<(), Gone> {
        let actor = self.current().ok_or(Gone)?;
        self.inner.gauge.sent();
        actor.send_message(message).map_err(|_| Gone)
    }

    /// Sends what `message` makes of a reply channel, and waits for the reply.
    ///
    /// # Errors
    /// [`Gone`] where no incarnation lives, or it ends without a reply.
    pub async fn ask<T>(&self, message: impl FnOnce(oneshot::Sender<T>) -> M) -> Result<T, Gone> {
        let (reply, answer) = oneshot::channel();
        self.send(message(reply))?;
        answer.await.map_err(|_| Gone)
    }

    /// Runs `work` beside the actor and sends it what comes of it: a handler never waits itself. Where the work panics,
    /// the actor has failed: it would wait for ever, and its supervisor knows what to do.
    pub fn pipe<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
        message: impl FnOnce(T) -> M + Send + 'static,
    ) {
        let address = self.clone();
        let asker = self.current();
        tokio::spawn(async move {
            match AssertUnwindSafe(work).catch_unwind().await {
                // Nobody waits for it where the actor is gone by then.
                Ok(outcome) => drop(address.send(message(outcome))),
                Err(_) => {
                    if let Some(actor) = asker {
                        actor.stop(Some(WORK_PANICKED.to_owned()));
                    }
                    tracing::error!(actor = address.gauge().path(), "work of the actor panicked");
                }
            }
        });
    }

    fn current(&self) -> Option<ActorRef<M>> {
        self.inner.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Why an actor stops whose work panicked beside it.
const WORK_PANICKED: &str = "its work panicked";

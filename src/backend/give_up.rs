//! Word to whoever starts an agent, or looks for one, that nobody waits for it any more.

use tokio::sync::watch;

/// Gives up what was begun. Dropping it gives up nothing.
#[derive(Debug)]
pub struct Giver(watch::Sender<bool>);

/// Whether what was begun is wanted still.
#[derive(Clone, Debug)]
pub struct GiveUp(watch::Receiver<bool>);

impl Giver {
    /// Nothing is given up yet.
    pub fn new() -> (Self, GiveUp) {
        let (giver, given) = watch::channel(false);
        (Self(giver), GiveUp(given))
    }

    /// It is not wanted any more.
    pub fn give_up(&self) {
        self.0.send_replace(true);
    }
}

impl GiveUp {
    /// It is not wanted any more.
    pub fn is_given_up(&self) -> bool {
        *self.0.borrow()
    }

    /// Resolves when it is not wanted any more.
    pub async fn given_up(&self) {
        if self.0.clone().wait_for(|given_up| *given_up).await.is_err() {
            std::future::pending().await
        }
    }
}

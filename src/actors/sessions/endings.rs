//! How several agent sessions are ended at once, and one whose conversation is gone for good.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{Directory, Entry, Key, SessionsActor, SessionsMsg};
use crate::actors::address::Address;
use crate::actors::session::SessionMsg;
use crate::actors::wiring::Wiring;
use crate::backend::BackendError;
use crate::store::StoreError;
use crate::turn::{ErrorCode, UserId};

/// How long tmux may take to tell which agents there are.
const LISTING: Duration = Duration::from_secs(3);

impl SessionsActor {
    /// Resets whatever serves this user.
    pub(super) fn reset_all(
        &self,
        directory: &Directory,
        user: UserId,
        reply: oneshot::Sender<Result<(), BackendError>>,
    ) {
        let known = directory.entries.keys().filter(|key| key.user_id == user).cloned().collect();
        let resetting = reset_all(self.wiring.clone(), self.address.clone(), user, known);
        tokio::spawn(async move { drop(reply.send(resetting.await)) });
    }

    /// The conversation was deleted: its agent is ended, and then nobody needs the session. Its turns are over.
    pub(super) fn retire(&self, directory: &mut Directory, key: Key) {
        match directory.entries.get(&key) {
            Some(Entry::Live(_) | Entry::Opening(_)) => {
                let (reply, outcome) = oneshot::channel();
                self.forward(directory, key.clone(), SessionMsg::Reset(reply));
                self.address.pipe(outcome, |outcome| SessionsMsg::Retired(key, outcome.ok()));
            }
            // Its agent is ended with it.
            Some(Entry::GivingUp(_)) => {}
            Some(Entry::Failed) | None => drop(tokio::spawn(end_agent(self.wiring.clone(), key))),
        }
    }

    pub(super) fn retired(directory: &Directory, key: &Key, outcome: Option<Result<(), BackendError>>) {
        match (outcome, directory.entries.get(key)) {
            (Some(Ok(())), Some(Entry::Live(session))) => drop(session.send(SessionMsg::Leave)),
            // The next sweep finds an agent that is still there.
            (Some(Err(error)), _) => {
                tracing::warn!(user = %key.user_id, %error, "the agent of a deleted conversation is not ended yet");
            }
            _ => {}
        }
    }
}

/// Resets the sessions that are known, and those that are not: with turns that nobody took up yet, or an agent that an
/// earlier process left.
async fn reset_all(
    wiring: Wiring,
    sessions: Address<SessionsMsg>,
    user: UserId,
    known: HashSet<Key>,
) -> Result<(), BackendError> {
    // What is known does not wait for tmux, which may be in trouble.
    let (reset, left) = tokio::join!(reset_each(&sessions, known.iter().cloned()), left(&wiring, user));
    let (left, all_seen) = left?;
    reset_each(&sessions, left.into_iter().filter(|key| !known.contains(key))).await?;
    reset.and(all_seen)
}

async fn reset_each(sessions: &Address<SessionsMsg>, keys: impl Iterator<Item = Key>) -> Result<(), BackendError> {
    let resets = join_all(keys.map(|key| sessions.ask(|reply| SessionsMsg::Reset(key, reply)))).await;
    let gone = |_| BackendError::new(ErrorCode::StoreUnavailable, "an agent session was restarted; try again");
    resets.into_iter().try_for_each(|outcome| outcome.map_err(gone)?)
}

/// Whom those sessions of a user serve that have open turns or a living agent; and whether all agents could be seen.
async fn left(wiring: &Wiring, user: UserId) -> Result<(HashSet<Key>, Result<(), BackendError>), BackendError> {
    let unseen = BackendError::new(ErrorCode::TmuxUnavailable, "tmux does not tell which agents are left");
    let agents = timeout(LISTING, wiring.backend.sessions()).await.unwrap_or(Err(unseen));
    let unavailable = |error: StoreError| BackendError::new(ErrorCode::StoreUnavailable, error.to_string());
    let open = wiring.store.open_turns().await.map_err(unavailable)?;
    let serving = open.into_iter().filter(|turn| turn.user_id == user).map(|turn| turn.agent_session);
    let mut keys = HashSet::new();
    for name in serving.chain(agents.iter().flatten().cloned()).collect::<HashSet<String>>() {
        let row = wiring.store.agent_session_named(&name).await.map_err(unavailable)?;
        keys.extend(row.filter(|row| row.user_id == user).map(|row| Key::of(&row)));
    }
    Ok((keys, agents.map(drop)))
}

/// Ends the agent of a session that nobody looks after.
async fn end_agent(wiring: Wiring, key: Key) {
    let ended = match wiring.store.agent_session(key.user_id, &key.persona, key.conversation).await {
        Ok(Some(row)) => wiring.backend.end(&row.name).await.map_err(|error| error.to_string()),
        Ok(None) => Ok(()),
        Err(error) => Err(error.to_string()),
    };
    if let Err(error) = ended {
        tracing::warn!(user = %key.user_id, error, "the agent of a deleted conversation is not ended yet");
    }
}

//! What a session leaves behind, and who comes after it: its row is taken, and its turns are ended or kept for the next.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::{Cancelled, Key, Question, Report, SubmitError, Submitted};
use crate::actors::closing::{self, Cause};
use crate::actors::session::{AgentState, Left};
use crate::actors::wiring::Wiring;
use crate::store::{AgentSession, StoreError, Turn, Write, Written};
use crate::turn::{ErrorCode, EventId, Timestamp, TurnId, TurnState};

/// How long an owner may go without renewing its lease before another node may take the session.
const LEASE: Duration = Duration::from_secs(60);
/// Events of an open turn that are restored into its log.
const MAX_RESTORED: u32 = 1_000_000;

/// A session's row under our epoch, and the turn that an earlier incarnation left running.
pub type Taken = (AgentSession, Option<Left>);

/// The open turns, by who looks after them.
pub(super) async fn by_key(wiring: &Wiring) -> Result<HashMap<Key, Vec<Turn>>, StoreError> {
    let mut keys: HashMap<String, Key> = HashMap::new();
    let mut left: HashMap<Key, Vec<Turn>> = HashMap::new();
    for turn in wiring.store.open_turns().await? {
        let key = match keys.get(&turn.agent_session) {
            Some(key) => key.clone(),
            None => Key::of_turn(&*wiring.store, &turn, wiring.limits.conversations_apart).await?,
        };
        keys.insert(turn.agent_session.clone(), key.clone());
        left.entry(key).or_default().push(turn);
    }
    Ok(left)
}

/// The answer to a question of which no turn will come.
pub(super) async fn foresee(wiring: Wiring, question: Question) -> Option<Submitted> {
    // Which session is to answer does not matter to a turn that is refused, or is there already.
    let foreseen = wiring.store.foresee(&question.into_turn(&wiring, String::new())).await;
    match foreseen.transpose()? {
        Ok(Written::Accepted(accepted)) => Some(Ok(*accepted)),
        Ok(Written::Refused(refusal)) => Some(Err(SubmitError::Refused(refusal))),
        Ok(other) => Some(Err(StoreError::Corrupt(format!("unexpected answer {other:?}")).into())),
        Err(error) => Some(Err(error.into())),
    }
}

/// Makes this process the owner of an agent session, under the next epoch. Opens the logs of the turns that an
/// earlier incarnation left; the one that ran is for the session to go on with. One that waits in a conversation which was
/// deleted is cancelled: whoever deleted it may not have come that far.
pub(super) async fn take(wiring: Wiring, key: Key) -> Result<Taken, StoreError> {
    let open = wiring.store.open_turns().await?;
    take_with(wiring, key, open).await
}

/// As [`take`], where the open turns are known.
pub(super) async fn take_with(wiring: Wiring, key: Key, open: Vec<Turn>) -> Result<Taken, StoreError> {
    let row = match row(&wiring, &key).await? {
        Some(row) => row,
        None => {
            let Key { user_id, persona, conversation } = key;
            let (prefix, backend) = (wiring.limits.session_prefix.clone(), wiring.backend.name().to_owned());
            let open = Write::OpenAgentSession { prefix, user_id, persona, conversation, backend };
            agent_session(wiring.recorder.write(open).await?)?
        }
    };
    let lease_until = Timestamp(Timestamp::now().0 + i64::try_from(LEASE.as_millis()).unwrap_or(i64::MAX));
    let take = Write::TakeAgentSession { name: row.name, node: wiring.node.to_string(), lease_until };
    let row = agent_session(wiring.recorder.write(take).await?)?;
    let mut left = None;
    for turn in open.into_iter().filter(|turn| turn.agent_session == row.name) {
        let events = wiring.store.events_after(turn.turn_id, EventId::START, MAX_RESTORED).await?;
        // Events that were shown and not recorded are lost; their ids shall not come again.
        wiring.streams.restore(turn.turn_id, &events).begin_epoch(row.epoch);
        let deleted_by = closing::deleted_by(&*wiring.store, &turn).await?;
        match (turn.state, deleted_by) {
            (TurnState::Running, deleted_by) if left.is_none() => left = Some(Left { turn, deleted_by }),
            (TurnState::Running, _) => {
                // There is one at a time, and only the first can be where the agent is.
                let message = "another turn ran in its place";
                let cause = Cause::failed(ErrorCode::Uncertain, message);
                // Logged where it cannot be.
                let _ = closing::settle(wiring.clone(), turn, row.epoch, cause).await;
            }
            (_, Some(by)) => drop(closing::settle(wiring.clone(), turn, row.epoch, Cause::Cancelled { by }).await),
            (_, None) => {}
        }
    }
    Ok((row, left))
}

/// The sessions that have an agent and no open turn: their keepers take it over.
pub(super) async fn with_agents(wiring: &Wiring, is_taken: impl Fn(&Key) -> bool) -> Vec<Key> {
    let left = async {
        let names = wiring.backend.sessions().await.map_err(|error| error.to_string())?;
        if names.is_empty() {
            return Ok(Vec::new());
        }
        wiring.store.agent_sessions().await.map(|rows| (rows, names)).map(keys_of).map_err(|error| error.to_string())
    };
    match left.await {
        Ok(keys) => keys.into_iter().filter(|key| !is_taken(key)).collect(),
        Err(error) => {
            tracing::warn!(error, "agents that were left are taken over when they are needed");
            Vec::new()
        }
    }
}

/// Those of the rows that are named.
fn keys_of((rows, names): (Vec<AgentSession>, Vec<String>)) -> Vec<Key> {
    let names: HashSet<String> = names.into_iter().collect();
    rows.into_iter().filter(|row| names.contains(&row.name)).map(|row| Key::of(&row)).collect()
}

/// Ends the turns of a session that failed too often: nobody will run them.
pub(super) async fn give_up(wiring: Wiring, key: Key) {
    let turns = async {
        let row = row(&wiring, &key).await?;
        Ok::<_, StoreError>((row, wiring.store.open_turns().await?))
    };
    match turns.await {
        Ok((Some(row), turns)) => {
            if let Err(error) = wiring.backend.end(&row.name).await {
                tracing::error!(session = row.name, %error, "the agent of a failed session cannot be ended");
            }
            for turn in turns.into_iter().filter(|turn| turn.agent_session == row.name) {
                let deleted_by = match turn.state {
                    TurnState::Queued => closing::deleted_by(&*wiring.store, &turn).await.ok().flatten(),
                    _ => None,
                };
                let failed = || Cause::failed(ErrorCode::AgentCrashLoop, "the agent session has failed too often");
                let cause = deleted_by.map_or_else(failed, |by| Cause::Cancelled { by });
                let _ = closing::settle(wiring.clone(), turn, row.epoch, cause).await;
            }
        }
        Ok((None, _)) => {}
        Err(error) => tracing::error!(%error, "turns of a failed session stay open until the next start"),
    }
}

/// Ends a turn that a session left which failed too often.
pub(super) async fn cancel(wiring: Wiring, key: Key, turn_id: TurnId, by: String) -> Cancelled {
    let turn = wiring.store.turn(turn_id).await?.filter(|turn| !turn.state.is_final());
    let (Some(turn), Some(row)) = (turn, row(&wiring, &key).await?) else {
        return Ok(false);
    };
    closing::settle(wiring, turn, row.epoch, Cause::Cancelled { by }).await
}

/// What the row of a session tells that is not there: in `state`. `None` where it has no row yet.
pub(super) async fn report(wiring: Wiring, key: Key, state: &'static str) -> Result<Option<Report>, StoreError> {
    let Some(row) = row(&wiring, &key).await? else { return Ok(None) };
    Ok(Some(Report {
        queued: wiring.store.queued(&row.name).await?,
        name: row.name,
        state,
        epoch: row.epoch,
        agent_alive: false,
        agent: AgentState::None,
        running: None,
        restarts: u64::try_from(row.restarts).unwrap_or_default(),
        last_reason: row.last_reason,
        last_start: None,
        last_exit: None,
    }))
}

async fn row(wiring: &Wiring, key: &Key) -> Result<Option<AgentSession>, StoreError> {
    wiring.store.agent_session(key.user_id, &key.persona, key.conversation).await
}

fn agent_session(written: Written) -> Result<AgentSession, StoreError> {
    match written {
        Written::AgentSession(row) => Ok(*row),
        other => Err(StoreError::Corrupt(format!("unexpected answer {other:?}"))),
    }
}

//! The sweep: late answers that no event told of, files, sessions and turns that were left behind, old events.

use std::collections::{HashMap, HashSet};
use std::fmt::Display;
use std::time::Duration;

use super::decide::{self, Awaited, Files};
use super::late::{self, Attended};
use crate::actors::address::Address;
use crate::actors::sessions::{Key, SessionsMsg};
use crate::actors::wiring::Wiring;
use crate::faults;
use crate::store::{AgentSession, SessionPatch, StoreError, Turn, Write, Written};
use crate::turn::Timestamp;

/// How far the first sweep looks back for turns whose agents may still be at work on them.
const LOOK_BACK: Duration = Duration::from_secs(24 * 3600);
/// Turns whose events are removed by one write: other writes wait no longer than that takes.
const PRUNED_AT_ONCE: u32 = 100;

/// What a sweep did.
#[derive(Default)]
pub struct Swept {
    /// What became of the turns that were looked at.
    pub attended: Vec<Attended>,
    /// Everything that was awaited before is among these.
    pub is_caught_up: bool,
    /// What went wrong, if something did.
    pub trouble: Option<String>,
    /// In a few words, for people.
    pub done: String,
}

/// A sweep under way.
struct Sweep {
    wiring: Wiring,
    sessions: Address<SessionsMsg>,
    swept: Swept,
    forgotten: usize,
    ended: usize,
    woken: usize,
    pruned: u64,
}

/// Does everything once. Where one thing cannot be done, the others are, as far as the store answers.
pub(super) async fn run(
    wiring: Wiring,
    sessions: Address<SessionsMsg>,
    awaited: Vec<Awaited>,
    is_caught_up: bool,
) -> Swept {
    faults::point("janitor.sweep");
    let swept = Swept { is_caught_up, ..Swept::default() };
    let mut sweep = Sweep { wiring, sessions, swept, forgotten: 0, ended: 0, woken: 0, pruned: 0 };
    if let Err(error) = sweep.all(awaited).await {
        sweep.trouble(error);
    }
    let Sweep { mut swept, forgotten, ended, woken, pruned, .. } = sweep;
    let looked = swept.attended.len();
    swept.done = format!(
        "{looked} failed turns looked at, files of {forgotten} turns removed, {ended} agents without a session ended, \
         {woken} sessions woken, events of {pruned} turns removed"
    );
    swept
}

impl Sweep {
    fn trouble(&mut self, error: impl Display) {
        self.swept.trouble.get_or_insert_with(|| error.to_string());
    }

    async fn all(&mut self, awaited: Vec<Awaited>) -> Result<(), StoreError> {
        self.answers(awaited).await?;
        self.files().await?;
        self.leftovers().await?;
        self.events().await
    }

    /// Late answers: of the turns that are awaited, and of those that should be.
    async fn answers(&mut self, awaited: Vec<Awaited>) -> Result<(), StoreError> {
        let (now, window) = (Timestamp::now(), self.wiring.limits.upkeep.recovery_window);
        let back = if self.swept.is_caught_up { window } else { window.max(LOOK_BACK) };
        let failed = self.wiring.store.failed_since(decide::before(now, back)).await?;
        let failed = decide::candidates(failed.iter().filter_map(Awaited::of).collect(), now, window);
        let mut turns: HashMap<_, _> = failed.into_iter().map(|turn| (turn.turn_id, turn)).collect();
        turns.extend(awaited.into_iter().map(|turn| (turn.turn_id, turn)));
        for turn in turns.into_values() {
            self.attend(turn).await?;
        }
        self.swept.is_caught_up = true;
        Ok(())
    }

    async fn attend(&mut self, turn: Awaited) -> Result<(), StoreError> {
        let attended = late::attend(&self.wiring, turn).await;
        let failed = match &attended {
            Attended::Unable(_, error) => Err(error.clone()),
            _ => Ok(()),
        };
        self.swept.attended.push(attended);
        failed
    }

    /// Files of turns: answers among them that are wanted are recorded, however old; what nobody needs goes.
    async fn files(&mut self) -> Result<(), StoreError> {
        let backend = self.wiring.backend.clone();
        // It reads directories.
        let found = tokio::task::spawn_blocking(move || backend.turns_with_files()).await.unwrap_or_default();
        let seen: HashSet<_> = self.swept.attended.iter().map(Attended::turn_id).collect();
        for (session, turn_id, age) in found {
            let row = self.wiring.store.turn(turn_id).await?;
            match decide::files(row.as_ref(), &session, age, self.wiring.limits.upkeep.orphan_age) {
                Files::Leave => {}
                Files::Forget => {
                    self.wiring.backend.forget(&session, turn_id);
                    self.forgotten += 1;
                }
                Files::Look(turn) => {
                    // Whatever is still wanted of it, its token is not.
                    self.wiring.backend.revoke(&session, turn_id);
                    if !seen.contains(&turn_id) {
                        self.attend(turn).await?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Agents without a session, sessions whose agent went unseen, turns that nobody looks after.
    async fn leftovers(&mut self) -> Result<(), StoreError> {
        // In this order: a session's row is there before its agent, and it is kept before it has either.
        let agents = match self.wiring.backend.sessions().await {
            Ok(agents) => Some(agents.into_iter().collect::<HashSet<String>>()),
            Err(error) => {
                self.trouble(error);
                None
            }
        };
        let rows = self.wiring.store.agent_sessions().await?;
        let open = self.wiring.store.open_turns().await?;
        let Ok(kept) = self.sessions.ask(SessionsMsg::Kept).await else { return Ok(()) };
        if let Some(agents) = agents {
            self.end_strangers(&agents, &rows).await;
            self.tell_ends(&agents, &rows, &kept);
            self.retire(&agents, &rows, &open).await?;
        }
        let rows: HashMap<&str, &AgentSession> = rows.iter().map(|row| (row.name.as_str(), row)).collect();
        let apart = self.wiring.limits.conversations_apart;
        let serving = |turn: &Turn| Key::serving(turn, rows.get(turn.agent_session.as_str()).copied(), apart);
        let keys: HashSet<Key> = open.iter().map(serving).collect();
        for key in keys.difference(&kept) {
            tracing::warn!(user = %key.user_id, "turns that nobody looks after; opening their session");
            let _ = self.sessions.send(SessionsMsg::Wake(key.clone()));
            self.woken += 1;
        }
        Ok(())
    }

    async fn end_strangers(&mut self, agents: &HashSet<String>, rows: &[AgentSession]) {
        for name in agents.iter().filter(|name| !rows.iter().any(|row| row.name == **name)) {
            tracing::warn!(session = name, "ending an agent whose session nobody knows");
            match self.wiring.backend.end(name).await {
                Ok(()) => self.ended += 1,
                Err(error) => self.trouble(error),
            }
        }
    }

    /// Agents of conversations that were deleted, and whose turns are over: whoever deleted one may not have come that far.
    async fn retire(
        &mut self,
        agents: &HashSet<String>,
        rows: &[AgentSession],
        open: &[Turn],
    ) -> Result<(), StoreError> {
        for row in rows.iter().filter(|row| agents.contains(&row.name)) {
            let Some(conversation) = row.conversation else { continue };
            if open.iter().any(|turn| turn.agent_session == row.name) {
                continue;
            }
            let conversation = self.wiring.store.conversation(conversation).await?;
            if conversation.is_some_and(|conversation| conversation.hidden_at.is_some()) {
                tracing::info!(session = row.name, "ending the agent of a deleted conversation");
                let _ = self.sessions.send(SessionsMsg::Retire(Key::of(row)));
            }
        }
        Ok(())
    }

    /// A session that is kept tells of its agent itself.
    fn tell_ends(&self, agents: &HashSet<String>, rows: &[AgentSession], kept: &HashSet<Key>) {
        let is_ours = |row: &&AgentSession| row.state == "ready" && row.backend == self.wiring.backend.name();
        for row in rows.iter().filter(is_ours) {
            if agents.contains(&row.name) || kept.contains(&Key::of(row)) {
                continue;
            }
            tracing::info!(session = row.name, "the agent is gone");
            let patch = SessionPatch {
                state: Some("ended".to_owned()),
                last_reason: Some("the agent ended while nobody watched it".to_owned()),
                ..SessionPatch::default()
            };
            self.wiring.recorder.later(Write::PatchAgentSession { name: row.name.clone(), patch });
        }
    }

    /// Events that were kept for long enough.
    async fn events(&mut self) -> Result<(), StoreError> {
        let retention = self.wiring.limits.upkeep.retention;
        if retention.is_zero() {
            return Ok(());
        }
        let ended_before = decide::before(Timestamp::now(), retention);
        loop {
            let prune = Write::PruneEvents { ended_before, limit: PRUNED_AT_ONCE };
            match self.wiring.recorder.write(prune).await? {
                Written::Count(0) => return Ok(()),
                Written::Count(turns) => self.pruned += turns,
                other => return Err(StoreError::Corrupt(format!("unexpected answer {other:?}"))),
            }
        }
    }
}

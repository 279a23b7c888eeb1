//! `janitor`: sees to it that an answer which comes after its turn has failed is recorded, and that nothing is left behind.
//!
//! An answer that is still awaited is recorded when its file arrives. The sweep, at the start and at an interval, does what
//! no event tells of. Nothing that the janitor fails at is lost: the next event or the next sweep tries again.

mod clock;
pub mod decide;
mod late;
mod sweep;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use self::clock::{every, tell_changes};
use self::decide::Awaited;
use self::late::Attended;
pub use self::late::Hope;
use self::sweep::Swept;
use super::address::Address;
use super::sessions::SessionsMsg;
use super::wiring::Wiring;
use crate::store::StoreError;
use crate::turn::{Timestamp, TurnId};

/// Numbers looks and sweeps, so that what an earlier incarnation began is told from what this one did.
static STARTS: AtomicU64 = AtomicU64::new(0);

/// How the janitor works.
#[derive(Debug, Clone, Copy)]
pub struct Upkeep {
    /// From one sweep to the next.
    pub interval: Duration,
    /// Counted from a turn's start: how long an answer is awaited, whatever its agent does.
    pub recovery_window: Duration,
    /// How old files of a turn that nobody knows have to be before they are removed.
    pub orphan_age: Duration,
    /// How long the events of a turn are kept after its end; zero for ever.
    pub retention: Duration,
}

/// What a look at a failed turn is answered.
pub type Looked = Result<Hope, StoreError>;

/// A message to the janitor.
pub enum JanitorMsg {
    /// A turn failed that the agent may have seen.
    Failed(Awaited),
    /// Something changed where the answers of this session come.
    Changed(String),
    /// What became of the turns of this session that are awaited, by a look with this number.
    Attended(String, u64, Vec<Attended>),
    /// Whether an answer to this failed turn has come, or may still come. Looks now, and records what is there.
    Look(Awaited, oneshot::Sender<Looked>),
    /// It is time to sweep.
    Sweep,
    /// What became of the sweep with this number.
    Swept(u64, Box<Swept>),
}

/// The actor.
pub struct JanitorActor {
    /// Handles.
    pub wiring: Wiring,
    /// Its own address.
    pub address: Address<JanitorMsg>,
    /// The directory of the agent sessions.
    pub sessions: Address<SessionsMsg>,
}

/// What is awaited, and what is under way.
pub struct JanitorState {
    awaited: HashMap<TurnId, Awaited>,
    /// Who tells of changes, by session.
    watches: HashMap<String, Task>,
    /// Looks that are under way, by session.
    looks: HashMap<String, Look>,
    /// The number of the sweep that is under way.
    sweeping: Option<u64>,
    /// A sweep of this incarnation has found out what was awaited before.
    is_caught_up: bool,
    /// Turns whose answer cannot be used, which was logged.
    refused: HashSet<TurnId>,
    /// What kept us from our work last; logged once, until all goes well again.
    trouble: Option<String>,
    /// What the last sweep did, in a few words.
    done: String,
    _clock: Task,
}

struct Look {
    number: u64,
    /// Something changed since it began.
    again: bool,
}

/// Work that ends with whoever holds this.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Actor for JanitorActor {
    type Msg = JanitorMsg;
    type State = JanitorState;
    type Arguments = ();

    async fn pre_start(&self, myself: ActorRef<JanitorMsg>, (): ()) -> Result<JanitorState, ActorProcessingErr> {
        self.address.bind(myself);
        let address = self.address.clone();
        let clock = every(self.wiring.limits.upkeep.interval, move || address.send(JanitorMsg::Sweep).is_ok());
        Ok(JanitorState {
            awaited: HashMap::new(),
            watches: HashMap::new(),
            looks: HashMap::new(),
            sweeping: None,
            is_caught_up: false,
            refused: HashSet::new(),
            trouble: None,
            done: "nothing swept yet".to_owned(),
            _clock: Task(tokio::spawn(clock)),
        })
    }

    async fn handle(
        &self,
        _myself: ActorRef<JanitorMsg>,
        message: JanitorMsg,
        state: &mut JanitorState,
    ) -> Result<(), ActorProcessingErr> {
        self.address.gauge().handled();
        match message {
            JanitorMsg::Failed(turn) => self.wait_for(state, turn),
            JanitorMsg::Changed(session) => self.look(state, session),
            JanitorMsg::Attended(session, number, attended) => self.attended(state, session, number, attended),
            JanitorMsg::Look(turn, reply) => self.answer(turn, reply),
            JanitorMsg::Sweep => self.sweep(state),
            JanitorMsg::Swept(number, swept) => self.swept(state, number, *swept),
        }
        Ok(())
    }
}

impl JanitorActor {
    fn wait_for(&self, state: &mut JanitorState, turn: Awaited) {
        let session = turn.session.clone();
        state.awaited.insert(turn.turn_id, turn);
        // First the watch, then the look: nothing falls between.
        self.watch(state, &session);
        self.look(state, session);
    }

    /// Has changes told. Where there is nothing to be watched yet, the next sweep tries again.
    fn watch(&self, state: &mut JanitorState, session: &str) {
        if state.watches.get(session).is_some_and(|watch| !watch.0.is_finished()) {
            return;
        }
        let Some(changes) = self.wiring.backend.changes(session) else { return };
        let (address, name) = (self.address.clone(), session.to_owned());
        let tell = tell_changes(changes, move || address.send(JanitorMsg::Changed(name.clone())).is_ok());
        state.watches.insert(session.to_owned(), Task(tokio::spawn(tell)));
    }

    /// Looks at what is awaited from this session; once at a time.
    fn look(&self, state: &mut JanitorState, session: String) {
        if let Some(look) = state.looks.get_mut(&session) {
            look.again = true;
            return;
        }
        let turns: Vec<Awaited> = state.awaited.values().filter(|turn| turn.session == session).cloned().collect();
        if turns.is_empty() {
            state.watches.remove(&session);
            return;
        }
        let number = STARTS.fetch_add(1, Ordering::Relaxed);
        state.looks.insert(session.clone(), Look { number, again: false });
        let wiring = self.wiring.clone();
        let attend = async move {
            let mut attended = Vec::new();
            for turn in turns {
                attended.push(late::attend(&wiring, turn).await);
            }
            attended
        };
        self.address.pipe(attend, move |attended| JanitorMsg::Attended(session, number, attended));
    }

    fn attended(&self, state: &mut JanitorState, session: String, number: u64, attended: Vec<Attended>) {
        let Some(look) = state.looks.get(&session).filter(|look| look.number == number) else { return };
        let again = look.again;
        state.looks.remove(&session);
        for attended in attended {
            self.settle(state, attended);
        }
        let is_awaited = state.awaited.values().any(|turn| turn.session == session);
        if again {
            self.look(state, session);
        } else if !is_awaited {
            state.watches.remove(&session);
        }
        self.note(state);
    }

    /// Draws the consequence of a look.
    fn settle(&self, state: &mut JanitorState, attended: Attended) {
        match attended {
            Attended::Over(turn_id) => {
                state.awaited.remove(&turn_id);
                state.refused.remove(&turn_id);
            }
            Attended::Kept(_) => {}
            Attended::Refused(turn, error) => {
                if state.refused.insert(turn.turn_id) {
                    tracing::warn!(turn_id = %turn.turn_id, %error, "what came as a late answer cannot be used");
                }
            }
            Attended::Unable(_, error) => Self::failed(state, &error.to_string()),
        }
    }

    /// Answers beside the actor: whoever asks does not wait for a sweep.
    fn answer(&self, turn: Awaited, reply: oneshot::Sender<Looked>) {
        let wiring = self.wiring.clone();
        tokio::spawn(async move { drop(reply.send(late::hope(&wiring, &turn).await)) });
    }

    fn sweep(&self, state: &mut JanitorState) {
        if state.sweeping.is_some() {
            return;
        }
        let number = STARTS.fetch_add(1, Ordering::Relaxed);
        state.sweeping = Some(number);
        let awaited = state.awaited.values().cloned().collect();
        let sweep = sweep::run(self.wiring.clone(), self.sessions.clone(), awaited, state.is_caught_up);
        self.address.pipe(sweep, move |swept| JanitorMsg::Swept(number, Box::new(swept)));
        self.address.gauge().note("sweeping");
    }

    fn swept(&self, state: &mut JanitorState, number: u64, swept: Swept) {
        if state.sweeping != Some(number) {
            return;
        }
        state.sweeping = None;
        state.is_caught_up |= swept.is_caught_up;
        for attended in swept.attended {
            if let Attended::Kept(turn) | Attended::Refused(turn, _) | Attended::Unable(turn, _) = &attended
                && !state.awaited.contains_key(&turn.turn_id)
            {
                self.wait_for(state, turn.clone());
            }
            self.settle(state, attended);
        }
        let sessions: HashSet<String> = state.awaited.values().map(|turn| turn.session.clone()).collect();
        for session in &sessions {
            if !state.watches.contains_key(session) {
                self.watch(state, session);
                self.look(state, session.clone());
            }
        }
        state.refused.retain(|turn_id| state.awaited.contains_key(turn_id));
        match swept.trouble {
            Some(trouble) => Self::failed(state, &trouble),
            None => {
                if state.trouble.take().is_some() {
                    tracing::info!("the janitor can do its work again");
                }
            }
        }
        state.done = format!("swept at {}: {}", Timestamp::now(), swept.done);
        self.note(state);
    }

    /// Logged once, however often it is tried again.
    fn failed(state: &mut JanitorState, trouble: &str) {
        if state.trouble.is_none() {
            tracing::warn!(trouble, "the janitor cannot do its work now; it tries again");
        }
        state.trouble = Some(trouble.to_owned());
    }

    fn note(&self, state: &JanitorState) {
        let trouble = state.trouble.as_ref().map(|trouble| format!("; {trouble}")).unwrap_or_default();
        self.address.gauge().note(format!("{} late answers awaited; {}{trouble}", state.awaited.len(), state.done));
    }
}

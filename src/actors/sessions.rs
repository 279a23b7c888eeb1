//! `sessions`: the directory of the agent sessions, and their supervisor.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::address::Address;
use super::closing::{self, CANCELLED};
pub use super::session::{Cancelled, Question, Report, SubmitError, Submitted};
use super::session::{SessionActor, SessionMsg};
use super::supervise::{ChildSpec, Children, Verdict};
pub use super::turn::{Answered, NoReply, ReplyError};
use super::wiring::Wiring;
use crate::backend::BackendError;
use crate::store::{AgentSession, StoreError, Write, Written};
use crate::turn::{ErrorCode, EventId, Timestamp, TurnId, TurnState, UserId};

/// How long an owner may go without renewing its lease before another node may take the session.
const LEASE: Duration = Duration::from_secs(60);
/// Wait before a session's row is tried to be taken again.
const TAKE_AGAIN: Duration = Duration::from_secs(2);
/// Events of an open turn that are restored into its log.
const MAX_RESTORED: u32 = 1_000_000;

/// Whom an agent session serves: a user and a persona.
pub type Key = (UserId, String);

/// A message to the directory.
pub enum SessionsMsg {
    /// Accept this turn, in whichever agent session serves its user.
    Submit(Box<Question>, oneshot::Sender<Submitted>),
    /// A session's row was taken under a new epoch, or could not be, for this incarnation of the directory.
    Taken(Key, Uuid, Box<Result<AgentSession, StoreError>>),
    /// End the agent and every open turn of this user.
    Reset(Key, oneshot::Sender<Result<(), BackendError>>),
    /// End this turn of the user's, if it is not over.
    Cancel(Key, TurnId, oneshot::Sender<Cancelled>),
    /// Hand this sanitised line to the user's agent, as a reply to what it asks in this turn.
    Reply(Key, TurnId, String, oneshot::Sender<Answered>),
    /// What does this user's session do? `None` where it has not been needed yet.
    Report(Key, oneshot::Sender<Option<Report>>),
    /// The backoff of a session is over; again for one incarnation of the directory only.
    Restart(Key, Uuid),
    /// What a session that failed too often has left is ended.
    GivenUp(Key),
}

/// The directory.
pub struct SessionsActor {
    /// Handles.
    pub wiring: Wiring,
    /// Its own address.
    pub address: Address<SessionsMsg>,
}

/// Who is where.
#[derive(Default)]
pub struct Directory {
    /// Names this incarnation: the address outlives it, and so do answers to what an earlier one asked.
    incarnation: Uuid,
    entries: HashMap<Key, Entry>,
    children: Children<Key>,
}

enum Entry {
    /// Its row is being taken, or its backoff runs; messages wait.
    Opening(Vec<SessionMsg>),
    /// It is there.
    Live(Address<SessionMsg>),
    /// It failed too often, and what it left is being ended; a reset waits for that.
    GivingUp(Vec<SessionMsg>),
    /// It failed too often.
    Failed,
}

impl Actor for SessionsActor {
    type Msg = SessionsMsg;
    type State = Directory;
    type Arguments = ();

    /// Looks after the turns that an earlier incarnation, or process, left open: before anyone can ask for them.
    async fn pre_start(&self, myself: ActorRef<SessionsMsg>, (): ()) -> Result<Directory, ActorProcessingErr> {
        self.address.bind(myself.clone());
        self.wiring.registry.leave_below(self.address.gauge().path());
        let mut directory = Directory { incarnation: Uuid::new_v4(), ..Directory::default() };
        let left = self.wiring.store.open_turns().await?;
        let keys: HashSet<Key> = left.into_iter().map(|turn| (turn.user_id, turn.persona)).collect();
        for key in keys {
            let row = take(self.wiring.clone(), key.clone()).await?;
            self.start_session(&myself, &mut directory, key, row).await?;
        }
        Ok(directory)
    }

    async fn handle(
        &self,
        myself: ActorRef<SessionsMsg>,
        message: SessionsMsg,
        directory: &mut Directory,
    ) -> Result<(), ActorProcessingErr> {
        self.address.gauge().handled();
        match message {
            SessionsMsg::Submit(question, reply) => {
                let key = (question.user_id, question.persona.clone());
                if matches!(directory.entries.get(&key), Some(Entry::Failed | Entry::GivingUp(_))) {
                    let _ = reply.send(Err(SubmitError::Failed));
                } else {
                    self.forward(directory, key, SessionMsg::Submit(question, reply));
                }
            }
            SessionsMsg::Taken(key, incarnation, _) if !directory.awaits(&key, incarnation) => {}
            SessionsMsg::Taken(key, _, taken) => match *taken {
                Ok(row) => self.start_session(&myself, directory, key, row).await?,
                Err(error) => {
                    Self::cannot_open(directory, &key, &error);
                    // It may have turns that wait; they shall not need another question to be run.
                    directory.entries.insert(key.clone(), Entry::Opening(Vec::new()));
                    self.restart_after(directory, key, TAKE_AGAIN);
                }
            },
            SessionsMsg::Reset(key, reply) => {
                if matches!(directory.entries.get(&key), Some(Entry::Failed)) {
                    directory.entries.remove(&key);
                    directory.children.forget(&key);
                }
                self.forward(directory, key, SessionMsg::Reset(reply));
            }
            SessionsMsg::Cancel(key, turn_id, reply) => self.cancel(directory, key, turn_id, reply),
            SessionsMsg::Reply(key, turn_id, line, reply) => match directory.entries.get(&key) {
                Some(Entry::Live(session)) => drop(session.send(SessionMsg::Reply(turn_id, line, reply))),
                _ => drop(reply.send(Err(NoReply::NothingAsked.into()))),
            },
            SessionsMsg::Report(key, reply) => Self::report(directory, &key, reply),
            SessionsMsg::Restart(key, incarnation) if directory.awaits(&key, incarnation) => self.open(directory, key),
            SessionsMsg::Restart(..) => {}
            SessionsMsg::GivenUp(key) => self.given_up(directory, key),
        }
        self.address.gauge().note(format!("{} sessions", directory.entries.len()));
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _myself: ActorRef<SessionsMsg>,
        event: SupervisionEvent,
        directory: &mut Directory,
    ) -> Result<(), ActorProcessingErr> {
        let Some((key, end, verdict)) = directory.children.ended(&event) else { return Ok(()) };
        tracing::error!(user = %key.0, ?end, ?verdict, "agent session ended");
        match verdict {
            Verdict::RestartAfter(wait) => {
                directory.entries.insert(key.clone(), Entry::Opening(Vec::new()));
                self.restart_after(directory, key, wait);
            }
            Verdict::GiveUp => {
                self.give_up(directory, key);
            }
            Verdict::Forget => drop(directory.entries.remove(&key)),
        }
        Ok(())
    }
}

impl Directory {
    /// Whether word of this session is still wanted: by this incarnation, and while the session is being opened.
    fn awaits(&self, key: &Key, incarnation: Uuid) -> bool {
        incarnation == self.incarnation && matches!(self.entries.get(key), Some(Entry::Opening(_)))
    }
}

impl SessionsActor {
    fn forward(&self, directory: &mut Directory, key: Key, message: SessionMsg) {
        match directory.entries.get_mut(&key) {
            // A message to a session that just ended is lost with its mailbox: the asker's reply channel says so.
            Some(Entry::Live(session)) => drop(session.send(message)),
            Some(Entry::Opening(waiting) | Entry::GivingUp(waiting)) => waiting.push(message),
            Some(Entry::Failed) => {}
            None => {
                directory.entries.insert(key.clone(), Entry::Opening(vec![message]));
                self.open(directory, key);
            }
        }
    }

    fn cancel(&self, directory: &mut Directory, key: Key, turn_id: TurnId, reply: oneshot::Sender<Cancelled>) {
        match directory.entries.get(&key) {
            Some(Entry::Live(_) | Entry::Opening(_)) => {
                self.forward(directory, key, SessionMsg::Cancel(turn_id, reply))
            }
            // Its turns could not be ended with it, and nobody runs them any more.
            Some(Entry::Failed) => {
                let cancelling = cancel_left(self.wiring.clone(), key, turn_id);
                tokio::spawn(async move { drop(reply.send(cancelling.await)) });
            }
            // All its turns are just being ended, or it never had one that is open.
            Some(Entry::GivingUp(_)) | None => drop(reply.send(Ok(false))),
        }
    }

    fn open(&self, directory: &Directory, key: Key) {
        let (taking, incarnation) = (take(self.wiring.clone(), key.clone()), directory.incarnation);
        self.address.pipe(taking, move |row| SessionsMsg::Taken(key, incarnation, Box::new(row)));
    }

    fn restart_after(&self, directory: &Directory, key: Key, wait: Duration) {
        let incarnation = directory.incarnation;
        self.address.pipe(tokio::time::sleep(wait), move |()| SessionsMsg::Restart(key, incarnation));
    }

    fn give_up(&self, directory: &mut Directory, key: Key) {
        directory.entries.insert(key.clone(), Entry::GivingUp(Vec::new()));
        self.address.pipe(give_up(self.wiring.clone(), key.clone()), |()| SessionsMsg::GivenUp(key));
    }

    fn given_up(&self, directory: &mut Directory, key: Key) {
        let waiting = match directory.entries.insert(key.clone(), Entry::Failed) {
            Some(Entry::GivingUp(waiting)) => waiting,
            Some(entry) => {
                directory.entries.insert(key, entry);
                return;
            }
            None => Vec::new(),
        };
        if !waiting.is_empty() {
            directory.children.forget(&key);
            directory.entries.insert(key.clone(), Entry::Opening(waiting));
            self.open(directory, key);
        }
    }

    async fn start_session(
        &self,
        myself: &ActorRef<SessionsMsg>,
        directory: &mut Directory,
        key: Key,
        row: AgentSession,
    ) -> Result<(), ActorProcessingErr> {
        let known = directory.children.gauge(&key);
        let path = format!("{}/session:{}", self.address.gauge().path(), row.name);
        let gauge = known.unwrap_or_else(|| self.wiring.registry.enter(&path, "session"));
        let address = Address::new(gauge);
        let session = SessionActor { wiring: self.wiring.clone(), address: address.clone(), row };
        match Actor::spawn_linked(None, session, (), myself.get_cell()).await {
            Ok((actor, _)) => {
                directory.children.started(key.clone(), ChildSpec::PERMANENT, &actor.get_cell(), address.gauge());
                let before = directory.entries.insert(key, Entry::Live(address.clone()));
                if let Some(Entry::Opening(waiting)) = before {
                    for message in waiting {
                        let _ = address.send(message);
                    }
                }
            }
            Err(error) => {
                tracing::error!(user = %key.0, %error, "agent session did not start");
                self.give_up(directory, key);
            }
        }
        Ok(())
    }

    fn cannot_open(directory: &mut Directory, key: &Key, error: &StoreError) {
        tracing::error!(user = %key.0, %error, "agent session cannot be opened");
        let Some(Entry::Opening(waiting)) = directory.entries.remove(key) else { return };
        for message in waiting {
            match message {
                SessionMsg::Submit(_, reply) => drop(reply.send(Err(error.clone().into()))),
                SessionMsg::Cancel(_, reply) => drop(reply.send(Err(error.clone()))),
                SessionMsg::Reset(reply) => {
                    drop(reply.send(Err(BackendError::new(ErrorCode::StoreUnavailable, error.to_string()))));
                }
                _ => {}
            }
        }
    }

    fn report(directory: &Directory, key: &Key, reply: oneshot::Sender<Option<Report>>) {
        match directory.entries.get(key) {
            Some(Entry::Live(session)) => {
                let session = session.clone();
                tokio::spawn(async move {
                    let report = session.ask(SessionMsg::Report).await.ok();
                    let _ = reply.send(report);
                });
            }
            _ => drop(reply.send(None)),
        }
    }
}

/// Makes this process the owner of a user's agent session, under the next epoch. Opens the logs of the turns that an
/// earlier incarnation left, and ends the one that ran: nothing can be known of it.
async fn take(wiring: Wiring, (user_id, persona): Key) -> Result<AgentSession, StoreError> {
    let row = match wiring.store.agent_session(user_id, &persona).await? {
        Some(row) => row,
        None => {
            let prefix = wiring.limits.session_prefix.clone();
            let backend = wiring.backend.name().to_owned();
            agent_session(wiring.recorder.write(Write::OpenAgentSession { prefix, user_id, persona, backend }).await?)?
        }
    };
    let lease_until = Timestamp(Timestamp::now().0 + i64::try_from(LEASE.as_millis()).unwrap_or(i64::MAX));
    let take = Write::TakeAgentSession { name: row.name, node: wiring.node.to_string(), lease_until };
    let row = agent_session(wiring.recorder.write(take).await?)?;
    let left = wiring.store.open_turns().await?;
    for turn in left.into_iter().filter(|turn| turn.agent_session == row.name) {
        let events = wiring.store.events_after(turn.turn_id, EventId::START, MAX_RESTORED).await?;
        // Events that were shown and not recorded are lost; their ids shall not come again.
        wiring.streams.restore(turn.turn_id, &events).begin_epoch(row.epoch);
        if turn.state == TurnState::Running {
            let message = "the agent session was restarted while the agent was at work; it may have seen the message";
            closing::settle(wiring.clone(), turn, row.epoch, ErrorCode::Uncertain, message).await;
        }
    }
    Ok(row)
}

/// Ends the turns of a session that failed too often: nobody will run them.
async fn give_up(wiring: Wiring, (user_id, persona): Key) {
    let turns = async {
        let row = wiring.store.agent_session(user_id, &persona).await?;
        Ok::<_, StoreError>((row, wiring.store.open_turns().await?))
    };
    match turns.await {
        Ok((Some(row), turns)) => {
            if let Err(error) = wiring.backend.end(&row.name).await {
                tracing::error!(session = row.name, %error, "the agent of a failed session cannot be ended");
            }
            for turn in turns.into_iter().filter(|turn| turn.agent_session == row.name) {
                let message = "the agent session has failed too often";
                closing::settle(wiring.clone(), turn, row.epoch, ErrorCode::AgentCrashLoop, message).await;
            }
        }
        Ok((None, _)) => {}
        Err(error) => tracing::error!(%error, "turns of a failed session stay open until the next start"),
    }
}

/// Ends a turn that a session left which failed too often.
async fn cancel_left(wiring: Wiring, (user_id, persona): Key, turn_id: TurnId) -> Cancelled {
    let turn = wiring.store.turn(turn_id).await?.filter(|turn| !turn.state.is_final());
    let (Some(turn), Some(row)) = (turn, wiring.store.agent_session(user_id, &persona).await?) else {
        return Ok(false);
    };
    Ok(closing::settle(wiring, turn, row.epoch, ErrorCode::Cancelled, CANCELLED).await.by_us)
}

fn agent_session(written: Written) -> Result<AgentSession, StoreError> {
    match written {
        Written::AgentSession(row) => Ok(*row),
        other => Err(StoreError::Corrupt(format!("unexpected answer {other:?}"))),
    }
}

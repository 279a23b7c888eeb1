//! `sessions`: the directory of the agent sessions, and their supervisor.

mod endings;
mod key;
mod left;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::sync::oneshot;
use uuid::Uuid;

pub use self::key::Key;
use self::left::Taken;
use super::address::Address;
pub use super::session::{Cancelled, Question, Report, SubmitError, Submitted};
use super::session::{SessionActor, SessionMsg};
use super::supervise::{ChildSpec, Children, Verdict};
pub use super::turn::{Answered, NoReply, PersonsReply, ReplyError};
use super::wiring::Wiring;
use crate::backend::BackendError;
use crate::store::StoreError;
use crate::turn::{ErrorCode, TurnId, UserId};

/// Sessions whose rows are taken at once when the directory starts.
const TAKEN_AT_ONCE: usize = 64;
/// Wait before a session's row is tried to be taken again.
const TAKE_AGAIN: Duration = Duration::from_secs(2);

/// A message to the directory.
pub enum SessionsMsg {
    /// Accept this turn, in whichever agent session is to serve it.
    Submit(Box<Question>, oneshot::Sender<Submitted>),
    /// What the table would say to it: the answer, where it makes no turn.
    Foreseen(Box<Question>, oneshot::Sender<Submitted>, Option<Box<Submitted>>),
    /// A session's row was taken under a new epoch, or could not be, for this incarnation of the directory.
    Taken(Key, Uuid, Box<Result<Taken, StoreError>>),
    /// End the agent and every open turn of this session.
    Reset(Key, oneshot::Sender<Result<(), BackendError>>),
    /// End every agent and every open turn of this user.
    ResetAll(UserId, oneshot::Sender<Result<(), BackendError>>),
    /// The conversation that this session serves was deleted, and its turns are over.
    Retire(Key),
    /// Its agent was ended, or could not be; `None` where the session ended meanwhile.
    Retired(Key, Option<Result<(), BackendError>>),
    /// End this turn of the session's, if it is not over, in the name of whoever is named.
    Cancel(Key, TurnId, String, oneshot::Sender<Cancelled>),
    /// Hand this to the session's agent, as a reply to what it asks in this turn.
    Reply(Key, TurnId, PersonsReply, oneshot::Sender<Answered>),
    /// What does this session do? `None` where it has not been needed yet.
    Report(Key, oneshot::Sender<Option<Report>>),
    /// Which sessions are looked after, or are about to be? One that failed too often is not.
    Kept(oneshot::Sender<HashSet<Key>>),
    /// This session has turns that nobody looks after.
    Wake(Key),
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
    /// It failed too often, and what it left is being ended; resets and cancels wait for that.
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
        let mut left = left::by_key(&self.wiring).await?;
        let agents = left::with_agents(&self.wiring, |key| left.contains_key(key)).await;
        left.extend(agents.into_iter().map(|key| (key, Vec::new())));
        // Several at once, so that their writes share commits.
        let taking = left.into_iter().map(|(key, open)| {
            let wiring = self.wiring.clone();
            async move { (key.clone(), left::take_with(wiring, key, open).await) }
        });
        let mut taken = stream::iter(taking).buffer_unordered(TAKEN_AT_ONCE);
        while let Some((key, taken)) = taken.next().await {
            self.start_session(&myself, &mut directory, key, taken?).await?;
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
            SessionsMsg::Submit(question, reply) => self.submit(directory, question, reply),
            SessionsMsg::Foreseen(_, reply, Some(answer)) => drop(reply.send(*answer)),
            SessionsMsg::Foreseen(question, reply, None) => self.admit(directory, question, reply),
            SessionsMsg::Taken(key, incarnation, _) if !directory.awaits(&key, incarnation) => {}
            SessionsMsg::Taken(key, _, taken) => match *taken {
                Ok(taken) => self.start_session(&myself, directory, key, taken).await?,
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
            SessionsMsg::ResetAll(user, reply) => self.reset_all(directory, user, reply),
            SessionsMsg::Retire(key) => self.retire(directory, key),
            SessionsMsg::Retired(key, outcome) => Self::retired(directory, &key, outcome),
            SessionsMsg::Cancel(key, turn_id, by, reply) => self.cancel(directory, key, turn_id, by, reply),
            SessionsMsg::Reply(key, turn_id, said, reply) => match directory.entries.get(&key) {
                Some(Entry::Live(session)) => drop(session.send(SessionMsg::Reply(turn_id, Box::new(said), reply))),
                _ => drop(reply.send(Err(NoReply::NothingAsked.into()))),
            },
            SessionsMsg::Report(key, reply) => self.report(directory, key, reply),
            SessionsMsg::Kept(reply) => drop(reply.send(directory.kept())),
            SessionsMsg::Wake(key) => self.wake(directory, key),
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
        if verdict != Verdict::Forget {
            tracing::error!(user = %key.user_id, ?end, ?verdict, "agent session ended");
        }
        match verdict {
            Verdict::RestartAfter(wait) => {
                directory.entries.insert(key.clone(), Entry::Opening(Vec::new()));
                self.restart_after(directory, key, wait);
            }
            Verdict::GiveUp => {
                self.give_up(directory, key);
            }
            // It left.
            Verdict::Forget => {
                if let Some(Entry::Live(session)) = directory.entries.remove(&key) {
                    self.wiring.registry.leave(session.gauge().path());
                }
            }
        }
        Ok(())
    }
}

impl Directory {
    fn kept(&self) -> HashSet<Key> {
        let kept = self.entries.iter().filter(|(_, entry)| !matches!(entry, Entry::Failed));
        kept.map(|(key, _)| key.clone()).collect()
    }

    /// Whether word of this session is still wanted: by this incarnation, and while the session is being opened.
    fn awaits(&self, key: &Key, incarnation: Uuid) -> bool {
        incarnation == self.incarnation && matches!(self.entries.get(key), Some(Entry::Opening(_)))
    }
}

impl SessionsActor {
    /// Opens a session that is not there; of one that failed too often, ends what is left.
    fn wake(&self, directory: &mut Directory, key: Key) {
        match directory.entries.get(&key) {
            None => {
                directory.entries.insert(key.clone(), Entry::Opening(Vec::new()));
                self.open(directory, key);
            }
            Some(Entry::Failed) => self.give_up(directory, key),
            Some(_) => {}
        }
    }

    fn submit(&self, directory: &mut Directory, question: Box<Question>, reply: oneshot::Sender<Submitted>) {
        let key = question.key(self.wiring.limits.conversations_apart);
        if key.conversation.is_none() || directory.entries.contains_key(&key) {
            return self.admit(directory, question, reply);
        }
        // Only a turn that will be there makes an agent session for its conversation, which may be someone else's.
        let foreseeing = left::foresee(self.wiring.clone(), (*question).clone());
        self.address.pipe(foreseeing, |answer| SessionsMsg::Foreseen(question, reply, answer.map(Box::new)));
    }

    fn admit(&self, directory: &mut Directory, question: Box<Question>, reply: oneshot::Sender<Submitted>) {
        let key = question.key(self.wiring.limits.conversations_apart);
        if matches!(directory.entries.get(&key), Some(Entry::Failed | Entry::GivingUp(_))) {
            let _ = reply.send(Err(SubmitError::Failed));
        } else {
            self.forward(directory, key, SessionMsg::Submit(question, reply));
        }
    }

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

    fn cancel(
        &self,
        directory: &mut Directory,
        key: Key,
        turn_id: TurnId,
        by: String,
        reply: oneshot::Sender<Cancelled>,
    ) {
        match directory.entries.get(&key) {
            // Where all its turns are just being ended, it waits for the outcome.
            Some(Entry::Live(_) | Entry::Opening(_) | Entry::GivingUp(_)) => {
                self.forward(directory, key, SessionMsg::Cancel(turn_id, by, reply));
            }
            Some(Entry::Failed) => self.cancel_left(key, turn_id, by, reply),
            // It never had one that is open.
            None => drop(reply.send(Ok(false))),
        }
    }

    /// Its turns could not be ended with it, and nobody runs them any more.
    fn cancel_left(&self, key: Key, turn_id: TurnId, by: String, reply: oneshot::Sender<Cancelled>) {
        let cancelling = left::cancel(self.wiring.clone(), key, turn_id, by);
        tokio::spawn(async move { drop(reply.send(cancelling.await)) });
    }

    fn open(&self, directory: &Directory, key: Key) {
        let (taking, incarnation) = (left::take(self.wiring.clone(), key.clone()), directory.incarnation);
        self.address.pipe(taking, move |row| SessionsMsg::Taken(key, incarnation, Box::new(row)));
    }

    fn restart_after(&self, directory: &Directory, key: Key, wait: Duration) {
        let incarnation = directory.incarnation;
        self.address.pipe(tokio::time::sleep(wait), move |()| SessionsMsg::Restart(key, incarnation));
    }

    fn give_up(&self, directory: &mut Directory, key: Key) {
        directory.entries.insert(key.clone(), Entry::GivingUp(Vec::new()));
        self.address.pipe(left::give_up(self.wiring.clone(), key.clone()), |()| SessionsMsg::GivenUp(key));
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
        if !waiting.iter().any(|message| matches!(message, SessionMsg::Reset(_))) {
            for message in waiting {
                if let SessionMsg::Cancel(turn_id, by, reply) = message {
                    self.cancel_left(key.clone(), turn_id, by, reply);
                }
            }
        } else {
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
        (row, left): Taken,
    ) -> Result<(), ActorProcessingErr> {
        let known = directory.children.gauge(&key);
        let path = format!("{}/session:{}", self.address.gauge().path(), row.name);
        let gauge = known.unwrap_or_else(|| self.wiring.registry.enter(&path, "session"));
        let address = Address::new(gauge);
        let session = SessionActor { wiring: self.wiring.clone(), address: address.clone(), row };
        match Actor::spawn_linked(None, session, left, myself.get_cell()).await {
            Ok((actor, _)) => {
                directory.children.started(key.clone(), ChildSpec::TRANSIENT, &actor.get_cell(), address.gauge());
                let before = directory.entries.insert(key, Entry::Live(address.clone()));
                if let Some(Entry::Opening(waiting)) = before {
                    for message in waiting {
                        let _ = address.send(message);
                    }
                }
            }
            Err(error) => {
                tracing::error!(user = %key.user_id, %error, "agent session did not start");
                self.give_up(directory, key);
            }
        }
        Ok(())
    }

    fn cannot_open(directory: &mut Directory, key: &Key, error: &StoreError) {
        tracing::error!(user = %key.user_id, %error, "agent session cannot be opened");
        let Some(Entry::Opening(waiting)) = directory.entries.remove(key) else { return };
        for message in waiting {
            match message {
                SessionMsg::Submit(_, reply) => drop(reply.send(Err(error.clone().into()))),
                SessionMsg::Cancel(.., reply) => drop(reply.send(Err(error.clone()))),
                SessionMsg::Reset(reply) => {
                    drop(reply.send(Err(BackendError::new(ErrorCode::StoreUnavailable, error.to_string()))));
                }
                _ => {}
            }
        }
    }

    fn report(&self, directory: &Directory, key: Key, reply: oneshot::Sender<Option<Report>>) {
        let (session, state) = match directory.entries.get(&key) {
            Some(Entry::Live(session)) => (Some(session.clone()), "opening"),
            Some(Entry::Opening(_)) => (None, "opening"),
            Some(Entry::GivingUp(_) | Entry::Failed) => (None, "failed"),
            None => return drop(reply.send(None)),
        };
        let wiring = self.wiring.clone();
        tokio::spawn(async move {
            let told = match session {
                Some(session) => session.ask(SessionMsg::Report).await.ok(),
                None => None,
            };
            match told {
                Some(report) => drop(reply.send(Some(report))),
                // Without a session that could tell, its row does. An asker learns by the drop that this cannot be read.
                None => match left::report(wiring, key, state).await {
                    Ok(report) => drop(reply.send(report)),
                    Err(error) => tracing::error!(%error, "the row of an agent session cannot be read"),
                },
            }
        });
    }
}

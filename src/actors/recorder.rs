//! The recorder: the one writer of the store. What piles up during one commit becomes the next commit, so writes are
//! durable together without waiting for company when the store is idle.

use std::collections::VecDeque;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::oneshot;

use super::address::Address;
use crate::faults;
use crate::store::{SharedStore, StoreError, Write, Written};
use crate::turn::{Event, Timestamp, TurnId};

/// Writes in one transaction.
const MAX_BATCH: usize = 256;
/// How long writes that nobody waits for (events) may linger, so that a stream of them costs few commits. They go along
/// with any write that comes earlier. Half of the 100 ms that the contract allows.
const LINGER: Duration = Duration::from_millis(50);
/// Wait before events that could not be written are tried again.
const RETRY: Duration = Duration::from_millis(500);
/// Longest wait of [`Recorder::write_until_durable`] between two tries.
const RETRY_MAX: Duration = Duration::from_secs(5);

/// A message to the recorder.
pub enum RecorderMsg {
    /// Make this durable as soon as can be.
    Write {
        /// What to write.
        write: Box<Write>,
        /// Told when it is durable or refused.
        reply: oneshot::Sender<Result<Written, StoreError>>,
    },
    /// Make this durable before long; nobody waits.
    Later(Box<Write>),
    /// What nobody waits for has lingered long enough.
    Due,
    /// The commit that was under way is over.
    Committed(Committed),
    /// Told when everything sent before this is durable or refused.
    Flush(oneshot::Sender<()>),
}

/// What became of a commit.
pub struct Committed {
    /// Writes that were made or refused.
    settled: u64,
    /// Where the store took nothing: what it said.
    failed: Option<StoreError>,
    /// What could not be written and nobody waits for.
    put_back: Vec<Pending>,
}

/// A write on its way.
pub struct Pending {
    write: Write,
    reply: Reply,
}

/// Who waits for a write; nobody does for events.
type Reply = Option<oneshot::Sender<Result<Written, StoreError>>>;

/// The handle through which everyone writes.
#[derive(Clone)]
pub struct Recorder {
    address: Address<RecorderMsg>,
}

impl Recorder {
    /// A handle to the recorder at this address.
    pub fn new(address: Address<RecorderMsg>) -> Self {
        Self { address }
    }

    /// Writes, and returns once it is durable.
    ///
    /// # Errors
    /// What the store says; [`StoreError::Unavailable`] also where the recorder itself ended meanwhile, and then it is
    /// unknown whether the write was made.
    pub async fn write(&self, write: Write) -> Result<Written, StoreError> {
        let write = Box::new(write);
        let gone = |_| StoreError::Unavailable("the recorder was restarted".to_owned());
        self.address.ask(|reply| RecorderMsg::Write { write, reply }).await.map_err(gone)?
    }

    /// Writes, and tries again for as long as the store is unavailable. Only for writes that change nothing when they
    /// are made twice.
    ///
    /// # Errors
    /// What is no matter of trying again.
    pub async fn write_until_durable(&self, write: Write) -> Result<Written, StoreError> {
        let mut wait = RETRY;
        loop {
            match self.write(write.clone()).await {
                Err(StoreError::Unavailable(reason)) => {
                    tracing::warn!(reason, "write put off, the store is unavailable");
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(RETRY_MAX);
                }
                outcome => return outcome,
            }
        }
    }

    /// Writes before long, along with whatever else is written; nobody waits.
    pub fn later(&self, write: Write) {
        // Lost where the recorder is just being restarted: the row is the record, and readers get a `resync`.
        let _ = self.address.send(RecorderMsg::Later(Box::new(write)));
    }

    /// Records events that readers have seen already.
    pub fn append(&self, turn_id: TurnId, events: Vec<Event>) {
        self.later(Write::AppendEvents { turn_id, events, at: Timestamp::now() });
    }

    /// Resolves once everything sent before is durable or refused. False where the store takes no writes, or within
    /// `patience` nothing is known.
    pub async fn flush(&self, patience: Duration) -> bool {
        matches!(tokio::time::timeout(patience, self.address.ask(RecorderMsg::Flush)).await, Ok(Ok(())))
    }
}

/// The actor.
pub struct RecorderActor {
    /// Where the writes go.
    pub store: SharedStore,
    /// Its own address.
    pub address: Address<RecorderMsg>,
}

/// What waits, and whether a commit is under way.
#[derive(Default)]
pub struct RecorderState {
    pending: VecDeque<Pending>,
    committing: bool,
    /// A `Due` is on its way.
    lingering: bool,
    /// Writes taken in so far, and those of them that were made or refused: always the earliest ones.
    taken: u64,
    settled: u64,
    /// Who waits until so many are settled.
    flushes: Vec<(u64, oneshot::Sender<()>)>,
}

impl Actor for RecorderActor {
    type Msg = RecorderMsg;
    type State = RecorderState;
    type Arguments = ();

    async fn pre_start(&self, myself: ActorRef<RecorderMsg>, (): ()) -> Result<RecorderState, ActorProcessingErr> {
        self.address.bind(myself);
        Ok(RecorderState::default())
    }

    async fn handle(
        &self,
        _myself: ActorRef<RecorderMsg>,
        message: RecorderMsg,
        state: &mut RecorderState,
    ) -> Result<(), ActorProcessingErr> {
        self.address.gauge().handled();
        faults::point("recorder.handle");
        match message {
            RecorderMsg::Write { write, reply } => {
                state.taken += 1;
                state.pending.push_back(Pending { write: *write, reply: Some(reply) });
                self.commit(state);
            }
            RecorderMsg::Later(write) => {
                state.taken += 1;
                state.pending.push_back(Pending { write: *write, reply: None });
                self.linger(state, LINGER);
            }
            RecorderMsg::Due => {
                state.lingering = false;
                self.commit(state);
            }
            RecorderMsg::Committed(committed) => self.committed(state, committed),
            RecorderMsg::Flush(reply) => {
                state.flushes.push((state.taken, reply));
                Self::answer_flushes(state);
                self.commit(state);
            }
        }
        Ok(())
    }
}

impl RecorderActor {
    fn linger(&self, state: &mut RecorderState, wait: Duration) {
        if !state.lingering {
            state.lingering = true;
            self.address.pipe(tokio::time::sleep(wait), |()| RecorderMsg::Due);
        }
    }

    /// Starts a commit of what waits, unless one is under way: then the end of that one starts the next.
    fn commit(&self, state: &mut RecorderState) {
        if state.committing {
            return;
        }
        if state.pending.is_empty() {
            return;
        }
        state.committing = true;
        let size = state.pending.len().min(MAX_BATCH);
        let batch: Vec<Pending> = state.pending.drain(..size).collect();
        self.address.pipe(write_batch(self.store.clone(), batch), RecorderMsg::Committed);
    }

    fn committed(&self, state: &mut RecorderState, Committed { settled, failed, put_back }: Committed) {
        state.committing = false;
        state.settled += settled;
        Self::answer_flushes(state);
        if let Some(error) = failed
            && !put_back.is_empty()
        {
            // The events come first again. Whoever came meanwhile learns now that the store takes nothing: behind more events
            // than one commit has room for it would wait until the store is back, and its waiting would let us try without end.
            for Pending { write, reply } in put_back.into_iter().chain(std::mem::take(&mut state.pending)) {
                match reply {
                    Some(reply) => {
                        state.settled += 1;
                        drop(reply.send(Err(error.clone())));
                    }
                    None => state.pending.push_back(Pending { write, reply: None }),
                }
            }
            state.flushes.clear();
            self.linger(state, RETRY);
        }
        // Whoever waits for a reply shall not wait for the store to come back.
        let someone_waits = !state.flushes.is_empty() || state.pending.iter().any(|pending| pending.reply.is_some());
        if someone_waits {
            self.commit(state);
        } else if !state.pending.is_empty() {
            self.linger(state, LINGER);
        }
    }

    fn answer_flushes(state: &mut RecorderState) {
        let settled = state.settled;
        let (due, waiting) = std::mem::take(&mut state.flushes).into_iter().partition(|(target, _)| *target <= settled);
        let due: Vec<(u64, oneshot::Sender<()>)> = due;
        state.flushes = waiting;
        state.flushes.retain(|(_, flush)| !flush.is_closed());
        for (_, flush) in due {
            let _ = flush.send(());
        }
    }
}

/// Writes a batch and answers everyone.
async fn write_batch(store: SharedStore, batch: Vec<Pending>) -> Committed {
    let size = batch.len() as u64;
    let (writes, replies): (Vec<Write>, Vec<Reply>) =
        batch.into_iter().map(|pending| (pending.write, pending.reply)).unzip();
    match store.write(&writes).await {
        Ok(results) => {
            for (reply, result) in replies.into_iter().zip(results) {
                match (reply, result) {
                    (Some(reply), result) => drop(reply.send(result)),
                    (None, Err(error)) => tracing::error!(%error, "a write was refused"),
                    (None, Ok(_)) => {}
                }
            }
            Committed { settled: size, failed: None, put_back: Vec::new() }
        }
        Err(error) => {
            tracing::error!(%error, writes = writes.len(), "commit failed");
            let mut put_back = Vec::new();
            for (write, reply) in writes.into_iter().zip(replies) {
                match reply {
                    Some(reply) => drop(reply.send(Err(error.clone()))),
                    None => put_back.push(Pending { write, reply: None }),
                }
            }
            Committed { settled: size - put_back.len() as u64, failed: Some(error), put_back }
        }
    }
}

//! Reads what the spool shows of one turn: whole looks, each telling what is new since the one before.

use std::collections::BTreeMap;

use super::questions::Questions;
use crate::agent::answer::{self, MAX_TRAILER};
use crate::agent::signal::{ActivityState, Signal, SignalLine};
use crate::agent::spool::{Chunk, Spool, SpoolError};
use crate::backend::{AgentEvent, BackendError};
use crate::turn::{ErrorCode, TurnId};

/// Characters of what an agent does.
const MAX_LABEL: usize = 8 * 1024;
/// Pieces of a message that are kept until those before them come.
const MAX_EARLY: usize = 1_000;

/// What one look found.
#[derive(Debug, Default)]
pub struct Seen {
    /// What is new.
    pub events: Vec<AgentEvent>,
    /// How the turn ended, if it did.
    pub ending: Option<AgentEvent>,
    /// Not everything could be read just now: there is more to be seen in a moment, of which no change will tell.
    pub again: bool,
}

/// How far one turn was read.
#[derive(Debug)]
pub struct Reader {
    turn: TurnId,
    /// Bytes that an answer file may have, trailer included.
    limit: u64,
    /// Bytes that a body may have.
    max_response: usize,
    confirmed: bool,
    /// Bytes of `.part` read so far.
    part_read: u64,
    /// It was cut or written anew: nothing more of it is shown, and the whole answer will tell.
    rewritten: bool,
    /// The last bytes of it that are no whole character yet.
    broken: Vec<u8>,
    /// The answer so far.
    text: String,
    /// Bytes of `text` that were reported.
    reported: usize,
    /// What the agent says of its messages, where it does not write its answer to a file.
    said: Said,
    /// What was reported, and not heard yet.
    unheard: Vec<SignalLine>,
    /// How the agent said that it is done.
    over: Option<Over>,
    /// What the agent asks.
    questions: Questions,
}

impl Reader {
    /// Nothing read yet.
    pub fn new(turn: TurnId, max_response: usize) -> Self {
        Self {
            turn,
            limit: (max_response + MAX_TRAILER) as u64,
            max_response,
            confirmed: false,
            part_read: 0,
            rewritten: false,
            broken: Vec::new(),
            text: String::new(),
            reported: 0,
            said: Said::default(),
            unheard: Vec::new(),
            over: None,
            questions: Questions::default(),
        }
    }

    /// The agent was seen to have the message.
    pub fn is_confirmed(&self) -> bool {
        self.confirmed
    }

    /// Looks at everything once. `signals` are what the agent reported since the last look, read before this one: what
    /// they tell of was in the files by then. An answer file that is not `whole` (see [`SpoolWatch::is_whole`]) is taken only
    /// where the agent says that it is done with it, and not where it failed or was interrupted.
    ///
    /// [`SpoolWatch::is_whole`]: crate::agent::watch::SpoolWatch::is_whole
    ///
    /// # Errors
    /// `response_invalid` or `response_too_large` for files that are not what they must be; `upstream_error` where the
    /// system does not let us read.
    pub fn look(&mut self, signals: Vec<SignalLine>, spool: &Spool, whole: bool) -> Result<Seen, BackendError> {
        let mut seen = Seen::default();
        self.unheard.extend(signals);
        // Nothing is heard before the files could be read, so nothing is lost where they cannot.
        let (answer, part) = match self.files(spool, whole) {
            Err(error) if error.is_passing() => return Ok(Seen { again: true, ..seen }),
            files => files.map_err(refused)?,
        };
        for line in std::mem::take(&mut self.unheard) {
            match line.signal {
                Signal::Said { turn_id, message, index, text } if turn_id == self.turn => {
                    self.confirmed = true;
                    self.said.take(message, index, text);
                    if let Some(delta) = self.say()? {
                        seen.events.push(AgentEvent::Delta(delta));
                    }
                }
                signal => self.hear(signal, &mut seen.events),
            }
        }
        if let Some(answer) = answer {
            self.confirmed = true;
            if whole || matches!(self.over, Some(Over::Stopped(_))) {
                seen.ending = Some(AgentEvent::Done(self.whole(answer)?));
                return Ok(seen);
            }
        }
        if let Some(chunk) = part {
            self.confirmed = true;
            if let Some(delta) = self.part(chunk)? {
                // Before what was reported: an agent that waits for a person writes nothing, so the text came first, and
                // does not say that the agent goes on.
                seen.events.insert(0, AgentEvent::Delta(delta));
            }
        }
        match &self.over {
            Some(over) => match self.ending(over, spool) {
                Ok(ending) => seen.ending = Some(ending?),
                Err(_) => seen.again = true,
            },
            None => seen.events.extend(self.questions.given_up(spool)),
        }
        Ok(seen)
    }

    /// The answer, and what is new of the partial one, which matters only where the former is not there and whole.
    fn files(&self, spool: &Spool, whole: bool) -> Result<(Option<Vec<u8>>, Option<Chunk>), SpoolError> {
        let answer = spool.read_answer(self.turn, self.limit)?;
        if self.rewritten || (whole && answer.is_some()) {
            return Ok((answer, None));
        }
        Ok((answer, spool.read_part(self.turn, self.part_read, self.limit)?))
    }

    fn hear(&mut self, signal: Signal, events: &mut Vec<AgentEvent>) {
        if signal.turn_id() != Some(self.turn) || matches!(signal, Signal::Transcript { .. }) {
            return;
        }
        self.confirmed = true;
        events.extend(match signal {
            Signal::Activity { label, state, .. } => {
                let label = label.chars().take(MAX_LABEL).collect();
                Some(AgentEvent::Activity((state == ActivityState::Started).then_some(label)))
            }
            Signal::Attention { kind, prompt, options, name, reply, .. } => {
                Some(self.questions.asked(kind, prompt, options, (name, reply)))
            }
            Signal::AttentionOver { name, .. } => {
                self.questions.over(name.as_ref());
                Some(AgentEvent::AttentionOver { name })
            }
            Signal::Heartbeat { .. } => Some(AgentEvent::Heartbeat),
            Signal::Stopped { message, .. } => {
                self.over = Some(Over::Stopped(message));
                None
            }
            Signal::Failed { message, .. } => {
                self.over = Some(Over::Failed(message));
                None
            }
            Signal::Interrupted { .. } => {
                self.over = Some(Over::Failed("the agent was interrupted".to_owned()));
                None
            }
            Signal::Ready { .. } | Signal::Submitted { .. } | Signal::Said { .. } | Signal::Transcript { .. } => None,
        });
    }

    /// The agent is done, and there is no answer file. The error is a passing one.
    fn ending(&self, over: &Over, spool: &Spool) -> Result<Result<AgentEvent, BackendError>, SpoolError> {
        let failed = |message: &str| Ok(Err(BackendError::new(ErrorCode::UpstreamError, message)));
        let answer = match over {
            Over::Stopped(Some(message)) => message.clone().into_bytes(),
            // Then the partial answer is the whole one: read anew, since the agent may have changed it on the way.
            Over::Stopped(None) => match spool.read_part(self.turn, 0, self.limit) {
                Ok(Some(part)) if !part.bytes.is_empty() => part.bytes,
                Ok(_) => return failed("the agent stopped without an answer"),
                Err(error) if error.is_passing() => return Err(error),
                Err(error) => return Ok(Err(refused(error))),
            },
            Over::Failed(message) => return failed(message),
        };
        Ok(self.whole(answer).map(AgentEvent::Done))
    }

    fn whole(&self, bytes: Vec<u8>) -> Result<String, BackendError> {
        let text = String::from_utf8(bytes).map_err(|_| invalid("the answer is not UTF-8"))?;
        let body = answer::read(&text).body.len();
        if body > self.max_response { Err(too_large(body)) } else { Ok(text) }
    }

    /// Takes up what the agent has said, unless it writes its answer to a file; returns what may be shown of it.
    fn say(&mut self) -> Result<Option<String>, BackendError> {
        if self.part_read > 0 || self.rewritten {
            return Ok(None);
        }
        self.text.push_str(&self.said.next(self.text.is_empty()));
        self.shown()
    }

    /// Takes up what was appended to the partial answer; returns what may be shown of it.
    fn part(&mut self, chunk: Chunk) -> Result<Option<String>, BackendError> {
        if chunk.start < self.part_read {
            self.rewritten = true;
            return Ok(None);
        }
        self.part_read += chunk.bytes.len() as u64;
        self.broken.extend(chunk.bytes);
        let whole = match std::str::from_utf8(&self.broken) {
            Ok(text) => text.len(),
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            Err(_) => {
                // Cut and written anew to a greater length, or never text: the whole answer will tell.
                self.rewritten = true;
                return Ok(None);
            }
        };
        let rest = self.broken.split_off(whole);
        let characters = std::mem::replace(&mut self.broken, rest);
        self.text.push_str(&String::from_utf8_lossy(&characters));
        self.shown()
    }

    /// What may be shown of the text that was not before.
    fn shown(&mut self) -> Result<Option<String>, BackendError> {
        if self.text.len() > self.limit as usize {
            return Err(too_large(self.text.len()));
        }
        let settled = answer::settled(&self.text).len();
        if settled <= self.reported {
            return Ok(None);
        }
        let delta = self.text[self.reported..settled].to_owned();
        self.reported = settled;
        Ok(Some(delta))
    }
}

/// The messages that an agent says in a turn, one after the other, as pieces that may come in any order.
#[derive(Debug, Default)]
struct Said {
    /// The message that is being said, and which piece of it is next.
    message: Option<(String, u32)>,
    /// Pieces that came too early.
    early: BTreeMap<u32, String>,
    /// What can be taken up.
    ready: String,
}

impl Said {
    fn take(&mut self, message: String, index: u32, text: String) {
        let next = match &mut self.message {
            Some((current, next)) if *current == message => next,
            before => {
                // Shown as one text until the whole answer is known, which is the last message.
                if before.is_some() && !self.ready.ends_with("\n\n") {
                    self.ready.push_str("\n\n");
                }
                self.early.clear();
                &mut before.insert((message, 0)).1
            }
        };
        if index >= *next && self.early.len() < MAX_EARLY {
            self.early.insert(index, text);
        }
        while let Some(text) = self.early.remove(next) {
            self.ready.push_str(&text);
            *next += 1;
        }
    }

    /// What was not taken up yet. The answer itself has no blank at its beginning.
    fn next(&mut self, first: bool) -> String {
        let text = std::mem::take(&mut self.ready);
        if first { text.trim_start().to_owned() } else { text }
    }
}

/// How the agent says that it is done.
#[derive(Debug)]
enum Over {
    Stopped(Option<String>),
    Failed(String),
}

fn invalid(message: &str) -> BackendError {
    BackendError::new(ErrorCode::ResponseInvalid, message)
}

fn too_large(bytes: usize) -> BackendError {
    BackendError::new(ErrorCode::ResponseTooLarge, format!("the answer has {bytes} bytes"))
}

/// What it means for a turn that a file of the spool was not used.
pub fn refused(error: SpoolError) -> BackendError {
    let code = match error {
        SpoolError::Invalid { .. } => ErrorCode::ResponseInvalid,
        SpoolError::TooLarge { .. } => ErrorCode::ResponseTooLarge,
        SpoolError::Io { .. } => ErrorCode::UpstreamError,
    };
    BackendError::new(code, error.to_string())
}

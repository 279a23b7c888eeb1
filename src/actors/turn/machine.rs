//! The turn as a pure state machine: `(state, input) -> (state, effects)`. No I/O, no clock; the actor beside it
//! performs the effects.

mod questions;

use serde_json::{Value, json};

use self::questions::Asked;
pub use self::questions::{NoReply, OpenQuestion};
use crate::agent::answer;
use crate::backend::{AgentEvent, Fate};
use crate::streams::log::Told;
use crate::turn::{DIALOG, ErrorCode, EventKind, Outcome};

/// Where the run of a turn stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// The agent is being made ready; nothing is known of the turn outside its row.
    Preparing,
    /// The intent to type is on its way to the store.
    Claiming,
    /// The backend has it; whether the agent does is not known yet.
    Delivering,
    /// The agent has it.
    Answering,
    /// The end is on its way to the store.
    Finishing,
    /// The end is durable, or the turn is not ours.
    Over,
}

/// What happens to a turn.
#[derive(Clone, PartialEq, Debug)]
pub enum Input {
    /// The agent is ready at this place.
    Ready(String),
    /// The agent that an earlier owner had chosen for the turn is gone.
    Gone(Fate),
    /// There is no agent.
    NotReady(ErrorCode, String),
    /// The intent is durable.
    Claimed,
    /// The row was not queued any more.
    ClaimLost,
    /// The backend reports.
    Agent(AgentEvent),
    /// The backend stopped reporting without a final event.
    Vanished,
    /// No sign of life for so many seconds.
    Silent(u64),
    /// The turn takes longer than it may, which is so many seconds.
    Overdue(u64),
    /// Someone ends the turn: with `cancelled` by its user, else it fails with this code.
    End(ErrorCode, String),
    /// The end is durable.
    Recorded,
}

/// What is to be done.
#[derive(Clone, PartialEq, Debug)]
pub enum Effect {
    /// Make an agent ready.
    Open,
    /// Commit the intent to type at this place.
    Claim(String),
    /// Hand the turn to the backend.
    Deliver,
    /// Record that the agent has the turn; and tell it, unless that was done before.
    Start {
        /// See above.
        tell: bool,
    },
    /// Show and record an event.
    Emit(EventKind, Value),
    /// The agent does something, or nothing special any more.
    Activity(Option<String>),
    /// The agent waits for a person, or does so no more.
    Attention(bool),
    /// Take no more from the backend.
    Detach,
    /// Commit the end. Where `streamed`, the answer was shown piece by piece.
    Finish {
        /// How it ended.
        outcome: Outcome,
        /// What `end` tells.
        streamed: bool,
    },
    /// Drop the turn's files, and stop.
    Close,
    /// Stop; someone else looks after the row.
    Abandon,
}

/// The state.
#[derive(Clone, PartialEq, Debug)]
pub struct Machine {
    phase: Phase,
    /// The answer's body as far as it was shown.
    shown: String,
    /// The backend was asked to deliver the turn.
    delivered: bool,
    /// The turn has a complete answer, or the agent is known to be idle or gone.
    settled: bool,
    /// How often the agent asked a person.
    attentions: u32,
    /// What it asks now; the last one is the one that is put to a person.
    asked: Vec<Asked>,
    /// Bytes of questions that may still be put to a person again.
    again: usize,
    /// What an earlier owner has told already.
    told: Told,
    /// What the agent reported to an earlier owner is still being read anew.
    behind: bool,
    /// How many questions were read anew.
    read: u32,
    /// The answer as it is read anew by a later owner, until it has come as far as it was shown before.
    catching_up: Option<String>,
    /// The turn was begun by an earlier owner, and its agent is being looked for.
    resumed: bool,
    /// The agent was given up, and may come to an answer all the same.
    given_up: bool,
}

/// What the agent may do with a turn that is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Leaves {
    /// Nothing.
    Idle,
    /// It works on it, to no purpose.
    Busy,
    /// It has answered, and has not said yet that it is done.
    Answered,
    /// It may come to an answer, which is still wanted.
    GivenUp,
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            phase: Phase::Preparing,
            shown: String::new(),
            delivered: false,
            settled: false,
            attentions: 0,
            asked: Vec::new(),
            again: questions::AGAIN,
            told: Told::default(),
            behind: false,
            read: 0,
            catching_up: None,
            resumed: false,
            given_up: false,
        }
    }
}

impl Machine {
    /// A turn whose intent to type was committed by an earlier owner, which told this much of it.
    pub fn resumed(mut told: Told) -> Self {
        let (shown, attentions) = (std::mem::take(&mut told.text), told.attentions);
        let catching_up = Some(String::new()).filter(|_| !shown.is_empty());
        Self { shown, delivered: true, attentions, told, behind: true, catching_up, resumed: true, ..Self::default() }
    }

    /// What the agent may do with the turn although it is over. `has_ended`: nothing more is to be heard of it.
    pub fn leaves(&self, has_ended: bool) -> Leaves {
        match (self.delivered, self.settled, self.given_up) {
            (false, ..) => Leaves::Idle,
            (true, true, _) => {
                if has_ended {
                    Leaves::Idle
                } else {
                    Leaves::Answered
                }
            }
            (true, false, true) => Leaves::GivenUp,
            (true, false, false) => Leaves::Busy,
        }
    }

    /// The intent to type was committed before.
    pub fn is_resumed(&self) -> bool {
        self.resumed
    }

    /// Takes one step.
    #[must_use]
    pub fn step(self, input: Input) -> (Self, Vec<Effect>) {
        match (self.phase, input) {
            (Phase::Preparing, Input::Ready(place)) => (self.enter(Phase::Claiming), vec![Effect::Claim(place)]),
            (Phase::Preparing, Input::NotReady(code, message)) => self.fail(code, message),
            (Phase::Preparing, Input::Gone(fate)) => self.gone(fate),
            (Phase::Claiming, Input::Claimed) => {
                (Self { delivered: true, ..self.enter(Phase::Delivering) }, vec![Effect::Deliver])
            }
            (Phase::Claiming, Input::ClaimLost) => (self.enter(Phase::Over), vec![Effect::Abandon]),
            (Phase::Delivering, Input::Agent(AgentEvent::Started)) => {
                let tell = !self.told.started;
                (self.enter(Phase::Answering), vec![Effect::Start { tell }])
            }
            (Phase::Delivering | Phase::Answering, Input::Agent(event)) => self.hear(event),
            (Phase::Delivering | Phase::Answering, Input::Vanished) => {
                self.fail(ErrorCode::UpstreamError, "the backend stopped reporting".to_owned())
            }
            (Phase::Delivering | Phase::Answering, Input::Silent(seconds)) => {
                let message = format!("the agent has given no sign of life for {seconds} s");
                Self { given_up: true, ..self }.fail(ErrorCode::UpstreamSilence, message)
            }
            (Phase::Delivering | Phase::Answering, Input::Overdue(seconds)) => {
                let message = format!("the turn has taken longer than {seconds} s");
                Self { given_up: true, ..self }.fail(ErrorCode::Timeout, message)
            }
            (Phase::Preparing | Phase::Claiming | Phase::Delivering | Phase::Answering, Input::End(code, message)) => {
                self.fail(code, message)
            }
            (Phase::Finishing, Input::Recorded) => (self.enter(Phase::Over), vec![Effect::Close]),
            // Late news of something that is decided already.
            (_, _) => (self, Vec::new()),
        }
    }

    fn enter(self, phase: Phase) -> Self {
        Self { phase, ..self }
    }

    /// What is known of the turn decides how it ends; one that was not typed begins anew.
    fn gone(self, fate: Fate) -> (Self, Vec<Effect>) {
        match fate {
            Fate::Answered(text) => self.answer(&text),
            Fate::NotTyped => (Self { delivered: false, ..self }, vec![Effect::Open]),
            Fate::Died { how, said } => {
                let message = format!("the agent {how} while nobody followed the turn");
                let (machine, mut effects) = Self { settled: true, ..self }.show(said);
                let (machine, end) = machine.fail(ErrorCode::AgentDied, message);
                effects.extend(end);
                (machine, effects)
            }
            Fate::Unknown => {
                let message = "the agent is gone, and it is not known whether it had the message";
                Self { settled: true, ..self }.fail(ErrorCode::Uncertain, message.to_owned())
            }
        }
    }

    fn hear(mut self, event: AgentEvent) -> (Self, Vec<Effect>) {
        match event {
            AgentEvent::Started | AgentEvent::Heartbeat => (self, Vec::new()),
            AgentEvent::CaughtUp => self.caught_up(),
            AgentEvent::Delta(delta) => match self.catching_up.take() {
                Some(read) => self.catch_up(read + &delta),
                None => {
                    self.shown.push_str(&delta);
                    let data = json!({ "delta": delta, "streamed": true });
                    self.goes_on(Effect::Emit(EventKind::Content, data))
                }
            },
            AgentEvent::Activity(activity) => self.goes_on(Effect::Activity(activity)),
            AgentEvent::Attention { kind, prompt, options, name, reply } => {
                self.ask(Asked { kind, prompt, options, name, is_told: reply, is_seen: false })
            }
            AgentEvent::Dialog(prompt) => {
                let (kind, options) = (DIALOG.to_owned(), Vec::new());
                self.ask(Asked { kind, prompt, options, name: None, is_told: true, is_seen: true })
            }
            AgentEvent::AttentionOver { name: None } => self.goes_on(None),
            AgentEvent::AttentionOver { name } => self.drop_questions(|asked| asked.name == name),
            AgentEvent::Done(text) => self.answer(&text),
            AgentEvent::Error { code, message } => {
                self.settled = code == ErrorCode::AgentDied;
                self.fail(code, message)
            }
        }
    }

    /// A later owner reads the answer anew: what was shown before is not shown again, unless it has become another text.
    fn catch_up(mut self, read: String) -> (Self, Vec<Effect>) {
        if read.len() < self.shown.len() && self.shown.starts_with(&read) {
            self.catching_up = Some(read);
            return self.goes_on(None);
        }
        let (machine, news) = self.show(read);
        let (machine, over) = machine.goes_on(None);
        (machine, news.into_iter().chain(over).collect())
    }

    /// Shows what this has more than what was shown, or all of it where that has become another text.
    fn show(mut self, read: String) -> (Self, Vec<Effect>) {
        let news = match read.strip_prefix(self.shown.as_str()) {
            Some("") => None,
            Some(rest) => Some(Effect::Emit(EventKind::Content, json!({ "delta": rest, "streamed": true }))),
            // Less than was shown before: it was cut, or never came that far.
            None if self.shown.starts_with(&read) => return (self, Vec::new()),
            None => Some(Effect::Emit(EventKind::Resync, json!({ "text": read }))),
        };
        self.shown = read;
        (self, news.into_iter().collect())
    }

    /// Whatever was shown, what the client holds at the end is the body.
    fn answer(mut self, text: &str) -> (Self, Vec<Effect>) {
        let answer = answer::read(text);
        let streamed = !self.shown.is_empty();
        let last = match answer.body.strip_prefix(self.shown.as_str()) {
            Some("") => None,
            Some(rest) if streamed => Some((EventKind::Content, json!({ "delta": rest, "streamed": true }))),
            Some(whole) => Some((EventKind::Content, json!({ "text": whole }))),
            None => Some((EventKind::Resync, json!({ "text": answer.body }))),
        };
        self.shown.clone_from(&answer.body);
        self.settled = true;
        self.asked.clear();
        let finish = Effect::Finish { outcome: Outcome::Done(answer), streamed };
        let effects = last.map(|(kind, data)| Effect::Emit(kind, data)).into_iter().chain([Effect::Detach, finish]);
        (self.enter(Phase::Finishing), effects.collect())
    }

    fn fail(mut self, code: ErrorCode, message: String) -> (Self, Vec<Effect>) {
        let partial = Some(self.shown.clone()).filter(|shown| !shown.is_empty());
        let streamed = partial.is_some();
        self.asked.clear();
        let outcome = match code {
            ErrorCode::Cancelled => Outcome::Cancelled { partial },
            code => Outcome::Failed { code, message, partial },
        };
        (self.enter(Phase::Finishing), vec![Effect::Detach, Effect::Finish { outcome, streamed }])
    }
}

#[cfg(test)]
mod tests;

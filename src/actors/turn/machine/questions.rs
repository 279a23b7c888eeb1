//! What the agent asks of a person in a turn. It may ask several things at once; one of them is put to the person.

use serde_json::{Value, json};

use super::super::vigil::Rest;
use super::{Effect, Machine};
use crate::agent::envelope;
use crate::agent::question::{self, QuestionName};
use crate::turn::{DIALOG, EventKind};

/// Questions that an agent may ask at once; the first of more is not put to a person any more.
const MAX_QUESTIONS: usize = 256;
/// Bytes of questions that are put to a person again in a turn, beyond as many as the agent has asked: what a turn costs is
/// in proportion to what its agent says, however often its questions come and go.
pub(super) const AGAIN: usize = 256 * 1024;
/// Characters that are shown of a question beyond that.
const MAX_BEGINNING: usize = 100;

/// What the agent asks of a person.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Asked {
    pub(super) kind: String,
    pub(super) prompt: String,
    pub(super) options: Vec<String>,
    /// Such a question stays open until that very one is over, whatever else the agent does meanwhile.
    pub(super) name: Option<QuestionName>,
    /// When it is over, that will be told.
    pub(super) is_told: bool,
    /// It is seen in the terminal now.
    pub(super) is_seen: bool,
}

impl Asked {
    /// The data of the event that tells it.
    fn data(&self) -> Value {
        let mut data = json!({ "kind": self.kind, "prompt": self.prompt, "options": self.options });
        if let Some(name) = &self.name {
            data["name"] = json!(name);
        }
        data
    }

    /// It is answered in the terminal, and by no reply.
    fn is_dialog(&self) -> bool {
        self.kind == DIALOG
    }

    fn length(&self) -> usize {
        question::length(&self.prompt, &self.options)
    }

    /// The same as one for the terminal, of which not all is shown.
    fn shortened(&mut self) {
        let beginning: String = self.prompt.chars().take(MAX_BEGINNING).collect();
        self.prompt =
            format!("This is decided in the agent's terminal: it has asked too much. It begins with:\n{beginning}…");
        self.options.clear();
        DIALOG.clone_into(&mut self.kind);
    }
}

/// A question of the agent's that can be replied to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpenQuestion {
    /// Which of its questions in this turn (1, 2, …).
    pub number: u32,
    /// See [`AgentEvent::Attention`](crate::backend::AgentEvent::Attention).
    pub name: Option<QuestionName>,
}

/// Why a reply is not handed to the agent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoReply {
    /// The agent asks nothing, or not any more.
    #[error("nothing is being asked, or it was answered already")]
    NothingAsked,
    /// A dialog is open in its terminal, to which nothing is typed.
    #[error("this is answered in the agent's terminal only")]
    InTerminal,
    /// It asks for leave, and this is none of the answers to choose from.
    #[error("the reply must be one of the options")]
    NotAnOption,
}

impl Machine {
    /// Which of its questions in this turn (1, 2, …) the agent waits for, if it does and takes a reply.
    pub fn asks(&self) -> Option<u32> {
        self.asked.last().filter(|asked| !asked.is_dialog() && !self.behind).map(|_| self.attentions)
    }

    /// A person may be waited for: what an earlier owner has told last is a question, and it is not known whether it is over.
    pub fn may_ask(&self) -> bool {
        self.behind && self.told.asked.is_some()
    }

    /// How time counts while the agent waits for a person. What it reports of a question that is decided in the terminal may
    /// be all that is ever heard of it: that somebody refuses, say, no program tells.
    pub fn rest(&self) -> Rest {
        match self.asked.as_slice() {
            [] => Rest::Nothing,
            asked if asked.iter().all(|asked| asked.name.is_some() && !asked.is_told) => Rest::Silence,
            _ => Rest::Both,
        }
    }

    /// Whether this line may be handed to the agent as a reply, and to which of its questions.
    pub fn reply(&self, line: &str) -> Result<OpenQuestion, NoReply> {
        let asked = self.asked.last().ok_or(NoReply::NothingAsked)?;
        if asked.is_dialog() {
            return Err(NoReply::InTerminal);
        }
        // Until all is read anew, it is not known which question a person means.
        if self.behind {
            return Err(NoReply::NothingAsked);
        }
        // An option is typed as any text is.
        let chosen = asked.options.is_empty() || asked.options.iter().any(|option| envelope::line(option) == line);
        let question = || OpenQuestion { number: self.attentions, name: asked.name.clone() };
        if asked.kind == "permission" && !chosen { Err(NoReply::NotAnOption) } else { Ok(question()) }
    }

    /// The agent asks this, in the place of what it goes on from, and of what it asked under the same name.
    pub(super) fn ask(mut self, asked: Asked) -> (Self, Vec<Effect>) {
        self.asked.retain(|other| other.name.is_some() && other.name != asked.name);
        if self.asked.len() == MAX_QUESTIONS {
            self.asked.remove(0);
        }
        self.again = self.again.saturating_add(asked.length());
        self.asked.push(asked);
        self.put()
    }

    /// Puts the last question to a person. Every time it is a new one to them, which has a number of its own.
    fn put(mut self) -> (Self, Vec<Effect>) {
        let Some(asked) = self.asked.last() else {
            // Until all is read anew, what was told last may still be asked.
            let waits = self.may_ask();
            return (self, vec![Effect::Attention(waits)]);
        };
        // What was reported may be over, as later reports tell.
        if self.behind && !asked.is_seen {
            self.read += u32::from(!asked.is_dialog());
            return (self, vec![Effect::Attention(true)]);
        }
        let data = asked.data();
        self.attentions += u32::from(!asked.is_dialog());
        if self.behind {
            self.told.asked = Some(data.clone());
        }
        (self, vec![Effect::Emit(EventKind::Attention, data), Effect::Attention(true)])
    }

    /// All that an earlier owner may have heard is read anew: the question that is open is put to a person, unless it is the
    /// one that was put to them last, which keeps its number.
    pub(super) fn caught_up(mut self) -> (Self, Vec<Effect>) {
        if !std::mem::take(&mut self.behind) {
            return (self, Vec::new());
        }
        let Some(asked) = self.asked.last() else { return (self, vec![Effect::Attention(false)]) };
        // Without a name it may be asked a second time.
        let is_known = asked.name.is_some() || asked.is_dialog() || self.read == self.told.attentions;
        if is_known && self.told.asked.take() == Some(asked.data()) {
            return (self, vec![Effect::Attention(true)]);
        }
        // One that was put before may not have been recorded. What is typed in reply bears its number.
        if !asked.is_dialog() {
            self.attentions = self.attentions.max(self.read.saturating_sub(1));
        }
        self.put()
    }

    /// These are not asked any more: the one before the last is put to a person again, if the last is one of them.
    pub(super) fn drop_questions(mut self, is_over: impl Fn(&Asked) -> bool) -> (Self, Vec<Effect>) {
        let is_last_over = self.asked.last().is_some_and(&is_over);
        self.asked.retain(|asked| !is_over(asked));
        if !is_last_over {
            return (self, Vec::new());
        }
        if let Some(asked) = self.asked.last_mut() {
            match self.again.checked_sub(asked.length()) {
                Some(rest) => self.again = rest,
                // Leave is given only for what is shown.
                None => asked.shortened(),
            }
        }
        self.put()
    }

    /// The agent does something again: it asks no more, save for the questions that have a name. Several tools may run at
    /// once, and one of them waits.
    pub(super) fn goes_on(self, effect: impl Into<Option<Effect>>) -> (Self, Vec<Effect>) {
        let (machine, over) = self.drop_questions(|asked| asked.name.is_none());
        (machine, effect.into().into_iter().chain(over).collect())
    }
}

//! What the agent asks of a person in a turn. It may ask several things at once; one of them is put to the person.

use serde_json::json;

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
}

impl Asked {
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
        self.asked.last().filter(|asked| !asked.is_dialog() && self.is_abreast()).map(|_| self.attentions)
    }

    /// The agent waits for a person.
    pub fn waits(&self) -> bool {
        !self.asked.is_empty()
    }

    /// A later owner reads the questions anew: until it has come to the last one that was told, it does not know which one
    /// a person means.
    fn is_abreast(&self) -> bool {
        self.attentions >= self.told.attentions
    }

    /// Whether this line may be handed to the agent as a reply, and to which of its questions.
    pub fn reply(&self, line: &str) -> Result<OpenQuestion, NoReply> {
        let asked = self.asked.last().ok_or(NoReply::NothingAsked)?;
        if asked.is_dialog() {
            return Err(NoReply::InTerminal);
        }
        if !self.is_abreast() {
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
        let Some(asked) = self.asked.last() else { return (self, vec![Effect::Attention(false)]) };
        // A dialog is none of the agent's questions, which a later owner reads and counts anew.
        self.attentions += u32::from(!asked.is_dialog());
        let is_news = asked.is_dialog() || self.attentions > self.told.attentions;
        let data = json!({ "kind": asked.kind, "prompt": asked.prompt, "options": asked.options });
        let told = is_news.then_some(Effect::Emit(EventKind::Attention, data));
        (self, told.into_iter().chain([Effect::Attention(true)]).collect())
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

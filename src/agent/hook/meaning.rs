//! What the events of agent programs mean. Claude Code's names and fields are those of its hooks reference,
//! <https://code.claude.com/docs/en/hooks>; codex has taken most of them over (<https://developers.openai.com/codex/hooks>).
//! Fields that are missing or of another type count as absent: the references grow with every version.

use std::path::PathBuf;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::leave;
use super::memory::{Asked, Open, OpenTurn};
use crate::agent::envelope::MARKER;
use crate::agent::question::{self, MAX_QUESTION};
use crate::agent::signal::{ActivityState, AttentionKind, Signal};
use crate::turn::TurnId;

/// Bytes of an answer that are reported. More than any model writes in one message.
const MAX_ANSWER: usize = 2 * 1024 * 1024;
/// Characters of a tool's label.
const MAX_LABEL: usize = 120;
/// Characters of a question, where no leave is asked.
const MAX_PROMPT: usize = 2_000;
/// Characters of an error and of one answer to choose from.
const MAX_LINE: usize = 300;

/// The reply that gives leave.
pub(super) const ALLOW: &str = "allow";
/// The reply that does not.
const DENY: &str = "deny";

/// The tool by which Claude Code's model asks the person something (reference, "PreToolUse input").
const ASK: &str = "AskUserQuestion";

/// What one event of an agent program means.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Meaning {
    /// What is reported, in this order.
    pub signals: Vec<Signal>,
    /// What becomes of the open turn.
    pub then: Then,
    /// A person is asked this from now on.
    pub asks: Option<Asked>,
    /// This is not asked any more; before anything else it is reported, unless that was done.
    pub over: Option<Asked>,
    /// The hook waits for a person's reply to this.
    pub awaits: Option<Question>,
}

/// What becomes of the open turn after an event.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) enum Then {
    /// Nothing.
    #[default]
    Same,
    /// It is this one, which asks nothing yet.
    Open(OpenTurn),
    /// There is none.
    Closed,
}

/// A question to which a hook waits for the reply.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Question {
    /// What it may be, of what is asked already: where the agent asks the same twice, the first one for which no other hook
    /// waits. Where there is none, it is asked from now on.
    pub told: Vec<Asked>,
    /// That.
    pub fresh: Asked,
    /// What a person is told.
    pub words: Words,
    /// What the tool `AskUserQuestion` was given; `None` where leave is asked.
    pub input: Option<Value>,
}

/// What a person is asked, in words.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Words {
    /// What is wanted.
    pub kind: AttentionKind,
    /// What is asked.
    pub prompt: String,
    /// The answers to choose from; empty where any text will do.
    pub options: Vec<String>,
    /// They tell all that a person has to know who replies.
    pub is_whole: bool,
}

impl Words {
    /// What tells that this is asked.
    pub(super) fn signal(&self, asked: &Asked) -> Signal {
        let Self { kind, prompt, options, .. } = self.clone();
        let (name, reply) = match asked.told_name() {
            name if asked.reply => (None, name),
            name => (name, None),
        };
        Signal::Attention { turn_id: asked.turn_id, kind, prompt, options, name, reply }
    }
}

/// What an event means while `open` is the open turn. With `reply`, a person's reply comes by way of the hook.
pub(super) fn of(event: &Value, open: Option<&Open>, reply: bool) -> Meaning {
    match text(event, "hook_event_name") {
        "SessionStart" => session_start(event),
        "UserPromptSubmit" => submitted(event, open),
        name => match open {
            Some(turn) => in_turn(name, event, turn, reply),
            None => Meaning::default(),
        },
    }
}

/// `source` is startup, resume, clear or compact; only a compaction happens in mid-turn.
fn session_start(event: &Value) -> Meaning {
    let resume_id = Some(text(event, "session_id")).filter(|id| !id.is_empty()).map(str::to_owned);
    let then = if text(event, "source") == "compact" { Then::Same } else { Then::Closed };
    Meaning { signals: vec![Signal::Ready { resume_id }], then, ..Meaning::default() }
}

/// A prompt without an envelope was typed by a person at the terminal. While a turn runs it joins that turn, under the same
/// name: the agent answers both, and stops once. Under another name the turn is over, which not all ends tell.
fn submitted(event: &Value, open: Option<&Open>) -> Meaning {
    // `prompt_id` is Claude Code's, `turn_id` codex's.
    let prompt = ["prompt_id", "turn_id"].map(|field| text(event, field)).into_iter().find(|id| !id.is_empty());
    let prompt = prompt.map(|prompt| cut(prompt, MAX_LABEL));
    let Some(turn_id) = submitted_turn(text(event, "prompt")) else {
        let running = open.and_then(|open| open.turn.prompt.as_ref());
        let is_another = running.zip(prompt.as_ref()).is_some_and(|(running, prompt)| running != prompt);
        let over = open.filter(|_| is_another).map(|open| ends(Signal::Interrupted { turn_id: open.turn.turn_id }));
        return over.unwrap_or_default();
    };
    let path = PathBuf::from(text(event, "transcript_path"));
    // Claude Code writes its transcript lazily: it may not be there yet.
    let from = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
    let transcript = prompt.clone().filter(|_| path.is_absolute());
    let transcript = transcript.map(|prompt| Signal::Transcript { turn_id, path, from, prompt });
    let signals = [Signal::Submitted { turn_id }].into_iter().chain(transcript).collect();
    Meaning { signals, then: Then::Open(OpenTurn { turn_id, prompt }), ..Meaning::default() }
}

fn submitted_turn(prompt: &str) -> Option<TurnId> {
    let head = prompt.trim_start().strip_prefix(MARKER)?;
    head[..head.find([']', ' '])?].parse().ok()
}

fn in_turn(name: &str, event: &Value, open: &Open, reply: bool) -> Meaning {
    let turn_id = open.turn.turn_id;
    let is_question = text(event, "tool_name") == ASK;
    // A subagent's events carry its id (reference, "Common input fields"). Its end is not the turn's, nor its words.
    let of_subagent = event.get("agent_id").is_some_and(Value::is_string);
    match name {
        "PreToolUse" if is_question => asks(tool(event), open, question(event)),
        "PreToolUse" => tells(activity(event, turn_id, ActivityState::Started)),
        "PermissionRequest" if is_question => {
            // The question itself was told by `PreToolUse`, as one for the terminal until a hook waits.
            let told: Vec<Asked> = open.questions(&tool(event)).cloned().collect();
            let words = question(event);
            match (reply && words.is_whole, told.is_empty()) {
                (true, _) => awaits(told, event, open, words),
                (false, true) => asks(tool(event), open, words),
                (false, false) => Meaning::default(),
            }
        }
        "PermissionRequest" => {
            let words = permission(leave::prompt(text(event, "tool_name"), &event["tool_input"]));
            let waits = reply && words.is_whole;
            if waits { awaits(Vec::new(), event, open, words) } else { asks(tool(event), open, words) }
        }
        "Notification" => notified(event, open),
        "PostToolUse" | "PostToolUseFailure" => {
            let over = open.settled(&tool(event)).cloned();
            Meaning { over, ..tells(activity(event, turn_id, ActivityState::Finished)) }
        }
        "MessageDisplay" if !of_subagent => tells(said(event, turn_id)),
        "Stop" if !of_subagent => ends(stopped(turn_id, text(event, "last_assistant_message"))),
        "StopFailure" if !of_subagent => ends(Signal::Failed { turn_id, message: failure(event) }),
        // codex only.
        "Interrupt" if !of_subagent => ends(Signal::Interrupted { turn_id }),
        // The process goes on with another session, and nothing else will tell that this turn is over. Where the process
        // ends (`other`, `prompt_input_exit`), its end tells.
        "SessionEnd" if matches!(text(event, "reason"), "clear" | "resume") => {
            ends(Signal::Failed { turn_id, message: "the agent's session was left at its terminal".to_owned() })
        }
        _ => Meaning::default(),
    }
}

/// The use of a tool, to be known again when it is over: its name and a digest of what it was given. The answers to a
/// question become part of what its tool was given.
fn tool(event: &Value) -> String {
    let (name, input) = (text(event, "tool_name"), &event["tool_input"]);
    if name.is_empty() {
        return String::new();
    }
    let given = if name == ASK { &input["questions"] } else { input };
    let digest = Sha256::digest(given.to_string());
    let digest: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("{} {digest}", cut(name, MAX_LABEL))
}

fn tells(signal: Signal) -> Meaning {
    Meaning { signals: vec![signal], ..Meaning::default() }
}

fn ends(signal: Signal) -> Meaning {
    Meaning { signals: vec![signal], then: Then::Closed, ..Meaning::default() }
}

fn asks(tool: String, open: &Open, words: Words) -> Meaning {
    let asked = Asked::about(tool, open.turn.turn_id);
    Meaning { signals: vec![words.signal(&asked)], asks: Some(asked), ..Meaning::default() }
}

/// The agent shows its dialog meanwhile: whoever answers first, there or by way of the server, decides. The server is told
/// once the hook waits.
fn awaits(told: Vec<Asked>, event: &Value, open: &Open, words: Words) -> Meaning {
    let fresh = Asked::about(tool(event), open.turn.turn_id);
    let input = Some(event["tool_input"].clone()).filter(|_| text(event, "tool_name") == ASK);
    Meaning { awaits: Some(Question { told, fresh, words, input }), ..Meaning::default() }
}

/// Types that do not wait for a person (`idle_prompt`, `auth_success`, …) are not told. There is no hook that waits for the
/// reply: it is given in the terminal.
fn notified(event: &Value, open: &Open) -> Meaning {
    let (kind, is_told) = match text(event, "notification_type") {
        // Comes six seconds after the dialog, for some dialogs without any event before it.
        "permission_prompt" => (AttentionKind::Permission, open.asks()),
        "agent_needs_input" => (AttentionKind::Question, open.asks()),
        // Of these there is no event before it; what a tool asks for is another dialog.
        "elicitation_dialog" | "elicitation_url_dialog" => {
            (AttentionKind::Question, open.questions("").next().is_some())
        }
        _ => return Meaning::default(),
    };
    if is_told {
        return Meaning::default();
    }
    let prompt = cut(text(event, "message"), MAX_PROMPT);
    asks(String::new(), open, Words { kind, prompt, options: Vec::new(), is_whole: false })
}

/// One batch of the lines of a message (reference, "MessageDisplay input").
fn said(event: &Value, turn_id: TurnId) -> Signal {
    let index = event["index"].as_u64().and_then(|index| u32::try_from(index).ok()).unwrap_or_default();
    let message = cut(text(event, "message_id"), MAX_LABEL);
    Signal::Said { turn_id, message, index, text: text(event, "delta").to_owned() }
}

/// The options are the two that a permission can be decided by (reference, "PermissionRequest decision control").
fn permission(shown: Result<String, String>) -> Words {
    let is_whole = shown.is_ok();
    let options = if is_whole { vec![ALLOW.to_owned(), DENY.to_owned()] } else { Vec::new() };
    let prompt = shown.unwrap_or_else(|beginning| beginning);
    Words { kind: AttentionKind::Permission, prompt, options, is_whole }
}

/// One to four questions; the answers to choose from are told where there is one question only.
fn question(event: &Value) -> Words {
    let questions = event["tool_input"]["questions"].as_array().map_or(&[][..], Vec::as_slice);
    let asked: Vec<&str> = questions.iter().map(|question| text(question, "question")).collect();
    let options = match questions {
        [only] => only["options"].as_array().map_or(&[][..], Vec::as_slice),
        _ => &[],
    };
    let options: Vec<&str> = options.iter().map(|option| text(option, "label")).collect();
    let asked = asked.join("\n");
    let is_short = |text: &str, characters: usize| text.chars().nth(characters).is_none();
    let is_whole = is_short(&asked, MAX_PROMPT)
        && options.iter().all(|option| is_short(option, MAX_LINE))
        && question::length(&asked, &options) <= MAX_QUESTION;
    let options = if is_whole { options.into_iter().map(str::to_owned).collect() } else { Vec::new() };
    Words { kind: AttentionKind::Question, prompt: cut(&asked, MAX_PROMPT), options, is_whole }
}

fn activity(event: &Value, turn_id: TurnId, state: ActivityState) -> Signal {
    let tool = cut(text(event, "tool_name"), MAX_LABEL);
    Signal::Activity { turn_id, tool, label: described(event), state }
}

/// The tool and the one field of its input that tells a person most (reference, "PreToolUse input").
fn described(event: &Value) -> String {
    let (tool, input) = (text(event, "tool_name"), &event["tool_input"]);
    let fields = ["description", "command", "file_path", "pattern", "url", "query"];
    match fields.iter().map(|field| text(input, field)).find(|value| !value.trim().is_empty()) {
        Some(value) => one_line(&format!("{tool}: {value}"), MAX_LABEL),
        None => one_line(tool, MAX_LABEL),
    }
}

/// `last_assistant_message` is the text of the final message (reference, "Stop input").
fn stopped(turn_id: TurnId, message: &str) -> Signal {
    if message.len() > MAX_ANSWER {
        let message = format!("the answer has {} bytes; at most {MAX_ANSWER} are taken", message.len());
        return Signal::Failed { turn_id, message };
    }
    Signal::Stopped { turn_id, message: Some(message.to_owned()).filter(|text| !text.is_empty()) }
}

/// `last_assistant_message` is the error as the agent shows it, `error` its type (reference, "StopFailure input").
fn failure(event: &Value) -> String {
    let told = ["last_assistant_message", "error_details", "error"].map(|field| text(event, field));
    let told = told.into_iter().find(|text| !text.trim().is_empty()).unwrap_or("the agent reported an error");
    one_line(told, MAX_LINE)
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn one_line(text: &str, characters: usize) -> String {
    let words: Vec<&str> =
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()).collect();
    cut(&words.join(" "), characters)
}

fn cut(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;

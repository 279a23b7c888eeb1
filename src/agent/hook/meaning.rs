//! What the events of agent programs mean. Claude Code's names and fields are those of its hooks reference,
//! <https://code.claude.com/docs/en/hooks>; codex has taken most of them over (<https://developers.openai.com/codex/hooks>).
//! Fields that are missing or of another type count as absent: the references grow with every version.

use std::path::PathBuf;

use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::memory::{Asked, OpenTurn};
use crate::agent::envelope::MARKER;
use crate::agent::signal::{ActivityState, AttentionKind, Signal};
use crate::turn::TurnId;

/// Bytes of an answer that are reported. More than any model writes in one message.
const MAX_ANSWER: usize = 2 * 1024 * 1024;
/// Characters of a tool's label.
const MAX_LABEL: usize = 120;
/// Characters of a question.
const MAX_PROMPT: usize = 2_000;
/// Characters of an error and of one answer to choose from.
const MAX_LINE: usize = 300;

/// The tool by which Claude Code's model asks the person something (reference, "PreToolUse input").
const ASK: &str = "AskUserQuestion";

/// What one event of an agent program means.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Meaning {
    /// What is reported, in this order.
    pub signals: Vec<Signal>,
    /// What becomes of the open turn.
    pub then: Then,
    /// The hook waits for a person's reply to this.
    pub awaits: Option<Question>,
}

/// What becomes of the open turn after an event.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) enum Then {
    /// Nothing.
    #[default]
    Same,
    /// It is this one, like this.
    Open(OpenTurn),
    /// There is none.
    Closed,
}

/// A question to which the agent waits for a reply.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Question {
    /// The turn.
    pub turn_id: TurnId,
    /// Its name.
    pub name: String,
    /// What the tool `AskUserQuestion` was given; `None` where leave is asked.
    pub asked: Option<Value>,
}

/// What an event means while `open` is the open turn. With `reply`, a person's reply comes by way of the hook.
pub(super) fn of(event: &Value, open: Option<&OpenTurn>, reply: bool) -> Meaning {
    match text(event, "hook_event_name") {
        "SessionStart" => session_start(event),
        "UserPromptSubmit" => submitted(event),
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
    Meaning { signals: vec![Signal::Ready { resume_id }], then, awaits: None }
}

/// A prompt without an envelope was typed by a person at the terminal. While a turn is open it joins that turn: the agent
/// answers both, and stops once.
fn submitted(event: &Value) -> Meaning {
    let Some(turn_id) = submitted_turn(text(event, "prompt")) else { return Meaning::default() };
    let path = PathBuf::from(text(event, "transcript_path"));
    // Claude Code writes its transcript lazily: it may not be there yet.
    let from = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
    // `prompt_id` is Claude Code's, `turn_id` codex's.
    let prompt = ["prompt_id", "turn_id"].map(|field| text(event, field)).into_iter().find(|id| !id.is_empty());
    let transcript = prompt.filter(|_| path.is_absolute()).map(|prompt| {
        let prompt = cut(prompt, MAX_LABEL);
        Signal::Transcript { turn_id, path, from, prompt }
    });
    let signals = [Signal::Submitted { turn_id }].into_iter().chain(transcript).collect();
    Meaning { signals, then: Then::Open(OpenTurn { turn_id, asked: None }), awaits: None }
}

fn submitted_turn(prompt: &str) -> Option<TurnId> {
    let head = prompt.trim_start().strip_prefix(MARKER)?;
    head[..head.find([']', ' '])?].parse().ok()
}

fn in_turn(name: &str, event: &Value, open: &OpenTurn, reply: bool) -> Meaning {
    let turn_id = open.turn_id;
    let is_question = text(event, "tool_name") == ASK;
    // A subagent's events carry its id (reference, "Common input fields"). Its end is not the turn's, nor its words.
    let of_subagent = event.get("agent_id").is_some_and(Value::is_string);
    match name {
        "PreToolUse" if is_question => asks(event, open, reply, question(event)),
        "PreToolUse" => tells(activity(event, turn_id, ActivityState::Started)),
        // The question itself was told by `PreToolUse`.
        "PermissionRequest" if is_question && open.asks(&tool(event)) => waits(event, open, reply),
        "PermissionRequest" if is_question => {
            let asked = asks(event, open, reply, question(event));
            awaiting(asked, event, reply)
        }
        "PermissionRequest" => awaiting(asks(event, open, reply, permission(event)), event, reply),
        // Comes six seconds after the dialog, for some dialogs without any event before it.
        "Notification" if open.asked.is_none() => notified(event, open),
        "PostToolUse" | "PostToolUseFailure" => {
            let finished = activity(event, turn_id, ActivityState::Finished);
            if !open.asks(&tool(event)) {
                return tells(finished);
            }
            let signals = vec![Signal::AttentionOver { turn_id }, finished];
            Meaning { signals, then: Then::Open(OpenTurn { turn_id, asked: None }), awaits: None }
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
    let name = text(event, "tool_name");
    if name == ASK || name.is_empty() {
        return name.to_owned();
    }
    let digest = Sha256::digest(event["tool_input"].to_string());
    let digest: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{} {digest}", cut(name, MAX_LABEL))
}

fn tells(signal: Signal) -> Meaning {
    Meaning { signals: vec![signal], ..Meaning::default() }
}

fn ends(signal: Signal) -> Meaning {
    Meaning { signals: vec![signal], then: Then::Closed, awaits: None }
}

fn asks(
    event: &Value,
    open: &OpenTurn,
    reply: bool,
    (kind, prompt, options): (AttentionKind, String, Vec<String>),
) -> Meaning {
    let name = Uuid::now_v7().simple().to_string();
    let turn_id = open.turn_id;
    let signal = Signal::Attention { turn_id, kind, prompt, options, reply: reply.then(|| name.clone()) };
    let asked = Some(Asked { name, tool: tool(event) });
    Meaning { signals: vec![signal], then: Then::Open(OpenTurn { turn_id, asked }), awaits: None }
}

/// The agent shows its dialog meanwhile: whoever answers first, there or by way of the server, decides.
fn awaiting(asked: Meaning, event: &Value, reply: bool) -> Meaning {
    match &asked.then {
        Then::Open(open) => {
            let awaits = waits(event, open, reply).awaits;
            Meaning { awaits, ..asked }
        }
        _ => asked,
    }
}

fn waits(event: &Value, open: &OpenTurn, reply: bool) -> Meaning {
    let question = open.asked.as_ref().filter(|_| reply).map(|asked| Question {
        turn_id: open.turn_id,
        name: asked.name.clone(),
        asked: Some(event["tool_input"].clone()).filter(|_| text(event, "tool_name") == ASK),
    });
    Meaning { awaits: question, ..Meaning::default() }
}

/// Types that do not wait for a person (`idle_prompt`, `auth_success`, …) are not told. There is no hook that waits for the
/// reply: it is given in the terminal.
fn notified(event: &Value, open: &OpenTurn) -> Meaning {
    let kind = match text(event, "notification_type") {
        "permission_prompt" => AttentionKind::Permission,
        "elicitation_dialog" | "elicitation_url_dialog" | "agent_needs_input" => AttentionKind::Question,
        _ => return Meaning::default(),
    };
    asks(&Value::Null, open, false, (kind, cut(text(event, "message"), MAX_PROMPT), Vec::new()))
}

/// One batch of the lines of a message (reference, "MessageDisplay input").
fn said(event: &Value, turn_id: TurnId) -> Signal {
    let index = event["index"].as_u64().and_then(|index| u32::try_from(index).ok()).unwrap_or_default();
    let message = cut(text(event, "message_id"), MAX_LABEL);
    Signal::Said { turn_id, message, index, text: text(event, "delta").to_owned() }
}

/// Who decides has to see what will be done, not the model's own words for it. The options are the two that a permission
/// can be decided by (reference, "PermissionRequest decision control").
fn permission(event: &Value) -> (AttentionKind, String, Vec<String>) {
    let (tool, input) = (text(event, "tool_name"), &event["tool_input"]);
    let given = ["command", "file_path", "url", "query", "description"].map(|field| text(input, field));
    let prompt = match given.into_iter().find(|value| !value.trim().is_empty()) {
        Some(value) => format!("May I use {tool}?\n{value}"),
        None => format!("May I use {tool}?"),
    };
    (AttentionKind::Permission, cut(&prompt, MAX_PROMPT), vec!["allow".to_owned(), "deny".to_owned()])
}

/// One to four questions; the answers to choose from are told where there is one question only.
fn question(event: &Value) -> (AttentionKind, String, Vec<String>) {
    let questions = event["tool_input"]["questions"].as_array().map_or(&[][..], Vec::as_slice);
    let prompt: Vec<&str> = questions.iter().map(|question| text(question, "question")).collect();
    let options = match questions {
        [only] => only["options"].as_array().map_or(&[][..], Vec::as_slice),
        _ => &[],
    };
    let options = options.iter().map(|option| cut(text(option, "label"), MAX_LINE)).collect();
    (AttentionKind::Question, cut(&prompt.join("\n"), MAX_PROMPT), options)
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
mod tests {
    use serde_json::json;

    use super::*;

    const ID: &str = "01900000-0000-7000-8000-000000000001";

    fn open(asked: bool) -> OpenTurn {
        let asked = asked.then(|| Asked { name: "q1".to_owned(), tool: tool(&Value::Null) });
        OpenTurn { turn_id: ID.parse().unwrap(), asked }
    }

    fn meaning(event: &Value, open: Option<OpenTurn>) -> Meaning {
        of(event, open.as_ref(), false)
    }

    fn is_asked(meaning: &Meaning) -> bool {
        matches!(&meaning.then, Then::Open(OpenTurn { asked: Some(_), .. }))
    }

    /// An event as the reference shows it, with its common fields.
    fn event(name: &str, fields: Value) -> Value {
        let mut event = json!({"session_id": "abc123", "cwd": "/home/u", "permission_mode": "default",
            "transcript_path": "/home/u/.claude/projects/x/00893aaf.jsonl", "hook_event_name": name});
        for (field, value) in fields.as_object().unwrap() {
            event[field] = value.clone();
        }
        event
    }

    fn wire(meaning: Meaning) -> Value {
        serde_json::to_value(meaning.signals).unwrap()
    }

    #[test]
    fn a_session_is_ready_and_a_prompt_is_submitted() {
        let start = event("SessionStart", json!({"source": "startup", "model": "claude-sonnet-4-6"}));
        let ready = meaning(&start, Some(open(false)));
        assert_eq!(ready.then, Then::Closed);
        assert_eq!(wire(ready), json!([{"event": "ready", "resume_id": "abc123"}]));
        let compacted = meaning(&event("SessionStart", json!({"source": "compact"})), Some(open(false)));
        assert_eq!(compacted.then, Then::Same);
        for text in [format!("[PALIADIN:{ID}] hi"), format!("\n[PALIADIN:{ID} +context +message]")] {
            let submitted = meaning(&event("UserPromptSubmit", json!({"prompt": text})), None);
            assert_eq!(submitted.then, Then::Open(open(false)));
            assert_eq!(wire(submitted), json!([{"event": "submitted", "turn_id": ID}]));
        }
        for text in ["", "hi", "[PALIADIN:", "[PALIADIN:x] hi", "see [PALIADIN:", &format!("x [PALIADIN:{ID}]")] {
            assert_eq!(meaning(&event("UserPromptSubmit", json!({"prompt": text})), None), Meaning::default());
        }
    }

    #[test]
    fn tools_are_activity() {
        let told = |name, fields| wire(meaning(&event(name, fields), Some(open(false))))[0].clone();
        let bash = json!({"tool_name": "Bash", "tool_input": {"command": "npm test", "description": "Run the\ntests"},
            "tool_use_id": "toolu_01ABC123"});
        let expected = json!({"event": "activity", "turn_id": ID, "tool": "Bash", "label": "Bash: Run the tests",
            "state": "started"});
        assert_eq!(told("PreToolUse", bash.clone()), expected);
        assert_eq!(told("PostToolUse", bash.clone())["state"], "finished");
        assert_eq!(told("PostToolUseFailure", bash)["state"], "finished");
        let label = |tool, input| told("PreToolUse", json!({"tool_name": tool, "tool_input": input}))["label"].clone();
        assert_eq!(label("Write", json!({"file_path": "/x/y.txt", "content": "z"})), "Write: /x/y.txt");
        assert_eq!(label("mcp__memory__add", json!({"query": {"odd": 1}})), "mcp__memory__add");
        assert_eq!(label("Grep", json!("odd")), "Grep");
        assert_eq!(label("Bash", json!({"command": "é".repeat(500)})).as_str().unwrap().chars().count(), MAX_LABEL + 1);
    }

    #[test]
    fn questions_and_permissions_are_attention() {
        let request = event(
            "PermissionRequest",
            json!({"tool_name": "Bash", "tool_input": {"command": "rm -rf x", "description": "Tidy up"},
                "permission_suggestions": [{"type": "addRules", "behavior": "allow"}]}),
        );
        let asked = meaning(&request, Some(open(false)));
        assert!(is_asked(&asked));
        let expected = json!([{"event": "attention", "turn_id": ID, "kind": "permission",
            "prompt": "May I use Bash?\nrm -rf x", "options": ["allow", "deny"]}]);
        assert_eq!(wire(asked), expected);

        let questions =
            json!([{"question": "Which one?", "header": "Kind", "options": [{"label": "A"}, {"label": "B"}]}]);
        let ask = event("PreToolUse", json!({"tool_name": ASK, "tool_input": {"questions": questions}}));
        let expected = json!([{"event": "attention", "turn_id": ID, "kind": "question", "prompt": "Which one?",
            "options": ["A", "B"]}]);
        assert_eq!(wire(meaning(&ask, Some(open(false)))), expected);
        let told = meaning(&ask, Some(open(false)));
        let Then::Open(asking) = told.then else { panic!("no turn is open") };
        let again = event("PermissionRequest", json!({"tool_name": ASK, "tool_input": {}}));
        assert_eq!(meaning(&again, Some(asking)), Meaning::default());

        let note = |kind| {
            event("Notification", json!({"message": "Claude needs you", "title": "Needed", "notification_type": kind}))
        };
        assert_eq!(wire(meaning(&note("permission_prompt"), Some(open(false))))[0]["prompt"], "Claude needs you");
        assert_eq!(wire(meaning(&note("elicitation_dialog"), Some(open(false))))[0]["kind"], "question");
        assert_eq!(meaning(&note("permission_prompt"), Some(open(true))), Meaning::default());
        assert_eq!(meaning(&note("idle_prompt"), Some(open(false))), Meaning::default());
    }

    #[test]
    fn ends_are_told_once_and_only_of_a_turn() {
        let end = |event: &Value| {
            assert_eq!(meaning(event, None), Meaning::default(), "no turn is open");
            let ended = meaning(event, Some(open(true)));
            assert_eq!(ended.then, Then::Closed);
            wire(ended)[0].clone()
        };
        let stop = |message| event("Stop", json!({"stop_hook_active": false, "last_assistant_message": message}));
        let answer = "Done.\n<!-- paliadin {\"used_tools\":[\"Bash\"]} -->";
        assert_eq!(end(&stop(json!(answer))), json!({"event": "stopped", "turn_id": ID, "message": answer}));
        for nothing in [json!(""), json!(null), json!(["odd"])] {
            assert_eq!(end(&stop(nothing))["message"], json!(null));
        }
        assert_eq!(end(&stop(json!("x".repeat(MAX_ANSWER + 1))))["event"], "failed");

        let failure = json!({"error": "rate_limit", "error_details": "429 Too Many Requests",
            "last_assistant_message": "API Error: Rate limit reached"});
        let expected = json!({"event": "failed", "turn_id": ID, "message": "API Error: Rate limit reached"});
        assert_eq!(end(&event("StopFailure", failure)), expected);
        assert_eq!(end(&event("StopFailure", json!({"error": "server_error"})))["message"], "server_error");
        assert_eq!(end(&event("SessionEnd", json!({"reason": "clear"})))["event"], "failed");
        let exit = event("SessionEnd", json!({"reason": "other"}));
        assert_eq!(meaning(&exit, Some(open(false))), Meaning::default());
        let mut of_subagent = stop(json!("explored"));
        of_subagent["agent_id"] = json!("def456");
        assert_eq!(meaning(&of_subagent, Some(open(false))), Meaning::default());
    }
}

//! What the events of agent programs mean. Claude Code's names and fields are those of its hooks reference,
//! <https://code.claude.com/docs/en/hooks>; codex has taken most of them over (<https://developers.openai.com/codex/hooks>).
//! Fields that are missing or of another type count as absent: the references grow with every version.

use std::path::PathBuf;

use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::leave;
use super::memory::{Asked, Open, OpenTurn};
use crate::agent::envelope::MARKER;
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

/// A question to which the agent waits for a reply.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Question {
    /// What it may be: where the agent asks the same twice, the first one for which no other hook waits.
    pub asked: Vec<Asked>,
    /// What the tool `AskUserQuestion` was given; `None` where leave is asked.
    pub input: Option<Value>,
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
        return Meaning { then: if is_another { Then::Closed } else { Then::Same }, ..Meaning::default() };
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
        "PreToolUse" if is_question => asks(tool(event), open, reply, question(event)),
        "PreToolUse" => tells(activity(event, turn_id, ActivityState::Started)),
        "PermissionRequest" if is_question => {
            // The question itself was told by `PreToolUse`.
            let told: Vec<Asked> = open.questions(&tool(event)).cloned().collect();
            match told.is_empty() {
                true => awaiting(asks(tool(event), open, reply, question(event)), event),
                false => Meaning { awaits: waits(told, event), ..Meaning::default() },
            }
        }
        "PermissionRequest" => match leave::prompt(text(event, "tool_name"), &event["tool_input"]) {
            Ok(prompt) => awaiting(asks(tool(event), open, reply, permission(prompt, &["allow", "deny"])), event),
            Err(prompt) => asks(tool(event), open, false, permission(prompt, &[])),
        },
        // Comes six seconds after the dialog, for some dialogs without any event before it.
        "Notification" if !open.asks() => notified(event, open),
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

fn asks(
    tool: String,
    open: &Open,
    reply: bool,
    (kind, prompt, options): (AttentionKind, String, Vec<String>),
) -> Meaning {
    let name = Uuid::now_v7().simple().to_string();
    let turn_id = open.turn.turn_id;
    let signal = Signal::Attention { turn_id, kind, prompt, options, reply: reply.then(|| name.clone()) };
    let asked = Asked { name, turn_id, tool, reply, allowed: false };
    Meaning { signals: vec![signal], asks: Some(asked), ..Meaning::default() }
}

/// The agent shows its dialog meanwhile: whoever answers first, there or by way of the server, decides.
fn awaiting(asked: Meaning, event: &Value) -> Meaning {
    let awaits = waits(asked.asks.clone().into_iter().collect(), event);
    Meaning { awaits, ..asked }
}

fn waits(mut asked: Vec<Asked>, event: &Value) -> Option<Question> {
    asked.retain(|asked| asked.reply);
    let input = Some(event["tool_input"].clone()).filter(|_| text(event, "tool_name") == ASK);
    (!asked.is_empty()).then_some(Question { asked, input })
}

/// Types that do not wait for a person (`idle_prompt`, `auth_success`, …) are not told. There is no hook that waits for the
/// reply: it is given in the terminal.
fn notified(event: &Value, open: &Open) -> Meaning {
    let kind = match text(event, "notification_type") {
        "permission_prompt" => AttentionKind::Permission,
        "elicitation_dialog" | "elicitation_url_dialog" | "agent_needs_input" => AttentionKind::Question,
        _ => return Meaning::default(),
    };
    asks(String::new(), open, false, (kind, cut(text(event, "message"), MAX_PROMPT), Vec::new()))
}

/// One batch of the lines of a message (reference, "MessageDisplay input").
fn said(event: &Value, turn_id: TurnId) -> Signal {
    let index = event["index"].as_u64().and_then(|index| u32::try_from(index).ok()).unwrap_or_default();
    let message = cut(text(event, "message_id"), MAX_LABEL);
    Signal::Said { turn_id, message, index, text: text(event, "delta").to_owned() }
}

/// The options are the two that a permission can be decided by (reference, "PermissionRequest decision control").
fn permission(prompt: String, options: &[&str]) -> (AttentionKind, String, Vec<String>) {
    (AttentionKind::Permission, prompt, options.iter().map(|option| (*option).to_owned()).collect())
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

    fn turn() -> OpenTurn {
        OpenTurn { turn_id: ID.parse().unwrap(), prompt: None }
    }

    fn open(asked: bool) -> Open {
        let question = || Asked {
            name: "q1".to_owned(),
            turn_id: turn().turn_id,
            tool: String::new(),
            reply: false,
            allowed: false,
        };
        Open { turn: turn(), asked: asked.then(question).into_iter().collect() }
    }

    fn meaning(event: &Value, open: Option<Open>) -> Meaning {
        of(event, open.as_ref(), false)
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
            assert_eq!(submitted.then, Then::Open(turn()));
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
        assert!(asked.asks.is_some() && asked.awaits.is_none());
        let expected = json!([{"event": "attention", "turn_id": ID, "kind": "permission",
            "prompt": "May I use Bash?\nrm -rf x\ndescription: Tidy up", "options": ["allow", "deny"]}]);
        assert_eq!(wire(asked), expected);

        let questions =
            json!([{"question": "Which one?", "header": "Kind", "options": [{"label": "A"}, {"label": "B"}]}]);
        let ask = event("PreToolUse", json!({"tool_name": ASK, "tool_input": {"questions": questions}}));
        let expected = json!([{"event": "attention", "turn_id": ID, "kind": "question", "prompt": "Which one?",
            "options": ["A", "B"]}]);
        assert_eq!(wire(meaning(&ask, Some(open(false)))), expected);
        let asking = Open { asked: meaning(&ask, Some(open(false))).asks.into_iter().collect(), ..open(false) };
        let again = event("PermissionRequest", json!({"tool_name": ASK, "tool_input": {"questions": questions}}));
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
    fn each_question_waits_for_its_own_reply() {
        let of = |event: &Value, open: &Open| of(event, Some(open), true);
        let ask = |name, text: &str| {
            let input = json!({"questions": [{"question": text, "options": []}]});
            event(name, json!({"tool_name": ASK, "tool_input": input}))
        };
        let mut asking = open(false);
        for text in ["One?", "Two?"] {
            let told = of(&ask("PreToolUse", text), &asking);
            assert_eq!(told.awaits, None);
            asking.asked.extend(told.asks);
        }
        for (at, text) in ["One?", "Two?"].into_iter().enumerate() {
            let waits = of(&ask("PermissionRequest", text), &asking);
            assert_eq!(waits.awaits.unwrap().asked, [asking.asked[at].clone()]);
            assert!(waits.signals.is_empty());
            let mut done = ask("PostToolUse", text);
            done["tool_input"]["answers"] = json!({ text: "yes" });
            assert_eq!(of(&done, &asking).over.as_ref(), Some(&asking.asked[at]));
        }
        let bash = |name, command: &str| event(name, json!({"tool_name": "Bash", "tool_input": {"command": command}}));
        let request = of(&bash("PermissionRequest", "ls"), &asking);
        assert_eq!(request.awaits.unwrap().asked, [request.asks.clone().unwrap()]);
        asking.asked.extend(request.asks);
        assert_eq!(of(&bash("PostToolUse", "pwd"), &asking).over, None, "another tool");
        assert_eq!(of(&bash("PostToolUse", "ls"), &asking).over.as_ref(), asking.asked.last());
        // The same again: what has run is what was allowed.
        let again = of(&bash("PermissionRequest", "ls"), &asking).asks.unwrap();
        asking.asked.push(Asked { allowed: true, ..again.clone() });
        assert_eq!(of(&bash("PostToolUse", "ls"), &asking).over.unwrap().name, again.name);
    }

    #[test]
    fn what_cannot_be_shown_waits_for_no_reply() {
        let input = json!({"command": format!("ls{}; rm -rf ~", " ".repeat(2_100))});
        let request = event("PermissionRequest", json!({"tool_name": "Bash", "tool_input": input}));
        let told = of(&request, Some(&open(false)), true);
        assert_eq!(told.awaits, None);
        let signal = &wire(told)[0];
        assert_eq!((&signal["options"], signal.get("reply")), (&json!([]), None));
        assert!(signal["prompt"].as_str().unwrap().contains("terminal"));
    }

    #[test]
    fn a_prompt_at_the_terminal_joins_the_turn_under_its_name_only() {
        let running = |prompt: Option<&str>| {
            let turn = OpenTurn { prompt: prompt.map(str::to_owned), ..turn() };
            Some(Open { turn, ..open(true) })
        };
        for field in ["prompt_id", "turn_id"] {
            let typed = |id: &str| event("UserPromptSubmit", json!({"prompt": "and this?", field: id}));
            assert_eq!(meaning(&typed("p1"), running(Some("p1"))).then, Then::Same);
            assert_eq!(meaning(&typed("p2"), running(Some("p1"))).then, Then::Closed);
            assert_eq!(meaning(&typed(""), running(Some("p1"))).then, Then::Same);
            assert_eq!(meaning(&typed("p2"), running(None)).then, Then::Same);
            let told = event("UserPromptSubmit", json!({"prompt": format!("[PALIADIN:{ID}] hi"), field: "p2"}));
            let expected = OpenTurn { prompt: Some("p2".to_owned()), ..turn() };
            assert_eq!(meaning(&told, running(Some("p1"))).then, Then::Open(expected));
        }
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

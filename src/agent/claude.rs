//! Claude Code: the settings that make it call `paliadin hook`, and what its events mean.
//!
//! Names and fields of events are those of its hooks reference, <https://code.claude.com/docs/en/hooks>. Fields that are
//! missing or of another type count as absent: the reference grows with every version.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::envelope::MARKER;
use super::hook::{Meaning, OpenTurn, Then};
use super::signal::{ActivityState, AttentionKind, Signal};
use crate::turn::TurnId;

/// Events that are reported, and whether they are about a tool. A tool event takes a matcher; `*` is every tool
/// (reference, "Matcher patterns"). A version that does not know a name asks a question about it at its start (seen on
/// 2.1.197), so none is here that is not needed. The youngest is `StopFailure`.
const EVENTS: [(&str, bool); 10] = [
    ("SessionStart", false),
    ("UserPromptSubmit", false),
    ("PreToolUse", true),
    ("PermissionRequest", true),
    ("PostToolUse", true),
    ("PostToolUseFailure", true),
    ("Notification", false),
    ("Stop", false),
    ("StopFailure", false),
    ("SessionEnd", false),
];

/// Seconds that the agent waits for a hook at most. It takes milliseconds; the default is ten minutes.
const HOOK_TIMEOUT: u32 = 10;

/// Bytes of an answer that are reported. More than any model writes in one message.
const MAX_ANSWER: usize = 2 * 1024 * 1024;
/// Characters of a tool's label.
const MAX_LABEL: usize = 120;
/// Characters of a question.
const MAX_PROMPT: usize = 2_000;
/// Characters of an error and of one answer to choose from.
const MAX_LINE: usize = 300;

/// The tool by which the model asks the person something (reference, "PreToolUse input").
const ASK: &str = "AskUserQuestion";

/// The settings for `--settings`: every event of [`EVENTS`] runs `<own program> hook` in a shell.
pub fn settings(own_program: &Path) -> String {
    let command = format!("'{}' hook", own_program.display().to_string().replace('\'', r"'\''"));
    let hook = json!({ "type": "command", "command": command, "timeout": HOOK_TIMEOUT });
    let group = |of_tools| {
        if of_tools { json!([{ "matcher": "*", "hooks": [&hook] }]) } else { json!([{ "hooks": [&hook] }]) }
    };
    let hooks: Map<String, Value> =
        EVENTS.iter().map(|(name, of_tools)| ((*name).to_owned(), group(*of_tools))).collect();
    format!("{:#}\n", json!({ "hooks": hooks }))
}

/// What an event means while `open` is the open turn.
pub fn meaning(event: &Value, open: Option<OpenTurn>) -> Meaning {
    match text(event, "hook_event_name") {
        "SessionStart" => session_start(event),
        "UserPromptSubmit" => submitted(event),
        name => match open {
            Some(turn) => in_turn(name, event, turn),
            None => Meaning::default(),
        },
    }
}

/// `source` is startup, resume, clear or compact; only a compaction happens in mid-turn.
fn session_start(event: &Value) -> Meaning {
    let resume_id = Some(text(event, "session_id")).filter(|id| !id.is_empty()).map(str::to_owned);
    let then = if text(event, "source") == "compact" { Then::Same } else { Then::Closed };
    Meaning { signals: vec![Signal::Ready { resume_id }], then }
}

/// A prompt without an envelope was typed by a person at the terminal. While a turn is open it joins that turn: the agent
/// answers both, and stops once.
fn submitted(event: &Value) -> Meaning {
    match submitted_turn(text(event, "prompt")) {
        Some(turn_id) => Meaning {
            signals: vec![Signal::Submitted { turn_id }],
            then: Then::Open(OpenTurn { turn_id, asked: false }),
        },
        None => Meaning::default(),
    }
}

fn submitted_turn(prompt: &str) -> Option<TurnId> {
    let head = prompt.trim_start().strip_prefix(MARKER)?;
    head[..head.find([']', ' '])?].parse().ok()
}

fn in_turn(name: &str, event: &Value, open: OpenTurn) -> Meaning {
    let turn_id = open.turn_id;
    let tool = text(event, "tool_name");
    // A subagent's events carry its id (reference, "Common input fields"). Its end is not the turn's.
    let of_subagent = event.get("agent_id").is_some_and(Value::is_string);
    match name {
        "PreToolUse" if tool == ASK => asks(open, question(event)),
        "PreToolUse" => tells(activity(event, turn_id, ActivityState::Started)),
        // The question itself was told by `PreToolUse`.
        "PermissionRequest" if tool == ASK => Meaning::default(),
        "PermissionRequest" => asks(open, permission(event)),
        // Comes six seconds after the dialog, for some dialogs without any event before it.
        "Notification" if !open.asked => notified(event, open),
        "PostToolUse" | "PostToolUseFailure" => {
            let finished = activity(event, turn_id, ActivityState::Finished);
            if !open.asked {
                return tells(finished);
            }
            let signals = vec![Signal::AttentionOver { turn_id }, finished];
            Meaning { signals, then: Then::Open(OpenTurn { asked: false, ..open }) }
        }
        "Stop" if !of_subagent => ends(stopped(turn_id, text(event, "last_assistant_message"))),
        "StopFailure" if !of_subagent => ends(Signal::Failed { turn_id, message: failure(event) }),
        // The process goes on with another session, and nothing else will tell that this turn is over. Where the process
        // ends (`other`, `prompt_input_exit`), its end tells.
        "SessionEnd" if matches!(text(event, "reason"), "clear" | "resume") => {
            ends(Signal::Failed { turn_id, message: "the agent's session was left at its terminal".to_owned() })
        }
        _ => Meaning::default(),
    }
}

fn tells(signal: Signal) -> Meaning {
    Meaning { signals: vec![signal], then: Then::Same }
}

fn ends(signal: Signal) -> Meaning {
    Meaning { signals: vec![signal], then: Then::Closed }
}

fn asks(open: OpenTurn, (kind, prompt, options): (AttentionKind, String, Vec<String>)) -> Meaning {
    let signal = Signal::Attention { turn_id: open.turn_id, kind, prompt, options };
    Meaning { signals: vec![signal], then: Then::Open(OpenTurn { asked: true, ..open }) }
}

/// Types that do not wait for a person (`idle_prompt`, `auth_success`, …) are not told.
fn notified(event: &Value, open: OpenTurn) -> Meaning {
    let kind = match text(event, "notification_type") {
        "permission_prompt" => AttentionKind::Permission,
        "elicitation_dialog" | "elicitation_url_dialog" | "agent_needs_input" => AttentionKind::Question,
        _ => return Meaning::default(),
    };
    asks(open, (kind, cut(text(event, "message"), MAX_PROMPT), Vec::new()))
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
    use super::*;

    const ID: &str = "01900000-0000-7000-8000-000000000001";

    fn open(asked: bool) -> OpenTurn {
        OpenTurn { turn_id: ID.parse().unwrap(), asked }
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
    fn settings_run_the_hook_for_every_event() {
        let settings: Value = serde_json::from_str(&settings(Path::new("/opt/it's here/paliadin"))).unwrap();
        let hook = json!([{"type": "command", "command": r"'/opt/it'\''s here/paliadin' hook", "timeout": 10}]);
        assert_eq!(settings["hooks"]["SessionStart"], json!([{"hooks": hook}]));
        assert_eq!(settings["hooks"]["PreToolUse"], json!([{"matcher": "*", "hooks": hook}]));
        assert_eq!(settings["hooks"].as_object().unwrap().len(), EVENTS.len());
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
        assert_eq!(asked.then, Then::Open(open(true)));
        let expected = json!([{"event": "attention", "turn_id": ID, "kind": "permission",
            "prompt": "May I use Bash?\nrm -rf x", "options": ["allow", "deny"]}]);
        assert_eq!(wire(asked), expected);

        let questions =
            json!([{"question": "Which one?", "header": "Kind", "options": [{"label": "A"}, {"label": "B"}]}]);
        let ask = event("PreToolUse", json!({"tool_name": ASK, "tool_input": {"questions": questions}}));
        let expected = json!([{"event": "attention", "turn_id": ID, "kind": "question", "prompt": "Which one?",
            "options": ["A", "B"]}]);
        assert_eq!(wire(meaning(&ask, Some(open(false)))), expected);
        let again = event("PermissionRequest", json!({"tool_name": ASK, "tool_input": {}}));
        assert_eq!(meaning(&again, Some(open(true))), Meaning::default());

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

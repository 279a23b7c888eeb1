//! `paliadin hook`: an agent program runs it for each of its events, with the event as JSON on standard input. What
//! matters of it goes to `out/events.jsonl`, where the server reads it.
//!
//! The events of a program name no turn. The hook remembers the last turn that was submitted, in a file beside the
//! signals, and lays what follows to it. Programs wait for their hooks one after another, save for tools that run at
//! once: those do not change the turn, and each has its own questions.

mod ask;
mod event;
mod leave;
mod meaning;
mod memory;

use std::io::{self, Read};
use std::path::Path;

use self::meaning::{Meaning, Then};
use self::memory::Asked;
use super::signal::{self, Signal};

/// Bytes of an event that are read. Claude Code sends tools' results along, which no signal needs.
const MAX_EVENT: u64 = 4 * 1024 * 1024;
/// Why an event was not reported, or not wholly. One line, without the event's texts.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// Standard input.
    #[error("the event cannot be read: {0}")]
    Input(io::Error),
    /// It is no JSON, or longer than is read.
    #[error("the event is not understood: {0}")]
    Event(serde_json::Error),
    /// The spool.
    #[error("{what}: {error}")]
    Spool {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        error: io::Error,
    },
}

/// How the hook works.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Options {
    /// A person's reply to what the agent asks comes by way of the hook: it waits for it.
    pub reply: bool,
}

/// Reads one event from `input` and reports it in the spool. Without a spool, nothing is reported: then the agent is a
/// person's own. Gives what is to be printed for the agent, mostly nothing: for a question that waits for a person, their
/// reply, once it is there.
///
/// # Errors
/// [`HookError`].
pub fn run(mut input: impl Read, spool: Option<&Path>, options: Options) -> Result<Option<String>, HookError> {
    let mut event = Vec::new();
    input.by_ref().take(MAX_EVENT).read_to_end(&mut event).map_err(HookError::Input)?;
    // Whoever writes shall be able to finish.
    io::copy(&mut input, &mut io::sink()).map_err(HookError::Input)?;
    let Some(spool) = spool else { return Ok(None) };
    let event = event::parse(&event).map_err(HookError::Event)?;
    let out = spool.join("out");
    let open = memory::recall(&out);
    for asked in open.iter().flat_map(|open| &open.given_up) {
        // What this event tells matters more; the next hook finds it, too.
        let _ = close_given_up(&out, asked);
    }
    let meaning = meaning::of(&event, open.as_ref(), options.reply);
    report(&out, open.as_ref(), &meaning)?;
    match meaning.awaits {
        Some(question) => ask::wait(spool, &question).map_err(|error| HookError::Spool { what: "a reply", error }),
        None => Ok(None),
    }
}

/// The hook that asked this has ended without a word: the terminal has decided, if anyone has. Where another one tells so,
/// too, it is over all the same.
fn close_given_up(out: &Path, asked: &Asked) -> io::Result<()> {
    if memory::allow(out, asked)? { signal::append(out, ask::over(asked)) } else { Ok(()) }
}

fn report(out: &Path, open: Option<&memory::Open>, meaning: &Meaning) -> Result<(), HookError> {
    // Before anything is told: what the server does about it may come back as the next event at once.
    if meaning.then != Then::Same {
        memory::close_all(out);
    }
    let remembered = match &meaning.then {
        Then::Open(turn) if open.map(|open| &open.turn) != Some(turn) => memory::remember(out, turn),
        Then::Closed => memory::forget(out),
        _ => Ok(()),
    };
    let asked = meaning.asks.as_ref().map_or(Ok(()), |asked| memory::open(out, asked));
    // Whoever closes it tells so, and nobody else.
    let over = meaning.over.as_ref().map_or(Ok(None), |asked| {
        let is_news = memory::close(out, asked)? && !asked.allowed;
        Ok(is_news.then(|| ask::over(asked)))
    });
    if meaning.signals.iter().any(|signal| matches!(signal, Signal::Activity { .. } | Signal::Said { .. })) {
        // The agent goes on: the server, too, takes for over what no use of a tool asked.
        for asked in open.iter().flat_map(|open| open.questions("")) {
            let _ = memory::close(out, asked);
        }
    }
    let (over, closed) = over.map_or_else(|error| (None, Err(error)), |over| (over, Ok(())));
    for signal in over.into_iter().chain(meaning.signals.iter().cloned()) {
        signal::append(out, signal).map_err(|error| HookError::Spool { what: signal::FILE_NAME, error })?;
    }
    remembered.and(asked).and(closed).map_err(|error| HookError::Spool { what: memory::FILE, error })
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::agent::signal::SignalLine;
    use crate::turn::TurnId;

    fn hook(spool: &Path, event: &Value) -> Result<(), HookError> {
        run(event.to_string().as_bytes(), Some(spool), Options::default()).map(drop)
    }

    fn signals(spool: &Path) -> Vec<Signal> {
        let text = std::fs::read_to_string(spool.join("out/events.jsonl")).unwrap_or_default();
        text.lines().map(|line| SignalLine::parse(line).unwrap().signal).collect()
    }

    fn fixture() -> tempfile::TempDir {
        let spool = tempfile::tempdir().unwrap();
        std::fs::create_dir(spool.path().join("out")).unwrap();
        spool
    }

    fn prompt(turn_id: TurnId) -> Value {
        json!({"hook_event_name": "UserPromptSubmit", "prompt": format!("[PALIADIN:{turn_id}] hello")})
    }

    #[test]
    fn what_follows_a_prompt_is_laid_to_its_turn() {
        let (spool, turn_id) = (fixture(), TurnId::fresh());
        let path = spool.path();
        let stop = json!({"hook_event_name": "Stop", "last_assistant_message": "hi"});
        hook(path, &stop).unwrap();
        assert!(signals(path).is_empty(), "no turn is known");
        hook(path, &prompt(turn_id)).unwrap();
        // A person at the terminal.
        hook(path, &json!({"hook_event_name": "UserPromptSubmit", "prompt": "and this?"})).unwrap();
        hook(path, &stop).unwrap();
        hook(path, &stop).unwrap();
        let stopped = Signal::Stopped { turn_id, message: Some("hi".to_owned()) };
        assert_eq!(signals(path), [Signal::Submitted { turn_id }, stopped]);
        let left: Vec<_> =
            std::fs::read_dir(path.join("out")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["events.jsonl"]);
    }

    #[test]
    fn a_question_is_told_once() {
        let (spool, turn_id) = (fixture(), TurnId::fresh());
        let path = spool.path();
        let request = json!({"hook_event_name": "PermissionRequest", "tool_name": "Bash", "tool_input": {}});
        let notification = json!({"hook_event_name": "Notification", "notification_type": "permission_prompt",
            "message": "Claude needs your permission"});
        let done = json!({"hook_event_name": "PostToolUse", "tool_name": "Bash", "tool_input": {}});
        for event in [&prompt(turn_id), &request, &notification, &done, &notification] {
            hook(path, event).unwrap();
        }
        let kinds: Vec<_> = signals(path).into_iter().map(|signal| serde_json::to_value(signal).unwrap()).collect();
        let kinds: Vec<_> = kinds.iter().map(|signal| signal["event"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["submitted", "attention", "attention_over", "activity", "attention"]);
    }

    #[test]
    fn questions_side_by_side_are_over_one_by_one_and_with_the_turn() {
        let (spool, turn_id) = (fixture(), TurnId::fresh());
        let path = spool.path();
        let bash = |name: &str, command: &str| json!({"hook_event_name": name, "tool_name": "Bash", "tool_input": {"command": command}});
        let hidden = || {
            let names = std::fs::read_dir(path.join("out")).unwrap().map(|entry| entry.unwrap().file_name());
            names.filter(|name| name.to_string_lossy().starts_with('.')).count()
        };
        hook(path, &prompt(turn_id)).unwrap();
        for command in ["one", "two"] {
            hook(path, &bash("PermissionRequest", command)).unwrap();
        }
        assert_eq!(hidden(), 3);
        for name in ["PreToolUse", "PostToolUse"] {
            hook(path, &bash(name, "three")).unwrap();
        }
        assert_eq!(hidden(), 3, "a tool that nobody asked about");
        hook(path, &bash("PostToolUse", "two")).unwrap();
        assert_eq!(hidden(), 2);
        hook(path, &bash("PostToolUse", "two")).unwrap();
        hook(path, &json!({"hook_event_name": "Stop"})).unwrap();
        assert_eq!(hidden(), 0);
        let over = signals(path).iter().filter(|signal| matches!(signal, Signal::AttentionOver { .. })).count();
        assert_eq!(over, 1);
        hook(path, &prompt(turn_id)).unwrap();
        hook(path, &bash("PermissionRequest", "four")).unwrap();
        hook(path, &prompt(TurnId::fresh())).unwrap();
        assert_eq!(hidden(), 1, "another turn");
    }

    #[test]
    fn half_pairs_and_broken_utf8_do_not_lose_an_answer() {
        let (spool, turn_id) = (fixture(), TurnId::fresh());
        hook(spool.path(), &prompt(turn_id)).unwrap();
        let event = br#"{"hook_event_name":"Stop","last_assistant_message":"\ud83d\ude00 \\ud800 \ud83d \"ok\" "#;
        run([&event[..], b"\xff\"}"].concat().as_slice(), Some(spool.path()), Options::default()).unwrap();
        let message = Some("\u{1f600} \\ud800 \u{fffd} \"ok\" \u{fffd}".to_owned());
        assert_eq!(signals(spool.path())[1], Signal::Stopped { turn_id, message });
    }

    #[test]
    fn what_cannot_be_used_is_an_error_and_no_panic() {
        let spool = fixture();
        for garbage in ["", "{", "\\", "\u{fffd}", &"[".repeat(100_000)] {
            assert!(matches!(
                run(garbage.as_bytes(), Some(spool.path()), Options::default()),
                Err(HookError::Event(_))
            ));
        }
        for harmless in ["null", "[]", "{}", r#"{"hook_event_name":7}"#, r#"{"hook_event_name":"Dream"}"#] {
            run(harmless.as_bytes(), Some(spool.path()), Options::default()).unwrap();
        }
        let endless = io::repeat(b' ').take(MAX_EVENT + 10);
        assert!(matches!(run(endless, Some(spool.path()), Options::default()), Err(HookError::Event(_))));
        assert!(signals(spool.path()).is_empty());
        let error = hook(&spool.path().join("gone"), &prompt(TurnId::fresh())).unwrap_err();
        assert!(matches!(error, HookError::Spool { .. }), "{error}");
        run(prompt(TurnId::fresh()).to_string().as_bytes(), None, Options::default()).unwrap();
    }

    #[test]
    fn a_turn_of_an_earlier_process_is_forgotten() {
        let (spool, turn_id) = (fixture(), TurnId::fresh());
        let path = spool.path();
        let stop = json!({"hook_event_name": "Stop", "last_assistant_message": "hi"});
        let start = |source| json!({"hook_event_name": "SessionStart", "session_id": "abc123", "source": source});
        hook(path, &prompt(turn_id)).unwrap();
        hook(path, &start("startup")).unwrap();
        hook(path, &stop).unwrap();
        assert_eq!(signals(path).len(), 2, "submitted, ready");
        hook(path, &prompt(turn_id)).unwrap();
        hook(path, &start("compact")).unwrap();
        hook(path, &stop).unwrap();
        assert_eq!(signals(path).len(), 5, "compaction happens in mid-turn");
    }
}

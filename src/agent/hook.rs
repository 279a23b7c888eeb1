//! `paliadin hook`: an agent program runs it for each of its events, with the event as JSON on standard input. What
//! matters of it goes to `out/events.jsonl`, where the server reads it.
//!
//! The events of a program name no turn. The hook remembers the last turn that was submitted, in a file beside the
//! signals, and lays what follows to it. Programs wait for their hooks one after another, save for tools that run at
//! once, and those do not change the turn.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::io::Errno;
use serde_json::Value;

use super::claude;
use super::signal::{self, FILE_MODE, Signal};
use crate::turn::TurnId;

/// Bytes of an event that are read. Claude Code sends tools' results along, which no signal needs.
const MAX_EVENT: u64 = 4 * 1024 * 1024;
/// Name of the file in `out/` that remembers the open turn.
const MEMORY: &str = ".turn";
/// Bytes of it that are read: an id and a word.
const MAX_MEMORY: u64 = 64;

/// The turn that the agent works on, as the hook remembers it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OpenTurn {
    /// Which turn.
    pub turn_id: TurnId,
    /// It waits for a person, and the server was told.
    pub asked: bool,
}

/// What one event of an agent program means.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Meaning {
    /// What is reported, in this order.
    pub signals: Vec<Signal>,
    /// What becomes of the open turn.
    pub then: Then,
}

/// What becomes of the open turn after an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Then {
    /// Nothing.
    #[default]
    Same,
    /// It is this one, like this.
    Open(OpenTurn),
    /// There is none.
    Closed,
}

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

/// Reads one event from `input` and reports it in the spool. Without a spool, nothing is reported: then the agent is a
/// person's own.
///
/// # Errors
/// [`HookError`].
pub fn run(mut input: impl Read, spool: Option<&Path>) -> Result<(), HookError> {
    let mut event = Vec::new();
    input.by_ref().take(MAX_EVENT).read_to_end(&mut event).map_err(HookError::Input)?;
    // Whoever writes shall be able to finish.
    io::copy(&mut input, &mut io::sink()).map_err(HookError::Input)?;
    let Some(spool) = spool else { return Ok(()) };
    let event = parse(&event).map_err(HookError::Event)?;
    report(&spool.join("out"), &event)
}

fn report(out: &Path, event: &Value) -> Result<(), HookError> {
    let memory = out.join(MEMORY);
    let open = recall(&memory);
    let Meaning { signals, then } = claude::meaning(event, open);
    // Before anything is told: what the server does about it may come back as the next event at once.
    let remembered = match then {
        Then::Open(turn) if open != Some(turn) => remember(&memory, turn),
        Then::Closed => forget(&memory),
        _ => Ok(()),
    };
    for signal in signals {
        signal::append(out, signal).map_err(|error| HookError::Spool { what: signal::FILE_NAME, error })?;
    }
    remembered.map_err(|error| HookError::Spool { what: MEMORY, error })
}

/// The event, also where it holds bytes that are no UTF-8, or halves of surrogate pairs: programs in JavaScript cut
/// strings between two halves, and write each as `\ud83d`, which is JSON, but no text.
fn parse(event: &[u8]) -> Result<Value, serde_json::Error> {
    let text = String::from_utf8_lossy(event);
    serde_json::from_str(&text).or_else(|error| {
        let mended = without_half_pairs(&text);
        if mended == text { Err(error) } else { serde_json::from_str(&mended) }
    })
}

/// Puts U+FFFD for every escaped half of a surrogate pair that lacks the other half.
fn without_half_pairs(json: &str) -> String {
    let escape_at = |at: usize| {
        let digits = json.get(at..)?.strip_prefix("\\u")?.get(..4)?;
        u32::from_str_radix(digits, 16).ok()
    };
    let mut mended = String::with_capacity(json.len());
    let mut rest = 0;
    while let Some(found) = json[rest..].find('\\') {
        let at = rest + found;
        mended.push_str(&json[rest..at]);
        let (length, whole) = match (escape_at(at), escape_at(at + 6)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => (12, true),
            (Some(0xd800..=0xdfff), _) => (6, false),
            (Some(_), _) => (6, true),
            // A backslash and the character that it escapes, whatever that is.
            (None, _) => (1 + json[at + 1..].chars().next().map_or(0, char::len_utf8), true),
        };
        mended.push_str(if whole { &json[at..at + length] } else { "\\ufffd" });
        rest = at + length;
    }
    mended.push_str(&json[rest..]);
    mended
}

/// The open turn; `None` also where the file is not what it must be.
fn recall(memory: &Path) -> Option<OpenTurn> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = std::fs::File::from(rustix::fs::open(memory, flags, FILE_MODE).ok()?);
    let mut text = String::new();
    file.take(MAX_MEMORY).read_to_string(&mut text).ok()?;
    let mut words = text.split_whitespace();
    let turn_id = words.next()?.parse().ok()?;
    Some(OpenTurn { turn_id, asked: words.next() == Some("asked") })
}

/// Written beside and renamed, so that a hook that runs at the same time never reads half of it.
fn remember(memory: &Path, turn: OpenTurn) -> io::Result<()> {
    let beside = PathBuf::from(format!("{}.{}", memory.display(), std::process::id()));
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = std::fs::File::from(rustix::fs::open(&beside, flags, FILE_MODE)?);
    let text = format!("{}{}\n", turn.turn_id, if turn.asked { " asked" } else { "" });
    let placed = file.write_all(text.as_bytes()).and_then(|()| std::fs::rename(&beside, memory));
    if placed.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    placed
}

fn forget(memory: &Path) -> io::Result<()> {
    match rustix::fs::unlink(memory) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::agent::signal::SignalLine;

    fn hook(spool: &Path, event: &Value) -> Result<(), HookError> {
        run(event.to_string().as_bytes(), Some(spool))
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
    fn half_pairs_and_broken_utf8_do_not_lose_an_answer() {
        let (spool, turn_id) = (fixture(), TurnId::fresh());
        hook(spool.path(), &prompt(turn_id)).unwrap();
        let event = br#"{"hook_event_name":"Stop","last_assistant_message":"\ud83d\ude00 \\ud800 \ud83d \"ok\" "#;
        run([&event[..], b"\xff\"}"].concat().as_slice(), Some(spool.path())).unwrap();
        let message = Some("\u{1f600} \\ud800 \u{fffd} \"ok\" \u{fffd}".to_owned());
        assert_eq!(signals(spool.path())[1], Signal::Stopped { turn_id, message });
        for odd in ["", "\\", "\\u", "\\u12", "\\ud800", "\\ud800\\", "\\ü", "\\ud800\\u00e9", "\\dc00"] {
            without_half_pairs(odd);
        }
    }

    #[test]
    fn what_cannot_be_used_is_an_error_and_no_panic() {
        let spool = fixture();
        for garbage in ["", "{", "\\", "\u{fffd}", &"[".repeat(100_000)] {
            assert!(matches!(run(garbage.as_bytes(), Some(spool.path())), Err(HookError::Event(_))));
        }
        for harmless in ["null", "[]", "{}", r#"{"hook_event_name":7}"#, r#"{"hook_event_name":"Dream"}"#] {
            run(harmless.as_bytes(), Some(spool.path())).unwrap();
        }
        let endless = io::repeat(b' ').take(MAX_EVENT + 10);
        assert!(matches!(run(endless, Some(spool.path())), Err(HookError::Event(_))));
        assert!(signals(spool.path()).is_empty());
        let error = hook(&spool.path().join("gone"), &prompt(TurnId::fresh())).unwrap_err();
        assert!(matches!(error, HookError::Spool { .. }), "{error}");
        run(prompt(TurnId::fresh()).to_string().as_bytes(), None).unwrap();
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

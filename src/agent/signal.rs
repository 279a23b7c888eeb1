//! What an agent reports of itself, whichever program it is: one JSON object per line of `out/events.jsonl`.
//!
//! Written by the demo agent and by `paliadin hook`, read by the server. Several processes append to one file, so
//! a line goes out in one write.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};

use super::question::QuestionName;
use crate::turn::{Timestamp, TurnId};

/// Name of the file in the `out/` directory of a spool.
pub const FILE_NAME: &str = "events.jsonl";

/// How everything in `out/` is created. The spool's directories keep strangers out; the group bit lets a server
/// read what an agent under another account wrote into a directory of the server's group.
pub const FILE_MODE: Mode = Mode::from_bits_truncate(0o640);

/// One thing that an agent reports.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Signal {
    /// The agent takes input now.
    Ready {
        /// What resumes this memory after a restart; `None` where the agent has no such thing.
        resume_id: Option<String>,
    },
    /// The turn's message arrived: delivery is confirmed.
    Submitted {
        /// The turn that arrived.
        turn_id: TurnId,
    },
    /// A tool of the agent started or finished.
    Activity {
        /// The turn that it serves.
        turn_id: TurnId,
        /// The tool's name, for programs.
        tool: String,
        /// What it does, for people.
        label: String,
        /// Which end of it this is.
        state: ActivityState,
    },
    /// The agent waits for a person.
    Attention {
        /// The turn that is held up.
        turn_id: TurnId,
        /// What is wanted.
        kind: AttentionKind,
        /// What the agent asks.
        prompt: String,
        /// The answers to choose from; empty where any text will do.
        #[serde(default)]
        options: Vec<String>,
        /// Which question it is: open until that very one is over. `None` for one that is over as soon as the agent does
        /// something else, and for one that has a `reply`, which is its name then.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<QuestionName>,
        /// Under which name a hook awaits the reply in `in/`; `None` where it is typed, or given in the terminal only.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reply: Option<QuestionName>,
    },
    /// The next piece of a message of the agent's, as it is shown.
    Said {
        /// The turn that it answers.
        turn_id: TurnId,
        /// Which message: an agent may say several in one turn.
        message: String,
        /// Which piece of it: 0, 1, …
        index: u32,
        /// The piece.
        text: String,
    },
    /// Where the agent writes down what happens in this turn, for what it tells in no other way.
    Transcript {
        /// The turn.
        turn_id: TurnId,
        /// Its file, one JSON object per line.
        path: PathBuf,
        /// Bytes that it had when the turn began.
        from: u64,
        /// The agent's own name for the turn.
        prompt: String,
    },
    /// A wait for a person is over.
    AttentionOver {
        /// The turn that goes on.
        turn_id: TurnId,
        /// The name of the question that is over; `None` for those without one. Versions before called it `reply`.
        #[serde(default, alias = "reply", skip_serializing_if = "Option::is_none")]
        name: Option<QuestionName>,
    },
    /// The agent is alive and works on the turn.
    Heartbeat {
        /// The turn that it works on.
        turn_id: TurnId,
    },
    /// The turn is answered.
    Stopped {
        /// The turn that ended.
        turn_id: TurnId,
        /// The whole answer, for agents that do not write the answer file.
        message: Option<String>,
    },
    /// The turn failed on the agent's side.
    Failed {
        /// The turn that ended.
        turn_id: TurnId,
        /// Why, for people.
        message: String,
    },
    /// The turn was interrupted; there is no answer.
    Interrupted {
        /// The turn that ended.
        turn_id: TurnId,
    },
}

impl Signal {
    /// The turn that it is about.
    pub fn turn_id(&self) -> Option<TurnId> {
        match self {
            Self::Ready { .. } => None,
            Self::Submitted { turn_id }
            | Self::Activity { turn_id, .. }
            | Self::Attention { turn_id, .. }
            | Self::Said { turn_id, .. }
            | Self::Transcript { turn_id, .. }
            | Self::AttentionOver { turn_id, .. }
            | Self::Heartbeat { turn_id }
            | Self::Stopped { turn_id, .. }
            | Self::Failed { turn_id, .. }
            | Self::Interrupted { turn_id } => Some(*turn_id),
        }
    }

    /// The turn with which the agent is done by this, one way or another.
    pub fn ends(&self) -> Option<TurnId> {
        match self {
            Self::Stopped { turn_id, .. } | Self::Failed { turn_id, .. } | Self::Interrupted { turn_id } => {
                Some(*turn_id)
            }
            _ => None,
        }
    }
}

/// The two ends of an activity.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActivityState {
    /// It began.
    Started,
    /// It ended, well or not.
    Finished,
}

/// What an agent wants of a person.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttentionKind {
    /// An answer.
    Question,
    /// Leave to do something.
    Permission,
}

/// One line of the file.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SignalLine {
    /// When it was written, in milliseconds since the Unix epoch, by the agent host's clock.
    pub at: i64,
    /// What is reported.
    #[serde(flatten)]
    pub signal: Signal,
}

/// A line that is no signal this version knows; a reader skips it.
#[derive(Debug, thiserror::Error)]
#[error("not a signal: {0}")]
pub struct UnknownSignal(#[from] serde_json::Error);

impl SignalLine {
    /// The signal, stamped with the wall clock.
    pub fn now(signal: Signal) -> Self {
        Self { at: Timestamp::now().0, signal }
    }

    /// Reads one line, with or without its newline. Unknown fields are ignored.
    pub fn parse(line: &str) -> Result<Self, UnknownSignal> {
        Ok(serde_json::from_str(line)?)
    }
}

/// Appends the signal to `events.jsonl` in the directory `out`. The file is opened anew each time, so that a spool
/// that was removed and made again is found again.
///
/// # Errors
/// Whatever the file system says; `WriteZero` where only a part of the line could be written.
pub fn append(out: &Path, signal: Signal) -> io::Result<()> {
    append_line(&out.join(FILE_NAME), &SignalLine::now(signal))
}

/// Appends `value` as one line of JSON to the file at `path`, which is no symbolic link, in one write.
///
/// # Errors
/// As [`append`].
pub fn append_line(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, FILE_MODE)?;
    let written = rustix::io::retry_on_intr(|| rustix::io::write(&file, &line))?;
    if written < line.len() {
        // The disk is full. The torn line is closed, lest the next one be lost with it.
        let _ = rustix::io::write(&file, b"\n");
        return Err(io::ErrorKind::WriteZero.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use serde_json::{Value, json};

    use super::*;

    fn turn() -> TurnId {
        TurnId(uuid::Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001))
    }

    #[test]
    fn every_signal_reads_back_and_has_its_wire_form() -> Result<(), Box<dyn Error>> {
        let turn_id = turn();
        let id = turn_id.to_string();
        let text = || "x\ny".to_owned();
        let name = || Some(QuestionName::try_from("q-1".to_owned()).unwrap());
        let (activity, kind) = (ActivityState::Started, AttentionKind::Question);
        let cases = [
            (Signal::Ready { resume_id: None }, json!({"event": "ready", "resume_id": null})),
            (Signal::Ready { resume_id: Some(text()) }, json!({"event": "ready", "resume_id": "x\ny"})),
            (Signal::Submitted { turn_id }, json!({"event": "submitted", "turn_id": id})),
            (
                Signal::Activity { turn_id, tool: text(), label: text(), state: activity },
                json!({"event": "activity", "turn_id": id, "tool": "x\ny", "label": "x\ny", "state": "started"}),
            ),
            (
                Signal::Attention { turn_id, kind, prompt: text(), options: vec![text()], name: None, reply: None },
                json!({"event": "attention", "turn_id": id, "kind": "question", "prompt": "x\ny", "options": ["x\ny"]}),
            ),
            (
                Signal::Attention { turn_id, kind, prompt: text(), options: Vec::new(), name: None, reply: name() },
                json!({"event": "attention", "turn_id": id, "kind": "question", "prompt": "x\ny", "options": [],
                    "reply": "q-1"}),
            ),
            (
                Signal::Attention { turn_id, kind, prompt: text(), options: Vec::new(), name: name(), reply: None },
                json!({"event": "attention", "turn_id": id, "kind": "question", "prompt": "x\ny", "options": [],
                    "name": "q-1"}),
            ),
            (
                Signal::Said { turn_id, message: text(), index: 7, text: text() },
                json!({"event": "said", "turn_id": id, "message": "x\ny", "index": 7, "text": "x\ny"}),
            ),
            (
                Signal::Transcript { turn_id, path: "/t".into(), from: 9, prompt: text() },
                json!({"event": "transcript", "turn_id": id, "path": "/t", "from": 9, "prompt": "x\ny"}),
            ),
            (Signal::AttentionOver { turn_id, name: None }, json!({"event": "attention_over", "turn_id": id})),
            (
                Signal::AttentionOver { turn_id, name: name() },
                json!({"event": "attention_over", "turn_id": id, "name": "q-1"}),
            ),
            (Signal::Heartbeat { turn_id }, json!({"event": "heartbeat", "turn_id": id})),
            (Signal::Stopped { turn_id, message: None }, json!({"event": "stopped", "turn_id": id, "message": null})),
            (
                Signal::Stopped { turn_id, message: Some(text()) },
                json!({"event": "stopped", "turn_id": id, "message": "x\ny"}),
            ),
            (Signal::Failed { turn_id, message: text() }, json!({"event": "failed", "turn_id": id, "message": "x\ny"})),
            (Signal::Interrupted { turn_id }, json!({"event": "interrupted", "turn_id": id})),
        ];
        for (signal, mut wire) in cases {
            let line = SignalLine { at: 1_700_000_000_000, signal };
            let text = serde_json::to_string(&line)?;
            wire["at"] = json!(1_700_000_000_000_i64);
            assert_eq!(serde_json::from_str::<Value>(&text)?, wire);
            assert_eq!(SignalLine::parse(&text)?, line);
        }
        Ok(())
    }

    #[test]
    fn unknown_fields_are_ignored_and_unknown_events_refused() -> Result<(), Box<dyn Error>> {
        let known = format!(r#"{{"v":2,"at":7,"event":"stopped","turn_id":"{}","cost":{{"usd":1}}}}"#, turn());
        let expected = SignalLine { at: 7, signal: Signal::Stopped { turn_id: turn(), message: None } };
        assert_eq!(SignalLine::parse(&(known + "\n"))?, expected);
        for bad in ["", "{", "null", r#"{"at":7,"event":"dreaming"}"#, r#"{"at":7}"#, r#"{"event":"ready"}"#] {
            assert!(SignalLine::parse(bad).is_err(), "{bad}");
        }
        Ok(())
    }

    #[test]
    fn a_question_is_named_as_in_versions_before_and_never_by_a_path() -> Result<(), Box<dyn Error>> {
        let over = |name: &str| format!(r#"{{"at":7,"event":"attention_over","turn_id":"{}",{name}}}"#, turn());
        let asks = |name: &str| over(name).replace("attention_over", r#"attention","kind":"question","prompt":"?"#);
        let expected = Signal::AttentionOver { turn_id: turn(), name: Some("q1".to_owned().try_into()?) };
        for field in ["name", "reply"] {
            assert_eq!(SignalLine::parse(&over(&format!(r#""{field}":"q1""#)))?.signal, expected);
            assert!(SignalLine::parse(&asks(&format!(r#""{field}":"q1""#))).is_ok());
            for bad in ["", "x/../../victim", "..", "a b", &"x".repeat(65)] {
                assert!(SignalLine::parse(&asks(&format!(r#""{field}":"{bad}""#))).is_err(), "{field}: {bad}");
            }
        }
        Ok(())
    }

    #[test]
    fn lines_are_appended_and_links_are_not_followed() -> Result<(), Box<dyn Error>> {
        let out = tempfile::tempdir()?;
        append(out.path(), Signal::Ready { resume_id: None })?;
        append(out.path(), Signal::Submitted { turn_id: turn() })?;
        let text = std::fs::read_to_string(out.path().join(FILE_NAME))?;
        let signals = text.lines().map(|line| SignalLine::parse(line).map(|line| line.signal));
        let signals = signals.collect::<Result<Vec<_>, _>>()?;
        assert_eq!(signals, [Signal::Ready { resume_id: None }, Signal::Submitted { turn_id: turn() }]);

        let other = tempfile::tempdir()?;
        std::os::unix::fs::symlink(out.path().join(FILE_NAME), other.path().join(FILE_NAME))?;
        assert!(append(other.path(), Signal::Ready { resume_id: None }).is_err());
        assert!(append(&out.path().join("gone"), Signal::Ready { resume_id: None }).is_err());
        Ok(())
    }
}

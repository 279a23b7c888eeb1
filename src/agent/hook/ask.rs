//! A hook that stands between an agent's question and the person who replies to it in the chat. The agent shows its own
//! dialog meanwhile; whoever answers first decides.
//!
//! The answer to a hook is Claude Code's (reference, "PermissionRequest decision control"); codex takes the same.

use std::fs::File;
use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::path::Path;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{OFlags, inotify};
use serde_json::{Map, Value, json};

use super::meaning::Question;
use super::memory::{self, OpenTurn};
use crate::agent::signal::{self, FILE_MODE, Signal};
use crate::agent::spool::reply_file;

/// Bytes of a reply that are read: the server takes shorter ones only.
const MAX_REPLY: u64 = 64 * 1024;
/// What the model is told of a refusal.
const REFUSED: &str = "The person in the chat said no.";

/// Waits until the question is replied to, and gives what is to be printed then; `None` where it was answered otherwise, or
/// nobody waits for an answer any more.
pub(super) fn wait(spool: &Path, question: &Question) -> io::Result<Option<String>> {
    let (input, out) = (spool.join("in"), spool.join("out"));
    let changes = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
    let placed = inotify::WatchFlags::MOVED_TO | inotify::WatchFlags::CREATE | inotify::WatchFlags::DELETE;
    for directory in [&input, &out] {
        inotify::add_watch(&changes, directory, placed)?;
    }
    loop {
        // Looked at once the directories are watched: what comes after that is told.
        if let Some(reply) = reply(&input.join(reply_file(question.turn_id, &question.name)))? {
            let answer = answer(question, &reply);
            let turn_id = question.turn_id;
            memory::remember(&out, &OpenTurn { turn_id, asked: None })?;
            signal::append(&out, Signal::AttentionOver { turn_id })?;
            return Ok(Some(answer.to_string()));
        }
        if !is_open(&out, question) {
            return Ok(None);
        }
        // An agent that is gone does not listen any more.
        let stdout = io::stdout();
        let mut both = [PollFd::new(&changes, PollFlags::IN), PollFd::new(&stdout, PollFlags::empty())];
        match poll(&mut both, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        if both[1].revents().intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL) {
            return Ok(None);
        }
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut told = inotify::Reader::new(&changes, &mut buffer);
        while told.next().is_ok() {}
    }
}

/// The turn still waits for this reply.
fn is_open(out: &Path, question: &Question) -> bool {
    let asked = memory::recall(out).filter(|open| open.turn_id == question.turn_id).and_then(|open| open.asked);
    asked.is_some_and(|asked| asked.name == question.name)
}

fn reply(path: &Path) -> io::Result<Option<String>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, FILE_MODE) {
        Ok(file) => File::from(file),
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut text = String::new();
    file.take(MAX_REPLY).read_to_string(&mut text)?;
    Ok(Some(text))
}

fn answer(question: &Question, reply: &str) -> Value {
    let decision = match &question.asked {
        Some(input) => json!({ "behavior": "allow", "updatedInput": answered(input, reply) }),
        None if reply == "allow" => json!({ "behavior": "allow" }),
        None => json!({ "behavior": "deny", "message": REFUSED }),
    };
    json!({ "hookSpecificOutput": { "hookEventName": "PermissionRequest", "decision": decision } })
}

/// What the tool was given, with this answer to each of its questions.
fn answered(input: &Value, reply: &str) -> Value {
    let questions = input["questions"].as_array().cloned().unwrap_or_default();
    let texts = questions.iter().filter_map(|question| question["question"].as_str());
    let answers: Map<String, Value> = texts.map(|text| (text.to_owned(), json!(reply))).collect();
    let mut input = input.clone();
    input["answers"] = Value::Object(answers);
    input
}

#[cfg(test)]
mod tests {
    use super::super::memory::Asked;
    use super::*;
    use crate::turn::TurnId;

    fn question(asked: Option<Value>) -> (tempfile::TempDir, Question) {
        let spool = tempfile::tempdir().unwrap();
        for name in ["in", "out"] {
            std::fs::create_dir(spool.path().join(name)).unwrap();
        }
        let question = Question { turn_id: TurnId::fresh(), name: "q1".to_owned(), asked };
        let asked = Some(Asked { name: "q1".to_owned(), tool: String::new() });
        memory::remember(&spool.path().join("out"), &OpenTurn { turn_id: question.turn_id, asked }).unwrap();
        (spool, question)
    }

    fn put_reply(spool: &Path, question: &Question, text: &str) {
        let (beside, place) = (spool.join("in/.new"), spool.join("in").join(reply_file(question.turn_id, "q1")));
        std::fs::write(&beside, text).unwrap();
        std::fs::rename(beside, place).unwrap();
    }

    #[test]
    fn a_reply_is_waited_for_and_becomes_a_decision() {
        for (text, decision) in [
            ("allow", json!({"behavior": "allow"})),
            ("deny", json!({"behavior": "deny", "message": REFUSED})),
            ("something else", json!({"behavior": "deny", "message": REFUSED})),
        ] {
            let (spool, question) = question(None);
            let (path, asked) = (spool.path().to_owned(), question.clone());
            let waiting = std::thread::spawn(move || wait(&path, &asked).unwrap());
            put_reply(spool.path(), &question, text);
            let printed: Value = serde_json::from_str(&waiting.join().unwrap().unwrap()).unwrap();
            assert_eq!(printed["hookSpecificOutput"]["decision"], decision);
            assert_eq!(memory::recall(&spool.path().join("out")).unwrap().asked, None);
            let told = std::fs::read_to_string(spool.path().join("out/events.jsonl")).unwrap();
            assert!(told.contains("attention_over"), "{told}");
        }
    }

    #[test]
    fn every_question_gets_the_answer() {
        let input = json!({"questions": [{"question": "Which?", "options": []}, {"question": "How many?"}], "more": 1});
        let (spool, question) = question(Some(input.clone()));
        put_reply(spool.path(), &question, "Blue");
        let printed: Value = serde_json::from_str(&wait(spool.path(), &question).unwrap().unwrap()).unwrap();
        let mut expected = input;
        expected["answers"] = json!({"Which?": "Blue", "How many?": "Blue"});
        assert_eq!(printed["hookSpecificOutput"]["decision"], json!({"behavior": "allow", "updatedInput": expected}));
    }

    #[test]
    fn nobody_waits_for_a_question_that_was_answered_elsewhere() {
        let (spool, question) = question(None);
        let (path, asked) = (spool.path().to_owned(), question.clone());
        let waiting = std::thread::spawn(move || wait(&path, &asked).unwrap());
        memory::remember(&spool.path().join("out"), &OpenTurn { turn_id: question.turn_id, asked: None }).unwrap();
        assert_eq!(waiting.join().unwrap(), None);
        memory::forget(&spool.path().join("out")).unwrap();
        assert_eq!(wait(spool.path(), &question).unwrap(), None);
    }
}

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
use super::memory::{self, Asked};
use crate::agent::signal::{self, FILE_MODE, Signal};
use crate::agent::spool::reply_file;

/// Bytes of a reply that are read: the server takes shorter ones only.
const MAX_REPLY: u64 = 64 * 1024;
/// The reply that gives leave.
const ALLOW: &str = "allow";
/// What the model is told of a refusal.
const REFUSED: &str = "The person in the chat said no.";

/// Waits until the question is replied to, and gives what is to be printed then; `None` where it was answered otherwise, or
/// nobody waits for an answer any more.
pub(super) fn wait(spool: &Path, question: &Question) -> io::Result<Option<String>> {
    let (input, out) = (spool.join("in"), spool.join("out"));
    let Some((asked, _claim)) = claim(&out, question)? else { return Ok(None) };
    let changes = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
    let placed = inotify::WatchFlags::MOVED_TO | inotify::WatchFlags::CREATE | inotify::WatchFlags::DELETE;
    for directory in [&input, &out] {
        inotify::add_watch(&changes, directory, placed)?;
    }
    loop {
        // Looked at once the directories are watched: what comes after that is told.
        if let Some(reply) = reply(&input.join(reply_file(asked.turn_id, &asked.name)))? {
            return decide(&out, asked, question.input.as_ref(), &reply);
        }
        if !is_open(&out, asked) {
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

/// What tells that the question is over.
pub(super) fn over(asked: &Asked) -> Signal {
    Signal::AttentionOver { turn_id: asked.turn_id, reply: asked.reply.then(|| asked.name.clone()) }
}

/// The first of the questions for which nobody waits.
fn claim<'a>(out: &Path, question: &'a Question) -> io::Result<Option<(&'a Asked, File)>> {
    for asked in &question.asked {
        if let Some(claim) = memory::claim(out, asked)? {
            return Ok(Some((asked, claim)));
        }
    }
    Ok(None)
}

/// The turn still waits for this reply.
fn is_open(out: &Path, asked: &Asked) -> bool {
    memory::is_open(out, asked.turn_id) && memory::is_asked(out, asked)
}

/// The reply decides, unless the question is over: whoever closes it has decided.
fn decide(out: &Path, asked: &Asked, input: Option<&Value>, reply: &str) -> io::Result<Option<String>> {
    let runs = input.is_some() || reply == ALLOW;
    let close = if runs { memory::allow } else { memory::close };
    if !memory::is_open(out, asked.turn_id) || !close(out, asked)? {
        return Ok(None);
    }
    signal::append(out, over(asked))?;
    Ok(Some(answer(input, reply).to_string()))
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

fn answer(input: Option<&Value>, reply: &str) -> Value {
    let decision = match input {
        Some(input) => json!({ "behavior": "allow", "updatedInput": answered(input, reply) }),
        None if reply == ALLOW => json!({ "behavior": "allow" }),
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
    use std::thread::{JoinHandle, spawn};

    use super::super::memory::OpenTurn;
    use super::*;
    use crate::turn::TurnId;

    fn spool() -> (tempfile::TempDir, TurnId) {
        let (spool, turn_id) = (tempfile::tempdir().unwrap(), TurnId::fresh());
        for name in ["in", "out"] {
            std::fs::create_dir(spool.path().join(name)).unwrap();
        }
        memory::remember(&spool.path().join("out"), &OpenTurn { turn_id, prompt: None }).unwrap();
        (spool, turn_id)
    }

    fn ask(spool: &Path, turn_id: TurnId, name: &str) -> Asked {
        let asked = Asked { name: name.to_owned(), turn_id, tool: "Bash x".to_owned(), reply: true, allowed: false };
        memory::open(&spool.join("out"), &asked).unwrap();
        asked
    }

    fn waiting(spool: &Path, asked: &[&Asked], input: Option<Value>) -> JoinHandle<Option<String>> {
        let question = Question { asked: asked.iter().copied().cloned().collect(), input };
        let spool = spool.to_owned();
        spawn(move || wait(&spool, &question).unwrap())
    }

    fn put_reply(spool: &Path, asked: &Asked, text: &str) {
        let beside = spool.join("in/.new");
        std::fs::write(&beside, text).unwrap();
        std::fs::rename(beside, spool.join("in").join(reply_file(asked.turn_id, &asked.name))).unwrap();
    }

    fn decision(printed: Option<String>) -> Value {
        let printed: Value = serde_json::from_str(&printed.unwrap()).unwrap();
        printed["hookSpecificOutput"]["decision"].clone()
    }

    fn told(spool: &Path) -> String {
        std::fs::read_to_string(spool.join("out/events.jsonl")).unwrap_or_default()
    }

    #[test]
    fn a_reply_is_waited_for_and_becomes_a_decision() {
        for (text, expected) in [
            ("allow", json!({"behavior": "allow"})),
            ("deny", json!({"behavior": "deny", "message": REFUSED})),
            ("something else", json!({"behavior": "deny", "message": REFUSED})),
        ] {
            let (spool, turn_id) = spool();
            let asked = ask(spool.path(), turn_id, "q1");
            let waiting = waiting(spool.path(), &[&asked], None);
            put_reply(spool.path(), &asked, text);
            assert_eq!(decision(waiting.join().unwrap()), expected);
            let open = memory::recall(&spool.path().join("out")).unwrap();
            assert!(!open.asks());
            assert_eq!(open.settled("Bash x").is_some(), text == "allow", "the tool runs");
            assert!(told(spool.path()).contains("\"attention_over\""));
            assert!(told(spool.path()).contains("\"reply\":\"q1\""));
        }
    }

    #[test]
    fn every_question_gets_the_answer() {
        let input = json!({"questions": [{"question": "Which?", "options": []}, {"question": "How many?"}], "more": 1});
        let (spool, turn_id) = spool();
        let asked = ask(spool.path(), turn_id, "q1");
        put_reply(spool.path(), &asked, "Blue");
        let printed = waiting(spool.path(), &[&asked], Some(input.clone())).join().unwrap();
        let mut expected = input;
        expected["answers"] = json!({"Which?": "Blue", "How many?": "Blue"});
        assert_eq!(decision(printed), json!({"behavior": "allow", "updatedInput": expected}));
    }

    #[test]
    fn nobody_waits_for_a_question_that_was_answered_elsewhere() {
        let (spool, turn_id) = spool();
        let (one, other) = (ask(spool.path(), turn_id, "q1"), ask(spool.path(), turn_id, "q2"));
        let out = spool.path().join("out");
        let first = waiting(spool.path(), &[&one], None);
        assert!(memory::close(&out, &one).unwrap());
        assert_eq!(first.join().unwrap(), None);
        let second = waiting(spool.path(), &[&other], None);
        memory::forget(&out).unwrap();
        assert_eq!(second.join().unwrap(), None);
        assert_eq!(waiting(spool.path(), &[&other], None).join().unwrap(), None);
        assert_eq!(told(spool.path()), "");
    }

    #[test]
    fn a_late_reply_decides_nothing_and_leaves_the_next_turn_alone() {
        let (spool, turn_id) = spool();
        let out = spool.path().join("out");
        let asked = ask(spool.path(), turn_id, "q1");
        put_reply(spool.path(), &asked, "allow");
        let next = OpenTurn { turn_id: TurnId::fresh(), prompt: None };
        memory::remember(&out, &next).unwrap();
        assert_eq!(waiting(spool.path(), &[&asked], None).join().unwrap(), None);
        assert_eq!(memory::recall(&out).unwrap().turn, next);
        memory::remember(&out, &OpenTurn { turn_id, prompt: None }).unwrap();
        assert!(memory::close(&out, &asked).unwrap());
        assert_eq!(decide(&out, &asked, None, "allow").unwrap(), None);
        assert_eq!(told(spool.path()), "");
    }

    #[test]
    fn where_the_same_is_asked_twice_each_hook_has_its_own() {
        let (spool, turn_id) = spool();
        let (one, other) = (ask(spool.path(), turn_id, "q1"), ask(spool.path(), turn_id, "q2"));
        let hooks = [waiting(spool.path(), &[&one, &other], None), waiting(spool.path(), &[&one, &other], None)];
        put_reply(spool.path(), &one, "allow");
        put_reply(spool.path(), &other, "deny");
        let mut decided: Vec<_> =
            hooks.into_iter().map(|hook| decision(hook.join().unwrap())["behavior"].to_string()).collect();
        decided.sort();
        assert_eq!(decided, ["\"allow\"", "\"deny\""]);
    }
}

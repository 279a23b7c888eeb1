//! A hook that stands between an agent's question and the person who replies to it in the chat. The agent shows its own
//! dialog meanwhile; whoever answers first decides.
//!
//! The answer to a hook is Claude Code's (reference, "PermissionRequest decision control"); codex takes the same.

use std::fs::File;
use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{OFlags, inotify};
use serde_json::{Map, Value, json};

use super::meaning::{ALLOW, Question};
use super::memory::{self, Asked, Claim};
use crate::agent::signal::{self, FILE_MODE, Signal};
use crate::agent::spool::reply_file;

/// Bytes of a reply that are read: the server takes shorter ones only.
const MAX_REPLY: u64 = 64 * 1024;
/// What the model is told of a refusal.
const REFUSED: &str = "The person in the chat said no.";

/// How the wait for a reply ended.
enum Ending {
    /// There is one.
    Reply(String),
    /// The question is over.
    Over,
    /// The agent does not listen any more: it has decided otherwise, or is gone.
    Deaf,
}

/// Waits until the question is replied to, and gives what is to be printed then; `None` where it was answered otherwise, or
/// nobody waits for an answer any more. The server is told of the question once its reply is waited for, and when it is not.
pub(super) fn wait(spool: &Path, question: &Question) -> io::Result<Option<String>> {
    let (input, out) = (spool.join("in"), spool.join("out"));
    let (asked, claim) = match claim(&out, question) {
        Ok(Some(claimed)) => claimed,
        Ok(None) => return Ok(None),
        Err(error) => {
            // What was asked before was told as one for the terminal.
            if question.told.is_empty() {
                let opened = memory::open(&out, &question.fresh);
                signal::append(&out, question.words.signal(&question.fresh))?;
                opened?;
            }
            return Err(error);
        }
    };
    let ended = changes([&input, &out]).and_then(|changes| {
        signal::append(&out, question.words.signal(&asked))?;
        stand_by(&input, &out, &asked, &changes)
    });
    match ended {
        Ok(Ending::Reply(reply)) => decide(&out, &asked, question.input.as_ref(), &reply),
        Ok(Ending::Over) => Ok(None),
        Ok(Ending::Deaf) => {
            if memory::allow(&out, &asked)? {
                signal::append(&out, over(&asked))?;
            }
            Ok(None)
        }
        Err(error) => {
            drop(claim);
            leave_to_terminal(&out, asked, question)?;
            Err(error)
        }
    }
}

/// Nobody takes a reply, and the dialog is open.
fn leave_to_terminal(out: &Path, asked: Asked, question: &Question) -> io::Result<()> {
    let asked = Asked { reply: false, ..asked };
    if is_open(out, &asked) {
        memory::open(out, &asked)?;
        signal::append(out, question.words.signal(&asked))?;
    }
    Ok(())
}

/// What tells of changes in these directories.
fn changes(directories: [&Path; 2]) -> io::Result<OwnedFd> {
    let changes = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
    let placed = inotify::WatchFlags::MOVED_TO | inotify::WatchFlags::CREATE | inotify::WatchFlags::DELETE;
    for directory in directories {
        inotify::add_watch(&changes, directory, placed)?;
    }
    Ok(changes)
}

fn stand_by(input: &Path, out: &Path, asked: &Asked, changes: &OwnedFd) -> io::Result<Ending> {
    loop {
        // Looked at once the directories are watched: what comes after that is told.
        if let Some(reply) = reply(&input.join(reply_file(asked.turn_id, &asked.name)))? {
            return Ok(Ending::Reply(reply));
        }
        if !is_open(out, asked) {
            return Ok(Ending::Over);
        }
        let stdout = io::stdout();
        let mut both = [PollFd::new(changes, PollFlags::IN), PollFd::new(&stdout, PollFlags::empty())];
        match poll(&mut both, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        if both[1].revents().intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL) {
            return Ok(Ending::Deaf);
        }
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut told = inotify::Reader::new(changes, &mut buffer);
        while told.next().is_ok() {}
    }
}

/// What tells that the question is over.
pub(super) fn over(asked: &Asked) -> Signal {
    Signal::AttentionOver { turn_id: asked.turn_id, name: asked.told_name() }
}

/// The first of the questions for which nobody waits, or a new one.
fn claim(out: &Path, question: &Question) -> io::Result<Option<(Asked, Claim)>> {
    let claimed = |asked: &Asked| Asked { reply: true, ..asked.clone() };
    if question.told.is_empty() {
        let asked = claimed(&question.fresh);
        return memory::open_claimed(out, &asked).map(|claim| Some((asked, claim)));
    }
    for asked in &question.told {
        if let Some(claim) = memory::claim(out, asked)? {
            return Ok(Some((claimed(asked), claim)));
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
    // Whoever cannot be told sees that nobody waits any more. The decision holds.
    let _ = signal::append(out, over(asked));
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

    use super::super::meaning::Words;
    use super::super::memory::OpenTurn;
    use super::*;
    use crate::agent::signal::AttentionKind;
    use crate::turn::TurnId;

    fn spool() -> (tempfile::TempDir, TurnId) {
        let (spool, turn_id) = (tempfile::tempdir().unwrap(), TurnId::fresh());
        for name in ["in", "out"] {
            std::fs::create_dir(spool.path().join(name)).unwrap();
        }
        memory::remember(&spool.path().join("out"), &OpenTurn { turn_id, prompt: None }).unwrap();
        (spool, turn_id)
    }

    fn words() -> Words {
        Words { kind: AttentionKind::Question, prompt: "?".to_owned(), options: Vec::new(), is_whole: true }
    }

    /// Asks by a hook that does not wait.
    fn ask(spool: &Path, turn_id: TurnId, name: &str) -> Asked {
        let name = name.to_owned().try_into().unwrap();
        let asked = Asked { name, turn_id, tool: "Bash x".to_owned(), reply: false, allowed: false };
        memory::open(&spool.join("out"), &asked).unwrap();
        asked
    }

    fn waiting(spool: &Path, asked: &[&Asked], input: Option<Value>) -> JoinHandle<Option<String>> {
        let told: Vec<Asked> = asked.iter().copied().cloned().collect();
        let fresh = Asked::about("Bash x".to_owned(), told[0].turn_id);
        let question = Question { told, fresh, words: words(), input };
        let spool = spool.to_owned();
        spawn(move || wait(&spool, &question).unwrap())
    }

    /// The names by which this was told.
    fn names(spool: &Path, event: &str, field: &str) -> Vec<String> {
        let told = told(spool);
        let lines = told.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let lines = lines.filter(|line| line["event"] == event);
        lines.filter_map(|line| line[field].as_str().map(str::to_owned)).collect()
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
            assert_eq!(names(spool.path(), "attention", "reply"), ["q1"]);
            assert_eq!(names(spool.path(), "attention_over", "name"), ["q1"]);
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
        assert!(!told(spool.path()).contains("attention_over"));
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
        assert!(!told(spool.path()).contains("attention_over"));
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

    #[test]
    fn a_question_is_one_for_the_terminal_where_its_reply_cannot_be_waited_for() {
        let (spool, turn_id) = spool();
        std::fs::remove_dir(spool.path().join("in")).unwrap();
        let fresh = Asked::about("Bash x".to_owned(), turn_id);
        let question = Question { told: Vec::new(), fresh, words: words(), input: None };
        assert!(wait(spool.path(), &question).is_err());
        let name = question.fresh.name.as_str();
        assert_eq!(names(spool.path(), "attention", "name"), [name]);
        assert_eq!(names(spool.path(), "attention", "reply"), [""; 0]);
        let open = memory::recall(&spool.path().join("out")).unwrap();
        assert_eq!((open.asked, open.given_up), (vec![question.fresh], vec![]));
    }

    #[test]
    fn a_question_whose_hook_is_gone_is_given_up() {
        let (spool, turn_id) = spool();
        let out = spool.path().join("out");
        let asked = Asked { reply: true, ..Asked::about("Bash x".to_owned(), turn_id) };
        let claim = memory::open_claimed(&out, &asked).unwrap();
        assert_eq!(memory::recall(&out).unwrap().asked, std::slice::from_ref(&asked));
        assert!(memory::claim(&out, &asked).unwrap().is_none(), "another one waits");
        drop(claim);
        let open = memory::recall(&out).unwrap();
        assert_eq!((open.asks(), open.given_up), (false, vec![asked]));
    }
}

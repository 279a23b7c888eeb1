//! `paliadin hook`: the command as an agent program runs it.

mod gone;
mod turns;

use std::error::Error;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Output, Stdio};

use serde_json::{Value, json};
use uuid::Uuid;

const PALIADIN: &str = env!("CARGO_BIN_EXE_paliadin");

type Tested<T = ()> = Result<T, Box<dyn Error>>;

/// Starts the hook; `spool` is what it finds in `PALIADIN_SPOOL`.
fn start(spool: Option<&Path>, arguments: &[&str]) -> Tested<(Child, ChildStdin)> {
    let mut command = Command::new(PALIADIN);
    command.arg("hook").args(arguments).env_remove("PALIADIN_SPOOL");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(spool) = spool {
        command.env("PALIADIN_SPOOL", spool);
    }
    let mut child = command.spawn()?;
    let stdin = child.stdin.take().ok_or("no standard input")?;
    Ok((child, stdin))
}

/// Runs the hook to its end, which is always the same: status 0, and nothing on standard output.
fn hook(spool: Option<&Path>, arguments: &[&str], event: &[u8]) -> Tested<String> {
    let (child, mut stdin) = start(spool, arguments)?;
    stdin.write_all(event)?;
    drop(stdin);
    ended_well(child.wait_with_output()?)
}

fn ended_well(output: Output) -> Tested<String> {
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), &b""[..]));
    Ok(String::from_utf8(output.stderr)?)
}

fn spool() -> Tested<tempfile::TempDir> {
    let spool = tempfile::tempdir()?;
    fs::create_dir(spool.path().join("out"))?;
    Ok(spool)
}

fn signals(spool: &Path) -> Tested<Vec<Value>> {
    let text = fs::read_to_string(spool.join("out/events.jsonl"))?;
    Ok(text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
}

fn prompt(turn: Uuid) -> Vec<u8> {
    json!({"hook_event_name": "UserPromptSubmit", "prompt": format!("[PALIADIN:{turn}] hi")}).to_string().into_bytes()
}

#[test]
fn an_event_becomes_a_line() -> Tested {
    let (spool, turn) = (spool()?, Uuid::now_v7());
    assert_eq!(hook(Some(spool.path()), &[], &prompt(turn))?, "");
    let stop = json!({"hook_event_name": "Stop", "last_assistant_message": "hello"}).to_string();
    assert_eq!(hook(Some(spool.path()), &["--of", "another", "version"], stop.as_bytes())?, "");
    let signals = signals(spool.path())?;
    let named: Vec<_> = signals.iter().map(|line| (&line["event"], &line["turn_id"], &line["message"])).collect();
    let id = json!(turn);
    assert_eq!(named, [(&json!("submitted"), &id, &json!(null)), (&json!("stopped"), &id, &json!("hello"))]);
    Ok(())
}

#[test]
fn whatever_happens_the_agent_is_not_disturbed() -> Tested {
    let (spool, turn) = (spool()?, Uuid::now_v7());
    let one_line = |told: String| assert_eq!(told.lines().count(), 1, "{told}");
    for garbage in ["", "not json", "{\"hook_event_name\":\"Stop\"", &"{".repeat(6 << 20)] {
        one_line(hook(Some(spool.path()), &[], garbage.as_bytes())?);
    }
    assert!(!spool.path().join("out/events.jsonl").exists());
    assert_eq!(hook(None, &[], &prompt(turn))?, "", "a person's own agent");
    assert_eq!(hook(Some(Path::new("")), &[], &prompt(turn))?, "");
    one_line(hook(Some(Path::new("/nonexistent/spool")), &[], &prompt(turn))?);

    let events = spool.path().join("out/events.jsonl");
    fs::create_dir(&events)?;
    one_line(hook(Some(spool.path()), &[], &prompt(turn))?);
    fs::remove_dir(&events)?;
    let elsewhere = spool.path().join("elsewhere");
    fs::write(&elsewhere, "")?;
    std::os::unix::fs::symlink(&elsewhere, &events)?;
    one_line(hook(Some(spool.path()), &[], &prompt(turn))?);
    assert_eq!(fs::read(&elsewhere)?, b"");
    Ok(())
}

#[test]
fn hooks_that_run_at_once_lose_no_line() -> Tested {
    let (spool, turn) = (spool()?, Uuid::now_v7());
    hook(Some(spool.path()), &[], &prompt(turn))?;
    let tool = |number: usize| format!("tool-{number}-{}", "x".repeat(100));
    let started = (0..20).map(|_| start(Some(spool.path()), &[])).collect::<Tested<Vec<_>>>()?;
    let mut children = Vec::new();
    // All of them wait for their event by now; each writes when its input ends.
    for (number, (child, mut stdin)) in started.into_iter().enumerate() {
        let input = json!({"description": "y".repeat(5_000)});
        let event = json!({"hook_event_name": "PreToolUse", "tool_name": tool(number), "tool_input": input});
        stdin.write_all(event.to_string().as_bytes())?;
        children.push((child, stdin));
    }
    let (children, inputs): (Vec<_>, Vec<_>) = children.into_iter().unzip();
    drop(inputs);
    for child in children {
        assert_eq!(ended_well(child.wait_with_output()?)?, "");
    }
    let signals = signals(spool.path())?;
    let mut tools: Vec<_> = signals[1..].iter().map(|line| line["tool"].as_str().unwrap_or_default()).collect();
    tools.sort_unstable();
    let mut expected: Vec<_> = (0..20).map(tool).collect();
    expected.sort_unstable();
    assert_eq!(tools, expected);
    assert!(signals[1..].iter().all(|line| line["turn_id"] == json!(turn)));
    Ok(())
}

/// A spool with a turn, in which replies can be put.
fn spool_with(turn: Uuid) -> Tested<tempfile::TempDir> {
    let spool = spool()?;
    fs::create_dir(spool.path().join("in"))?;
    hook(Some(spool.path()), &[], &prompt(turn))?;
    Ok(spool)
}

fn tool(name: &str, tool: &str, input: &Value) -> Vec<u8> {
    json!({"hook_event_name": name, "tool_name": tool, "tool_input": input}).to_string().into_bytes()
}

/// Starts a hook that waits for a person, and gives the name of its question.
fn start_waiting(spool: &Path, event: &[u8]) -> Tested<(Child, String)> {
    let names = || -> Tested<Vec<String>> {
        let signals = signals(spool)?.into_iter().filter(|signal| signal["event"] == "attention");
        Ok(signals.filter_map(|signal| signal["reply"].as_str().map(str::to_owned)).collect())
    };
    let before = names()?.len();
    let (child, mut stdin) = start(Some(spool), &["--reply"])?;
    stdin.write_all(event)?;
    drop(stdin);
    let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
    loop {
        if let Some(name) = names()?.get(before) {
            return Ok((child, name.clone()));
        }
        if std::time::Instant::now() > until {
            return Err("nothing is asked".into());
        }
        std::thread::yield_now();
    }
}

fn put_reply(spool: &Path, turn: Uuid, name: &str, text: &str) -> Tested {
    let beside = spool.join("in/.new");
    fs::write(&beside, text)?;
    Ok(fs::rename(beside, spool.join(format!("in/{turn}.reply-{name}")))?)
}

fn decision(child: Child) -> Tested<Value> {
    let output = child.wait_with_output()?;
    assert!(output.status.success() && output.stderr.is_empty());
    let printed: Value = serde_json::from_slice(&output.stdout)?;
    Ok(printed["hookSpecificOutput"]["decision"]["behavior"].clone())
}

fn closed(spool: &Path) -> Tested<Vec<Value>> {
    let over = signals(spool)?.into_iter().filter(|signal| signal["event"] == "attention_over");
    Ok(over.map(|signal| signal["name"].clone()).collect())
}

#[test]
fn hooks_side_by_side_get_each_its_own_decision() -> Tested {
    let turn = Uuid::now_v7();
    let spool = spool_with(turn)?;
    let path = spool.path();
    let ask = |command: &str| tool("PermissionRequest", "Bash", &json!({ "command": command }));
    let (one, first) = start_waiting(path, &ask("one"))?;
    let (other, second) = start_waiting(path, &ask("two"))?;
    let (same, third) = start_waiting(path, &ask("two"))?;
    // What other tools do meanwhile closes none of them.
    for name in ["PreToolUse", "PostToolUse"] {
        hook(Some(path), &["--reply"], &tool(name, "Bash", &json!({"command": "three"})))?;
    }
    assert!(closed(path)?.is_empty());
    put_reply(path, turn, &second, "deny")?;
    assert_eq!(decision(other)?, "deny");
    put_reply(path, turn, &first, "allow")?;
    assert_eq!(decision(one)?, "allow");
    hook(Some(path), &["--reply"], &tool("PostToolUse", "Bash", &json!({"command": "one"})))?;
    assert_eq!(closed(path)?, [json!(second), json!(first)]);
    // Answered in the terminal: its hook ends without a word, and a reply comes too late.
    hook(Some(path), &["--reply"], &tool("PostToolUse", "Bash", &json!({"command": "two"})))?;
    assert_eq!(ended_well(same.wait_with_output()?)?, "");
    assert_eq!(closed(path)?, [json!(second), json!(first), json!(third)]);
    Ok(())
}

#[test]
fn two_questions_at_once_are_answered_one_by_one() -> Tested {
    let turn = Uuid::now_v7();
    let spool = spool_with(turn)?;
    let path = spool.path();
    let input = |text: &str| json!({"questions": [{"question": text, "options": [{"label": "Red"}]}]});
    let ask = |name, text: &str| tool(name, "AskUserQuestion", &input(text));
    for text in ["One?", "Two?"] {
        hook(Some(path), &["--reply"], &ask("PreToolUse", text))?;
    }
    let names: Vec<_> = signals(path)?.iter().filter_map(|signal| signal["name"].as_str().map(str::to_owned)).collect();
    assert!(signals(path)?.iter().all(|signal| signal.get("reply").is_none()), "nobody waits for a reply yet");
    let mut waiting = Vec::new();
    for text in ["One?", "Two?"] {
        let (child, mut stdin) = start(Some(path), &["--reply"])?;
        stdin.write_all(&ask("PermissionRequest", text))?;
        waiting.push(child);
    }
    for (name, (child, text)) in names.iter().zip(waiting.into_iter().zip(["One?", "Two?"])).rev() {
        put_reply(path, turn, name, &format!("to {text}"))?;
        let output = child.wait_with_output()?;
        let printed: Value = serde_json::from_slice(&output.stdout)?;
        let updated = &printed["hookSpecificOutput"]["decision"]["updatedInput"];
        assert_eq!(updated["answers"], json!({ text: format!("to {text}") }));
    }
    assert_eq!(closed(path)?, [json!(names[1]), json!(names[0])]);
    Ok(())
}

#[test]
fn what_cannot_be_shown_is_decided_in_the_terminal() -> Tested {
    let turn = Uuid::now_v7();
    let spool = spool_with(turn)?;
    for hidden in ["x".repeat(6_001), format!("ls{}; rm -rf ~", " ".repeat(2_100)), "ls \u{202e}x".to_owned()] {
        let request = tool("PermissionRequest", "Write", &json!({"file_path": "/x", "content": hidden}));
        // It does not wait.
        assert_eq!(hook(Some(spool.path()), &["--reply"], &request)?, "");
        let told = signals(spool.path())?.pop().ok_or("no signal")?;
        assert_eq!((&told["event"], &told["options"], told.get("reply")), (&json!("attention"), &json!([]), None));
    }
    Ok(())
}

#[test]
fn a_late_reply_decides_nothing() -> Tested {
    let (turn, next) = (Uuid::now_v7(), Uuid::now_v7());
    let spool = spool_with(turn)?;
    let path = spool.path();
    let (child, name) = start_waiting(path, &tool("PermissionRequest", "Bash", &json!({"command": "ls"})))?;
    hook(Some(path), &["--reply"], &prompt(next))?;
    put_reply(path, turn, &name, "allow")?;
    assert_eq!(ended_well(child.wait_with_output()?)?, "");
    hook(Some(path), &[], br#"{"hook_event_name":"Stop","last_assistant_message":"hi"}"#)?;
    assert!(closed(path)?.is_empty());
    let stopped = signals(path)?.pop().ok_or("no signal")?;
    assert_eq!((&stopped["event"], &stopped["turn_id"]), (&json!("stopped"), &json!(next)));
    Ok(())
}

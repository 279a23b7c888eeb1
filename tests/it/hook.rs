//! `paliadin hook`: the command as an agent program runs it, and a whole turn with a program that plays Claude Code.

use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Output, Stdio};

use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::processes;

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
    Ok(over.map(|signal| signal["reply"].clone()).collect())
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
    let names: Vec<_> =
        signals(path)?.iter().filter_map(|signal| signal["reply"].as_str().map(str::to_owned)).collect();
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

/// A server as a child of the test, with a program on its `PATH` that plays Claude Code.
struct Server {
    child: Child,
    url: String,
    home: tempfile::TempDir,
}

impl Server {
    fn start() -> Tested<Self> {
        let home = tempfile::Builder::new().prefix("paliadin's ").tempdir()?;
        let bin = home.path().join("bin");
        fs::create_dir(&bin)?;
        fs::write(bin.join("claude"), include_str!("hook/claude.sh"))?;
        fs::set_permissions(bin.join("claude"), fs::Permissions::from_mode(0o755))?;
        // Its own path holds characters that mean something to a shell.
        let program = bin.join("paliadin");
        fs::hard_link(PALIADIN, &program).or_else(|_| fs::copy(PALIADIN, &program).map(drop))?;
        let mut path = bin.into_os_string();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        let mut command = Command::new(program);
        command.arg("serve").env("PATH", path).env("HOME", home.path());
        command.env("PALIADIN_STATE_DIR", home.path().join("state")).env("PALIADIN_LISTEN", "127.0.0.1:0");
        command.env("PALIADIN_PROFILE", "auto").env_remove("PALIADIN_CONFIG").env_remove("PALIADIN_SPOOL");
        let log = fs::File::create(home.path().join("log"))?;
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn()?;
        let mut lines = BufReader::new(child.stdout.take().ok_or("no standard output")?).lines();
        let mut told = String::new();
        // The last of what it says at its start; then the token for `ask` is written, too.
        while !told.contains("Agent: ") {
            told.push_str(&lines.next().ok_or("the server ended")??);
            told.push('\n');
        }
        std::thread::spawn(move || lines.for_each(drop));
        assert!(told.contains("Agent: claude"), "{told}");
        let url = told.split_once("listening on ").and_then(|(_, rest)| rest.lines().next()).ok_or("no address")?;
        Ok(Self { child, url: url.to_owned(), home })
    }

    fn ask(&self, arguments: &[&str]) -> Tested<Output> {
        let mut command = Command::new(PALIADIN);
        command.args(["ask", "--url", &self.url]).args(arguments).env_remove("PALIADIN_TOKEN");
        command.env("PALIADIN_STATE_DIR", self.home.path().join("state")).env("HOME", self.home.path());
        Ok(command.stdin(Stdio::null()).output()?)
    }

    /// Replies to the question of this `attention` event.
    fn reply(&self, turn: &str, attention: &str, text: &str) -> Tested<String> {
        let token = fs::read_to_string(self.home.path().join("state/cli.token"))?;
        let address = self.url.strip_prefix("http://").ok_or("no address")?.trim_end_matches('/');
        let body = json!({"text": text, "attention": attention}).to_string();
        let mut connection = std::net::TcpStream::connect(address)?;
        write!(
            connection,
            "POST /api/paliadin/turns/{turn}/reply HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            token.trim(),
            body.len()
        )?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer)?;
        Ok(answer.lines().next().unwrap_or_default().to_owned())
    }

    /// Stops it, and gives all that is left of the spools' top: what the hooks printed.
    fn stop(mut self) -> Tested<Vec<(String, String)>> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        assert!(self.child.wait()?.success());
        let root = self.home.path();
        processes::end_tmux(&root.join("state/tmux/server"), root).map_err(|error| error.to_string())?;
        for process in processes::of(root).map_err(|error| error.to_string())? {
            let ended = process.ends_within(std::time::Duration::from_secs(5)).map_err(|error| error.to_string())?;
            assert!(ended, "left behind: {process:?}");
        }
        let mut files = Vec::new();
        for spool in fs::read_dir(self.home.path().join("state/spool"))? {
            for entry in fs::read_dir(spool?.path())? {
                let entry = entry?;
                if entry.file_type()?.is_file() {
                    let mut text = String::new();
                    fs::File::open(entry.path())?.read_to_string(&mut text)?;
                    files.push((entry.file_name().to_string_lossy().into_owned(), text));
                }
            }
        }
        files.sort();
        Ok(files)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = processes::end_tmux(&self.home.path().join("state/tmux/server"), self.home.path());
        if let Ok(None) = self.child.try_wait() {
            let pid = rustix::process::Pid::from_child(&self.child);
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            let _ = self.child.wait();
        }
    }
}

#[test]
fn claude_answers_by_its_hooks_alone() -> Tested {
    let server = Server::start()?;
    let output = server.ask(&["what \"is\" this?\nAnd \\ that?"])?;
    let told = String::from_utf8(output.stderr)?;
    assert!(output.status.success(), "{told}\n{}", fs::read_to_string(server.home.path().join("log"))?);
    let answer = "You said: what \"is\" this?\nAnd \\ that?\nRules: Messages that b\n";
    assert_eq!(String::from_utf8(output.stdout)?, answer);

    let output = server.ask(&["--json", "again"])?;
    assert!(output.status.success());
    let events = String::from_utf8(output.stdout)?;
    let events = events.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>()?;
    let end = &events.last().ok_or("no event")?["data"];
    assert_eq!((&end["used_tools"], &end["classifier_tag"]), (&json!(["Bash"]), &json!("lookup")));

    let output = server.ask(&["overload"])?;
    assert_eq!(output.status.code(), Some(6), "worth trying again");
    let told = String::from_utf8(output.stderr)?;
    assert!(told.contains("upstream_error") && told.contains("API Error: Overloaded"), "{told}");
    assert!(server.ask(&["and on it goes"])?.status.success());

    let empty = |name: &str| (name.to_owned(), String::new());
    assert_eq!(server.stop()?, [empty("hook.stderr"), empty("hook.stdout")]);
    Ok(())
}

#[test]
fn a_reply_in_the_chat_is_the_decision_of_the_hook() -> Tested {
    let server = Server::start()?;
    for text in ["allow", "deny"] {
        let mut command = Command::new(PALIADIN);
        command.args(["ask", "--url", &server.url, "--json", "may I?"]).env_remove("PALIADIN_TOKEN");
        command.env("PALIADIN_STATE_DIR", server.home.path().join("state")).env("HOME", server.home.path());
        let mut asking = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let mut turn = String::new();
        let mut answer = String::new();
        for line in BufReader::new(asking.stdout.take().ok_or("no standard output")?).lines() {
            let event: Value = serde_json::from_str(&line?)?;
            match event["event"].as_str() {
                Some("accepted") => turn = event["data"]["turn_id"].as_str().ok_or("no turn")?.to_owned(),
                Some("attention") => {
                    assert_eq!(event["data"]["prompt"], "May I use Bash?\ntouch x\ndescription: Touch");
                    let id = event["id"].as_str().ok_or("no id")?;
                    assert_eq!(server.reply(&turn, id, text)?, "HTTP/1.1 202 Accepted");
                }
                Some("content") => answer.push_str(&event["data"].to_string()),
                _ => {}
            }
        }
        assert!(asking.wait()?.success(), "{}", fs::read_to_string(server.home.path().join("log"))?);
        assert!(answer.contains(&format!("\\\"behavior\\\":\\\"{text}")), "{answer}");
    }
    let empty = |name: &str| (name.to_owned(), String::new());
    assert_eq!(server.stop()?, [empty("hook.stderr"), empty("hook.stdout")]);
    Ok(())
}

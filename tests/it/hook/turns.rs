//! Whole turns with a program that plays Claude Code.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};

use super::{PALIADIN, Tested};
use crate::harness::processes;

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
        processes::copy_program(Path::new(processes::CLAUDE), &bin.join("claude"), "755")
            .map_err(|error| error.to_string())?;
        // Its own path holds characters that mean something to a shell.
        let program = bin.join("paliadin");
        processes::copy_program(Path::new(PALIADIN), &program, "755").map_err(|error| error.to_string())?;
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

//! `paliadin ask`, the program.

use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::harness::{TestApp, Tested, within};

/// A running `paliadin ask`.
struct Asking {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

/// What it came to.
#[derive(Debug)]
struct Asked {
    status: i32,
    output: String,
    errors: String,
}

impl Asking {
    fn start(app: &TestApp, arguments: &[&str], input: Option<&str>) -> Tested<Self> {
        let url = format!("http://{}", app.nobody().address());
        let mut command = Command::from(app.command());
        command.args(["ask", "--url", &url]).args(arguments).kill_on_drop(true);
        command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        if let (Some(text), Some(mut stdin)) = (input.map(str::to_owned), child.stdin.take()) {
            tokio::spawn(async move { stdin.write_all(text.as_bytes()).await });
        }
        let lines = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
        Ok(Self { child, lines })
    }

    async fn line(&mut self) -> Tested<Option<String>> {
        Ok(within("a line of `ask`", self.lines.next_line()).await??)
    }

    async fn end(mut self) -> Tested<Asked> {
        let mut output = String::new();
        while let Some(line) = self.line().await? {
            output.push_str(&line);
            output.push('\n');
        }
        let mut errors = String::new();
        let mut stderr = self.child.stderr.take().ok_or("no errors")?;
        within("the errors of `ask`", stderr.read_to_string(&mut errors)).await??;
        let status = within("the end of `ask`", self.child.wait()).await??.code().ok_or("ended by a signal")?;
        Ok(Asked { status, output, errors })
    }
}

async fn ask(app: &TestApp, arguments: &[&str]) -> Tested<Asked> {
    Asking::start(app, arguments, None)?.end().await
}

#[tokio::test]
async fn it_prints_an_answer_as_it_comes() -> Tested {
    let app = TestApp::start().await?;
    let mut asking = Asking::start(&app, &["!lines 20 50"], None)?;
    let mut times = Vec::new();
    let mut lines = Vec::new();
    while let Some(line) = asking.line().await? {
        times.push(Instant::now());
        lines.push(line);
    }
    assert_eq!(lines, (1..=20).map(|line| format!("line {line}")).collect::<Vec<_>>());
    let spread = times[times.len() - 1] - times[0];
    assert!(spread > Duration::from_millis(600), "20 lines, one every 50 ms, came within {spread:?}");
    let asked = asking.end().await?;
    assert_eq!((asked.status, asked.errors.as_str()), (0, ""));
    assert_eq!(ask(&app, &["!echo without a newline"]).await?.output, "without a newline\n");
    Ok(())
}

#[tokio::test]
async fn it_reads_standard_input_and_prints_json_and_keeps_a_conversation() -> Tested {
    let app = TestApp::start().await?;
    let text = format!("{}\nünd", "a long text\n".repeat(4_000));
    let asked = Asking::start(&app, &["-"], Some(&format!("!echo {text}")))?.end().await?;
    assert_eq!((asked.status, asked.output), (0, format!("{text}\n")));

    let asked = ask(&app, &["--json", "!lines 3 10"]).await?;
    let lines: Vec<Value> = asked.output.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let events: Vec<&str> = lines.iter().filter_map(|line| line["event"].as_str()).collect();
    assert_eq!((asked.status, events[0], events[events.len() - 1]), (0, "accepted", "end"));
    assert!(events.contains(&"content") && lines[1]["id"].is_string(), "{lines:?}");
    let session = lines[0]["data"]["session_id"].as_str().ok_or("no conversation")?;

    assert_eq!(ask(&app, &["--session", session, "!echo again"]).await?.status, 0);
    let history = app.owner()?.history(session, None).await?;
    let responses: Vec<_> = history.iter().map(|turn| turn["response"].as_str().unwrap_or_default()).collect();
    assert_eq!(responses, ["line 1\nline 2\nline 3\n", "again"]);
    Ok(())
}

#[tokio::test]
async fn its_exit_status_tells_the_class_of_error() -> Tested {
    let app = TestApp::start().await?;
    let failed = ask(&app, &["!big 2097152"]).await?;
    assert_eq!((failed.status, failed.output.as_str()), (1, ""), "{failed:?}");
    assert!(failed.errors.contains("response_too_large"), "{failed:?}");
    let retryable = ask(&app, &["!die"]).await?;
    assert_eq!(retryable.status, 6, "{retryable:?}");
    assert!(retryable.errors.contains("agent_died"), "{retryable:?}");
    assert_eq!(ask(&app, &["--session", "no-uuid", "x"]).await?.status, 2);
    assert_eq!(ask(&app, &[]).await?.status, 2, "there is no question");

    let unreachable = ask(&app, &["--url", "http://127.0.0.1:1", "x"]).await;
    // `--url` twice is a bad argument; so the address comes by its variable.
    assert_eq!(unreachable?.status, 2);
    let away = |address: &str, token: Option<&str>| {
        let mut command = Command::from(app.command());
        command.args(["ask", "x"]).env("PALIADIN_URL", address).stdin(Stdio::null());
        command.envs(token.map(|token| ("PALIADIN_TOKEN", token)));
        command
    };
    let url = format!("http://{}", app.nobody().address());
    for (address, token, status) in
        [("http://127.0.0.1:1", None, 3), (url.as_str(), Some("pal_wrong"), 4), (url.as_str(), None, 0)]
    {
        let output = within("the end of `ask`", away(address, token).output()).await??;
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{address} {token:?}: {errors}");
        assert_eq!(errors.lines().count(), usize::from(status != 0), "one line for people: {errors}");
    }

    let large = Asking::start(&app, &["-"], Some(&"x".repeat(65 * 1024)))?.end().await?;
    assert_eq!(large.status, 5, "{large:?}");
    assert!(large.errors.contains("message_too_large"), "{large:?}");
    let someone = app.user("ann@example.org")?;
    let theirs = someone.ask("!echo x").await?;
    someone.ended(&theirs).await?;
    let foreign = ask(&app, &["--session", &theirs.session_id, "x"]).await?;
    assert_eq!(foreign.status, 5, "{foreign:?}");
    Ok(())
}

#[tokio::test]
async fn it_goes_on_after_a_restart_of_the_server() -> Tested {
    let mut app = TestApp::with_own_address().await?;
    let mut running = Asking::start(&app, &["!lines 100 20"], None)?;
    assert_eq!(running.line().await?.as_deref(), Some("line 1"));
    assert_eq!(running.line().await?.as_deref(), Some("line 2"));
    let mut waiting = Asking::start(&app, &["--json", "!lines 3 10"], None)?;
    assert!(waiting.line().await?.is_some_and(|line| line.contains("accepted")));
    assert!(waiting.line().await?.is_some_and(|line| line.contains("queued")));
    app.restart(Signal::KILL).await?;

    let asked = running.end().await?;
    assert_eq!(asked.status, 0, "{asked:?}");
    assert!(asked.output.ends_with("line 99\nline 100\n"), "{asked:?}");
    let asked = waiting.end().await?;
    assert_eq!(asked.status, 0, "{asked:?}");
    assert!(asked.output.lines().last().is_some_and(|line| line.contains("\"event\":\"end\"")), "{asked:?}");
    Ok(())
}

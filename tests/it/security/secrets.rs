//! Secrets are told by nothing. The harness plants them in every test of this binary, and searches what the test leaves
//! behind; here everything is told that can be, and everything goes wrong that may tell them.

use std::process::Output;

use serde_json::json;

use crate::harness::planted::{self, Planted};
use crate::harness::{Client, TestApp, Tested};

/// What a command said.
fn said(output: &Output) -> Vec<u8> {
    [&output.stdout[..], &output.stderr[..]].concat()
}

#[tokio::test]
async fn the_harness_finds_what_is_told() -> Tested {
    let app = TestApp::prepare(&[])?;
    let planted = Planted::with(&["pal_of-this-test".to_owned()]);
    let file = app.root().join("home").join("told");
    let (_, secret) = &planted::variables()[0];
    for told in
        [secret.as_str(), &planted::password(), "x pal_of-this-test", "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.e30.x"]
    {
        std::fs::write(&file, told)?;
        assert_eq!(planted.in_files(app.root()).len(), 1, "{told}");
    }
    std::fs::remove_file(&file)?;
    assert_eq!(planted.in_files(app.root()), Vec::<String>::new());
    let mut told = std::process::Command::new("cat").env("LEAK", secret).stdin(std::process::Stdio::piped()).spawn()?;
    let process = crate::harness::processes::Process { pid: told.id().cast_signed(), arguments: Vec::new() };
    let found = crate::harness::eventually("its environment", async || Ok(planted.in_process(&process).pop())).await;
    drop(told.stdin.take());
    told.wait()?;
    assert!(found?.contains("environ"));
    Ok(())
}

#[tokio::test]
async fn nothing_tells_them_whatever_goes_wrong_and_however_much_is_logged() -> Tested {
    let mut app = TestApp::with(&[("RUST_LOG", "trace")]).await?;
    let ann = app.user("ann@example.org")?;
    // Wherever a secret can be sent to.
    for token in [&ann.token, "pal_planted0secret", "planted0secret.planted0secret.planted0secret"] {
        let client = Client { token: token.to_owned(), ..ann.clone() };
        for (method, path) in [("GET", "/api/paliadin/status"), ("GET", "/nowhere"), ("POST", "/api/paliadin/turn")] {
            client.request(method, path).json("{").send().await?;
        }
    }
    for (name, value) in [
        ("cookie", "paliadin_session=planted0secret"),
        ("x-paliadin-proxy-secret", "planted0secret"),
        ("authorization", "Basic planted0secret"),
    ] {
        ann.request("GET", "/paliadin").header(name, value).send().await?;
    }
    ann.request("GET", "/paliadin/sign-in?token=planted0secret").send().await?;
    let link = app.printed("sign in:").await?;
    let path = link.find("/paliadin/sign-in").map(|at| link[at..].to_owned()).ok_or("no link")?;
    ann.request("GET", &path).send().await?;
    // Turns of every sort, one of which sees its token; the agent dies, and the server with it.
    let claims = ann.response("!jwt").await?;
    assert!(claims.contains(&ann.user_id), "{claims}");
    for message in ["!echo x", "!die", "!big 20000", "!meta sql 1 x"] {
        let turn = ann.submit(&json!({ "user_message": message, "context": { "title": "x" } })).await?;
        ann.ended(&turn).await?;
    }
    let turn = ann.ask("!lines 30 50").await?;
    ann.stream(&turn, None).await?.until("content").await?;
    app.restart(rustix::process::Signal::KILL).await?;
    ann.ended(&turn).await?;
    let link = path.split('=').nth(1).unwrap_or_default().to_owned();
    let found = Planted::with(&[link, ann.token.clone()]).in_files(app.root());
    assert_eq!(found, Vec::<String>::new());
    Ok(())
}

#[test]
fn errors_at_the_start_do_not_show_what_was_configured() -> Tested {
    let app = TestApp::prepare(&[])?;
    let planted = Planted::with(&[]);
    let file = app.root().join("paliadin.toml");
    let shown = file.display().to_string();
    for text in [
        "[auth]\njwt_key = \"planted0secret",
        "[auth]\njwt_key = planted0secret\n",
        "[auth]\njwt_key = [\"planted0secret\"]\n",
        "[auth]\njwt_key = { planted0secret = 1 }\n",
        "[auth]\nproxy_secret = \"planted0secret\"\n",
        "[auth]\nproxy_secrt = \"planted0secret\"\n",
        "[auth]\nmode = \"jwt\"\njwt_key = \"planted0secret\"\n",
        "[agent]\njwt_secret = \"planted0secret\"\n",
        "[store]\nurl = \"mysql://planted0secret@x\"\n",
        "[store]\nurl = \"postgres://x:planted0secret@localhost:1/x\"\n",
        "[store]\nurl = \"postgres://x:planted0secret@localhost:port/x\"\n",
        "planted0secret",
    ] {
        std::fs::write(&file, text)?;
        for arguments in
            [&["serve", "--config", &shown][..], &["user", "list", "--config", &shown], &["doctor", "--config", &shown]]
        {
            let mut command = app.command();
            // What the harness sets would hide what stands in the file.
            for (name, _) in planted::variables() {
                command.env_remove(name);
            }
            let output =
                command.env_remove("DATABASE_URL").args(arguments).stdin(std::process::Stdio::null()).output()?;
            assert!(!output.status.success(), "{text:?} {arguments:?}");
            assert_eq!(planted.in_text(&said(&output)), Vec::<String>::new(), "{text:?} {arguments:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn neither_the_server_nor_its_agents_leave_a_core() -> Tested {
    let app = TestApp::start().await?;
    app.user("ann@example.org")?.response("!echo x").await?;
    let agent = app.process(crate::harness::processes::Process::is_agent)?;
    for pid in [app.server_pid()?, agent.pid] {
        let limits = std::fs::read_to_string(format!("/proc/{pid}/limits"))?;
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).ok_or("no such limit")?;
        assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    }
    Ok(())
}

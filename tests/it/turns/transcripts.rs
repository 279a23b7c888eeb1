//! Ends of turns that stand only in what the agent writes down.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use serde_json::json;

use crate::harness::{TestApp, Tested, eventually};

/// Descriptors that the server needs to read what is reported. To watch a transcript it keeps one of them, and so has too
/// few left to read that.
const TO_READ_REPORTS: usize = 2;
/// A state of a TCP connection whose descriptor is gone, and that of what listens, in `/proc/net/tcp`.
const NO_CONNECTION: [&str; 2] = ["06", "0A"];

/// A server whose agent does not report an interrupt.
async fn mute() -> Tested<TestApp> {
    // Longer than the test needs, and shorter than it waits for an answer.
    let mut app = TestApp::prepare(&[("PALIADIN_AGENT__INTERRUPT_TIMEOUT", "15s")])?;
    let (profiles, script) = (app.root().join("profiles"), app.root().join("mute.sh"));
    fs::create_dir_all(&profiles)?;
    fs::write(&script, include_str!("mute.sh"))?;
    fs::set_permissions(&script, Permissions::from_mode(0o700))?;
    let profile =
        format!("command = {}\nnewline = \"lf\"\ninterrupt_key = \"Escape\"\nhooks = \"claude\"\n", json!([script]));
    fs::write(profiles.join("mute.toml"), profile)?;
    app.set("PALIADIN_AGENT__PROFILES_DIR", &profiles.display().to_string());
    app.set("PALIADIN_PROFILE", "mute");
    app.boot().await?;
    Ok(app)
}

/// Waits until the server holds no connection of a client any more.
async fn without_clients(app: &TestApp) -> Tested {
    let address = app.nobody().address();
    let port = format!(":{:04X}", address.port());
    eventually("the end of all connections", async || {
        let table = fs::read_to_string("/proc/net/tcp")?;
        let held = table.lines().skip(1).any(|line| {
            let mut words = line.split_whitespace().skip(1);
            let is_ours = words.next().is_some_and(|local| local.ends_with(&port));
            is_ours && words.nth(1).is_some_and(|state| !NO_CONNECTION.contains(&state))
        });
        Ok((!held).then_some(()))
    })
    .await
}

/// The limit under which the server can open so many descriptors more.
fn limit_for(server: i32, more: usize) -> Tested<u64> {
    let held = fs::read_dir(format!("/proc/{server}/fd"))?;
    let held =
        held.map(|entry| Ok(entry?.file_name().to_string_lossy().parse()?)).collect::<Tested<BTreeSet<u64>>>()?;
    let last = (0..).filter(|number| !held.contains(number)).nth(more - 1);
    Ok(last.ok_or("no number")? + 1)
}

#[tokio::test]
async fn an_interrupt_is_seen_though_the_transcript_could_not_be_read_for_a_moment() -> Tested {
    let app = mute().await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("wait").await?;
    user.stream(&turn, None).await?.until("meta").await?;
    user.cancelled(&turn).await?;
    let interrupted = app.root().join("home/interrupted");
    eventually("the interrupt", async || Ok(interrupted.exists().then_some(()))).await?;

    let transcript = app.root().join("transcripts/t.jsonl");
    fs::create_dir(app.root().join("transcripts"))?;
    let end = json!({"type": "event_msg", "payload": {"type": "turn_aborted", "turn_id": "t1"}});
    fs::write(&transcript, format!("{end}\n"))?;
    without_clients(&app).await?;
    let server = app.server_pid()?;
    let before = getrlimit(Resource::Nofile);
    let limit = |current| prlimit(Pid::from_raw(server), Resource::Nofile, Rlimit { current, ..before });
    // What is open for a moment only would count.
    let (mut last, mut times) = (0, 0);
    let at_rest = eventually("a server at rest", async || {
        let now = limit_for(server, TO_READ_REPORTS)?;
        times = if now == last { times + 1 } else { 0 };
        last = now;
        Ok((times == 5).then_some(now))
    });
    limit(Some(at_rest.await?))?;
    let mut reports = File::options().append(true).open(app.spool()?.join("out/events.jsonl"))?;
    let named = json!({"at": 1, "event": "transcript", "turn_id": turn.turn_id, "path": transcript, "from": 0,
        "prompt": "t1"});
    writeln!(reports, "{named}")?;
    let looked = eventually("a look that fails", async || {
        let log = fs::read_to_string(app.root().join("server.log"))?;
        let is_failed = |line: &str| line.contains("Too many open files") && line.contains("t.jsonl");
        Ok(log.lines().any(is_failed).then_some(()))
    })
    .await;
    limit(before.current)?;
    looked?;
    // Nothing changes from here on.
    assert_eq!(user.response("how many?").await?, "2", "the agent was not ended");
    Ok(())
}

//! What an agent does not remember is told to it, once.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::json;

use super::{QUICK, agent_is, agent_of};
use crate::harness::processes;
use crate::harness::{Client, TestApp, Tested, eventually};

#[tokio::test]
async fn what_an_agent_does_not_remember_is_told_to_it_once() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let first = user.ask("!echo a blue **whale**").await?;
    let conversation = first.session_id.clone();
    user.ended(&first).await?;
    assert_eq!(user.response_in(&conversation, "!primer").await?, "none", "it was there");
    let agent = agent_of(&app, &user, None).await?;
    agent.kill()?;
    agent_of(&app, &user, Some(agent.pid)).await?;
    agent_is(&user, "ready").await?;

    let primer = user.response_in(&conversation, "!primer").await?;
    for words in
        ["What was said before", "## The person, ", "!echo a blue **whale**", "## Your answer\n\na blue **whale**"]
    {
        assert!(primer.contains(words), "{words:?} is not in {primer:?}");
    }
    assert_eq!(user.response_in(&conversation, "!primer").await?, "none", "it was told");
    assert_eq!(user.response("!primer").await?, "none", "nothing was said in another conversation");
    Ok(())
}

#[tokio::test]
async fn a_reset_makes_an_agent_forget_and_a_restart_of_the_server_does_not() -> Tested {
    let mut app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let first = user.ask("!echo whale").await?;
    let conversation = first.session_id.clone();
    user.ended(&first).await?;
    app.restart(rustix::process::Signal::KILL).await?;
    assert_eq!(user.response_in(&conversation, "!primer").await?, "none", "it is the same process");
    user.reset().await?;
    assert!(user.response_in(&conversation, "!primer").await?.contains("whale"));
    Ok(())
}

#[tokio::test]
async fn without_primer_turns_nothing_is_told() -> Tested {
    let app = TestApp::with(&[("PALIADIN_AGENT__PRIMER_TURNS", "0")]).await?;
    let user = app.user("ann@example.org")?;
    let first = user.ask("!echo whale").await?;
    let conversation = first.session_id.clone();
    user.ended(&first).await?;
    user.reset().await?;
    assert_eq!(user.response_in(&conversation, "!primer").await?, "none");
    Ok(())
}

/// What an agent tells has a time of its own, before that at which the server has heard of the turn.
#[tokio::test]
async fn what_was_forgotten_with_a_turn_is_told_with_the_next_one() -> Tested {
    let mut app = TestApp::for_accounts()?;
    let script = app.root().join("bin/forgets.sh");
    fs::write(&script, include_str!("forgets.sh"))?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700))?;
    app.choose("forgets", &format!("command = [\"{}\"]", script.display()))?;
    app.boot().await?;
    let user = app.user("ann@example.org")?;
    let first = user.ask("a blue whale").await?;
    assert_eq!(user.ended(&first).await?["response"], "flags:");
    let conversation = first.session_id;
    assert_eq!(user.response_in(&conversation, "forget").await?, "flags:", "it was not known before");
    assert_eq!(user.response_in(&conversation, "and now").await?, "flags: +primer");
    assert_eq!(user.response_in(&conversation, "and then").await?, "flags:", "it was told");
    Ok(())
}

/// A program that plays Claude Code, and can take up its memory again.
pub async fn with_claude() -> Tested<TestApp> {
    let mut app = TestApp::prepare(&[QUICK])?;
    let bin = app.root().join("bin");
    fs::create_dir(&bin)?;
    processes::copy_program(Path::new(processes::CLAUDE), &bin.join("claude"), "755")?;
    let path = std::env::var("PATH")?;
    app.set("PATH", &format!("{}:{path}", bin.display()));
    app.set("PALIADIN_PROFILE", "claude");
    app.boot().await?;
    Ok(app)
}

async fn kill_claude(app: &TestApp, user: &Client, restarts: u64) -> Tested {
    let agent = app.process(|process| {
        let is_script = process.arguments.get(1).is_some_and(|program| program.ends_with("bin/claude"));
        is_script && process.arguments.iter().any(|argument| argument == "--settings")
    })?;
    agent.kill()?;
    eventually("the agent to be there again", async || {
        let session = super::session(user).await?;
        Ok((session["agent"] == "ready" && session["restarts"] == restarts).then_some(()))
    })
    .await
}

#[tokio::test]
async fn an_agent_takes_up_its_memory_again_or_is_told() -> Tested {
    let app = with_claude().await?;
    let user = app.user("ann@example.org")?;
    let first = user.ask("a blue whale").await?;
    let conversation = first.session_id.clone();
    user.ended(&first).await?;
    let skill = app.spool()?.join("work/.claude/skills/paliadin/SKILL.md");
    assert!(skill.is_file(), "each session's working directory gets it");
    assert!(!app.root().join("home/.claude").exists(), "and the home directory is left alone");
    kill_claude(&app, &user, 1).await?;
    let session = super::session(&user).await?;
    assert_eq!(session["last_reason"], "agent restarted after it was ended by signal 9, memory resumed");
    assert_eq!(session["last_start"]["resumed"], json!(true));
    let flags = user.response_in(&conversation, "flags").await?;
    assert!(!flags.contains("+primer"), "it remembers: {flags}");

    // What it was to take up is gone.
    fs::write(app.root().join("home/no-resume"), "")?;
    kill_claude(&app, &user, 2).await?;
    assert_eq!(super::session(&user).await?["last_start"]["resumed"], json!(false));
    let flags = user.response_in(&conversation, "flags").await?;
    assert!(flags.contains("+primer"), "it does not remember: {flags}");
    let flags = user.response_in(&conversation, "flags").await?;
    assert!(!flags.contains("+primer"), "it was told: {flags}");
    Ok(())
}

#[tokio::test]
async fn a_reset_is_not_undone_by_what_happens_at_the_same_time() -> Tested {
    let mut app = with_claude().await?;
    let user = app.user("ann@example.org")?;
    user.response("a blue whale").await?;
    let hangs = user.ask("hang").await?;
    user.stream(&hangs, None).await?.until("meta").await?;
    // The agent does not stop, and is about to be ended for that.
    user.cancelled(&hangs).await?;
    user.reset().await?;
    assert_eq!(user.response_in(&hangs.session_id, "and on").await?.lines().next(), Some("You said: and on"));
    assert_eq!(super::session(&user).await?["last_start"]["resumed"], json!(false), "it was to forget");

    user.reset().await?;
    app.restart(rustix::process::Signal::KILL).await?;
    user.response_in(&hangs.session_id, "and on").await?;
    assert_eq!(super::session(&user).await?["last_start"]["resumed"], json!(false), "what was answered is so");
    Ok(())
}

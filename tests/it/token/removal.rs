//! What becomes of a token when the server is killed.

use std::fs;

use rustix::process::Signal;
use serde_json::json;

use super::{cancelled, claims, file, hanging};
use crate::harness::planted::JWT_SECRET;
use crate::harness::processes::Process;
use crate::harness::{TestApp, Tested, eventually};

/// Only the sweep at the start.
const NO_SWEEPS: (&str, &str) = ("PALIADIN_JANITOR__INTERVAL", "1h");

#[tokio::test]
async fn a_turn_that_is_taken_up_gets_another_one_which_goes_with_it() -> Tested {
    let mut app = TestApp::with(&[NO_SWEEPS]).await?;
    let user = app.user("ann@example.org")?;
    let (turn, token) = hanging(&app, &user).await?;
    let first = claims(&fs::read_to_string(&token)?, JWT_SECRET, "authenticated")?;
    app.stop(Signal::KILL)?;
    assert!(token.exists());
    app.boot().await?;
    let second = eventually("another token", async || {
        let said = claims(&fs::read_to_string(&token)?, JWT_SECRET, "authenticated")?;
        Ok((said["jti"] != first["jti"]).then_some(said))
    })
    .await?;
    assert_eq!((&second["sub"], &second["turn_id"]), (&json!(user.user_id), &json!(turn.turn_id)), "{second}");
    cancelled(&user, &turn).await?;
    assert!(!token.exists());
    assert_eq!(app.typed(&turn.turn_id)?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_server_without_a_secret_takes_back_what_the_one_before_had_signed() -> Tested {
    let mut app = TestApp::with(&[NO_SWEEPS]).await?;
    let user = app.user("ann@example.org")?;
    let (turn, token) = hanging(&app, &user).await?;
    app.stop(Signal::KILL)?;
    app.set("PALIADIN_JWT_SECRET", "");
    app.boot().await?;
    eventually("the token to go", async || Ok((!token.exists()).then_some(()))).await?;
    assert_eq!(user.turn(&turn.turn_id).await?["state"], "running");
    cancelled(&user, &turn).await
}

#[tokio::test]
async fn it_goes_with_a_turn_whose_agent_ended_while_the_server_was_away() -> Tested {
    let mut app = TestApp::with(&[NO_SWEEPS]).await?;
    let user = app.user("ann@example.org")?;
    let (turn, token) = hanging(&app, &user).await?;
    app.stop(Signal::KILL)?;
    app.process(Process::is_agent)?.kill()?;
    app.boot().await?;
    let row = user.ended(&turn).await?;
    assert!(row["error_code"] == "agent_died" && !token.exists(), "{row}");

    // Answered, and then gone.
    let (turn, token) = hanging(&app, &user).await?;
    app.stop(Signal::KILL)?;
    let answer = app.spool()?.join(format!("out/{}.txt", turn.turn_id));
    fs::write(&answer, "All is well.")?;
    app.process(Process::is_agent)?.kill()?;
    app.boot().await?;
    let row = user.ended(&turn).await?;
    assert!(row["response"] == "All is well." && !token.exists(), "{row}");
    Ok(())
}

#[tokio::test]
async fn where_the_end_was_recorded_there_is_none_and_where_it_was_not_it_goes_with_the_turn() -> Tested {
    for (point, is_there) in [("answer.before_commit", true), ("answer.after_commit", false)] {
        let mut app = TestApp::with(&[NO_SWEEPS]).await?;
        let user = app.user("ann@example.org")?;
        app.arm_halt(point)?;
        let turn = user.ask("!jwt").await?;
        app.halted(point).await?;
        app.stop(Signal::KILL)?;
        assert_eq!(file(&app, &turn)?.exists(), is_there, "{point}");
        app.boot().await?;
        let row = user.ended(&turn).await?;
        assert!(row["state"] == "done" && !file(&app, &turn)?.exists(), "{point}: {row}");
    }
    Ok(())
}

#[tokio::test]
async fn the_first_sweep_removes_those_of_turns_that_are_over() -> Tested {
    let mut app = TestApp::with(&[NO_SWEEPS, ("PALIADIN_TURN__SILENCE_TIMEOUT", "2s")]).await?;
    let user = app.user("ann@example.org")?;
    let done = user.ask("!jwt").await?;
    user.ended(&done).await?;
    let (unwanted, _) = hanging(&app, &user).await?;
    cancelled(&user, &unwanted).await?;
    let died = user.ask("!die").await?;
    assert_eq!(user.ended(&died).await?["error_code"], "agent_died");
    // Its agent is still at work on it.
    let (given_up, token) = hanging(&app, &user).await?;
    assert_eq!(user.ended(&given_up).await?["error_code"], "upstream_silence");
    app.stop(Signal::KILL)?;
    let mut left = Vec::new();
    for turn in [&done, &unwanted, &died, &given_up] {
        let file = file(&app, turn)?;
        left.extend([file.with_file_name(format!(".{}.jwt", turn.turn_id)), file]);
    }
    for file in &left {
        fs::write(file, "x")?;
    }
    app.boot().await?;
    eventually("them to go", async || Ok(left.iter().all(|file| !file.exists()).then_some(()))).await?;
    user.session_is("draining").await?;
    assert!(token.with_extension("context.json").exists(), "what the agent may need stays");
    user.reset().await?;
    user.session_is("idle").await
}

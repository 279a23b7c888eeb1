//! `GET /api/paliadin/turns/{turn_id}/recover`.

use std::fs::File;
use std::io::Write;

use serde_json::json;

use super::{NO_SWEEPS, SWEEPS, answer, answer_file, answered, died};
use crate::harness::processes::Process;
use crate::harness::{TestApp, Tested};

#[tokio::test]
async fn what_is_over_or_open_is_told_as_it_is() -> Tested {
    let app = TestApp::with(&[NO_SWEEPS]).await?;
    let user = app.user("ann@example.org")?;
    let done = user.ask("!echo done").await?;
    let mut row = user.ended(&done).await?;
    let told = user.read(&format!("/api/paliadin/turns/{}/recover", done.turn_id)).await?;
    row["recovery_state"] = json!("recovered");
    assert_eq!(told, row, "the row, and one field more");

    let running = user.ask("!hang").await?;
    let waiting = user.ask("!echo on").await?;
    user.stream(&running, None).await?.until("meta").await?;
    assert_eq!(user.recovery(&running).await?, "pending");
    assert_eq!(user.recovery(&waiting).await?, "pending");
    user.cancelled(&running).await?;
    user.ended(&running).await?;
    assert_eq!(user.recovery(&running).await?, "lost");
    user.ended(&waiting).await?;
    assert_eq!(user.recovery(&waiting).await?, "recovered");
    Ok(())
}

#[tokio::test]
async fn a_turn_whose_agent_is_gone_is_lost_until_its_answer_turns_up() -> Tested {
    let app = TestApp::with(&[NO_SWEEPS]).await?;
    let user = app.user("ann@example.org")?;
    let turn = died(&user).await?;
    assert_eq!(user.recovery(&turn).await?, "lost");
    answer(&app, &turn, "here")?;
    // Found by this request, if nobody was faster.
    assert_eq!(user.recovery(&turn).await?, "recovered");
    assert_eq!(answered(&user, &turn).await?["response"], "here");
    Ok(())
}

#[tokio::test]
async fn an_answer_that_is_being_written_may_still_come_though_its_agent_is_gone() -> Tested {
    let app = TestApp::with(&[NO_SWEEPS]).await?;
    let user = app.user("ann@example.org")?;
    let turn = died(&user).await?;
    let mut file = File::create(answer_file(&app, &turn)?)?;
    file.write_all(b"half of")?;
    assert_eq!(user.recovery(&turn).await?, "pending");
    file.write_all(b" it")?;
    drop(file);
    assert_eq!(user.recovery(&turn).await?, "recovered");
    assert_eq!(answered(&user, &turn).await?["response"], "half of it");
    Ok(())
}

#[tokio::test]
async fn nor_is_it_given_up_when_its_time_is_over() -> Tested {
    let app = TestApp::with(&[SWEEPS, ("PALIADIN_TURN__RECOVERY_WINDOW", "1ms")]).await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!hang").await?;
    user.stream(&turn, None).await?.until("meta").await?;
    let mut file = File::create(answer_file(&app, &turn)?)?;
    file.write_all(b"half of")?;
    app.process(Process::is_agent)?.kill()?;
    assert_eq!(user.ended(&turn).await?["error_code"], "agent_died");
    // Asked while it is being written, this takes its time, in which there are sweeps.
    assert_eq!(user.recovery(&turn).await?, "pending");
    file.write_all(b" it")?;
    drop(file);
    assert_eq!(answered(&user, &turn).await?["response"], "half of it");
    Ok(())
}

#[tokio::test]
async fn an_agent_at_work_gives_hope_and_one_that_was_stopped_does_not() -> Tested {
    let app = TestApp::with(&[
        NO_SWEEPS,
        ("PALIADIN_TURN__SILENCE_TIMEOUT", "1s"),
        ("PALIADIN_TURN__DRAIN_TIMEOUT", "1ms"),
        // It is over at once; what counts then is what the agent does.
        ("PALIADIN_TURN__RECOVERY_WINDOW", "1ms"),
    ])
    .await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!hang").await?;
    assert_eq!(user.ended(&turn).await?["error_code"], "upstream_silence");
    assert_eq!(user.recovery(&turn).await?, "pending");
    assert_eq!(user.response("!count").await?, "2", "the agent was interrupted for this one");
    assert_eq!(user.recovery(&turn).await?, "lost");
    Ok(())
}

#[tokio::test]
async fn what_was_never_typed_is_lost() -> Tested {
    let app = TestApp::with(&[("PALIADIN_BACKEND", "disabled")]).await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!echo x").await?;
    assert_eq!(user.ended(&turn).await?["error_code"], "disabled");
    assert_eq!(user.recovery(&turn).await?, "lost");
    Ok(())
}

#[tokio::test]
async fn another_users_turn_does_not_exist() -> Tested {
    let app = TestApp::with(&[NO_SWEEPS]).await?;
    let (user, other) = (app.user("ann@example.org")?, app.user("bob@example.org")?);
    let turn = died(&user).await?;
    for (asker, turn_id) in
        [(&other, turn.turn_id.as_str()), (&user, "01a1fc4c-ac28-75e8-b76a-aa96cd6935a9"), (&user, "x")]
    {
        let mut answer = asker.get(&format!("/api/paliadin/turns/{turn_id}/recover")).await?;
        assert_eq!((answer.status, answer.problem().await?.as_str()), (404, "not_found"), "{turn_id}");
    }
    let path = format!("/api/paliadin/turns/{}/recover", turn.turn_id);
    assert_eq!(app.nobody().get(&path).await?.status, 401);
    Ok(())
}

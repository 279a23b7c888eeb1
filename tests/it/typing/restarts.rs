//! What dies while a message is being typed.

use rustix::process::Signal;

use super::Stage;
use crate::harness::{Event, Tested, eventually};

#[tokio::test]
async fn a_message_whose_server_was_killed_before_enter_is_entered_by_the_next_one() -> Tested {
    for manners in ["", "late=300", "placeholder"] {
        let mut stage = Stage::with(manners, &[]).await?;
        let message = "hello ".repeat(30);
        stage.app.arm_halt("paste.after")?;
        let turn = stage.user.ask(message.trim_end()).await?;
        stage.app.halted("paste.after").await?;
        stage.app.restart(Signal::KILL).await?;
        stage.said(&turn, message.trim_end()).await?;
        assert_eq!(stage.pressed(), ["paste", "enter"], "{manners}");
        stage.says("and on").await?;
        stage.is_left_alone().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_dialog_is_waited_for_also_after_a_restart() -> Tested {
    let mut stage = Stage::with("dialog=paste", &[]).await?;
    let turn = stage.user.ask("hello").await?;
    let epoch =
        |event: &Event| event.id.as_deref().and_then(|id| id.split_once('-')).map(|(epoch, _)| epoch.to_owned());
    let first = epoch(&stage.user.stream(&turn, None).await?.until("attention").await?);
    stage.app.restart(Signal::KILL).await?;
    let mut stream = stage.user.stream(&turn, None).await?;
    // What the first server told may have been stored or not.
    while epoch(&stream.until("attention").await?) == first {}
    let server = stage.app.tmux().await?;
    let info = stage.shows(&server, "Proceed?").await?;
    server.send_key(&info.pane, "y").await?;
    stage.said(&turn, "hello").await?;
    assert_eq!(stage.pressed(), ["paste", "dialog key y", "enter"]);
    Ok(())
}

#[tokio::test]
async fn what_follows_the_terminal_may_be_killed() -> Tested {
    let stage = Stage::with("", &[]).await?;
    stage.says("first").await?;
    let server = stage.app.tmux().await?;
    let info = stage.opens_dialog(&server).await?;
    let turn = stage.user.ask("second").await?;
    stage.user.stream(&turn, None).await?.until("attention").await?;
    let follower = eventually("one that follows the terminal", async || {
        Ok(Some(stage.followers()?).filter(|followers| followers.len() == 1).and_then(|mut one| one.pop()))
    });
    follower.await?.kill()?;
    server.send_key(&info.pane, "y").await?;
    stage.said(&turn, "second").await?;
    stage.is_left_alone().await
}

//! Dialogs in the agent's terminal: a person answers them there, and nobody else.

use super::Stage;
use crate::harness::{Accepted, Event, Tested, eventually};

/// Waits until a person is told of the dialog.
async fn told(stage: &Stage, turn: &Accepted) -> Tested<Event> {
    let event = stage.user.stream(turn, None).await?.until("attention").await?;
    assert_eq!(event.data["kind"], "dialog", "{}", event.raw);
    let prompt = event.data["prompt"].as_str().unwrap_or_default();
    assert!(prompt.contains("Proceed?") && prompt.contains("> 1. Yes"), "{prompt}");
    Ok(event)
}

#[tokio::test]
async fn a_turn_waits_for_the_end_of_a_dialog() -> Tested {
    // As long as it is open, no time counts.
    let limits = [
        ("PALIADIN_TURN__SILENCE_TIMEOUT", "1s"),
        ("PALIADIN_TURN__DEADLINE", "2s"),
        ("PALIADIN_STREAM__THINKING", "3s"),
    ];
    let stage = Stage::with("", &limits).await?;
    stage.says("first").await?;
    let server = stage.app.tmux().await?;
    let info = stage.opens_dialog(&server).await?;
    let turn = stage.user.ask("second").await?;
    let id = told(&stage, &turn).await?.id.ok_or("no id")?;
    let refused = stage.user.reply(&turn, &id, "y").await?;
    assert_eq!(refused, (409, "reply_unsupported".to_owned()));
    let mut stream = stage.user.stream(&turn, Some(&id)).await?;
    let thinking = stream.until("thinking").await?;
    assert_eq!(thinking.data["upstream"], "attention");
    stream.until("thinking").await?;
    assert_eq!(stage.followers()?.len(), 1);
    let size = paliadin::tmux::Command::new("display-message").args([
        "-p",
        "-t",
        info.pane.as_str(),
        "#{window_width} #{window_height}",
    ]);
    assert_eq!(server.control().command(size).await?, ["200 50"]);
    server.send_key(&info.pane, "y").await?;
    stage.said(&turn, "second").await?;
    assert_eq!(stage.pressed(), ["paste", "enter", "key d", "dialog key y", "paste", "enter"]);
    stage.is_left_alone().await
}

#[tokio::test]
async fn a_dialog_that_comes_while_a_message_is_typed_is_left_to_a_person() -> Tested {
    for (dialog, keys) in [
        ("paste", vec!["paste", "dialog key y", "enter"]),
        ("late=300,dialog=paste", vec!["paste", "dialog key y", "enter"]),
        ("enter", vec!["paste", "enter", "dialog key y", "enter"]),
        ("submit", vec!["paste", "enter", "dialog key y"]),
    ] {
        let manners = if dialog.contains('=') { dialog.to_owned() } else { format!("dialog={dialog}") };
        let stage = Stage::with(&manners, &[]).await?;
        let turn = stage.user.ask("hello").await?;
        told(&stage, &turn).await?;
        let server = stage.app.tmux().await?;
        let info = stage.shows(&server, "Proceed?").await?;
        server.send_key(&info.pane, "y").await?;
        stage.said(&turn, "hello").await?;
        assert_eq!(stage.pressed(), keys, "{dialog}");
        let events = stage.user.collect(&turn).await?;
        assert_eq!(events.iter().filter(|event| event.kind == "attention").count(), 1, "told once");
        stage.is_left_alone().await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_agent_that_begins_with_a_dialog_is_ready_after_it() -> Tested {
    let stage = Stage::with("dialog=start", &[]).await?;
    let turn = stage.user.ask("hello").await?;
    let socket = stage.app.tmux_socket();
    // There is no tmux server before the first agent.
    eventually("a tmux server", async || Ok(socket.exists().then_some(()))).await?;
    let server = stage.app.tmux().await?;
    let info = stage.shows(&server, "Proceed?").await?;
    assert!(!info.ready);
    server.send_key(&info.pane, "y").await?;
    stage.said(&turn, "hello").await?;
    assert_eq!(stage.pressed(), ["dialog key y", "paste", "enter"]);
    Ok(())
}

#[tokio::test]
async fn a_turn_that_waits_for_a_dialog_can_be_cancelled() -> Tested {
    let stage = Stage::with("", &[]).await?;
    stage.says("first").await?;
    let server = stage.app.tmux().await?;
    let info = stage.opens_dialog(&server).await?;
    let turn = stage.user.ask("second").await?;
    told(&stage, &turn).await?;
    stage.user.cancelled(&turn).await?;
    let row = stage.user.ended(&turn).await?;
    assert_eq!(row["state"], "cancelled", "{row}");
    stage.user.session_is("idle").await?;
    let next = stage.user.ask("third").await?;
    told(&stage, &next).await?;
    server.send_key(&info.pane, "y").await?;
    stage.said(&next, "third").await?;
    assert_eq!(stage.app.typed(&turn.turn_id)?.len(), 0);
    assert_eq!(stage.pressed(), ["paste", "enter", "key d", "dialog key y", "paste", "enter"]);
    Ok(())
}

#[tokio::test]
async fn a_message_behind_a_dialog_goes_with_its_agent_when_it_is_cancelled() -> Tested {
    let stage = Stage::with("dialog=paste", &[]).await?;
    let turn = stage.user.ask("hello").await?;
    told(&stage, &turn).await?;
    stage.user.cancelled(&turn).await?;
    assert_eq!(stage.user.ended(&turn).await?["state"], "cancelled");
    stage.user.session_is("idle").await?;
    assert_eq!(stage.app.typed_all()?.len(), 0);
    assert_eq!(stage.pressed(), ["paste"], "no key is an answer to the dialog");
    Ok(())
}

#[tokio::test]
async fn a_session_can_be_reset_while_a_dialog_is_open() -> Tested {
    let stage = Stage::with("", &[]).await?;
    stage.says("first").await?;
    let server = stage.app.tmux().await?;
    stage.opens_dialog(&server).await?;
    let turn = stage.user.ask("second").await?;
    told(&stage, &turn).await?;
    assert_eq!(stage.user.reset().await?["ok"], true);
    assert_eq!(stage.user.ended(&turn).await?["error_code"], "session_reset");
    stage.says("third").await?;
    assert_eq!(stage.pressed(), ["paste", "enter", "key d", "paste", "enter"]);
    stage.is_left_alone().await
}

//! When the text is seen, and Enter is heard.

use serde_json::json;

use super::Stage;
use crate::harness::Tested;

#[tokio::test]
async fn enter_waits_for_a_late_echo() -> Tested {
    let stage = Stage::with("late=700", &[]).await?;
    for message in ["hello", "and again\nin two lines"] {
        stage.says(message).await?;
    }
    assert_eq!(stage.pressed(), ["paste", "enter", "paste", "enter"]);
    stage.is_left_alone().await
}

#[tokio::test]
async fn an_enter_that_was_swallowed_is_pressed_again() -> Tested {
    for swallowed in 1..=2 {
        let stage = Stage::with(&format!("swallow={swallowed}"), &[]).await?;
        stage.says("hello").await?;
        assert_eq!(stage.pressed(), [vec!["paste"], vec!["enter"; swallowed + 1]].concat());
        stage.says("again").await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_agent_that_never_hears_enter_fails_the_turn() -> Tested {
    let stage = Stage::with("swallow=3", &[]).await?;
    let row = stage.user.answer("hello").await?;
    assert_eq!((&row["state"], &row["error_code"]), (&json!("failed"), &json!("upstream_error")), "{row}");
    assert_eq!(stage.pressed(), ["paste", "enter", "enter", "enter"]);
    // What lies in its input goes with it, and into no other message.
    let row = stage.user.answer("to another one").await?;
    assert_eq!(row["error_code"], "upstream_error", "{row}");
    assert!(stage.app.typed_all()?.is_empty());
    assert!(!stage.keys().contains(&"escape".to_owned()), "{:?}", stage.keys());
    Ok(())
}

#[tokio::test]
async fn a_message_of_which_the_input_shows_something_else_is_entered() -> Tested {
    let long = "0123456789abcde ".repeat(60);
    let lines = (1..=40).map(|line| format!("line {line}")).collect::<Vec<_>>().join("\n");
    for manners in ["placeholder", "tail", "late=200,placeholder", "slow,tail"] {
        let stage = Stage::with(manners, &[]).await?;
        for message in [long.trim_end(), &lines, "short"] {
            stage.says(message).await?;
        }
        assert_eq!(stage.pressed(), ["paste", "enter", "paste", "enter", "paste", "enter"], "{manners}");
    }
    Ok(())
}

#[tokio::test]
async fn a_terminal_that_is_drawn_slowly_is_no_dialog() -> Tested {
    let stage = Stage::with("slow,late=50", &[]).await?;
    for round in 0..4 {
        let turn = stage.user.ask(&format!("round {round}")).await?;
        let events = stage.user.collect(&turn).await?;
        assert!(events.iter().all(|event| event.kind != "attention"), "{events:?}");
        stage.said(&turn, &format!("round {round}")).await?;
    }
    assert_eq!(stage.pressed(), ["paste", "enter"].repeat(4));
    Ok(())
}

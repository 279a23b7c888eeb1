//! The fence: tmux itself refuses to type a turn a second time, whoever tries.

use std::time::Duration;

use paliadin::tmux::{Newline, PaneInfo, Paste, Pasted, Server, paste};
use serde_json::json;

use crate::harness::{TestApp, Tested};

async fn only_pane(server: &Server) -> Tested<PaneInfo> {
    let mut panes = server.panes().await?;
    match (panes.pop(), panes.is_empty()) {
        (Some(only), true) => Ok(only),
        _ => Err("not exactly one pane".into()),
    }
}

#[tokio::test]
async fn a_turn_is_typed_once_whoever_tries() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!lines 20 50").await?;
    user.stream(&turn, None).await?.until("content").await?;
    let server = app.tmux().await?;
    let info = only_pane(&server).await?;
    let epoch = info.epoch.ok_or("no epoch")?;
    assert_eq!(info.turn.as_deref(), Some(turn.turn_id.as_str()));
    assert_eq!(Some(json!(epoch)), Some(user.status().await?["agent_session"]["epoch"].clone()));

    let text = format!("[PALIADIN:{}] !echo a second time", turn.turn_id);
    let attempt = |fence, epoch| {
        let paste_of = Paste { pane: &info.pane, fence, epoch, text: &text, newline: Newline::Lf, bracketed: true };
        paste(&server, paste_of)
    };
    for epoch in [epoch, epoch + 1, epoch + 100] {
        assert_eq!(attempt(&turn.turn_id, epoch).await?, Pasted::Already, "epoch {epoch}");
    }
    let other = uuid::Uuid::now_v7().to_string();
    for older in 0..epoch {
        assert_eq!(attempt(&other, older).await?, Pasted::Stale { pane_epoch: epoch }, "epoch {older}");
    }
    let after = only_pane(&server).await?;
    assert_eq!((after.turn, after.epoch), (info.turn.clone(), Some(epoch)), "a refusal leaves no trace");
    let row = user.ended(&turn).await?;
    assert_eq!(row["response"].as_str().map(|text| text.lines().count()), Some(20), "{row}");
    // Also when the turn is over: it is the last one typed until there is another one.
    assert_eq!(attempt(&turn.turn_id, epoch).await?, Pasted::Already);
    assert_eq!(user.response("!count").await?, "2", "the agent has seen nothing of all this");
    assert_eq!(app.typed_all()?.len(), 2);
    Ok(())
}

#[tokio::test]
async fn an_owner_who_was_replaced_types_no_more() -> Tested {
    let app = TestApp::with(&[("PALIADIN_AGENT__CONFIRM_TIMEOUT", "500ms")]).await?;
    let user = app.user("ann@example.org")?;
    assert_eq!(user.response("!count").await?, "1");
    let server = app.tmux().await?;
    let info = only_pane(&server).await?;
    // As if a later owner had typed into this pane.
    server.set_pane_option(&info.pane, "@epoch", "1000").await?;
    let turn = user.ask("!count").await?;
    let row = tokio::time::timeout(Duration::from_secs(20), user.ended(&turn)).await??;
    assert_eq!((&row["state"], &row["error_code"]), (&json!("failed"), &json!("uncertain")), "{row}");
    assert_eq!(app.typed(&turn.turn_id)?.len(), 0);
    Ok(())
}

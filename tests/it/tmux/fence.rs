//! Typing through the fence.

use paliadin::tmux::{
    Command, Newline, Pane, Paste, Pasted, Reply, Server, TmuxError, enter, paste, press_again, put, reply,
};
use tokio::task::JoinSet;

use super::{Host, turn};

#[tokio::test]
async fn a_turn_is_typed_once() {
    let host = Host::start().await;
    let (Pane { pane, .. }, mut typed) = host.recorder("agent", "").await;
    let text = "[T1] Grüße; \"$HOME\" 'x' \\ #{pid} ~ `id`\n\n\tsecond line \\;";
    assert_eq!(paste(&host.server, turn(&pane, "T1", 3, text)).await, Ok(Pasted::Typed));
    assert_eq!(paste(&host.server, turn(&pane, "T1", 3, text)).await, Ok(Pasted::Already));
    assert_eq!(paste(&host.server, turn(&pane, "T1", 4, text)).await, Ok(Pasted::Already));
    assert_eq!(paste(&host.server, turn(&pane, "T0", 2, "old")).await, Ok(Pasted::Stale { pane_epoch: 3 }));
    let info = host.server.pane(&pane).await.unwrap().unwrap();
    assert_eq!((info.turn.as_deref(), info.epoch), (Some("T1"), Some(3)));
    assert_eq!(
        paste(&host.server, Paste { newline: Newline::Cr, ..turn(&pane, "T2", 3, "a\nb") }).await,
        Ok(Pasted::Typed)
    );
    typed.expect(&format!("{text}\ra\rb\r")).await;
    assert_eq!(press_again(&host.server, &pane, "T1", "Enter").await, Ok(false));
    assert_eq!(press_again(&host.server, &pane, "T2", "Enter").await, Ok(true));
    host.server.send_key(&pane, "C-c").await.unwrap();
    typed.expect("\r\u{3}").await;
    let buffers = host.run(Command::new("list-buffers")).await.unwrap();
    assert!(buffers.is_empty(), "{buffers:?}");
}

#[tokio::test]
async fn enter_is_pressed_once_for_a_text_that_was_typed_without() {
    let host = Host::start().await;
    let (Pane { pane, .. }, mut typed) = host.recorder("agent", "").await;
    assert_eq!(enter(&host.server, &pane, "T1").await, Ok(false), "there is no turn yet");
    assert_eq!(put(&host.server, turn(&pane, "T1", 3, "one")).await, Ok(Pasted::Typed));
    for again in
        [put(&host.server, turn(&pane, "T1", 3, "one")).await, paste(&host.server, turn(&pane, "T1", 4, "one")).await]
    {
        assert_eq!(again, Ok(Pasted::Already));
    }
    assert_eq!(put(&host.server, turn(&pane, "T0", 2, "old")).await, Ok(Pasted::Stale { pane_epoch: 3 }));
    assert_eq!(enter(&host.server, &pane, "T0").await, Ok(false), "another turn");
    assert_eq!(enter(&host.server, &pane, "T1").await, Ok(true));
    assert_eq!(enter(&host.server, &pane, "T1").await, Ok(false));
    assert_eq!(put(&host.server, turn(&pane, "T2", 3, "two")).await, Ok(Pasted::Typed));
    assert_eq!(enter(&host.server, &pane, "T1").await, Ok(false));
    assert_eq!(enter(&host.server, &pane, "T2").await, Ok(true));
    assert_eq!(press_again(&host.server, &pane, "T2", "Enter").await, Ok(true));
    typed.expect("one\rtwo\r\r").await;
    assert!(host.run(Command::new("list-buffers")).await.unwrap().is_empty());
}

#[tokio::test]
async fn racing_pastes_of_a_turn_type_it_once() {
    let host = Host::start().await;
    let (Pane { pane, .. }, mut typed) = host.recorder("agent", "").await;
    // Each through a client of its own, as processes that do not know of each other.
    let mut servers = Vec::new();
    for _ in 0..8 {
        servers.push(Server::start(Host::config(&host.dir)).await.unwrap());
    }
    let mut attempts = JoinSet::new();
    for server in &servers {
        let (server, pane) = (server.clone(), pane.clone());
        attempts.spawn(async move { paste(&server, turn(&pane, "T", 1, "once")).await.unwrap() });
    }
    let results = attempts.join_all().await;
    assert_eq!(results.iter().filter(|&&result| result == Pasted::Typed).count(), 1, "{results:?}");
    assert_eq!(results.iter().filter(|&&result| result == Pasted::Already).count(), 7, "{results:?}");
    host.server.send_key(&pane, "z").await.unwrap();
    typed.expect("once\rz").await;
}

#[tokio::test]
async fn a_paste_is_bracketed_where_the_program_asks() {
    let host = Host::start().await;
    let (Pane { pane, .. }, mut typed) = host.recorder("agent", r"\033[?2004h").await;
    let long: String = "0123456789abcde\n".repeat(4096);
    paste(&host.server, turn(&pane, "T1", 1, &long)).await.unwrap();
    typed.expect(&format!("\u{1b}[200~{long}\u{1b}[201~\r")).await;
    paste(&host.server, Paste { bracketed: false, ..turn(&pane, "T2", 1, "x") }).await.unwrap();
    typed.expect("x\r").await;
}

#[tokio::test]
async fn copy_mode_is_left_before_typing() {
    let host = Host::start().await;
    let (Pane { pane, .. }, mut typed) = host.recorder("agent", "").await;
    let cover = || host.run(Command::new("copy-mode").args(["-t", pane.as_str()]));
    cover().await.unwrap();
    // A second mode over the first.
    host.run(Command::new("clock-mode").args(["-t", pane.as_str()])).await.unwrap();
    assert!(host.server.pane(&pane).await.unwrap().unwrap().in_mode);
    assert_eq!(paste(&host.server, turn(&pane, "T1", 1, "hello")).await, Ok(Pasted::Typed));
    typed.expect("hello\r").await;
    cover().await.unwrap();
    host.server.send_key(&pane, "Escape").await.unwrap();
    typed.expect("\u{1b}").await;
    cover().await.unwrap();
    // A refused paste disturbs nobody who is reading.
    assert_eq!(paste(&host.server, turn(&pane, "T1", 1, "hello")).await, Ok(Pasted::Already));
    assert!(host.server.pane(&pane).await.unwrap().unwrap().in_mode);
    host.server.leave_mode(&pane).await.unwrap();
    host.server.leave_mode(&pane).await.unwrap();
    assert!(!host.server.pane(&pane).await.unwrap().unwrap().in_mode);
}

#[tokio::test]
async fn nothing_is_typed_where_nobody_reads() {
    let host = Host::start().await;
    let dead = host.spawn("dead", &["sh", "-c", "exit 7"]).await.pane;
    let info = host.until(&dead, |info| info.dead_status.is_some()).await;
    assert_eq!((info.dead, info.dead_status, info.dead_signal), (true, Some(7), None));
    assert_eq!(paste(&host.server, turn(&dead, "T", 1, "x")).await, Err(TmuxError::PaneDead(dead.clone())));
    assert_eq!(host.server.send_key(&dead, "Enter").await, Err(TmuxError::PaneDead(dead.clone())));
    assert_eq!(host.server.pane(&dead).await.unwrap().unwrap().turn, None, "a refused turn leaves no trace");

    let deaf = host.spawn("deaf", &["cat", "-"]).await.pane;
    host.run(Command::new("select-pane").args(["-d", "-t", deaf.as_str()])).await.unwrap();
    assert_eq!(paste(&host.server, turn(&deaf, "T", 1, "x")).await, Err(TmuxError::InputOff(deaf.clone())));

    let wrong = paste(&host.server, turn(&deaf, "T", 1, "\u{1b}[201~")).await;
    assert!(matches!(wrong, Err(TmuxError::Invalid(_))), "{wrong:?}");
}

#[tokio::test]
async fn each_question_of_a_turn_is_replied_to_once() {
    let host = Host::start().await;
    let (Pane { pane, .. }, mut typed) = host.recorder("agent", "").await;
    let answer = |fence, number, text| reply(&host.server, Reply { pane: &pane, fence, number, text });
    assert_eq!(answer("T1", 1, "early").await, Ok(false), "there is no turn yet");
    paste(&host.server, turn(&pane, "T1", 3, "ask")).await.unwrap();
    assert_eq!(answer("T0", 1, "of another turn").await, Ok(false));
    assert_eq!(answer("T1", 1, "one; \"$HOME\" #{pid} \\;").await, Ok(true));
    assert_eq!(answer("T1", 1, "again").await, Ok(false));
    assert_eq!(answer("T1", 2, "two").await, Ok(true));
    assert_eq!(answer("T1", 2, "two").await, Ok(false));
    for text in ["", "a\nb", "a\rb", "\u{1b}"] {
        assert!(matches!(answer("T1", 3, text).await, Err(TmuxError::Invalid(_))), "{text:?}");
    }
    paste(&host.server, turn(&pane, "T2", 3, "ask")).await.unwrap();
    assert_eq!(answer("T1", 3, "late").await, Ok(false));
    host.run(Command::new("copy-mode").args(["-t", pane.as_str()])).await.unwrap();
    assert_eq!(answer("T2", 1, "three").await, Ok(true));
    typed.expect("ask\rone; \"$HOME\" #{pid} \\;\rtwo\rask\rthree\r").await;
    assert!(host.run(Command::new("list-buffers")).await.unwrap().is_empty());
}

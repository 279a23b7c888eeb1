//! News of what a program prints.

use std::fs;

use paliadin::tmux::{Command, Output};
use tokio::time::timeout;

use super::{DEADLINE, Host, kill};

async fn news(output: &mut Output) {
    timeout(DEADLINE, output.news()).await.expect("news in time");
}

/// The processes that the server on this host has started to copy what is printed.
fn copying(host: &Host) -> Vec<u32> {
    let home = host.dir.path().to_str().unwrap().to_owned();
    let ids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    let copies = |pid: &u32| {
        let read = |name: &str| fs::read_link(format!("/proc/{pid}/{name}"));
        read("fd/1").is_ok_and(|to| to.to_string_lossy().starts_with(&home))
            && read("exe").is_ok_and(|program| !program.to_string_lossy().contains("it-"))
    };
    ids.filter(copies).collect()
}

#[tokio::test]
async fn what_is_printed_is_told_until_nobody_listens() {
    let host = Host::start().await;
    let pane = host.spawn("agent", &["cat"]).await.pane;
    let size = host.format(&pane, "#{window_width} #{window_height}").await;
    let mut output = host.server.output(&pane);
    // From here on nothing is missed.
    news(&mut output).await;
    for round in 0..5 {
        host.server.send_key(&pane, "x").await.unwrap();
        // Once it is told, it is on the screen.
        while host.server.capture(&pane).await.unwrap()[0].len() <= round {
            news(&mut output).await;
        }
    }
    assert_eq!(host.format(&pane, "#{window_width} #{window_height}").await, size);
    assert_eq!(host.run(Command::new("list-clients")).await.unwrap().len(), 1);
    assert_eq!(host.format(&pane, "#{pane_pipe}").await, "1");
    drop(output);
    let gone = async { while host.format(&pane, "#{pane_pipe}").await == "1" || !copying(&host).is_empty() {} };
    timeout(DEADLINE, gone).await.expect("gone in time");
}

#[tokio::test]
async fn one_takes_the_place_of_another() {
    let host = Host::start().await;
    let pane = host.spawn("agent", &["cat"]).await.pane;
    for round in 0..20 {
        // The one before is just being closed, or not even open yet.
        let mut output = host.server.output(&pane);
        if round % 3 > 0 {
            news(&mut output).await;
            host.server.send_key(&pane, "x").await.unwrap();
            news(&mut output).await;
        }
    }
    let left = async {
        let files = || {
            fs::read_dir(host.dir.path().join("tmux"))
                .unwrap()
                .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
        };
        while host.format(&pane, "#{pane_pipe}").await == "1"
            || !copying(&host).is_empty()
            || files().any(|name| name.contains("output"))
        {}
    };
    timeout(DEADLINE, left).await.expect("all gone in time");
}

#[tokio::test]
async fn it_is_taken_up_again_when_it_was_killed() {
    let host = Host::start().await;
    let pane = host.spawn("agent", &["cat"]).await.pane;
    let mut output = host.server.output(&pane);
    news(&mut output).await;
    host.server.send_key(&pane, "x").await.unwrap();
    news(&mut output).await;
    for round in 2..4 {
        copying(&host).into_iter().for_each(kill);
        // That it is followed again is news.
        news(&mut output).await;
        host.server.send_key(&pane, "x").await.unwrap();
        while host.server.capture(&pane).await.unwrap()[0].len() < round {
            news(&mut output).await;
        }
    }
    host.server.kill_session(&host.server.pane(&pane).await.unwrap().unwrap().session).await.unwrap();
    drop(output);
}

//! What goes wrong around the product, and how it goes on.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::harness::processes::Process;
use crate::harness::sse::held;
use crate::harness::{TestApp, Tested, eventually};

#[tokio::test]
async fn a_recorder_that_loses_events_leaves_no_hole_in_a_replay() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!lines 30 20").await?;
    let mut stream = user.stream(&turn, None).await?;
    for _ in 0..3 {
        stream.until("content").await?;
        app.arm("recorder.handle")?;
    }
    stream.rest().await?;
    let row = user.turn(&turn.turn_id).await?;
    assert_eq!(row["response"].as_str().map(|text| text.lines().count()), Some(30), "{row}");
    let replayed = user.collect(&turn).await?;
    assert_eq!(json!(held(&replayed)), row["response"]);
    Ok(())
}

#[tokio::test]
async fn a_process_whose_root_gives_up_ends() -> Tested {
    let mut app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let ended = eventually("the end of the server", async || {
        app.arm("recorder.handle")?;
        // The probe asks the recorder, too.
        Ok(user.get("/readyz").await.is_err().then_some(()))
    });
    ended.await?;
    let why = app.stop(rustix::process::Signal::TERM).expect_err("it did not end by the signal").to_string();
    assert!(why.contains("exit status: 1"), "{why}");
    if app.is_armed("recorder.handle") {
        fs::remove_file(app.root().join("faults/recorder.handle"))?;
    }
    app.boot().await?;
    assert_eq!(app.user("bob@example.org")?.response("!echo back").await?, "back");
    Ok(())
}

#[tokio::test]
async fn an_agent_that_removes_its_spool_can_be_started_again() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    assert_eq!(user.response("!count").await?, "1");
    fs::remove_dir_all(app.spool()?)?;
    user.reset().await?;
    assert_eq!(user.response("!count").await?, "1");
    Ok(())
}

#[tokio::test]
async fn an_agent_that_outlives_its_terminal_is_ended() -> Tested {
    let mut app = TestApp::prepare(&[])?;
    let profiles = app.root().join("profiles");
    fs::create_dir(&profiles)?;
    let script = app.root().join("stubborn.sh");
    fs::write(&script, format!("#!/bin/bash\ntrap '' HUP\nexec {} agent demo\n", env!("CARGO_BIN_EXE_paliadin")))?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700))?;
    let command = format!("command = [\"{}\"]\nnewline = \"lf\"\ninterrupt_key = \"Escape\"\n", script.display());
    fs::write(profiles.join("stubborn.toml"), command)?;
    app.set("PALIADIN_AGENT__PROFILES_DIR", &profiles.display().to_string());
    app.set("PALIADIN_PROFILE", "stubborn");
    app.boot().await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!hang").await?;
    let mut stream = user.stream(&turn, None).await?;
    stream.until("meta").await?;
    app.process(Process::is_tmux_server)?.kill()?;
    let events = stream.rest().await?;
    assert_eq!(events[events.len() - 1].data["code"], "agent_died");
    assert_eq!(user.response("!count").await?, "1", "a new one, in a new terminal");
    Ok(())
}

#[tokio::test]
async fn a_log_that_cannot_be_written_harms_nobody() -> Tested {
    let app = TestApp::prepare(&[])?;
    let full = fs::OpenOptions::new().write(true).open("/dev/full")?;
    let mut server = app.command();
    let mut server = server.arg("serve").stdout(std::process::Stdio::piped()).stderr(full).spawn()?;
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(server.stdout.take().ok_or("no output")?));
    let asked = (|| {
        let line = lines.by_ref().find(|line| line.as_ref().is_ok_and(|line| line.contains("listening on")));
        let url = line.ok_or("it did not start")??.replace("listening on ", "");
        app.cli(&["ask", "--url", &url, "!echo fine"])
    })();
    crate::harness::processes::end(server.id().cast_signed(), rustix::process::Signal::TERM)?;
    assert!(server.wait()?.success());
    assert_eq!(asked?, "fine");
    Ok(())
}

#[tokio::test]
async fn one_agent_that_storms_the_watch_does_not_hold_up_another() -> Tested {
    let app = TestApp::start().await?;
    let (stormy, calm) = (app.user("ann@example.org")?, app.user("bob@example.org")?);
    assert_eq!(stormy.response("!count").await?, "1");
    let storm = app.spool()?.join("out/storm");
    assert_eq!(calm.response("!count").await?, "1");
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stopped = stop.clone();
    let storming = std::thread::spawn(move || {
        let mut rounds = 0_u64;
        while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
            if fs::create_dir(&storm).is_ok() && fs::remove_dir(&storm).is_ok() {
                rounds += 1;
            }
        }
        rounds
    });
    let mut answers = Vec::new();
    for _ in 0..20 {
        answers.push(calm.response("!echo calm").await);
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let rounds = storming.join().map_err(|_| "the storm panicked")?;
    for answer in answers {
        assert_eq!(answer?, "calm");
    }
    println!("{rounds} rounds");
    assert!(rounds > 100);
    Ok(())
}

#[tokio::test]
async fn tmux_in_trouble_stops_the_start_and_a_missing_one_means_no_agents() -> Tested {
    let mut app = TestApp::prepare(&[])?;
    let script = app.root().join("tmux.sh");
    fs::write(&script, "#!/bin/sh\n[ \"$1\" = -V ] && echo tmux 3.3a && exit\necho no room >&2\nexit 1\n")?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700))?;
    for directory in [app.state(), app.state().join("tmux")] {
        fs::create_dir(&directory)?;
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o700))?;
    }
    // As an earlier server left it.
    fs::write(app.tmux_socket(), "")?;
    app.set("PALIADIN_BACKEND__TMUX", &script.display().to_string());
    let ended = app.run(&["serve"])?;
    assert_eq!(ended.status.code(), Some(1));
    let told = String::from_utf8_lossy(&ended.stderr).into_owned();
    let last = told.lines().last().unwrap_or_default();
    assert_eq!(last, "paliadin: backend: tmux_unavailable: the tmux server is gone: no room", "{told}");

    app.set("PALIADIN_BACKEND__TMUX", "/nonexistent/tmux");
    app.boot().await?;
    let user = app.user("ann@example.org")?;
    assert_eq!(user.status().await?["backend"], "disabled");
    assert_eq!(user.answer("!echo x").await?["error_code"], "disabled");
    Ok(())
}

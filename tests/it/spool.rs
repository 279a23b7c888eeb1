//! What lies in an agent's spool is not trusted.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};

use crate::harness::{Client, TestApp, Tested};

/// Stands in whatever a planted file leads to.
const SECRET: &str = "the secret of another file";

/// Plants something as the answer of a turn that runs, and checks that it is refused and that nothing of it is told.
async fn refuses(app: &TestApp, user: &Client, plant: impl FnOnce(&Path) -> Tested) -> Tested {
    let turn = user.ask("!hang").await?;
    let mut stream = user.stream(&turn, None).await?;
    stream.until("meta").await?;
    plant(&app.spool()?.join("out").join(format!("{}.txt", turn.turn_id)))?;
    let events = stream.rest().await?;
    let last = &events[events.len() - 1];
    assert_eq!((last.kind.as_str(), &last.data["code"]), ("error", &json!("response_invalid")), "{}", last.raw);
    assert_eq!(last.data["retryable"], false);
    let row = user.turn(&turn.turn_id).await?;
    assert_eq!((&row["state"], &row["error_code"]), (&json!("failed"), &json!("response_invalid")), "{row}");
    assert_eq!((&row["response"], &row["partial"]), (&Value::Null, &Value::Null), "{row}");
    let told = format!("{events:?}{row}{:?}", user.collect(&turn).await?);
    assert!(!told.contains(SECRET), "{told}");
    assert_eq!(user.response("!echo on").await?, "on", "the session goes on");
    Ok(())
}

#[tokio::test]
async fn a_planted_answer_is_refused_whatever_it_is() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let secret = app.root().join("secret");
    fs::write(&secret, SECRET)?;
    refuses(&app, &user, |answer| Ok(symlink(&secret, answer)?)).await?;
    refuses(&app, &user, |answer| Ok(symlink(app.root().join("nowhere"), answer)?)).await?;
    refuses(&app, &user, |answer| Ok(fs::hard_link(&secret, answer)?)).await?;
    refuses(&app, &user, |answer| Ok(mknodat(CWD, answer, FileType::Fifo, Mode::from_raw_mode(0o600), 0)?)).await?;
    refuses(&app, &user, |answer| {
        fs::create_dir(answer)?;
        Ok(fs::write(answer.join("file"), SECRET)?)
    })
    .await?;
    // Put in place at once, so that the server never sees half of it.
    let place = |answer: &Path, bytes: &[u8]| -> Tested {
        let beside = answer.with_extension("beside");
        fs::write(&beside, bytes)?;
        Ok(fs::rename(beside, answer)?)
    };
    refuses(&app, &user, |answer| place(answer, &[SECRET.as_bytes(), b"\xff\xfe"].concat())).await?;
    assert_eq!(fs::read_to_string(&secret)?, SECRET, "nobody wrote to it either");
    Ok(())
}

#[tokio::test]
async fn an_answer_of_another_account_is_refused() -> Tested {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can give files away");
        return Ok(());
    }
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    refuses(&app, &user, |answer| {
        let beside = answer.with_extension("beside");
        fs::write(&beside, SECRET)?;
        fs::set_permissions(&beside, Permissions::from_mode(0o644))?;
        chown(&beside, Some(65_534), Some(65_534))?;
        Ok(fs::rename(beside, answer)?)
    })
    .await
}

#[tokio::test]
async fn a_planted_partial_answer_is_refused_too() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let secret = app.root().join("secret");
    fs::write(&secret, SECRET)?;
    refuses(&app, &user, |answer| Ok(symlink(&secret, answer.with_extension("part"))?)).await?;
    refuses(&app, &user, |answer| Ok(fs::hard_link(&secret, answer.with_extension("part"))?)).await
}

#[tokio::test]
async fn an_answer_over_the_limit_is_refused_and_the_server_unharmed() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    for bytes in [2 << 20, (1 << 20) + 1] {
        let turn = user.ask(&format!("!big {bytes}")).await?;
        let events = user.collect(&turn).await?;
        assert_eq!(events[events.len() - 1].data["code"], "response_too_large", "{bytes} bytes");
        let row = user.turn(&turn.turn_id).await?;
        assert_eq!((&row["error_code"], &row["response"]), (&json!("response_too_large"), &Value::Null));
    }
    let largest = user.answer(&format!("!big {}", 1 << 20)).await?;
    assert_eq!(largest["response"].as_str().map(str::len), Some(1 << 20), "exactly the limit fits");
    let row = user.answer("!lines 200000 0").await?;
    assert_eq!(row["error_code"], "response_too_large", "also where it grows piece by piece");
    // While it grows, a trailer of up to 16 KiB may be a part of it.
    assert!(row["partial"].as_str().is_none_or(|partial| partial.len() <= (1 << 20) + (16 << 10)));
    assert_eq!(user.response("!echo on").await?, "on");
    assert_eq!(app.nobody().get("/healthz").await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn a_replaced_directory_is_noticed() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!lines 30 50").await?;
    let mut stream = user.stream(&turn, None).await?;
    stream.until("content").await?;
    let out = app.spool()?.join("out");
    fs::rename(&out, out.with_extension("old"))?;
    fs::create_dir(&out)?;
    fs::set_permissions(&out, Permissions::from_mode(0o700))?;
    let row = user.ended(&turn).await?;
    let answer: String = (1..=30).map(|line| format!("line {line}\n")).collect();
    assert_eq!((&row["state"], &row["response"]), (&json!("done"), &json!(answer)));
    stream.rest().await?;
    assert_eq!(user.response("!lines 3 10").await?, "line 1\nline 2\nline 3\n", "the new one is watched");
    Ok(())
}

#[tokio::test]
async fn a_spool_is_for_its_account_alone() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask(&format!("!sha {}", "x".repeat(5_000))).await?;
    user.ended(&turn).await?;
    let spool = app.spool()?;
    for directory in [app.state(), spool.clone(), spool.join("in"), spool.join("out")] {
        let mode = fs::metadata(&directory)?.permissions().mode() & 0o777;
        assert_eq!(mode, 0o700, "{}", directory.display());
    }
    for directory in ["in", "out"] {
        let names = fs::read_dir(spool.join(directory))?.map(|file| Ok(file?.file_name()));
        let left: Vec<_> = names.collect::<Tested<Vec<_>>>()?;
        let left: Vec<_> = left.into_iter().filter(|name| name != "events.jsonl").collect();
        assert!(left.is_empty(), "left in {directory}/ after the turn: {left:?}");
    }
    Ok(())
}

#[tokio::test]
async fn an_agent_that_names_any_file_as_its_transcript_troubles_nobody_else() -> Tested {
    // Longer than anyone waits here: what is typed is confirmed by what is reported, or not at all.
    let app = TestApp::with(&[("PALIADIN_AGENT__CONFIRM_TIMEOUT", "90s")]).await?;
    let (ann, bob) = (app.user("ann@example.org")?, app.user("bob@example.org")?);
    let turn = ann.ask("!hang").await?;
    let mut stream = ann.stream(&turn, None).await?;
    stream.until("meta").await?;
    let own = app.spool()?;
    assert_eq!(bob.response("!echo before").await?, "before");
    let spools = fs::read_dir(app.state().join("spool"))?.map(|entry| Ok(entry?.path()));
    let spools: Vec<_> = spools.collect::<Tested<_>>()?;
    let others = spools.into_iter().find(|spool| *spool != own).ok_or("no second spool")?;
    let (huge, link) = (app.root().join("huge"), app.root().join("link"));
    File::create(&huge)?.set_len(300 << 30)?;
    symlink(others.join("out"), &link)?;
    for path in [huge, others.join("out/x"), others.join("x"), link.join("x"), app.root().join("none")] {
        let mut reports = File::options().append(true).open(own.join("out/events.jsonl"))?;
        let mark = path.display().to_string();
        let named = json!({"event": "transcript", "path": path, "from": 0, "prompt": "p"});
        for mut report in [named, json!({"event": "attention", "kind": "question", "prompt": mark})] {
            report["at"] = json!(1);
            report["turn_id"] = json!(turn.turn_id);
            writeln!(reports, "{report}")?;
        }
        while stream.until("attention").await?.data["prompt"] != mark {}
        assert_eq!(app.nobody().get("/healthz").await?.status, 200);
        assert_eq!(bob.response("!echo on").await?, "on", "{mark}");
    }
    ann.cancelled(&turn).await
}

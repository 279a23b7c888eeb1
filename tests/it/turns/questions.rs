//! What an agent asks by its hooks: what it costs, how long it is open, and who takes the reply.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use rustix::process::Signal;
use serde_json::json;

use crate::harness::client::refused;
use crate::harness::{Event, EventStream, TestApp, Tested, eventually};

/// A server whose agent asks by hooks, as its messages say.
pub(super) async fn asker(variables: &[(&str, &str)]) -> Tested<TestApp> {
    let mut app = TestApp::prepare(variables)?;
    let (profiles, script) = (app.root().join("profiles"), app.root().join("asker.sh"));
    fs::create_dir_all(&profiles)?;
    fs::write(&script, include_str!("asker.sh"))?;
    fs::set_permissions(&script, Permissions::from_mode(0o700))?;
    let command = json!([script, "{paliadin}"]);
    let profile = format!(
        "command = {command}\nnewline = \"lf\"\ninterrupt_key = \"Escape\"\nhooks = \"claude\"\nreply = \"hook\"\n"
    );
    fs::write(profiles.join("asker.toml"), profile)?;
    app.make_pipe()?;
    app.set("PALIADIN_AGENT__PROFILES_DIR", &profiles.display().to_string());
    app.set("PALIADIN_PROFILE", "asker");
    app.boot().await?;
    Ok(app)
}

/// Ends the hook that waits for a reply.
async fn kill_hook(app: &TestApp) -> Tested {
    app.process(|process| process.arguments.iter().any(|argument| argument == "--reply"))?.kill()
}

/// The next `thinking` of which this is so.
async fn thinking(stream: &mut EventStream, is_meant: impl Fn(&Event) -> bool) -> Tested<Event> {
    loop {
        let event = stream.until("thinking").await?;
        if is_meant(&event) {
            return Ok(event);
        }
    }
}

#[tokio::test]
async fn questions_that_come_and_go_cost_little_more_than_they_say() -> Tested {
    let app = asker(&[]).await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("flood").await?;
    let mut stream = user.stream(&turn, None).await?;
    while stream.until("attention").await?.data["prompt"] != "That is all." {}
    app.go_on().await?;
    assert_eq!(user.ended(&turn).await?["response"], "done");
    let size: usize = fs::read_to_string(app.root().join("home/size"))?.trim().parse()?;
    let events = user.collect(&turn).await?;
    let asked: Vec<_> = events.iter().filter(|event| event.kind == "attention").collect();
    let told: usize = asked.iter().map(|event| event.data.to_string().len()).sum();
    assert!(asked.len() > 2_000, "{}", asked.len());
    assert!(told < 3 * size, "{told} bytes for {size}");
    Ok(())
}

#[tokio::test]
async fn a_question_that_is_too_long_to_be_shown_is_answered_in_the_terminal() -> Tested {
    let app = asker(&[]).await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("endless").await?;
    let asked = user.stream(&turn, None).await?.until("attention").await?;
    assert_eq!((&asked.data["kind"], &asked.data["options"]), (&json!("dialog"), &json!([])));
    let id = asked.id.ok_or("no id")?;
    assert_eq!(user.reply(&turn, &id, "x").await?, refused("reply_unsupported"));
    app.go_on().await?;
    user.ended(&turn).await?;
    Ok(())
}

#[tokio::test]
async fn a_name_that_leads_elsewhere_is_no_questions() -> Tested {
    let app = asker(&[]).await?;
    let user = app.user("ann@example.org")?;
    let victim = app.state().join("victim");
    fs::write(&victim, "precious")?;
    let turn = user.ask("path").await?;
    let asked = user.stream(&turn, None).await?.until("attention").await?;
    let replied = user.reply(&turn, asked.id.as_deref().ok_or("no id")?, "hello").await;
    let left = fs::read_to_string(&victim);
    app.go_on().await?;
    user.ended(&turn).await?;
    assert_eq!((asked.data["prompt"].as_str(), left?), (Some("Here?"), "precious".to_owned()));
    // No hook waits under that name either.
    assert_eq!(replied?, refused("no_attention"));
    Ok(())
}

#[tokio::test]
async fn a_question_is_over_with_its_hook_and_no_reply_to_it_is_taken() -> Tested {
    let app = asker(&[]).await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("killed").await?;
    let mut stream = user.stream(&turn, None).await?;
    let asked = stream.until("attention").await?;
    assert_eq!(asked.data["options"], json!(["allow", "deny"]));
    kill_hook(&app).await?;
    // What the program tells of it from then on is heard.
    let still = stream.until("attention").await?;
    assert_eq!((&still.data["kind"], &still.data["prompt"]), (&json!("dialog"), &json!("Still open")));
    assert_eq!(user.reply(&turn, &asked.id.ok_or("no id")?, "allow").await?, refused("no_attention"));
    assert!(!app.inputs_left().iter().any(|name| name.contains("reply")), "{:?}", app.inputs_left());
    app.go_on().await?;
    assert_eq!(user.ended(&turn).await?["response"], "done");
    Ok(())
}

#[tokio::test]
async fn time_counts_again_once_a_questions_hook_is_gone() -> Tested {
    let app = asker(&[("PALIADIN_TURN__SILENCE_TIMEOUT", "1s")]).await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("silent").await?;
    let asked = user.stream(&turn, None).await?.until("attention").await?;
    kill_hook(&app).await?;
    let row = user.ended(&turn).await?;
    assert_eq!(row["error_code"], "upstream_silence", "{row}");
    assert_eq!(user.reply(&turn, &asked.id.ok_or("no id")?, "allow").await?, refused("no_attention"));
    app.go_on().await?;
    eventually("the late answer", async || Ok((user.turn(&turn.turn_id).await?["state"] == "done").then_some(()))).await
}

#[tokio::test]
async fn questions_side_by_side_are_replied_to_one_by_one_also_after_a_restart() -> Tested {
    let mut app = asker(&[]).await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("side by side").await?;
    let mut stream = user.stream(&turn, None).await?;
    let mut last = String::new();
    for expected in ["a?", "b?", "c?", "b?"] {
        let asked = stream.until("attention").await?;
        assert_eq!(asked.data["prompt"], expected);
        last = asked.id.ok_or("no id")?;
    }
    drop(stream);
    // Recorded, too: so the next server knows what was told.
    assert_eq!(app.nobody().get("/readyz").await?.status, 200);
    app.restart(Signal::KILL).await?;
    // A page that has gone on listening takes no open question for answered.
    let mut stream = user.stream(&turn, Some(&last)).await?;
    thinking(&mut stream, |event| {
        assert_ne!(event.data["upstream"], "working");
        event.data["upstream"] == "attention"
    })
    .await?;
    drop(stream);
    for (name, next) in [("b", Some("a?")), ("a", None)] {
        eventually(
            "the reply to be taken",
            async || Ok((user.reply(&turn, &last, name).await?.0 == 202).then_some(())),
        )
        .await?;
        assert_eq!(fs::read_to_string(app.spool()?.join(format!("in/{}.reply-{name}", turn.turn_id)))?, name);
        app.go_on().await?;
        if let Some(next) = next {
            let asked = user.stream(&turn, Some(&last)).await?.until("attention").await?;
            assert_eq!(asked.data["prompt"], next);
            last = asked.id.ok_or("no id")?;
        }
    }
    assert_eq!(user.ended(&turn).await?["response"], "done");
    Ok(())
}

#[tokio::test]
async fn a_reply_to_one_question_decides_no_other_also_after_a_restart() -> Tested {
    let mut app = asker(&[]).await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("given up").await?;
    let mut stream = user.stream(&turn, None).await?;
    let mut last = String::new();
    // The hook of the second one goes without a word.
    for expected in ["a?", "b?", "a?"] {
        let asked = stream.until("attention").await?;
        assert_eq!(asked.data["prompt"], expected);
        last = asked.id.ok_or("no id")?;
    }
    drop(stream);
    // Recorded, too: so the next server knows what was told.
    assert_eq!(app.nobody().get("/readyz").await?.status, 200);
    app.stop(Signal::KILL)?;
    app.go_on().await?;
    app.boot().await?;
    app.go_on().await?;
    let asked = user.stream(&turn, Some(&last)).await?.until("attention").await?;
    assert_eq!(asked.data["prompt"], "c?");
    assert_eq!(user.reply(&turn, &last, "x").await?, refused("no_attention"));
    assert!(!app.inputs_left().iter().any(|name| name.contains("reply")), "{:?}", app.inputs_left());
    assert_eq!(user.reply(&turn, &asked.id.ok_or("no id")?, "yes").await?.0, 202);
    assert_eq!(fs::read_to_string(app.spool()?.join(format!("in/{}.reply-c", turn.turn_id)))?, "yes");
    app.go_on().await?;
    assert_eq!(user.ended(&turn).await?["response"], "done");
    Ok(())
}

#[tokio::test]
async fn what_is_asked_in_the_terminal_only_does_not_hold_up_the_deadline() -> Tested {
    let app = asker(&[("PALIADIN_TURN__DEADLINE", "6s"), ("PALIADIN_TURN__SILENCE_TIMEOUT", "3s")]).await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("terminal").await?;
    assert_eq!(user.stream(&turn, None).await?.until("attention").await?.data["kind"], "dialog");
    let row = user.ended(&turn).await?;
    assert_eq!(row["error_code"], "timeout", "{row}");
    Ok(())
}

#[tokio::test]
async fn what_is_decided_in_the_terminal_is_open_until_it_is_decided() -> Tested {
    let app = asker(&[("PALIADIN_TURN__SILENCE_TIMEOUT", "1s")]).await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("terminal").await?;
    let mut stream = user.stream(&turn, None).await?;
    for _ in 0..2 {
        assert_eq!(stream.until("attention").await?.data["kind"], "dialog");
    }
    // Another tool runs meanwhile; a person still has to decide.
    let told = thinking(&mut stream, |event| event.data["activity"] == "Read: /x").await?;
    assert_eq!(told.data["upstream"], "attention");
    app.go_on().await?;
    // The second one is decided: the first one is open.
    let asked = stream.until("attention").await?;
    assert!(asked.data["prompt"].as_str().is_some_and(|prompt| prompt.contains("terminal")), "{asked:?}");
    let id = asked.id.ok_or("no id")?;
    assert_eq!(user.reply(&turn, &id, "allow").await?, refused("reply_unsupported"));
    app.go_on().await?;
    thinking(&mut stream, |event| event.data["upstream"] == "working").await?;
    assert_eq!(user.ended(&turn).await?["error_code"], "upstream_silence", "nobody is waited for any more");
    app.go_on().await?;
    eventually("the late answer", async || Ok((user.turn(&turn.turn_id).await?["state"] == "done").then_some(()))).await
}

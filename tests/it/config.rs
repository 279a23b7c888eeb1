//! A configuration that cannot be used stops the start, and says why.

use std::fs;

use crate::harness::{TestApp, Tested};

/// Starts a server with these variables and this file; gives the one line with which it refuses.
fn refusal(variables: &[(&str, &str)], file: Option<&str>) -> Tested<String> {
    let app = TestApp::prepare(variables)?;
    let path = app.root().join("paliadin.toml");
    let mut arguments = vec!["serve"];
    let shown = path.display().to_string();
    if let Some(text) = file {
        fs::write(&path, text)?;
        arguments.extend(["--config", &shown]);
    }
    let output = app.run(&arguments)?;
    let errors = String::from_utf8(output.stderr)?;
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert_eq!(errors.lines().count(), 1, "{errors}");
    assert!(output.stdout.is_empty());
    assert!(!app.state().exists(), "nothing was touched");
    Ok(errors)
}

#[test]
fn a_bad_variable_stops_the_start() -> Tested {
    for (name, value, key) in [
        ("PALIADIN_TURN__QUEUE_LIMIT", "many", "turn.queue_limit"),
        ("PALIADIN_TURN__QUEUE_LIMT", "4", "turn.queue_limt"),
        ("PALIADIN_STREAM__PING", "soon", "stream.ping"),
        ("PALIADIN_LISTEN", "nowhere", "server.listen"),
        ("PALIADIN_ENABLED", "perhaps", "server.enabled"),
    ] {
        let line = refusal(&[(name, value)], None)?;
        assert!(line.contains(key), "{name}={value}: the key {key} is not named: {line}");
        assert!(line.contains(name), "{name}={value}: its origin is not named: {line}");
    }
    Ok(())
}

#[test]
fn a_bad_file_stops_the_start() -> Tested {
    for (text, key) in [
        ("[turn]\nqueue_limit = \"many\"\n", "turn.queue_limit"),
        ("[turn]\nqueue_limt = 4\n", "turn.queue_limt"),
        ("[trun]\nqueue_limit = 4\n", "trun"),
        ("[stream]\nping = \"soon\"\n", "stream.ping"),
    ] {
        let line = refusal(&[], Some(text))?;
        assert!(line.contains(key), "{text:?}: the key {key} is not named: {line}");
        assert!(line.contains("paliadin.toml"), "{text:?}: its origin is not named: {line}");
    }
    Ok(())
}

#[tokio::test]
async fn variables_lie_over_the_file_and_the_file_over_the_defaults() -> Tested {
    let mut app = TestApp::prepare(&[("PALIADIN_STREAM__RETRY", "111ms")])?;
    let path = app.root().join("paliadin.toml");
    fs::write(&path, "[stream]\nretry = \"222ms\"\n[turn]\nqueue_limit = 1\n")?;
    app.set("PALIADIN_CONFIG", &path.display().to_string());
    app.boot().await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!hang").await?;
    let mut stream = user.stream(&turn, None).await?;
    stream.until("meta").await?;
    assert_eq!(stream.retry, Some(111));
    user.ask("!echo waiting").await?;
    assert_eq!(user.post_turn(&serde_json::json!({ "user_message": "x" })).await?.status, 429);
    user.reset().await?;
    Ok(())
}

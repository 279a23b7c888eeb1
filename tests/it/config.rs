//! A configuration that cannot be used stops the start, and says why.

use std::fs;
use std::process::Stdio;

use crate::harness::planted::JWT_SECRET;
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
    let mut command = app.command();
    if file.is_some() {
        // It would lie over the file.
        command.env_remove("PALIADIN_JWT_SECRET");
    }
    let output = command.args(&arguments).stdin(Stdio::null()).output()?;
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
        ("PALIADIN_AGENT__SESSION_SCOPE", "page", "agent.session_scope"),
        ("PALIADIN_AUTH_MODE", "nobody", "auth.mode"),
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

#[test]
fn a_secret_that_is_too_short_stops_the_start_and_is_not_told() -> Tested {
    let short = &JWT_SECRET[..31];
    let variable = refusal(&[("PALIADIN_JWT_SECRET", short)], None)?;
    let long_name = refusal(&[("PALIADIN_JWT_SECRET", ""), ("PALIADIN_AGENT__JWT_AUDIENCE", "")], None)?;
    assert!(long_name.contains("agent.jwt_audience"), "{long_name}");
    assert!(variable.contains("agent.jwt_secret") && variable.contains("PALIADIN_JWT_SECRET"), "{variable}");
    assert!(variable.contains("at least 32 bytes") && !variable.contains("planted"), "{variable}");
    let mistyped = refusal(&[("PALIADIN_JWT_SECERT", JWT_SECRET)], None)?;
    assert!(mistyped.contains("PALIADIN_JWT_SECERT") && !mistyped.contains("planted"), "{mistyped}");
    Ok(())
}

#[test]
fn a_line_of_a_file_that_cannot_be_read_is_not_told() -> Tested {
    for (line, problem) in [
        ("jwt_secret = \"planted-secret", "line 2, column 29: invalid basic string"),
        ("jwt_secret = planted-secret", "line 2, column 14: string values must be quoted"),
        ("jwt_secret planted-secret", "line 2, column 12: key with no value"),
        ("jwt_secret = \"planted\"\njwt_secret = \"planted-secret\"", "line 3, column 1: duplicate key"),
        ("jwt_secret = \"plan\\qted-secret\"", "line 2, column 20: missing escaped value"),
        ("jwt_secret = [\"planted-secret\"]", "agent.jwt_secret"),
        ("jwt_secret = { planted = \"secret\" }", "agent.jwt_secret"),
        ("jwt_secert = \"planted-secret\"", "agent.jwt_secert"),
    ] {
        let told = refusal(&[], Some(&format!("[agent]\n{line}\n")))?;
        assert!(told.contains(problem) && told.contains("paliadin.toml"), "{line}: {told}");
        assert!(!told.contains("planted") && !told.contains("-secret"), "{line}: {told}");
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

#[test]
fn a_value_out_of_bounds_stops_the_start() -> Tested {
    for (name, value, key) in [
        ("PALIADIN_AGENT__READY_TIMEOUT", "18446744073709551615s", "agent.ready_timeout"),
        ("PALIADIN_AGENT__READY_TIMEOUT", "0s", "agent.ready_timeout"),
        ("PALIADIN_AUTH__LINK_TTL", "18446744073709551615s", "auth.link_ttl"),
        ("PALIADIN_TURN__MAX_RESPONSE", "18446744073709551615", "turn.max_response"),
        ("DATABASE_URL", "postgres:secret", "DATABASE_URL"),
    ] {
        let line = refusal(&[(name, value)], None)?;
        assert!(line.contains(key) && !line.contains("secret"), "{name}={value}: {line}");
    }
    Ok(())
}

#[test]
fn a_state_directory_that_others_may_enter_is_refused() -> Tested {
    use std::os::unix::fs::PermissionsExt;
    let app = TestApp::prepare(&[])?;
    fs::create_dir_all(app.state())?;
    fs::set_permissions(app.state(), fs::Permissions::from_mode(0o755))?;
    let output = app.run(&["serve"])?;
    let errors = String::from_utf8(output.stderr)?;
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(errors.contains("state.dir") && errors.contains("0755"), "{errors}");
    assert_eq!(fs::read_dir(app.state())?.count(), 0, "nothing was put there");
    Ok(())
}

#[tokio::test]
async fn a_backend_that_cannot_be_had_stops_the_start() -> Tested {
    for (name, value, words) in [
        ("PALIADIN_BACKEND", "remote", "remote"),
        ("PALIADIN_PROFILE", "nobody", "nobody"),
        ("PALIADIN_LISTEN", "0.0.0.0:0", "loopback"),
    ] {
        let output = TestApp::prepare(&[(name, value)])?.run(&["serve"])?;
        let errors = String::from_utf8(output.stderr)?;
        let last = errors.lines().last().unwrap_or_default();
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(last.starts_with("paliadin: ") && last.contains(words), "{errors}");
    }
    Ok(())
}

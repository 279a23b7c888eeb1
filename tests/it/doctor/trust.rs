//! Trust: told, given with consent only, and for one directory only.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use super::{ask, choose, script};
use crate::harness::{TestApp, Tested};

/// A product with somebody who plays Claude Code, signed in.
fn with_claude() -> Tested<TestApp> {
    let mut app = TestApp::prepare(&[])?;
    let claude = script(&app, "claude", include_str!("claude.sh"))?;
    let program = env!("CARGO_BIN_EXE_paliadin");
    let text = fs::read_to_string(&claude)?.replace("$PALIADIN_PROGRAM", program);
    fs::write(&claude, text)?;
    let path = std::env::var("PATH")?;
    app.set("PATH", &format!("{}:{path}", app.root().join("bin").display()));
    app.set("PALIADIN_PROFILE", "auto");
    fs::write(app.root().join("home/signed"), "")?;
    Ok(app)
}

/// A short wait, for an agent that will not get ready.
const SHORT: [(&str, &str); 1] = [("PALIADIN_AGENT__READY_TIMEOUT", "1s")];

#[test]
fn nothing_is_written_without_consent() -> Tested {
    let app = with_claude()?;
    let (file, spool) = (app.root().join("home/.claude.json"), app.state().join("spool"));
    let said = ask(&app, &[], &SHORT)?;
    said.assert_failed(1);
    said.assert("ok", "profile", &["claude (auto"])?;
    said.assert("ok", "program", &["bin/claude, 2.1.332 (Claude Code)"])?;
    said.assert("ok", "signed in", &["claude auth status"])?;
    let shown = [spool.display().to_string(), file.display().to_string(), "--seed-trust".to_owned()];
    said.assert("warn", "trust", &shown.each_ref().map(String::as_str))?;
    said.assert("FAIL", "ready", &["| > No, exit"])?;

    let said = ask(&app, &["--seed-trust"], &SHORT)?;
    said.assert_failed(2);
    said.assert("FAIL", "trust", &["no terminal", "--yes"])?;
    assert!(!file.exists());

    fs::remove_file(app.root().join("home/signed"))?;
    let said = ask(&app, &[], &SHORT)?;
    said.assert_failed(2);
    said.assert("FAIL", "signed in", &["(not signed in)", "HOME=", "ANTHROPIC_API_KEY"])
}

#[test]
fn with_consent_one_entry_is_written_and_the_rest_stays() -> Tested {
    let app = with_claude()?;
    let (file, spool) = (app.root().join("home/.claude.json"), app.state().join("spool"));
    let before = "{\n  \"zeta\": 0.1000000000000000055511,\n  \"projects\": {\n    \"/elsewhere\": { \"hasTrustDialogAccepted\": false }\n  },\n  \"alpha\": [1, \"ä}\"]\n}\n";
    fs::write(&file, before)?;
    fs::set_permissions(&file, Permissions::from_mode(0o640))?;
    let said = ask(&app, &["--yes"], &[])?;
    said.assert_fine();
    said.assert("ok", "trust", &["from now on"])?;
    said.assert("ok", "ready", &[])?;
    let after = fs::read_to_string(&file)?;
    let entry = format!(", \"{}\": {{\"hasTrustDialogAccepted\": true}}", spool.display());
    assert_eq!(after.replace(&entry, ""), before, "{after}");
    assert_eq!(serde_json::from_str::<Value>(&after)?["projects"].as_object().map(|all| all.len()), Some(2));
    assert_eq!(fs::metadata(&file)?.permissions().mode() & 0o7777, 0o640);

    for arguments in [&[][..], &["--seed-trust"], &["--yes"]] {
        let said = ask(&app, arguments, &[])?;
        said.assert_fine();
        said.assert("ok", "trust", &["is trusted ("])?;
        assert_eq!(fs::read_to_string(&file)?, after);
    }
    let names: Vec<_> = fs::read_dir(app.root().join("home"))?.flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    Ok(())
}

#[test]
fn a_file_that_is_not_what_it_should_be_is_left_alone() -> Tested {
    let app = with_claude()?;
    let file = app.root().join("home/.claude.json");
    for text in ["{ \"projects\": ", "[]", "{\"projects\": 1}"] {
        fs::write(&file, text)?;
        let said = ask(&app, &["--yes"], &SHORT)?;
        said.assert("warn", "trust", &["not what it should be"])?;
        assert_eq!(fs::read_to_string(&file)?, text);
    }
    Ok(())
}

#[test]
fn a_home_for_each_session_knows_of_no_trust_and_that_is_told() -> Tested {
    let mut app = with_claude()?;
    let text = include_str!("../../../config/agents/claude.toml");
    let fields = text.replace("newline = \"lf\"", "").replace("interrupt_key = \"Escape\"", "home = 'per_session'");
    choose(&mut app, "claude", &fields)?;
    let said = ask(&app, &["--yes"], &SHORT)?;
    said.assert("warn", "trust", &["a home of its own", "CLAUDE_CONFIG_DIR"])?;
    assert!(!app.root().join("home/.claude.json").exists());
    // One place for all of them.
    let configs = app.root().join("configs");
    fs::create_dir(&configs)?;
    app.set("CLAUDE_CONFIG_DIR", &configs.display().to_string());
    ask(&app, &["--yes"], &SHORT)?.assert("ok", "trust", &[&configs.display().to_string()])?;
    assert!(configs.join(".claude.json").exists());
    Ok(())
}

#[test]
fn what_the_command_of_codex_decides_is_enough() -> Tested {
    let mut app = TestApp::prepare(&[])?;
    let text = format!(
        "#!/bin/sh\n[ $1 = login ] && {{ echo 'Not logged in' >&2; exit 1; }}\n[ $1 = --version ] && {{ echo codex-cli 0.171.0; exit; }}\n         printf '\\342\\200\\272 ask'\nexec {} agent demo\n",
        env!("CARGO_BIN_EXE_paliadin")
    );
    script(&app, "codex", &text)?;
    app.set("PATH", &format!("{}:{}", app.root().join("bin").display(), std::env::var("PATH")?));
    app.set("PALIADIN_PROFILE", "codex");
    let said = ask(&app, &[], &SHORT)?;
    said.assert("ok", "program", &["codex-cli 0.171.0"])?;
    said.assert("ok", "trust", &["nothing has to be written"])?;
    said.assert("warn", "signed in", &["(Not logged in)", "OPENAI_API_KEY", "another provider"])
}

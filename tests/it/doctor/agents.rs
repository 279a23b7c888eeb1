//! Agents that cannot be used, and what is said of each.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use super::{ask, choose, script};
use crate::harness::accounts::{self, Account};
use crate::harness::{TestApp, Tested};

#[test]
fn a_program_that_is_not_there_is_told() -> Tested {
    let mut app = TestApp::prepare(&[])?;
    choose(&mut app, "mine", "command = ['no-such-agent']")?;
    let said = ask(&app, &[], &[])?;
    said.assert_failed(1);
    said.assert("ok", "profile", &["mine", "profiles/mine.toml"])?;
    said.assert("FAIL", "program", &["`no-such-agent`", "PATH", "install it", "PALIADIN_PROFILE=demo"])?;
    // Another one can be looked at.
    let said = ask(&app, &["--profile", "demo"], &[])?;
    said.assert_fine();
    said.assert("ok", "profile", &["demo (asked for; the server takes mine), built in"])
}

#[test]
fn an_agent_that_does_not_get_ready_is_told_with_what_it_shows() -> Tested {
    let mut app = TestApp::prepare(&[("PALIADIN_AGENT__READY_TIMEOUT", "1500ms")])?;
    let dialog =
        "#!/bin/sh\n[ $# = 0 ] || exit\nprintf 'Choose a style\\n\\n> 1. Auto\\n  2. Dark\\n'\nexec sleep 1000\n";
    let dialog = script(&app, "dialog.sh", dialog)?;
    choose(&mut app, "dialog", &format!("command = ['{}']", dialog.display()))?;
    let said = ask(&app, &[], &[])?;
    said.assert_failed(1);
    let shown = "      | Choose a style\n      | > 1. Auto\n      |   2. Dark\n";
    said.assert("FAIL", "ready", &["not ready within 1.5 s", shown, "by hand", "agent.ready_timeout"])?;
    assert!(app.processes()?.is_empty() && !app.state().exists());

    let ends = script(&app, "ends.sh", "#!/bin/sh\n[ $# = 0 ] || exit\necho 'Unable to connect'\nexit 3\n")?;
    choose(&mut app, "ends", &format!("command = ['{}']", ends.display()))?;
    let said = ask(&app, &[], &[("PALIADIN_AGENT__READY_TIMEOUT", "30s")])?;
    said.assert_failed(1);
    said.assert("FAIL", "ready", &["exited with status 3", "      | Unable to connect"])?;

    // Nothing may mean that its words were lost: it is asked again, not for ever.
    let starts = app.root().join("starts");
    let text = format!(
        "#!/bin/sh\n[ $# = 0 ] || exit\necho >> {0}\n[ $(wc -l < {0}) -lt 2 ] || echo 'Unable to connect'\nexit 3\n",
        starts.display()
    );
    let second = script(&app, "second.sh", &text)?;
    choose(&mut app, "second", &format!("command = ['{}']", second.display()))?;
    ask(&app, &[], &[])?.assert("FAIL", "ready", &["exited with status 3", "      | Unable to connect"])?;
    let silent =
        script(&app, "silent.sh", &format!("#!/bin/sh\n[ $# = 0 ] || exit\necho >> {}\nexit 3\n", starts.display()))?;
    choose(&mut app, "silent", &format!("command = ['{}']", silent.display()))?;
    fs::remove_file(&starts)?;
    ask(&app, &[], &[])?.assert("FAIL", "ready", &["exited with status 3", "shows nothing"])?;
    assert_eq!(fs::read(&starts)?.len(), 3);
    Ok(())
}

#[test]
fn an_input_that_makes_way_for_a_dialog_is_none() -> Tested {
    let mut app = TestApp::prepare(&[("PALIADIN_AGENT__READY_TIMEOUT", "5s")])?;
    let text = "#!/bin/sh\n[ $# = 0 ] || exit\nprintf '> '\nsleep 0.3\nprintf '\\033[2J\\033[HSign in first\\n'\nexec sleep 1000\n";
    let program = script(&app, "agent.sh", text)?;
    choose(&mut app, "mine", &format!("command = ['{}']\nready = 'input'\ninput = '^> '", program.display()))?;
    let said = ask(&app, &[], &[])?;
    said.assert_failed(1);
    said.assert("FAIL", "ready", &["| Sign in first"])
}

#[test]
fn a_profile_can_say_how_to_ask_whether_its_program_is_signed_in() -> Tested {
    let mut app = TestApp::prepare(&[])?;
    let text = format!(
        "#!/bin/sh\n[ \"$*\" = 'who am i' ] && {{ echo \"no $TOKEN$SECRET\" >&2; exit 4; }}\n[ $# = 0 ] || exit\nexec {} agent demo\n",
        env!("CARGO_BIN_EXE_paliadin")
    );
    let program = script(&app, "agent.sh", &text)?;
    let fields =
        format!("command = ['{}']\nsigned_in = ['who', 'am', 'i']\npass_environment = ['TOKEN']", program.display());
    choose(&mut app, "mine", &fields)?;
    let said = ask(&app, &[], &[("TOKEN", "1"), ("SECRET", "2")])?;
    said.assert_failed(1);
    said.assert("FAIL", "signed in", &["who am i` (no 1)", "sign in with", "(TOKEN)"])?;
    said.assert("ok", "ready", &[])
}

#[test]
fn a_program_that_is_too_old_for_its_hooks_is_told_and_not_started() -> Tested {
    let mut app = TestApp::prepare(&[])?;
    let started = app.root().join("started");
    let text =
        format!("#!/bin/sh\n[ \"$1\" = --version ] && exec echo \"2.1.77 (Claude Code)\"\n: > {}\n", started.display());
    let program = script(&app, "agent.sh", &text)?;
    choose(&mut app, "mine", &format!("command = ['{}', '{{settings}}']\nhooks = 'claude'", program.display()))?;
    let said = ask(&app, &[], &[])?;
    said.assert_failed(1);
    said.assert("FAIL", "program", &["2.1.77 (Claude Code): too old", "update it"])?;
    assert!(!started.exists());
    Ok(())
}

#[test]
fn an_agent_under_another_account_is_tried_under_it() -> Tested {
    let Some(mut app) = TestApp::with_accounts()? else { return Ok(()) };
    let account = Account::make("pt-doctor-a", &[])?;
    let launch = accounts::words(&account.name);
    app.choose(
        "theirs",
        &format!("command = ['{{paliadin}}', 'agent', 'demo']\nlaunch = {launch:?}\nowner = '{}'", account.name),
    )?;
    let said = ask(&app, &[], &[])?;
    said.assert_fine();
    said.assert("ok", "agent's account", &[&account.name])?;
    said.assert("ok", "launch", &["setpriv"])?;
    said.assert("ok", "ready", &[])?;
    assert!(!app.state().exists());
    fs::create_dir(app.state())?;
    fs::set_permissions(app.state(), Permissions::from_mode(0o700))?;
    ask(&app, &[], &[])?.assert_fine();
    assert_eq!(fs::metadata(app.state())?.permissions().mode() & 0o7777, 0o700);
    assert!(fs::read_dir(app.state())?.next().is_none());

    app.choose("nobodys", "command = ['{paliadin}', 'agent', 'demo']\nowner = 'no-such-account'")?;
    let said = ask(&app, &[], &[])?;
    said.assert_failed(1);
    said.assert("FAIL", "agent's account", &["no-such-account"])
}

//! How agents are started: with which words and variables, where, and under which account.

mod accounts;
mod separation;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use crate::harness::{Client, TestApp, Tested};

/// An agent that is a shell; see the file.
const SHELL: &str = include_str!("launch/shell.sh");

/// Puts the agent that is a shell where every account can run it; gives the `command` of its profile.
pub fn shell(app: &TestApp) -> Tested<String> {
    let script = app.root().join("bin/shell.sh");
    fs::write(&script, SHELL)?;
    fs::set_permissions(&script, Permissions::from_mode(0o755))?;
    Ok(format!("command = [\"{}\"]", script.display()))
}

/// What a command prints that the agent runs.
async fn prints(user: &Client, command: &str) -> Tested<String> {
    let answer = user.response(command).await?;
    match answer.strip_suffix("status 0\n") {
        Some(printed) => Ok(printed.to_owned()),
        None => Err(format!("{command}: {answer}").into()),
    }
}

#[tokio::test]
async fn words_and_variables_of_a_profile_are_put_in_place() -> Tested {
    let mut app = TestApp::for_accounts()?;
    let fields = "launch = ['env', 'LAUNCHED={session} by {paliadin}']\n\
                  environment = { AT = '{spool}/x', SHELL = '/bin/of-its-own', PALIADIN_SESSION = 'another' }";
    app.choose("shell", &format!("{}\n{fields}", shell(&app)?))?;
    app.boot().await?;
    let user = app.user("ann@example.org")?;
    let told = prints(&user, r#"printf '%s\n' "$LAUNCHED" "$AT" "$SHELL" "$PALIADIN_SESSION" "$PWD" "$HOME""#).await?;
    let session = format!("pt-{}", &user.user_id[..8]);
    let spool = fs::canonicalize(app.spool()?)?.display().to_string();
    let expected = [
        format!("{session} by {}", app.root().join("bin/paliadin").display()),
        format!("{spool}/x"),
        "/bin/of-its-own".to_owned(),
        session,
        format!("{spool}/work"),
        app.root().join("home").display().to_string(),
    ];
    assert_eq!(told.lines().collect::<Vec<_>>(), expected);
    Ok(())
}

#[tokio::test]
async fn a_session_can_have_a_home_of_its_own() -> Tested {
    let mut app = TestApp::for_accounts()?;
    app.choose("shell", &format!("{}\nhome = 'per_session'", shell(&app)?))?;
    app.boot().await?;
    let (ann, bob) = (app.user("ann@example.org")?, app.user("bob@example.org")?);
    for user in [&ann, &bob] {
        let home = app.state().join(format!("spool/pt-{}/home", &user.user_id[..8]));
        assert_eq!(
            prints(user, "echo $HOME && echo kept > ~/file && cat ~/file").await?,
            format!("{}\nkept\n", home.display())
        );
        assert_eq!(fs::metadata(&home)?.permissions().mode() & 0o7777, 0o700);
    }
    Ok(())
}

#[tokio::test]
async fn where_agents_pass_through_the_state_directory_nothing_in_it_may_be_open() -> Tested {
    let mut app = TestApp::for_accounts()?;
    let name = String::from_utf8(std::process::Command::new("id").arg("-un").output()?.stdout)?;
    app.choose("demo", &format!("command = ['{{paliadin}}', 'agent', 'demo']\nowner = '{}'", name.trim()))?;
    fs::create_dir(app.state())?;
    fs::set_permissions(app.state(), Permissions::from_mode(0o700))?;
    let open = app.state().join("backup.db");
    fs::write(&open, "")?;
    fs::set_permissions(&open, Permissions::from_mode(0o644))?;
    let output = app.run(&["serve"])?;
    let told = String::from_utf8(output.stderr)?;
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("backup.db has mode 0644"), "{told}");
    fs::set_permissions(&open, Permissions::from_mode(0o600))?;
    app.boot().await?;
    // The owner is the server's own account: nothing more is opened than the way.
    assert_eq!(app.user("ann@example.org")?.response("!count").await?, "1");
    let mode = |path: &std::path::Path| Ok::<_, std::io::Error>(fs::metadata(path)?.permissions().mode() & 0o7777);
    assert_eq!((mode(&app.state())?, mode(&app.spool()?)?, mode(&app.spool()?.join("out"))?), (0o711, 0o700, 0o700));
    Ok(())
}

#[tokio::test]
async fn an_account_that_is_not_there_stops_the_start() -> Tested {
    let mut app = TestApp::for_accounts()?;
    app.choose("mine", "command = ['{paliadin}', 'agent', 'demo']\nowner = 'no-such-account'")?;
    let output = app.run(&["serve"])?;
    let told = String::from_utf8(output.stderr)?;
    let last = told.lines().last().unwrap_or_default();
    assert_eq!(output.status.code(), Some(2), "{told}");
    let expected = "paliadin: agent profile \"mine\": `owner`: there is no account \"no-such-account\" on this host";
    assert_eq!(last, expected, "{told}");
    Ok(())
}

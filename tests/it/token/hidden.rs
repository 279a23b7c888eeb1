//! Neither a token nor what it is signed with is to be found anywhere but in its place.

use std::fs;
use std::path::Path;

use paliadin::tmux::Command;

use super::{cancelled, hanging};
use crate::harness::planted::JWT_SECRET;
use crate::harness::{TestApp, Tested, database};

/// All files below a directory, with what they hold.
fn contents(directory: &Path) -> Tested<Vec<(String, Vec<u8>)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        match entry.file_type()? {
            kind if kind.is_dir() => found.extend(contents(&entry.path())?),
            kind if kind.is_file() => found.push((entry.path().display().to_string(), fs::read(entry.path())?)),
            _ => {}
        }
    }
    Ok(found)
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// Everything that the server has put somewhere.
async fn everywhere(app: &TestApp) -> Tested<Vec<(String, Vec<u8>)>> {
    let mut found = contents(app.root())?;
    for process in app.processes()? {
        found.push((format!("{} {:?}", process.pid, process.arguments), process.arguments.concat().into_bytes()));
        // Where it has the secret from.
        if process.pid != app.server_pid()? {
            let environment = fs::read(format!("/proc/{}/environ", process.pid)).unwrap_or_default();
            found.push((format!("the environment of {:?}", process.arguments), environment));
        }
    }
    for scope in ["-g", "-s"] {
        let show = match scope {
            "-g" => Command::new("show-environment").arg("-g"),
            _ => Command::new("show-options").arg("-s"),
        };
        let shown = app.tmux().await?.control().command(show).await?;
        found.push((format!("tmux {scope}"), shown.join("\n").into_bytes()));
    }
    if database::is_postgres() {
        let mut database = app.database().await?;
        for table in ["paliadin_turns", "turn_events", "agent_sessions", "audit_log", "conversations"] {
            let rows = database.rows(&format!("SELECT t::text FROM {table} t"), &[]).await?;
            found.push((table.to_owned(), format!("{rows:?}").into_bytes()));
        }
    }
    Ok(found)
}

#[tokio::test]
async fn they_are_in_no_log_argument_variable_event_or_table() -> Tested {
    let app = TestApp::with(&[("RUST_LOG", "trace")]).await?;
    let user = app.user("ann@example.org")?;
    let (turn, file) = hanging(&app, &user).await?;
    let token = fs::read_to_string(&file)?;
    let signature = token.rsplit('.').next().ok_or("no signature")?;
    let path = file.display().to_string();
    let found: Vec<_> = everywhere(&app).await?.into_iter().filter(|(_, bytes)| holds(bytes, signature)).collect();
    assert_eq!(found.iter().map(|(name, _)| name).collect::<Vec<_>>(), [&path]);
    cancelled(&user, &turn).await?;
    let mut told = format!("{:?}", user.collect(&turn).await?);
    for path in ["/api/paliadin/status", "/api/admin/paliadin/actors"] {
        told += &app.owner()?.read(path).await?.to_string();
    }
    told += &format!("{}{:?}", user.turn(&turn.turn_id).await?, user.history(&turn.session_id, None).await?);
    told += &String::from_utf8(app.run(&["doctor"])?.stdout)?;
    // Another server, which is refused.
    let refused = app.run(&["serve"])?;
    let line = String::from_utf8(refused.stderr)?;
    assert!(refused.status.code() == Some(2) && line.contains("another server"), "{line}");
    let all = everywhere(&app).await?.into_iter().chain([("what was told".to_owned(), (told + &line).into_bytes())]);
    for (name, bytes) in all {
        assert!(!holds(&bytes, signature) && !holds(&bytes, JWT_SECRET), "{name}");
    }
    Ok(())
}

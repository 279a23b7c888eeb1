//! Agents under accounts of their own, made by `launch`.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::{prints, shell};
use crate::harness::accounts::Account;
use crate::harness::sse::kinds;
use crate::harness::{Client, TestApp, Tested};

/// The demo agent, each under the account of its session.
const DEMO: &str = "command = ['{paliadin}', 'agent', 'demo']\nowner = '{session}'\n\
    launch = ['setpriv', '--reuid={session}', '--regid={session}', '--init-groups', '--']";

fn mode(path: &Path) -> Tested<u32> {
    Ok(fs::symlink_metadata(path)?.permissions().mode() & 0o7777)
}

/// Checks the directories of a spool that is opened to this account, and of the server that are not.
pub fn assert_opened(app: &TestApp, account: &Account) -> Tested {
    let (state, server) = (app.state(), fs::metadata(app.state())?.uid());
    let spool = state.join("spool").join(&account.name);
    for (path, expected) in [(state.clone(), 0o711), (state.join("spool"), 0o711), (state.join("tmux"), 0o700)] {
        assert_eq!(mode(&path)?, expected, "{}", path.display());
    }
    for file in ["paliadin.db", "paliadin.db-wal", "paliadin.db-shm", "cli.token", "lock"] {
        assert_eq!(mode(&state.join(file))?, 0o600, "{file}");
    }
    for (name, expected) in [("", 0o710), ("in", 0o750), ("out", 0o2770), ("work", 0o2770)] {
        let path = spool.join(name);
        let metadata = fs::metadata(&path)?;
        assert_eq!((mode(&path)?, metadata.uid(), metadata.gid()), (expected, server, account.gid), "{name}");
    }
    Ok(())
}

/// Asks this agent for all that goes by a file, either way.
pub async fn assert_talks(user: &Client) -> Tested {
    let turn = user.ask("!lines 20 20").await?;
    let events = user.collect(&turn).await?;
    let pieces = kinds(&events).iter().filter(|kind| **kind == "content").count();
    assert!(pieces > 3, "streamed: {events:?}");
    assert_eq!(user.turn(&turn.turn_id).await?["state"], "done");
    let asked = json!({ "user_message": "!context", "context": { "route": "/deals/7" } });
    let row = user.ended(&user.submit(&asked).await?).await?;
    assert!(row["response"].as_str().is_some_and(|text| text.contains("/deals/7")), "{row}");
    assert!(user.response("!jwt").await?.contains(&user.user_id), "its token");
    assert!(user.response(&format!("!sha {}", "x".repeat(5_000))).await?.contains("5000"), "a long message");
    Ok(())
}

#[tokio::test]
async fn an_agent_of_another_account_is_talked_to_as_any_other() -> Tested {
    let Some(mut app) = TestApp::with_accounts()? else { return Ok(()) };
    app.choose("demo", DEMO)?;
    app.boot().await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!count").await?;
    let told = user.collect(&turn).await?.pop().ok_or("no end")?.raw;
    assert!(told.contains("bootstrap_failed") && told.contains("there is no account"), "{told}");
    let account = Account::of(&user)?;
    assert_talks(&user).await?;
    assert_opened(&app, &account)?;

    let turn = user.ask("!lines 60 50").await?;
    let mut stream = user.stream(&turn, None).await?;
    stream.until("content").await?;
    let out = app.spool()?.join("out");
    for file in fs::read_dir(&out)? {
        let metadata = file?.metadata()?;
        assert_eq!((metadata.uid(), metadata.gid(), metadata.mode() & 0o777), (account.uid, account.gid, 0o640));
    }
    let token = fs::metadata(app.spool()?.join(format!("in/{}.jwt", turn.turn_id)))?;
    let server = fs::metadata(app.state())?.uid();
    assert_eq!((token.uid(), token.gid(), token.mode() & 0o7777), (server, account.gid, 0o640));
    app.restart(Signal::KILL).await?;
    assert_eq!(user.ended(&turn).await?["state"], "done", "taken up after a restart");
    assert_eq!(user.response("!echo the same agent").await?, "the same agent");
    assert_eq!(app.typed(&turn.turn_id)?.len(), 1);
    let left: Vec<_> = fs::read_dir(&out)?.map(|file| Ok(file?.file_name())).collect::<Tested<_>>()?;
    assert_eq!(left, ["events.jsonl"], "the server takes away what is another account's");
    assert!(app.inputs_left().is_empty());
    drop(app);
    Ok(())
}

#[tokio::test]
async fn what_is_not_the_agents_own_is_refused() -> Tested {
    let Some(mut app) = TestApp::with_accounts()? else { return Ok(()) };
    app.choose("demo", DEMO)?;
    app.boot().await?;
    let user = app.user("ann@example.org")?;
    let account = Account::of(&user)?;
    for (uid, state) in [(0, "failed"), (65_534, "failed"), (account.uid, "done")] {
        let turn = user.ask("!hang").await?;
        user.stream(&turn, None).await?.until("meta").await?;
        let answer = app.spool()?.join("out").join(format!("{}.txt", turn.turn_id));
        let beside = answer.with_extension("beside");
        fs::write(&beside, "planted")?;
        fs::set_permissions(&beside, Permissions::from_mode(0o644))?;
        chown(&beside, Some(uid), Some(account.gid))?;
        fs::rename(&beside, &answer)?;
        let row = user.ended(&turn).await?;
        assert_eq!(row["state"], state, "by {uid}: {row}");
        if state == "failed" {
            assert_eq!((&row["error_code"], &row["response"]), (&json!("response_invalid"), &Value::Null), "{row}");
        }
    }
    user.reset().await?;
    Ok(())
}

#[tokio::test]
async fn the_agent_has_what_its_account_has() -> Tested {
    let Some(mut app) = TestApp::with_accounts()? else { return Ok(()) };
    let launch =
        "owner = '{session}'\nlaunch = ['setpriv', '--reuid={session}', '--regid={session}', '--init-groups', '--']";
    app.choose("shell", &format!("{}\n{launch}", shell(&app)?))?;
    app.boot().await?;
    let user = app.user("ann@example.org")?;
    let account = Account::of(&user)?;
    let told = prints(&user, "id -un; id -Gn; echo $HOME $USER $LOGNAME $SHELL").await?;
    let name = &account.name;
    assert_eq!(told, format!("{name}\n{name}\n/nonexistent {name} {name} /bin/sh\n"));

    app.choose("shell", &format!("{}\n{launch}\nhome = 'per_session'", shell(&app)?))?;
    app.restart(Signal::TERM).await?;
    let home = app.spool()?.join("home");
    assert_eq!(prints(&user, "echo $HOME && cd && touch file").await?, format!("{}\n", home.display()));
    assert_eq!((mode(&home)?, fs::metadata(home.join("file"))?.gid()), (0o2770, account.gid));
    drop(app);
    Ok(())
}

#[tokio::test]
async fn directories_are_put_right_when_accounts_are_switched_on_and_off() -> Tested {
    let Some(mut app) = TestApp::with_accounts()? else { return Ok(()) };
    let ours = "command = ['{paliadin}', 'agent', 'demo']";
    app.choose("demo", ours)?;
    app.boot().await?;
    let user = app.user("ann@example.org")?;
    let account = Account::of(&user)?;
    for _ in 0..2 {
        assert_talks(&user).await?;
        let spool = app.spool()?;
        for path in
            [app.state(), app.state().join("spool"), spool.join("in"), spool.join("out"), spool.join("work"), spool]
        {
            assert_eq!(mode(&path)?, 0o700, "{}", path.display());
        }
        app.choose("demo", DEMO)?;
        app.restart(Signal::TERM).await?;
        assert_talks(&user).await?;
        assert_opened(&app, &account)?;
        app.choose("demo", ours)?;
        app.restart(Signal::TERM).await?;
    }
    assert_eq!(user.response("!count").await?, "1", "another account is another agent");
    Ok(())
}

#[tokio::test]
async fn an_account_whose_group_has_others_in_it_gets_no_agent() -> Tested {
    let Some(mut app) = TestApp::with_accounts()? else { return Ok(()) };
    app.choose("demo", DEMO)?;
    app.boot().await?;
    let user = app.user("ann@example.org")?;
    let account = Account::of(&user)?;
    let other = Account::make(&format!("{}-2", account.name), &["--gid", &account.name])?;
    let turn = user.ask("!count").await?;
    let events = user.collect(&turn).await?;
    let last = &events[events.len() - 1];
    assert_eq!(last.data["code"], "bootstrap_failed", "{}", last.raw);
    assert!(last.raw.contains(&other.name) && last.raw.contains("group of its own"), "{}", last.raw);
    drop(other);
    assert_eq!(user.response("!count").await?, "1");
    drop(app);
    Ok(())
}

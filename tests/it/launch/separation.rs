//! What an agent under another account cannot get at, tried by such an agent.

use std::fs;
use std::path::Path;

use rustix::process::Signal;
use serde_json::json;

use super::accounts::{assert_opened, assert_talks};
use super::{prints, shell};
use crate::harness::accounts::{self, Account};
use crate::harness::processes;
use crate::harness::{Client, TestApp, Tested, eventually};

/// Stands in whatever is not for the agent.
const SECRET: &str = "the-secret-of-another";

/// An account for each agent session.
const OWN_ACCOUNTS: &str =
    "owner = '{session}'\nlaunch = ['setpriv', '--reuid={session}', '--regid={session}', '--init-groups', '--']";

/// The agent tries this, is told that it may not, and sees nothing.
async fn is_denied(user: &Client, command: &str) -> Tested {
    let answer = user.response(command).await?;
    assert!(!answer.ends_with("status 0\n"), "{command}: {answer}");
    assert!(answer.contains("ermission denied") || answer.contains("not permitted"), "{command}: {answer}");
    assert!(!answer.contains(SECRET), "{command}: {answer}");
    Ok(())
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

#[tokio::test]
async fn an_agent_under_an_account_of_its_own_gets_at_nothing_but_its_own_spool() -> Tested {
    let Some(mut app) = TestApp::with_accounts()? else { return Ok(()) };
    app.choose("shell", &format!("{}\n{OWN_ACCOUNTS}", shell(&app)?))?;
    app.boot().await?;
    let (ann, bob) = (app.user("ann@example.org")?, app.user("bob@example.org")?);
    let (of_ann, of_bob) = (Account::of(&ann)?, Account::of(&bob)?);

    // Bob's agent is at work, with files in both directions and of its own.
    assert_eq!(prints(&bob, &format!("echo {SECRET} > file")).await?, "");
    let message = format!("echo {SECRET}; while test -e wait; do sleep 0.05; done");
    let asked = json!({ "user_message": message, "context": { "selection": SECRET } });
    let spool = app.state().join("spool").join(&of_bob.name);
    let wait = spool.join("work/wait");
    fs::write(&wait, "")?;
    let turn = bob.submit(&asked).await?;
    let given = spool.join("in").join(format!("{}.context.json", turn.turn_id));
    let token = given.with_file_name(format!("{}.jwt", turn.turn_id));
    let written = spool.join("out").join(format!(".{}", turn.turn_id));
    eventually("Bob's files", async || {
        let is_there =
            given.exists() && token.exists() && fs::read_to_string(&written).is_ok_and(|text| text.contains(SECRET));
        Ok(is_there.then_some(()))
    })
    .await?;

    let (state, server, tmux) = (shown(&app.state()), app.server_pid()?, shown(&app.tmux_socket()));
    let bobs = shown(&spool);
    for command in [
        format!("cat {}", shown(&given)),
        format!("cat {}", shown(&token)),
        format!("cat {}", shown(&written)),
        format!("cat {bobs}/work/file"),
        format!("cat {bobs}/out/events.jsonl"),
        format!("ls {bobs}"),
        format!("ls {bobs}/in"),
        format!("echo x > {bobs}/out/x"),
        format!("ls {state}"),
        format!("ls {state}/spool"),
        format!("ls {state}/tmux"),
        format!("cat {state}/paliadin.db"),
        format!("cat {state}/paliadin.db-wal"),
        format!("cat {state}/paliadin.db-shm"),
        format!("cat {state}/cli.token"),
        format!("cat {state}/lock"),
        format!("echo x > {state}/x"),
        format!("tmux -S {tmux} list-sessions"),
        format!("cat /proc/{server}/environ"),
        format!("head -c 1 /proc/{server}/mem"),
        format!("ls /proc/{server}/fd"),
        format!("kill -9 {server}"),
        // Nor can it hand over something else than it was given.
        "echo x > $PALIADIN_SPOOL/in/settings.json".to_owned(),
        "mv $PALIADIN_SPOOL/out $PALIADIN_SPOOL/gone".to_owned(),
        "chmod 777 $PALIADIN_SPOOL/out".to_owned(),
    ] {
        is_denied(&ann, &command).await?;
    }

    // The same ways lead to what is its own.
    let message = "cat $PALIADIN_SPOOL/in/*.context.json; ls $PALIADIN_SPOOL/out; echo mine > file; cat $PWD/file";
    let asked = json!({ "user_message": message, "context": { "selection": "for Ann" } });
    let row = ann.ended(&ann.submit(&asked).await?).await?;
    let answer = row["response"].as_str().ok_or("no answer")?;
    for own in ["for Ann", "events.jsonl", "mine"] {
        assert!(answer.contains(own), "{answer}");
    }
    assert_eq!(
        prints(&ann, "cat /proc/$PPID/environ | tr '\\0' '\\n' | grep ^PALIADIN_SESSION").await?,
        format!("PALIADIN_SESSION={}\n", of_ann.name)
    );
    fs::remove_file(&wait)?;
    assert_eq!(bob.ended(&turn).await?["state"], "done");
    assert_opened(&app, &of_ann)?;
    drop(app);
    Ok(())
}

#[tokio::test]
async fn nor_at_what_another_conversation_of_the_same_user_was_given() -> Tested {
    let Some(mut app) = TestApp::with_accounts()? else { return Ok(()) };
    app.choose("shell", &format!("{}\n{OWN_ACCOUNTS}", shell(&app)?))?;
    app.set("PALIADIN_AGENT__SESSION_SCOPE", "conversation");
    app.boot().await?;
    let user = app.user("ann@example.org")?;
    let (mut conversations, mut accounts) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        // Its account has its name, which is known from the first turn on.
        let first = user.ask("true").await?;
        assert_eq!(user.ended(&first).await?["error_code"], "bootstrap_failed");
        let session = user.session_of(&first.session_id).await?;
        accounts.push(Account::make(session["name"].as_str().ok_or("no name")?, &[])?);
        conversations.push(first.session_id);
    }
    let asked = json!({
        "user_message": format!("echo {SECRET} > file; cat $PALIADIN_SPOOL/in/*.context.json"),
        "context": { "selection": SECRET },
        "session_id": conversations[0],
    });
    let own = user.ended(&user.submit(&asked).await?).await?;
    assert!(own["response"].as_str().is_some_and(|text| text.contains(SECRET)), "{own}");
    let others = shown(&app.state().join("spool").join(&accounts[0].name));
    for command in [format!("cat {others}/in/*"), format!("cat {others}/work/file"), format!("ls {others}")] {
        let answer = user.response_in(&conversations[1], &command).await?;
        assert!(answer.contains("ermission denied") && !answer.contains(SECRET), "{command}: {answer}");
    }
    drop(app);
    Ok(())
}

#[tokio::test]
async fn a_server_that_is_not_root_works_with_another_account_by_its_group() -> Tested {
    let Some(mut app) = TestApp::with_accounts()? else { return Ok(()) };
    let name = format!("{}-{:08x}", accounts::PREFIX, std::process::id());
    let (agent, server) = (Account::make(&format!("{name}-a"), &[])?, Account::make(&format!("{name}-s"), &[])?);
    app.run_under(&server)?;
    // Stands for sudo: this copy gives whoever runs it any account.
    let setpriv = app.root().join("bin/setpriv");
    processes::copy_program(Path::new("/usr/bin/setpriv"), &setpriv, "4755")?;
    let words = format!("'--reuid={0}', '--regid={0}', '--init-groups', '--'", agent.name);
    let fields = format!("owner = '{}'\nlaunch = ['{}', {words}]", agent.name, setpriv.display());
    app.choose("demo", &format!("command = ['{{paliadin}}', 'agent', 'demo']\n{fields}"))?;
    app.boot().await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!count").await?;
    let told = user.collect(&turn).await?.pop().ok_or("no end")?.raw;
    assert!(told.contains("bootstrap_failed") && told.contains("add it to that group"), "{told}");

    server.join(&agent)?;
    // A process has the groups that its account had when it was started.
    app.restart(Signal::TERM).await?;
    assert_talks(&user).await?;
    let spool = app.spool()?;
    let of_agent =
        Account { name: spool.file_name().and_then(|name| name.to_str()).ok_or("no name")?.to_owned(), ..agent };
    assert_opened(&app, &of_agent)?;
    drop(app);
    Ok(())
}

#[tokio::test]
async fn an_agent_under_the_servers_own_account_cannot_look_into_its_process() -> Tested {
    let Some(mut app) = TestApp::with_accounts()? else { return Ok(()) };
    let name = format!("{}-{:08x}-o", accounts::PREFIX, std::process::id());
    let server = Account::make(&name, &[])?;
    app.run_under(&server)?;
    app.choose("shell", &shell(&app)?)?;
    app.boot().await?;
    let user = app.user("ann@example.org")?;
    let pid = app.server_pid()?;
    for command in [
        format!("cat /proc/{pid}/environ"),
        format!("head -c 1 /proc/{pid}/mem"),
        format!("ls /proc/{pid}/fd"),
        format!("cat /proc/{pid}/maps"),
    ] {
        is_denied(&user, &command).await?;
    }
    assert!(prints(&user, "id -un; cat /proc/$PPID/environ").await?.starts_with(&name), "its own it can");
    drop(app);
    Ok(())
}

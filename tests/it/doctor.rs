//! `paliadin doctor`: what it says, and that it leaves everything as it was.

mod agents;
mod endings;
mod trust;

use std::fs::{self, Permissions};
use std::os::unix::fs::{FileTypeExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use crate::harness::{TestApp, Tested};

/// What the doctor has said.
pub struct Said {
    text: String,
    status: Option<i32>,
}

impl Said {
    /// The finding on this, and what stands below it.
    fn on(&self, what: &str) -> Tested<String> {
        let mut lines = self.text.lines().skip_while(|line| !line.get(6..).is_some_and(|rest| rest.starts_with(what)));
        let first = lines.next().ok_or_else(|| format!("nothing on {what}:\n{}", self.text))?;
        let rest = lines.take_while(|line| line.starts_with("      "));
        Ok([first].into_iter().chain(rest).collect::<Vec<_>>().join("\n"))
    }

    /// Checks that this finding is like that, and says all of this.
    fn assert(&self, level: &str, what: &str, words: &[&str]) -> Tested {
        let said = self.on(&format!("{what}: "))?;
        assert!(said.starts_with(level), "{level}: {said}");
        for word in words {
            assert!(said.contains(word), "{word}: {said}");
        }
        Ok(())
    }

    fn assert_fine(&self) {
        assert!(self.status == Some(0) && !self.text.contains("FAIL"), "{:?}\n{}", self.status, self.text);
    }

    fn assert_failed(&self, failures: usize) {
        let found = self.text.lines().filter(|line| line.starts_with("FAIL  ")).count();
        assert!(self.status == Some(1) && found == failures, "{:?}\n{}", self.status, self.text);
    }
}

/// Asks the doctor, with further variables.
fn ask(app: &TestApp, arguments: &[&str], variables: &[(&str, &str)]) -> Tested<Said> {
    let mut command = app.command();
    command.arg("doctor").args(arguments).envs(variables.iter().copied()).stdin(std::process::Stdio::null());
    let output = command.output()?;
    let errors = String::from_utf8(output.stderr)?;
    assert!(errors.is_empty(), "{errors}");
    Ok(Said { text: String::from_utf8(output.stdout)?, status: output.status.code() })
}

/// A profile of this name, which is chosen from now on.
fn choose(app: &mut TestApp, name: &str, fields: &str) -> Tested {
    let profiles = app.root().join("profiles");
    fs::create_dir_all(&profiles)?;
    let text = format!("newline = 'lf'\ninterrupt_key = 'Escape'\n{fields}\n");
    fs::write(profiles.join(format!("{name}.toml")), text)?;
    app.set("PALIADIN_AGENT__PROFILES_DIR", &profiles.display().to_string());
    app.set("PALIADIN_PROFILE", name);
    Ok(())
}

/// A program that is this text.
fn script(app: &TestApp, name: &str, text: &str) -> Tested<PathBuf> {
    let path = app.root().join("bin").join(name);
    fs::create_dir_all(app.root().join("bin"))?;
    fs::write(&path, text)?;
    fs::set_permissions(&path, Permissions::from_mode(0o755))?;
    Ok(path)
}

/// Everything below a directory, with modes and contents; sockets by their names.
fn tree(path: &Path) -> Tested<Vec<(PathBuf, u32, Vec<u8>)>> {
    let metadata = fs::symlink_metadata(path)?;
    let content = if metadata.is_file() { fs::read(path)? } else { Vec::new() };
    // tmux marks its socket as executable while a client is attached, and notes some time later that one has left.
    let mode = metadata.permissions().mode() & if metadata.file_type().is_socket() { !0o111 } else { !0 };
    let mut all = vec![(path.to_owned(), mode, content)];
    if metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            all.extend(tree(&entry?.path())?);
        }
    }
    all.sort();
    Ok(all)
}

#[tokio::test]
async fn with_the_demo_agent_everything_is_fine_and_stays_as_it_was() -> Tested {
    let mut app = TestApp::prepare(&[])?;
    let said = ask(&app, &[], &[])?;
    said.assert_fine();
    for what in
        ["configuration", "account", "state directory", "database", "address", "tmux", "ssh", "profile", "program"]
    {
        said.assert("ok", what, &[])?;
    }
    said.assert("ok", "ready", &["no turn"])?;
    assert!(!app.state().exists() && app.processes()?.is_empty(), "nothing was there, and nothing is");
    assert!(app.typed_all()?.is_empty());

    app.boot().await?;
    assert_eq!(app.user("ann@example.org")?.response("!count").await?, "1");
    app.stop(rustix::process::Signal::TERM)?;
    let before = (tree(&app.state())?, app.processes()?.len());
    let said = ask(&app, &[], &[])?;
    said.assert_fine();
    said.assert("ok", "database", &["schema"])?;
    assert_eq!((tree(&app.state())?, app.processes()?.len()), before);
    Ok(())
}

#[tokio::test]
async fn a_server_beside_it_is_not_disturbed() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    assert_eq!(user.response("!count").await?, "1");
    let turn = user.ask("!lines 40 50").await?;
    let said = ask(&app, &[], &[])?;
    said.assert_fine();
    said.assert("ok", "server", &["is running"])?;
    said.assert("ok", "database", &["schema"])?;
    said.assert("ok", "ready", &[])?;
    assert!(user.ended(&turn).await?["response"].as_str().is_some_and(|text| text.trim_end().ends_with("line 40")));
    assert_eq!(user.response("!count").await?, "3", "it is the same agent");
    assert_eq!(app.processes()?.iter().filter(|process| process.is_tmux_server()).count(), 1);
    assert_eq!(app.spool()?, app.state().join("spool").join(format!("paliadin-{}", &user.user_id[..8])));
    assert!(!app.state().join("doctor").exists());
    Ok(())
}

#[test]
fn a_state_directory_that_cannot_be_used_is_told_and_no_agent_tried() -> Tested {
    let app = TestApp::prepare(&[])?;
    fs::create_dir(app.state())?;
    fs::set_permissions(app.state(), Permissions::from_mode(0o755))?;
    let said = ask(&app, &[], &[])?;
    said.assert_failed(1);
    said.assert("FAIL", "state directory", &["0755", "chmod"])?;
    assert!(said.on("ready: ").is_err() && fs::read_dir(app.state())?.next().is_none());
    if rustix::process::geteuid().is_root() {
        fs::set_permissions(app.state(), Permissions::from_mode(0o700))?;
        chown(app.state(), Some(65_534), None)?;
        let said = ask(&app, &[], &[])?;
        said.assert_failed(1);
        said.assert("FAIL", "state directory", &["another account", "chown"])?;
    }
    fs::remove_dir(app.state())?;
    fs::write(app.state(), "")?;
    ask(&app, &[], &[])?.assert("FAIL", "state directory", &["exists"])
}

#[test]
fn a_database_that_does_not_answer_or_is_none_is_told() -> Tested {
    let mut app = TestApp::prepare(&[])?;
    app.use_file()?;
    let said = ask(&app, &[], &[("DATABASE_URL", "postgres://ada:s3cret@127.0.0.1:1/chat")])?;
    said.assert_failed(1);
    said.assert("FAIL", "database", &["PostgreSQL at 127.0.0.1:1", "DATABASE_URL"])?;
    assert!(!said.text.contains("s3cret"), "{}", said.text);
    fs::create_dir(app.state())?;
    fs::set_permissions(app.state(), Permissions::from_mode(0o700))?;
    fs::write(app.state().join("paliadin.db"), "this is not a database, however long one looks at it".repeat(50))?;
    let said = ask(&app, &[], &[])?;
    said.assert_failed(1);
    said.assert("FAIL", "database", &["paliadin.db", "not a database"])
}

#[test]
fn what_cannot_be_begun_is_one_line() -> Tested {
    let app = TestApp::prepare(&[])?;
    for (arguments, variable) in
        [(&["doctor", "--profile", "nobody"][..], "HOME"), (&["doctor"], "PALIADIN_TURN__SPEED")]
    {
        let output = app.command().args(arguments).env(variable, "/").output()?;
        let line = String::from_utf8(output.stderr)?;
        assert_eq!((output.status.code(), line.lines().count()), (Some(2), 1), "{line}");
    }
    Ok(())
}

#[test]
fn without_tmux_or_with_agents_switched_off_it_says_so() -> Tested {
    let app = TestApp::prepare(&[])?;
    let said = ask(&app, &[], &[("PALIADIN_BACKEND__TMUX", "/no/such/tmux")])?;
    said.assert_failed(1);
    said.assert("FAIL", "tmux", &["/no/such/tmux", "install tmux 3.2"])?;
    said.assert("ok", "program", &["paliadin"])?;
    assert!(said.on("ready: ").is_err());
    let said = ask(&app, &[], &[("PALIADIN_BACKEND", "disabled")])?;
    said.assert_fine();
    said.assert("warn", "backend", &["switched off", "PALIADIN_BACKEND"])
}

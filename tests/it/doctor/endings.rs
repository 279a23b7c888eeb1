//! A doctor that is stopped in the middle.

use std::process::{Child, Stdio};

use rustix::process::Signal;

use super::{ask, choose, script};
use crate::harness::processes::{self, Process};
use crate::harness::{TestApp, Tested, eventually};

/// A doctor that waits for an agent that minds no hangup and never gets ready.
async fn waiting(app: &mut TestApp) -> Tested<Child> {
    let silent =
        script(app, "silent.sh", "#!/bin/sh\n[ $# = 0 ] || exit\ntrap '' HUP\nwhile :; do read -r line; done\n")?;
    choose(app, "silent", &format!("command = ['{}']", silent.display()))?;
    app.set("PALIADIN_AGENT__INTERRUPT_TIMEOUT", "500ms");
    let doctor = app.command().arg("doctor").stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    eventually("the agent to run", async || {
        let is_agent = |process: &Process| process.arguments.last().is_some_and(|last| last.ends_with("silent.sh"));
        Ok(app.processes()?.iter().any(is_agent).then_some(()))
    })
    .await?;
    Ok(doctor)
}

fn assert_gone(app: &TestApp) -> Tested {
    let left = app.processes()?;
    assert!(left.is_empty() && !app.state().exists(), "{left:?}");
    Ok(())
}

#[tokio::test]
async fn one_that_is_told_to_stop_puts_everything_away() -> Tested {
    for signal in [Signal::TERM, Signal::INT] {
        let mut app = TestApp::prepare(&[])?;
        let doctor = waiting(&mut app).await?;
        assert!(processes::end(doctor.id().cast_signed(), signal)?);
        let output = doctor.wait_with_output()?;
        let said = String::from_utf8(output.stdout)?;
        assert!(output.status.code() == Some(1) && said.contains("stopped before"), "{said}");
        assert!(!said.contains("left behind"), "{said}");
        assert_gone(&app)?;
    }
    Ok(())
}

#[tokio::test]
async fn what_one_that_was_killed_leaves_the_next_one_puts_away() -> Tested {
    let mut app = TestApp::prepare(&[])?;
    let doctor = waiting(&mut app).await?;
    let second = ask(&app, &[], &[])?;
    second.assert_failed(1);
    second.assert("FAIL", "trial", &["another `paliadin doctor`"])?;
    assert!(processes::end(doctor.id().cast_signed(), Signal::KILL)?);
    doctor.wait_with_output()?;
    assert!(app.state().join("doctor").exists());
    ask(&app, &["--profile", "demo"], &[])?.assert_fine();
    assert!(!app.state().join("doctor").exists());
    // Who made it, is not there to say that it was not there before.
    std::fs::remove_dir_all(app.state())?;
    assert_gone(&app)
}

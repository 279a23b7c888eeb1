//! A disk that is full, for real: a small file system of the server's own, or, where that may not be made, a limit on the
//! size of the files that it writes.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;
use serde_json::json;

use super::{Follower, lines};
use crate::harness::sse::kinds;
use crate::harness::{TestApp, Tested, eventually};

/// Bytes of the small file system: enough for the database and a spool.
const SIZE: &str = "size=16m,mode=0700";
/// What is written at once to fill it up.
const PAGE: usize = 4096;

/// A mount namespace with a small file system, for as long as it is not dropped.
struct SmallDisk {
    holder: Child,
    /// How a program is run in it.
    enter: Vec<String>,
    /// Where its root is to be seen from outside.
    root: PathBuf,
}

impl SmallDisk {
    /// Mounts it at this directory of the namespace; an error where the system does not let us.
    fn mount(directory: &std::path::Path) -> Tested<Self> {
        let is_root = rustix::process::geteuid().is_root();
        let mut errors = String::new();
        // As root of the host, or as that of a user namespace.
        let ways: [(&str, &[&str]); 2] = [("-m", &["-m"]), ("-rm", &["-U", "-m", "--preserve-credentials"])];
        for (unshare, enter) in ways.into_iter().skip(usize::from(!is_root)) {
            let mut command = Command::new("unshare");
            // The directory is not among the arguments: this is no process of the product.
            let script = format!("read -r dir && mount -t tmpfs -o {SIZE} tmpfs \"$dir\" && echo mounted && exec cat");
            command.args([unshare, "sh", "-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped());
            let mut holder = command.stderr(Stdio::null()).spawn()?;
            let mut told = String::new();
            if let (Some(input), Some(output)) = (&mut holder.stdin, holder.stdout.take()) {
                let _ = writeln!(input, "{}", directory.display());
                BufReader::new(output).read_line(&mut told)?;
            }
            let pid = holder.id();
            let target = pid.to_string();
            let enter = ["nsenter", "-t", &target].iter().chain(enter).map(|word| (*word).to_owned()).collect();
            let disk = Self { holder, enter, root: PathBuf::from(format!("/proc/{pid}/root")) };
            if told.trim() == "mounted" {
                return Ok(disk);
            }
            errors.push_str(unshare);
        }
        Err(format!("no mount namespace by unshare {errors}").into())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// Refuses what needs the disk, and accepts nothing of it.
async fn assert_refused(app: &TestApp, user: &crate::harness::Client) -> Tested {
    let typed = app.typed_all()?.len();
    for _ in 0..3 {
        let mut refused = user.post_turn(&json!({ "user_message": "!echo never" })).await?;
        assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")));
        assert_eq!(refused.problem().await?, "store_unavailable");
    }
    assert_eq!(app.nobody().get("/healthz").await?.status, 200);
    assert_eq!(app.typed_all()?.len(), typed, "nothing is typed");
    Ok(())
}

/// Database, spool and sockets on a file system without a byte left.
#[tokio::test]
async fn a_full_disk_refuses_new_turns_and_loses_none() -> Tested {
    let mut app = TestApp::prepare(&[])?;
    app.use_file()?;
    let state = app.state();
    fs::create_dir(&state)?;
    let disk = match SmallDisk::mount(&state) {
        Ok(disk) => disk,
        Err(error) => {
            println!("{error}: a limit on the size of files in its place");
            drop(app);
            return limited().await;
        }
    };
    let seen = disk.root.join(state.strip_prefix("/")?);
    app.wrap(disk.enter.clone(), Some((seen.clone(), Box::new(disk))));
    app.boot().await?;
    let (user, other) = (app.user("ann@example.org")?, app.user("bob@example.org")?);
    assert_eq!(other.response("!count").await?, "1");
    let asking = user.ask("!ask well?").await?;
    let waiting = user.ask("!echo waited").await?;
    let followers = (Follower::of(&user, &asking), Follower::of(&user, &waiting));
    let asked = user.stream(&asking, None).await?.until("attention").await?.id.ok_or("no id")?;

    let mut filler = File::create(seen.join("filler"))?;
    while filler.write_all(&[0; PAGE]).is_ok() {}
    assert_refused(&app, &user).await?;
    assert_refused(&app, &other).await?;
    // Not by its removal: what other tests just start may have inherited it, and keeps it for a moment.
    filler.set_len(0)?;

    app.expect_reply("yes");
    assert_eq!(user.reply(&asking, &asked, "yes").await?.0, 202);
    followers.0.done(&app, "you said: yes").await?;
    followers.1.done(&app, "waited").await?;
    assert_eq!(other.response("!count").await?, "2");
    app.restart(Signal::KILL).await?;
    assert_eq!(other.response("!count").await?, "3");
    Ok(())
}

/// The server alone can write nothing any more, so its agents go on.
#[tokio::test]
async fn turns_that_run_when_no_file_can_grow_are_recorded_later() -> Tested {
    limited().await
}

async fn limited() -> Tested {
    let mut app = TestApp::prepare(&[])?;
    app.use_file()?;
    // Without this the signal would end it; as on a full disk, the write shall fail.
    let ignore = ["sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh"].map(str::to_owned);
    app.wrap(ignore.into(), None);
    app.boot().await?;
    let limit = |app: &TestApp, limit: &str| -> Tested {
        let pid = app.server_pid()?.to_string();
        let done = Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={limit}:unlimited")]).status()?;
        if done.success() { Ok(()) } else { Err(format!("prlimit: {done}").into()) }
    };
    let (user, other) = (app.user("ann@example.org")?, app.user("bob@example.org")?);
    assert_eq!(other.response("!count").await?, "1");
    let turn = user.ask("!lines 60 20").await?;
    let waiting = user.ask("!echo waited").await?;
    let followers = (Follower::of(&user, &turn), Follower::of(&user, &waiting));
    let mut stream = user.stream(&turn, None).await?;
    stream.until("content").await?;
    limit(&app, "1")?;
    assert_refused(&app, &user).await?;
    assert_refused(&app, &other).await?;
    // It goes on, to its end; that is told only when it is recorded.
    stream.until("content").await?;
    let session = user.status().await?["agent_session"]["name"].as_str().unwrap_or_default().to_owned();
    let answer = app.state().join(format!("spool/{session}/out/{}.txt", turn.turn_id));
    eventually("the answer", async || Ok(answer.exists().then_some(()))).await?;
    assert_eq!(user.turn(&turn.turn_id).await?["state"], "running");
    assert_eq!(app.typed(&waiting.turn_id)?.len(), 0);
    limit(&app, "unlimited")?;
    let seen = followers.0.done(&app, &lines(60)).await?;
    assert!(!kinds(&seen).contains(&"resync"), "no event was lost");
    followers.1.done(&app, "waited").await?;
    assert_eq!(other.response("!count").await?, "2");
    Ok(())
}

//! Each test of a real agent runs in a process of its own, in a network namespace in which there is nothing but `lo`:
//! whatever the agent tries to reach, it reaches this machine's loopback, or nothing.

use std::fs;
use std::process::{Command, Stdio};

use super::stage::Agent;
use crate::harness::{Tested, database};

/// Says that the process is where it has to be. That is verified all the same.
const INSIDE: &str = "PALIADIN_TEST_ISOLATED";

/// Brings `lo` up, and becomes the test. An ordinary user's PATH lacks `/usr/sbin`.
const ENTER: &str = r#"PATH="$PATH:/usr/sbin:/sbin" ip link set lo up && exec "$0" "$@""#;

/// Runs the test of this name: the same test of this binary, once more and apart.
pub fn run(name: &str, agent: &Agent, test: impl Future<Output = Tested>) -> Tested {
    let name = name.split_once("::").map_or(name, |(_, name)| name);
    if !agent.is_wanted() {
        println!("skipped: {} is tested where PALIADIN_TEST_CLAUDE=1", agent.name);
        return Ok(());
    }
    if std::env::var_os(INSIDE).is_some() {
        only_loopback()?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        return runtime.block_on(test);
    }
    if database::is_postgres() {
        println!("skipped: nothing here depends on the database, and the run on SQLite has it");
        return Ok(());
    }
    agent.check_installed()?;
    let mut command = Command::new("unshare");
    command.arg("--net");
    if !rustix::process::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    command.args(["sh", "-c", ENTER]).arg(std::env::current_exe()?);
    command.args(["--exact", name, "--nocapture", "--test-threads=1"]);
    command.env(INSIDE, "1").env_remove("PALIADIN_TEST_STORE").stdin(Stdio::null());
    let output = command.output().map_err(|error| format!("unshare: {error}"))?;
    let told = String::from_utf8_lossy(&output.stdout);
    println!("{told}\n{}", String::from_utf8_lossy(&output.stderr));
    if !output.status.success() {
        return Err(format!("{} in a network namespace of its own: see above", output.status).into());
    }
    // A name that no test has is a success, too.
    if told.contains("1 passed") { Ok(()) } else { Err(format!("no test is named {name}").into()) }
}

/// # Errors
/// Where there is another network than loopback.
fn only_loopback() -> Tested {
    let devices = fs::read_to_string("/proc/self/net/dev")?;
    let names: Vec<&str> = devices.lines().filter_map(|line| Some(line.split_once(':')?.0.trim())).collect();
    if names == ["lo"] { Ok(()) } else { Err(format!("not isolated: there are {names:?}").into()) }
}

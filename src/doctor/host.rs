//! What is around the agent: configuration, state directory, address, ssh.

use std::fs;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::Path;

use rustix::fs::{Access, StatVfs};

use super::report::Report;
use crate::agent::profile::program_on_path;
use crate::config::{Config, variables_read};
use crate::http::pages;
use crate::private;
use crate::server::is_running;

/// Free bytes below which it is time to look.
const LITTLE_SPACE: u64 = 100 * 1024 * 1024;

/// Where the configuration is from, and under which account all of this is looked at.
pub fn configuration(report: &mut Report<'_>, file: Option<&Path>) {
    let mut sources = vec!["built-in defaults".to_owned()];
    sources.extend(file.map(|file| file.display().to_string()));
    sources.extend(variables_read(&std::env::vars_os().collect::<Vec<_>>()));
    report.ok("configuration", sources.join(", "));
    report.ok("account", format!("{}; the server is to run under the same, with the same environment", account()));
}

/// The name of our account.
pub fn account() -> String {
    let uid = rustix::process::geteuid().as_raw();
    let user = nix::unistd::User::from_uid(uid.into()).ok().flatten();
    user.map_or_else(|| format!("number {uid}"), |user| user.name)
}

/// The state directory. True where something can be put there.
pub fn state(report: &mut Report<'_>, config: &Config) -> bool {
    let (what, dir) = ("state directory", &config.state.dir);
    let shown = dir.display();
    // As the server looks at it: what a link leads to counts.
    let real = fs::canonicalize(dir).unwrap_or_else(|_| dir.clone());
    let exists = match fs::symlink_metadata(&real) {
        Ok(_) => true,
        Err(error) if error.kind() == ErrorKind::NotFound => false,
        Err(error) => {
            report.fail(
                what,
                format!("{shown}: {error}"),
                "let this account get there, or name another (PALIADIN_STATE_DIR)",
            );
            return false;
        }
    };
    let above = real.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/")).to_owned();
    let checked = if exists { private::passable(&real) } else { Ok(()) };
    if let Err(error) = checked {
        let remedy = "it holds what nobody else may read: give it to this account (chown) and close it (chmod 700), or name \
                      another (PALIADIN_STATE_DIR)";
        report.fail(what, format!("{shown} {error}"), remedy);
        return false;
    }
    if let Err(error) = rustix::fs::access(&above, Access::WRITE_OK | Access::EXEC_OK) {
        let remedy = "let this account write there, or name another (PALIADIN_STATE_DIR)";
        report.fail(what, format!("{shown}: {} cannot be written to: {error}", above.display()), remedy);
        return false;
    }
    for (inner, check) in
        [("tmux", private::directory as fn(&Path) -> std::io::Result<()>), ("spool", private::passable)]
    {
        let path = real.join(inner);
        if fs::symlink_metadata(&path).is_ok()
            && let Err(error) = check(&path)
        {
            report.fail(what, format!("{} {error}", path.display()), "give it to this account and close it to others");
            return false;
        }
    }
    let free = rustix::fs::statvfs(&above).map(|StatVfs { f_bavail, f_frsize, .. }| f_bavail.saturating_mul(f_frsize));
    let found = if exists { format!("{shown}") } else { format!("{shown}, which will be made") };
    match free {
        Ok(free) if free < LITTLE_SPACE => {
            let remedy = "make room: answers and the database are written there";
            report.warn(what, format!("{found}, {} MiB free", free >> 20), remedy);
        }
        _ => report.ok(what, found),
    }
    true
}

/// Whether a server runs here, and whether its address can be used.
pub fn server(report: &mut Report<'_>, config: &Config) {
    let running = is_running(config).unwrap_or_else(|error| {
        report.warn("server", format!("its lock cannot be looked at: {error}"), "see to the state directory");
        false
    });
    let address = config.server.listen;
    if running {
        report.ok("server", "one is running with this state directory; it is left alone");
    }
    if !address.ip().is_loopback() {
        let found = format!("{address} is no loopback address; auth.mode = local serves this host only");
        report.fail("address", found, "set server.listen (PALIADIN_LISTEN), and put a proxy before it");
        return;
    }
    let whom = format!("people sign in by link, first of all {}", config.auth.owner_email());
    match TcpListener::bind(address) {
        Ok(_) => report.ok("address", format!("{address} is free; {whom}")),
        Err(error) if error.kind() == ErrorKind::AddrInUse && running => {
            report.ok("address", format!("{address}, in use by that server, it seems; {whom}"));
        }
        Err(error) => report.fail(
            "address",
            format!("{address}: {error}"),
            "end what uses it, or set another one: server.listen (PALIADIN_LISTEN)",
        ),
    }
    if !config.server.enabled {
        report.warn("web", "switched off", "server.enabled (PALIADIN_ENABLED) = true brings its routes back");
    }
}

/// Whether the chat page is there.
pub fn page(report: &mut Report<'_>) {
    if pages::are_built_in() {
        report.ok("chat page", "part of this program");
    } else {
        let remedy = "`make web`, then build the program again; programs and `paliadin ask` do not need it";
        report.warn("chat page", "not part of this program", remedy);
    }
}

/// Whether there is ssh, which only agents on other hosts need.
pub fn ssh(report: &mut Report<'_>) {
    match program_on_path("ssh", std::env::var_os("PATH").as_ref()) {
        Some(path) => report.ok("ssh", format!("{}; not needed yet", path.display())),
        None => report.ok("ssh", "not found; not needed yet: this version has agents on this host only"),
    }
}

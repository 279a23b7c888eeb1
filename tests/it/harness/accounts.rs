//! Accounts of the system for one test, and a product that works with them. They are real: only root can make them.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Client, TestApp, Tested, processes};

/// The first part of the agent sessions' names, and so of their accounts'.
pub const PREFIX: &str = "pt";

/// How often an account is tried to be made or removed: another process may hold the account database. Each try waits for
/// that by itself (15 s: lckpwdf(3)).
const TRIES: u32 = 3;

/// Whether accounts can be made here; says so where not.
fn can_be_made() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    let has = |program| Command::new(program).arg("--version").output().is_ok();
    let can =
        is_root && has("setpriv") && ["useradd", "userdel", "usermod"].into_iter().all(|name| sbin(name).exists());
    if !can {
        println!("skipped: only root can make accounts (and needs useradd, userdel, usermod and setpriv for it)");
    }
    can
}

/// An account with a group of its own. Removed when it is dropped.
pub struct Account {
    /// Its name.
    pub name: String,
    /// Its number.
    pub uid: u32,
    /// Its primary group.
    pub gid: u32,
}

impl Account {
    /// Makes one of this name, with further arguments of useradd(8).
    pub fn make(name: &str, further: &[&str]) -> Tested<Self> {
        let mut arguments = vec!["--system", "--no-create-home", "--home-dir", "/nonexistent", "--shell", "/bin/sh"];
        arguments.extend(further);
        if !further.contains(&"--gid") {
            arguments.push("--user-group");
        }
        arguments.push(name);
        managed("useradd", &arguments)?;
        let number = |which| -> Tested<u32> {
            let output = Command::new("id").args([which, name]).output()?;
            Ok(String::from_utf8(output.stdout)?.trim().parse()?)
        };
        Ok(Self { name: name.to_owned(), uid: number("-u")?, gid: number("-g")? })
    }

    /// That of a user's agent session.
    pub fn of(user: &Client) -> Tested<Self> {
        Self::make(&format!("{PREFIX}-{}", user.user_id.get(..8).ok_or("no id")?), &[])
    }

    /// Makes it a member of the primary group of another.
    pub fn join(&self, other: &Self) -> Tested {
        managed("usermod", &["--append", "--groups", &other.name, &self.name])
    }

    /// The words that run a command under it.
    pub fn words(&self) -> Vec<String> {
        words(&self.name)
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        // -f: a process of it may just be ending.
        if let Err(error) = managed("userdel", &["-f", &self.name]) {
            eprintln!("left behind: account {}: {error}", self.name);
        }
    }
}

/// The words that run a command under this account.
pub fn words(name: &str) -> Vec<String> {
    let who = [format!("--reuid={name}"), format!("--regid={name}")];
    ["setpriv".to_owned()].into_iter().chain(who).chain(["--init-groups".to_owned(), "--".to_owned()]).collect()
}

fn sbin(program: &str) -> PathBuf {
    let places = ["/usr/sbin", "/sbin", "/usr/bin"].into_iter().map(|place| Path::new(place).join(program));
    places.into_iter().find(|path| path.exists()).unwrap_or_default()
}

/// One change of the account database at a time.
fn managed(program: &str, arguments: &[&str]) -> Tested {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard: MutexGuard<'_, ()> = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let mut tries = 0;
    loop {
        tries += 1;
        let output = Command::new(sbin(program)).args(arguments).output()?;
        match output.status.code() {
            Some(0) => return Ok(()),
            // Source: useradd(8), userdel(8), EXIT VALUES: the password or the group file cannot be updated.
            Some(1 | 10) if tries < TRIES => {}
            _ => return Err(format!("{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr)).into()),
        }
    }
}

impl TestApp {
    /// As [`Self::for_accounts`]; `None` where none can be made.
    pub fn with_accounts() -> Tested<Option<Self>> {
        if can_be_made() { Self::for_accounts().map(Some) } else { Ok(None) }
    }

    /// A product that is not started yet, whose parts other accounts can reach.
    pub fn for_accounts() -> Tested<Self> {
        let mut app = Self::prepare(&[("PALIADIN_SESSION_PREFIX", PREFIX)])?;
        app.use_file()?;
        fs::set_permissions(app.root(), Permissions::from_mode(0o711))?;
        for directory in ["bin", "profiles"] {
            fs::create_dir(app.root().join(directory))?;
            fs::set_permissions(app.root().join(directory), Permissions::from_mode(0o755))?;
        }
        // Where the program was built others may not get to it.
        let program = app.root().join("bin/paliadin");
        processes::copy_program(Path::new(env!("CARGO_BIN_EXE_paliadin")), &program, "755")?;
        app.program = program;
        fs::write(app.typed_log(), "")?;
        fs::set_permissions(app.typed_log(), Permissions::from_mode(0o666))?;
        app.set("PALIADIN_AGENT__PROFILES_DIR", &app.root().join("profiles").display().to_string());
        Ok(app)
    }

    /// Writes a profile, which is chosen from the next start on.
    pub fn choose(&mut self, name: &str, fields: &str) -> Tested {
        let text = format!("newline = \"lf\"\ninterrupt_key = \"Escape\"\n{fields}\n");
        fs::write(self.root().join("profiles").join(format!("{name}.toml")), text)?;
        self.set("PALIADIN_PROFILE", name);
        Ok(())
    }

    /// From now on the server and every command run under this account.
    pub fn run_under(&mut self, account: &Account) -> Tested {
        for path in [".", "home", "faults", "typed.log"] {
            chown(self.root().join(path), Some(account.uid), Some(account.gid))?;
        }
        self.wrap(account.words(), None);
        Ok(())
    }
}

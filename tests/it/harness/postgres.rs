//! A PostgreSQL of the tests' own, from Debian's package: in a temporary directory, under an account without rights, on
//! a socket in that directory. One serves all tests of a run; it is started when the first test needs it.
//!
//! A guardian, a small shell, starts and stops it. It waits for a line or for the end of its input, which comes whatever
//! way the tests end, and then leaves nothing behind.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use rustix::process::{Pid, Signal, kill_process};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, raw_sql};
use uuid::Uuid;

use super::{Tested, planted};

/// Arguments: the programs' directory, the cluster's. A line on the input stops the server; the end of it removes the
/// directory, too.
const GUARDIAN: &str = r#"
trap '' INT TERM HUP
control() { "$1/pg_ctl" -D "$2/data" -l "$2/log" -w -t 60 "$3" -m "$4" >"$2/control" 2>&1 </dev/null; }
if ! control "$1" "$2" start fast; then
    cat "$2/control" "$2/log" 2>/dev/null
    exit 1
fi
echo ready
if read -r _; then
    control "$1" "$2" stop fast
else
    control "$1" "$2" stop immediate
    cd / && rm -rf "$2"
fi
"#;

/// The database's superuser.
const SUPERUSER: &str = "tester";

/// Held by a test that makes roles: they are the server's, and others may make the same.
pub static ROLES: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// One server.
pub struct Cluster {
    programs: PathBuf,
    directory: PathBuf,
    guardian: Option<Child>,
}

/// Its processes, which stand still.
pub struct Paused(Vec<Pid>);

impl Paused {
    fn signal(&self, signal: Signal) {
        for process in &self.0 {
            // It may have ended.
            let _ = kill_process(*process, signal);
        }
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        self.signal(Signal::CONT);
    }
}

/// The server that tests share.
pub fn shared() -> Tested<&'static Cluster> {
    static SHARED: OnceLock<Result<Cluster, String>> = OnceLock::new();
    let shared = SHARED.get_or_init(|| Cluster::start().map_err(|error| error.to_string()));
    shared.as_ref().map_err(|error| format!("no PostgreSQL for the tests: {error}").into())
}

impl Cluster {
    /// Starts one.
    pub fn start() -> Tested<Self> {
        let directory = tempfile::Builder::new().prefix("paliadin-pg-").tempdir()?.keep();
        let mut cluster = Self { programs: programs()?, directory, guardian: None };
        cluster.initialize()?;
        cluster.resume()?;
        Ok(cluster)
    }

    fn initialize(&self) -> Tested {
        fs::set_permissions(&self.directory, fs::Permissions::from_mode(0o755))?;
        if let Some((user, group)) = account()? {
            chown(&self.directory, Some(user), Some(group))?;
        }
        let mut initdb = self.command("initdb")?;
        initdb.args(["--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--username", SUPERUSER]);
        let made = initdb.arg("-D").arg(self.directory.join("data")).output()?;
        if !made.status.success() {
            return Err(String::from_utf8_lossy(&made.stderr).into_owned().into());
        }
        // None of these tests cuts the power.
        let settings = format!(
            "listen_addresses = ''\nunix_socket_directories = '{}'\nmax_connections = 200\nfsync = off\n\
             full_page_writes = off\nshared_buffers = 64MB\ndeadlock_timeout = 50ms\n",
            self.directory.display()
        );
        fs::File::options()
            .append(true)
            .open(self.directory.join("data/postgresql.conf"))?
            .write_all(settings.as_bytes())?;
        Ok(())
    }

    fn command(&self, program: &str) -> Tested<Command> {
        let path = if program == "sh" { PathBuf::from("/bin/sh") } else { self.programs.join(program) };
        let mut command = Command::new(path);
        command.current_dir(&self.directory).env_clear().env("LC_ALL", "C.UTF-8").env("PATH", "/usr/bin:/bin");
        if let Some((user, group)) = account()? {
            command.uid(user).gid(group);
        }
        Ok(command)
    }

    /// Starts it again after [`Self::stop`].
    pub fn resume(&mut self) -> Tested {
        let mut guardian = self.command("sh")?;
        guardian.args(["-c", GUARDIAN, "guardian"]).arg(&self.programs).arg(&self.directory);
        // Not with the terminal's signals.
        guardian.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = guardian.spawn()?;
        let mut output = BufReader::new(child.stdout.take().ok_or("the guardian has an output")?);
        let mut first = String::new();
        output.read_line(&mut first)?;
        if first.trim() != "ready" {
            output.read_to_string(&mut first)?;
            return Err(first.into());
        }
        self.guardian = Some(child);
        Ok(())
    }

    /// Stops it; every connection ends.
    pub fn stop(&mut self) -> Tested {
        let mut guardian = self.guardian.take().ok_or("it does not run")?;
        guardian.stdin.take().ok_or("the guardian has an input")?.write_all(b"stop\n")?;
        let status = guardian.wait()?;
        if status.success() { Ok(()) } else { Err(format!("the guardian ended with {status}").into()) }
    }

    /// Has every process of it stand still, until what is returned is dropped. Connections stay, and nothing answers.
    pub fn pause(&self) -> Tested<Paused> {
        let told = fs::read_to_string(self.directory.join("data/postmaster.pid"))?;
        let server: i32 = told.lines().next().ok_or("no process id")?.parse()?;
        let children = fs::read_to_string(format!("/proc/{server}/task/{server}/children"))?;
        let children = children.split_whitespace().map(str::parse).collect::<Result<Vec<i32>, _>>()?;
        let all = children.into_iter().chain([server]).filter_map(Pid::from_raw).collect();
        let paused = Paused(all);
        paused.signal(Signal::STOP);
        Ok(paused)
    }

    /// The directory of its socket.
    pub fn socket(&self) -> &Path {
        &self.directory
    }

    /// The address of a database. Nobody asks for the password in it, which is there to be found where it should not be.
    pub fn url(&self, database: &str) -> String {
        self.url_as(&format!("{SUPERUSER}:{}", planted::password()), database)
    }

    /// The same for another account.
    pub fn url_as(&self, account: &str, database: &str) -> String {
        format!("postgres://{account}@localhost/{database}?host={}", self.directory.display())
    }

    /// A connection to a database.
    pub async fn connect(&self, database: &str) -> Tested<PgConnection> {
        Ok(self.url(database).parse::<PgConnectOptions>()?.connect().await?)
    }

    /// Makes an empty database; its name.
    pub async fn create(&self) -> Tested<String> {
        let name = format!("test_{}", Uuid::new_v4().simple());
        self.execute(format!("CREATE DATABASE {name}")).await?;
        Ok(name)
    }

    /// Removes a database, whoever uses it.
    pub async fn remove(&self, name: &str) -> Tested {
        self.execute(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await
    }

    async fn execute(&self, statement: String) -> Tested {
        let mut connection = self.connect("postgres").await?;
        raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await?;
        Ok(connection.close().await?)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(mut guardian) = self.guardian.take() {
            drop(guardian.stdin.take());
            let _ = guardian.wait();
        } else {
            let _ = fs::remove_dir_all(&self.directory);
        }
    }
}

/// Where the server's programs are: Debian has a directory for each version, the newest wins.
fn programs() -> Tested<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let debian = versions.filter_map(|entry| {
        let version: u32 = entry.file_name().to_str()?.parse().ok()?;
        Some((version, entry.path().join("bin")))
    });
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&on_path).map(|directory| (0, directory)).collect::<Vec<_>>();
    let complete = |directory: &Path| ["initdb", "pg_ctl"].iter().all(|name| directory.join(name).exists());
    let mut found: Vec<_> = debian.chain(on_path).filter(|(_, directory)| complete(directory)).collect();
    found.sort_by_key(|(version, _)| *version);
    let (_, newest) = found.pop().ok_or("PostgreSQL is not installed: scripts/bootstrap installs it")?;
    Ok(newest)
}

/// PostgreSQL does not run as root: then it is the account of Debian's package, or nobody.
fn account() -> Tested<Option<(u32, u32)>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let accounts = fs::read_to_string("/etc/passwd")?;
    let account = |wanted: &str| {
        let line = accounts.lines().find(|line| line.split(':').next() == Some(wanted))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    Ok(Some(account("postgres").or_else(|| account("nobody")).ok_or("no account for PostgreSQL")?))
}

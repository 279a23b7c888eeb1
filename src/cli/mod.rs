//! The command line: one file per command.

mod ask;
mod doctor;
mod hook;
mod serve;
mod skill;
mod token;
mod user;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};

use crate::agent::demo;
use crate::config::{self, Config};
use crate::server::{StartError, open_store, private_dir};
use crate::store::{AuditEntry, Store, User, Write};

/// A terminal AI agent that lives in tmux, behind a multi-user web chat.
#[derive(Parser)]
#[command(name = "paliadin", version, propagate_version = true)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Args)]
struct Global {
    /// Configuration file that lies over the built-in defaults (they stand in config/default.toml)
    #[arg(long, global = true, env = "PALIADIN_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the web chat and its API (the default)
    Serve,
    /// Ask a question and stream the answer
    Ask(ask::Ask),
    /// Check everything that a server needs, start the agent once, and say what to do
    Doctor(doctor::Doctor),
    /// Accounts
    #[command(subcommand)]
    User(user::User),
    /// API tokens
    #[command(subcommand)]
    Token(token::Token),
    /// The skill that tells agents how to answer
    #[command(subcommand)]
    Skill(skill::Skill),
    /// Agents that are part of this program
    #[command(subcommand)]
    Agent(Agent),
    /// Report an event of an agent (JSON on standard input) to the server; agents run this, not people
    Hook(hook::Hook),
}

#[derive(Subcommand)]
enum Agent {
    /// A small deterministic agent: shows how everything works, without any account
    Demo {
        /// Append every envelope that is received to this file, one JSON object per line
        #[arg(long, value_name = "FILE")]
        typed_log: Option<PathBuf>,
    },
}

/// Runs the command that the arguments name. Exit status 2 means that it could not begin: bad arguments or
/// configuration.
pub fn main() -> ExitCode {
    let Cli { global, command } = Cli::parse();
    let command = command.unwrap_or(Command::Serve);
    // Before anything secret is read. What agents run holds none of ours.
    let closed = if matches!(command, Command::Agent(_) | Command::Hook(_)) { Ok(()) } else { close_process() };
    match command {
        Command::Serve => with_config(&global, |config| serve::run(config, closed)),
        Command::Ask(ask) => ask.run(&global),
        Command::Doctor(doctor) => doctor.run(&global),
        Command::User(user) => on_store(&global, async |store| user.run(store).await),
        Command::Token(token) => on_store(&global, async |store| token.run(store).await),
        Command::Skill(skill) => skill.run(&global),
        Command::Agent(Agent::Demo { typed_log }) => {
            demo::run(demo::Options::from_environment(typed_log)).unwrap_or_else(|error| fail(1, error))
        }
        Command::Hook(hook) => hook.run(),
    }
}

/// Keeps what this process holds to itself: its environment, memory and descriptors cannot be looked at through `/proc`, also
/// not by an agent under the same account, and no core file holds them. Programs that it starts are not like that, but leave
/// no core files either.
///
/// # Errors
/// What the system says.
fn close_process() -> std::io::Result<()> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(setrlimit(Resource::Core, Rlimit { current: Some(0), ..getrlimit(Resource::Core) })?)
}

impl Global {
    fn load(&self) -> Result<Config, config::ConfigError> {
        let variables: Vec<_> = std::env::vars_os().collect();
        config::load(self.config.as_deref(), &variables)
    }
}

fn with_config(global: &Global, command: impl FnOnce(Config) -> ExitCode) -> ExitCode {
    match global.load() {
        Ok(config) => command(config),
        Err(error) => fail(2, error),
    }
}

/// Runs a command on the database, whether a server is running or not.
fn on_store(global: &Global, command: impl AsyncFnOnce(&dyn Store) -> Result<String, StartError>) -> ExitCode {
    let perform = async |config: Config| {
        private_dir(&config)?;
        let store = open_store(&config).await?;
        let text = command(&*store).await;
        store.close().await;
        text
    };
    with_config(global, |config| {
        block_on(async {
            match perform(config).await {
                Ok(text) => match std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes()) {
                    Ok(()) => ExitCode::SUCCESS,
                    Err(error) => fail(1, format!("done, but it cannot be told: standard output: {error}")),
                },
                Err(error) => fail(1, error),
            }
        })
    })
}

/// The account with this address.
async fn account(store: &dyn Store, email: &str) -> Result<User, StartError> {
    let user = store.user_by_email(email).await?;
    user.ok_or_else(|| StartError::Configuration(format!("there is no account {email}; `paliadin user add` makes one")))
}

/// An entry of the audit log about what was done by a command.
fn audit(action: &str, target: impl std::fmt::Display) -> Write {
    Write::Audit(entry(action, target))
}

/// The same, to be written with what it tells of.
fn entry(action: &str, target: impl std::fmt::Display) -> AuditEntry {
    AuditEntry::now("command line", action, target)
}

/// Says what is wrong in one line.
fn fail(status: u8, error: impl std::fmt::Display) -> ExitCode {
    // Not `eprintln!`, which panics where standard error is closed.
    let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("paliadin: {error}\n").as_bytes());
    ExitCode::from(status)
}

/// Runs a short command on a runtime of its own.
fn block_on(command: impl Future<Output = ExitCode>) -> ExitCode {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(command),
        Err(error) => fail(1, error),
    }
}

//! `paliadin hook`: an agent's event, to its spool.

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::Args;

use crate::agent::hook;

/// Agents read meaning into how a hook ends and what it prints. Exit status 2 forbids what the event is about, and
/// standard output may become part of the model's context (Claude Code's hooks reference, "Exit code output"). So nothing
/// is printed there but the decision of a person, and the status is 0 whatever happens: a hook of ours never stands in an agent's way.
#[derive(Args)]
pub struct Hook {
    /// A person's reply to what the agent asks comes by way of this command: it waits for it, and prints it
    #[arg(long)]
    reply: bool,
    /// Not used; words of settings that another version wrote shall not make the hook fail
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    ignored: Vec<OsString>,
}

impl Hook {
    /// Runs the command.
    pub fn run(self) -> ExitCode {
        let spool = std::env::var_os("PALIADIN_SPOOL").filter(|spool| !spool.is_empty());
        let options = hook::Options { reply: self.reply };
        // Not `println!` and its like, which panic where nobody reads.
        match hook::run(std::io::stdin().lock(), spool.as_ref().map(Path::new), options) {
            Ok(None) => {}
            Ok(Some(decision)) => drop(std::io::stdout().write_all(decision.as_bytes())),
            Err(error) => drop(std::io::stderr().write_all(format!("paliadin hook: {error}\n").as_bytes())),
        }
        ExitCode::SUCCESS
    }
}

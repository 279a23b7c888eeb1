//! Floor of row 10: the hook's process, run as an agent runs it, from before its start to its end. No program that is less
//! can tell what this one costs, so it is the product's own; but nobody reads what it writes.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use uuid::Uuid;

use crate::measure::{Measured, Outcome};

/// An event as Claude Code has it, with `fields` of its own.
pub fn event(name: &str, fields: &Value) -> Value {
    let mut event = json!({"session_id": "abc123", "transcript_path": "", "cwd": "/", "hook_event_name": name});
    if let (Some(event), Some(fields)) = (event.as_object_mut(), fields.as_object()) {
        event.extend(fields.clone());
    }
    event
}

/// The agent's last word.
pub fn stop() -> Value {
    event(
        "Stop",
        &json!({"stop_hook_active": false, "last_assistant_message": "The quick brown fox jumps over the lazy dog."}),
    )
}

/// Runs a hook's command to its end, with the event on its standard input, as Claude Code does: by a shell, and with pipes
/// for what it prints. It has to end with 0 and print nothing.
pub fn run(mut shell: Command, command: &str, event: &Value) -> Outcome<()> {
    shell.args(["-c", command]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = shell.spawn()?;
    // Dropped, it is closed: the hook reads to the end.
    child.stdin.take().ok_or("a hook has an input")?.write_all(event.to_string().as_bytes())?;
    let output = child.wait_with_output()?;
    if output.status.success() && output.stdout.is_empty() && output.stderr.is_empty() {
        return Ok(());
    }
    Err(format!("{command}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr)).into())
}

/// From the start of a `Stop` hook to its end.
pub struct Hook {
    spool: PathBuf,
    command: String,
}

impl Hook {
    /// Its spool is `directory`, which exists and is empty.
    pub fn open(directory: &Path) -> Outcome<Self> {
        std::fs::create_dir(directory.join("out"))?;
        let command = format!("'{}' hook", env!("CARGO_BIN_EXE_paliadin").replace('\'', r"'\''"));
        Ok(Self { spool: directory.to_owned(), command })
    }

    fn run(&self, event: &Value) -> Outcome<()> {
        // As little of an environment as an agent has.
        let mut shell = Command::new("sh");
        shell.env_clear().env("PALIADIN_SPOOL", &self.spool);
        if let Some(path) = std::env::var_os("PATH") {
            shell.env("PATH", path);
        }
        run(shell, &self.command, event)
    }

    /// How long the file is to which hooks append.
    fn reported(&self) -> u64 {
        std::fs::metadata(self.spool.join("out").join("events.jsonl")).map_or(0, |file| file.len())
    }
}

impl Measured for Hook {
    fn prepare(&mut self) -> Outcome<()> {
        let prompt = format!("[PALIADIN:{}] What does the fox do?", Uuid::now_v7());
        self.run(&event("UserPromptSubmit", &json!({ "prompt": prompt })))
    }

    fn sample(&mut self) -> Outcome<Duration> {
        let before = self.reported();
        let start = Instant::now();
        self.run(&stop())?;
        let took = start.elapsed();
        if self.reported() == before {
            return Err("the hook reported nothing".into());
        }
        Ok(took)
    }
}

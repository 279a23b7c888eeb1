//! The pane's side: the benchmark's own binary, run again with one of the words below as its first argument. It reads
//! a line at a time from a terminal in raw mode and does one thing with each.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::stdio::stdin;
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use serde_json::{Value, json};

use super::hook;
use crate::measure::{Outcome, monotonic_ns};

/// `<word> LOG`: appends `<nanoseconds> <line>` to the log.
pub const NOTE: &str = "--pane-note";
/// `<word> LOG DIR`: puts the line into `DIR/<last word>.txt`, by rename.
pub const ANSWER: &str = "--pane-answer";
/// `<word> LOG`: an agent by the product's contract that confirms each turn and leaves the answer to others. Its log begins
/// with its process id.
pub const AGENT: &str = "--pane-agent";
/// `<word> LOG SETTINGS`: plays Claude Code, which runs the hooks of its settings. Appends `<nanoseconds> <line>`, with the
/// time from just before the last hook of each turn, to the log.
pub const CLAUDE: &str = "--pane-claude";

/// An agent's first line, after the time and before its process id.
pub const PROCESS: &str = "process ";
/// What those say, after the time, that are ready to take input; an agent with its spool.
pub const READY: &str = "ready";

/// The program in the pane, if `arguments` ask for it. Does not return before the pane is closed.
pub fn run(arguments: &[String]) -> Outcome<bool> {
    let [word, log, rest @ ..] = arguments else { return Ok(false) };
    if ![NOTE, ANSWER, AGENT, CLAUDE].contains(&word.as_str()) {
        return Ok(false);
    }
    let log = Log(File::options().append(true).create(true).open(log)?);
    match (word.as_str(), rest) {
        (NOTE, []) => {
            raw_terminal()?;
            log.note(READY)?;
            each_line(|line| log.note(line))?;
        }
        (ANSWER, [directory]) => {
            let directory = Path::new(directory);
            let beside = directory.with_extension("beside");
            raw_terminal()?;
            log.note(READY)?;
            each_line(|line| {
                let name = line.rsplit(' ').next().unwrap_or_default();
                std::fs::write(&beside, line)?;
                Ok(std::fs::rename(&beside, directory.join(name).with_extension("txt"))?)
            })?;
        }
        (AGENT, []) => agent(&log)?,
        (CLAUDE, [settings]) => claude(&log, Path::new(settings))?,
        _ => return Ok(false),
    }
    Ok(true)
}

/// Signals as `out/events.jsonl` has them. `LOG` also tells where the spool is.
fn agent(log: &Log) -> Outcome<()> {
    let spool = PathBuf::from(std::env::var_os("PALIADIN_SPOOL").ok_or("PALIADIN_SPOOL is not set")?);
    let events = File::options().append(true).create(true).open(spool.join("out").join("events.jsonl"))?;
    let signal = |event: Value| (&events).write_all(format!("{event}\n").as_bytes());
    raw_terminal()?;
    log.note(&format!("{PROCESS}{}", std::process::id()))?;
    log.note(&format!("{READY} {}", spool.display()))?;
    signal(json!({"at": wall_ms(), "event": "ready", "resume_id": null}))?;
    each_line(|line| {
        let turn = line.split_once("[PALIADIN:").and_then(|(_, rest)| rest.split([']', ' ']).next());
        if let Some(turn) = turn {
            signal(json!({"at": wall_ms(), "event": "submitted", "turn_id": turn}))?;
        }
        log.note(line)
    })
}

/// An answer is what the last hook tells; nothing else is written.
fn claude(log: &Log, settings: &Path) -> Outcome<()> {
    let settings: Value = serde_json::from_str(&std::fs::read_to_string(settings)?)?;
    let run = |event: &Value| -> Outcome<()> {
        let name = event["hook_event_name"].as_str().unwrap_or_default();
        let command = &settings["hooks"][name][0]["hooks"][0]["command"];
        hook::run(Command::new("sh"), command.as_str().ok_or_else(|| format!("no hook for {name}"))?, event)
    };
    raw_terminal()?;
    run(&hook::event("SessionStart", &json!({"source": "startup", "model": "none"})))?;
    each_line(|line| {
        run(&hook::event("UserPromptSubmit", &json!({ "prompt": line })))?;
        let now = monotonic_ns();
        run(&hook::stop())?;
        // Afterwards, so that whoever reads it does not compete with what is measured.
        log.note_at(now, line)
    })
}

struct Log(File);

impl Log {
    /// The time goes first and is taken first; one write, so that a reader never sees half a line.
    fn note(&self, line: &str) -> Outcome<()> {
        self.note_at(monotonic_ns(), line)
    }

    fn note_at(&self, now: u64, line: &str) -> Outcome<()> {
        Ok((&self.0).write_all(format!("{now} {line}\n").as_bytes())?)
    }
}

/// The time as events have it: milliseconds since 1970.
pub fn wall_ms() -> u128 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_millis()
}

fn raw_terminal() -> Outcome<()> {
    let mut modes = tcgetattr(stdin())?;
    modes.make_raw();
    // Now, without a flush: what was typed early is input like any other.
    Ok(tcsetattr(stdin(), OptionalActions::Now, &modes)?)
}

/// Calls `act` with each line, which ends with Enter, until the terminal is gone.
fn each_line(mut act: impl FnMut(&str) -> Outcome<()>) -> Outcome<()> {
    let mut input = std::io::stdin().lock();
    let mut line = Vec::new();
    let mut bytes = [0; 4096];
    loop {
        let Ok(read @ 1..) = input.read(&mut bytes) else { return Ok(()) };
        for &byte in &bytes[..read] {
            if byte != b'\r' {
                line.push(byte);
                continue;
            }
            act(&String::from_utf8_lossy(&line))?;
            line.clear();
        }
    }
}

//! Plays a difficult agent in a pane: this very test program, started with [`play`] alone. It draws its input as agents do
//! that are no friends of ours: lines like it are in its transcript and its dialogs, too, and its status line repeats the
//! message. What it does with each key it writes down.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use serde_json::{Value, json};

use crate::harness::Tested;

/// What it is to do: `late=<ms>`, `swallow=<number>`, `dialog=start|paste|enter|submit`, `placeholder`, `tail`, `slow`.
pub const MANNERS: &str = "PALIADIN_TEST_PLAY";
/// Where it writes down what came: a line each.
pub const KEYS: &str = "PALIADIN_TEST_KEYS";

/// Characters above which a paste is shown by a placeholder.
const SHORT: usize = 100;
/// Lines of the input that are seen.
const TAIL: usize = 4;
/// From one piece of a slow drawing to the next.
const PIECE: Duration = Duration::from_millis(15);

#[derive(Default)]
struct Manners {
    late: Duration,
    swallow: usize,
    dialog: String,
    placeholder: bool,
    tail: bool,
    slow: bool,
}

impl Manners {
    fn read(text: &str) -> Self {
        let mut manners = Self::default();
        for word in text.split(',') {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            match name {
                "late" => manners.late = Duration::from_millis(value.parse().unwrap_or_default()),
                "swallow" => manners.swallow = value.parse().unwrap_or_default(),
                "dialog" => value.clone_into(&mut manners.dialog),
                "placeholder" => manners.placeholder = true,
                "tail" => manners.tail = true,
                "slow" => manners.slow = true,
                _ => {}
            }
        }
        manners
    }
}

struct Player {
    manners: Manners,
    keys: PathBuf,
    spool: PathBuf,
    typed_log: PathBuf,
    transcript: Vec<String>,
    title: String,
    /// What lies in the input, and how much of it is shown.
    text: String,
    shown: usize,
    echo: Option<Instant>,
    dialog: bool,
    /// A message that was taken and waits for the dialog's end.
    held: Option<String>,
    pastes: usize,
}

/// Nothing, where it is run as a test.
#[test]
#[ignore = "plays an agent, for the other tests"]
fn play() -> Tested {
    let (Ok(manners), Some(keys)) = (std::env::var(MANNERS), std::env::var_os(KEYS)) else { return Ok(()) };
    let of = |name: &str| std::env::var_os(name).map(PathBuf::from).unwrap_or_default();
    let manners = Manners::read(&manners);
    let mut player = Player {
        dialog: manners.dialog == "start",
        manners,
        keys: keys.into(),
        spool: of("PALIADIN_SPOOL"),
        typed_log: of("PALIADIN_DEMO_TYPED_LOG"),
        transcript: Vec::new(),
        title: String::new(),
        text: String::new(),
        shown: 0,
        echo: None,
        held: None,
        pastes: 0,
    };
    player.run()
}

impl Player {
    fn run(&mut self) -> Tested {
        let stdin = io::stdin();
        let mut terminal = tcgetattr(&stdin)?;
        terminal.make_raw();
        tcsetattr(&stdin, OptionalActions::Now, &terminal)?;
        // Since the last one ended, whatever is typed is meant for this one.
        write!(io::stdout().lock(), "\x1b[?2004h")?;
        self.draw()?;
        let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
        let mut input = File::open("/dev/tty")?;
        loop {
            let patience = self.echo.map(|at| at.saturating_duration_since(Instant::now()));
            let limit = patience.map(Timespec::try_from).transpose()?;
            if poll(&mut [PollFd::new(&input, PollFlags::IN)], limit.as_ref())? == 0 {
                self.echo = None;
                self.shown = self.text.len();
                self.draw()?;
                continue;
            }
            let count = input.read(&mut chunk)?;
            if count == 0 {
                return Ok(());
            }
            bytes.extend_from_slice(&chunk[..count]);
            while let Some((key, length)) = next_key(&bytes) {
                bytes.drain(..length);
                self.press(key)?;
            }
        }
    }

    fn press(&mut self, key: Key) -> Tested {
        let place = if self.dialog { "dialog " } else { "" };
        match &key {
            Key::Paste(text) => self.note(&format!("{place}paste {}", text.len()))?,
            Key::Enter => self.note(&format!("{place}enter"))?,
            Key::Escape => self.note(&format!("{place}escape"))?,
            Key::Other(byte) => self.note(&format!("{place}key {}", char::from(*byte)))?,
        }
        if self.dialog {
            // What is pasted into it is lost; any key answers it.
            if !matches!(key, Key::Paste(_)) {
                self.dialog = false;
                if let Some(text) = self.held.take() {
                    self.submit(&text)?;
                }
                self.draw()?;
            }
            return Ok(());
        }
        match key {
            Key::Paste(text) => {
                self.pastes += 1;
                self.text.push_str(&text);
                if self.manners.late.is_zero() {
                    self.shown = self.text.len();
                } else {
                    self.echo = Some(Instant::now() + self.manners.late);
                }
                self.dialog = self.manners.dialog == "paste" && self.pastes == 1;
                self.draw()
            }
            // Before the text is there, and when it feels like it, it does not hear Enter.
            Key::Enter if self.echo.is_some() => Ok(()),
            Key::Enter if self.manners.swallow > 0 => {
                self.manners.swallow -= 1;
                Ok(())
            }
            Key::Enter if self.manners.dialog == "enter" => {
                self.manners.dialog.clear();
                self.dialog = true;
                self.draw()
            }
            Key::Enter if !self.text.is_empty() => {
                let text = std::mem::take(&mut self.text);
                self.shown = 0;
                if self.manners.dialog == "submit" {
                    self.manners.dialog.clear();
                    (self.dialog, self.held) = (true, Some(text));
                } else {
                    self.submit(&text)?;
                }
                self.draw()
            }
            Key::Other(b'd') => {
                self.dialog = true;
                self.draw()
            }
            Key::Enter | Key::Escape | Key::Other(_) => Ok(()),
        }
    }

    /// The message is taken: written down, reported, and answered.
    fn submit(&mut self, text: &str) -> Tested {
        let line = json!({ "pid": std::process::id(), "session": std::env::var("PALIADIN_SESSION")?, "raw": text });
        append(&self.typed_log, &line.to_string())?;
        self.transcript.extend(text.lines().map(str::to_owned));
        text.clone_into(&mut self.title);
        let Some(turn) = text.strip_prefix("[PALIADIN:").and_then(|rest| rest.get(..36)) else { return Ok(()) };
        let out = self.spool.join("out");
        let report = |event: Value| append(&out.join("events.jsonl"), &event.to_string());
        report(json!({ "at": 1, "event": "submitted", "turn_id": turn }))?;
        let answer = text.split_once("] ").map_or("", |(_, message)| message);
        fs::write(out.join("answer.new"), format!("you said: {answer}"))?;
        Ok(fs::rename(out.join("answer.new"), out.join(format!("{turn}.txt")))?)
    }

    fn note(&self, what: &str) -> Tested {
        append(&self.keys, what)
    }

    /// Everything anew; in pieces, where it is slow.
    fn draw(&self) -> Tested {
        let mut pieces = vec!["\x1b[?25l\x1b[2J\x1b[H".to_owned()];
        let from = self.transcript.len().saturating_sub(10);
        pieces.extend(self.transcript[from..].iter().map(|line| format!("> {line}\r\n")));
        pieces.push("\r\n".to_owned());
        if self.dialog {
            pieces.push("  Proceed?\r\n\r\n> 1. Yes\r\n  2. No\r\n\r\n  Press enter".to_owned());
        } else {
            let shown = &self.text[..self.shown];
            let lines: Vec<&str> = shown.trim_end().lines().collect();
            let tail = if self.manners.tail { &lines[lines.len().saturating_sub(TAIL)..] } else { &lines[..] };
            let input = match shown.chars().count() {
                0 => "\x1b7Say something".to_owned(),
                long if self.manners.placeholder && long > SHORT => format!("[Pasted text #{}]\x1b7", self.pastes),
                _ => format!("{}\x1b7", tail.join("\r\n  ")),
            };
            pieces.push("> ".to_owned());
            pieces.push(input);
            pieces.push(format!("\r\n\r\n  ready · {}", self.title.lines().next().unwrap_or_default()));
            pieces.push("\x1b8\x1b[?25h".to_owned());
        }
        let mut terminal = io::stdout().lock();
        for piece in pieces {
            terminal.write_all(piece.as_bytes())?;
            terminal.flush()?;
            if self.manners.slow {
                poll(&mut [], Some(&Timespec::try_from(PIECE)?))?;
            }
        }
        Ok(())
    }
}

enum Key {
    Paste(String),
    Enter,
    Escape,
    Other(u8),
}

/// The first key, and how many bytes it has; `None` while it is not all there.
fn next_key(bytes: &[u8]) -> Option<(Key, usize)> {
    const BEGIN: &[u8] = b"\x1b[200~";
    const END: &[u8] = b"\x1b[201~";
    match bytes {
        [] => None,
        _ if bytes.starts_with(BEGIN) => {
            let at = bytes.windows(END.len()).position(|window| window == END)?;
            let text = String::from_utf8_lossy(&bytes[BEGIN.len()..at]).into_owned();
            Some((Key::Paste(text), at + END.len()))
        }
        _ if bytes.len() < BEGIN.len() && bytes.len() > 1 && BEGIN.starts_with(bytes) => None,
        [0x1b, ..] => Some((Key::Escape, 1)),
        [b'\r', ..] => Some((Key::Enter, 1)),
        [byte, ..] => Some((Key::Other(*byte), 1)),
    }
}

fn append(file: &Path, line: &str) -> Tested {
    let mut file = File::options().append(true).create(true).open(file)?;
    Ok(file.write_all(format!("{line}\n").as_bytes())?)
}

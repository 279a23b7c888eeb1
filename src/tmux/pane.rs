//! What is asked of a pane, and what it answers.

use std::path::PathBuf;

use sha2::{Digest, Sha256};

use super::quote::escape_format;
use super::{Command, PaneId, TmuxError, TmuxSessionId, WindowId};

/// The pane option that marks an agent's pane and holds its session's name.
pub(super) const NAME_OPTION: &str = "@paliadin";
/// The pane option with how the program was started (see [`SpawnSpec::fingerprint`]).
const LAUNCH_OPTION: &str = "@launch";
/// The pane option that is set once the program has said that it is ready.
pub(super) const READY_OPTION: &str = "@ready";
/// The pane option with the last turn that was typed.
pub(super) const TURN_OPTION: &str = "@turn";
/// The pane option with that turn's epoch.
pub(super) const EPOCH_OPTION: &str = "@epoch";
/// The pane option with the last reply that was typed: `<turn>/<number>`.
pub(super) const REPLY_OPTION: &str = "@reply";
/// The pane option with the last turn for which Enter was pressed apart from its text.
pub(super) const ENTERED_OPTION: &str = "@entered";
/// The pane option with whoever follows what the program prints (see [`super::Output`]).
pub(super) const OUTPUT_OPTION: &str = "@output";

/// A program to start in a session of its own.
#[derive(Clone)]
pub struct SpawnSpec {
    /// The session's name: `[A-Za-z0-9_][A-Za-z0-9_-]{0,63}`.
    pub name: String,
    /// Where the program starts: an absolute path of a directory.
    pub cwd: PathBuf,
    /// Variables beside those of the server; a value may be any text. `PATH` among them is the one that is searched.
    pub env: Vec<(String, String)>,
    /// The program and its arguments. No shell sees them.
    pub argv: Vec<String>,
    /// Further arguments, which are of this one start only.
    pub more: Vec<String>,
}

impl SpawnSpec {
    /// Tells whether a pane was started just so, save for `more`: 16 hexadecimal digits. No secret can be read from it.
    pub fn fingerprint(&self) -> String {
        let mut digest = Sha256::new();
        let variables = self.env.iter().flat_map(|(name, value)| [name, value]);
        for text in self.argv.iter().chain(variables) {
            digest.update(text.len().to_be_bytes());
            digest.update(text);
        }
        digest.update(self.cwd.as_os_str().as_encoded_bytes());
        digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    /// The command that starts it and prints what [`Pane::parse`] reads.
    pub(super) fn command(&self, width: u16, height: u16) -> Result<Command, TmuxError> {
        let invalid = |message: String| Err(TmuxError::Invalid(message));
        if !is_session_name(&self.name) {
            let shown: String = self.name.chars().take(64).collect();
            return invalid(format!("{shown:?} cannot be the name of an agent session"));
        }
        let Some(cwd) = self.cwd.to_str().filter(|_| self.cwd.is_absolute()) else {
            return invalid(format!("working directory {}: not absolute, or not UTF-8", self.cwd.display()));
        };
        if let Some((key, _)) = self.env.iter().find(|(key, _)| key.is_empty() || key.contains('=')) {
            return invalid(format!("{key:?} cannot be the name of an environment variable"));
        }
        // tmux sets SHELL itself, over whatever it is told.
        let shell = self.env.iter().find(|(key, _)| key == "SHELL").map(|(_, shell)| format!("SHELL={shell}"));
        let argv: Vec<&str> = self.argv.iter().chain(&self.more).map(String::as_str).collect();
        let mut argv: Vec<&str> = match argv.as_slice() {
            [] => return invalid("no program to start".to_owned()),
            ["", ..] => return invalid("no program to start".to_owned()),
            // tmux hands a single argument to a shell. `env` runs it as it is, but takes `a=b` for a variable.
            [program, rest @ ..] if program.contains('=') && (rest.is_empty() || shell.is_some()) => {
                return invalid(format!("a program cannot have `=` in its path here: {program}"));
            }
            several => several.to_vec(),
        };
        if shell.is_some() || argv.len() == 1 {
            argv.splice(..0, ["env", "--"].into_iter().chain(shell.as_deref()));
        }
        // -E: nothing is taken over from the client's environment.
        let mut start = Command::new("new-session").args(["-d", "-E", "-P", "-F", Pane::FORMAT, "-s", &self.name]);
        start = start.arg("-x").arg(width.to_string()).arg("-y").arg(height.to_string());
        start = start.arg("-c").arg(escape_format(cwd));
        for (key, value) in &self.env {
            start = start.arg("-e").arg(format!("{key}={value}"));
        }
        // `=name:` is an exact match, and the name was free a moment ago in this same line.
        let target = format!("={}:", self.name);
        let mark = |option, value| Command::new("set-option").args(["-p", "-t", &target, option, value]);
        let marks = mark(NAME_OPTION, &self.name).then(mark(LAUNCH_OPTION, &self.fingerprint()));
        Ok(start.arg("--").args(argv).then(marks))
    }
}

/// True for `[A-Za-z0-9_][A-Za-z0-9_-]{0,63}`: nothing that tmux changes (`.`, `:`) or expands (`#`).
fn is_session_name(name: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    (1..=64).contains(&name.len()) && name.bytes().all(word) && !name.starts_with('-')
}

/// A pane just made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pane {
    /// Its session.
    pub session: TmuxSessionId,
    /// Its window.
    pub window: WindowId,
    /// The pane itself.
    pub pane: PaneId,
    /// The program's process.
    pub pid: u32,
}

impl Pane {
    const FORMAT: &str = "#{session_id} #{window_id} #{pane_id} #{pane_pid}";

    pub(super) fn parse(line: &str) -> Result<Self, TmuxError> {
        let unknown = || TmuxError::Protocol(format!("not a new pane: {line:?}"));
        let fields: Vec<&str> = line.split(' ').collect();
        let &[session, window, pane, pid] = fields.as_slice() else { return Err(unknown()) };
        let pid = pid.parse().map_err(|_| unknown())?;
        Ok(Self { session: session.parse()?, window: window.parse()?, pane: pane.parse()?, pid })
    }
}

/// How a pane stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaneInfo {
    /// Its session.
    pub session: TmuxSessionId,
    /// Its session's name.
    pub session_name: String,
    /// Its window.
    pub window: WindowId,
    /// The pane itself.
    pub pane: PaneId,
    /// The program's process; also after its end.
    pub pid: u32,
    /// The program has ended. Neither status nor signal yet means that tmux has not reaped it; ask again.
    pub dead: bool,
    /// With which status it ended.
    pub dead_status: Option<i32>,
    /// Or which signal ended it (tmux 3.3 and later tell).
    pub dead_signal: Option<i32>,
    /// A mode such as copy mode shows something else than the program, and swallows keys.
    pub in_mode: bool,
    /// How its program was started (see [`SpawnSpec::fingerprint`]).
    pub launch: Option<String>,
    /// Its program has said that it is ready.
    pub ready: bool,
    /// When it printed last, in seconds since the Unix epoch.
    pub activity: Option<i64>,
    /// The last turn that was typed.
    pub turn: Option<String>,
    /// That turn's epoch.
    pub epoch: Option<i64>,
    /// The name of the program in the foreground; for people.
    pub current_command: String,
}

impl PaneInfo {
    /// What may hold anything comes last, so that it cannot be taken for another field.
    pub(super) const FORMAT: &str = "#{session_id}|#{window_id}|#{pane_id}|#{pane_pid}|#{pane_dead}|\
        #{pane_dead_status}|#{pane_dead_signal}|#{pane_in_mode}|#{@launch}|#{@ready}|#{window_activity}|#{@epoch}|#{@turn}|\
        #{session_name}|#{pane_current_command}";

    pub(super) fn parse(line: &str) -> Result<Self, TmuxError> {
        let unknown = || TmuxError::Protocol(format!("not a pane: {line:?}"));
        let fields: Vec<&str> = line.splitn(15, '|').collect();
        let &[
            session,
            window,
            pane,
            pid,
            dead,
            status,
            signal,
            in_mode,
            launch,
            ready,
            activity,
            epoch,
            turn,
            name,
            command,
        ] = fields.as_slice()
        else {
            return Err(unknown());
        };
        Ok(Self {
            session: session.parse()?,
            session_name: name.to_owned(),
            window: window.parse()?,
            pane: pane.parse()?,
            pid: pid.parse().map_err(|_| unknown())?,
            dead: is_true(dead),
            dead_status: status.parse().ok(),
            dead_signal: signal.parse().ok(),
            in_mode: is_true(in_mode),
            launch: Some(launch.to_owned()).filter(|launch| !launch.is_empty()),
            ready: is_true(ready),
            activity: activity.parse().ok(),
            turn: Some(turn.to_owned()).filter(|turn| !turn.is_empty()),
            epoch: epoch.parse().ok(),
            current_command: command.to_owned(),
        })
    }
}

/// What a pane shows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Look {
    /// The lines of the screen, from the top; no trailing spaces.
    pub lines: Vec<String>,
    /// Where the cursor is.
    pub cursor: Cursor,
    /// The title that the program has set, or that of the terminal.
    pub title: String,
}

/// Where a pane's cursor is, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cursor {
    /// The line of the screen.
    pub row: usize,
    /// The column; that after the last one where a line is full.
    pub column: usize,
    /// The program shows it.
    pub shown: bool,
    /// How many columns there are.
    pub width: usize,
}

impl Cursor {
    pub(super) const FORMAT: &str = "#{cursor_y} #{cursor_x} #{cursor_flag} #{pane_width} #{pane_title}";

    /// With the title behind it.
    pub(super) fn parse(line: &str) -> Result<(Self, String), TmuxError> {
        let unknown = || TmuxError::Protocol(format!("not a cursor: {line:?}"));
        let mut fields = line.splitn(5, ' ');
        let mut next = || fields.next().and_then(|field| field.parse::<usize>().ok()).ok_or_else(unknown);
        let cursor = Self { row: next()?, column: next()?, shown: next()? != 0, width: next()? };
        Ok((cursor, fields.next().unwrap_or_default().to_owned()))
    }
}

/// A flag as tmux prints it: `1`, `0` or nothing; `pane_in_mode` counts the modes.
fn is_true(field: &str) -> bool {
    !matches!(field, "" | "0")
}

/// True for a key that tmux knows. It types the letters of any other name into the pane.
pub(super) fn is_key(key: &str) -> bool {
    const NAMES: [&str; 22] = [
        "Enter", "Escape", "Tab", "BTab", "Space", "BSpace", "Up", "Down", "Left", "Right", "Home", "End", "PPage",
        "PageUp", "PgUp", "NPage", "PageDown", "PgDn", "IC", "Insert", "DC", "Delete",
    ];
    let mut bare = key;
    while let Some(rest) = ["C-", "M-", "S-"].iter().find_map(|modifier| bare.strip_prefix(modifier)) {
        bare = rest;
    }
    NAMES.contains(&bare)
        || (bare.len() == 1 && bare.bytes().all(|byte| byte.is_ascii_graphic()))
        || (1..=12).any(|number| bare == format!("F{number}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panes_are_read() {
        let pane = PaneInfo::parse("$1|@2|%3|44|1|7||0|00ff|1|99|5|0198-a|paliadin-1|a | b").unwrap();
        assert_eq!((pane.pid, pane.dead, pane.dead_status, pane.dead_signal), (44, true, Some(7), None));
        assert_eq!((pane.epoch, pane.turn.as_deref(), pane.in_mode), (Some(5), Some("0198-a"), false));
        assert_eq!((pane.launch.as_deref(), pane.ready, pane.activity), (Some("00ff"), true, Some(99)));
        assert_eq!((pane.session_name.as_str(), pane.current_command.as_str()), ("paliadin-1", "a | b"));
        let fresh = PaneInfo::parse("$1|@2|%3|44|0|||1||||||n|cat").unwrap();
        assert_eq!((fresh.dead, fresh.in_mode, fresh.turn, fresh.epoch), (false, true, None, None));
        assert!(PaneInfo::parse("|||||||||||||||").is_err() && Pane::parse("$1 @1 %1").is_err());
    }

    #[test]
    fn cursors_are_read() {
        let cursor = Cursor { row: 12, column: 3, shown: true, width: 80 };
        assert_eq!(Cursor::parse("12 3 1 80 a title 7"), Ok((cursor, "a title 7".to_owned())));
        let cursor = Cursor { row: 0, column: 200, shown: false, width: 200 };
        assert_eq!(Cursor::parse("0 200 0 200 "), Ok((cursor, String::new())));
        assert!(Cursor::parse("").is_err() && Cursor::parse("1 2 1").is_err() && Cursor::parse("a 1 1 1").is_err());
    }

    #[test]
    fn only_known_keys() {
        for key in ["Enter", "Escape", "C-c", "M-Enter", "C-M-x", "F12", "y", "1", ";", "-", "S-Tab"] {
            assert!(is_key(key), "{key:?}");
        }
        for key in ["", "Foo", "C-", "F13", "F+1", "F0", "é", "Enter Enter", "-X", "\n", "C-\u{3}"] {
            assert!(!is_key(key), "{key:?}");
        }
    }

    #[test]
    fn what_cannot_be_started_is_refused() {
        let good = SpawnSpec { name: "a".into(), cwd: "/".into(), env: vec![], argv: vec!["cat".into()], more: vec![] };
        assert!(good.command(80, 24).unwrap().line().contains(r#""--" "env" "--" "cat" ; set-option"#));
        let with_shell = SpawnSpec { env: vec![("SHELL".into(), "/bin/x".into())], ..good.clone() };
        let with_shell = with_shell.command(80, 24).unwrap().line().to_owned();
        assert!(with_shell.contains(r#""--" "env" "--" "SHELL=/bin/x" "cat" ; set-option"#), "{with_shell}");
        let wrong = [
            SpawnSpec { name: "a.b".into(), ..good.clone() },
            SpawnSpec { name: "-a".into(), ..good.clone() },
            SpawnSpec { name: "#S".into(), ..good.clone() },
            SpawnSpec { cwd: "tmp".into(), ..good.clone() },
            SpawnSpec { env: vec![("A=B".into(), "x".into())], ..good.clone() },
            SpawnSpec { argv: vec![], ..good.clone() },
            SpawnSpec { argv: vec!["".into(), "x".into()], ..good.clone() },
            SpawnSpec { argv: vec!["/a=b/c".into()], ..good.clone() },
        ];
        for spec in wrong {
            assert!(matches!(spec.command(80, 24), Err(TmuxError::Invalid(_))));
        }
    }
}

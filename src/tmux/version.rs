//! Which tmux is installed.

use std::ffi::OsString;
use std::fmt;
use std::path::Path;
use std::process::Stdio;
use std::str::FromStr;

use tokio::process;
use tokio::time::timeout;

use super::{DEFAULT_DEADLINE, TmuxError};

/// A release of tmux, e.g. 3.3a.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// The 3 of 3.3a.
    pub major: u32,
    /// The second 3 of 3.3a.
    pub minor: u32,
    /// The `a` of 3.3a.
    pub patch: Option<char>,
}

impl Version {
    /// The first release with everything we use (`attach-session -f no-output`, `new-session -e`, `list-panes -f`,
    /// `copy-mode -q`, `tmux -N`; see the file `CHANGES` of tmux).
    pub const OLDEST: Version = Version { major: 3, minor: 2, patch: None };

    /// Runs `tmux -V` with only these environment variables, and refuses what is older than [`Version::OLDEST`].
    pub(super) async fn probe(program: &Path, env: &[(OsString, OsString)]) -> Result<Version, TmuxError> {
        let mut command = process::Command::new(program);
        command.arg("-V").env_clear().envs(env.iter().map(|(key, value)| (key, value)));
        command.stdin(Stdio::null()).kill_on_drop(true);
        let output = match timeout(DEFAULT_DEADLINE, command.output()).await {
            Err(_) => return Err(TmuxError::Timeout { command: "-V" }),
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(TmuxError::NotFound(program.display().to_string()));
            }
            Ok(Err(error)) => return Err(TmuxError::Io(error.to_string())),
            Ok(Ok(output)) => output,
        };
        let version: Version = String::from_utf8_lossy(&output.stdout).parse()?;
        if version < Self::OLDEST { Err(TmuxError::TooOld { found: version }) } else { Ok(version) }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)?;
        self.patch.map_or(Ok(()), |letter| write!(f, "{letter}"))
    }
}

impl FromStr for Version {
    type Err = TmuxError;

    /// Reads the line that `tmux -V` prints: `tmux 3.3a`, `tmux next-3.6`, `tmux 3.5-rc2`.
    fn from_str(line: &str) -> Result<Self, TmuxError> {
        let unknown = || {
            let shown: String = line.trim().chars().take(64).collect();
            TmuxError::Protocol(format!("`tmux -V` says {shown:?}"))
        };
        let word = line.trim().strip_prefix("tmux ").ok_or_else(unknown)?;
        let word = word.strip_prefix("next-").unwrap_or(word);
        let (major, rest) = word.split_once('.').ok_or_else(unknown)?;
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (minor, rest) = rest.split_at(digits);
        let patch = rest.chars().next().filter(char::is_ascii_lowercase);
        let number = |text: &str| text.parse::<u32>().map_err(|_| unknown());
        Ok(Self { major: number(major)?, minor: number(minor)?, patch })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_ordered() {
        let read = |text: &str| text.parse::<Version>().unwrap();
        assert_eq!(read("tmux 3.3a\n").to_string(), "3.3a");
        assert_eq!(read("tmux next-3.6"), read("tmux 3.6"));
        assert_eq!(read("tmux 3.5-rc2"), read("tmux 3.5"));
        assert!(read("tmux 3.1c") < Version::OLDEST && read("tmux 3.2") >= Version::OLDEST);
        assert!(read("tmux 3.10") > read("tmux 3.9a") && read("tmux 3.3a") > read("tmux 3.3"));
        for wrong in ["", "tmux", "tmux master", "screen 4.9", "tmux 3"] {
            assert!(wrong.parse::<Version>().is_err(), "{wrong:?}");
        }
    }
}

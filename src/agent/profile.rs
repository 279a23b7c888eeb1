//! Profiles: how one agent program is started, typed to and interrupted.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::claude;

/// Profiles that are part of the program: name and text. `auto` takes the first one whose program is installed.
const BUILT_IN: &[(&str, &str)] = &[
    ("claude", include_str!("../../config/agents/claude.toml")),
    ("demo", include_str!("../../config/agents/demo.toml")),
];

/// Stands for this program's own path in a profile's command.
const OWN_PROGRAM: &str = "{paliadin}";

/// Stands for the path of the generated settings in a profile's command.
const SETTINGS: &str = "{settings}";

/// Variables that every agent gets from the server's environment, where they are set. Nothing else of it is passed.
pub const PASSED_ON: &[&str] =
    &["PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR"];

/// How one agent program is started, typed to and interrupted. `config/agents/demo.toml` says what each field means.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The name it is chosen by.
    #[serde(skip)]
    pub name: String,
    /// Program and arguments, never run by a shell.
    pub command: Vec<String>,
    /// Further variables that are passed on from the server's environment.
    #[serde(default)]
    pub pass_environment: Vec<String>,
    /// How a line break inside a message is typed.
    pub newline: NewlineManner,
    /// The key, in tmux's words, that stops the agent in mid-answer.
    pub interrupt_key: String,
    /// How a person's reply to what the agent asks is handed over; absent: in the agent's terminal only.
    #[serde(default)]
    pub reply: Option<ReplyManner>,
    /// Whose events `paliadin hook` is to report: settings for this program are generated.
    #[serde(default)]
    pub hooks: Option<Hooks>,
}

/// How a reply is handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReplyManner {
    /// The text is typed, and Enter pressed.
    Line,
}

/// Programs that run a command for each of their events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hooks {
    /// Claude Code.
    Claude,
}

/// How a line break inside a message is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NewlineManner {
    /// As a line feed.
    Lf,
    /// As a carriage return.
    Cr,
}

/// Why no profile can be used. One line, for people.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// There is no such profile.
    #[error("agent.profile: there is no profile {name:?}; there are: {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// Its file cannot be used.
    #[error("agent profile {name:?} ({file}): {problem}")]
    Unusable {
        /// The profile's name.
        name: String,
        /// Where it was read.
        file: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl Profile {
    /// The profile of this name; a file `<dir>/<name>.toml` goes before a built-in one. `auto` is the first built-in
    /// agent whose program is on `path`, and the demo agent where none is.
    ///
    /// # Errors
    /// [`ProfileError`].
    pub fn find(name: &str, dir: &Path, path: Option<&OsString>) -> Result<Self, ProfileError> {
        if name == "auto" {
            let installed = BUILT_IN.iter().find(|(name, _)| *name != "demo" && program_on_path(name, path).is_some());
            return Self::find(installed.map_or("demo", |(name, _)| name), dir, path);
        }
        let file = dir.join(format!("{name}.toml"));
        let plain_name = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if plain_name && !dir.as_os_str().is_empty() && file.exists() {
            let text = std::fs::read_to_string(&file).map_err(|error| ProfileError::Unusable {
                name: name.to_owned(),
                file: file.display().to_string(),
                problem: error.to_string(),
            })?;
            return Self::parse(name, &text, &file.display().to_string());
        }
        match BUILT_IN.iter().find(|(built_in, _)| *built_in == name) {
            Some((_, text)) => Self::parse(name, text, "built in"),
            None => Err(ProfileError::Unknown {
                name: name.to_owned(),
                known: BUILT_IN.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", "),
            }),
        }
    }

    fn parse(name: &str, text: &str, file: &str) -> Result<Self, ProfileError> {
        let unusable =
            |problem: String| ProfileError::Unusable { name: name.to_owned(), file: file.to_owned(), problem };
        let profile: Profile = toml::from_str(text).map_err(|error| unusable(error.to_string()))?;
        if profile.command.first().is_none_or(String::is_empty) {
            return Err(unusable("`command` is empty".to_owned()));
        }
        if profile.hooks.is_none() && profile.command.iter().any(|word| word.contains(SETTINGS)) {
            return Err(unusable(format!("`command` names {SETTINGS}, and without `hooks` there are none")));
        }
        Ok(Self { name: name.to_owned(), ..profile })
    }

    /// Settings that make the agent call the program `own` for its events, where the profile wants that.
    pub fn settings(&self, own: &Path) -> Option<String> {
        self.hooks.map(|Hooks::Claude| claude::settings(own))
    }

    /// Program and arguments, with `own` in place of `{paliadin}`, and `settings` in place of `{settings}`.
    pub fn argv(&self, own: &Path, settings: Option<&Path>) -> Vec<String> {
        let own = own.display().to_string();
        let settings = settings.map(|path| path.display().to_string()).unwrap_or_default();
        self.command.iter().map(|word| word.replace(OWN_PROGRAM, &own).replace(SETTINGS, &settings)).collect()
    }

    /// True for the agent that only shows how everything works.
    pub fn is_demo(&self) -> bool {
        self.name == "demo"
    }
}

/// Where `program` lies on a search path.
pub fn program_on_path(program: &str, path: Option<&OsString>) -> Option<PathBuf> {
    std::env::split_paths(path?).map(|dir| dir.join(program)).find(|file| {
        let executable = |meta: std::fs::Metadata| std::os::unix::fs::PermissionsExt::mode(&meta.permissions()) & 0o111;
        file.metadata().is_ok_and(|meta| meta.is_file() && executable(meta) != 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_profiles_can_be_read() {
        for (name, _) in BUILT_IN {
            let profile = Profile::find(name, Path::new(""), None).unwrap();
            assert_eq!(&profile.name, name);
            assert_eq!(profile.reply.is_some(), profile.is_demo(), "{name}");
        }
        assert!(Profile::find("auto", Path::new(""), None).unwrap().is_demo());
    }

    #[test]
    fn claude_is_found_where_it_is_installed_and_gets_settings() {
        let dir = tempfile::tempdir().unwrap();
        let path = Some(dir.path().as_os_str().to_owned());
        let program = dir.path().join("claude");
        std::fs::write(&program, "").unwrap();
        assert!(Profile::find("auto", Path::new(""), path.as_ref()).unwrap().is_demo(), "it cannot be run");
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&program, executable).unwrap();
        let claude = Profile::find("auto", Path::new(""), path.as_ref()).unwrap();
        assert_eq!((claude.name.as_str(), claude.hooks), ("claude", Some(Hooks::Claude)));
        let argv = claude.argv(Path::new("/bin/paliadin"), Some(Path::new("/spool/in/settings.json")));
        assert_eq!(argv[..3], ["claude", "--settings", "/spool/in/settings.json"]);
        assert!(!argv.iter().any(|word| word.contains('\n') || word.contains("{settings}")), "{argv:?}");
        assert!(claude.settings(Path::new("/bin/paliadin")).unwrap().contains("'/bin/paliadin' hook"));
    }

    #[test]
    fn an_unknown_or_unusable_profile_is_named() {
        let text = Profile::find("nobody", Path::new(""), None).unwrap_err().to_string();
        assert!(text.contains("nobody") && text.contains("demo"), "{text}");
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("mine.toml"), "command = []\nspeed = 3\n").unwrap();
        let text = Profile::find("mine", dir.path(), None).unwrap_err().to_string();
        assert!(text.contains("mine") && text.contains("speed"), "{text}");
        let needless = "command = ['x', '{settings}']\nnewline = 'lf'\ninterrupt_key = 'Escape'\n";
        std::fs::write(dir.path().join("mine.toml"), needless).unwrap();
        let text = Profile::find("mine", dir.path(), None).unwrap_err().to_string();
        assert!(text.contains("hooks"), "{text}");
    }
}

//! Profiles: how one agent program is started, typed to and interrupted.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use regex::Regex;
use serde::Deserialize;

use super::{claude, codex};

/// Profiles that are part of the program: name and text.
const BUILT_IN: &[(&str, &str)] = &[
    ("claude", include_str!("../../config/agents/claude.toml")),
    ("codex", include_str!("../../config/agents/codex.toml")),
    ("demo", include_str!("../../config/agents/demo.toml")),
];

/// Stands for the path of the generated settings.
const SETTINGS: &str = "{settings}";

/// Stands for the words that make codex call `paliadin hook`; a word of its own in a profile's command.
const HOOKS: &str = "{hooks}";
/// Stands for the agent session's name.
const SESSION: &str = "{session}";

/// Stands for what the agent told that resumes its memory, in a profile's `resume`.
const RESUME_ID: &str = "{resume_id}";

/// Variables that every agent gets from the server's environment, where they are set. Nothing else of it is passed.
const PASSED_ON: &[&str] = &["PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR"];

/// How one agent program is started, typed to and interrupted. `config/agents/demo.toml` says what each field means.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The name it is chosen by.
    #[serde(skip)]
    pub name: String,
    /// Program and arguments, never run by a shell.
    pub command: Vec<String>,
    /// Words before the command: a program that confines the agent, or gives it another account.
    #[serde(default)]
    pub launch: Vec<String>,
    /// The account under which `launch` runs the agent, and which owns `out/`; empty: the server's own.
    #[serde(default)]
    pub owner: String,
    /// Whose home directory the agent has.
    #[serde(default)]
    pub home: Home,
    /// Variables that the agent gets, with their values.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// Further variables that are passed on from the server's environment.
    #[serde(default)]
    pub pass_environment: Vec<String>,
    /// When an agent that has ended is started again.
    #[serde(default)]
    pub restart: RestartPolicy,
    /// Words after the command with which the agent takes up its memory again; empty: it cannot.
    #[serde(default)]
    pub resume: Vec<String>,
    /// What shows that the agent takes input.
    #[serde(default)]
    pub ready: ReadySign,
    /// What a line of the terminal looks like in which the agent takes input; absent: nothing is known of it.
    #[serde(default)]
    pub input: Option<Pattern>,
    /// Whether the terminal's cursor is shown, in that line or one of the lines below into which the text goes on, whenever
    /// the agent takes input; a line that looks like it is none without.
    #[serde(default)]
    pub cursor: bool,
    /// What the terminal's title looks like while the agent takes input; absent: it tells nothing.
    #[serde(default)]
    pub idle_title: Option<Pattern>,
    /// What stands in the input instead of a long text that was pasted; absent: the text itself.
    #[serde(default)]
    pub pasted: Option<Pattern>,
    /// How a line break inside a message is typed.
    pub newline: NewlineManner,
    /// The key, in tmux's words, that stops the agent in mid-answer.
    pub interrupt_key: String,
    /// How a person's reply to what the agent asks is handed over; absent: in the agent's terminal only.
    #[serde(default)]
    pub reply: Option<ReplyManner>,
    /// Whose events `paliadin hook` is to report.
    #[serde(default)]
    pub hooks: Option<Hooks>,
    /// Words after the program with which it tells by its exit status whether it is signed in (0); empty: it cannot tell.
    #[serde(default)]
    pub signed_in: Vec<String>,
    /// Where the agent looks for skills, from its working directory; absent: it knows none.
    #[serde(default)]
    pub skills: Option<PathBuf>,
}

/// Whose home directory the agent has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Home {
    /// That of its account.
    #[default]
    Shared,
    /// One of the session's own.
    PerSession,
}

/// When an agent that has ended is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RestartPolicy {
    /// At once, until nobody has needed it for a while.
    Permanent,
    /// When a turn needs it.
    #[default]
    OnDemand,
    /// Not before its session is reset.
    Never,
}

/// What shows that the agent takes input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReadySign {
    /// It reports so.
    #[default]
    Signal,
    /// Its terminal shows [`Profile::input`].
    Input,
}

/// A regular expression for one line of the terminal.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct Pattern(Regex);

impl Pattern {
    /// Where in the line it is found, if it is.
    pub fn find(&self, line: &str) -> Option<std::ops::Range<usize>> {
        self.0.find(line).map(|found| found.range())
    }
}

impl TryFrom<String> for Pattern {
    type Error = regex::Error;
    fn try_from(text: String) -> Result<Self, regex::Error> {
        Regex::new(&text).map(Self)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

/// How a reply is handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReplyManner {
    /// The text is typed, and Enter pressed.
    Line,
    /// A hook of the agent's waits for it (see [`Profile::hooks`]).
    Hook,
}

/// Programs that run a command for each of their events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hooks {
    /// Claude Code: settings for it are generated.
    Claude,
    /// codex: they are given in its command.
    Codex,
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
    /// The file that holds the profile of this name; `None`: it is built in, or there is none.
    pub fn file(name: &str, dir: &Path) -> Option<PathBuf> {
        let file = dir.join(format!("{name}.toml"));
        let plain_name = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        (plain_name && !dir.as_os_str().is_empty() && file.exists()).then_some(file)
    }

    /// The profile of this name; a file `<dir>/<name>.toml` goes before a built-in one. `auto` is `claude` where that
    /// program is on `path`, and the demo agent where it is not.
    ///
    /// # Errors
    /// [`ProfileError`].
    pub fn find(name: &str, dir: &Path, path: Option<&OsString>) -> Result<Self, ProfileError> {
        if name == "auto" {
            let installed =
                BUILT_IN.iter().find(|(name, _)| *name == "claude" && program_on_path(name, path).is_some());
            return Self::find(installed.map_or("demo", |(name, _)| name), dir, path);
        }
        if let Some(file) = Self::file(name, dir) {
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
        let mut words = profile.launch.iter().chain(&profile.command).chain(profile.environment.values());
        if profile.hooks != Some(Hooks::Claude) && words.any(|word| word.contains(SETTINGS)) {
            return Err(unusable(format!("it names {SETTINGS}, and without `hooks = \"claude\"` there are none")));
        }
        if profile.hooks != Some(Hooks::Codex) && profile.command.iter().any(|word| word == HOOKS) {
            return Err(unusable(format!("`command` names {HOOKS}, and without `hooks = \"codex\"` there are none")));
        }
        if profile.ready == ReadySign::Input && profile.input.is_none() {
            return Err(unusable("`ready = \"input\"` needs `input`".to_owned()));
        }
        if profile.input.is_none() && (profile.cursor || profile.pasted.is_some()) {
            return Err(unusable("`cursor` and `pasted` need `input`".to_owned()));
        }
        if profile.reply == Some(ReplyManner::Hook) && profile.hooks.is_none() {
            return Err(unusable("`reply = \"hook\"` needs `hooks`".to_owned()));
        }
        if !profile.resume.is_empty() && !profile.resume.iter().any(|word| word.contains(RESUME_ID)) {
            return Err(unusable(format!("`resume` does not name {RESUME_ID}")));
        }
        let unnamed = |name: &&String| name.is_empty() || name.contains(['=', '\0']);
        if let Some(name) = profile.environment.keys().find(unnamed) {
            return Err(unusable(format!("`environment`: {name:?} cannot be the name of a variable")));
        }
        Ok(Self { name: name.to_owned(), ..profile })
    }

    /// A person's reply comes by way of `paliadin hook`.
    fn has_reply_hook(&self) -> bool {
        self.reply == Some(ReplyManner::Hook)
    }

    /// Settings that make the agent call the program `own` for its events, where the profile wants that. `version` is what
    /// the agent program says of itself with `--version`; empty where it says nothing.
    pub fn settings(&self, own: &Path, version: &str) -> Option<String> {
        (self.hooks == Some(Hooks::Claude)).then(|| claude::settings(own, version, self.has_reply_hook()))
    }

    /// The words that start the agent.
    pub fn argv(&self, places: &Places<'_>) -> Vec<String> {
        let given = |word: &String| match word.as_str() {
            HOOKS => codex::arguments(places.own, self.has_reply_hook()),
            word => vec![places.fill(word)],
        };
        self.launch.iter().chain(&self.command).flat_map(given).collect()
    }

    /// The words before the agent's program, and the program.
    pub fn program(&self, places: &Places<'_>) -> (Vec<String>, String) {
        let program = self.command.first().map(|word| places.fill(word)).unwrap_or_default();
        (self.launch.iter().map(|word| places.fill(word)).collect(), program)
    }

    /// The words with which it takes up the memory again that it named so; none where it cannot.
    pub fn resume_words(&self, id: &str) -> Vec<String> {
        self.resume.iter().map(|word| word.replace(RESUME_ID, id)).collect()
    }

    /// The variables that the profile sets.
    pub fn variables(&self, places: &Places<'_>) -> Vec<(String, String)> {
        self.environment.iter().map(|(name, value)| (name.clone(), places.fill(value))).collect()
    }

    /// Variables of our environment that its agents may see.
    pub fn passed_on(&self) -> Vec<(OsString, OsString)> {
        let names = PASSED_ON.iter().copied().chain(self.pass_environment.iter().map(String::as_str));
        names.filter_map(|name| Some((name.into(), std::env::var_os(name)?))).collect()
    }

    /// The name of the account that runs this session's agent; `None`: the server's own.
    pub fn owner_of(&self, session: &str) -> Option<String> {
        (!self.owner.is_empty()).then(|| self.owner.replace(SESSION, session))
    }

    /// The account that runs every agent, if it is one and the same.
    pub fn only_owner(&self) -> Option<&str> {
        Some(self.owner.as_str()).filter(|owner| !owner.is_empty() && !owner.contains(SESSION))
    }

    /// True for the agent that only shows how everything works.
    pub fn is_demo(&self) -> bool {
        self.name == "demo"
    }
}

/// What stands in the place of a profile's placeholders.
#[derive(Debug, Clone, Copy)]
pub struct Places<'a> {
    /// `{paliadin}`: this program's own path.
    pub own: &'a Path,
    /// `{settings}`: the path of the generated settings; only a profile that has some names it.
    pub settings: &'a Path,
    /// `{session}`: the agent session's name.
    pub session: &'a str,
    /// `{spool}`: the path of its spool.
    pub spool: &'a Path,
}

impl Places<'_> {
    /// The text with everything in its place. What was put there is not looked at again.
    fn fill(&self, text: &str) -> String {
        let shown = |path: &Path| path.display().to_string();
        let known = [
            ("{paliadin}", shown(self.own)),
            (SETTINGS, shown(self.settings)),
            (SESSION, self.session.to_owned()),
            ("{spool}", shown(self.spool)),
        ];
        let (mut filled, mut rest) = (String::with_capacity(text.len()), text);
        while let Some(at) = rest.find('{') {
            let found = known.iter().find_map(|(name, value)| Some((rest[at..].strip_prefix(name)?, value.as_str())));
            let (after, value) = found.unwrap_or((&rest[at + 1..], "{"));
            filled.push_str(&rest[..at]);
            filled.push_str(value);
            rest = after;
        }
        filled + rest
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
mod tests;

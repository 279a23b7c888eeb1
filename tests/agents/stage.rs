//! One test's product with a real agent and a model for it.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::model::Model;
use crate::harness::processes::Process;
use crate::harness::{Accepted, Client, TestApp, Tested, eventually};

/// What the suite has to know of an agent program.
pub struct Agent {
    /// Its name, and that of its built-in profile.
    pub name: &'static str,
    /// The directory of its `package.json`, from `tests/agents`.
    pub packages: &'static str,
    /// The variable without which it is not tested.
    pub only_with: Option<&'static str>,
    /// How it is prepared: where the model is, and which commands it may run unasked.
    pub prepare: fn(&mut TestApp, SocketAddr, Commands) -> Tested<Vec<String>>,
    /// Gives its answer in pieces while it is written.
    pub streams: bool,
    /// Tells at once when its terminal is cleared; else with the next message.
    pub tells_of_clear: bool,
    /// What its terminal shows below an answer when it has come to rest.
    pub rests: &'static str,
    /// Asks its model for a title, too.
    pub asks_beside: bool,
    /// What becomes of a message on its way through the agent's input, beyond the white space at its end.
    pub input: fn(&str) -> String,
}

/// What an agent may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Commands {
    /// Whatever it wants to.
    All,
    /// Only what a person allows.
    Asked,
}

impl Agent {
    /// Whether this run is to test it.
    pub fn is_wanted(&self) -> bool {
        self.only_with.is_none_or(|name| std::env::var(name).is_ok_and(|value| value == "1"))
    }

    /// A message, or what became of it, as it is to be compared.
    pub fn as_typed(&self, message: &str) -> String {
        (self.input)(message.trim_end())
    }

    /// The directory of its program.
    fn bin(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/agents").join(self.packages).join("node_modules/.bin")
    }

    /// # Errors
    /// Where it is not installed.
    pub fn check_installed(&self) -> Tested {
        let program = self.bin().join(self.name);
        match fs::metadata(&program) {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("{}: {error}: `make agents` installs it", program.display()).into()),
        }
    }

    /// Whether this is the program itself: not its launcher, and nothing that it runs.
    pub fn is_it(&self, process: &Process) -> bool {
        let program = process.arguments.first().map(Path::new);
        let name = program.and_then(Path::file_stem).map(std::ffi::OsStr::to_string_lossy);
        name.is_some_and(|name| name == self.name)
    }

    /// The text of the built-in profile, with further words at the end of its command.
    fn profile(&self, words: Vec<String>) -> Tested<String> {
        let built_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/agents").join(format!("{}.toml", self.name));
        let mut profile: toml::Table = fs::read_to_string(built_in)?.parse()?;
        let command = profile.get_mut("command").and_then(toml::Value::as_array_mut).ok_or("no command")?;
        command.extend(words.into_iter().map(toml::Value::String));
        Ok(profile.to_string())
    }
}

/// A product, and who is on it.
pub struct Stage {
    /// The product.
    pub app: TestApp,
    /// The model.
    pub model: Model,
    /// The person.
    pub user: Client,
    agent: &'static Agent,
}

impl Stage {
    /// Starts it; the agent is started by the first turn.
    pub async fn start(agent: &'static Agent) -> Tested<Self> {
        Self::with(agent, Commands::All).await
    }

    /// Starts it with an agent that may do this.
    pub async fn with(agent: &'static Agent, commands: Commands) -> Tested<Self> {
        let model = Model::start().await?;
        let mut app = TestApp::prepare(&[])?;
        let words = (agent.prepare)(&mut app, model.address(), commands)?;
        let profiles = app.root().join("profiles");
        fs::create_dir(&profiles)?;
        fs::write(profiles.join(format!("{}.toml", agent.name)), agent.profile(words)?)?;
        app.set("PALIADIN_AGENT__PROFILES_DIR", &profiles.display().to_string());
        app.set("PALIADIN_PROFILE", agent.name);
        let path = std::env::var("PATH")?;
        app.set("PATH", &format!("{}:{path}", agent.bin().display()));
        app.boot().await?;
        let user = app.owner()?;
        Ok(Self { app, model, user, agent })
    }

    /// Waits for the answer of a turn, which must be done.
    pub async fn answer(&self, turn: &Accepted) -> Tested<String> {
        let row = self.user.ended(turn).await?;
        match row["response"].as_str() {
            Some(response) if row["state"] == "done" => Ok(response.to_owned()),
            _ => Err(format!("not done: {row}\n{}", self.screen()).into()),
        }
    }

    /// Ends the agent by way of the product. One whose terminal is just taken away may take its time.
    pub async fn close(self) -> Tested {
        let told = self.user.reset().await?;
        if told == json!({ "ok": true }) { Ok(()) } else { Err(format!("not reset: {told}").into()) }
    }

    /// What is said of the agent session.
    pub async fn session(&self) -> Tested<Value> {
        Ok(self.user.status().await?["agent_session"].clone())
    }

    /// The agent's own process.
    pub fn process(&self) -> Tested<Process> {
        let mut found = self.app.processes()?;
        found.retain(|process| self.agent.is_it(process));
        // It may have begun another one of itself; the first one is it.
        found.into_iter().min_by_key(|process| process.pid).ok_or_else(|| "the agent does not run".into())
    }

    /// What the agent's terminal shows.
    pub fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"]).unwrap_or_else(|error| error.to_string())
    }

    /// A person types a line at the agent's terminal.
    pub fn type_line(&self, line: &str) -> Tested {
        self.tmux(&["set-buffer", "-b", "typed", "--", line, ";", "paste-buffer", "-p", "-d", "-b", "typed"])?;
        self.tmux(&["send-keys", "Enter"]).map(drop)
    }

    /// Waits until the agent's terminal shows this, or does not.
    pub async fn shows(&self, is_so: impl Fn(&str) -> bool) -> Tested {
        eventually("the screen", async || Ok(is_so(&self.screen()).then_some(()))).await
    }

    /// Waits until the agent has reported this so often.
    pub async fn reported(&self, event: &str, times: usize) -> Tested {
        let (reports, wanted) = (self.app.spool()?.join("out/events.jsonl"), format!("\"event\":\"{event}\""));
        let look = async || Ok((fs::read_to_string(&reports)?.matches(&wanted).count() >= times).then_some(()));
        eventually(&format!("the report {event:?}"), look).await
    }

    fn tmux(&self, arguments: &[&str]) -> Tested<String> {
        let mut command = Command::new("tmux");
        command.arg("-S").arg(self.app.tmux_socket()).args(arguments).env_remove("TMUX").env_remove("TMUX_PANE");
        let output = command.output()?;
        if !output.status.success() {
            return Err(format!("tmux {arguments:?}: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // Shown by the test runner where the test fails.
        println!("the agent's screen:\n{}", self.screen().trim_end());
    }
}

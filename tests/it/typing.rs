//! Typing to agents that echo late, swallow Enter or show dialogs: no message is lost, none doubled, no dialog answered.

mod dialogs;
mod echoes;
mod player;
mod restarts;

use std::fs;

use paliadin::tmux::{PaneInfo, Server};

use crate::harness::{Accepted, Client, TestApp, Tested, eventually};

/// Time for an agent to be seen to have a message, before Enter is pressed again or a person is told of a dialog.
const CONFIRM: &str = "600ms";

/// A product whose agent is the player, with these manners.
struct Stage {
    app: TestApp,
    user: Client,
}

impl Stage {
    async fn with(manners: &str, variables: &[(&str, &str)]) -> Tested<Self> {
        let mut app = TestApp::prepare(variables)?;
        let profiles = app.root().join("profiles");
        fs::create_dir(&profiles)?;
        let play = std::env::current_exe()?.display().to_string();
        let manners = format!("{}={manners}", player::MANNERS);
        let keys = format!("{}={}", player::KEYS, app.root().join("keys").display());
        let log = format!("PALIADIN_DEMO_TYPED_LOG={}", app.root().join("typed.log").display());
        let words =
            ["env", &manners, &keys, &log, &play, "--ignored", "--exact", "typing::player::play", "--nocapture"];
        let profile = format!(
            "command = {words:?}\nready = \"input\"\ninput = '^> '\ncursor = true\npasted = '^\\[Pasted '\n\
             newline = \"lf\"\ninterrupt_key = \"Escape\"\nreply = \"line\"\n"
        );
        fs::write(profiles.join("player.toml"), profile)?;
        app.set("PALIADIN_AGENT__PROFILES_DIR", &profiles.display().to_string());
        app.set("PALIADIN_PROFILE", "player");
        app.set("PALIADIN_AGENT__CONFIRM_TIMEOUT", CONFIRM);
        app.boot().await?;
        let user = app.user("ann@example.org")?;
        Ok(Self { app, user })
    }

    /// What came to the agent, key by key.
    fn keys(&self) -> Vec<String> {
        let keys = fs::read_to_string(self.app.root().join("keys")).unwrap_or_default();
        keys.lines().map(str::to_owned).collect()
    }

    /// Keys without what was pasted where.
    fn pressed(&self) -> Vec<String> {
        let word = |key: String| {
            key.split_once(" ").filter(|(word, _)| *word == "paste").map_or(key.clone(), |(w, _)| w.to_owned())
        };
        self.keys().into_iter().map(word).collect()
    }

    /// Asks; the turn must be answered with what was asked, and typed once as it is.
    async fn says(&self, message: &str) -> Tested {
        let turn = self.user.ask(message).await?;
        self.said(&turn, message).await
    }

    async fn said(&self, turn: &Accepted, message: &str) -> Tested {
        let row = self.user.ended(turn).await?;
        assert_eq!(row["state"], "done", "{row} {:?}", self.keys());
        let typed = self.app.typed(&turn.turn_id)?;
        assert_eq!(typed.len(), 1, "{typed:?}");
        assert_eq!(typed[0].raw, format!("[PALIADIN:{}] {message} ", turn.turn_id), "byte for byte, and a space");
        Ok(())
    }

    /// Looks at the agent's terminal until it shows this.
    async fn shows(&self, server: &Server, text: &str) -> Tested<PaneInfo> {
        let look = async || {
            let Some(info) = server.panes().await?.pop() else { return Ok(None) };
            let screen = server.capture(&info.pane).await?.join("\n");
            Ok(screen.contains(text).then_some(info))
        };
        eventually(text, look).await
    }

    /// A person opens a dialog, as an agent does by itself at any time.
    async fn opens_dialog(&self, server: &Server) -> Tested<PaneInfo> {
        let info = self.shows(server, "Say something").await?;
        server.send_key(&info.pane, "d").await?;
        self.shows(server, "Proceed?").await
    }

    /// Nothing follows the terminal any more.
    async fn is_left_alone(&self) -> Tested {
        let none = async || Ok(self.followers()?.is_empty().then_some(()));
        eventually("nobody to follow the terminal", none).await
    }

    /// The processes through which the terminal's output is followed.
    fn followers(&self) -> Tested<Vec<crate::harness::processes::Process>> {
        Ok(self.app.processes()?.into_iter().filter(|process| process.arguments == ["cat"]).collect())
    }
}

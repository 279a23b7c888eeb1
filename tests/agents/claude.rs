//! Claude Code (npm `@anthropic-ai/claude-code`, proprietary): tested only where `PALIADIN_TEST_CLAUDE=1`.

use std::net::SocketAddr;

use serde_json::json;

use super::run_for;
use super::stage::{Agent, Commands, Stage};
use crate::harness::{TestApp, Tested};

/// Claude Code.
static CLAUDE: Agent = Agent {
    name: "claude",
    packages: "claude",
    only_with: Some("PALIADIN_TEST_CLAUDE"),
    prepare,
    streams: true,
    tells_of_clear: true,
    rests: "· done ",
    asks_beside: false,
    // A tab becomes spaces there.
    input: |message| message.replace('\t', "    "),
};

/// Its home is that of someone who has been through its first questions, and trusts the directories of this test. The
/// model's address and the token that it does not look at come by variables, which the profile passes on.
fn prepare(app: &mut TestApp, model: SocketAddr, commands: Commands) -> Tested<Vec<String>> {
    let home = app.root().join("claude");
    std::fs::create_dir(&home)?;
    let trusted = app.root().canonicalize()?.display().to_string();
    let known = json!({"hasCompletedOnboarding": true, "projects": {trusted: {"hasTrustDialogAccepted": true}}});
    std::fs::write(home.join(".claude.json"), known.to_string())?;
    app.set("CLAUDE_CONFIG_DIR", &home.display().to_string());
    app.set("ANTHROPIC_BASE_URL", &format!("http://{model}"));
    app.set("ANTHROPIC_AUTH_TOKEN", "not-looked-at");
    let mut words = vec!["--permission-mode", "default"];
    if commands == Commands::All {
        words.extend(["--allowedTools", "Bash"]);
    }
    Ok(words.into_iter().map(str::to_owned).collect())
}

run_for! { CLAUDE =>
    starts_from_nothing,
    answers_three_in_a_row,
    uses_tools,
    gets_messages_as_they_are,
    streams,
    is_interrupted,
    is_told_again_what_was_cleared,
    takes_up_its_memory,
    tells_of_overload,
    asks_for_permission,
}

/// The same with a home that nobody has used: there it has first questions, which only a person answers.
static NEW: Agent = Agent { prepare: prepare_new, ..CLAUDE };

fn prepare_new(app: &mut TestApp, model: SocketAddr, commands: Commands) -> Tested<Vec<String>> {
    let words = prepare(app, model, commands)?;
    std::fs::remove_file(app.root().join("claude/.claude.json"))?;
    app.set("PALIADIN_AGENT__READY_TIMEOUT", "10s");
    Ok(words)
}

#[test]
fn is_not_ready_where_it_has_first_questions() -> Tested {
    let name = concat!(module_path!(), "::is_not_ready_where_it_has_first_questions");
    super::isolation::run(name, &NEW, async {
        let stage = Stage::start(&NEW).await?;
        let turn = stage.user.ask("!text never asked").await?;
        let row = stage.user.ended(&turn).await?;
        assert_eq!((&row["state"], &row["error_code"]), (&json!("failed"), &json!("bootstrap_failed")), "{row}");
        assert!(stage.model.asked().is_empty());
        let doctor = stage.app.run(&["doctor"])?;
        let told = String::from_utf8_lossy(&doctor.stdout);
        for words in ["FAIL  ready: the agent was not ready", "Let's get started.", "start it once by hand"] {
            assert!(told.contains(words), "{words:?} is not in {told}");
        }
        assert_eq!(doctor.status.code(), Some(1));
        stage.close().await
    })
}

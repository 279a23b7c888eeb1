//! Claude Code (npm `@anthropic-ai/claude-code`, proprietary): tested only where `PALIADIN_TEST_CLAUDE=1`.

use std::net::SocketAddr;

use serde_json::json;

use super::run_for;
use super::stage::{Agent, Commands};
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

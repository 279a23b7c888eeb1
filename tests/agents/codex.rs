//! codex (npm `@openai/codex`, Apache-2.0). It neither streams nor writes answer files here: its own signals end turns.

use std::net::SocketAddr;

use super::run_for;
use super::stage::{Agent, Commands};
use crate::harness::{TestApp, Tested};

/// codex.
static CODEX: Agent = Agent {
    name: "codex",
    packages: ".",
    only_with: None,
    prepare,
    streams: false,
    tells_of_clear: false,
    rests: "Worked for",
    asks_beside: true,
    input: str::to_owned,
};

fn prepare(app: &mut TestApp, model: SocketAddr, commands: Commands) -> Tested<Vec<String>> {
    let home = app.root().join("codex");
    std::fs::create_dir(&home)?;
    app.set("CODEX_HOME", &home.display().to_string());
    let provider = format!(
        "model_providers.fake={{name=\"fake\",base_url=\"http://{model}/v1\",wire_api=\"responses\",\
         requires_openai_auth=false,supports_websockets=false,request_max_retries=0,stream_max_retries=0}}"
    );
    let mut settings = vec!["model=\"fake-model\"".to_owned(), "model_provider=\"fake\"".to_owned(), provider];
    let (sandbox, approval) = match commands {
        Commands::All => ("danger-full-access", "never"),
        Commands::Asked => ("workspace-write", "on-request"),
    };
    settings.push(format!("sandbox_mode=\"{sandbox}\""));
    settings.push(format!("approval_policy=\"{approval}\""));
    Ok(settings.into_iter().flat_map(|setting| ["-c".to_owned(), setting]).collect())
}

run_for! { CODEX =>
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

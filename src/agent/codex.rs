//! codex: the words of its command that make it call `paliadin hook`. What its events mean stands in [`super::hook`].
//!
//! codex runs a hook only that a person has reviewed: it keeps a digest of the hook's definition. For hooks that stand in
//! its own command, the digest stands there, too: whoever may start the program has decided. So exactly these hooks run,
//! nothing is written into its configuration, and no dialog is shown. Names and digest are those of 0.171.

use std::path::Path;

use serde_json::json;
use sha2::{Digest, Sha256};

use super::claude::hook_command;

/// Events that are reported, and how codex names them where it keeps their digests.
const EVENTS: [(&str, &str); 8] = [
    ("SessionStart", "session_start"),
    ("SessionEnd", "session_end"),
    ("UserPromptSubmit", "user_prompt_submit"),
    ("PreToolUse", "pre_tool_use"),
    ("PermissionRequest", "permission_request"),
    ("PostToolUse", "post_tool_use"),
    ("Stop", "stop"),
    ("Interrupt", "interrupt"),
];

/// Seconds that the agent waits for a hook at most. It takes milliseconds. codex cuts what some events are given to this,
/// and the digest is of what it has made of it.
const HOOK_TIMEOUT: u32 = 3;
/// Seconds that it waits for one that waits for a person: a day.
const REPLY_TIMEOUT: u32 = 24 * 60 * 60;

/// The words. With `reply`, a person's reply comes by way of the hook.
pub fn arguments(own_program: &Path, reply: bool) -> Vec<String> {
    let command = hook_command(own_program, reply);
    let timeout = |event| if reply && event == "PermissionRequest" { REPLY_TIMEOUT } else { HOOK_TIMEOUT };
    let hooks = EVENTS.map(|(event, _)| {
        // A text of JSON is one of TOML, too.
        let (command, timeout) = (json!(command), timeout(event));
        format!("hooks.{event}=[{{hooks=[{{type=\"command\",command={command},timeout={timeout}}}]}}]")
    });
    let trusted = EVENTS.map(|(event, name)| {
        let digest = digest(name, &command, timeout(event));
        format!("\"/<session-flags>/config.toml:{name}:0:0\"={{trusted_hash=\"{digest}\"}}")
    });
    let state = format!("hooks.state={{{}}}", trusted.join(","));
    hooks.into_iter().chain([state]).flat_map(|setting| ["-c".to_owned(), setting]).collect()
}

/// codex's own digest of a hook: of its definition as JSON, the names in alphabetical order.
fn digest(event_name: &str, command: &str, timeout: u32) -> String {
    let hook = json!({ "async": false, "command": command, "timeout": timeout, "type": "command" });
    let definition = json!({ "event_name": event_name, "hooks": [hook] }).to_string();
    let digest: String = Sha256::digest(definition).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{digest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_has_its_hook_and_the_hook_its_digest() {
        let words = arguments(Path::new("/opt/it's \"here\"/paliadin"), true);
        assert_eq!(words.len(), 2 * (EVENTS.len() + 1));
        let settings: Vec<&String> = words.iter().skip(1).step_by(2).collect();
        assert!(words.iter().step_by(2).all(|word| word == "-c"));
        for setting in &settings {
            let table: toml::Table = toml::from_str(setting).unwrap_or_else(|error| panic!("{setting}: {error}"));
            assert_eq!(table.len(), 1);
        }
        let asks: toml::Table = toml::from_str(settings[4]).unwrap();
        let hook = &asks["hooks"]["PermissionRequest"][0]["hooks"][0];
        assert_eq!(hook["command"].as_str(), Some(r#"'/opt/it'\''s "here"/paliadin' hook --reply"#));
        assert_eq!(hook["timeout"].as_integer(), Some(i64::from(REPLY_TIMEOUT)));
        let state: toml::Table = toml::from_str(settings[EVENTS.len()]).unwrap();
        assert_eq!(state["hooks"]["state"].as_table().unwrap().len(), EVENTS.len());
    }

    #[test]
    fn the_digest_is_of_the_sorted_definition() {
        // No space, and no other order: the digest is of these very bytes.
        let definition =
            r#"{"event_name":"stop","hooks":[{"async":false,"command":"x","timeout":3,"type":"command"}]}"#;
        let expected: String = Sha256::digest(definition).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(digest("stop", "x", 3), format!("sha256:{expected}"));
    }
}

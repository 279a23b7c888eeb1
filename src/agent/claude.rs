//! Claude Code: the settings that make it call `paliadin hook`. What its events mean stands in [`super::hook`].

use std::path::Path;

use serde_json::{Map, Value, json};

/// Events that are reported, and whether they are about a tool. A tool event takes a matcher; `*` is every tool
/// (hooks reference, "Matcher patterns"). A version that does not know a name asks a question about it at its start, so
/// none is here that is not needed. The youngest is `StopFailure`, of 2.1.78.
const EVENTS: [(&str, bool); 10] = [
    ("SessionStart", false),
    ("UserPromptSubmit", false),
    ("PreToolUse", true),
    ("PermissionRequest", true),
    ("PostToolUse", true),
    ("PostToolUseFailure", true),
    ("Notification", false),
    ("Stop", false),
    ("StopFailure", false),
    ("SessionEnd", false),
];

/// Tells the text of a message while it is shown, and is known since [`TELLS_TEXT`].
const TEXT_EVENT: &str = "MessageDisplay";
/// The first version that knows it.
const TELLS_TEXT: [u32; 3] = [2, 1, 152];

/// The first version that knows [`EVENTS`].
const OLDEST: [u32; 3] = [2, 1, 78];

/// Seconds that the agent waits for a hook at most. It takes milliseconds; the default is ten minutes.
const HOOK_TIMEOUT: u32 = 10;
/// Seconds that it waits for one that waits for a person: a day.
const REPLY_TIMEOUT: u32 = 24 * 60 * 60;

/// The settings for `--settings`: every event runs `<own program> hook` in a shell. `version` is what the program says of
/// itself (`2.1.332 (Claude Code)`); with `reply`, a person's reply comes by way of the hook.
pub fn settings(own_program: &Path, version: &str, reply: bool) -> String {
    let command = hook_command(own_program, reply);
    let group = |name: &str, of_tools: bool| {
        let timeout = if reply && name == "PermissionRequest" { REPLY_TIMEOUT } else { HOOK_TIMEOUT };
        let hook = json!({ "type": "command", "command": command, "timeout": timeout });
        if of_tools { json!([{ "matcher": "*", "hooks": [hook] }]) } else { json!([{ "hooks": [hook] }]) }
    };
    let text = Some((TEXT_EVENT, false)).filter(|_| number(version) >= Some(TELLS_TEXT));
    let events = EVENTS.into_iter().chain(text);
    let hooks: Map<String, Value> = events.map(|(name, of_tools)| (name.to_owned(), group(name, of_tools))).collect();
    format!("{:#}\n", json!({ "hooks": hooks }))
}

/// Whether this is a version that does not know what it is given.
pub fn is_too_old(version: &str) -> bool {
    number(version).is_some_and(|number| number < OLDEST)
}

/// The command for a shell that reports an event.
pub(super) fn hook_command(own_program: &Path, reply: bool) -> String {
    let quoted = own_program.display().to_string().replace('\'', r"'\''");
    format!("'{quoted}' hook{}", if reply { " --reply" } else { "" })
}

/// The version's number: the first word, three numbers between dots.
fn number(version: &str) -> Option<[u32; 3]> {
    let mut parts = version.split_whitespace().next()?.split('.').map(|part| part.parse().ok());
    Some([parts.next()??, parts.next()??, parts.next()??])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_run_the_hook_for_every_event() {
        let program = Path::new("/opt/it's here/paliadin");
        let read = |version, reply| serde_json::from_str::<Value>(&settings(program, version, reply)).unwrap();
        let old = read("2.1.78 (Claude Code)", false);
        let hook = json!([{"type": "command", "command": r"'/opt/it'\''s here/paliadin' hook", "timeout": 10}]);
        assert_eq!(old["hooks"]["SessionStart"], json!([{"hooks": hook}]));
        assert_eq!(old["hooks"]["PreToolUse"], json!([{"matcher": "*", "hooks": hook}]));
        assert_eq!(old["hooks"].as_object().unwrap().len(), EVENTS.len());
        let new = read("2.1.332 (Claude Code)", true);
        assert_eq!(new["hooks"].as_object().unwrap().len(), EVENTS.len() + 1);
        let asks = &new["hooks"]["PermissionRequest"][0]["hooks"][0];
        assert_eq!((&asks["timeout"], new["hooks"][TEXT_EVENT].is_array()), (&json!(REPLY_TIMEOUT), true));
        assert!(asks["command"].as_str().unwrap().ends_with("' hook --reply"));
    }

    #[test]
    fn a_version_is_read_where_there_is_one() {
        assert_eq!(number("2.1.332 (Claude Code)"), Some([2, 1, 332]));
        assert!(is_too_old("2.1.77 (Claude Code)") && !is_too_old("2.1.78 (Claude Code)") && !is_too_old("?"));
        for odd in ["", "claude", "2.1", "v2.1.3", "2.x.1"] {
            assert_eq!(number(odd), None, "{odd}");
        }
    }
}

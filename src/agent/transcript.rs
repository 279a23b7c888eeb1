//! What an agent writes down of a turn, for what it tells in no other way: Claude Code runs no hook when it is interrupted,
//! and codex none when its model's service fails.

use serde_json::Value;

/// How Claude Code notes an interrupt: as if the person had said it.
const INTERRUPTED: [&str; 2] = ["[Request interrupted by user]", "[Request interrupted by user for tool use]"];

/// How a turn ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ending {
    /// Someone interrupted it.
    Interrupted,
    /// It failed, for this reason.
    Failed(String),
}

/// The end that this line tells of the turn which the agent calls `prompt`.
pub fn ending(line: &str, prompt: &str) -> Option<Ending> {
    let line: Value = serde_json::from_str(line).ok()?;
    match line["type"].as_str()? {
        "event_msg" => codex(&line["payload"], prompt),
        "user" if line["rowSource"] == "harness" && line["promptId"] == prompt => claude(&line["message"]["content"]),
        _ => None,
    }
}

fn codex(payload: &Value, turn: &str) -> Option<Ending> {
    if payload["turn_id"] != turn {
        return None;
    }
    match payload["type"].as_str()? {
        "turn_aborted" => Some(Ending::Interrupted),
        "task_complete" if !payload["error"].is_null() => {
            let told = payload["error"]["message"].as_str().filter(|told| !told.trim().is_empty());
            Some(Ending::Failed(told.unwrap_or("the agent reported an error").to_owned()))
        }
        _ => None,
    }
}

fn claude(content: &Value) -> Option<Ending> {
    let mut texts = content.as_array()?.iter().filter_map(|part| part["text"].as_str());
    texts.any(|text| INTERRUPTED.contains(&text)).then_some(Ending::Interrupted)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::fuzz::{hostile_text, thoroughly};

    #[test]
    fn codex_tells_errors_and_interrupts_of_its_turn() {
        let line = |payload: Value| {
            json!({"timestamp": "t", "ordinal": 9, "type": "event_msg", "payload": payload}).to_string()
        };
        let failed = json!({"type": "task_complete", "turn_id": "t1", "last_agent_message": null,
            "error": {"message": "unexpected status 529", "codex_error_info": {}}});
        assert_eq!(ending(&line(failed.clone()), "t1"), Some(Ending::Failed("unexpected status 529".to_owned())));
        assert_eq!(ending(&line(failed), "t2"), None);
        let aborted = json!({"type": "turn_aborted", "turn_id": "t1", "reason": "interrupted"});
        assert_eq!(ending(&line(aborted), "t1"), Some(Ending::Interrupted));
        let done = json!({"type": "task_complete", "turn_id": "t1", "last_agent_message": "hello", "error": null});
        assert_eq!(ending(&line(done), "t1"), None);
    }

    #[test]
    fn claude_tells_interrupts_of_its_prompt() {
        let row = |kind: &str, source: &str, text: &str| {
            json!({"type": kind, "rowSource": source, "promptId": "p1", "message": {"role": "user",
                "content": [{"type": "text", "text": text}]}})
            .to_string()
        };
        for text in INTERRUPTED {
            assert_eq!(ending(&row("user", "harness", text), "p1"), Some(Ending::Interrupted));
            assert_eq!(ending(&row("user", "harness", text), "p2"), None);
            assert_eq!(ending(&row("user", "human", text), "p1"), None, "a person may write it, too");
            assert_eq!(ending(&row("api-request-blob", "harness", text), "p1"), None);
        }
        for odd in ["", "{", "null", "[]", r#"{"type":7}"#, r#"{"type":"user","rowSource":"harness","promptId":"p1"}"#]
        {
            assert_eq!(ending(odd, "p1"), None, "{odd}");
        }
    }

    proptest! {
        #![proptest_config(thoroughly())]

        #[test]
        fn whatever_the_agent_writes_down_only_its_own_words_end_a_turn(text in hostile_text(), prompt in "[a-z]{0,2}") {
            prop_assert_eq!(ending(&text, &prompt), None);
            let parts = json!([{"type": "text", "text": text}]);
            let row = json!({"type": "user", "rowSource": "harness", "promptId": prompt, "message": {"content": parts}});
            prop_assert_eq!(ending(&row.to_string(), &prompt), None);
            let failed = json!({"type": "task_complete", "turn_id": prompt, "error": {"message": format!("x{text}")}});
            let failed = json!({"type": "event_msg", "payload": failed}).to_string();
            prop_assert_eq!(ending(&failed, &prompt), Some(Ending::Failed(format!("x{text}"))));
            prop_assert_eq!(ending(&failed, "another"), None);
        }
    }
}

//! What a person is shown who is asked for leave. Who decides has to see what will be done: all that the tool is given, and
//! plainly. What cannot be shown like that cannot be allowed from afar.

use serde_json::Value;

use crate::agent::invisible::is_invisible;

/// Characters that are shown. What is over the server's own limit of a question could not be replied to.
const MAX_CHARACTERS: usize = 6_000;
/// Bytes that are shown.
const MAX_BYTES: usize = 8_000;
/// Blanks in a row; a tabulator is as wide as some of them.
const MAX_BLANKS: usize = 24;
/// Blanks that a tabulator counts for.
const TABULATOR: usize = 4;
/// Ends of lines without anything in between.
const MAX_LINE_ENDS: usize = 5;
/// Characters of what cannot be decided from afar.
const MAX_BEGINNING: usize = 1_000;
/// The fields that tell most of what will be done. What the model says of it (`description`) is none of them.
const FIRST: [&str; 4] = ["command", "file_path", "url", "query"];

/// All that the tool is given, for a person who decides; else what to tell a person who has to look at the terminal.
pub(super) fn prompt(tool: &str, input: &Value) -> Result<String, String> {
    let given = given(input);
    let whole = format!("May I use {tool}?{given}");
    if is_plain(&whole) {
        return Ok(whole);
    }
    let shown = |text: &str, most: usize| {
        let is_shown = |c: char| c == '\n' || c == '\t' || !(c.is_control() || is_invisible(c));
        let mut shown: String = text.chars().take(most).map(|c| if is_shown(c) { c } else { '\u{fffd}' }).collect();
        if text.chars().nth(most).is_some() {
            shown.push('…');
        }
        shown
    };
    let why = "This is decided in the agent's terminal: it is too long, or holds what cannot be seen. It begins with:";
    Err(format!("May I use {}?\n{why}{}", shown(tool, 100), shown(&given, MAX_BEGINNING)))
}

/// The best known field, and every other one with its name.
fn given(input: &Value) -> String {
    let fields = match input {
        Value::Object(fields) => fields,
        Value::Null => return String::new(),
        other => return format!("\n{}", text(other)),
    };
    let first = FIRST.into_iter().find(|name| fields.get(*name).is_some_and(Value::is_string));
    let mut given = String::new();
    if let Some(first) = first {
        given.push('\n');
        given.push_str(&text(&fields[first]));
    }
    for (name, value) in fields.iter().filter(|(name, _)| Some(name.as_str()) != first) {
        given.push_str(&format!("\n{name}: {}", text(value)));
    }
    given
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Whoever reads it sees everything that it holds.
fn is_plain(text: &str) -> bool {
    if text.len() > MAX_BYTES || text.chars().count() > MAX_CHARACTERS {
        return false;
    }
    let (mut blanks, mut ends) = (0, 0);
    for c in text.chars() {
        match c {
            '\n' => (blanks, ends) = (0, ends + 1),
            '\t' => blanks += TABULATOR,
            c if c.is_control() || is_invisible(c) => return false,
            c if c.is_whitespace() => blanks += 1,
            _ => (blanks, ends) = (0, 0),
        }
        if blanks > MAX_BLANKS || ends > MAX_LINE_ENDS {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::fuzz::thoroughly;

    #[test]
    fn all_that_a_tool_is_given_is_shown() {
        let shown = |input| prompt("Bash", &input).unwrap();
        assert_eq!(shown(json!({"command": "ls", "description": "List"})), "May I use Bash?\nls\ndescription: List");
        assert_eq!(
            shown(json!({"content": "x\ny ", "file_path": "/a", "n": {"b": [1, "c"]}})),
            "May I use Bash?\n/a\ncontent: x\ny \nn: {\"b\":[1,\"c\"]}"
        );
        assert_eq!(
            shown(json!({"command": ["rm", "x"], "description": "Tidy up"})),
            "May I use Bash?\ncommand: [\"rm\",\"x\"]\ndescription: Tidy up"
        );
        assert_eq!(shown(json!({})), "May I use Bash?");
        assert_eq!(shown(Value::Null), "May I use Bash?");
        assert_eq!(shown(json!("odd")), "May I use Bash?\nodd");
        assert!(prompt("Write", &json!({"content": "x".repeat(5_900)})).is_ok());
    }

    #[test]
    fn what_cannot_be_seen_is_not_allowed_from_afar() {
        let hidden = [
            format!("ls{}; rm -rf ~", " ".repeat(2_100)),
            format!("ls{}; rm -rf ~", "\u{a0}".repeat(30)),
            format!("ls{}rm -rf ~", "\n \n".repeat(4)),
            format!("ls{}rm -rf ~", "\t".repeat(7)),
            "x".repeat(6_001),
            "\u{65e5}".repeat(3_000),
            "ls \u{202e}x".to_owned(),
            "ls\u{200b}x".to_owned(),
            "ls\u{e0041}x".to_owned(),
            "ls\u{ad}x".to_owned(),
            "ls\rrm".to_owned(),
            "ls\u{1b}[8mrm".to_owned(),
            "ls\u{2028}rm".to_owned(),
            "ls\u{0}".to_owned(),
        ];
        for text in hidden {
            for input in
                [json!({"command": text}), json!({"command": "ls", "more": text}), json!({ &text: 1 }), json!(text)]
            {
                let told = prompt("Bash", &input).unwrap_err();
                assert!(told.starts_with("May I use Bash?\nThis is decided in the agent's terminal"), "{told}");
                assert!(told.chars().count() < 2_000 && !told.chars().any(is_invisible), "{told}");
            }
            assert!(prompt(&text, &json!({})).is_err());
        }
    }

    fn input() -> impl Strategy<Value = Value> {
        let text = prop_oneof!["\\PC{0,20}", ".{0,20}", "[a \n]{0,30}", "x{2000,4000}"];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            text.prop_map(Value::from)
        ];
        leaf.prop_recursive(3, 24, 5, |inner| {
            let name = prop_oneof!["[a-z]{1,8}", "command|file_path|url|query|description", ".{0,5}"];
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                proptest::collection::btree_map(name, inner, 0..5)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect()))
            ]
        })
    }

    /// Every string in it; those further in as JSON writes them.
    fn strings(value: &Value, depth: usize) -> Vec<String> {
        match value {
            Value::String(text) if depth < 2 => vec![text.clone()],
            Value::String(_) => vec![value.to_string()],
            Value::Array(items) => items.iter().flat_map(|item| strings(item, 2)).collect(),
            Value::Object(fields) => fields.values().flat_map(|field| strings(field, depth + 1)).collect(),
            _ => Vec::new(),
        }
    }

    proptest! {
        #![proptest_config(thoroughly())]

        #[test]
        fn whatever_is_allowed_was_shown(input in input()) {
            if let Ok(shown) = prompt("Bash", &input) {
                prop_assert!(shown.chars().count() <= MAX_CHARACTERS && shown.len() <= MAX_BYTES);
                prop_assert!(!shown.chars().any(|c| is_invisible(c) || (c.is_control() && c != '\n' && c != '\t')));
                for text in strings(&input, 0) {
                    prop_assert!(shown.contains(&text), "{text:?} in {shown:?}");
                }
            }
        }
    }
}

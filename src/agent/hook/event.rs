//! One event of an agent program, as it is read.

use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

/// The event, also where it holds bytes that are no UTF-8, or halves of surrogate pairs: programs in JavaScript cut
/// strings between two halves, and write each as `\ud83d`, which is JSON, but no text.
pub(super) fn parse(event: &[u8]) -> Result<Value, serde_json::Error> {
    let text = String::from_utf8_lossy(event);
    serde_json::from_str(&text).or_else(|_| {
        let mended = without_half_pairs(&text);
        serde_json::from_str(&mended).or_else(|error| cut_off(&mended).ok_or(error))
    })
}

/// The fields that are whole of an event that is longer than is read. That a tool is done is told whatever it has brought:
/// its result comes behind what it was given (reference, "PostToolUse input"). Of other events it could be the wrong thing
/// that is missing.
fn cut_off(text: &str) -> Option<Value> {
    let mut fields = Map::new();
    // The end of the text is the error that is expected here.
    let _ = serde_json::Deserializer::from_str(text).deserialize_map(Fields(&mut fields));
    let is_result = matches!(fields.get("hook_event_name")?.as_str()?, "PostToolUse" | "PostToolUseFailure");
    (is_result && fields.contains_key("tool_input")).then_some(Value::Object(fields))
}

/// Keeps the fields of an object, up to the first one that is not whole.
struct Fields<'a>(&'a mut Map<String, Value>);

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some((name, value)) = map.next_entry()? {
            self.0.insert(name, value);
        }
        Ok(())
    }
}

/// Puts U+FFFD for every escaped half of a surrogate pair that lacks the other half.
fn without_half_pairs(json: &str) -> String {
    let escape_at = |at: usize| {
        let digits = json.get(at..)?.strip_prefix("\\u")?.get(..4)?;
        u32::from_str_radix(digits, 16).ok()
    };
    let mut mended = String::with_capacity(json.len());
    let mut rest = 0;
    while let Some(found) = json[rest..].find('\\') {
        let at = rest + found;
        mended.push_str(&json[rest..at]);
        let (length, whole) = match (escape_at(at), escape_at(at + 6)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => (12, true),
            (Some(0xd800..=0xdfff), _) => (6, false),
            (Some(_), _) => (6, true),
            // A backslash and the character that it escapes, whatever that is.
            (None, _) => (1 + json[at + 1..].chars().next().map_or(0, char::len_utf8), true),
        };
        mended.push_str(if whole { &json[at..at + length] } else { "\\ufffd" });
        rest = at + length;
    }
    mended.push_str(&json[rest..]);
    mended
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn odd_escapes_are_no_reason_to_panic() {
        for odd in ["", "\\", "\\u", "\\u12", "\\ud800", "\\ud800\\", "\\ü", "\\ud800\\u00e9", "\\dc00"] {
            without_half_pairs(odd);
        }
    }

    #[test]
    fn of_an_event_that_is_cut_off_the_end_of_a_tool_is_known() {
        let cut = |name: &str, fields: &str| {
            let event = format!(r#"{{"hook_event_name":"{name}","tool_name":"Read",{fields}"tool_response":{{"a":"xx"#);
            parse(event.as_bytes()).ok()
        };
        let input = r#""tool_input":{"file_path":"/x"},"#;
        let known = json!({"hook_event_name": "PostToolUse", "tool_name": "Read", "tool_input": {"file_path": "/x"}});
        assert_eq!(cut("PostToolUse", input), Some(known));
        assert!(cut("PostToolUseFailure", input).is_some());
        assert_eq!(cut("PostToolUse", ""), None, "what has run is not known");
        assert_eq!(cut("PermissionRequest", input), None, "who gives leave has to see all");
        assert_eq!(cut("PostToolUse", r#""tool_input":{"file_path":"/x"#), None);
    }
}

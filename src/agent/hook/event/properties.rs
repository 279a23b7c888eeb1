//! Events as programs in other languages write them, and as they are when they were cut off.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::fuzz::{hostile_text, thoroughly};

/// Code units of UTF-16, every other one a half of a pair.
fn units() -> impl Strategy<Value = Vec<u16>> {
    let unit = prop_oneof![0xd7f0..0xe010_u16, any::<u16>(), 0x20..0x7f_u16];
    prop::collection::vec(unit, 0..12)
}

/// A string as JavaScript writes one that it cut somewhere: every code unit by itself.
fn in_units(units: &[u16]) -> String {
    units.iter().map(|unit| format!("\\u{unit:04x}")).collect()
}

fn event() -> impl Strategy<Value = Value> {
    let name = prop::sample::select(&["PostToolUse", "PostToolUseFailure", "PermissionRequest", "Stop"][..]);
    (name, hostile_text(), hostile_text(), hostile_text()).prop_map(|(name, tool, input, response)| {
        json!({"hook_event_name": name, "tool_name": tool, "tool_input": {"command": input}, "tool_response": response})
    })
}

proptest! {
    #![proptest_config(thoroughly())]

    #[test]
    fn halves_of_pairs_are_replaced_and_nothing_else(units in units(), before in hostile_text()) {
        let json = format!("{{\"a\":\"{}\",\"b\":{}}}", in_units(&units), json!(before));
        let expected = json!({"a": String::from_utf16_lossy(&units), "b": before});
        prop_assert_eq!(parse(json.as_bytes()).unwrap(), expected);
    }

    #[test]
    fn of_an_event_that_is_cut_off_only_whole_fields_count(event in event(), cut in any::<prop::sample::Index>()) {
        let text = event.to_string();
        prop_assert_eq!(&parse(text.as_bytes()).unwrap(), &event);
        let Ok(known) = parse(&text.as_bytes()[..cut.index(text.len())]) else { return Ok(()) };
        let is_result = event["hook_event_name"].as_str().unwrap().starts_with("PostToolUse");
        prop_assert!(is_result && known["tool_input"] == event["tool_input"]);
        for (name, value) in known.as_object().unwrap() {
            prop_assert_eq!(value, &event[name]);
        }
    }

    #[test]
    fn any_bytes_are_an_event_or_none(
        text in hostile_text(), bytes in prop::collection::vec(any::<u8>(), 0..16), units in units(),
    ) {
        for odd in [text.as_bytes(), &bytes, in_units(&units).as_bytes(), &[b"{\"a\":\"", &bytes[..], b"\"}"].concat()] {
            let _ = parse(odd);
        }
    }
}

//! Whatever an agent writes as its answer, it is taken apart where the agent has put it together.

mod chips;

use proptest::prelude::*;

use super::*;
use crate::agent::demo::answer::with_trailer;
use crate::fuzz::{hostile_text, thoroughly};

fn trailer() -> impl Strategy<Value = Trailer> {
    let tools = prop::collection::vec(hostile_text(), 0..4);
    let rows = prop::collection::vec(prop_oneof![0..100_u64, any::<u64>()], 0..4);
    let tag = prop::option::of(hostile_text());
    (tools, rows, tag).prop_map(|(used_tools, rows_seen, classifier_tag)| Trailer {
        used_tools,
        rows_seen,
        classifier_tag,
    })
}

/// Pieces of lines that look like a trailer, or nearly.
const NEARLY: [&str; 12] = [
    "<!-- paliadin",
    "<!-- paliadin ",
    "<!-- paliadin {} -->",
    "<!--",
    " paliadin",
    "-->",
    "<!-- paliadine -->",
    "{}",
    "\n",
    "\r\n",
    "\u{a0}",
    "x",
];

proptest! {
    #![proptest_config(thoroughly())]

    #[test]
    fn body_and_trailer_come_back(body in hostile_text(), trailer in trailer(), after in "[ \n\r\t\u{a0}]{0,3}") {
        let text = String::from_utf8(with_trailer(body.clone().into_bytes(), &trailer)).unwrap() + &after;
        let answer = read(&text);
        prop_assert_eq!(answer, Answer { body: body.clone(), trailer, warning: None, ..read_body(&body) });
    }

    #[test]
    fn nothing_after_an_opening_is_body(body in hostile_text(), garbage in hostile_text()) {
        let garbage = garbage.replace('\n', "");
        let answer = read(&format!("{body}\n{OPENING}{garbage}"));
        prop_assert_eq!(answer.body, body);
        prop_assert!(answer.warning.is_some() || answer.trailer == Trailer::default());
    }

    #[test]
    fn a_trailer_counts_up_to_its_limit(body in "[a-z\n]{0,12}", length in MAX_TRAILER - 40..MAX_TRAILER + 40) {
        let tool = "x".repeat(length - r#"<!-- paliadin {"used_tools":[""]} -->"#.len());
        let line = format!(r#"<!-- paliadin {{"used_tools":["{tool}"]}} -->"#);
        prop_assert_eq!(line.len(), length);
        let answer = read(&format!("{body}\n{line}"));
        prop_assert_eq!(answer.body, body);
        prop_assert_eq!(answer.warning.is_none(), length <= MAX_TRAILER);
        prop_assert_eq!(answer.trailer.used_tools.len(), usize::from(length <= MAX_TRAILER));
    }

    #[test]
    fn what_is_settled_is_a_prefix_of_the_body(
        pieces in prop::collection::vec(prop::sample::select(&NEARLY[..]), 0..8),
        with_trailer in any::<bool>(),
        ending in "[\n\r \u{a0}]{0,3}",
    ) {
        let mut text = pieces.concat();
        if with_trailer {
            text.push_str("\n<!-- paliadin {} -->");
        }
        text.push_str(&ending);
        let body = read(&text).body;
        let mut before = 0;
        for (end, _) in text.char_indices().chain([(text.len(), ' ')]) {
            let shown = settled(&text[..end]);
            prop_assert!(body.starts_with(shown), "{shown:?} of {body:?}");
            // What was shown is never taken back.
            before = before.max(shown.len());
        }
        prop_assert!(body[before..].trim_end_matches('\n').len() < OPENING.len() || body.contains(OPENING.trim_end()));
    }

    #[test]
    fn any_text_can_be_read(text in hostile_text()) {
        let answer = read(&text);
        prop_assert!(text.starts_with(&answer.body));
        prop_assert!(answer.body.starts_with(settled(&text)));
        // What was taken off does not begin a line of the body any more.
        prop_assert!(answer.body == text || text[answer.body.len()..].trim_start_matches('\n').starts_with(OPENING));
    }
}

/// What there is of an answer that is a body only, whatever that looks like.
fn read_body(body: &str) -> Answer {
    let response_tokens = u32::try_from(body.len().div_ceil(BYTES_PER_TOKEN)).unwrap();
    Answer { chip_count: count_chips(body), response_tokens, ..Answer::default() }
}

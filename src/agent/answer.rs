//! Reading an answer: body, trailer, chips, and what of an unfinished answer may be shown already.

use pulldown_cmark::{Event, Parser, Tag};

use crate::turn::{Answer, Trailer};

/// Begins the trailer's line.
const OPENING: &str = "<!-- paliadin ";
/// Ends it.
const CLOSING: &str = "-->";
/// Bytes that a trailer line may have; a longer one is malformed.
pub const MAX_TRAILER: usize = 16 * 1024;
/// Bytes per token, roughly, for the approximation in `response_tokens`.
const BYTES_PER_TOKEN: usize = 4;

/// Takes a complete answer apart. Everything before the trailer is kept byte for byte, save for the one newline that
/// parts it from the trailer.
pub fn read(text: &str) -> Answer {
    let (body, trailer_line) = split_trailer(text);
    let (trailer, warning) = match trailer_line.map(parse_trailer) {
        None => (Trailer::default(), None),
        Some(Ok(trailer)) => (trailer, None),
        Some(Err(problem)) => (Trailer::default(), Some(problem)),
    };
    Answer {
        chip_count: count_chips(body),
        response_tokens: u32::try_from(body.len().div_ceil(BYTES_PER_TOKEN)).unwrap_or(u32::MAX),
        body: body.to_owned(),
        trailer,
        warning,
    }
}

/// The part of an unfinished answer that is sure to be in its body: without a last line that may become the trailer,
/// and without the newlines before it.
pub fn settled(text: &str) -> &str {
    // White space may follow a trailer, so the last line is looked for before it.
    let line_start = text.trim_end().rfind('\n').map_or(0, |at| at + 1);
    let last_line = &text[line_start..];
    let may_be_trailer = last_line.starts_with(OPENING) || OPENING.starts_with(last_line.trim_end_matches('\n'));
    let sure = if may_be_trailer { &text[..line_start] } else { text };
    sure.trim_end_matches('\n')
}

fn split_trailer(text: &str) -> (&str, Option<&str>) {
    let trimmed = text.trim_end();
    let line_start = trimmed.rfind('\n').map_or(0, |at| at + 1);
    let last_line = &trimmed[line_start..];
    // The blank that belongs to the opening may be all that follows.
    if !text[line_start..].starts_with(OPENING) {
        return (text, None);
    }
    let before = &text[..line_start];
    (before.strip_suffix('\n').unwrap_or(before), Some(last_line))
}

fn parse_trailer(line: &str) -> Result<Trailer, String> {
    if line.len() > MAX_TRAILER {
        return Err(format!("trailer of {} bytes; at most {MAX_TRAILER} are read", line.len()));
    }
    let inner = line.strip_prefix(OPENING).and_then(|rest| rest.strip_suffix(CLOSING));
    let inner = inner.ok_or_else(|| "trailer without its closing `-->`".to_owned())?;
    serde_json::from_str(inner.trim()).map_err(|error| format!("trailer is malformed: {error}"))
}

/// Markdown links to `chip:`, outside code.
fn count_chips(body: &str) -> u32 {
    if !body.contains("chip:") {
        return 0;
    }
    let chips = Parser::new(body)
        .filter(|event| matches!(event, Event::Start(Tag::Link { dest_url, .. }) if dest_url.starts_with("chip:")));
    u32::try_from(chips.count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trailer_is_taken_off_and_read() {
        let answer = read(
            "Hello\n<!-- paliadin {\"used_tools\":[\"sql\"],\"rows_seen\":[12],\"classifier_tag\":\"lookup\",\"new\":1} -->\n",
        );
        assert_eq!(answer.body, "Hello");
        assert_eq!(answer.trailer.used_tools, ["sql"]);
        assert_eq!(answer.trailer.rows_seen, [12]);
        assert_eq!(answer.trailer.classifier_tag.as_deref(), Some("lookup"));
        assert_eq!(answer.warning, None);
    }

    #[test]
    fn a_malformed_trailer_stays_out_of_the_body() {
        for bad in
            ["<!-- paliadin {oops} -->", "<!-- paliadin {", "<!-- paliadin ", "<!-- paliadin {\"rows_seen\":[-1]} -->"]
        {
            let answer = read(&format!("Hello\n{bad}"));
            assert_eq!(answer.body, "Hello");
            assert!(answer.warning.is_some());
        }
        let long = format!("Hello\n<!-- paliadin {{\"x\":\"{}\"}} -->", "y".repeat(MAX_TRAILER));
        assert!(read(&long).warning.is_some());
    }

    #[test]
    fn an_answer_without_trailer_is_kept_byte_for_byte() {
        for text in ["", "\n", "a\n\n", " a ", "<!-- paliadine -->", "x <!-- paliadin {} -->"] {
            assert_eq!(read(text).body, text);
        }
    }

    #[test]
    fn chips_in_code_do_not_count() {
        let body = "[a](chip:ask) [b](chip:go/x/y)\n\n```\n[c](chip:ask)\n```\n\n`[d](chip:ask)` [e](https://chip:1)";
        assert_eq!(read(body).chip_count, 2);
    }
}

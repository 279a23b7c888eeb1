//! What the demo agent answers: a function of the message, the turn's number and the files of the turn.

use std::fmt::Write;
use std::iter::Peekable;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::directive::{Directive, SYNOPSIS};
use super::files::Given;
use crate::turn::Trailer;

/// Between two pieces of an ordinary answer.
const PACE: Duration = Duration::from_millis(40);
/// Most words of a question that are quoted.
const QUOTED_WORDS: usize = 8;
/// Most characters of them.
const QUOTED_CHARS: usize = 80;

/// How a turn is answered.
pub enum Plan {
    /// At once, with these bytes.
    Whole(Vec<u8>),
    /// Piece by piece.
    Stream(Stream),
    /// After a silence.
    After(Duration, Vec<u8>),
    /// Never.
    Hang,
    /// With what a person says to this question.
    Ask(String),
    /// Not any more: the process ends with this status.
    Exit(u8),
}

/// An answer that comes in pieces.
pub struct Stream {
    /// The pieces; together they are the answer without its trailer.
    pub pieces: Peekable<Box<dyn Iterator<Item = Vec<u8>>>>,
    /// From one piece to the next.
    pub pace: Duration,
    /// Follows the last piece, on a line of its own.
    pub trailer: Option<Trailer>,
    /// Whether the work is reported as the activity of a tool.
    pub is_activity: bool,
}

/// Decides what becomes of a message. `ordinal` counts the turns of this process from 1; `read` gives the files
/// that the server left for the turn.
pub fn plan(message: &[u8], ordinal: u64, read: impl Fn(Given) -> Option<Vec<u8>>) -> Plan {
    let file = |given| Plan::Whole(read(given).unwrap_or_else(|| b"none".to_vec()));
    match Directive::parse(message) {
        Directive::Question => Plan::Stream(ordinary(&String::from_utf8_lossy(message))),
        Directive::Echo(text) => Plan::Whole(text.to_vec()),
        Directive::Sha(text) => Plan::Whole(format!("{} {:x}", text.len(), Sha256::digest(text)).into_bytes()),
        Directive::Lines { count, pace } => Plan::Stream(Stream {
            pieces: pieces((1..=count).map(|number| format!("line {number}\n"))),
            pace,
            trailer: None,
            is_activity: false,
        }),
        Directive::Sleep { pause, written } => Plan::After(pause, format!("slept {written}").into_bytes()),
        Directive::Hang => Plan::Hang,
        Directive::Die => Plan::Exit(1),
        Directive::Big(bytes) => Plan::Whole(big(bytes)),
        Directive::Meta(trailer) => Plan::Whole(with_trailer(b"meta".to_vec(), &trailer)),
        Directive::Context => file(Given::Context),
        Directive::Primer => file(Given::Primer),
        Directive::Token => Plan::Whole(read(Given::Token).map_or_else(|| b"none".to_vec(), |token| claims(&token))),
        Directive::Ask(question) => Plan::Ask(String::from_utf8_lossy(question).into_owned()),
        Directive::Count => Plan::Whole(ordinal.to_string().into_bytes()),
        Directive::Unusable(problem) => Plan::Whole(help(&problem).into_bytes()),
    }
}

/// The answer file's content: the answer, a newline, and the trailer as the last line.
pub fn with_trailer(mut answer: Vec<u8>, trailer: &Trailer) -> Vec<u8> {
    if let Ok(json) = serde_json::to_string(trailer) {
        answer.extend_from_slice(format!("\n<!-- paliadin {json} -->").as_bytes());
    }
    answer
}

fn ordinary(question: &str) -> Stream {
    let quote = quoted(question);
    let words = question.split_whitespace().count();
    let asked =
        if quote.is_empty() { "You asked nothing in words.".into() } else { format!("You asked: “{quote}”.") };
    let again = if quote.is_empty() { "What can you do?".into() } else { format!("Once more: {quote}") };
    let texts = [
        format!("{asked} I am the demo agent: the same question gets the same answer, every time.\n\n"),
        format!("- words in your question: {words}\n- characters: {}\n", question.chars().count()),
        "- models asked: none\n\n".to_owned(),
        "A link inside code stays text:\n\n```markdown\n".to_owned(),
        "[Not a chip](chip:ask/inside-code)\n```\n\n".to_owned(),
        format!("[Ask again](chip:ask/{}) [Open the chat](chip:go/paliadin)", percent_encoded(&again)),
    ];
    Stream {
        pieces: pieces(texts.into_iter()),
        pace: PACE,
        trailer: Some(Trailer {
            used_tools: vec!["demo".into()],
            rows_seen: vec![words as u64],
            classifier_tag: Some("demo".into()),
        }),
        is_activity: true,
    }
}

fn pieces(texts: impl Iterator<Item = String> + 'static) -> Peekable<Box<dyn Iterator<Item = Vec<u8>>>> {
    let boxed: Box<dyn Iterator<Item = Vec<u8>>> = Box::new(texts.map(String::into_bytes));
    boxed.peekable()
}

/// The first words of a question, without anything that Markdown could take for more than a word.
fn quoted(question: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, ' ' | ',' | '.' | ':' | ';' | '?' | '\'' | '-' | '%');
    let words = question.split_whitespace().take(QUOTED_WORDS).collect::<Vec<_>>().join(" ");
    let mut plain: String = words.chars().filter(|c| is_plain(*c)).take(QUOTED_CHARS).collect();
    let kept = plain.trim().trim_end_matches(['?', '.', ',', ':', ';']).len();
    plain = plain.trim().to_owned();
    plain.truncate(kept);
    plain
}

fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

fn big(bytes: usize) -> Vec<u8> {
    const LINE: &[u8; 64] = b"A line of sixty-four bytes, of which the last one is a newline.\n";
    let mut text = LINE.repeat(bytes.div_ceil(LINE.len()));
    text.truncate(bytes);
    text
}

/// The middle part of a token, decoded. Its signature is shown to nobody.
fn claims(token: &[u8]) -> Vec<u8> {
    let mut parts = token.trim_ascii().split(|byte| *byte == b'.');
    let claims = parts.nth(1).and_then(|middle| URL_SAFE_NO_PAD.decode(middle).ok());
    claims.unwrap_or_else(|| b"the token cannot be read".to_vec())
}

fn help(problem: &str) -> String {
    let mut text = format!("{problem}. The directives:\n\n");
    for (usage, effect) in SYNOPSIS {
        let _ = writeln!(text, "- `{usage}` {effect}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(message: &[u8], read: impl Fn(Given) -> Option<Vec<u8>>) -> String {
        match plan(message, 7, read) {
            Plan::Whole(answer) => String::from_utf8_lossy(&answer).into_owned(),
            _ => "not answered at once".into(),
        }
    }

    #[test]
    fn directives_are_answered() {
        let hash = "3 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(whole(b"!sha abc", |_| None), hash);
        assert_eq!(whole(b"!count", |_| None), "7");
        assert_eq!(
            whole(b"!meta sql,search 3,4 lookup", |_| None),
            "meta\n<!-- paliadin {\"used_tools\":[\"sql\",\"search\"],\"rows_seen\":[3,4],\"classifier_tag\":\"lookup\"} -->"
        );
        for bytes in [0, 1, 64, 65, 100_000] {
            assert_eq!(big(bytes).len(), bytes);
        }
        let help = whole(b"!dance", |_| None);
        assert!(help.starts_with("`!dance` is not a directive.") && help.contains("- `!count` counts"), "{help}");
    }

    #[test]
    fn files_are_shown_and_of_a_token_its_claims() {
        let read = |given| match given {
            Given::Context => Some(b"{\"route\":\"/x\"}".to_vec()),
            Given::Token => Some(format!("e30.{}.c2ln\n", URL_SAFE_NO_PAD.encode("{\"sub\":\"u\"}")).into_bytes()),
            _ => None,
        };
        assert_eq!(whole(b"!context", read), "{\"route\":\"/x\"}");
        assert_eq!(whole(b"!primer", read), "none");
        assert_eq!(whole(b"!jwt", read), "{\"sub\":\"u\"}");
        assert_eq!(whole(b"!jwt", |_| None), "none");
        assert_eq!(whole(b"!jwt", |_| Some(b"not a token".to_vec())), "the token cannot be read");
    }

    #[test]
    fn an_ordinary_answer_quotes_without_letting_markup_through() {
        let Plan::Stream(stream) = plan("Is [x](chip:ask) `<b>` öffen?".as_bytes(), 1, |_| None) else {
            panic!("an ordinary answer is streamed");
        };
        let pieces: Vec<_> = stream.pieces.collect();
        assert!((5..=8).contains(&pieces.len()));
        let text = String::from_utf8_lossy(&pieces.concat()).into_owned();
        assert!(text.starts_with("You asked: “Is xchip:ask b öffen”. I am"), "{text}");
        assert!(text.ends_with(
            "](chip:ask/Once%20more%3A%20Is%20xchip%3Aask%20b%20%C3%B6ffen) [Open the chat](chip:go/paliadin)"
        ));
        assert_eq!(text.matches("](chip:").count(), 3, "two chips, and one in code");
        assert_eq!(stream.trailer.map(|trailer| trailer.rows_seen), Some(vec![4]));
    }
}

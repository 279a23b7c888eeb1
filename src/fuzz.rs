//! For property tests of what comes from elsewhere: how many cases each of them has, and texts that mean harm.

use proptest::prelude::*;
use proptest::test_runner::Config;

use crate::agent::envelope::MARKER;

/// Ten thousand cases, and no file that remembers one: a case that failed becomes a test of its own.
pub fn thoroughly() -> Config {
    Config { cases: 10_000, failure_persistence: None, ..Config::default() }
}

/// What a terminal, a parser or a reader may stumble over.
const PIECES: [&str; 45] = [
    // Of a terminal: ends of a paste, sequences, the keys of a person.
    "\x1b",
    "\x1b[200~",
    "\x1b[201~",
    "[201~",
    "\x1bOP",
    "\x1b[0n",
    "\u{9b}201~",
    "\u{90}",
    "\u{85}",
    "\u{9c}",
    "\x7f",
    "\0",
    "\x03",
    "\x04",
    "\x08",
    "\r",
    "\r\n",
    "\n",
    "\n\n",
    "\t",
    " ",
    // Of an envelope and an answer.
    "[",
    "]",
    "[PALIADIN",
    "PALIADIN:",
    "(PALIADIN:",
    "] ",
    " +message]",
    "<!-- paliadin ",
    "-->",
    // Of JSON and of tmux.
    "\"",
    "\\",
    "\\u",
    "{",
    "}",
    "$HOME",
    "~",
    "#{pid}",
    ";",
    // What nobody sees, what turns the direction, and what lies beside the surrogates.
    "\u{200b}",
    "\u{202e}",
    "\u{2028}",
    "\u{d7ff}",
    "\u{e000}",
    "\u{10ffff}",
];

/// Characters that may hide between the letters of a marker.
const HIDDEN: [char; 9] = ['\0', '\x1b', '\x7f', '\u{85}', '\u{ad}', '\u{200b}', '\u{202e}', '\u{feff}', '\u{e0041}'];

/// The envelope's marker in any letter case, with something in between that is not seen.
pub fn marker() -> impl Strategy<Value = String> {
    let cases = prop::collection::vec(any::<bool>(), MARKER.len());
    let hidden = prop::collection::vec((0..MARKER.len(), prop::sample::select(&HIDDEN[..])), 0..3);
    (cases, hidden).prop_map(|(cases, hidden)| {
        let mut marker = String::new();
        for (at, (letter, is_small)) in MARKER.chars().zip(cases).enumerate() {
            marker.extend(hidden.iter().filter(|(place, _)| *place == at).map(|(_, hidden)| *hidden));
            marker.push(if is_small { letter.to_ascii_lowercase() } else { letter });
        }
        marker
    })
}

/// A text of such pieces, markers and any characters at all; `any::<String>()` has no control characters.
pub fn hostile_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => prop::sample::select(&PIECES[..]).prop_map(str::to_owned),
        1 => marker(),
        2 => any::<char>().prop_map(String::from),
        1 => "[a-z]{1,6}",
    ];
    prop::collection::vec(piece, 0..16).prop_map(|pieces| pieces.concat())
}

/// The bytes in pieces, cut at these places.
pub fn pieces<'a>(bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).chain([0, bytes.len()]).collect();
    places.sort_unstable();
    places.windows(2).map(|ends| &bytes[ends[0]..ends[1]]).collect()
}

/// Where to cut.
pub fn cuts() -> impl Strategy<Value = Vec<prop::sample::Index>> {
    prop::collection::vec(any::<prop::sample::Index>(), 0..4)
}

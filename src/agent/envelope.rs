//! The envelope: what is typed into an agent for one turn.
//!
//! `[PALIADIN:<turn_id>] <message>`, or with flags `[PALIADIN:<turn_id> +context +message]`. Flags name files of the
//! spool by what they are, never by path.

use super::invisible::is_invisible;
use crate::turn::TurnId;

/// Begins every envelope. A message cannot contain it.
pub const MARKER: &str = "[PALIADIN:";

/// What a marker inside a message is turned into.
const DEFUSED: &str = "(PALIADIN:";

/// Which files of the turn lie in the spool.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Flags {
    /// `in/<turn_id>.context.json`
    pub context: bool,
    /// `in/<turn_id>.primer.md`
    pub primer: bool,
    /// `in/<turn_id>.message.md`; no text follows the envelope then.
    pub message: bool,
}

/// The message as the agent gets it, typed or by file: without C0 and C1 control characters other than newline and
/// tab (an ESC could end the bracketed paste and type commands), and without a forged envelope.
pub fn sanitise(message: &str) -> String {
    let plain: String = message.chars().filter(|c| matches!(c, '\n' | '\t') || !c.is_control()).collect();
    defuse(plain)
}

/// A text as one line to be typed: sanitised, with a space in place of each newline.
pub fn line(text: &str) -> String {
    sanitise(text).replace('\n', " ")
}

/// Replaces each marker, in whatever letter case, also one that has something in between that nobody sees: a model may
/// read over that, too. Runs after the control characters are gone, so that none can hide one.
fn defuse(text: String) -> String {
    let mut defused = String::new();
    let mut rest = text.as_str();
    while let Some(at) = rest.find('[') {
        let (before, from) = rest.split_at(at);
        defused.push_str(before);
        let (kept, length) = marker_length(from).map_or(("[", 1), |length| (DEFUSED, length));
        defused.push_str(kept);
        rest = &from[length..];
    }
    if defused.is_empty() {
        return text;
    }
    defused.push_str(rest);
    defused
}

/// The bytes of the marker with which the text begins.
fn marker_length(text: &str) -> Option<usize> {
    let mut wanted = MARKER.chars();
    let mut next = wanted.next()?;
    for (at, c) in text.char_indices() {
        if c.eq_ignore_ascii_case(&next) {
            match wanted.next() {
                Some(letter) => next = letter,
                None => return Some(at + c.len_utf8()),
            }
        } else if !is_invisible(c) {
            return None;
        }
    }
    None
}

/// The line to type. `message` is sanitised already, and left out where `flags` say that it lies in a file.
pub fn envelope(turn: TurnId, flags: Flags, message: &str) -> String {
    let mut line = format!("{MARKER}{turn}");
    for (set, flag) in [(flags.context, " +context"), (flags.primer, " +primer"), (flags.message, " +message")] {
        if set {
            line.push_str(flag);
        }
    }
    line.push(']');
    if !flags.message {
        line.push(' ');
        line.push_str(message);
    }
    line
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_and_forged_envelopes_are_disarmed() {
        assert_eq!(sanitise("a\x1b[201~b\r\nc\td\x7f\u{9b}"), "a[201~b\nc\td");
        assert_eq!(sanitise("[PALIADIN:x] [PALI\x00ADIN:y] [paliadin:z]"), "(PALIADIN:x] (PALIADIN:y] (PALIADIN:z]");
        assert_eq!(sanitise("[PALI\u{200b}ADIN:x] [\u{ad}P\u{202e}aliadin\u{feff}:y]"), "(PALIADIN:x] (PALIADIN:y]");
        assert_eq!(sanitise("\n\n"), "\n\n");
        assert_eq!(sanitise("[[PALIADIN: [P [\u{200b}] x"), "[(PALIADIN: [P [\u{200b}] x");
    }

    #[test]
    fn flags_are_in_order() {
        let turn = TurnId(uuid::Uuid::nil());
        let flags = Flags { context: true, primer: true, message: true };
        let line = envelope(turn, flags, "not shown");
        assert_eq!(line, "[PALIADIN:00000000-0000-0000-0000-000000000000 +context +primer +message]");
        assert!(envelope(turn, Flags::default(), "hi").ends_with("0000] hi"));
    }
}

//! Typing a turn through the fence in the pane itself, so that no turn is ever typed twice, whoever tries.
//!
//! One tmux command line compares the pane's options `@turn` and `@epoch`, and only where they allow it sets both,
//! pastes the text and presses Enter. tmux runs such a line without anything of another client in between. So after
//! [`TmuxError::Interrupted`] or [`TmuxError::Timeout`], pasting again is safe: it says [`Pasted::Already`] where the
//! first attempt did it. The text becomes a buffer inside the guarded part, so a refused paste leaves no buffer.
//!
//! What a person replies to the agent's questions passes the same way: the option `@reply` holds which question of the
//! turn was replied to last. Where Enter has to wait until the text is seen, text and Enter are two lines, and the option
//! `@entered` holds the turn for which Enter was pressed.

use super::pane::{ENTERED_OPTION, EPOCH_OPTION, REPLY_OPTION, TURN_OPTION};
use super::server::{Guarded, key_press};
use super::{Command, PaneId, Server, TmuxError};

/// tmux compares numbers as doubles, which are exact up to here.
const LARGEST_EPOCH: i64 = (1 << 53) - 1;

/// What becomes of the line breaks in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Newline {
    /// They are typed as line feeds.
    Lf,
    /// They are typed as carriage returns, as the Enter key does.
    Cr,
}

/// One turn to type.
#[derive(Clone)]
pub struct Paste<'a> {
    /// Where to.
    pub pane: &'a PaneId,
    /// The turn's id, `[A-Za-z0-9-]{1,64}`. It is typed once into a pane.
    pub fence: &'a str,
    /// The epoch of whoever types, from 0 to 2^53 - 1. A pane that has seen a later one takes no more from this one.
    pub epoch: i64,
    /// The text: not empty, no control characters but line feed and tab. Enter is pressed after it.
    pub text: &'a str,
    /// How the program in the pane wants its line breaks.
    pub newline: Newline,
    /// Whether the paste is bracketed where the program asked for that.
    pub bracketed: bool,
}

/// One reply to type, during a turn.
#[derive(Clone)]
pub struct Reply<'a> {
    /// Where to.
    pub pane: &'a PaneId,
    /// The turn's id, as it was typed.
    pub fence: &'a str,
    /// Which question of the turn it is for. Each is replied to once.
    pub number: u32,
    /// The text: not empty, one line, no control characters but tab. Enter is pressed after it.
    pub text: &'a str,
}

/// What became of it. A pane that is missing ([`TmuxError::is_missing_target`]), dead ([`TmuxError::PaneDead`]) or
/// takes no input ([`TmuxError::InputOff`]) is an error, and nothing was typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pasted {
    /// Text and Enter went to the program.
    Typed,
    /// This turn was the last one typed into this pane already.
    Already,
    /// A later epoch has typed into this pane.
    Stale {
        /// That epoch.
        pane_epoch: i64,
    },
}

/// Types the turn and presses Enter, unless the pane's fence forbids it. Copy mode is left first.
pub async fn paste(server: &Server, turn: Paste<'_>) -> Result<Pasted, TmuxError> {
    let enter = key_press(turn.pane, "Enter")?;
    through(server, turn, Some(enter)).await
}

/// As [`paste`], but without Enter, which [`enter`] presses.
pub async fn put(server: &Server, turn: Paste<'_>) -> Result<Pasted, TmuxError> {
    through(server, turn, None).await
}

async fn through(server: &Server, paste: Paste<'_>, then: Option<Command>) -> Result<Pasted, TmuxError> {
    let Paste { pane, fence, epoch, text, newline, bracketed } = paste;
    check(fence, epoch, text)?;
    let marks = set(pane, TURN_OPTION, fence).then(set(pane, EPOCH_OPTION, &epoch.to_string()));
    let mut put = Command::new("paste-buffer").arg("-d");
    if newline == Newline::Lf {
        put = put.arg("-r");
    }
    if bracketed {
        put = put.arg("-p");
    }
    let typed = typing(pane, fence, text, marks, put);
    let guarded = match then {
        Some(key) => typed.then(key),
        None => typed,
    };
    let seen = format!("#{{?#{{{EPOCH_OPTION}}},#{{{EPOCH_OPTION}}},0}}");
    let allowed = format!("#{{&&:#{{!=:#{{{TURN_OPTION}}},{fence}}},#{{e|<=:{seen},{epoch}}}}}");
    Ok(match server.if_alive(&allowed, pane, guarded).await? {
        Guarded::Ran => Pasted::Typed,
        Guarded::Refused { turn, .. } if turn == fence => Pasted::Already,
        Guarded::Refused { epoch: pane_epoch, .. } => Pasted::Stale { pane_epoch },
    })
}

/// Types a reply, unless the pane is at another turn or this question was replied to; false where nothing was typed.
/// Copy mode is left first.
pub async fn reply(server: &Server, reply: Reply<'_>) -> Result<bool, TmuxError> {
    let Reply { pane, fence, number, text } = reply;
    check(fence, 0, text)?;
    if text.contains('\n') {
        return Err(TmuxError::Invalid("a reply is one line".to_owned()));
    }
    let mark = format!("{fence}/{number}");
    let put = Command::new("paste-buffer").args(["-d", "-p"]);
    let guarded = typing(pane, fence, text, set(pane, REPLY_OPTION, &mark), put).then(key_press(pane, "Enter")?);
    let allowed = format!("#{{&&:#{{==:#{{{TURN_OPTION}}},{fence}}},#{{!=:#{{{REPLY_OPTION}}},{mark}}}}}");
    Ok(server.if_alive(&allowed, pane, guarded).await? == Guarded::Ran)
}

fn set(pane: &PaneId, option: &str, value: &str) -> Command {
    Command::new("set-option").args(["-p", "-t", pane.as_str(), option, value])
}

/// The guarded part: the text becomes a buffer named after the turn, `marks` are set, `put` pastes it.
fn typing(pane: &PaneId, fence: &str, text: &str, marks: Command, put: Command) -> Command {
    let put = put.args(["-b", fence, "-t", pane.as_str()]);
    let buffer = Command::new("set-buffer").args(["-b", fence, "--", text]);
    buffer.then(marks).then(put)
}

/// Presses Enter for a turn that [`put`] has typed: once, whoever tries, and only while it is the last one typed into the
/// pane; false where nothing was pressed.
pub async fn enter(server: &Server, pane: &PaneId, fence: &str) -> Result<bool, TmuxError> {
    check(fence, 0, " ")?;
    let allowed = format!("#{{&&:#{{==:#{{{TURN_OPTION}}},{fence}}},#{{!=:#{{{ENTERED_OPTION}}},{fence}}}}}");
    let press = set(pane, ENTERED_OPTION, fence).then(key_press(pane, "Enter")?);
    Ok(server.if_alive(&allowed, pane, press).await? == Guarded::Ran)
}

/// Presses a key for a turn whose Enter was swallowed, only while it is still the last one typed into the pane;
/// false where it is not, and nothing was pressed.
pub async fn press_again(server: &Server, pane: &PaneId, fence: &str, key: &str) -> Result<bool, TmuxError> {
    check(fence, 0, " ")?;
    let same = format!("#{{==:#{{{TURN_OPTION}}},{fence}}}");
    Ok(server.if_alive(&same, pane, key_press(pane, key)?).await? == Guarded::Ran)
}

fn check(fence: &str, epoch: i64, text: &str) -> Result<(), TmuxError> {
    let invalid = |message: &str| Err(TmuxError::Invalid(message.to_owned()));
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if !(1..=64).contains(&fence.len()) || !fence.bytes().all(plain) {
        return invalid("a fence is 1 to 64 letters, digits and hyphens");
    }
    if !(0..=LARGEST_EPOCH).contains(&epoch) {
        return invalid("an epoch is a number from 0 to 2^53 - 1");
    }
    if text.is_empty() {
        // tmux makes no buffer of it; there would be nothing to paste.
        return invalid("there is nothing to type");
    }
    if text.contains(|character: char| character.is_control() && !matches!(character, '\n' | '\t')) {
        // Escape above all: it could end a bracketed paste.
        return invalid("the text to type holds control characters");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_safe_to_type() {
        assert_eq!(check("0198c0de-7abc", 0, "a\n\tb é"), Ok(()));
        assert_eq!(check("T", LARGEST_EPOCH, "x"), Ok(()));
        for text in ["", "\u{1b}[201~", "a\rb", "\0", "\u{7f}", "\u{9b}", "\u{3}"] {
            assert!(check("T", 1, text).is_err(), "{text:?}");
        }
        for fence in ["", "a b", "a,b", "a}", "#", "@", "é", &"x".repeat(65)] {
            assert!(check(fence, 1, "x").is_err(), "{fence:?}");
        }
        assert!(check("T", -1, "x").is_err() && check("T", LARGEST_EPOCH + 1, "x").is_err());
    }
}

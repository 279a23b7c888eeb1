//! What the model answers. The person's message steers it by its first word:
//!
//! | message | answer |
//! |---|---|
//! | `!text WORDS` | WORDS |
//! | `!slow N MS` | `line 1` to `line N`, with as many milliseconds between them |
//! | `!hold` | `held`, and `released` once the test releases it |
//! | `!tool COMMAND` | calls the tool that runs commands, then `it said:` and what that said |
//! | `!ask COMMAND` | the same, in a way for which the agent has to ask the person |
//! | `!write WORDS` | has the tool write WORDS as the turn's answer, then `written` |
//! | `!overload` | the error of a service that has too much to do |
//! | anything else | `you said:` and the message |
//!
//! Where the message is in a file, the model has the tool show it, and gives back what that said.

use std::time::Duration;

use super::ask::Ask;

/// An answer.
#[derive(Clone, PartialEq, Debug)]
pub enum Answer {
    /// None, for there is too much to do.
    Overload,
    /// These, one after the other.
    Says(Vec<Piece>),
}

/// A part of an answer.
#[derive(Clone, PartialEq, Debug)]
pub enum Piece {
    /// Text.
    Text(String),
    /// Nothing for so long.
    Pause(Duration),
    /// Nothing until the test releases it.
    Hold,
    /// A call of a tool, after which nothing comes.
    Call(Call),
}

/// A command to be run.
#[derive(Clone, PartialEq, Debug)]
pub struct Call {
    /// For a shell.
    pub command: String,
    /// The person is to be asked.
    pub asks: bool,
}

/// What is answered to this.
pub fn answer(ask: &Ask) -> Answer {
    if ask.is_side {
        return text("{\"title\":\"A title\"}");
    }
    let (flags, message) = ask.prompt();
    let turn = ask.turn.as_deref().unwrap_or_default();
    let (_, tools) = ask.last();
    let (word, rest) = message.split_once(char::is_whitespace).unwrap_or((message, ""));
    let numbers: Vec<u64> = rest.split_whitespace().map_while(|number| number.parse().ok()).collect();
    match (word, numbers.as_slice(), tools.last()) {
        ("!write", ..) if !tools.is_empty() => text("written"),
        (_, _, Some(output)) => text(&format!("it said: {output}")),
        _ if flags.contains("+message") => call(format!("cat \"$PALIADIN_SPOOL/in/{turn}.message.md\""), false),
        ("!text", ..) => text(rest),
        ("!slow", [lines, pause], _) => slowly(*lines, Duration::from_millis(*pause)),
        ("!hold", ..) => {
            Answer::Says(vec![Piece::Text("held\n".to_owned()), Piece::Hold, Piece::Text("released".to_owned())])
        }
        ("!tool", ..) => call(rest.to_owned(), false),
        ("!ask", ..) => call(rest.to_owned(), true),
        ("!write", ..) => call(write(turn, rest), false),
        ("!overload", ..) => Answer::Overload,
        _ => text(&format!("you said: {message}")),
    }
}

fn text(text: &str) -> Answer {
    Answer::Says(vec![Piece::Text(text.to_owned())])
}

fn call(command: String, asks: bool) -> Answer {
    Answer::Says(vec![Piece::Call(Call { command, asks })])
}

fn slowly(lines: u64, pause: Duration) -> Answer {
    let line = |number| [Piece::Text(format!("line {number}\n")), Piece::Pause(pause)];
    Answer::Says((1..=lines).flat_map(line).collect())
}

/// As the contract wants it: beside, and renamed.
fn write(turn: &str, words: &str) -> String {
    let quoted = words.replace('\'', r"'\''");
    let out = "\"$PALIADIN_SPOOL/out/";
    format!("printf %s '{quoted}' > {out}.{turn}.new\" && mv {out}.{turn}.new\" {out}{turn}.txt\"")
}

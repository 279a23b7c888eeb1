//! What a control-mode client says, line by line, as data. No I/O.
//!
//! Each command yields any number of blocks between `%begin` and `%end` or `%error` (`if-shell` yields several, a line
//! that cannot be parsed yields one), and notifications come between blocks. So each command line is followed by
//! one that prints a mark, a word that nobody else can know: whatever came before the mark belongs to the command.

use std::fmt;

/// Flag of a block whose command came from this very client, in the third field of `%begin`.
const FROM_CLIENT: u32 = 1;

/// The output of one command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// True where it ended in `%end`, false for `%error`.
    pub ok: bool,
    /// False for what tmux runs by itself: the command that the client was started with, and hooks.
    pub ours: bool,
    /// The lines between.
    pub lines: Vec<String>,
}

/// What a line completed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A command's output.
    Block(Block),
    /// The mark with this number: everything that command lines before it had to say has been said.
    Mark(u64),
    /// The name of a notification, e.g. `%session-changed`.
    Notification(String),
}

struct Open {
    guard: String,
    ours: bool,
    lines: Vec<String>,
}

/// Puts the lines of one client together.
///
/// Output is not escaped in control mode, so a program in a pane may show lines that look like the protocol. What it
/// can reach is the text of its own capture, no more: a block ends at the very guard it began with, and a mark ends
/// whatever is open.
pub struct Parser {
    secret: String,
    open: Option<Open>,
}

impl Parser {
    /// A parser for a client whose marks begin with `secret`, which must be hard to guess.
    pub fn new(secret: String) -> Self {
        Self { secret, open: None }
    }

    /// What a mark begins with; its number follows.
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// Takes a line without its line break; bytes that are not UTF-8 are replaced.
    pub fn line(&mut self, line: &[u8]) -> Option<Event> {
        let line = String::from_utf8_lossy(line);
        if let Some(number) = line.strip_prefix(&self.secret).and_then(|digits| digits.parse().ok()) {
            self.open = None;
            return Some(Event::Mark(number));
        }
        let Some(open) = &mut self.open else {
            return self.outside(&line);
        };
        let ok = match line.split_once(' ') {
            Some(("%end", guard)) if guard == open.guard => true,
            Some(("%error", guard)) if guard == open.guard => false,
            _ => {
                open.lines.push(line.into_owned());
                return None;
            }
        };
        self.open.take().map(|open| Event::Block(Block { ok, ours: open.ours, lines: open.lines }))
    }

    fn outside(&mut self, line: &str) -> Option<Event> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "%begin" => {
                let flags: u32 = rest.rsplit(' ').next().and_then(|flags| flags.parse().ok()).unwrap_or(0);
                self.open = Some(Open { guard: rest.to_owned(), ours: flags & FROM_CLIENT != 0, lines: Vec::new() });
                None
            }
            // The end of a mark's own block.
            "%end" | "%error" => None,
            _ if word.starts_with('%') => Some(Event::Notification(word.to_owned())),
            _ => None,
        }
    }
}

impl fmt::Debug for Parser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parser").field("in_block", &self.open.is_some()).finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(super) mod properties;

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "mark-5e3-";

    fn events(text: &str) -> Vec<Event> {
        let mut parser = Parser::new(SECRET.to_owned());
        text.lines().filter_map(|line| parser.line(line.as_bytes())).collect()
    }

    fn block(ok: bool, ours: bool, lines: &[&str]) -> Event {
        Event::Block(Block { ok, ours, lines: lines.iter().map(|&line| line.to_owned()).collect() })
    }

    #[test]
    fn a_session_as_tmux_writes_it() {
        let text = "%begin 1795231538 266 0\n%end 1795231538 266 0\n%session-changed $0 _paliadin\n\
            %begin 1795231538 271 1\nhello\n\nworld\n%end 1795231538 271 1\n%sessions-changed\n\
            %begin 1795231538 272 1\ncan't find pane: %99\n%error 1795231538 272 1\n\
            %begin 1795231538 273 1\nmark-5e3-7\n%end 1795231538 273 1\n%exit\n";
        let expected = [
            block(true, false, &[]),
            Event::Notification("%session-changed".to_owned()),
            block(true, true, &["hello", "", "world"]),
            Event::Notification("%sessions-changed".to_owned()),
            block(false, true, &["can't find pane: %99"]),
            Event::Mark(7),
            Event::Notification("%exit".to_owned()),
        ];
        assert_eq!(events(text), expected);
    }

    #[test]
    fn guards_of_others_are_text() {
        let text = "%begin 1 2 1\n%end 1 3 1\n%error 1 2\n%begin 9 9 1\n%end 1 2 1\n";
        assert_eq!(events(text), [block(true, true, &["%end 1 3 1", "%error 1 2", "%begin 9 9 1"])]);
    }

    #[test]
    fn a_forged_end_does_not_reach_past_the_mark() {
        let text = "%begin 1 2 1\n%end 1 2 1\n%begin 7 7 1\nforged\n%end 1 2 1\n%begin 1 3 1\nmark-5e3-0\n%end 1 3 1\n\
            %begin 1 4 1\nnext\n%end 1 4 1\n";
        assert_eq!(events(text), [block(true, true, &[]), Event::Mark(0), block(true, true, &["next"])]);
    }
}

//! What is to be seen: lines that scroll up, and below them one line of input. Everything is gathered and written
//! at once.

use std::io;

use rustix::stdio::stdout;

use super::envelope::MARKER;
use super::terminal;
use super::text::{fitting, visible, wrapped};
use crate::turn::TurnId;

/// Most bytes of a question, or of an answer given at once, that are shown.
const SHOWN_BYTES: usize = 4_000;
const INDENT: &str = "  ";
/// The prompt, and how many columns it takes.
const PROMPT: &str = "> ";

const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const RED: &str = "\x1b[31m";
const CYAN: &str = "\x1b[36m";
const PLAIN: &str = "\x1b[0m";
const ERASE_LINE: &str = "\r\x1b[2K";
const CLEAR: &str = "\x1b[H\x1b[2J\x1b[3J";
/// DSR 5: a terminal answers once it has worked through everything before it.
const STATUS_REQUEST: &str = "\x1b[5n";

/// The terminal's picture, written to but never read from.
pub struct Screen {
    pending: String,
    has_terminal: bool,
    has_colour: bool,
    at_line_start: bool,
    input_shown: bool,
}

impl Screen {
    /// A screen on standard output. Without a terminal there: plain text, and no input line.
    pub fn new(has_terminal: bool) -> Self {
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            pending: String::new(),
            has_terminal,
            has_colour: has_terminal && !no_colour,
            at_line_start: true,
            input_shown: false,
        }
    }

    /// The first lines, and whose session it is.
    pub fn greet(&mut self, session: Option<&str>) {
        self.line(BOLD, "Paliadin demo agent");
        self.line("", "No model, no account. Ask anything, or send ! to see what else it does.");
        self.line(DIM, "Esc interrupts, Ctrl-D leaves, /clear clears the screen.");
        if let Some(session) = session {
            self.line(DIM, &format!("Session {session}"));
        }
        self.text("\n");
    }

    /// Has the terminal say when it has come this far.
    pub fn request_status(&mut self) {
        self.pending.push_str(STATUS_REQUEST);
    }

    /// A question that is taken up now.
    pub fn question(&mut self, question: &[u8], turn: Option<TurnId>) {
        self.start_line();
        self.styled(CYAN, PROMPT);
        // The id's end tells turns apart; the envelope itself is shown by the input line alone, where it means
        // that Enter was not pressed yet.
        let tail = turn.map(|turn| turn.to_string().split_off(24));
        let shown = visible(&question[..question.len().min(SHOWN_BYTES)]);
        let mut lines = shown.trim_end().split('\n');
        self.styled(BOLD, lines.next().unwrap_or_default());
        if let Some(tail) = tail {
            self.styled(DIM, &format!("  (turn …{tail})"));
        }
        self.text("\n");
        for line in lines {
            self.line(BOLD, line);
        }
        if question.len() > SHOWN_BYTES {
            self.line(DIM, &format!("… {} bytes in all", question.len()));
        }
        self.text("\n");
    }

    /// The next piece of an answer.
    pub fn piece(&mut self, piece: &[u8]) {
        self.hide_input();
        for line in wrapped(&visible(piece), self.room()).split_inclusive('\n') {
            if self.at_line_start && line != "\n" {
                self.text(INDENT);
            }
            self.text(line);
        }
    }

    /// The end of an answer.
    pub fn end_of_answer(&mut self) {
        self.start_line();
        self.text("\n");
    }

    /// An answer that came at once.
    pub fn answer(&mut self, answer: &[u8]) {
        self.piece(&answer[..answer.len().min(SHOWN_BYTES)]);
        if answer.len() > SHOWN_BYTES {
            self.line(DIM, &format!("… {} bytes in all", answer.len()));
        }
        self.end_of_answer();
    }

    /// A remark on what goes on.
    pub fn remark(&mut self, text: &str) {
        self.line(DIM, text);
    }

    /// Something went wrong.
    pub fn trouble(&mut self, text: &str) {
        self.line(RED, text);
    }

    /// Empties the screen and what has scrolled off it.
    pub fn clear(&mut self) {
        if self.has_terminal {
            self.pending.push_str(CLEAR);
            self.at_line_start = true;
            self.input_shown = false;
        }
    }

    /// Takes the input line away, for something else to be written or for it to be drawn anew.
    pub fn hide_input(&mut self) {
        if self.input_shown {
            self.pending.push_str(ERASE_LINE);
            self.input_shown = false;
        }
    }

    /// Draws the input line, if it is not there; `hint` where nothing is typed. While a line of an answer is
    /// unfinished, there is no place for it.
    pub fn show_input(&mut self, typed: &[u8], hint: &str) {
        if self.input_shown || !self.at_line_start || !self.has_terminal {
            return;
        }
        // One column stays free, so that the line never wraps and erasing it is enough.
        let room = terminal::width().saturating_sub(PROMPT.len() + 1);
        self.styled(CYAN, PROMPT);
        if typed.is_empty() {
            self.styled(DIM, &fitting(hint, room, true));
            self.pending.push_str("\r\x1b[2C");
        } else {
            let line = visible(typed).replace('\n', "⏎");
            let shown = fitting(&line, room, typed.starts_with(MARKER));
            self.pending.push_str(&shown);
        }
        self.at_line_start = true;
        self.input_shown = true;
    }

    /// Writes everything gathered.
    ///
    /// # Errors
    /// Whatever the terminal says.
    pub fn flush(&mut self) -> io::Result<()> {
        let mut left = self.pending.as_bytes();
        while !left.is_empty() {
            let written = rustix::io::retry_on_intr(|| rustix::io::write(stdout(), left))?;
            left = &left[written..];
        }
        self.pending.clear();
        Ok(())
    }

    fn start_line(&mut self) {
        self.hide_input();
        if !self.at_line_start {
            self.text("\n");
        }
    }

    fn line(&mut self, style: &str, text: &str) {
        self.start_line();
        for line in wrapped(text, self.room()).split('\n') {
            self.text(INDENT);
            self.styled(style, line);
            self.text("\n");
        }
    }

    /// Columns beside the indent. Where there is no terminal, nothing is wrapped.
    fn room(&self) -> usize {
        if self.has_terminal { terminal::width().saturating_sub(INDENT.len() + 1) } else { usize::MAX }
    }

    fn styled(&mut self, style: &str, text: &str) {
        if self.has_colour && !style.is_empty() {
            self.pending.push_str(style);
            self.text(text);
            self.pending.push_str(PLAIN);
        } else {
            self.text(text);
        }
    }

    fn text(&mut self, text: &str) {
        if let Some(last) = text.as_bytes().last() {
            self.pending.push_str(text);
            self.at_line_start = *last == b'\n';
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_input_line_gives_way_to_an_answer_and_comes_back() {
        let mut screen = Screen::new(true);
        screen.has_colour = false;
        screen.show_input(b"typed", "hint");
        screen.show_input(b"typed", "hint");
        assert_eq!(screen.pending, "> typed", "drawn once");
        screen.pending.clear();
        screen.piece(b"one\n\ntwo");
        screen.show_input(b"typed", "hint");
        assert_eq!(screen.pending, "\r\x1b[2K  one\n\n  two", "no input line within a line");
        screen.pending.clear();
        screen.end_of_answer();
        screen.show_input(b"", "hint");
        assert_eq!(screen.pending, "\n\n> hint\r\x1b[2C");
    }
}

//! What a look at an agent's terminal tells: whether it takes input, and whether a message lies in it unsent. Pure.

use crate::agent::profile::{Pattern, Profile};
use crate::tmux::{Cursor, Look};

/// Lines of the screen that are told to the person who has to answer a dialog.
const TOLD_LINES: usize = 12;
/// Characters of each of them.
const TOLD_WIDTH: usize = 160;
/// Lines over which the beginning of a message may be broken, in a narrow terminal.
const BROKEN_OVER: usize = 8;

/// What the terminal shows.
pub struct Screen(pub Look);

/// Where the agent takes input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Input<'a> {
    /// What stands in its first line.
    first: &'a str,
    /// The lines below that one.
    below: &'a [String],
}

impl Screen {
    /// Where the agent takes input; `None` while it shows something else.
    pub fn input(&self, profile: &Profile) -> Option<Input<'_>> {
        let pattern = profile.input.as_ref()?;
        if profile.idle_title.as_ref().is_some_and(|idle| idle.find(&self.0.title).is_none()) {
            return None;
        }
        let at_start = |line: &str| pattern.find(line).filter(|found| found.start == 0).map(|found| found.end);
        // tmux leaves out spaces at the end of a line: of an empty input, those that the prompt ends in.
        let begins = |line: &str| at_start(line).or_else(|| Some(at_start(&format!("{line} "))?.min(line.len())));
        let (row, end) = self.0.lines.iter().enumerate().rev().find_map(|(row, line)| Some((row, begins(line)?)))?;
        let (prompt, first) = self.0.lines[row].split_at(end);
        let below = &self.0.lines[row + 1..];
        if profile.cursor && !self.cursor_is_in(row, prompt, below) {
            return None;
        }
        Some(Input { first, below })
    }

    /// Whether the cursor is shown behind the prompt, or in a line below into which the text goes on: all lines between are
    /// indented, or what the terminal itself made of a line that was too long.
    fn cursor_is_in(&self, row: usize, prompt: &str, below: &[String]) -> bool {
        let Cursor { row: at, column, shown, width } = self.0.cursor;
        let Some(between) = at.checked_sub(row) else { return false };
        let columns = |line: &str| line.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum::<usize>();
        let goes_on = |(before, line): (&String, &String)| {
            line.is_empty() || line.starts_with(char::is_whitespace) || columns(before) + 1 >= width
        };
        let behind_prompt = between > 0 || column >= prompt.trim_end().chars().count();
        shown && behind_prompt && self.0.lines[row..].iter().zip(below).take(between).all(goes_on)
    }

    /// What a person is told who has to answer it.
    pub fn told(&self) -> String {
        let shown: Vec<&str> =
            self.0.lines.iter().map(|line| line.trim_end()).filter(|line| !line.is_empty()).collect();
        let last = &shown[shown.len().saturating_sub(TOLD_LINES)..];
        let cut = |line: &&str| line.chars().filter(|c| !c.is_control()).take(TOLD_WIDTH).collect::<String>();
        let lines: Vec<String> = last.iter().map(cut).collect();
        format!("The agent shows something in its terminal that has to be answered there:\n\n{}", lines.join("\n"))
    }
}

impl Input<'_> {
    /// The first thing that is to be read in it, or below it where it is empty.
    pub fn shown(&self) -> String {
        let lines = std::iter::once(self.first).chain(self.below.iter().map(String::as_str));
        lines.map(bare).find(|line| !line.is_empty()).unwrap_or_default()
    }

    /// Whether a message that was typed lies in it. `before` is what was [`Input::shown`] before it was typed, where that
    /// is known.
    pub fn holds(&self, message: &Message, pasted: Option<&Pattern>, before: Option<&str>) -> bool {
        let first = bare(self.first);
        if first.contains(&message.marker) || self.begins_with(&first, &message.marker) {
            return true;
        }
        let shown = self.shown();
        if before == Some(shown.as_str()) {
            return false;
        }
        // Of a long one only the end may be seen.
        pasted.is_some_and(|pasted| pasted.find(self.first).is_some())
            || (!shown.is_empty() && message.text.contains(&shown))
    }

    /// Whether the text begins with this, which the terminal may have broken over several lines.
    fn begins_with(&self, first: &str, marker: &str) -> bool {
        let mut text = first.to_owned();
        let mut below = self.below.iter().take(BROKEN_OVER);
        while !text.is_empty() && text.len() < marker.len() && marker.starts_with(&text) {
            match below.next() {
                Some(line) => text.push_str(&bare(line)),
                None => return false,
            }
        }
        text.starts_with(marker)
    }
}

/// A message that is typed, as it is looked for.
pub struct Message {
    marker: String,
    text: String,
}

impl Message {
    /// `marker` is what the text begins with, and no other one has.
    pub fn new(marker: &str, text: &str) -> Self {
        Self { marker: bare(marker), text: bare(text) }
    }
}

/// A text without white space, since a terminal breaks it anywhere.
fn bare(text: &str) -> String {
    text.split_whitespace().collect()
}

#[cfg(test)]
mod tests;

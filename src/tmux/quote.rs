//! One tmux command line, whatever its arguments hold.

use std::fmt;

/// Quotes one argument so that tmux's parser (`cmd-parse.y`) gives back the same bytes, and no line break is in it.
///
/// Everything goes between double quotes. There, `\`, `"` and `$` mean something, `~` does as the first character,
/// and control characters are written as octal escapes. NUL has no form in tmux; it stays, and [`super::Control`]
/// refuses the line.
pub fn quote(argument: &str) -> String {
    let mut quoted = String::with_capacity(argument.len() + 2);
    push_quoted(&mut quoted, argument);
    quoted
}

fn push_quoted(line: &mut String, argument: &str) {
    line.push('"');
    for character in argument.chars() {
        match character {
            '\\' | '"' | '$' => {
                line.push('\\');
                line.push(character);
            }
            '\n' => line.push_str("\\n"),
            '~' => line.push_str("\\176"),
            '\u{1}'..='\u{1f}' | '\u{7f}' => {
                let code = u32::from(character);
                line.extend(['\\', octal(code >> 6), octal(code >> 3), octal(code)]);
            }
            other => line.push(other),
        }
    }
    line.push('"');
}

/// The lowest three bits as a digit.
fn octal(code: u32) -> char {
    char::from_digit(code & 7, 8).unwrap_or('0')
}

/// A command, or several that tmux runs one after the other without anything of another client in between.
///
/// The first that fails keeps those after it from being run. `Debug` shows the first word only: arguments may hold
/// what must not be logged.
#[derive(Clone, PartialEq, Eq)]
pub struct Command {
    name: &'static str,
    line: String,
}

impl Command {
    /// A command without arguments.
    pub fn new(name: &'static str) -> Self {
        Self { name, line: name.to_owned() }
    }

    /// Adds an argument or a flag; tmux sees it byte for byte.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<str>) -> Self {
        self.line.push(' ');
        push_quoted(&mut self.line, argument.as_ref());
        self
    }

    /// Adds several arguments or flags.
    #[must_use]
    pub fn args<I>(self, arguments: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        arguments.into_iter().fold(self, Command::arg)
    }

    /// Adds a command as an argument, as `if-shell` takes it.
    #[must_use]
    pub fn command(self, command: &Command) -> Self {
        self.arg(&command.line)
    }

    /// The same line goes on with this command.
    #[must_use]
    pub fn then(mut self, next: Command) -> Self {
        self.line.push_str(" ; ");
        self.line.push_str(&next.line);
        self
    }

    /// The first word, for messages.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The line for tmux, without its line break.
    pub fn line(&self) -> &str {
        &self.line
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Command").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Writes a text that tmux will expand as a format so that it comes out as it is. A run of `#` before `[` is left
/// alone by the expansion; any other `#` is written twice (`format_expand1` of tmux).
pub(super) fn escape_format(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('#') {
        let (before, run) = rest.split_at(start);
        let after = run.trim_start_matches('#');
        let hashes = run.len() - after.len();
        let times = if after.starts_with('[') { hashes } else { 2 * hashes };
        escaped.push_str(before);
        escaped.extend(std::iter::repeat_n('#', times));
        rest = after;
    }
    escaped.push_str(rest);
    escaped
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fuzz::{hostile_text, thoroughly};

    #[test]
    fn special_characters() {
        assert_eq!(quote(""), r#""""#);
        assert_eq!(quote("~/$HOME \"x\\\";\n\t#{pid} é"), "\"\\176/\\$HOME \\\"x\\\\\\\";\\n\\011#{pid} é\"");
        assert_eq!(quote("\u{1}\u{1f}\u{7f}"), r#""\001\037\177""#);
    }

    #[test]
    fn lines() {
        let inner = Command::new("set-buffer").arg("--").arg("a \"b\"").then(Command::new("display-message"));
        assert_eq!(inner.line(), r#"set-buffer "--" "a \"b\"" ; display-message"#);
        let outer = Command::new("if-shell").arg("-F").arg("1").command(&inner);
        assert_eq!(outer.line(), r#"if-shell "-F" "1" "set-buffer \"--\" \"a \\\"b\\\"\" ; display-message""#);
        assert_eq!(format!("{outer:?}"), r#"Command { name: "if-shell", .. }"#);
    }

    #[test]
    fn formats_come_out_as_they_are() {
        assert_eq!(escape_format("/a#S##/#[x]##[y]é#"), "/a##S####/#[x]##[y]é##");
    }

    /// What tmux makes of what stands between double quotes (`yylex_token` and `yylex_token_escape` of `cmd-parse.y`).
    fn unquoted(quoted: &str) -> Option<String> {
        let mut rest = quoted.strip_prefix('"')?.strip_suffix('"')?.chars();
        let mut text = String::new();
        while let Some(c) = rest.next() {
            match c {
                '"' | '$' => return None,
                '~' if text.is_empty() => return None,
                '\\' => text.push(match rest.next()? {
                    'n' => '\n',
                    first @ '0'..='7' => {
                        let digits: String = [first, rest.next()?, rest.next()?].iter().collect();
                        char::from(u8::from_str_radix(&digits, 8).ok()?)
                    }
                    special @ ('\\' | '"' | '$') => special,
                    _ => return None,
                }),
                c => text.push(c),
            }
        }
        Some(text)
    }

    proptest! {
        #![proptest_config(thoroughly())]

        #[test]
        fn a_quoted_argument_is_one_line_and_comes_back(text in hostile_text()) {
            let quoted = quote(&text);
            let control = |character: char| character.is_ascii_control() && character != '\0';
            prop_assert!(!quoted.contains(control));
            prop_assert_eq!(unquoted(&quoted), Some(text.clone()));
            // As `if-shell` takes it: quoted twice.
            let inner = Command::new("set-buffer").arg(&text);
            let outer = Command::new("if-shell").command(&inner);
            let taken = outer.line().strip_prefix("if-shell ").and_then(unquoted);
            prop_assert_eq!(taken.as_deref(), Some(inner.line()));
        }
    }
}

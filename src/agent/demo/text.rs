//! Text for a terminal: made harmless, cut, or wrapped.

/// The text without anything that could steer the terminal; every manner of newline as `\n`, a tab as spaces.
pub fn visible(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes).replace("\r\n", "\n");
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\r' | '\n' => shown.push('\n'),
            '\t' => shown.push_str("    "),
            c if c.is_control() => {}
            c => shown.push(c),
        }
    }
    shown
}

/// As much of the line as fits into `room` columns: its head, or its tail, where the typing goes on.
pub fn fitting(line: &str, room: usize, head: bool) -> String {
    if width(line) <= room {
        return line.to_owned();
    }
    // Two columns for the sign of omission: some terminals draw it wide.
    let mut left = room.saturating_sub(2);
    let mut fits = |c: &char| {
        let taken = columns(*c);
        let fits = taken <= left;
        left = left.saturating_sub(taken);
        fits
    };
    if head {
        line.chars().take_while(&mut fits).chain(['…']).collect()
    } else {
        let tail: Vec<char> = line.chars().rev().take_while(&mut fits).collect();
        ['…'].into_iter().chain(tail.into_iter().rev()).collect()
    }
}

/// The text with newlines in place of those spaces at which a line would leave the `room`. A word that is longer
/// than that is left to the terminal.
pub fn wrapped(text: &str, room: usize) -> String {
    let mut lines = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let mut column = 0;
        for word in line.split_inclusive(' ') {
            let needed = width(word.trim_end());
            if column > 0 && column + needed > room {
                lines.truncate(lines.trim_end_matches(' ').len());
                lines.push('\n');
                column = 0;
            }
            lines.push_str(word);
            column += width(word);
        }
    }
    lines
}

fn width(text: &str) -> usize {
    text.chars().map(columns).sum()
}

/// Beyond Latin, Greek and Cyrillic a character may take two columns; counting too many does no harm.
fn columns(c: char) -> usize {
    if u32::from(c) < 0x1100 { 1 } else { 2 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_steers_the_terminal() {
        assert_eq!(visible(b"a\x1b[2Jb\r\nc\rd\te\xc2\x9bf\xff"), "a[2Jb\nc\nd    ef\u{fffd}");
    }

    #[test]
    fn a_line_that_is_too_long_is_cut() {
        assert_eq!(fitting("short", 5, true), "short");
        assert_eq!(fitting("abcdefgh", 6, true), "abcd…");
        assert_eq!(fitting("abcdefgh", 6, false), "…efgh");
        assert_eq!(fitting("日本語のテキスト", 6, false), "…スト");
        assert_eq!(fitting("abc", 0, true), "…");
    }

    #[test]
    fn text_is_wrapped_at_spaces() {
        assert_eq!(wrapped("one two three\n\nfour", 7), "one two\nthree\n\nfour");
        assert_eq!(wrapped("a verylongword b\n", 5), "a\nverylongword\nb\n");
        assert_eq!(wrapped("  indented", 80), "  indented");
        assert_eq!(wrapped("", 5), "");
    }
}

//! What a conversation is called until its user says otherwise. Every driver takes it from here.

/// Characters of a title that was taken from a message.
const MAX_CHARS: usize = 80;

/// Where one line ends and the next begins: what Unicode calls a mandatory break.
const LINE_ENDS: [char; 7] = ['\n', '\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}'];

/// Whether a character has no place in a title: controls, and those that turn the direction of what stands beside it
/// (Unicode's property `Bidi_Control`), so that one title could change how others look.
pub fn is_unfit(character: char) -> bool {
    let turns_direction =
        matches!(character, '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    character.is_control() || turns_direction
}

/// The first line of a conversation's first message that has anything to read; empty where none has.
pub fn of_message(message: &str) -> String {
    let lines = message.split(LINE_ENDS).map(|line| {
        let line = line.replace('\t', " ");
        line.chars().filter(|character| !is_unfit(*character)).collect::<String>().trim().to_owned()
    });
    let line = lines.into_iter().find(|line| !line.is_empty()).unwrap_or_default();
    if line.chars().count() <= MAX_CHARS {
        return line;
    }
    let start: String = line.chars().take(MAX_CHARS - 1).collect();
    format!("{}…", start.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_with_something_to_read_is_the_title() {
        let cases = [
            ("How many orders?", "How many orders?"),
            ("How many?\nAnd why?", "How many?"),
            ("\nsecond line", "second line"),
            ("\r\n \t\r\n\u{2028}\u{7}\n  x  \r\ny", "x"),
            ("one\rtwo", "one"),
            ("one\u{85}two", "one"),
            ("a\tb", "a b"),
            ("\u{1b}[31mred\u{7}", "[31mred"),
            ("\u{202e}drow\u{202c} \u{2067}x\u{2069}\u{200f}", "drow x"),
            ("\u{feff}\0", "\u{feff}"),
            ("Größen & 数 👩‍👧", "Größen & 数 👩‍👧"),
            ("   ", ""),
            ("", ""),
        ];
        for (message, title) in cases {
            assert_eq!(of_message(message), title, "{message:?}");
        }
    }

    #[test]
    fn a_long_line_is_cut_and_says_so() {
        assert_eq!(of_message(&"ü".repeat(80)), "ü".repeat(80));
        assert_eq!(of_message(&"ü".repeat(81)), format!("{}…", "ü".repeat(79)));
        let spaced = format!("{} {}", "x".repeat(78), "y".repeat(78));
        assert_eq!(of_message(&spaced), format!("{}…", "x".repeat(78)), "no space before the ellipsis");
        for message in ["a".repeat(500), format!("{}\u{7}", "b".repeat(80)), " c".repeat(300)] {
            let title = of_message(&message);
            assert!(title.chars().count() <= MAX_CHARS && !title.contains(is_unfit), "{title:?}");
        }
    }
}

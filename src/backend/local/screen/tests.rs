use proptest::prelude::*;

use super::*;

const MARKER: &str = "[PALIADIN:01a1fc53-450c-7435-803d-384a2f9c420b";

fn profile(input: &str, cursor: bool) -> Profile {
    let text =
        format!("command = ['x']\nnewline = 'lf'\ninterrupt_key = 'Escape'\ncursor = {cursor}\ninput = '{input}'\n");
    toml::from_str(&text).unwrap()
}

fn screen(text: &str, cursor: (usize, usize, bool)) -> Screen {
    let (row, column, shown) = cursor;
    let cursor = Cursor { row, column, shown, width: 80 };
    Screen(Look { lines: text.lines().map(str::to_owned).collect(), cursor, title: "Ready".to_owned() })
}

/// Whether it takes input; whether the message lies in it.
fn seen(screen: &Screen, profile: &Profile, text: &str, before: Option<&str>) -> (bool, bool) {
    let message = Message::new(MARKER, text);
    let pasted = Pattern::try_from(r"^\[Pasted ".to_owned()).unwrap();
    match screen.input(profile) {
        Some(input) => (true, input.holds(&message, Some(&pasted), before)),
        None => (false, false),
    }
}

const CODEX: &str = "^› ";
const STATUS: &str = "  model · /work · [PALIADIN:01a1fc53-450c-7435-803d-384a2f9c420b] hello\n  ? for shortcuts";

#[test]
fn a_message_in_the_input_is_told_from_one_in_the_transcript() {
    let profile = profile(CODEX, true);
    let text = format!("{MARKER}] hello ");
    let hint = Some("Askanything");
    let sent = screen(&format!("› {MARKER}] hello\n\n• Working\n\n› Ask anything\n\n{STATUS}"), (4, 2, true));
    assert_eq!(seen(&sent, &profile, &text, hint), (true, false));
    let unsent = screen(&format!("› Old\n\n› {MARKER}] hello\n\n{STATUS}"), (2, 60, true));
    assert_eq!(seen(&unsent, &profile, &text, hint), (true, true));
    assert_eq!(seen(&unsent, &profile, &text, None), (true, true));
    // What somebody had left there stands before it.
    let draft = screen(&format!("› dear {MARKER}] hello\n\n{STATUS}"), (0, 60, true));
    assert_eq!(seen(&draft, &profile, &text, Some("dear")), (true, true));
    let only_draft = screen("› dear", (0, 6, true));
    assert_eq!(seen(&only_draft, &profile, &text, Some("dear")), (true, false));
}

#[test]
fn another_title_means_that_it_takes_no_input() {
    let input = screen("› Ask anything", (0, 2, true));
    let profile = |title: &str| {
        let idle_title = Some(Pattern::try_from(title.to_owned()).unwrap());
        Profile { idle_title, ..profile(CODEX, true) }
    };
    assert_eq!(seen(&input, &profile("^Ready$"), "", None), (true, false));
    assert_eq!(seen(&input, &profile("^Read$"), "", None), (false, false));
}

#[test]
fn a_dialog_is_no_input_although_it_has_lines_like_one() {
    let profile = profile(CODEX, true);
    let dialog = format!("› {MARKER}] hello\n\n  Run it?\n\n› 1. Yes\n  2. No\n\n  Press enter");
    for cursor in [(7, 60, false), (4, 2, false), (2, 3, true), (0, 0, true)] {
        let dialog = screen(&dialog, cursor);
        assert_eq!(seen(&dialog, &profile, "", None), (false, false), "{cursor:?}");
    }
    // The cursor is in the transcript's last line, and something else below.
    let other = screen(&format!("› {MARKER}] hello\n● Running\n  ok?"), (2, 3, true));
    assert_eq!(seen(&other, &profile, "", None), (false, false));
    let without = profile_of_dialogs();
    let dialog = screen("❯ [PALIADIN:old\n● Bash\n ❯ 1. Yes\n   2. No", (2, 1, false));
    assert_eq!(seen(&dialog, &without, "", None), (false, false), "the transcript has another space");
}

fn profile_of_dialogs() -> Profile {
    profile("^❯\u{a0}", false)
}

#[test]
fn a_long_message_is_seen_by_its_placeholder_or_its_end() {
    let profile = profile(CODEX, true);
    let lines: String = (1..=60).map(|line| format!("{line}\n")).collect();
    let text = format!("{MARKER}] {lines}");
    let hint = Some("Askanything");
    let tail = screen("› 14\n  15\n  16\n  17", (3, 4, true));
    assert_eq!(seen(&tail, &profile, &text, hint), (true, true));
    let blank = screen("›\n\n  17", (2, 4, true));
    assert_eq!(seen(&blank, &profile, &text, hint), (true, true));
    let placeholder = screen(&format!("› [Pasted Content 1248 chars]\n\n{STATUS}"), (0, 29, true));
    assert_eq!(seen(&placeholder, &profile, "x", hint), (true, true));
    let earlier = Some("[PastedContent1248chars]");
    assert_eq!(seen(&placeholder, &profile, "x", earlier), (true, false), "it was there before");
    // What the agent shows in an empty input may be a word of the message.
    let empty = screen(&format!("› Ask anything\n\n{STATUS}"), (0, 2, true));
    assert_eq!(seen(&empty, &profile, "please ask anything. Ask anything!", hint), (true, false));
}

#[test]
fn a_text_goes_on_below_its_first_line() {
    let profile = profile(CODEX, true);
    let by_the_agent = screen("› one\n  two\n\n  three\n\n  status", (3, 7, true));
    assert!(by_the_agent.input(&profile).is_some());
    let by_the_terminal = screen(&format!("› {}\n{}\nend\n\n  status", "x".repeat(78), "y".repeat(80)), (2, 3, true));
    assert!(by_the_terminal.input(&profile).is_some());
    let wide = screen(&format!("› {}\nend", "日".repeat(39)), (1, 3, true));
    assert!(wide.input(&profile).is_some());
    let another_line = screen("› one\nend", (1, 3, true));
    assert!(another_line.input(&profile).is_none());
}

#[test]
fn a_narrow_terminal_breaks_the_marker() {
    let profile = profile("^> ", false);
    let (one, two) = MARKER.split_at(20);
    let broken = screen(&format!("> {one}\n  {two}] hello"), (1, 9, true));
    assert_eq!(seen(&broken, &profile, "", None), (true, true));
    let other = screen(&format!("> {one}\n  and so on"), (1, 9, true));
    assert_eq!(seen(&other, &profile, "", None), (true, false));
    let empty = screen(&format!(">\n  {MARKER}]"), (0, 2, true));
    assert_eq!(seen(&empty, &profile, "", None), (true, false), "what is below an empty input is none of it");
}

#[test]
fn a_person_is_told_the_last_lines() {
    let lines: String = (1..=40).map(|line| format!("line {line}{}\n\n", " and more".repeat(100))).collect();
    let told = screen(&lines, (0, 0, false)).told();
    let shown: Vec<&str> = told.lines().skip(2).collect();
    assert_eq!(shown.len(), TOLD_LINES);
    assert!(shown.iter().all(|line| line.chars().count() == TOLD_WIDTH));
    assert!(shown[0].starts_with("line 29 ") && shown[11].starts_with("line 40 "), "{told}");
    assert_eq!(screen("", (0, 0, false)).told().lines().count(), 2);
}

proptest! {
    #[test]
    fn whatever_a_terminal_shows(
        lines in prop::collection::vec("(› |❯\u{a0}| {0,3})?(\\[Pasted |\\[PALIADIN:|日本|\u{301}|.){0,9}", 0..20),
        (row, column, shown) in (0_usize..30, 0_usize..300, any::<bool>()),
        cursor: bool,
        text: String,
        before: Option<String>,
    ) {
        let screen = Screen(Look { lines, cursor: Cursor { row, column, shown, width: 80 }, title: String::new() });
        for input in [CODEX, "^❯\u{a0}", "", ".*"] {
            let (takes, holds) = seen(&screen, &profile(input, cursor), &text, before.as_deref());
            prop_assert!(takes || !holds);
        }
        screen.told();
    }
}

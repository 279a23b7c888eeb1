//! Markdown that is made with a known number of chips.

use proptest::prelude::*;

use super::super::*;
use crate::fuzz::{hostile_text, thoroughly};

/// Lines of Markdown, and how many chips they have.
#[derive(Clone, Debug)]
struct Block {
    lines: Vec<String>,
    chips: usize,
}

impl Block {
    /// It becomes part of another block: `first` begins it, `rest` every other line.
    fn within(self, first: &str, rest: &str) -> Self {
        let prefixed = |(at, line): (usize, &String)| format!("{}{line}", if at == 0 { first } else { rest });
        Self { lines: self.lines.iter().enumerate().map(prefixed).collect(), chips: self.chips }
    }
}

/// One after the other. The rule in between ends whatever a line after it could belong to.
fn all(blocks: Vec<Block>) -> Block {
    let chips = blocks.iter().map(|block| block.chips).sum();
    let lines: Vec<Vec<String>> = blocks.into_iter().map(|block| block.lines).collect();
    Block { lines: lines.join(&["", "***", ""].map(str::to_owned)[..]), chips }
}

fn percent_encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// A chip, as an agent may write it.
fn chip() -> impl Strategy<Value = String> {
    const LABELS: &[&str] =
        &["Ask", "", "a [b] c", "**bold** _x_", "`co]de`", "\\]", "50 %", "\u{1f600} \u{202e}x", "&amp;", "![p](q)"];
    let label = prop_oneof![prop::sample::select(LABELS).prop_map(str::to_owned), "[a-zA-Z0-9é ]{0,12}"];
    let target = prop_oneof![
        Just("chip:ask".to_owned()),
        hostile_text().prop_map(|text| format!("chip:ask/{}", percent_encoded(&text))),
        prop::sample::select(&["%", "%zz", "%E2%82", "%00", "%F0%9F%98"][..]).prop_map(|odd| format!("chip:ask/{odd}")),
        "[a-z0-9/._~-]{0,16}".prop_map(|path| format!("chip:go/{path}")),
        "[a-z ]{0,8}".prop_map(|text| format!("<chip:ask/{text}>")),
        Just("chip:ask \"with a title\"".to_owned()),
    ];
    (label, target).prop_map(|(label, target)| format!("[{label}]({target})"))
}

/// Something within a line, and how many chips it has.
fn inline() -> impl Strategy<Value = (String, usize)> {
    const NONE: &[&str] = &[
        "word",
        "50%",
        "[x](https://chip:1/)",
        "\\[x](chip:ask)",
        "![x](chip:ask)",
        "<b title='[x](chip:ask)'>",
        "<!-- [x](chip:ask) -->",
        "[x] (chip:ask)",
        "chip:ask",
    ];
    let in_code = (1..4_usize, chip()).prop_filter("a span ends at its own ticks", |(_, chip)| !chip.contains('`'));
    prop_oneof![
        3 => chip().prop_map(|chip| (chip, 1)),
        2 => prop::sample::select(NONE).prop_map(|text| (text.to_owned(), 0)),
        2 => in_code.prop_map(|(ticks, chip)| ("`".repeat(ticks), chip)).prop_map(|(ticks, chip)| (format!("{ticks} {chip} {ticks}"), 0)),
        1 => chip().prop_map(|chip| (format!("**bold {chip}**"), 1)),
    ]
}

fn line(between: &'static str) -> impl Strategy<Value = (String, usize)> {
    prop::collection::vec(inline(), 1..4).prop_map(move |parts| {
        let texts: Vec<&str> = parts.iter().map(|(text, _)| text.as_str()).collect();
        (format!("So {}", texts.join(between)), parts.iter().map(|(_, chips)| chips).sum())
    })
}

fn lines_of_chips() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(chip(), 1..3)
}

/// A block that has no other ones in it.
fn leaf() -> impl Strategy<Value = Block> {
    let fence = (prop::sample::select(&["`", "~"][..]), 3..6_usize, " {0,3}", lines_of_chips());
    let fenced = fence.prop_map(|(mark, length, indent, code)| {
        let (fence, other) = (mark.repeat(length), if mark == "`" { "~~~~~~~" } else { "```````" });
        let shorter = mark.repeat(length - 1);
        let lines = [format!("{fence}text"), shorter, other.to_owned()].into_iter().chain(code);
        Block { lines: lines.chain([String::new(), format!("{indent}{fence}")]).collect(), chips: 0 }
    });
    let indented = lines_of_chips()
        .prop_map(|code| Block { lines: code.into_iter().map(|line| format!("    {line}")).collect(), chips: 0 });
    let html = (prop::sample::select(&["div", "table", "pre"][..]), lines_of_chips()).prop_map(|(tag, within)| {
        let lines = [format!("<{tag}>")].into_iter().chain(within).chain([format!("</{tag}>")]);
        Block { lines: lines.collect(), chips: 0 }
    });
    let table = line(" | ")
        .prop_map(|(row, chips)| Block { lines: vec!["a | b".to_owned(), "--- | ---".to_owned(), row], chips });
    let named = Just(Block { lines: vec!["[x][go]".to_owned(), String::new(), "[go]: chip:ask".to_owned()], chips: 1 });
    prop_oneof![
        3 => line(" ").prop_map(|(line, chips)| Block { lines: vec![line], chips }),
        1 => line(" ").prop_map(|(line, chips)| Block { lines: vec![format!("## {line}")], chips }),
        2 => fenced,
        1 => indented,
        1 => html,
        1 => table,
        1 => named,
    ]
}

fn markdown() -> impl Strategy<Value = Block> {
    let nested = leaf().prop_recursive(3, 8, 3, |inner| {
        let several = prop::collection::vec(inner, 1..3).prop_map(all);
        const MARKS: &[(&str, &str)] = &[("> ", "> "), ("- ", "  "), ("1. ", "   "), ("- > ", "  > ")];
        (several, prop::sample::select(MARKS)).prop_map(|(block, (first, rest))| block.within(first, rest))
    });
    prop::collection::vec(nested, 1..4).prop_map(all)
}

/// What Markdown is made of, and what chips are.
const PIECES: [&str; 34] = [
    "[",
    "]",
    "](",
    ")",
    "chip:",
    "chip:ask",
    "[x](chip:ask)",
    "chip:ask/%",
    "%E2%82%AC",
    "%zz",
    "<",
    ">",
    "<chip:ask>",
    "`",
    "``",
    "```\n",
    "~~~\n",
    "\n",
    "\n\n",
    "    ",
    "- ",
    "1. ",
    "> ",
    "# ",
    "***",
    "|",
    "![",
    "\\",
    "&#99;hip:",
    "<div>",
    "</div>",
    "<!--",
    "-->",
    "[x]: chip:ask\n",
];

proptest! {
    #![proptest_config(thoroughly())]

    #[test]
    fn chips_outside_of_code_are_counted(block in markdown()) {
        let text = block.lines.join("\n");
        prop_assert_eq!(count_chips(&text) as usize, block.chips, "{}", text);
    }

    #[test]
    fn chips_of_any_text_are_no_more_than_its_links(
        pieces in prop::collection::vec(prop_oneof![
            5 => prop::sample::select(&PIECES[..]).prop_map(str::to_owned),
            1 => hostile_text(),
        ], 0..24),
    ) {
        let text = pieces.concat();
        let most = text.matches("](").count() + text.matches('<').count() + text.matches(']').count();
        prop_assert!(count_chips(&text) as usize <= most);
        prop_assert!(text.contains("chip:") || count_chips(&text) == 0);
    }
}

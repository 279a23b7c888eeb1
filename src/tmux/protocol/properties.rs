//! What tmux may say, written as tmux writes it, is read as it was meant.

use proptest::prelude::*;

use super::*;
use crate::fuzz::{hostile_text, thoroughly};

/// One thing that tmux says.
#[derive(Clone, Debug)]
pub enum Message {
    /// What a command printed: time, number and flags of its guards, whether it did what it should, and the lines.
    Output { guard: (u32, u16, u8), ok: bool, lines: Vec<Vec<u8>> },
    /// The mark with this number.
    Mark(u64),
    /// A notification, as it is written.
    Notification(Vec<u8>),
}

fn guard((time, number, flags): (u32, u16, u8)) -> String {
    format!("{time} {number} {flags}")
}

/// Bytes as `%output` has them (`control_append_data` of tmux): what is below a blank, and the backslash, in octal.
fn escaped(bytes: &[u8]) -> Vec<u8> {
    let escape = |byte: &u8| match *byte {
        byte if byte < b' ' || byte == b'\\' => format!("\\{byte:03o}").into_bytes(),
        byte => vec![byte],
    };
    bytes.iter().flat_map(escape).collect()
}

/// A line of a command's output; many look like the protocol.
fn text() -> impl Strategy<Value = Vec<u8>> {
    const KNOWN: &[&str] = &[
        "%begin 1 2 1",
        "%end 1 2 1",
        "%error 7 7",
        "%end",
        "%exit",
        "%output %1 x",
        "%session-changed $0 x",
        "mark-",
        "",
    ];
    prop_oneof![
        2 => prop::sample::select(KNOWN).prop_map(|line| line.as_bytes().to_vec()),
        1 => any::<(u32, u16, u8)>().prop_map(|of| format!("%end {}", guard(of)).into_bytes()),
        1 => hostile_text().prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..12),
    ]
    .prop_map(|line| line.into_iter().filter(|byte| *byte != b'\n').collect())
}

fn notification() -> impl Strategy<Value = Vec<u8>> {
    const WORDS: &[&str] = &[
        "%session-changed",
        "%sessions-changed",
        "%window-add",
        "%unlinked-window-close",
        "%layout-change",
        "%exit",
        "%client-detached",
        "%paste-buffer-changed",
        "%config-error",
        "%pause",
        "%",
    ];
    let output = (
        prop::sample::select(&["%output %", "%extended-output %"][..]),
        any::<u8>(),
        prop::collection::vec(any::<u8>(), 0..24),
    );
    prop_oneof![
        output.prop_map(|(word, pane, bytes)| [format!("{word}{pane} ").as_bytes(), &escaped(&bytes)].concat()),
        (prop::sample::select(WORDS), text()).prop_map(|(word, rest)| [word.as_bytes(), b" ", &rest].concat()),
        prop::sample::select(WORDS).prop_map(|word| word.as_bytes().to_vec()),
    ]
}

fn message() -> impl Strategy<Value = Message> {
    let output = (any::<(u32, u16)>(), 0..4_u8, any::<bool>(), prop::collection::vec(text(), 0..5));
    let output = output.prop_map(|((time, number), flags, ok, lines)| {
        let own = ["%end ", "%error "].map(|word| format!("{word}{}", guard((time, number, flags))).into_bytes());
        let lines = lines.into_iter().filter(|line| !own.contains(line)).collect();
        Message::Output { guard: (time, number, flags), ok, lines }
    });
    prop_oneof![
        3 => output,
        1 => any::<u64>().prop_map(Message::Mark),
        2 => notification().prop_map(Message::Notification),
    ]
}

/// What tmux says, one after the other.
pub fn messages() -> impl Strategy<Value = Vec<Message>> {
    prop::collection::vec(message(), 0..5)
}

/// It, as tmux writes it to a client whose marks begin with `secret`.
pub fn rendered(messages: &[Message], secret: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut line = |line: &[u8]| {
        bytes.extend_from_slice(line);
        bytes.push(b'\n');
    };
    for message in messages {
        match message {
            Message::Output { guard: of, ok, lines } => {
                line(format!("%begin {}", guard(*of)).as_bytes());
                lines.iter().for_each(|text| line(text));
                line(format!("{} {}", if *ok { "%end" } else { "%error" }, guard(*of)).as_bytes());
            }
            // A mark is the output of a command, too.
            Message::Mark(number) => {
                line(b"%begin 4 5 1");
                line(format!("{secret}{number}").as_bytes());
                line(b"%end 4 5 1");
            }
            Message::Notification(text) => line(text),
        }
    }
    bytes
}

/// What has to be read of it.
pub fn expected(messages: &[Message]) -> Vec<Event> {
    let text = |line: &Vec<u8>| String::from_utf8_lossy(line).into_owned();
    let read = |message: &Message| match message {
        Message::Output { guard: (_, _, flags), ok, lines } => {
            Event::Block(Block { ok: *ok, ours: flags & 1 == 1, lines: lines.iter().map(text).collect() })
        }
        Message::Mark(number) => Event::Mark(*number),
        Message::Notification(line) => Event::Notification(text(line).split(' ').next().unwrap().to_owned()),
    };
    messages.iter().map(read).collect()
}

fn fed(parser: &mut Parser, bytes: &[u8]) -> Vec<Event> {
    bytes.split(|byte| *byte == b'\n').filter_map(|line| parser.line(line)).collect()
}

const SECRET: &str = "mark-5e3-";

proptest! {
    #![proptest_config(thoroughly())]

    #[test]
    fn whatever_tmux_says_is_read(messages in messages()) {
        let mut parser = Parser::new(SECRET.to_owned());
        prop_assert_eq!(fed(&mut parser, &rendered(&messages, SECRET)), expected(&messages));
        prop_assert!(parser.open.is_none());
    }

    #[test]
    fn a_mark_brings_it_back_from_anything(noise in prop::collection::vec(text(), 0..6), messages in messages()) {
        let mut parser = Parser::new(SECRET.to_owned());
        for line in &noise {
            parser.line(line);
        }
        // No more is kept than was said: a byte that is no text becomes a character of three.
        let said: usize = noise.iter().map(|line| 3 * line.len()).sum();
        let kept = |parser: &Parser| parser.open.as_ref().map_or(0, |open| open.lines.iter().map(String::len).sum());
        prop_assert!(kept(&parser) <= said);
        prop_assert_eq!(parser.line(format!("{SECRET}4").as_bytes()), Some(Event::Mark(4)));
        prop_assert_eq!(kept(&parser), 0);
        prop_assert_eq!(parser.line(b"%end 1 2 1"), None);
        prop_assert_eq!(fed(&mut parser, &rendered(&messages, SECRET)), expected(&messages));
    }
}

//! Whatever a person writes, it reaches the agent as one message of one turn.

use proptest::prelude::*;

use super::*;
use crate::agent::demo::decoder::{Decoder, Key};
use crate::agent::demo::envelope::Envelope;
use crate::fuzz::{cuts, hostile_text, pieces, thoroughly};

fn flags() -> impl Strategy<Value = Flags> {
    any::<[bool; 3]>().prop_map(|[context, primer, message]| Flags { context, primer, message })
}

fn turn() -> impl Strategy<Value = TurnId> {
    any::<u128>().prop_map(|bits| TurnId(uuid::Uuid::from_u128(bits)))
}

/// Without what is not seen, and in small letters: how a reader may take it who does not look closely.
fn glanced_over(text: &str) -> String {
    text.chars()
        .filter(|c| !is_invisible(*c) && (!c.is_control() || *c == '\t'))
        .collect::<String>()
        .to_ascii_lowercase()
}

proptest! {
    #![proptest_config(thoroughly())]

    #[test]
    fn nothing_dangerous_is_left(message in hostile_text()) {
        let clean = sanitise(&message);
        prop_assert!(clean.chars().all(|c| c == '\n' || c == '\t' || !c.is_control()));
        for line in clean.lines() {
            prop_assert!(!glanced_over(line).contains("[paliadin:"), "{clean:?}");
        }
        prop_assert_eq!(&sanitise(&clean), &clean);
        let line = line(&message);
        prop_assert!(!line.contains('\n') && line.len() == clean.len());
        // Nothing else is taken away, and nothing is added.
        let kept = message.chars().filter(|c| !c.is_control()).filter(|c| !"[(PALIADINpaliadin:".contains(*c));
        let seen = |c: &char| !is_invisible(*c);
        let left = clean.chars().filter(|c| !c.is_control()).filter(|c| !"[(PALIADINpaliadin:".contains(*c));
        prop_assert_eq!(left.filter(seen).collect::<String>(), kept.filter(seen).collect::<String>());
    }

    #[test]
    fn harmless_text_is_kept(message in "[^\\p{Cc}\\[]{0,24}") {
        prop_assert_eq!(sanitise(&message), message);
    }

    #[test]
    fn an_agent_reads_what_the_server_has_typed(turn in turn(), flags in flags(), message in hostile_text()) {
        let message = sanitise(&message);
        let typed = envelope(turn, flags, &message);
        let read = Envelope::parse(typed.as_bytes());
        let shown = if flags.message { "" } else { &message };
        let expected = Envelope { turn_id: turn, message_in_file: flags.message, message: shown.as_bytes() };
        prop_assert_eq!(read, Some(expected));
        let (head, _) = typed.split_once(']').unwrap();
        let told: Vec<&str> = head.split(' ').skip(1).collect();
        let all = [("+context", flags.context), ("+primer", flags.primer), ("+message", flags.message)];
        let expected: Vec<&str> = all.into_iter().filter(|(_, is_set)| *is_set).map(|(flag, _)| flag).collect();
        prop_assert_eq!(told, expected);
        prop_assert_eq!(typed.matches(MARKER).count(), 1);
    }

    #[test]
    fn what_is_typed_arrives_as_one_message(
        turn in turn(), flags in flags(), message in hostile_text(), as_cr in any::<bool>(), cuts in cuts(),
    ) {
        let mut typed = envelope(turn, flags, &sanitise(&message));
        if as_cr {
            typed = typed.replace('\n', "\r");
        }
        // As tmux pastes it, and presses Enter.
        let bytes = format!("\x1b[200~{typed}\x1b[201~\r");
        let (mut decoder, mut keys) = (Decoder::default(), Vec::new());
        for piece in pieces(bytes.as_bytes(), &cuts) {
            decoder.feed(piece, &mut keys);
        }
        prop_assert!(!decoder.awaits_escape());
        prop_assert_eq!(keys, [Key::Paste(typed.into_bytes()), Key::Enter]);
    }

    #[test]
    fn a_reply_is_typed_as_one_line(text in hostile_text(), cuts in cuts()) {
        let typed = line(&text);
        let bytes = format!("\x1b[200~{typed}\x1b[201~\r");
        let (mut decoder, mut keys) = (Decoder::default(), Vec::new());
        for piece in pieces(bytes.as_bytes(), &cuts) {
            decoder.feed(piece, &mut keys);
        }
        prop_assert_eq!(keys, [Key::Paste(typed.clone().into_bytes()), Key::Enter]);
        // The same where the agent did not ask for brackets: no key in it but those of the text.
        let (mut decoder, mut keys) = (Decoder::default(), Vec::new());
        decoder.feed(typed.as_bytes(), &mut keys);
        prop_assert_eq!(keys, typed.bytes().map(Key::Byte).collect::<Vec<_>>());
    }
}

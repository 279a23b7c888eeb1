//! From the bytes of a terminal to keys and pastes: pure, incremental, the same however the bytes are cut.

/// One thing that the terminal sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Key {
    /// A byte of text; characters beyond ASCII come as their UTF-8 bytes.
    Byte(u8),
    /// All that was between the two markers of a bracketed paste, newlines and control characters included.
    Paste(Vec<u8>),
    /// Enter: CR from a terminal, LF from a pipe.
    Enter,
    /// Backspace.
    Backspace,
    /// Ctrl-U.
    ClearLine,
    /// Ctrl-W.
    ClearWord,
    /// Ctrl-L.
    ClearScreen,
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-D.
    EndOfInput,
    /// The Escape key alone.
    Escape,
    /// The answer to a status request: the terminal has worked through everything written before it.
    Status,
}

/// Longest control sequence that is taken for one; what is longer is noise, and is dropped.
const SEQUENCE_LIMIT: usize = 32;
const PASTE_END: &[u8] = b"\x1b[201~";

#[derive(Debug)]
enum State {
    Ground,
    /// ESC came: the Escape key, or the start of a sequence.
    Escape,
    /// `ESC [` and these bytes came.
    Sequence(Vec<u8>),
    /// `ESC O` came; one more byte belongs to it.
    Function,
    /// Within a bracketed paste.
    Paste(Vec<u8>),
}

/// The state machine. Whoever feeds it watches [`Decoder::awaits_escape`].
#[derive(Debug)]
pub struct Decoder {
    state: State,
}

impl Default for Decoder {
    fn default() -> Self {
        Self { state: State::Ground }
    }
}

impl Decoder {
    /// True where an ESC has come and nothing after it yet: time decides what it was.
    pub fn awaits_escape(&self) -> bool {
        matches!(self.state, State::Escape)
    }

    /// Nothing followed the ESC for long enough: it was the key.
    pub fn expire(&mut self) -> Option<Key> {
        self.awaits_escape().then(|| {
            self.state = State::Ground;
            Key::Escape
        })
    }

    /// Takes the next bytes and appends what they complete to `keys`.
    pub fn feed(&mut self, mut bytes: &[u8], keys: &mut Vec<Key>) {
        while let Some((&byte, rest)) = bytes.split_first() {
            match &mut self.state {
                State::Paste(text) => {
                    // Only a `~` can complete the end marker, so everything up to it is taken at once.
                    let upto = bytes.iter().position(|&b| b == b'~').map_or(bytes.len(), |at| at + 1);
                    text.extend_from_slice(&bytes[..upto]);
                    bytes = &bytes[upto..];
                    if text.ends_with(PASTE_END) {
                        text.truncate(text.len() - PASTE_END.len());
                        keys.push(Key::Paste(std::mem::take(text)));
                        self.state = State::Ground;
                    }
                    continue;
                }
                State::Ground if byte == 0x1b => self.state = State::Escape,
                State::Ground => keys.extend(plain_key(byte)),
                State::Escape => match byte {
                    b'[' => self.state = State::Sequence(Vec::new()),
                    b'O' => self.state = State::Function,
                    // No sequence of ours: the key was pressed, and this byte stands for itself.
                    _ => {
                        keys.push(Key::Escape);
                        self.state = State::Ground;
                        continue;
                    }
                },
                State::Function => self.state = State::Ground,
                State::Sequence(_) if !(0x20..=0x7e).contains(&byte) => {
                    self.state = State::Ground;
                    continue;
                }
                State::Sequence(sequence) => {
                    sequence.push(byte);
                    if (0x40..=0x7e).contains(&byte) {
                        let meaning = std::mem::take(sequence);
                        self.state = State::Ground;
                        match meaning.as_slice() {
                            b"200~" => self.state = State::Paste(Vec::new()),
                            b"0n" => keys.push(Key::Status),
                            _ => {}
                        }
                    } else if sequence.len() >= SEQUENCE_LIMIT {
                        self.state = State::Ground;
                    }
                }
            }
            bytes = rest;
        }
    }
}

fn plain_key(byte: u8) -> Option<Key> {
    match byte {
        b'\r' | b'\n' => Some(Key::Enter),
        0x03 => Some(Key::Interrupt),
        0x04 => Some(Key::EndOfInput),
        0x08 | 0x7f => Some(Key::Backspace),
        0x0c => Some(Key::ClearScreen),
        0x15 => Some(Key::ClearLine),
        0x17 => Some(Key::ClearWord),
        b'\t' | 0x20.. => Some(Key::Byte(byte)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fuzz::{cuts, hostile_text, pieces, thoroughly};

    fn decode<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Vec<Key> {
        let (mut decoder, mut keys) = (Decoder::default(), Vec::new());
        for part in parts {
            decoder.feed(part, &mut keys);
        }
        keys.extend(decoder.expire());
        keys
    }

    fn bytes(text: &str) -> Vec<Key> {
        text.bytes().map(Key::Byte).collect()
    }

    const SESSION: &[u8] =
        "a\u{e9}\x1b[A\x1b[200~line 1\nline ~ 2\r\x1b[20\x03~\x1b[201~\r\x1bOP\x1b[0n\x1bx\x15\x1b\x1b[1;5C\x03\x1b"
            .as_bytes();

    fn session_keys() -> Vec<Key> {
        let mut keys = bytes("a\u{e9}");
        keys.push(Key::Paste(b"line 1\nline ~ 2\r\x1b[20\x03~".to_vec()));
        keys.extend([Key::Enter, Key::Status, Key::Escape, Key::Byte(b'x'), Key::ClearLine, Key::Escape]);
        keys.extend([Key::Interrupt, Key::Escape]);
        keys
    }

    #[test]
    fn a_session_gives_the_same_keys_in_every_split() {
        assert_eq!(decode([SESSION]), session_keys());
        assert_eq!(decode(SESSION.chunks(1)), session_keys(), "byte by byte");
        for first in 0..SESSION.len() {
            for second in first..SESSION.len() {
                let parts = [&SESSION[..first], &SESSION[first..second], &SESSION[second..]];
                assert_eq!(decode(parts), session_keys(), "cut at {first} and {second}");
            }
        }
    }

    #[test]
    fn keys_have_their_meanings() {
        assert_eq!(decode([b"\r\n\x7f\x08\x04\x0c\x17".as_slice()]), {
            use Key::*;
            [Enter, Enter, Backspace, Backspace, EndOfInput, ClearScreen, ClearWord]
        });
        assert_eq!(decode([b"\x1b[1\x1b[200~x\x1b[201~".as_slice()]), [Key::Paste(b"x".to_vec())], "a torn sequence");
        assert_eq!(decode([b"\x1b[200~\x1b[201~".as_slice()]), [Key::Paste(Vec::new())]);
        let endless = [b"\x1b[".as_slice(), &[b'1'; SEQUENCE_LIMIT], b"z"];
        assert_eq!(decode(endless), bytes("z"), "an endless sequence ends");
    }

    #[test]
    fn a_lone_escape_waits_for_time_and_a_paste_never_does() {
        let (mut decoder, mut keys) = (Decoder::default(), Vec::new());
        decoder.feed(b"\x1b", &mut keys);
        assert!(decoder.awaits_escape() && keys.is_empty());
        assert_eq!(decoder.expire(), Some(Key::Escape));
        assert_eq!(decoder.expire(), None);
        decoder.feed(b"\x1b[200~half\x1b", &mut keys);
        assert!(!decoder.awaits_escape() && decoder.expire().is_none());
        decoder.feed(b"[201~", &mut keys);
        assert_eq!(keys, [Key::Paste(b"half".to_vec())]);
    }

    proptest! {
        #![proptest_config(thoroughly())]

        #[test]
        fn any_bytes_in_any_split_decode_alike(text in hostile_text(), bytes in any::<[u8; 6]>(), cuts in cuts()) {
            let bytes = [&bytes[..3], text.as_bytes(), &bytes[3..]].concat();
            let keys = decode([bytes.as_slice()]);
            prop_assert_eq!(decode(pieces(&bytes, &cuts)), &keys[..]);
            prop_assert_eq!(decode(bytes.chunks(1)), keys);
        }
    }
}

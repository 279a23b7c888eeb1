//! The envelope in which the server types a turn: `[PALIADIN:<turn_id> +flag …] <message>`.

use crate::turn::TurnId;

/// How every envelope begins.
pub const MARKER: &[u8] = b"[PALIADIN:";

/// A submission that carries a turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Envelope<'a> {
    /// The turn.
    pub turn_id: TurnId,
    /// `+message`: the text is in the turn's message file, and nothing follows.
    pub message_in_file: bool,
    /// What follows the bracket and one space, byte for byte.
    pub message: &'a [u8],
}

impl<'a> Envelope<'a> {
    /// Takes a submission apart; `None` where it is no envelope, but something that a person typed. Flags that
    /// this version does not know are passed over.
    pub fn parse(submission: &'a [u8]) -> Option<Self> {
        let inner = submission.strip_prefix(MARKER)?;
        let end = inner.iter().position(|&byte| byte == b']')?;
        let head = std::str::from_utf8(&inner[..end]).ok()?;
        let mut words = head.split(' ');
        let id = words.next()?;
        let turn_id = id.parse::<TurnId>().ok()?;
        // The id names files, so only the form that the server writes will do.
        if turn_id.to_string() != id {
            return None;
        }
        let mut message_in_file = false;
        for word in words {
            message_in_file |= word.strip_prefix('+')? == "message";
        }
        let message = &inner[end + 1..];
        Some(Self { turn_id, message_in_file, message: message.strip_prefix(b" ").unwrap_or(message) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01900000-0000-7000-8000-000000000001";

    fn parse(text: &str) -> Option<(bool, String)> {
        let envelope = Envelope::parse(text.as_bytes())?;
        assert_eq!(envelope.turn_id.to_string(), ID);
        Some((envelope.message_in_file, String::from_utf8_lossy(envelope.message).into_owned()))
    }

    fn some(in_file: bool, message: &str) -> Option<(bool, String)> {
        Some((in_file, message.to_owned()))
    }

    #[test]
    fn messages_come_out_byte_for_byte() {
        assert_eq!(parse(&format!("[PALIADIN:{ID}] hello")), some(false, "hello"));
        assert_eq!(parse(&format!("[PALIADIN:{ID}]   two spaces left\n ")), some(false, "  two spaces left\n "));
        assert_eq!(parse(&format!("[PALIADIN:{ID}]\nno space")), some(false, "\nno space"));
        assert_eq!(parse(&format!("[PALIADIN:{ID}] a ] b\r[x]")), some(false, "a ] b\r[x]"));
        assert_eq!(parse(&format!("[PALIADIN:{ID}]")), some(false, ""));
    }

    #[test]
    fn flags_are_read_and_unknown_ones_passed_over() {
        assert_eq!(parse(&format!("[PALIADIN:{ID} +context +primer +message]")), some(true, ""));
        assert_eq!(parse(&format!("[PALIADIN:{ID} +context +later] x")), some(false, "x"));
    }

    #[test]
    fn everything_else_is_typed_by_a_person() {
        let upper = ID.to_uppercase().replace('1', "A");
        for text in ["", "hello", "[PALIADIN:]", "[PALIADIN:x] hello", " [PALIADIN:"] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse(&format!(" [PALIADIN:{ID}] indented")), None);
        assert_eq!(parse(&format!("[PALIADIN:{upper}] another spelling")), None);
        assert_eq!(parse(&format!("[PALIADIN:{ID} message] no flag")), None);
        assert_eq!(parse(&format!("[PALIADIN:{ID}  +context] two spaces")), None);
        assert_eq!(parse(&format!("[PALIADIN:{ID} +context")), None);
    }
}

//! The primer: what was said in a conversation before, for an agent that does not remember it.

use crate::actors::wiring::Wiring;
use crate::store::Turn;
use crate::turn::{Memory, Timestamp};

/// Bytes of a primer. Of what is longer, the oldest is left out.
const MAX_PRIMER: usize = 64 * 1024;
/// Bytes of one question or answer in it.
const MAX_TEXT: usize = 16 * 1024;

/// What begins it.
const HEAD: &str = "# What was said before in this conversation\n\nYou do not remember it, and the person does. It is told \
    to you once; do not answer it again.\n";

/// The primer of a turn for an agent that remembers `memory`; `None` where it knows the conversation, or there is nothing
/// to know. Where the store cannot be read, the turn goes without: it is worth more than its primer.
pub(super) async fn of(wiring: &Wiring, turn: &Turn, memory: &Memory) -> Option<String> {
    let limit = wiring.limits.primer_turns;
    if limit == 0 {
        return None;
    }
    let history = async {
        if wiring.store.has_started_since(turn.session_id, memory.since).await? {
            return Ok(Vec::new());
        }
        wiring.store.history(turn.user_id, turn.session_id, Some(turn.turn_id), limit).await
    };
    match history.await {
        Ok(turns) => written(turns.iter().filter_map(|turn| {
            let answer = turn.response.as_deref()?;
            Some((turn.queued_at, turn.user_message.as_str(), answer))
        })),
        Err(error) => {
            tracing::warn!(turn_id = %turn.turn_id, %error, "no primer: the history cannot be read");
            None
        }
    }
}

/// These questions and answers, the oldest first, as Markdown.
fn written<'a>(said: impl DoubleEndedIterator<Item = (Timestamp, &'a str, &'a str)>) -> Option<String> {
    let mut parts = Vec::new();
    let mut length = HEAD.len();
    for (asked, question, answer) in said.rev() {
        let (question, answer) = (cut(question), cut(answer));
        let part = format!("\n## The person, {asked}\n\n{question}\n\n## Your answer\n\n{answer}\n");
        length += part.len();
        if length > MAX_PRIMER {
            break;
        }
        parts.push(part);
    }
    (!parts.is_empty()).then(|| parts.iter().rev().fold(HEAD.to_owned(), |text, part| text + part))
}

fn cut(text: &str) -> String {
    if text.len() <= MAX_TEXT {
        text.to_owned()
    } else {
        format!("{} […]", &text[..text.floor_char_boundary(MAX_TEXT)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_is_too_much_the_oldest_is_left_out() {
        let answers: Vec<_> = (0..9).map(|number| format!("answer {number} {}", "x".repeat(10_000))).collect();
        let primer = written(answers.iter().map(|answer| (Timestamp(0), "why?", answer.as_str()))).unwrap();
        assert!(primer.len() <= MAX_PRIMER && primer.starts_with(HEAD), "{}", primer.len());
        let told: Vec<_> = (0..9).filter(|number| primer.contains(&format!("answer {number} "))).collect();
        assert_eq!(told, [3, 4, 5, 6, 7, 8]);
        assert!(primer.find("answer 3").unwrap() < primer.find("answer 8").unwrap());
    }

    #[test]
    fn a_long_text_is_cut_between_two_characters() {
        let long = format!("x{}", "ü".repeat(MAX_TEXT));
        let primer = written([(Timestamp(0), long.as_str(), "short")].into_iter()).unwrap();
        assert!(primer.contains(&format!("x{} […]\n", "ü".repeat((MAX_TEXT - 1) / 2))));
        assert!(primer.contains("\nshort\n") && primer.len() < MAX_TEXT + 1_000);
    }

    #[test]
    fn where_nothing_was_answered_there_is_none() {
        assert_eq!(written([].into_iter()), None);
    }
}

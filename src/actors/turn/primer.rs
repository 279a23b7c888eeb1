//! The primer: what was said in a conversation before, for an agent that does not remember it.

use crate::actors::wiring::Wiring;
use crate::store::Turn;
use crate::turn::Memory;

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
        Ok(turns) => written(&turns),
        Err(error) => {
            tracing::warn!(turn_id = %turn.turn_id, %error, "no primer: the history cannot be read");
            None
        }
    }
}

/// The turns that were answered, oldest first, as Markdown.
fn written(turns: &[Turn]) -> Option<String> {
    let mut parts = Vec::new();
    let mut length = HEAD.len();
    for turn in turns.iter().rev() {
        let Some(answer) = &turn.response else { continue };
        let (asked, question, answer) = (turn.queued_at, cut(&turn.user_message), cut(answer));
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
        return text.to_owned();
    }
    let end = (0..=MAX_TEXT).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    format!("{} […]", &text[..end])
}

//! What was typed into the agents, as they took it down themselves.

use std::collections::BTreeMap;
use std::path::Path;

use paliadin::agent::envelope::MARKER;
use serde::Deserialize;

use super::Tested;

/// One submission.
#[derive(Deserialize, Clone, Debug)]
pub struct Typed {
    /// The agent's process.
    pub pid: i32,
    /// The agent session's name.
    pub session: Option<String>,
    /// The text as it arrived.
    pub raw: String,
}

impl Typed {
    /// The turn whose envelope this is.
    pub fn turn(&self) -> Option<&str> {
        self.raw.strip_prefix(MARKER)?.get(..36)
    }
}

/// Every submission so far; a line that is being written is left out.
pub fn read(log: &Path) -> Tested<Vec<Typed>> {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    Ok(whole.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
}

/// How many turns were typed. `replies` are what a test has had typed beside them.
///
/// # Errors
/// Where a turn or a reply was typed more than once, or something else was typed.
pub fn each_turn_once(log: &Path, replies: &[String]) -> Tested<usize> {
    let typed = read(log)?;
    let mut replies = replies.to_vec();
    let mut turns: BTreeMap<&str, usize> = BTreeMap::new();
    for typed in &typed {
        match (typed.turn(), replies.iter().position(|reply| *reply == typed.raw)) {
            (Some(turn), _) => *turns.entry(turn).or_default() += 1,
            (None, Some(reply)) => drop(replies.swap_remove(reply)),
            (None, None) => return Err(format!("typed without an envelope: {typed:?}").into()),
        }
    }
    let twice: Vec<_> = turns.iter().filter(|(_, times)| **times > 1).collect();
    if twice.is_empty() { Ok(turns.len()) } else { Err(format!("typed more than once: {twice:?}").into()) }
}

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

/// How many turns were typed.
///
/// # Errors
/// Where one was typed more than once, or something is no envelope at all.
pub fn each_turn_once(log: &Path) -> Tested<usize> {
    let typed = read(log)?;
    let mut turns: BTreeMap<&str, usize> = BTreeMap::new();
    for typed in &typed {
        *turns.entry(typed.turn().ok_or_else(|| format!("typed without an envelope: {typed:?}"))?).or_default() += 1;
    }
    let twice: Vec<_> = turns.iter().filter(|(_, times)| **times > 1).collect();
    if twice.is_empty() { Ok(turns.len()) } else { Err(format!("typed more than once: {twice:?}").into()) }
}

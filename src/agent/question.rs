//! What an agent asks a person: by which name it is known, and how long it may be.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Bytes of a name.
const MAX_NAME: usize = 64;
/// Bytes of a question and of all answers to choose from together. A longer one is not shown whole, so it is none that can be
/// replied to.
pub const MAX_QUESTION: usize = 16 * 1024;

/// What the name of an open question's file begins with, see [`asked_file`].
pub const ASKED: &str = ".asked-";

/// The name of a question. It becomes part of the names of files, and is made by the agent: so it has 1 to 64 characters,
/// letters and digits of ASCII, `_` and `-`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct QuestionName(String);

impl QuestionName {
    /// One that no other question has. Those that are made later sort after those made before.
    pub fn fresh() -> Self {
        Self(Uuid::now_v7().simple().to_string())
    }

    /// The name as it is.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// It is no name of a question.
#[derive(Debug, thiserror::Error)]
#[error("a question's name has 1 to {MAX_NAME} letters, digits, `_` and `-`")]
pub struct NotAName;

impl TryFrom<String> for QuestionName {
    type Error = NotAName;

    fn try_from(name: String) -> Result<Self, NotAName> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        let is_name = (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(is_allowed);
        if is_name { Ok(Self(name)) } else { Err(NotAName) }
    }
}

impl fmt::Display for QuestionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The file in `out/` that stands for an open question. A hook that waits for the reply holds it locked, by `flock`.
pub fn asked_file(name: &QuestionName) -> String {
    format!("{ASKED}{name}")
}

/// Bytes of a question.
pub fn length(prompt: &str, options: &[impl AsRef<str>]) -> usize {
    prompt.len() + options.iter().map(|option| option.as_ref().len()).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_part_of_a_files_name_and_no_path() {
        let longest = "x".repeat(MAX_NAME);
        for name in ["a", "q-1_B", "0198c9f2a7c17b3e8f60d2b1c3a4e5f6", &longest, QuestionName::fresh().as_str()] {
            assert_eq!(QuestionName::try_from(name.to_owned()).unwrap().as_str(), name);
        }
        let too_long = "x".repeat(MAX_NAME + 1);
        for odd in ["", ".", "..", "a/b", "x/../../victim", "a.b", "a b", "a\0", "ä", "a\n", &too_long] {
            assert!(QuestionName::try_from(odd.to_owned()).is_err(), "{odd:?}");
        }
    }
}

//! What requests bring, read.

use std::num::IntErrorKind;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Problem;
use crate::turn::{SessionId, TurnId};

/// Rows of a listing where nothing else is asked.
const ROWS: u32 = 50;
/// Rows of a listing at most.
const MAX_ROWS: u32 = 200;

/// A body that must be a JSON object. Read as one by hand: serde would take an array for a struct, too.
pub fn object<T: DeserializeOwned>(body: Value) -> Result<T, Problem> {
    if !body.is_object() {
        return Err(Problem::invalid("the body must be a JSON object"));
    }
    serde_json::from_value(body).map_err(|error| Problem::invalid(error.to_string()))
}

/// How many rows are asked for; what is no number above 0 counts for nothing.
pub fn limit(limit: Option<&str>) -> u32 {
    match limit.map(str::parse::<u32>) {
        Some(Ok(limit)) if limit > 0 => limit.min(MAX_ROWS),
        Some(Err(error)) if *error.kind() == IntErrorKind::PosOverflow => MAX_ROWS,
        _ => ROWS,
    }
}

/// The turn before which the rows shall lie; an empty text is none.
pub fn before(before: Option<&str>) -> Result<Option<TurnId>, Problem> {
    let before = before.filter(|before| !before.is_empty()).map(str::parse).transpose();
    before.map_err(|_| Problem::invalid("`before` must be a UUID"))
}

/// The conversation that is meant; an empty text is none.
pub fn session(session: Option<&str>) -> Result<Option<SessionId>, Problem> {
    let session = session.filter(|session| !session.is_empty()).map(str::parse).transpose();
    session.map_err(|_| Problem::invalid("`session` must be a UUID"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_number_above_0_and_has_a_most() {
        let cases = [
            (None, ROWS),
            (Some(""), ROWS),
            (Some("0"), ROWS),
            (Some("-1"), ROWS),
            (Some("many"), ROWS),
            (Some("1"), 1),
            (Some("200"), 200),
            (Some("201"), MAX_ROWS),
            (Some("4294967296"), MAX_ROWS),
            (Some("99999999999999999999999"), MAX_ROWS),
            (Some("-99999999999999999999999"), ROWS),
        ];
        for (text, rows) in cases {
            assert_eq!(limit(text), rows, "{text:?}");
        }
    }
}

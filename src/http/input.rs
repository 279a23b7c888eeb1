//! What requests bring, read.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Problem;
use crate::turn::TurnId;

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
    let limit = limit.and_then(|limit| limit.parse::<u64>().ok()).filter(|limit| *limit > 0);
    limit.map_or(ROWS, |limit| u32::try_from(limit).unwrap_or(MAX_ROWS).min(MAX_ROWS))
}

/// The turn before which the rows shall lie; an empty text is none.
pub fn before(before: Option<&str>) -> Result<Option<TurnId>, Problem> {
    let before = before.filter(|before| !before.is_empty()).map(str::parse).transpose();
    before.map_err(|_| Problem::invalid("`before` must be a UUID"))
}

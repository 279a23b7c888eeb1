//! What may become of a turn, for whoever lost sight of it.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::owned::OwnedTurn;
use super::{App, Problem, answer};
use crate::actors::janitor::decide::{self, Awaited};
use crate::actors::janitor::{Hope, JanitorMsg};
use crate::store::Turn;
use crate::turn::ErrorCode;

/// How long whoever asked waits; what is found after that is recorded all the same.
const PATIENCE: Duration = Duration::from_secs(3);

/// `GET /api/paliadin/turns/{turn_id}/recover`: the row, and whether there is an answer or may still be one. One that lies
/// there unseen is recorded first.
pub async fn recover(State(app): State<App>, OwnedTurn(turn): OwnedTurn) -> Result<Json<Value>, Problem> {
    let hope = match Awaited::of(&turn) {
        Some(failed) => Some(look(&app, failed).await?),
        None => None,
    };
    let turn = match hope {
        Some(Hope::Answered) => app.store.turn_of(turn.user_id, turn.turn_id).await?.ok_or_else(Problem::not_found)?,
        _ => turn,
    };
    Ok(Json(told(&turn, hope == Some(Hope::Working))))
}

async fn look(app: &App, failed: Awaited) -> Result<Hope, Problem> {
    let look = app.janitor.ask(|reply| JanitorMsg::Look(failed, reply));
    let late = |_| Problem::unavailable(ErrorCode::StoreUnavailable, "this could not be found out yet; try again");
    Ok(timeout(PATIENCE, look).await.map_err(late)???)
}

fn told(turn: &Turn, may_come: bool) -> Value {
    let mut row = answer::turn(turn);
    row["recovery_state"] = json!(decide::recovery(turn, may_come));
    row
}

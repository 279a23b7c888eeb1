//! Resources as their owner gets them. A handler never sees a bare id: who names someone else's turn names nothing.

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use serde::Deserialize;

use super::auth::Asker;
use super::{App, Problem};
use crate::store::Turn;
use crate::turn::TurnId;

/// The turn that the path's `{turn_id}` names, of the user who asks.
pub struct OwnedTurn(pub Turn);

#[derive(Deserialize)]
struct Named {
    turn_id: String,
}

impl FromRequestParts<App> for OwnedTurn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let Asker(user) = Asker::from_request_parts(parts, app).await?;
        let Path(Named { turn_id }) = Path::<Named>::from_request_parts(parts, app).await?;
        let turn_id: TurnId = turn_id.parse().map_err(|_| Problem::not_found())?;
        let turn = app.store.turn(turn_id).await?.filter(|turn| turn.user_id == user.user_id);
        turn.map(OwnedTurn).ok_or_else(Problem::not_found)
    }
}

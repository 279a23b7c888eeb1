//! What runs, for admins.

use axum::Json;
use axum::extract::State;

use super::App;
use crate::actors::observe::Entry;

/// `GET /api/admin/paliadin/actors`: every actor, by path.
pub async fn actors(State(app): State<App>) -> Json<Vec<Entry>> {
    Json(app.registry.snapshot())
}

//! Whether the server lives, and whether it can work.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::{App, Problem};

/// `GET /healthz`: the process answers.
pub async fn alive() -> Json<Value> {
    Json(json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") }))
}

/// `GET /readyz`: turns are accepted.
pub async fn ready(State(app): State<App>) -> Result<Json<Value>, Problem> {
    app.store.ping().await?;
    Ok(Json(json!({ "status": "ready", "backend": app.backend.name() })))
}

//! Whether the server lives, and whether it can work.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::{App, Problem};
use crate::store::{StoreError, Write};

/// How long a probe waits for proof that writes are made.
const PATIENCE: Duration = Duration::from_secs(2);

/// `GET /healthz`: the process answers.
pub async fn alive() -> Json<Value> {
    Json(json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") }))
}

/// `GET /readyz`: turns are accepted.
pub async fn ready(State(app): State<App>) -> Result<Json<Value>, Problem> {
    app.store.ping().await?;
    let late = |_| StoreError::Unavailable("no write within the patience of a probe".to_owned());
    tokio::time::timeout(PATIENCE, app.recorder.write(Write::Nothing)).await.map_err(late)??;
    Ok(Json(json!({ "status": "ready", "backend": app.backend.name() })))
}

//! Pages.

use axum::extract::State;
use axum::response::Html;

use super::App;
use super::auth::Asker;

/// `GET /paliadin`: says who is signed in and how to ask, until the chat page is here.
pub async fn chat(State(app): State<App>, Asker(user): Asker) -> Html<String> {
    let demo = if app.backend.profile() == "demo" { "<p>The demo agent answers here.</p>" } else { "" };
    Html(format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Paliadin</title>\
         <h1>Paliadin</h1><p>Signed in as {}.</p>{demo}\
         <p>This build has no chat page yet. Ask from a terminal: <code>paliadin ask \"your question\"</code></p></html>",
        escape(&user.email)
    ))
}

/// Text as HTML.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

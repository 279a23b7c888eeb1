//! Sign-in in `local` mode: a link that is printed at the start and works once, then a cookie.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use serde_json::json;

use super::auth::limits::Attempt;
use super::auth::{Asker, Credential, client_address, session_cookie};
use super::{App, Code, Problem, pages};
use crate::config::Auth;
use crate::secret;
use crate::store::{AuditEntry, WebSession, Write};
use crate::turn::{Timestamp, UserId};

/// Links that were printed and not used yet, by the hash of their secret.
#[derive(Default)]
pub struct SignInLinks {
    open: Mutex<HashMap<String, (UserId, Instant)>>,
}

impl SignInLinks {
    /// The secret of a new link for this user.
    ///
    /// # Errors
    /// Where the system has no random numbers.
    pub fn issue(&self, user: UserId, lifetime: Duration) -> Result<String, getrandom::Error> {
        let link = secret::generate("")?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.insert(secret::hash(&link), (user, Instant::now() + lifetime));
        Ok(link)
    }

    /// Whom a link is for, if it is open; it is not from now on.
    fn redeem(&self, link: &str) -> Option<UserId> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.remove(&secret::hash(link)).filter(|(_, end)| *end > Instant::now()).map(|(user, _)| user)
    }
}

/// The query of a sign-in link.
#[derive(Deserialize)]
pub struct Link {
    token: String,
}

/// `GET /paliadin/sign-in?token=…`: uses up the link, sets the cookie, and goes to the chat.
pub async fn redeem(
    State(app): State<App>,
    link: Result<Query<Link>, QueryRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let (method, headers) = (request.method(), request.headers());
    let address = client_address(&app, headers, request.extensions());
    if method != Method::GET {
        // A program that only looks shall not use the link up.
        return Err(Problem::invalid("a sign-in link is opened with GET"));
    }
    let is_browser = pages::accepts_html(headers);
    let token = match link {
        Ok(Query(Link { token })) => token,
        Err(_) if is_browser => return Ok(pages::link_of_no_use(headers)),
        Err(unreadable) => return Err(unreadable.into()),
    };
    let Some(user_id) = app.links.redeem(&token) else {
        app.limits.attempt(Attempt::Link, address)?;
        if is_browser {
            return Ok(pages::link_of_no_use(headers));
        }
        let detail = "this sign-in link was used already or is too old; restart the server for a new one";
        return Err(Problem::new(StatusCode::UNAUTHORIZED, Code::Unauthenticated, detail));
    };
    let no_random =
        |_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, Code::Internal, "the system has no random numbers");
    let value = secret::generate("").map_err(no_random)?;
    let now = Timestamp::now();
    let lifetime = app.config.auth.session_ttl;
    let expires_at = now.after(lifetime);
    let session = WebSession { hash: secret::hash(&value), user_id, expires_at, last_seen_at: now };
    let actor = app.store.user(user_id).await?.map_or_else(|| user_id.to_string(), |user| user.email);
    let entry = AuditEntry::now(actor, "web_session.create", user_id);
    app.recorder.later(Write::Audit(AuditEntry { detail: json!({ "address": address.to_string() }), ..entry }));
    app.recorder.write(Write::CreateWebSession(session)).await?;
    let cookie = cookie(&app.config.auth, &value, lifetime.as_secs());
    Ok((StatusCode::SEE_OTHER, [(header::SET_COOKIE, cookie), (header::LOCATION, "/paliadin".to_owned())])
        .into_response())
}

/// `POST /api/paliadin/sign-out`: ends this browser's sign-in, and its open streams with it. Other credentials are not ours to
/// end; then nothing happens.
pub async fn leave(
    State(app): State<App>,
    Asker(user): Asker,
    Extension(credential): Extension<Credential>,
) -> Result<Response, Problem> {
    let Credential::Browser(hash) = credential else { return Ok(StatusCode::NO_CONTENT.into_response()) };
    app.recorder.later(Write::Audit(AuditEntry::now(user.email, "web_session.delete", user.user_id)));
    app.recorder.write(Write::DeleteWebSession { hash }).await?;
    app.admissions.look_again();
    let headers = [
        (header::SET_COOKIE, cookie(&app.config.auth, "", 0)),
        (header::HeaderName::from_static("clear-site-data"), "\"cache\"".to_owned()),
    ];
    Ok((StatusCode::NO_CONTENT, headers).into_response())
}

fn cookie(auth: &Auth, value: &str, seconds: u64) -> String {
    let (name, secure) = (session_cookie(auth), if auth.cookie_secure { "; Secure" } else { "" });
    format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}")
}

//! Who asks: an API token or a signed-in browser.

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq;

use super::{App, Problem, pages};
use crate::secret;
use crate::store::{Role, User};
use crate::turn::Timestamp;

/// The cookie of a signed-in browser.
pub const COOKIE: &str = "paliadin_session";

/// The user who asks. Handlers of routes for users get it as an argument.
#[derive(Clone, Debug)]
pub struct Asker(pub User);

impl FromRequestParts<App> for Asker {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        parts.extensions.get::<Asker>().cloned().ok_or_else(Problem::unauthenticated)
    }
}

/// Lets in whom we know.
pub async fn require_user(State(app): State<App>, mut request: Request, next: Next) -> Response {
    match identify(&app, request.headers()).await {
        Ok(user) => {
            request.extensions_mut().insert(Asker(user));
            next.run(request).await
        }
        Err(problem) => refused(problem, &request),
    }
}

/// Lets in admins; for everyone else there is nothing here.
pub async fn require_admin(State(app): State<App>, mut request: Request, next: Next) -> Response {
    match identify(&app, request.headers()).await {
        Ok(user) if user.role == Role::Admin => {
            request.extensions_mut().insert(Asker(user));
            next.run(request).await
        }
        Ok(_) => Problem::not_found().into_response(),
        Err(problem) => refused(problem, &request),
    }
}

/// A person who is not signed in is told how to, in a page; a program gets the problem.
fn refused(problem: Problem, request: &Request) -> Response {
    let is_stranger = problem.is_unauthenticated();
    let response = problem.into_response();
    if !is_stranger || !pages::wants_page(request) {
        return response;
    }
    let mut page = pages::sign_in(request.headers());
    let challenge = response.headers().get(header::WWW_AUTHENTICATE);
    page.headers_mut().extend(challenge.map(|value| (header::WWW_AUTHENTICATE, value.clone())));
    page
}

/// The user whom the request's token or cookie speaks for. A token goes before a cookie: who sends one means it.
async fn identify(app: &App, headers: &HeaderMap) -> Result<User, Problem> {
    let user_id = match bearer(headers) {
        Some(token) => {
            let hash = secret::hash(token);
            let row = app
                .store
                .token_by_hash(&hash)
                .await?
                .filter(|row| bool::from(row.hash.as_bytes().ct_eq(hash.as_bytes())));
            let now = Timestamp::now();
            row.filter(|row| row.revoked_at.is_none() && row.expires_at.is_none_or(|end| end > now))
                .map(|row| row.user_id)
        }
        None => match cookie(headers) {
            Some(value) => {
                let row = app.store.web_session(&secret::hash(value)).await?;
                row.filter(|row| row.expires_at > Timestamp::now()).map(|row| row.user_id)
            }
            None => None,
        },
    };
    let user_id = user_id.ok_or_else(Problem::unauthenticated)?;
    let user = app.store.user(user_id).await?.filter(|user| user.disabled_at.is_none());
    let user = user.ok_or_else(Problem::unauthenticated)?;
    // To an account that is not on the allow-list, nothing of Paliadin exists.
    if app.config.auth.allows(&user.email) { Ok(user) } else { Err(Problem::not_found()) }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let pairs = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    pairs.flat_map(|value| value.split(';')).find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

//! Who asks, and whether they are let in.

pub mod admission;
mod credential;
mod identify;
pub mod jwt;
mod keys;
pub mod limits;

use std::str::FromStr;

use axum::body::{Body, HttpBody};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;

pub use credential::{Credential, Peer, TOKEN_PREFIX, client_address, is_email, session_cookie};
pub use identify::{Admitted, Sayings, identify};

use limits::Attempt;

use super::{Access, App, Code, Problem, pages};
use crate::store::{Role, User};

/// The user who asks. Handlers of routes for users get it as an argument.
#[derive(Clone, Debug)]
pub struct Asker(pub User);

impl FromRequestParts<App> for Asker {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        parts.extensions.get::<Asker>().cloned().ok_or_else(|| Problem::unauthenticated(&app.config.auth))
    }
}

/// What a token may be used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// Look at what is one's own.
    Read,
    /// Ask, and change what is one's own.
    Write,
    /// Whatever an admin may.
    Admin,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Admin];

    /// The word in the store and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }

    /// What a request needs.
    fn of(access: Access, method: &Method) -> Self {
        match access {
            Access::Admin => Self::Admin,
            _ if matches!(*method, Method::GET | Method::HEAD) => Self::Read,
            _ => Self::Write,
        }
    }
}

impl FromStr for Scope {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|scope| scope.as_str() == text);
        found.ok_or_else(|| format!("unknown scope {text:?}: `read`, `write` or `admin`"))
    }
}

/// Lets in those whom a path is for; an event stream stays open for only as long as they are.
pub async fn guard(State((app, access)): State<(App, Access)>, mut request: Request, next: Next) -> Response {
    let credential = Credential::of(&app, &request);
    let scope = Scope::of(access, request.method());
    let admitted = match &credential {
        Some(credential) => asking(&app, access, credential).await.and_then(|admitted| within(admitted, scope)),
        None => Err(Problem::unauthenticated(&app.config.auth)),
    };
    let (admitted, credential) = match (admitted, credential) {
        (Ok(admitted), Some(credential)) => (admitted, credential),
        (Err(problem), credential) => return refused(&app, problem, credential.as_ref(), &request),
        (Ok(_), None) => return Problem::not_found().into_response(),
    };
    let user_id = admitted.user.user_id;
    request.extensions_mut().insert(Asker(admitted.user));
    request.extensions_mut().insert(credential.clone());
    let response = next.run(request).await;
    let is_stream = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "text/event-stream");
    if !is_stream || response.body().size_hint().exact().is_some() {
        return response;
    }
    let Some(admission) = app.admissions.open(&app, user_id, credential, access, admitted.ends_at) else {
        let detail = "too many event streams of yours are open";
        return Problem::later(StatusCode::TOO_MANY_REQUESTS, Code::TooManyStreams, detail, None).into_response();
    };
    response.map(|body| {
        let over = admission.over();
        let frames = body.into_data_stream().take_until(over);
        // Its place is given up with the stream.
        Body::from_stream(frames.inspect(move |_| _ = &admission))
    })
}

/// Answers for a path that there is not. Whoever comes with credentials is looked up as for one that there is, so that the
/// two look alike to those who are not let in, in what they answer and in how long that takes.
pub async fn unknown(State(app): State<App>, request: Request) -> Problem {
    let Some(credential) = Credential::of(&app, &request) else { return Problem::not_found() };
    match asking(&app, Access::User, &credential).await {
        Ok(_) => Problem::not_found(),
        Err(problem) if !problem.is_unauthenticated() => problem,
        Err(_) => tried(&app, &credential, &request).unwrap_or_else(Problem::not_found),
    }
}

/// Whom these credentials are of, where the path is for them. Asks for nothing.
///
/// # Errors
/// 401 where they are worth nothing (any more), 404 where there is nothing here for their owner, 503 where nobody knows.
pub async fn admit(app: &App, access: Access, credential: &Credential) -> Result<Admitted, Problem> {
    for_whom(identify(app, credential).await?, access)
}

/// The same for a request, which counts. First of all, so that a path that is not for a user counts as one that is not there.
async fn asking(app: &App, access: Access, credential: &Credential) -> Result<Admitted, Problem> {
    let admitted = identify(app, credential).await?;
    app.limits.request(admitted.user.user_id)?;
    for_whom(admitted, access)
}

fn for_whom(admitted: Admitted, access: Access) -> Result<Admitted, Problem> {
    let is_for_them = access != Access::Admin || admitted.user.role == Role::Admin;
    if is_for_them { Ok(admitted) } else { Err(Problem::not_found()) }
}

/// Whether the credentials are for this.
fn within(admitted: Admitted, scope: Scope) -> Result<Admitted, Problem> {
    if admitted.scopes.is_empty() || admitted.scopes.iter().any(|word| word == scope.as_str()) {
        return Ok(admitted);
    }
    let detail = format!("this token is not for that; it lacks the scope `{}`", scope.as_str());
    Err(Problem::new(StatusCode::FORBIDDEN, Code::InsufficientScope, detail))
}

/// A person who is not signed in is told how to, in a page; a program gets the problem. Whoever tries tokens is told to wait.
fn refused(app: &App, problem: Problem, credential: Option<&Credential>, request: &Request) -> Response {
    let is_stranger = problem.is_unauthenticated();
    if is_stranger && let Some(wait) = credential.and_then(|credential| tried(app, credential, request)) {
        return wait.into_response();
    }
    let response = problem.into_response();
    if !is_stranger || !pages::wants_page(request) {
        return response;
    }
    let mut page = pages::sign_in(request.headers(), &app.config.auth);
    let challenge = response.headers().get(header::WWW_AUTHENTICATE);
    page.headers_mut().extend(challenge.map(|value| (header::WWW_AUTHENTICATE, value.clone())));
    page
}

/// What is said in place of a refusal, where too many of these were tried from there.
fn tried(app: &App, credential: &Credential, request: &Request) -> Option<Problem> {
    let address = client_address(app, request.headers(), request.extensions());
    credential.can_be_guessed().then(|| app.limits.attempt(Attempt::Token, address).err()).flatten()
}

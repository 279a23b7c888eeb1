//! The route table: every path there is, and who may use it. The router is built from it, and so are tests.

use axum::extract::DefaultBodyLimit;
use axum::http::Method;
use axum::middleware;
use axum::routing::{MethodRouter, get, post};
use axum::{Router, http::StatusCode};
use tower_http::catch_panic::CatchPanicLayer;

use super::{App, Code, Problem, admin, auth, chat, gate, health, pages, signin, sse};

/// Who may use a route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Anyone who reaches the server.
    Public,
    /// A known user. Handlers of a path with `{turn_id}` get an `OwnedTurn`.
    User,
    /// A known user with the role `admin`; to others the route does not exist.
    Admin,
}

/// One route.
pub struct Route {
    /// Its method.
    pub method: Method,
    /// Its path, with axum's placeholders.
    pub path: &'static str,
    /// Who may use it.
    pub access: Access,
    handler: fn() -> MethodRouter<App>,
}

const fn route(method: Method, path: &'static str, access: Access, handler: fn() -> MethodRouter<App>) -> Route {
    Route { method, path, access, handler }
}

/// Every route there is.
#[rustfmt::skip]
pub const ROUTES: &[Route] = &[
    route(Method::GET,  "/healthz",                                 Access::Public, || get(health::alive)),
    route(Method::GET,  "/readyz",                                  Access::Public, || get(health::ready)),
    route(Method::GET,  "/paliadin/sign-in",                        Access::Public, || get(signin::redeem)),
    route(Method::GET,  "/paliadin",                                Access::User,   || get(pages::chat)),
    route(Method::POST, "/api/paliadin/turn",                       Access::User,   || post(chat::ask)),
    route(Method::GET,  "/api/paliadin/stream/{turn_id}",           Access::User,   || get(sse::stream)),
    route(Method::GET,  "/api/paliadin/turns/{turn_id}",            Access::User,   || get(chat::turn)),
    route(Method::GET,  "/api/paliadin/history",                    Access::User,   || get(chat::history)),
    route(Method::POST, "/api/paliadin/reset",                      Access::User,   || post(chat::reset)),
    route(Method::GET,  "/api/paliadin/status",                     Access::User,   || get(chat::status)),
    route(Method::GET,  "/api/admin/paliadin/actors",               Access::Admin,  || get(admin::actors)),
];

/// Bytes of JSON for one byte of a message, at worst (`\\u0000`).
const ESCAPED: usize = 6;
/// Bytes of a request's body beside its message.
const REST_OF_BODY: usize = 256 * 1024;

/// The router of all routes; where the product is not enabled, of those for health only.
pub fn router(app: App) -> Router {
    let enabled = app.config.server.enabled;
    let max_body = app.config.turn.max_message * ESCAPED + REST_OF_BODY;
    let routes = ROUTES.iter().filter(|route| enabled || route.path == "/healthz" || route.path == "/readyz");
    let mut router = Router::new();
    for route in routes {
        // Inside the guard: whether a path takes a method is told only to those for whom it exists.
        let handler = (route.handler)().fallback(wrong_method);
        let guarded = match route.access {
            Access::Public => handler,
            Access::User => handler.layer(middleware::from_fn_with_state(app.clone(), auth::require_user)),
            Access::Admin => handler.layer(middleware::from_fn_with_state(app.clone(), auth::require_admin)),
        };
        router = router.route(route.path, guarded);
    }
    router
        .fallback(|| async { Problem::not_found() })
        .layer(DefaultBodyLimit::max(max_body))
        .layer(CatchPanicLayer::custom(gate::panicked))
        .layer(middleware::from_fn_with_state(app.clone(), gate::check))
        .with_state(app)
}

async fn wrong_method() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, Code::MethodNotAllowed, "this path does not take this method")
}

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

/// Bytes of a request's body. A message of the greatest size fits, however its JSON is escaped.
const MAX_BODY: usize = 1024 * 1024;

/// The router of all routes; where the product is not enabled, of those for health only.
pub fn router(app: App) -> Router {
    let enabled = app.config.server.enabled;
    let routes = ROUTES.iter().filter(|route| enabled || route.path == "/healthz" || route.path == "/readyz");
    let mut router = Router::new();
    for route in routes {
        let handler = (route.handler)();
        let guarded = match route.access {
            Access::Public => handler,
            Access::User => handler.layer(middleware::from_fn_with_state(app.clone(), auth::require_user)),
            Access::Admin => handler.layer(middleware::from_fn_with_state(app.clone(), auth::require_admin)),
        };
        router = router.route(route.path, guarded);
    }
    router
        .fallback(|| async { Problem::not_found() })
        .method_not_allowed_fallback(|| async {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, Code::MethodNotAllowed, "this path does not take this method")
        })
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn_with_state(app.clone(), gate::check))
        .layer(CatchPanicLayer::custom(gate::panicked))
        .with_state(app)
}

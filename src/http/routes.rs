//! The route table: every path there is, and who may use it. The router is built from it, and so are tests.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any, delete, get, patch, post};
use tower_http::catch_panic::CatchPanicLayer;

use super::{App, Code, Problem, admin, auth, chat, conversations, gate, health, pages, recover, signin, sse, steer};

/// Who may use a route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Anyone who reaches the server.
    Public,
    /// A known user. Handlers of a path with `{turn_id}` get an `OwnedTurn`, of one with `{session_id}` an
    /// `OwnedConversation`.
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
    route(Method::GET,  "/paliadin/",                               Access::User,   || get(pages::to_chat)),
    route(Method::GET,  "/paliadin/app/{*file}",                    Access::User,   || get(pages::file)),
    route(Method::POST, "/api/paliadin/turn",                       Access::User,   || post(chat::ask)),
    route(Method::GET,  "/api/paliadin/stream/{turn_id}",           Access::User,   || get(sse::stream)),
    route(Method::GET,  "/api/paliadin/turns/{turn_id}",            Access::User,   || get(chat::turn)),
    route(Method::GET,  "/api/paliadin/turns/{turn_id}/recover",    Access::User,   || get(recover::recover)),
    route(Method::POST, "/api/paliadin/turns/{turn_id}/cancel",     Access::User,   || post(steer::cancel)),
    route(Method::POST, "/api/paliadin/turns/{turn_id}/reply",      Access::User,   || post(steer::reply)),
    route(Method::GET,  "/api/paliadin/history",                    Access::User,   || get(chat::history)),
    route(Method::GET,  "/api/paliadin/conversations",              Access::User,   || get(conversations::list)),
    route(Method::PATCH, "/api/paliadin/conversations/{session_id}", Access::User,  || patch(conversations::rename)),
    route(Method::DELETE, "/api/paliadin/conversations/{session_id}", Access::User, || delete(conversations::delete)),
    route(Method::POST, "/api/paliadin/reset",                      Access::User,   || post(chat::reset)),
    route(Method::POST, "/api/paliadin/sign-out",                   Access::User,   || post(signin::leave)),
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
    // The methods of a path share one guard.
    let mut paths: BTreeMap<&str, (Access, MethodRouter<App>)> = BTreeMap::new();
    for route in routes {
        let methods = paths.entry(route.path).or_insert_with(|| (route.access, any(|| wrong_method(route.path))));
        methods.1 = std::mem::take(&mut methods.1).merge((route.handler)());
    }
    let mut router = Router::new();
    for (path, (access, handler)) in paths {
        // What methods a path takes is told inside the guard: only to those for whom it exists.
        let guarded = match access {
            Access::Public => handler,
            _ => handler.layer(middleware::from_fn_with_state((app.clone(), access), auth::guard)),
        };
        router = router.route(path, guarded);
    }
    router
        .fallback(auth::unknown)
        .layer(DefaultBodyLimit::max(max_body))
        .layer(middleware::from_fn_with_state(app.config.server.request_timeout, gate::in_time))
        .layer(CatchPanicLayer::custom(gate::panicked))
        .layer(middleware::from_fn_with_state(app.clone(), gate::check))
        .with_state(app)
}

/// The path is there, and takes other methods. (axum would tell which with every answer, also where nothing is to be told.)
async fn wrong_method(path: &'static str) -> Response {
    let methods = ROUTES.iter().filter(|route| route.path == path).map(|route| &route.method);
    let words: Vec<&str> = methods
        .flat_map(|method| if *method == Method::GET { vec!["GET", "HEAD"] } else { vec![method.as_str()] })
        .collect();
    let detail = "this path does not take this method";
    let mut response = Problem::new(StatusCode::METHOD_NOT_ALLOWED, Code::MethodNotAllowed, detail).into_response();
    response
        .headers_mut()
        .extend(HeaderValue::from_str(&words.join(", ")).ok().map(|methods| (header::ALLOW, methods)));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_methods_of_a_path_are_for_the_same_people() {
        for route in ROUTES {
            let same = ROUTES.iter().filter(|other| other.path == route.path);
            assert!(same.clone().all(|other| other.access == route.access), "{}", route.path);
            assert_eq!(same.filter(|other| other.method == route.method).count(), 1, "{}", route.path);
        }
    }
}

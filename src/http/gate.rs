//! What every request has to pass, whatever its path: the Host it is addressed to, and the page it was sent by.

use std::any::Any;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::{App, Code, Problem};

/// Headers of every answer that does not say otherwise.
const HEADERS: [(HeaderName, &str); 7] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    // Pages say what they need; what is no page needs nothing.
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Refuses requests that are addressed to a foreign name (DNS rebinding) or sent by a foreign page.
pub async fn check(State(app): State<App>, request: Request, next: Next) -> Response {
    let mut response = match refusal(&app, &request) {
        Some(problem) => problem.into_response(),
        None => next.run(request).await,
    };
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

fn refusal(app: &App, request: &Request) -> Option<Problem> {
    let Some(host) = addressed_to(request.headers(), request.uri()) else {
        return Some(Problem::new(StatusCode::BAD_REQUEST, Code::HostNotAllowed, "the request names no host"));
    };
    // A request line that names a host itself (as to a proxy) has to name ours, too.
    let named = request.uri().authority().map_or(host.as_str(), |authority| authority.as_str());
    let is_ours = |host: &str| app.hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(name_of(host)));
    if !is_ours(&host) || !is_ours(named) {
        let detail = "this host name is not ours; `server.allowed_hosts` lists further ones";
        return Some(Problem::new(StatusCode::MISDIRECTED_REQUEST, Code::HostNotAllowed, detail));
    }
    let changes_state = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let is_ours =
        if changes_state { is_sent_by_our_page(request.headers(), &host) } else { may_look(request.headers()) };
    if !is_ours {
        let detail = "requests may not come from another site's page";
        return Some(Problem::new(StatusCode::FORBIDDEN, Code::OriginNotAllowed, detail));
    }
    None
}

/// Host and port, as the client wrote them.
fn addressed_to(headers: &HeaderMap, uri: &Uri) -> Option<String> {
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().ok().map(str::to_owned),
        (None, _) => uri.authority().map(|authority| authority.as_str().to_owned()),
        // Two Host headers: one of them is a lie.
        _ => None,
    }
}

/// The name without its port; an IPv6 address keeps its brackets.
fn name_of(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !name.is_empty() => name,
        _ => host,
    }
}

/// A browser says where a request comes from; a program says nothing.
fn is_sent_by_our_page(headers: &HeaderMap, host: &str) -> bool {
    if headers.get_all(header::ORIGIN).iter().count() > 1 {
        return false;
    }
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    match text(header::ORIGIN) {
        Some(origin) => origin
            .strip_prefix("http://")
            .or_else(|| origin.strip_prefix("https://"))
            .is_some_and(|origin| origin.eq_ignore_ascii_case(host)),
        None => matches!(text(HeaderName::from_static("sec-fetch-site")), None | Some("same-origin")),
    }
}

/// Whether what only looks may do so: another site's page may lead a person here, and nothing else. A browser that tells sends
/// these headers with every request, and no page can forge them.
fn may_look(headers: &HeaderMap) -> bool {
    let is = |name: &'static str, words: &[&str]| {
        headers.get(name).is_some_and(|value| words.iter().any(|word| value.as_bytes() == word.as_bytes()))
    };
    if !is("sec-fetch-site", &["cross-site", "same-site"]) {
        return true;
    }
    // No page can send `navigate` itself. Where our service worker passes a request on, its destination is gone.
    is("sec-fetch-mode", &["navigate"]) && is("sec-fetch-dest", &["document", "empty"])
}

/// Ends a request whose answer does not begin in time: what comes in a byte at a time holds nothing for long.
pub async fn in_time(State(limit): State<Duration>, request: Request, next: Next) -> Response {
    tokio::time::timeout(limit, next.run(request)).await.unwrap_or_else(|_| {
        let detail = "the request did not come in whole in time, or its answer takes too long";
        Problem::new(StatusCode::REQUEST_TIMEOUT, Code::RequestTimeout, detail).into_response()
    })
}

/// A handler's panic is an answer, not a lost connection.
pub fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, Code::Internal, "a fault of ours; the log tells more")
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn names_lose_their_port_only() {
        for (host, name) in [("localhost:80", "localhost"), ("[::1]:80", "[::1]"), ("[::1]", "[::1]"), ("a", "a")] {
            assert_eq!(name_of(host), name);
        }
    }

    #[test]
    fn foreign_pages_are_told_from_ours_and_from_programs() {
        let ours = |pairs| is_sent_by_our_page(&headers(pairs), "localhost:8717");
        assert!(ours(&[]));
        assert!(ours(&[("origin", "http://localhost:8717")]));
        assert!(ours(&[("sec-fetch-site", "same-origin")]));
        assert!(!ours(&[("origin", "http://evil.example")]));
        assert!(!ours(&[("origin", "null")]));
        assert!(!ours(&[("origin", "http://localhost:8718")]));
        assert!(!ours(&[("sec-fetch-site", "cross-site")]));
        assert!(!ours(&[("sec-fetch-site", "same-site")]));
    }
}

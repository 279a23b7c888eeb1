//! Pages: the chat, the files that it is made of, and short notices in its place.

mod bundle;
mod language;
mod notice;
mod wishes;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use axum::response::{Redirect, Response};

use super::Problem;
use bundle::Dist;
pub use notice::{link_of_no_use, sign_in};
use wishes::wishes;

/// What the chat page may do: run, show and ask for what comes from this server, and nothing else. Text becomes HTML,
/// and an address a script's, only by the named policies: that of Svelte's templates, and the page's own
/// (web/src/lib/trusted.ts).
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; \
    connect-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'self'; \
    frame-ancestors 'none'; object-src 'none'; \
    require-trusted-types-for 'script'; trusted-types svelte-trusted-html paliadin";

/// What no page of ours uses.
const PERMISSIONS: &str = "accelerometer=(), autoplay=(), camera=(), display-capture=(), encrypted-media=(), \
    fullscreen=(), geolocation=(), gyroscope=(), magnetometer=(), microphone=(), midi=(), payment=(), \
    picture-in-picture=(), publickey-credentials-get=(), screen-wake-lock=(), serial=(), usb=(), xr-spatial-tracking=()";

/// Headers of whatever a browser shows as a page.
const PAGE_HEADERS: [(HeaderName, HeaderValue); 2] = [
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
    (HeaderName::from_static("permissions-policy"), HeaderValue::from_static(PERMISSIONS)),
];

/// Whether the chat page is part of this program.
pub fn are_built_in() -> bool {
    <Dist as rust_embed::RustEmbed>::get("chat.html").is_some()
}

/// `GET /paliadin`: the chat page; where it was not built, how to build it.
pub async fn chat(headers: HeaderMap) -> Response {
    bundle::page::<Dist>("chat.html", &headers).unwrap_or_else(notice::no_bundle)
}

/// `GET /paliadin/`: the chat page has one address, and relative ones are meant from there.
pub async fn to_chat(uri: Uri) -> Redirect {
    match uri.query() {
        Some(query) => Redirect::permanent(&format!("/paliadin?{query}")),
        None => Redirect::permanent("/paliadin"),
    }
}

/// `GET /paliadin/app/{*file}`: a file of the chat page.
pub async fn file(name: Result<Path<String>, PathRejection>, headers: HeaderMap) -> Result<Response, Problem> {
    let Path(name) = name?;
    bundle::file::<Dist>(&name, &headers).ok_or_else(Problem::not_found)
}

/// Whether it is a person's browser that opens a page, and has no use for a problem document.
pub fn wants_page(request: &Request) -> bool {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    reads && !request.uri().path().starts_with("/api/") && accepts_html(request.headers())
}

/// Browsers name HTML where they open a page, and only there; other programs take what comes (`*/*`).
pub fn accepts_html(headers: &HeaderMap) -> bool {
    wishes(headers, header::ACCEPT).any(|wish| wish.is("text/html"))
}

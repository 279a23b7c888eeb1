//! The files of the chat page, as `make web` built them and the compiler put them into the program.

use std::borrow::Cow;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

use super::PAGE_HEADERS;
use super::wishes::{entries, wishes};

/// What `make web` built; empty where it was not run before the program was built.
#[derive(RustEmbed)]
#[folder = "web/dist"]
#[allow_missing = true]
pub struct Dist;

/// Files below this have a hash of their content in their names (see web/vite.config.ts), so they never change.
const HASHED: &str = "assets/";
/// For a file that never changes. Only known users may have it, so no shared cache may keep it.
const FOREVER: HeaderValue = HeaderValue::from_static("private, max-age=31536000, immutable");
/// For everything else: kept, but asked about every time, so that nothing is stale after an upgrade.
const ASK_FIRST: HeaderValue = HeaderValue::from_static("private, no-cache");
/// The service worker, which serves the page although it lies below it.
const WORKER: &str = "sw.js";
/// Bytes of a file's hash that tell its versions apart.
const TAG_BYTES: usize = 16;

/// A page of the bundle; `None` where there is none.
pub fn page<Files: RustEmbed>(name: &str, headers: &HeaderMap) -> Option<Response> {
    answer::<Files>(name, headers)
}

/// Any other file. Pages have addresses of their own, and compressed files are never asked for by name. A backslash
/// would count as another way to write a slash, and every file has one address.
pub fn file<Files: RustEmbed>(name: &str, headers: &HeaderMap) -> Option<Response> {
    if name.ends_with(".html") || name.ends_with(".gz") || name.contains('\\') {
        return None;
    }
    answer::<Files>(name, headers)
}

fn answer<Files: RustEmbed>(name: &str, asked: &HeaderMap) -> Option<Response> {
    let plain = Files::get(name)?;
    let content_type = content_type(&plain)?;
    let compressed = Files::get(&format!("{name}.gz"));
    let varies = compressed.is_some();
    let (file, encoding) = match compressed {
        Some(file) if takes_gzip(asked) => (file, Some(HeaderValue::from_static("gzip"))),
        _ => (plain, None),
    };
    let tag = tag(&file);
    // The worker's own requests obey the policy that comes with its script, so files have it, too.
    let mut headers = HeaderMap::from_iter(PAGE_HEADERS);
    headers.insert(header::CACHE_CONTROL, if name.starts_with(HASHED) { FOREVER } else { ASK_FIRST });
    headers.insert(header::ETAG, HeaderValue::from_str(&tag).ok()?);
    if varies {
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    }
    if holds(asked, &tag) {
        return Some((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    headers.insert(header::CONTENT_TYPE, content_type);
    headers.extend(encoding.map(|encoding| (header::CONTENT_ENCODING, encoding)));
    if name == WORKER {
        let scope = HeaderValue::from_static("/paliadin");
        headers.insert(HeaderName::from_static("service-worker-allowed"), scope);
    }
    let bytes = match file.data {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => Bytes::from(bytes),
    };
    Some((headers, bytes).into_response())
}

fn content_type(file: &EmbeddedFile) -> Option<HeaderValue> {
    let mime = file.metadata.mimetype();
    let text = if mime.starts_with("text/") { format!("{mime}; charset=utf-8") } else { mime.to_owned() };
    HeaderValue::from_str(&text).ok()
}

/// Tells this file, in this encoding, from every other one.
fn tag(file: &EmbeddedFile) -> String {
    let digits: String = file.metadata.sha256_hash()[..TAG_BYTES].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("\"{digits}\"")
}

/// Whether the client has this version already.
fn holds(asked: &HeaderMap, tag: &str) -> bool {
    let known = |held: &str| held == "*" || held.strip_prefix("W/").unwrap_or(held) == tag;
    entries(asked, header::IF_NONE_MATCH).any(known)
}

fn takes_gzip(asked: &HeaderMap) -> bool {
    wishes(asked, header::ACCEPT_ENCODING).any(|wish| wish.is("gzip"))
}

#[cfg(test)]
mod tests;

//! What every answer has to be, whatever was asked.

use serde_json::Value;

use super::noise::Shot;
use super::people::People;
use super::wire::Answer;
use crate::harness::Tested;

/// Every way to be refused, as docs/protocol.md tells it. New ones go here, and nowhere else in this test.
const REFUSALS: &[(u16, &str)] = &[
    (400, "invalid_request"),
    (400, "host_not_allowed"),
    (401, "unauthenticated"),
    (403, "origin_not_allowed"),
    (403, "insufficient_scope"),
    (404, "not_found"),
    (405, "method_not_allowed"),
    (408, "request_timeout"),
    (409, "no_attention"),
    (409, "reply_unsupported"),
    (413, "invalid_request"),
    (413, "message_too_large"),
    (415, "invalid_request"),
    (421, "host_not_allowed"),
    (429, "queue_full"),
    (429, "rate_limited"),
    (429, "too_many_streams"),
];

/// Refusals of what is just going on, and the end of the route for which alone they are expected.
const UNAVAILABLE: &[(&str, &str)] = &[
    // The agent was ended by a reset that came in between.
    ("agent_died", "/reply"),
    ("upstream_error", "/reply"),
    ("tmux_unavailable", "/reply"),
];

/// What is no refusal.
const GRANTED: &[u16] = &[200, 202, 204, 303, 304, 308];

/// What the HTTP library says by itself to what it cannot read, without a body.
const UNREADABLE: &[u16] = &[400, 408, 414, 431];

/// Headers of every answer, with a value where there is only one.
const HEADERS: &[(&str, Option<&str>)] = &[
    ("cache-control", None),
    ("x-content-type-options", Some("nosniff")),
    ("referrer-policy", Some("no-referrer")),
    ("x-frame-options", Some("DENY")),
    ("cross-origin-opener-policy", Some("same-origin")),
    ("cross-origin-resource-policy", Some("same-origin")),
    ("content-security-policy", None),
];

/// Whether this may be an answer to that.
pub fn judge(answer: &Answer, shot: &Shot, people: &People) -> Tested {
    checked(answer, shot, people).map_err(|why| {
        let body = String::from_utf8_lossy(&answer.body[..answer.body.len().min(500)]).into_owned();
        format!("{why}: {} {:?}\n{body}", answer.status, answer.headers).into()
    })
}

fn checked(answer: &Answer, shot: &Shot, people: &People) -> Result<(), String> {
    tells_nothing_of_others(answer, shot, people)?;
    let is_bare = answer.body.is_empty() && answer.header("content-type").is_none();
    if is_bare && UNREADABLE.contains(&answer.status) && !shot.is_plain {
        return Ok(());
    }
    for (name, expected) in HEADERS {
        let value = answer.header(name).ok_or_else(|| format!("no {name}"))?;
        if expected.is_some_and(|expected| expected != value) {
            return Err(format!("{name} is {value}"));
        }
    }
    if !answer.header("content-security-policy").is_some_and(|policy| policy.starts_with("default-src 'none'; ")) {
        return Err("a policy that allows something".to_owned());
    }
    if GRANTED.contains(&answer.status) { Ok(()) } else { refused(answer, shot) }
}

fn tells_nothing_of_others(answer: &Answer, shot: &Shot, people: &People) -> Result<(), String> {
    let headers: String = answer.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    let body = String::from_utf8_lossy(&answer.body);
    for (number, person) in people.all.iter().enumerate() {
        let is_theirs = shot.askers.contains(&number);
        if !is_theirs && (body.contains(&person.secret) || headers.contains(&person.secret)) {
            return Err(format!("the text of person {number} was told to {:?}", shot.askers));
        }
        if body.contains(&person.client.token) || body.contains(&people.cookie) {
            return Err("a secret was told".to_owned());
        }
    }
    Ok(())
}

fn refused(answer: &Answer, shot: &Shot) -> Result<(), String> {
    let content_type = answer.header("content-type").unwrap_or_default();
    // A person is told how to sign in.
    if answer.status == 401 && content_type.starts_with("text/html") {
        return Ok(());
    }
    if answer.status == 405 && answer.header("allow").is_none() {
        return Err("a method is refused, and none is named that is not".to_owned());
    }
    if content_type != "application/problem+json" {
        return Err(format!("a refusal that is {content_type:?}"));
    }
    if answer.is_head {
        let is_known = REFUSALS.iter().any(|(status, _)| *status == answer.status);
        return if is_known { Ok(()) } else { Err("not expected".to_owned()) };
    }
    let problem: Value = serde_json::from_slice(&answer.body).map_err(|error| format!("no JSON: {error}"))?;
    if problem["status"] != answer.status || !problem["title"].is_string() || !problem["detail"].is_string() {
        return Err("no problem document".to_owned());
    }
    let code = problem["code"].as_str().ok_or("a problem without a code")?;
    let is_known = match answer.status {
        503 => UNAVAILABLE.iter().any(|(known, end)| *known == code && shot.route.ends_with(end)),
        status => REFUSALS.contains(&(status, code)),
    };
    if is_known { Ok(()) } else { Err(format!("{code} is not expected of {:?}", shot.route)) }
}

//! What a request asks for: a route of the table, as it is or nearly so.

use paliadin::http::{ROUTES, Route};

use super::people::People;
use crate::harness::random::Random;

/// Methods that a path may be asked with, beside its own.
const METHODS: [&str; 14] = [
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "TRACE",
    "CONNECT",
    "PROPFIND",
    "get",
    "X",
    "M-SEARCH",
    "GETGETGETGETGETGETGETGETGETGETGETGETGETGETGETGETGETGETGETGET",
];

/// Names of parameters, most of which some route reads.
const PARAMETERS: [&str; 10] =
    ["session", "limit", "before", "search", "last_event_id", "token", "session%00", "", "limit[]", "SESSION"];

/// Values for them, encoded as they are sent.
const VALUES: [&str; 26] = [
    "",
    "0",
    "1",
    "-1",
    "200",
    "201",
    "4294967296",
    "99999999999999999999999",
    "1e9",
    "null",
    "1-1",
    "0-1",
    "1-2",
    "9223372036854775807-9223372036854775807",
    "-1--1",
    "%",
    "%zz",
    "%00",
    "%ff%fe",
    "%25",
    "_",
    "%22%27%3b--",
    "%5c",
    "%F0%9F%98%80",
    "*",
    "a+b",
];

/// Other paths than those of the table.
const PATHS: [&str; 16] = [
    "/",
    "//",
    "/.",
    "/..",
    "/../../etc/passwd",
    "/%2e%2e/%2e%2e/etc/passwd",
    "*",
    "",
    "/api",
    "/api/paliadin/",
    "/paliadin/app/..%2f..%2fsecret",
    "/paliadin/app/%00",
    "/paliadin/app/assets/",
    "/API/PALIADIN/STATUS",
    "/\u{e9}",
    "/a b",
];

/// A route, the method and the target of the request line.
pub struct Target {
    pub route: &'static Route,
    pub method: String,
    pub text: String,
}

impl Target {
    /// One at random, for this asker.
    pub fn random(random: &mut Random, people: &People, asker: Option<usize>) -> Self {
        let route = &ROUTES[random.below(0..ROUTES.len() as u64) as usize];
        let method = if random.once_in(5) { random.one_of(&METHODS) } else { route.method.as_str() };
        let mut text = filled(random, people, asker, route.path, method == "DELETE");
        if random.once_in(12) {
            text = distorted(random, people, &text);
        }
        if random.once_in(3) {
            text = format!("{text}?{}", query(random, people, asker));
        }
        Self { route, method: method.to_owned(), text }
    }

    /// A question.
    pub fn is_question(&self) -> bool {
        self.route.path.ends_with("/turn")
    }

    /// A reply to a question of an agent's.
    pub fn is_reply(&self) -> bool {
        self.route.path.ends_with("/reply")
    }
}

/// The path with something in place of its placeholders, whatever they are called. Where that is deleted, it is nothing that
/// is needed.
fn filled(random: &mut Random, people: &People, asker: Option<usize>, path: &str, is_deleted: bool) -> String {
    let mut parts = Vec::new();
    for part in path.split('/') {
        parts.push(match part {
            "{*file}" => random
                .one_of(&["sw.js", "assets/x.js", "../chat.html", "manifest.webmanifest", "%2e", "a\\b", ""])
                .to_owned(),
            "{turn_id}" if !random.once_in(4) => people.turn(random, asker),
            "{session_id}" if is_deleted => people.spare_session(random, asker).unwrap_or_else(|| unknown(random)),
            "{session_id}" if !random.once_in(4) => people.session(random, asker),
            part if part.starts_with('{') => id(random, people, asker),
            part => part.to_owned(),
        });
    }
    parts.join("/")
}

/// An id that nobody has.
fn unknown(random: &mut Random) -> String {
    format!("{:08x}-0000-7000-8000-{:012x}", random.number() >> 32, random.number() >> 16)
}

/// An id of somebody's, or nearly one.
pub fn id(random: &mut Random, people: &People, asker: Option<usize>) -> String {
    let id = match random.below(0..4) {
        0 => people.turn(random, asker),
        1 => people.session(random, asker),
        2 => unknown(random),
        _ => "00000000-0000-0000-0000-000000000000".to_owned(),
    };
    match random.below(0..14) {
        0 => id.to_uppercase(),
        1 => id.replace('-', ""),
        2 => format!("urn:uuid:{id}"),
        3 => format!("%7B{id}%7D"),
        4 => id[..35].to_owned(),
        5 => format!("{id}%00"),
        6 => format!("{id}%20"),
        7 => id.replace('0', "%30"),
        8 => "..%2f..%2f..%2fetc%2fpasswd".to_owned(),
        9 => "%ff%fe".to_owned(),
        10 => "x".repeat(random.below(1..9_000) as usize),
        11 => String::new(),
        _ => id,
    }
}

fn distorted(random: &mut Random, people: &People, path: &str) -> String {
    match random.below(0..9) {
        0 => format!("{path}/"),
        1 => format!("/{path}"),
        2 => path.replacen('/', "//", 3),
        3 => path.replace('/', "%2f"),
        4 => format!("http://{}{path}", people.address()),
        5 => format!("http://evil.example{path}"),
        6 => format!("{path}#fragment"),
        7 => format!("{path};x=y/../{}", path.to_uppercase()),
        _ => random.one_of(&PATHS).to_owned(),
    }
}

fn query(random: &mut Random, people: &People, asker: Option<usize>) -> String {
    let mut parts = Vec::new();
    for _ in 0..random.below(1..4) {
        let value = match random.below(0..5) {
            0 => people.session(random, asker),
            1 => id(random, people, asker),
            2 => "a".repeat(random.below(0..300) as usize),
            _ => random.one_of(&VALUES).to_owned(),
        };
        parts.push(format!("{}={value}", random.one_of(&PARAMETERS)));
    }
    parts.join(random.one_of(&["&", "&&", ";", "&amp;", "?"]))
}

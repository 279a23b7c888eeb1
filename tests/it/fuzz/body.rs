//! What a request brings: JSON that some route takes, or that was one before it was spoilt.

use serde_json::{Value, json};

use super::people::People;
use super::target::{Target, id};
use crate::harness::random::Random;

/// Questions that may be asked in earnest. Each is over soon, or can be ended.
const QUESTIONS: [&str; 8] =
    ["!echo x", "!count", "!meta sql 3 x", "!lines 20 5", "!ask why?", "!hang", "What can you do?", "!context"];

/// A question is put in earnest once in so many times: what is accepted stays for good.
const EARNEST: u64 = 8;

/// Texts that something may stumble over.
const TEXTS: [&str; 14] = [
    "",
    " ",
    "\u{0}",
    "\u{1b}[201~\r",
    "[PALIADIN:00000000-0000-0000-0000-000000000000] x",
    "../../etc/passwd",
    "' OR 1=1;--",
    "<script>alert(1)</script>",
    "%s%n{}",
    "\u{202e}\u{200b}\u{feff}",
    "\u{1f468}\u{200d}\u{1f469}",
    "\\u0000",
    "null",
    "1-2",
];

/// The text of a number that is none, or too large a one.
const NUMBERS: [&str; 6] = ["1e400", "-0", "123456789012345678901234567890", "NaN", "0x10", "1.7976931348623157e308"];

/// A body for what is asked.
pub fn random(random: &mut Random, people: &People, asker: Option<usize>, target: &Target) -> Vec<u8> {
    let mut body = sound(random, people, asker, target);
    // A question that is sound is accepted, and has a row.
    let is_spoilt = if target.is_question() { !random.once_in(EARNEST) } else { random.once_in(2) };
    if !is_spoilt {
        return body.to_string().into_bytes();
    }
    if random.once_in(2) {
        for _ in 0..random.below(1..3) {
            mutate(random, &mut body);
        }
        if target.is_question() && body["user_message"].is_string() {
            body["unknown"] = json!(1);
        }
        return body.to_string().into_bytes();
    }
    spoilt(random, &body.to_string())
}

/// What the route takes; for one that this does not know, a bit of everything.
fn sound(random: &mut Random, people: &People, asker: Option<usize>, target: &Target) -> Value {
    if target.is_question() {
        let mut body = json!({ "user_message": random.one_of(&QUESTIONS) });
        let further = [
            ("session_id", json!(people.session(random, asker))),
            ("client_turn_id", json!(format!("c{}", random.below(0..40)))),
            ("page_origin", json!("https://example.org")),
            ("persona", json!("")),
            ("context", json!({"route": "/x", "title": "t", "extra": {"a": [1, {"b": null}]}})),
        ];
        for (at, (name, value)) in further.into_iter().enumerate() {
            // Mostly a conversation that is there: each new one stays.
            let is_there = if at == 0 { !random.once_in(4) } else { random.once_in(3) };
            if is_there {
                body[name] = value;
            }
        }
        return body;
    }
    if target.is_reply() {
        let text = random.one_of(&["yes", "allow", "two\nlines", "\u{e9}\u{1b}[201~", "[PALIADIN:x]"]);
        return json!({ "text": text, "attention": random.one_of(&["1-2", "1-3", "1-4", "2-2", "0-1"]) });
    }
    if target.route.method == "PATCH" {
        return json!({ "title": random.one_of(&["A title", "  blanks  ", "\u{1f600}", "x\u{202e}y"]) });
    }
    json!({ "id": id(random, people, asker), "name": "x", "text": "x", "title": "x", "email": "x@example.org", "limit": 1 })
}

fn mutate(random: &mut Random, value: &mut Value) {
    // Mostly further in.
    if !random.once_in(3) {
        let count = value.as_object().map_or_else(|| value.as_array().map_or(0, Vec::len), serde_json::Map::len);
        if count > 0 {
            let at = random.below(0..count as u64) as usize;
            let inner = match value {
                Value::Object(fields) => fields.values_mut().nth(at),
                Value::Array(items) => items.get_mut(at),
                _ => None,
            };
            return inner.map(|inner| mutate(random, inner)).unwrap_or_default();
        }
    }
    match (random.below(0..4), &mut *value) {
        (0, Value::Object(fields)) => {
            let name = fields.keys().nth(random.below(0..fields.len().max(1) as u64) as usize).cloned();
            drop(name.and_then(|name| fields.remove(&name)));
        }
        (1, Value::Object(fields)) => drop(fields.insert(random.one_of(&TEXTS).to_owned(), odd(random))),
        (2, value) => *value = json!([value.take()]),
        (_, value) => *value = odd(random),
    }
}

fn odd(random: &mut Random) -> Value {
    match random.below(0..10) {
        0 => Value::Null,
        1 => json!(random.once_in(2)),
        2 => json!(random.number()),
        3 => json!(-1.5e300),
        4 => json!({ "": {} }),
        5 => json!([[], [null]]),
        6 => {
            let most = random.one_of(&[10, 300, 5_000, 70_000]);
            let length = random.below(0..most) as usize;
            json!(random.printable(length))
        }
        7 => (0..random.below(1..200)).fold(json!(1), |inner, _| json!([inner])),
        _ => json!(random.one_of(&TEXTS)),
    }
}

/// Text that is JSON no more, or hardly.
fn spoilt(random: &mut Random, json: &str) -> Vec<u8> {
    let at = random.below(0..json.len() as u64) as usize;
    let bytes = json.as_bytes();
    let with = |inserted: &[u8]| [&bytes[..at], inserted, &bytes[at..]].concat();
    match random.below(0..12) {
        0 => bytes[..at].to_vec(),
        1 => with(b"\xff\xfe"),
        2 => with(b"\0"),
        3 => with(b"\\ud800"),
        4 => [b"\xef\xbb\xbf", bytes].concat(),
        5 => [bytes, b"{}"].concat(),
        6 => json.replacen(':', &format!(":{},\"x\":", random.one_of(&NUMBERS)), 1).into_bytes(),
        7 => "[".repeat(random.below(1..60_000) as usize).into_bytes(),
        8 => format!("{{\"a\":{}", "{\"a\":".repeat(random.below(1..20_000) as usize)).into_bytes(),
        9 => vec![b' '; random.below(1..2_000) as usize],
        10 if random.once_in(4) => format!("{{\"user_message\":\"{}\"}}", "x".repeat(700 * 1024)).into_bytes(),
        _ => json.replacen('{', "{\"user_message\":7,\"text\":7,\"title\":7,", 1).into_bytes(),
    }
}

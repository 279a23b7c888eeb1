//! The lines above a body: who asks, from where, and for what.

use super::people::People;
use crate::harness::random::Random;

/// Hosts that are not ours, or no hosts.
const HOSTS: [&str; 10] = [
    "evil.example",
    "",
    "127.0.0.1:99999999",
    "localhost.",
    "user@127.0.0.1",
    "127.0.0.1/..",
    "[::1",
    "\u{e9}",
    "127.0.0.1, evil.example",
    "[::1]:1",
];

/// Tokens that nobody has, and what is none.
const TOKENS: [&str; 9] = [
    "Bearer",
    "Bearer ",
    "Bearer pal_",
    "Bearer pal_0000000000000000000000000000000000000000000",
    "Basic eDp5",
    "pal_x",
    "Bearer \u{e9}",
    "Bearer a b c",
    "Negotiate oRQ=",
];

/// Headers that something reads, or might, with what may stand in them.
const OTHERS: [(&str, &[&str]); 22] = [
    ("origin", &["http://evil.example", "null", "", "http://127.0.0.1", "file://", "https://\u{e9}"]),
    ("sec-fetch-site", &["cross-site", "same-site", "same-origin", "none", "\u{e9}"]),
    ("accept", &["text/html", "*/*", "text/html;q=0", "application/json", ";;;q=,", "text/html;q=\u{e9}"]),
    ("accept-language", &["de", "en;q=0.1,de;q=0.9", "*", ";q=", "x-x-x"]),
    ("accept-encoding", &["gzip", "gzip;q=0", "identity", "br, gzip;q=1.0", "gzip;q=NaN"]),
    ("last-event-id", &["1-1", "0-1", "9223372036854775807-9223372036854775807", "x", "", "\u{e9}", "-1--1"]),
    ("if-none-match", &["*", "\"x\"", "W/\"x\", \"y\"", "\"", ""]),
    ("if-modified-since", &["Thu, 01 Jan 1970 00:00:00 GMT", "x"]),
    ("range", &["bytes=0-0", "bytes=-1", "bytes=9-1", "x"]),
    ("cookie", &["paliadin_session=", "paliadin_session=x; paliadin_session=y", "=;=;", "\u{e9}=\u{e9}", "a"]),
    ("x-forwarded-for", &["127.0.0.1", "x"]),
    ("x-forwarded-host", &["evil.example"]),
    ("x-http-method-override", &["DELETE"]),
    ("forwarded", &["for=127.0.0.1;host=evil.example"]),
    ("upgrade", &["websocket", "h2c", "x"]),
    ("http2-settings", &["AAMAAABkAAQCAAAAAAIAAAAA"]),
    ("te", &["trailers", "chunked"]),
    ("trailer", &["host"]),
    ("content-encoding", &["gzip", "x"]),
    ("content-language", &["\u{e9}"]),
    ("x", &["", "\t", " x ", "\u{7f}"]),
    ("max-forwards", &["0"]),
];

/// Content types beside the one that is taken.
const CONTENT_TYPES: [&str; 8] = [
    "text/plain",
    "",
    "application/JSON; charset=latin1",
    "multipart/form-data; boundary=x",
    "application/xml",
    "x",
    "application/vnd.x+json",
    "application/x-www-form-urlencoded",
];

/// The lines, and what is known of them.
pub struct Head {
    pub lines: Vec<(String, String)>,
    /// By number, the people whose token or cookie is among them.
    pub askers: Vec<usize>,
}

impl Head {
    /// One at random: mostly such that the request gets further than to its head.
    pub fn random(random: &mut Random, people: &People) -> Self {
        let mut head = Self { lines: Vec::new(), askers: Vec::new() };
        let ours = people.address().to_string();
        if !random.once_in(30) {
            let host = if random.once_in(20) { random.one_of(&HOSTS).to_owned() } else { ours.clone() };
            head.add("host", host);
        }
        head.sign(random, people);
        if random.once_in(20) {
            // Another one beside it.
            head.sign(random, people);
        }
        for _ in 0..random.below(0..4) {
            let (name, values) = random.one_of(&OTHERS);
            head.add(name, random.one_of(values));
        }
        if random.once_in(20) {
            head.add("origin", format!("http://{ours}"));
        }
        if random.once_in(60) {
            // The library takes 100 lines.
            let count = random.one_of(&[50, 90, 150]);
            (0..count).for_each(|number| head.add(&format!("x-{number}"), "x"));
        }
        if random.once_in(60) {
            head.add("x-long", "x".repeat(random.one_of(&[1_000, 20_000, 500_000])));
        }
        head
    }

    /// Adds a line.
    pub fn add(&mut self, name: &str, value: impl Into<String>) {
        self.lines.push((name.to_owned(), value.into()));
    }

    /// Says what comes below.
    pub fn add_content_type(&mut self, random: &mut Random) {
        if !random.once_in(30) {
            let odd = random.once_in(20);
            self.add("content-type", if odd { random.one_of(&CONTENT_TYPES) } else { "application/json" });
        }
    }

    fn sign(&mut self, random: &mut Random, people: &People) {
        match random.below(0..20) {
            0 => {}
            1 => self.add("authorization", format!("Bearer {}", people.revoked)),
            2 => self.add("authorization", random.one_of(&TOKENS)),
            3 => self.add("authorization", format!("Bearer {}", "x".repeat(random.below(0..20_000) as usize))),
            4 | 5 => {
                self.add("cookie", format!("a=b; {}", people.cookie));
                self.askers.push(0);
            }
            _ => {
                let asker = random.below(0..people.all.len() as u64) as usize;
                let scheme = random.one_of(&["Bearer", "Bearer", "bearer", "BEARER "]);
                self.add("authorization", format!("{scheme} {}", people.all[asker].client.token));
                self.askers.push(asker);
            }
        }
    }
}

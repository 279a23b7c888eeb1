//! What goes over one connection: a request, several at once, or what is none.

use paliadin::agent::envelope;

use super::body;
use super::head::Head;
use super::people::People;
use super::target::Target;
use crate::harness::random::Random;

/// Bytes up to which a server has read everything before it refuses it, so that its answer is not lost with the rest.
const READ_AT_ONCE: usize = 4 * 1024;

/// What is no request, or not a whole one.
const NOISE: [&[u8]; 20] = [
    b"",
    b"\r\n\r\n",
    b"\n\n\n\n",
    b"GET",
    b"GET /\r\n\r\n",
    b"GET / HTTP/0.9\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET /healthz HTTP/1.0\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET /healthz HTTP/1.1\nhost: localhost\n\n",
    b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n folded\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nhost : localhost\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nhost: local\0host\r\n\r\n",
    b"POST /api/paliadin/turn HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    b"POST /api/paliadin/turn HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\nx",
    b"POST /api/paliadin/turn HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: x, chunked\r\n\r\n0\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n: x\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\n\xff: x\r\n\r\n",
    b"CONNECT localhost:80 HTTP/1.1\r\nhost: localhost\r\n\r\nx",
];

/// How a request tells the length of its body.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Length {
    Told,
    Chunked,
    /// By this, which is not so.
    Lie(&'static str),
}

/// What is sent over one connection.
pub struct Shot {
    pub bytes: Vec<u8>,
    /// The lengths of the writes before the last one.
    pub pieces: Vec<usize>,
    /// How many requests it is, and their methods.
    pub requests: usize,
    pub methods: Vec<String>,
    /// Every request is one, and whole: each gets its answer.
    pub is_honest: bool,
    /// No answer of the HTTP library itself is expected.
    pub is_plain: bool,
    /// The connection is closed before an answer can come.
    pub is_left: bool,
    /// Bytes of an event stream that are waited for.
    pub enough: usize,
    /// Who asks, by number.
    pub askers: Vec<usize>,
    /// The route of the last request.
    pub route: &'static str,
    replies: Vec<String>,
}

impl Shot {
    /// One at random.
    pub fn random(random: &mut Random, people: &People) -> Self {
        let mut shot = match random.below(0..20) {
            0 => Self::noise(random.one_of(&NOISE).to_vec()),
            1 => Self::noise((0..random.below(1..3_000)).map(|_| random.number() as u8).collect()),
            2 => Self::spoilt(random, people),
            3 | 4 => Self::requests(random, people, 3),
            _ => Self::requests(random, people, 1),
        };
        if random.once_in(30) {
            // Half of it, and no more.
            shot.is_left = true;
            shot.is_honest = false;
            shot.bytes.truncate(random.below(0..shot.bytes.len() as u64 + 1) as usize);
        }
        if random.once_in(8) {
            shot.pieces = (0..random.below(1..6)).map(|_| random.below(0..200) as usize).collect();
        }
        shot
    }

    fn noise(bytes: Vec<u8>) -> Self {
        let (pieces, methods, askers, replies) = Default::default();
        let (is_honest, is_plain, is_left, route) = (false, false, false, "");
        Self { bytes, pieces, requests: 1, methods, is_honest, is_plain, is_left, enough: 1, askers, route, replies }
    }

    /// One or several, one after the other without waiting for an answer.
    fn requests(random: &mut Random, people: &People, most: u64) -> Self {
        let count = random.below(1..most + 1);
        let mut shot = Self { requests: 0, is_honest: true, is_plain: true, ..Self::noise(Vec::new()) };
        // Few streams are followed any further.
        shot.enough = if random.once_in(10) { 200 } else { 1 };
        for number in 1..=count {
            let mut head = Head::random(random, people);
            // The first one counts.
            let asker = head.askers.first().copied();
            let target = Target::random(random, people, asker);
            if target.route.path.ends_with("/sign-out") {
                // There is only one, and others need it.
                head.lines.retain(|(name, _)| name != "cookie");
            }
            head.add("connection", if number == count { "close" } else { "keep-alive" });
            let is_bare = matches!(target.route.method.as_str(), "GET" | "DELETE") && !random.once_in(20);
            let body = if is_bare { Vec::new() } else { body::random(random, people, asker, &target) };
            if !is_bare {
                head.add_content_type(random);
            }
            shot.push(&target, head, &body, Length::random(random, &target));
        }
        // Several, of which one is refused without being read, or ends the connection: the others get no answer.
        if count > 1 || shot.bytes.len() > READ_AT_ONCE {
            shot.is_honest = false;
            shot.is_plain = false;
        }
        shot
    }

    fn push(&mut self, target: &Target, mut head: Head, body: &[u8], length: Length) {
        if target.is_reply() {
            // What may be typed has to be known.
            let given: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
            self.replies.extend(given["text"].as_str().map(envelope::line));
        }
        match length {
            Length::Told => head.add("content-length", body.len().to_string()),
            Length::Chunked => head.add("transfer-encoding", "chunked"),
            Length::Lie(lie) => {
                head.add(if lie.contains("chunked") { "transfer-encoding" } else { "content-length" }, lie)
            }
        }
        let is_text = |text: &str| !text.is_empty() && text.bytes().all(|byte| (0x21..0x7f).contains(&byte));
        // What the library refuses by itself, or may: no token as a method, an odd target, too many or too long lines.
        let is_known = is_text(&target.text) && target.text.starts_with('/') && target.text.len() < 1_000;
        let is_short = head.lines.len() < 40 && head.lines.iter().all(|(_, value)| value.len() < 1_000);
        let is_seen = head.lines.iter().all(|(_, value)| !value.contains('\u{7f}'));
        self.is_plain &= is_known && is_short && is_seen && target.method != "CONNECT";
        self.is_honest &= !matches!(length, Length::Lie(_));
        self.is_plain &= self.is_honest;
        self.bytes.extend(format!("{} {} HTTP/1.1\r\n", target.method, target.text).into_bytes());
        for (name, value) in &head.lines {
            self.bytes.extend(format!("{name}: {value}\r\n").into_bytes());
        }
        self.bytes.extend(b"\r\n");
        if length == Length::Chunked {
            for chunk in body.chunks(1_000) {
                self.bytes.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
                self.bytes.extend([chunk, b"\r\n"].concat());
            }
            self.bytes.extend(b"0\r\n\r\n");
        } else {
            self.bytes.extend(body);
        }
        self.requests += 1;
        self.methods.push(target.method.clone());
        self.askers.extend(head.askers);
        self.route = target.route.path;
    }

    /// A request of which some bytes are others, missing, or there twice.
    fn spoilt(random: &mut Random, people: &People) -> Self {
        let mut shot = loop {
            let shot = Self::requests(random, people, 1);
            // What may be typed could not be known any more.
            if !shot.route.ends_with("/reply") {
                break shot;
            }
        };
        shot.is_honest = false;
        shot.is_plain = false;
        for _ in 0..random.below(1..4) {
            let at = random.below(0..shot.bytes.len() as u64) as usize;
            let end = (at + random.below(0..8) as usize).min(shot.bytes.len());
            match random.below(0..3) {
                0 => shot.bytes[at] = random.number() as u8,
                1 => drop(shot.bytes.drain(at..end)),
                _ => {
                    let twice = shot.bytes[at..end].to_vec();
                    drop(shot.bytes.splice(at..at, twice));
                }
            }
        }
        shot
    }

    /// What may be typed into an agent because of it.
    pub fn replies(&self) -> &[String] {
        &self.replies
    }

    /// How many questions it may be.
    pub fn questions(&self) -> usize {
        let route = b"/api/paliadin/turn";
        self.bytes
            .windows(route.len() + 1)
            .filter(|window| window.starts_with(route) && !window.ends_with(b"s"))
            .count()
    }

    /// The beginning of it, to be looked at.
    pub fn shown(&self) -> String {
        let head = &self.bytes[..self.bytes.len().min(2_000)];
        format!("sent (of {} bytes): {}", self.bytes.len(), head.escape_ascii())
    }
}

impl Length {
    fn random(random: &mut Random, target: &Target) -> Self {
        let lies =
            ["0", "1", "100", "99999999999999999999", "-1", "x", "1, 2", "chunked, gzip", "gzip, chunked", " chunked"];
        match random.below(0..24) {
            0 if !target.is_reply() => Self::Lie(random.one_of(&lies)),
            1 | 2 => Self::Chunked,
            _ => Self::Told,
        }
    }
}

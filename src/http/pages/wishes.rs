//! What a client says it would like: the lists of the headers `Accept`, `Accept-Encoding` and `Accept-Language`
//! (RFC 9110, section 12.4.2).

use axum::http::{HeaderMap, HeaderName};

/// One entry of such a list.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Wish<'a> {
    /// What it is about, as it was written.
    pub name: &'a str,
    /// Above 0, up to 1.
    pub weight: f32,
}

impl Wish<'_> {
    /// Whether it is about this; letter case means nothing.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

/// What is wished for, in the order in which it was written. What is refused by a weight of 0, or has one that is none,
/// is left out.
pub fn wishes(headers: &HeaderMap, header: HeaderName) -> impl Iterator<Item = Wish<'_>> {
    entries(headers, header).filter_map(|entry| {
        let mut parts = split(entry, ';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let weight = parts.find_map(|part| {
            let (key, value) = part.split_once('=')?;
            key.trim_end().eq_ignore_ascii_case("q").then_some(value.trim_start())
        });
        let weight = weight.map_or(Some(1.0), |value| value.parse().ok())?;
        (!name.is_empty() && weight > 0.0 && weight <= 1.0).then_some(Wish { name, weight })
    })
}

/// The entries of a header that is a list.
pub fn entries(headers: &HeaderMap, header: HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(header).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| split(value, ',')).map(str::trim)
}

/// Splits a value where the separator is not part of a quoted text.
fn split(value: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    value.split(move |character| {
        let is_escaped = std::mem::take(&mut escaped);
        match character {
            '"' if !is_escaped => quoted = !quoted,
            '\\' if quoted && !is_escaped => escaped = true,
            _ => {}
        }
        character == separator && !quoted
    })
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderValue, header};

    use super::*;

    #[test]
    fn weights_are_read_as_they_are_written() {
        let cases: [(&str, &[(&str, f32)]); 15] = [
            ("", &[]),
            (" , ,", &[]),
            ("gzip", &[("gzip", 1.0)]),
            ("br, GZIP;q=0.5 ,x", &[("br", 1.0), ("GZIP", 0.5), ("x", 1.0)]),
            ("gzip;q=0", &[]),
            ("gzip;Q=0", &[]),
            ("gzip; q=0.000, br", &[("br", 1.0)]),
            ("gzip ; Q = 0.25", &[("gzip", 0.25)]),
            ("text/html;level=1;q=0.7", &[("text/html", 0.7)]),
            ("text/html;level=1;q=0", &[]),
            ("text/html;level=1", &[("text/html", 1.0)]),
            ("text/html;a=\"x,y;q=0\";q=0.5, b", &[("text/html", 0.5), ("b", 1.0)]),
            ("text/html;a=\"\\\";q=0\", b", &[("text/html", 1.0), ("b", 1.0)]),
            ("a;q=x, b;q=nan, c;q=inf, d;q=-1, e;q=2, f;q=", &[]),
            ("*/*;q=0.1", &[("*/*", 0.1)]),
        ];
        for (value, expected) in cases {
            let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(value))]);
            let read: Vec<(&str, f32)> =
                wishes(&headers, header::ACCEPT).map(|wish| (wish.name, wish.weight)).collect();
            assert_eq!(read, expected, "{value:?}");
        }
    }

    #[test]
    fn a_list_may_be_several_headers() {
        let mut headers = HeaderMap::new();
        for value in ["de;q=0.5", "en, fr"] {
            headers.append(header::ACCEPT_LANGUAGE, HeaderValue::from_static(value));
        }
        let read: Vec<&str> = wishes(&headers, header::ACCEPT_LANGUAGE).map(|wish| wish.name).collect();
        assert_eq!(read, ["de", "en", "fr"]);
        assert_eq!(wishes(&headers, header::ACCEPT).count(), 0);
    }
}

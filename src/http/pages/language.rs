//! Which language a notice is in.

use axum::http::{HeaderMap, header};

use super::wishes::wishes;

/// A language that notices are written in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Language {
    /// Also for whoever reads neither.
    English,
    /// Where the browser prefers it.
    German,
}

impl Language {
    /// The one that the browser's `Accept-Language` puts first.
    pub fn preferred(headers: &HeaderMap) -> Self {
        let mut best = (0.0, Self::English);
        for wish in wishes(headers, header::ACCEPT_LANGUAGE) {
            let primary = wish.name.split('-').next().unwrap_or_default();
            let known =
                [Self::English, Self::German].into_iter().find(|known| known.tag().eq_ignore_ascii_case(primary));
            if let Some(language) = known.filter(|_| wish.weight > best.0) {
                best = (wish.weight, language);
            }
        }
        best.1
    }

    /// Its tag, as in HTML's `lang`.
    pub fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn the_first_known_language_wins() {
        let cases = [
            ("de", Language::German),
            ("de-AT,en;q=0.8", Language::German),
            ("en-GB,en;q=0.9,de;q=0.8", Language::English),
            ("en;q=0.5, de;q=0.9", Language::German),
            ("fr-FR, DE-ch;q=0.7, en;q=0.6", Language::German),
            ("fr", Language::English),
            ("de;q=0", Language::English),
            ("de;Q=0", Language::English),
            ("en;q=0.5, de;x=1;q=0.4", Language::English),
            ("de;q=x", Language::English),
            ("deu", Language::English),
            ("*", Language::English),
            ("", Language::English),
        ];
        for (wishes, wanted) in cases {
            let headers = HeaderMap::from_iter([(header::ACCEPT_LANGUAGE, HeaderValue::from_static(wishes))]);
            assert_eq!(Language::preferred(&headers), wanted, "{wishes:?}");
        }
        assert_eq!(Language::preferred(&HeaderMap::new()), Language::English);
    }
}

//! Texts with NUL in them, which PostgreSQL cannot store.
//!
//! NUL and the two characters that stand for it become words of [`FIRST`] and [`SECOND`], which are nowhere else in a
//! stored text. Of two different words neither begins within the other or across two words, so that a text is part of
//! another one exactly where its stored form is part of the other's: searches find what they would find in the texts
//! themselves.

use std::borrow::Cow;

const NUL: char = '\0';
const FIRST: char = '\u{1}';
const SECOND: char = '\u{2}';

/// What is stored for each.
const WORDS: [(char, &str); 3] =
    [(NUL, "\u{1}\u{2}\u{2}\u{2}"), (FIRST, "\u{1}\u{1}\u{2}\u{2}"), (SECOND, "\u{1}\u{1}\u{1}\u{2}")];

/// The stored form of a text.
pub(super) fn escape(text: &str) -> Cow<'_, str> {
    // One by one: the search for a single byte is the fastest that there is, and nearly every text has none of them.
    if !text.contains(NUL) && !text.contains(FIRST) && !text.contains(SECOND) {
        return Cow::Borrowed(text);
    }
    let mut stored = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match WORDS.iter().find(|(special, _)| *special == character) {
            Some((_, word)) => stored.push_str(word),
            None => stored.push(character),
        }
    }
    Cow::Owned(stored)
}

/// The text of a stored form; `None` where it is none.
pub(super) fn unescape(stored: &str) -> Option<Cow<'_, str>> {
    if !stored.contains(FIRST) && !stored.contains(SECOND) {
        return Some(Cow::Borrowed(stored));
    }
    let mut text = String::with_capacity(stored.len());
    let mut rest = stored;
    while let Some(place) = rest.find([FIRST, SECOND]) {
        let (plain, special) = rest.split_at(place);
        let (character, word) = WORDS.iter().find(|(_, word)| special.starts_with(word))?;
        text.push_str(plain);
        text.push(*character);
        rest = &special[word.len()..];
    }
    text.push_str(rest);
    Some(Cow::Owned(text))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Texts of very few different characters, so that they are often part of each other.
    fn text(longest: usize) -> impl Strategy<Value = String> {
        prop::collection::vec(prop::sample::select(vec!['\0', '\u{1}', '\u{2}', 'a', 'ü']), 0..longest)
            .prop_map(String::from_iter)
    }

    proptest! {
        #[test]
        fn every_text_round_trips(text in any::<String>(), special in text(20)) {
            for text in [text, special] {
                let stored = escape(&text);
                prop_assert!(!stored.contains('\0'));
                let back = unescape(&stored);
                prop_assert_eq!(back.as_deref(), Some(&*text));
            }
        }

        #[test]
        fn parts_stay_parts(text in text(12), part in text(4)) {
            prop_assert_eq!(escape(&text).contains(&*escape(&part)), text.contains(&part));
        }
    }

    #[test]
    fn what_was_not_stored_by_us_is_no_text() {
        for foreign in ["\u{1}", "a\u{2}", "\u{1}\u{2}\u{2}", "\u{1}\u{1}\u{1}\u{1}\u{2}"] {
            assert_eq!(unescape(foreign), None, "{foreign:?}");
        }
        assert!(matches!(escape("plain\n"), Cow::Borrowed(_)));
    }
}

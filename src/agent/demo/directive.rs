//! What a message asks of the demo agent: one of its directives, or an ordinary answer.

use std::str::FromStr;
use std::time::Duration;

use crate::turn::Trailer;

/// Each directive as it is written, and what it does: shown to whoever writes another one.
pub const SYNOPSIS: &[(&str, &str)] = &[
    ("!echo TEXT", "answers TEXT, byte for byte"),
    ("!sha TEXT", "answers the byte length and the SHA-256 of TEXT"),
    ("!lines N MS", "answers N lines, one every MS milliseconds"),
    ("!sleep S", "is silent for S seconds, then says so"),
    ("!hang", "never answers"),
    ("!die", "exits with status 1"),
    ("!big BYTES", "answers that many bytes"),
    ("!meta TOOLS ROWS TAG", "answers with a trailer of these"),
    ("!context", "shows the page context of the turn"),
    ("!primer", "shows the primer of the turn"),
    ("!jwt", "shows the claims of the turn's token"),
    ("!ask QUESTION", "asks, and waits for the answer"),
    ("!count", "counts the turns of this process"),
];

/// Most lines that `!lines` gives.
pub const LINES_LIMIT: u64 = 1_000_000;
/// Most bytes that `!big` gives: far above every sensible cap on answers.
pub const BIG_LIMIT: usize = 64 << 20;
/// Longest pause of `!sleep`, and between two lines of `!lines`.
pub const PAUSE_LIMIT: Duration = Duration::from_secs(24 * 60 * 60);

/// A message, understood.
#[derive(Clone, PartialEq, Debug)]
pub enum Directive<'a> {
    /// No directive: an ordinary question.
    Question,
    /// `!echo`
    Echo(&'a [u8]),
    /// `!sha`
    Sha(&'a [u8]),
    /// `!lines`
    Lines {
        /// How many.
        count: u64,
        /// From one to the next.
        pace: Duration,
    },
    /// `!sleep`
    Sleep {
        /// How long.
        pause: Duration,
        /// The seconds as they were written.
        written: &'a str,
    },
    /// `!hang`
    Hang,
    /// `!die`
    Die,
    /// `!big`: bytes.
    Big(usize),
    /// `!meta`
    Meta(Trailer),
    /// `!context`
    Context,
    /// `!primer`
    Primer,
    /// `!jwt`
    Token,
    /// `!ask`
    Ask(&'a [u8]),
    /// `!count`
    Count,
    /// Starts with `!` and is none of these, or has arguments that will not do; says which.
    Unusable(String),
}

impl<'a> Directive<'a> {
    /// Reads a message.
    pub fn parse(message: &'a [u8]) -> Self {
        let Some(body) = message.strip_prefix(b"!") else {
            return Self::Question;
        };
        let end = body.iter().position(u8::is_ascii_whitespace).unwrap_or(body.len());
        let word = String::from_utf8_lossy(&body[..end]);
        let text = body.get(end + 1..).unwrap_or_default();
        Self::of(&word, text).unwrap_or_else(|problem| {
            let shown: String = word.chars().take(WORD_SHOWN).filter(|shown| *shown != '`').collect();
            Self::Unusable(format!("`!{shown}` {problem}"))
        })
    }

    fn of(word: &str, text: &'a [u8]) -> Result<Self, &'static str> {
        match word {
            "echo" => return Ok(Self::Echo(text)),
            "sha" => return Ok(Self::Sha(text)),
            "ask" if text.trim_ascii().is_empty() => return Err("needs a question"),
            "ask" => return Ok(Self::Ask(text)),
            _ => {}
        }
        let arguments = std::str::from_utf8(text).map_err(|_| "has arguments that are not UTF-8")?;
        let arguments: Vec<&str> = arguments.split_ascii_whitespace().collect();
        Ok(match (word, arguments.as_slice()) {
            ("lines", [count, pace]) => {
                let count = at_most(count, LINES_LIMIT).ok_or("needs a number of lines up to 1,000,000")?;
                let pace = pace.parse().ok().map(Duration::from_millis).filter(|pace| *pace <= PAUSE_LIMIT);
                Self::Lines { count, pace: pace.ok_or("needs a number of milliseconds, a day at most")? }
            }
            ("sleep", [written]) => {
                let pause = f64::from_str(written).ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
                let pause = pause.filter(|pause| *pause <= PAUSE_LIMIT).ok_or("needs seconds, a day at most")?;
                Self::Sleep { pause, written }
            }
            ("big", [bytes]) => Self::Big(at_most(bytes, BIG_LIMIT).ok_or("needs a number of bytes up to 64 MiB")?),
            ("meta", [tools, rows, tag]) => Self::Meta(Trailer {
                used_tools: list(tools).map(str::to_owned).collect(),
                rows_seen: list(rows).map(str::parse).collect::<Result<_, _>>().map_err(|_| "needs rows as numbers")?,
                classifier_tag: Some((*tag).to_owned()).filter(|tag| tag != NONE),
            }),
            ("hang", []) => Self::Hang,
            ("die", []) => Self::Die,
            ("context", []) => Self::Context,
            ("primer", []) => Self::Primer,
            ("jwt", []) => Self::Token,
            ("count", []) => Self::Count,
            ("lines", _) => return Err("needs a number of lines and milliseconds between them"),
            ("sleep", _) => return Err("needs a number of seconds"),
            ("big", _) => return Err("needs a number of bytes"),
            ("meta", _) => return Err("needs tools, rows and a tag (`-` for none)"),
            ("hang" | "die" | "context" | "primer" | "jwt" | "count", _) => return Err("takes no arguments"),
            _ => return Err("is not a directive"),
        })
    }
}

/// Most characters of an unknown word that are said back.
const WORD_SHOWN: usize = 40;
/// Stands for an empty list, or no tag, in `!meta`.
const NONE: &str = "-";

fn list(words: &str) -> impl Iterator<Item = &str> {
    words.split(',').filter(|word| !word.is_empty() && *word != NONE)
}

fn at_most<T: FromStr + PartialOrd>(word: &str, limit: T) -> Option<T> {
    word.parse().ok().filter(|number| *number <= limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(message: &str) -> Directive<'_> {
        Directive::parse(message.as_bytes())
    }

    #[test]
    fn texts_keep_every_byte() {
        assert_eq!(parse("!echo  a\nb \n"), Directive::Echo(b" a\nb \n"));
        assert_eq!(Directive::parse(b"!sha \xff\r\x00"), Directive::Sha(b"\xff\r\x00"));
        assert_eq!(parse("!echo"), Directive::Echo(b""));
        assert_eq!(parse("!echo !die"), Directive::Echo(b"!die"));
        assert_eq!(parse("!ask Which one?"), Directive::Ask(b"Which one?"));
    }

    #[test]
    fn arguments_are_read() {
        let lines = |count, ms| Directive::Lines { count, pace: Duration::from_millis(ms) };
        assert_eq!(parse("!lines 3 40"), lines(3, 40));
        assert_eq!(parse("!lines 0 0\n"), lines(0, 0));
        assert_eq!(parse("!sleep 0.25"), Directive::Sleep { pause: Duration::from_millis(250), written: "0.25" });
        assert_eq!(parse("!big 1048577"), Directive::Big(1_048_577));
        let trailer = Trailer {
            used_tools: vec!["sql".into(), "search".into()],
            rows_seen: vec![3, 4],
            classifier_tag: Some("lookup".into()),
        };
        assert_eq!(parse("!meta sql,search 3,4 lookup"), Directive::Meta(trailer));
        assert_eq!(parse("!meta - - -"), Directive::Meta(Trailer::default()));
        for (message, directive) in [
            ("!hang", Directive::Hang),
            ("!die\n", Directive::Die),
            ("!context", Directive::Context),
            ("!primer", Directive::Primer),
            ("!jwt", Directive::Token),
            ("!count", Directive::Count),
        ] {
            assert_eq!(parse(message), directive);
        }
    }

    #[test]
    fn anything_else_is_a_question_or_says_what_is_wrong() {
        for message in ["", "hello", " !echo x", "¡hang!"] {
            assert_eq!(parse(message), Directive::Question, "{message}");
        }
        for (message, problem) in [
            ("!", "`!` is not a directive"),
            ("!dance now", "`!dance` is not a directive"),
            ("!ECHO x", "`!ECHO` is not a directive"),
            ("!hang on", "`!hang` takes no arguments"),
            ("!ask ", "`!ask` needs a question"),
            ("!lines 3", "`!lines` needs a number of lines and milliseconds between them"),
            ("!lines -1 3", "`!lines` needs a number of lines up to 1,000,000"),
            ("!sleep soon", "`!sleep` needs seconds, a day at most"),
            ("!sleep NaN", "`!sleep` needs seconds, a day at most"),
            ("!sleep -1", "`!sleep` needs seconds, a day at most"),
            ("!big 67108865", "`!big` needs a number of bytes up to 64 MiB"),
            ("!meta sql x tag", "`!meta` needs rows as numbers"),
        ] {
            assert_eq!(parse(message), Directive::Unusable(problem.to_owned()), "{message}");
        }
    }

    #[test]
    fn the_synopsis_names_every_directive() {
        for (usage, _) in SYNOPSIS {
            let word = usage.split(' ').next().unwrap_or_default();
            let unknown = format!("`{word}` is not a directive");
            assert_ne!(parse(usage), Directive::Unusable(unknown), "{usage}");
        }
    }
}

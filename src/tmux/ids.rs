//! tmux's own ids. A server gives each out once, so they name one thing for as long as that server lives.

use std::fmt;
use std::str::FromStr;

use super::TmuxError;

macro_rules! tmux_id {
    ($(#[$doc:meta])* $name:ident, $sigil:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// The id as tmux writes it and takes it as a target.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = TmuxError;
            fn from_str(text: &str) -> Result<Self, TmuxError> {
                let digits = text.strip_prefix($sigil).unwrap_or_default();
                // Ids are unsigned 32-bit numbers: ten digits at most.
                if (1..=10).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()) {
                    return Ok(Self(text.to_owned()));
                }
                let shown: String = text.chars().take(32).collect();
                Err(TmuxError::Invalid(format!("{shown:?} is not a tmux id of the form {}0", $sigil)))
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

tmux_id! {
    /// A pane, e.g. `%7`.
    PaneId, '%'
}
tmux_id! {
    /// A window, e.g. `@7`.
    WindowId, '@'
}
tmux_id! {
    /// A session of tmux (not a conversation, which is `turn::SessionId`), e.g. `$3`.
    TmuxSessionId, '$'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_a_sigil_and_a_number() {
        assert_eq!("%7".parse::<PaneId>().unwrap().as_str(), "%7");
        assert_eq!("$0".parse::<TmuxSessionId>().unwrap().to_string(), "$0");
        for wrong in ["", "%", "7", "@7", "%7x", "%-1", "%7\n", "%7 ; kill-server", "%12345678901", "%٧"] {
            assert!(wrong.parse::<PaneId>().is_err(), "{wrong:?}");
        }
    }
}

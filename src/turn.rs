//! What a turn is: ids, states, events and codes. No I/O; everyone knows this module, and it knows nobody.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use uuid::Uuid;

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A fresh id (UUIDv7: ids made later in one process sort after those made before).
            pub fn fresh() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                Uuid::from_str(text).map(Self)
            }
        }
    };
}

id_type! {
    /// One question and its answer.
    TurnId
}
impl TurnId {
    /// Sorts before every turn that was accepted at this moment or later, and after those accepted before.
    pub fn first_at(moment: Timestamp) -> Self {
        let millis = u128::try_from(moment.0.max(0)).unwrap_or_default();
        // A UUIDv7 begins with 48 bits of milliseconds since the epoch (RFC 9562, section 5.7).
        Self(Uuid::from_u128((millis & 0xFFFF_FFFF_FFFF) << 80))
    }
}

id_type! {
    /// One chat thread in the browser; `session_id` on the wire.
    SessionId
}
id_type! {
    /// An authenticated person.
    UserId
}

/// RFC 3339 in UTC, always with three decimals: such texts sort as the moments do.
const MILLISECONDS: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// A moment, in milliseconds since the Unix epoch; RFC 3339 in UTC, with three decimals, on the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The wall clock's present reading.
    pub fn now() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }

    /// So much later.
    pub fn after(self, time: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(time.as_millis()).unwrap_or(i64::MAX)))
    }

    /// Milliseconds from `earlier` to `self`; 0 where the wall clock was set back in between.
    pub fn millis_since(self, earlier: Timestamp) -> i64 {
        (self.0 - earlier.0).max(0)
    }
}

/// What an agent remembers: everything that it was told since some moment.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Memory {
    /// What the agent needs to take this memory up again after its end; `None` where it has said nothing of the kind.
    pub resume_id: Option<String>,
    /// When it began, or, where that was with a turn which the agent was told nothing before, when the next one did. The
    /// epoch's beginning stands for no memory.
    pub since: Timestamp,
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000)
            .ok()
            .and_then(|moment| moment.format(MILLISECONDS).ok());
        f.write_str(text.as_deref().unwrap_or("out of range"))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let moment = OffsetDateTime::parse(&text, &Rfc3339).map_err(serde::de::Error::custom)?;
        Ok(Self(i64::try_from(moment.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)))
    }
}

/// A text that is not one of the words it should be.
#[derive(Debug, thiserror::Error)]
#[error("unknown {kind}: {text:?}")]
pub struct UnknownWord {
    kind: &'static str,
    text: String,
}

macro_rules! word_enum {
    ($(#[$doc:meta])* $name:ident, $kind:literal { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $word)] $variant),+ }

        impl $name {
            /// The word on the wire and in the store.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;
            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                match text {
                    $($word => Ok($name::$variant),)+
                    _ => Err(UnknownWord { kind: $kind, text: text.to_owned() }),
                }
            }
        }
    };
}

word_enum! {
    /// Where a turn stands. `Queued` and `Running` are open; the rest is final, save that a late answer turns
    /// `Failed` into `Done`.
    TurnState, "turn state" {
        /// Committed, waiting for its agent session.
        Queued = "queued",
        /// The intent to type is committed: the agent may have seen it.
        Running = "running",
        /// Answered.
        Done = "done",
        /// Ended without a complete answer; the row's `error_code` says why.
        Failed = "failed",
        /// Ended by its user.
        Cancelled = "cancelled",
    }
}

impl TurnState {
    /// True where nothing more will come by itself.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

word_enum! {
    /// Why a turn or a request failed: the stable code that users and programs see.
    ErrorCode, "error code" {
        /// The agent host cannot be reached.
        HostUnreachable = "host_unreachable",
        /// The agent host refused our key, or showed another host key.
        ShimAuthFailed = "shim_auth_failed",
        /// The far end failed in another way.
        ShimError = "shim_error",
        /// The turn's deadline passed.
        Timeout = "timeout",
        /// tmux is missing, too old, or its server does not answer.
        TmuxUnavailable = "tmux_unavailable",
        /// The agent did not start or did not say that it is ready.
        BootstrapFailed = "bootstrap_failed",
        /// The agent's process ended while the turn ran.
        AgentDied = "agent_died",
        /// The agent keeps ending; it is not started again until an admin or a reset clears it.
        AgentCrashLoop = "agent_crash_loop",
        /// The agent, or something we run for the turn, reported a failure.
        UpstreamError = "upstream_error",
        /// No sign of life from the agent for too long.
        UpstreamSilence = "upstream_silence",
        /// The server was restarted and nothing can be known of the turn's fate.
        Uncertain = "uncertain",
        /// No backend is configured or available.
        Disabled = "disabled",
        /// The user cancelled the turn.
        Cancelled = "cancelled",
        /// The agent session was reset.
        SessionReset = "session_reset",
        /// Too many turns of this user wait already.
        QueueFull = "queue_full",
        /// The message is over the size limit.
        MessageTooLarge = "message_too_large",
        /// The answer is over the size limit.
        ResponseTooLarge = "response_too_large",
        /// The answer's file is not what it must be (a link, a pipe, another owner, not UTF-8).
        ResponseInvalid = "response_invalid",
        /// The database does not take writes.
        StoreUnavailable = "store_unavailable",
    }
}

impl ErrorCode {
    /// Whether asking the same again may succeed without anyone mending anything.
    pub fn is_retryable(self) -> bool {
        !matches!(
            self,
            Self::Disabled
                | Self::Cancelled
                | Self::MessageTooLarge
                | Self::ResponseTooLarge
                | Self::ResponseInvalid
                | Self::ShimAuthFailed
                | Self::AgentCrashLoop
        )
    }
}

/// The place of an event in its turn's log: `<epoch>-<seq>` on the wire. Ordered by epoch, then sequence number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EventId {
    /// The incarnation of the turn's runner that wrote the event; 0 for what was written before any runner.
    pub epoch: i64,
    /// Counts from 1 within the epoch.
    pub seq: i64,
}

impl EventId {
    /// Before every event.
    pub const START: EventId = EventId { epoch: 0, seq: 0 };
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.seq)
    }
}

impl FromStr for EventId {
    type Err = UnknownWord;
    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let unknown = || UnknownWord { kind: "event id", text: text.chars().take(64).collect() };
        let (epoch, seq) = text.split_once('-').ok_or_else(unknown)?;
        let number = |digits: &str| {
            let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            if plain { digits.parse::<i64>().map_err(|_| unknown()) } else { Err(unknown()) }
        };
        Ok(Self { epoch: number(epoch)?, seq: number(seq)? })
    }
}

word_enum! {
    /// The kinds of replayable stream events (`thinking` and `ping` carry no id and are in no log).
    EventKind, "event kind" {
        /// `{turn_id, position}`
        Queued = "queued",
        /// `{turn_id, started_at}`
        Meta = "meta",
        /// `{delta, streamed: true}` or `{text}`
        Content = "content",
        /// `{kind, prompt, options}`
        Attention = "attention",
        /// `{text}`: replaces what the client holds
        Resync = "resync",
        /// The turn is answered; the stream closes.
        End = "end",
        /// `{code, message, retryable}`; the stream closes.
        Error = "error",
    }
}

impl EventKind {
    /// True where the stream closes after this event.
    pub fn is_final(self) -> bool {
        matches!(self, Self::End | Self::Error)
    }
}

/// The `kind` of an [`EventKind::Attention`] that takes no reply: something is open in the agent's terminal that a person
/// has to answer there, and nothing is typed before it is gone.
pub const DIALOG: &str = "dialog";

/// One replayable event of a turn.
#[derive(Clone, PartialEq, Debug)]
pub struct Event {
    /// Its place in the log.
    pub id: EventId,
    /// What it is.
    pub kind: EventKind,
    /// The data of the wire, a JSON object.
    pub data: Value,
}

/// The optional last line of an answer, parsed. Unknown fields are ignored.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Trailer {
    /// Names of the tools that the agent used.
    pub used_tools: Vec<String>,
    /// Rows that each of its queries returned.
    pub rows_seen: Vec<u64>,
    /// The agent's own classification of the question.
    pub classifier_tag: Option<String>,
}

/// A complete answer, taken apart.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Answer {
    /// The Markdown text without its trailer.
    pub body: String,
    /// What the trailer said; empty where there was none or it was malformed.
    pub trailer: Trailer,
    /// Chips in the body (Markdown links to `chip:` outside code).
    pub chip_count: u32,
    /// The body's length in tokens, approximated.
    pub response_tokens: u32,
    /// Set where a trailer was there but could not be read.
    pub warning: Option<String>,
}

/// How a turn ended.
#[derive(Clone, PartialEq, Debug)]
pub enum Outcome {
    /// With a complete answer.
    Done(Answer),
    /// Without one.
    Failed {
        /// The stable code.
        code: ErrorCode,
        /// For people; holds no turn text and no secret.
        message: String,
        /// What had been streamed until then.
        partial: Option<String>,
    },
    /// By its user.
    Cancelled {
        /// What had been streamed until then.
        partial: Option<String>,
    },
}

/// Data of an `error` event.
pub fn error_data(code: ErrorCode, message: &str) -> Value {
    json!({ "code": code, "message": message, "retryable": code.is_retryable() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_have_three_decimals_and_come_back() {
        assert_eq!(Timestamp(1_795_230_572_890).to_string(), "2026-11-21T03:09:32.890Z");
        let moment: Timestamp = serde_json::from_str("\"2026-11-21T04:09:32.89+01:00\"").unwrap();
        assert_eq!(moment, Timestamp(1_795_230_572_890));
    }

    #[test]
    fn event_ids_are_read_strictly() {
        assert_eq!("3-14".parse::<EventId>().unwrap(), EventId { epoch: 3, seq: 14 });
        for bad in ["", "-", "3", "3-", "-3", "+3-1", "3-1-1", "a-1", "3-99999999999999999999"] {
            assert!(bad.parse::<EventId>().is_err(), "{bad}");
        }
    }
}

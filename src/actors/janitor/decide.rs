//! What the janitor decides by, without I/O and without a clock of its own.

use std::collections::HashMap;
use std::time::Duration;

use serde::Serialize;

use crate::store::Turn;
use crate::turn::{Timestamp, TurnId, TurnState};

/// A failed turn that the agent may have seen: what has to be known of it to wait for its answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Awaited {
    /// Which turn.
    pub turn_id: TurnId,
    /// Whose agent was to answer.
    pub session: String,
    /// Where it was typed.
    pub pane: Option<String>,
    /// When the agent got it, as far as that is known.
    pub since: Timestamp,
}

impl Awaited {
    /// `None` for a turn that has not failed, or that no agent can have seen.
    pub fn of(turn: &Turn) -> Option<Self> {
        let delivering_at = turn.delivering_at.filter(|_| turn.state == TurnState::Failed)?;
        Some(Self {
            turn_id: turn.turn_id,
            session: turn.agent_session.clone(),
            pane: turn.delivering_pane.clone(),
            since: turn.started_at.unwrap_or(delivering_at),
        })
    }

    /// Whether it is to be waited for whatever its agent does.
    pub fn is_recent(&self, now: Timestamp, recovery_window: Duration) -> bool {
        self.since > before(now, recovery_window)
    }
}

/// The moment that lies so long before `now`.
pub fn before(now: Timestamp, time: Duration) -> Timestamp {
    Timestamp(now.0.saturating_sub(i64::try_from(time.as_millis()).unwrap_or(i64::MAX)))
}

/// Of the turns that failed some time ago, those to which an answer may come: the recent ones, and of the others the last
/// one that each agent was given.
pub fn candidates(failed: Vec<Awaited>, now: Timestamp, recovery_window: Duration) -> Vec<Awaited> {
    let (mut wanted, older): (Vec<_>, Vec<_>) =
        failed.into_iter().partition(|turn| turn.is_recent(now, recovery_window));
    let mut last: HashMap<String, Awaited> = HashMap::new();
    for turn in older {
        if last.get(&turn.session).is_none_or(|known| known.turn_id < turn.turn_id) {
            last.insert(turn.session.clone(), turn);
        }
    }
    wanted.extend(last.into_values());
    wanted
}

/// What is to be done about the files of a turn.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Files {
    /// Nothing.
    Leave,
    /// Nobody needs them.
    Forget,
    /// There may be an answer among them that is wanted.
    Look(Awaited),
}

/// What is to be done about files that lie in the spool of `session`, the newest of them for as long as `age`.
pub fn files(turn: Option<&Turn>, session: &str, age: Duration, orphan_age: Duration) -> Files {
    // A file under the name of someone else's turn is worth no more than one of no turn at all.
    match turn.filter(|turn| turn.agent_session == session) {
        None if age > orphan_age => Files::Forget,
        None => Files::Leave,
        Some(turn) if !turn.state.is_final() => Files::Leave,
        Some(turn) => Awaited::of(turn).map_or(Files::Forget, Files::Look),
    }
}

/// What may become of a turn, for whoever lost sight of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Recovery {
    /// A complete answer is there.
    Recovered,
    /// It may still come.
    Pending,
    /// Nothing can come any more.
    Lost,
}

/// What may become of a turn; `may_come` is what is known of its agent, where it has failed.
pub fn recovery(turn: &Turn, may_come: bool) -> Recovery {
    match turn.state {
        TurnState::Done => Recovery::Recovered,
        TurnState::Queued | TurnState::Running => Recovery::Pending,
        TurnState::Cancelled => Recovery::Lost,
        TurnState::Failed if may_come && turn.delivering_at.is_some() => Recovery::Pending,
        TurnState::Failed => Recovery::Lost,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;
    use crate::turn::{SessionId, UserId};

    const MINUTE: Duration = Duration::from_secs(60);

    /// A turn that was typed at `at`, or never.
    pub fn turn(state: TurnState, at: Option<i64>) -> Turn {
        Turn {
            turn_id: TurnId::fresh(),
            user_id: UserId::fresh(),
            session_id: SessionId::fresh(),
            agent_session: "paliadin-1".to_owned(),
            client_turn_id: None,
            state,
            epoch: 3,
            backend: "local".to_owned(),
            persona: String::new(),
            profile: "demo".to_owned(),
            user_message: "why?".to_owned(),
            page_origin: None,
            context: None,
            queued_at: Timestamp(1_000),
            delivering_at: at.map(Timestamp),
            delivering_pane: at.map(|_| "%1 2 3".to_owned()),
            started_at: None,
            finished_at: state.is_final().then_some(Timestamp(9_000)),
            duration_ms: None,
            response: None,
            partial: None,
            error_code: None,
            error_history: json!([]),
            used_tools: Vec::new(),
            rows_seen: Vec::new(),
            chip_count: 0,
            classifier_tag: None,
            response_tokens: None,
            late: false,
            aichat_conversation_id: None,
        }
    }

    fn awaited(session: &str, since: i64) -> Awaited {
        let turn = turn(TurnState::Failed, Some(since));
        Awaited { session: session.to_owned(), ..Awaited::of(&turn).unwrap() }
    }

    #[test]
    fn only_what_failed_and_may_have_been_seen_is_awaited() {
        for state in [TurnState::Queued, TurnState::Running, TurnState::Done, TurnState::Cancelled] {
            assert_eq!(Awaited::of(&turn(state, Some(2_000))), None);
        }
        assert_eq!(Awaited::of(&turn(TurnState::Failed, None)), None);
        let mut failed = turn(TurnState::Failed, Some(2_000));
        assert_eq!(Awaited::of(&failed).map(|turn| turn.since), Some(Timestamp(2_000)));
        failed.started_at = Some(Timestamp(3_000));
        assert_eq!(Awaited::of(&failed).map(|turn| turn.since), Some(Timestamp(3_000)));
    }

    #[test]
    fn the_window_ends_to_the_millisecond() {
        let turn = awaited("a", 5_000);
        assert!(turn.is_recent(Timestamp(64_999), MINUTE));
        assert!(!turn.is_recent(Timestamp(65_000), MINUTE));
        assert!(!turn.is_recent(Timestamp(5_000), Duration::ZERO));
        assert!(turn.is_recent(Timestamp(i64::MAX), Duration::MAX), "for ever");
    }

    #[test]
    fn of_older_turns_the_last_one_of_each_agent_counts() {
        let (old, last, other) = (awaited("a", 1), awaited("a", 2), awaited("b", 1));
        let recent = [awaited("a", 100_000), awaited("a", 100_001)];
        let all = [&recent[0], &last, &old, &other, &recent[1]].map(Clone::clone);
        let mut wanted = candidates(all.into(), Timestamp(120_000), MINUTE);
        wanted.sort_by_key(|turn| turn.turn_id);
        assert_eq!(wanted, [last, other, recent[0].clone(), recent[1].clone()]);
    }

    #[test]
    fn files_go_when_nobody_needs_them() {
        let decide = |turn: Option<&Turn>, age| files(turn, "paliadin-1", age, MINUTE);
        assert_eq!(decide(None, MINUTE), Files::Leave, "its row may be on its way");
        assert_eq!(decide(None, MINUTE * 2), Files::Forget);
        for state in [TurnState::Queued, TurnState::Running] {
            assert_eq!(decide(Some(&turn(state, Some(1))), MINUTE * 9), Files::Leave);
        }
        for state in [TurnState::Done, TurnState::Cancelled] {
            assert_eq!(decide(Some(&turn(state, Some(1))), Duration::ZERO), Files::Forget);
        }
        assert_eq!(decide(Some(&turn(TurnState::Failed, None)), Duration::ZERO), Files::Forget);
        assert!(matches!(decide(Some(&turn(TurnState::Failed, Some(1))), MINUTE * 9), Files::Look(_)), "however old");
    }

    #[test]
    fn a_file_in_another_sessions_spool_answers_nothing() {
        let failed = turn(TurnState::Failed, Some(1));
        assert_eq!(files(Some(&failed), "paliadin-2", Duration::ZERO, MINUTE), Files::Leave);
        assert_eq!(files(Some(&failed), "paliadin-2", MINUTE * 2, MINUTE), Files::Forget);
    }

    #[test]
    fn recovery_tells_what_can_still_come() {
        let told = |state, at, may_come| recovery(&turn(state, at), may_come);
        assert_eq!(told(TurnState::Done, Some(1), false), Recovery::Recovered);
        assert_eq!(told(TurnState::Queued, None, false), Recovery::Pending);
        assert_eq!(told(TurnState::Running, Some(1), false), Recovery::Pending);
        assert_eq!(told(TurnState::Cancelled, Some(1), true), Recovery::Lost);
        assert_eq!(told(TurnState::Failed, Some(1), true), Recovery::Pending);
        assert_eq!(told(TurnState::Failed, Some(1), false), Recovery::Lost);
        assert_eq!(told(TurnState::Failed, None, true), Recovery::Lost, "it was never typed");
    }
}

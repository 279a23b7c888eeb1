//! Turns that outlive their owner, and answers that come after the end.

use paliadin::store::{Finish, SessionPatch, Store, Turn, Write, Written};
use paliadin::turn::{Answer, ErrorCode, Event, EventId, EventKind, Outcome, TurnId, TurnState};
use serde_json::json;

use super::{accept, at, claim, new_user, question, queued_turn, turn_written, write};

fn finish(turn_id: TurnId, epoch: i64, moment: i64, outcome: Outcome, events: Vec<Event>) -> Box<Finish> {
    Box::new(Finish { turn_id, epoch, outcome, at: at(moment), events, audit: None })
}

fn failed() -> Outcome {
    Outcome::Failed { code: ErrorCode::Timeout, message: "too late".to_owned(), partial: Some("so far".to_owned()) }
}

fn answer() -> Outcome {
    let warning = Some("no trailer".to_owned());
    Outcome::Done(Answer { body: "at last".to_owned(), response_tokens: 2, warning, ..Answer::default() })
}

fn event(epoch: i64, seq: i64, kind: EventKind) -> Event {
    Event { id: EventId { epoch, seq }, kind, data: json!({ "seq": seq }) }
}

/// The end of a turn by failure.
pub fn failure(turn_id: TurnId, epoch: i64) -> Write {
    Write::FinishTurn(finish(turn_id, epoch, 100, failed(), vec![event(epoch, 9, EventKind::Error)]))
}

/// A turn that was typed and failed at this moment.
async fn failed_turn(store: &dyn Store, moment: i64) -> Turn {
    let turn_id = queued_turn(store).await.turn_id;
    claim(store, turn_id, 1).await.unwrap();
    let end = finish(turn_id, 1, moment, failed(), vec![event(1, 1, EventKind::Error)]);
    turn_written(write(store, Write::FinishTurn(end)).await).unwrap()
}

pub async fn failed_turns_that_were_typed_are_told_oldest_first(store: &dyn Store) {
    let later = failed_turn(store, 300).await;
    let earlier = failed_turn(store, 200).await;
    failed_turn(store, 199).await;
    let untyped = queued_turn(store).await.turn_id;
    write(store, failure(untyped, 0)).await;
    let running = queued_turn(store).await.turn_id;
    claim(store, running, 1).await.unwrap();
    let cancelled = queued_turn(store).await.turn_id;
    claim(store, cancelled, 1).await.unwrap();
    write(store, Write::FinishTurn(finish(cancelled, 1, 400, Outcome::Cancelled { partial: None }, vec![]))).await;
    assert!(store.failed_since(at(200)).await.unwrap() == [earlier, later.clone()]);
    assert!(store.failed_since(at(201)).await.unwrap() == [later]);
    assert!(store.failed_since(at(301)).await.unwrap().is_empty());
}

pub async fn a_late_answer_reads_back(store: &dyn Store) {
    let turn = failed_turn(store, 100).await;
    let events = vec![event(2, 1, EventKind::Content), event(2, 2, EventKind::End)];
    let late = Write::RecordLate(finish(turn.turn_id, 2, 5_000, answer(), events.clone()));
    let written = turn_written(write(store, late.clone()).await).unwrap();
    assert!(store.turn(turn.turn_id).await.unwrap().as_ref() == Some(&written));
    assert_eq!((written.state, written.late, written.error_code), (TurnState::Done, true, None));
    assert_eq!((written.response.as_deref(), written.partial.as_deref()), (Some("at last"), None));
    assert_eq!((written.finished_at, written.duration_ms), (Some(at(5_000)), Some(5_000)));
    let history = json!([
        { "at": at(100), "code": "timeout", "message": "too late" },
        { "at": at(5_000), "warning": "no trailer" },
    ]);
    assert_eq!(written.error_history, history, "the code stays there");
    let all = store.events_after(turn.turn_id, EventId { epoch: 0, seq: 1 }, 9).await.unwrap();
    assert_eq!(all, [vec![event(1, 1, EventKind::Error)], events].concat(), "behind those that were there");
    assert!(store.failed_since(at(0)).await.unwrap().is_empty());
    assert!(turn_written(write(store, late).await).is_none(), "once");
}

pub async fn only_a_failed_turn_takes_a_late_answer(store: &dyn Store) {
    let failed_one = failed_turn(store, 100).await;
    let queued = queued_turn(store).await;
    let running = claim(store, queued_turn(store).await.turn_id, 1).await.unwrap();
    let cancelled = queued_turn(store).await.turn_id;
    let cancel = finish(cancelled, 0, 10, Outcome::Cancelled { partial: None }, vec![]);
    let cancelled = turn_written(write(store, Write::FinishTurn(cancel)).await).unwrap();
    let late =
        |turn_id, outcome| Write::RecordLate(finish(turn_id, 7, 200, outcome, vec![event(7, 1, EventKind::End)]));
    for turn in [&queued, &running, &cancelled] {
        assert_eq!(write(store, late(turn.turn_id, answer())).await, Written::Turn(None));
    }
    for outcome in [failed(), Outcome::Cancelled { partial: None }] {
        assert_eq!(write(store, late(failed_one.turn_id, outcome)).await, Written::Turn(None), "not complete");
    }
    let stale = Write::RecordLate(finish(failed_one.turn_id, 0, 200, answer(), vec![event(7, 1, EventKind::End)]));
    assert_eq!(write(store, stale).await, Written::Turn(None), "of an earlier owner");
    assert_eq!(write(store, late(TurnId::fresh(), answer())).await, Written::Turn(None));
    for turn in [queued, running, cancelled, failed_one] {
        assert!(store.turn(turn.turn_id).await.unwrap() == Some(turn.clone()));
        assert!(!store.has_event(turn.turn_id, EventId { epoch: 7, seq: 1 }).await.unwrap());
    }
}

pub async fn a_running_turn_goes_to_a_later_owner(store: &dyn Store) {
    let user_id = new_user(store).await;
    let (prefix, backend) = ("paliadin".to_owned(), "local".to_owned());
    let opened =
        write(store, Write::OpenAgentSession { prefix, user_id, persona: String::new(), conversation: None, backend })
            .await;
    let Written::AgentSession(session) = opened else { panic!("no agent session") };
    let take = || Write::TakeAgentSession { name: session.name.clone(), node: "n".to_owned(), lease_until: at(9) };
    write(store, take()).await;
    let new = paliadin::store::NewTurn { agent_session: session.name.clone(), ..question(user_id) };
    let turn_id = accept(store, new).await.turn.turn_id;
    let reattach = |epoch, pane: &str| Write::ReattachTurn { turn_id, epoch, pane: pane.to_owned() };
    assert_eq!(write(store, reattach(1, "%2")).await, Written::Turn(None), "it does not run yet");
    let claimed = claim(store, turn_id, 1).await.unwrap();
    write(store, Write::StartTurn { turn_id, epoch: 1, at: at(20) }).await;

    write(store, take()).await;
    assert_eq!(write(store, reattach(1, "%2")).await, Written::Turn(None), "the session has a later owner");
    let taken = turn_written(write(store, reattach(2, "%2 7 8")).await).unwrap();
    let expected = Turn { epoch: 2, delivering_pane: Some("%2 7 8".to_owned()), started_at: Some(at(20)), ..claimed };
    assert!(taken == expected);
    assert!(store.turn(turn_id).await.unwrap() == Some(expected.clone()));
    assert!(turn_written(write(store, reattach(2, "%2 7 8")).await).is_some(), "the same owner may again");
    // The session's later epoch alone decides, whatever else is told of it.
    let patch = SessionPatch { state: Some("ready".to_owned()), ..SessionPatch::default() };
    write(store, Write::PatchAgentSession { name: session.name.clone(), patch }).await;
    assert_eq!(write(store, reattach(1, "%1")).await, Written::Turn(None));
    write(store, failure(turn_id, 2)).await;
    assert_eq!(write(store, reattach(3, "%1")).await, Written::Turn(None), "it is over");
}

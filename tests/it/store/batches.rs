//! One transaction for many writes, of which each stands or falls alone.

use std::time::Duration;

use paliadin::store::{Finish, NewTurn, Store, StoreError, Write, Written};
use paliadin::turn::{Event, EventId, EventKind, Outcome, SessionId, TurnState, UserId};
use serde_json::json;

use super::{accept, account, at, new_user, question, queued_turn};

pub async fn a_refused_write_fails_alone(store: &dyn Store) {
    let (first, third) = (UserId::fresh(), UserId::fresh());
    let batch = vec![
        Write::SaveUser(account(first, "first@example.org")),
        Write::SaveUser(account(UserId::fresh(), "FIRST@example.org")),
        Write::SaveUser(account(third, "third@example.org")),
        Write::DeleteWebSession { hash: "none".to_owned() },
    ];
    let results = store.write(&batch).await.unwrap();
    assert!(
        matches!(
            results[..],
            [Ok(Written::Done), Err(StoreError::Constraint(_)), Ok(Written::Done), Ok(Written::Count(0))]
        ),
        "{results:?}"
    );
    assert!(store.user(first).await.unwrap().is_some());
    assert!(store.user(third).await.unwrap().is_some());
    assert_eq!(store.users().await.unwrap().len(), 2);
}

pub async fn a_refused_write_leaves_none_of_its_statements(store: &dyn Store) {
    let turn = queued_turn(store).await;
    // Its conversation could be made, its row could not.
    let again = NewTurn { turn_id: turn.turn_id, session_id: SessionId::fresh(), ..question(turn.user_id) };
    // Its row could be changed, its event could not: events count from 1.
    let end = Event { id: EventId { epoch: 1, seq: 0 }, kind: EventKind::End, data: json!({}) };
    let finish = Finish {
        turn_id: turn.turn_id,
        epoch: 1,
        outcome: Outcome::Cancelled { partial: None },
        at: at(5),
        events: vec![end],
        audit: None,
    };
    let good = question(turn.user_id);
    let batch = vec![
        Write::AcceptTurn(Box::new(again.clone())),
        Write::FinishTurn(Box::new(finish)),
        Write::AcceptTurn(Box::new(good.clone())),
    ];
    let results = store.write(&batch).await.unwrap();
    assert!(
        matches!(
            results[..],
            [Err(StoreError::Constraint(_)), Err(StoreError::Constraint(_)), Ok(Written::Accepted(_))]
        ),
        "{results:?}"
    );
    assert_eq!(store.conversation(again.session_id).await.unwrap(), None);
    assert_eq!(store.turn(turn.turn_id).await.unwrap().unwrap().state, TurnState::Queued);
    assert!(store.conversation(good.session_id).await.unwrap().is_some());
    assert_eq!(store.queued(&turn.agent_session).await.unwrap(), [turn.turn_id, good.turn_id]);
}

pub async fn an_empty_batch_is_nothing(store: &dyn Store) {
    assert!(store.write(&[]).await.unwrap().is_empty());
}

pub async fn a_caller_may_go_away(store: &dyn Store) {
    let user = new_user(store).await;
    let mut asked = Vec::new();
    for step in 0..40 {
        let new = NewTurn { queue_limit: 1_000, ..question(user) };
        asked.push(new.turn_id);
        // Dropped wherever it is after that time.
        let patience = Duration::from_micros(100 * step);
        let _ = tokio::time::timeout(patience, store.write(&[Write::AcceptTurn(Box::new(new))])).await;
    }
    accept(store, NewTurn { queue_limit: 1_000, ..question(user) }).await;
    for id in asked {
        let whole = store.turn(id).await.unwrap().is_some();
        assert_eq!(store.has_event(id, EventId { epoch: 0, seq: 1 }).await.unwrap(), whole);
    }
}

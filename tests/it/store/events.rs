//! The log of a turn.

use paliadin::store::{Finish, Store, StoreError, Write, Written};
use paliadin::turn::{Event, EventId, EventKind, Outcome, Timestamp, TurnId};
use serde_json::json;

use super::{at, queued_turn, write};

fn content(epoch: i64, seq: i64, delta: &str) -> Event {
    Event { id: EventId { epoch, seq }, kind: EventKind::Content, data: json!({ "delta": delta, "streamed": true }) }
}

async fn append(store: &dyn Store, turn_id: TurnId, events: &[Event]) {
    let written = write(store, Write::AppendEvents { turn_id, events: events.to_vec(), at: at(20) }).await;
    assert_eq!(written, Written::Done);
}

fn ids(events: &[Event]) -> Vec<String> {
    events.iter().map(|event| event.id.to_string()).collect()
}

pub async fn events_are_ordered_across_epochs(store: &dyn Store) {
    let turn = queued_turn(store).await.turn_id;
    let other = queued_turn(store).await.turn_id;
    append(store, turn, &[content(2, 1, "c"), content(1, 2, "b"), content(10, 1, "e"), content(2, 2, "d\0🦀")]).await;
    append(store, turn, &[content(1, 1, "a")]).await;
    append(store, other, &[content(1, 7, "x")]).await;

    let all = store.events_after(turn, EventId::START, 100).await.unwrap();
    assert_eq!(ids(&all), ["0-1", "1-1", "1-2", "2-1", "2-2", "10-1"]);
    assert_eq!(all[0].kind, EventKind::Queued);
    assert_eq!(all[4], content(2, 2, "d\0🦀"));
    let later = store.events_after(turn, EventId { epoch: 1, seq: 1 }, 100).await.unwrap();
    assert_eq!(ids(&later), ["1-2", "2-1", "2-2", "10-1"]);
    let between = store.events_after(turn, EventId { epoch: 1, seq: 99 }, 2).await.unwrap();
    assert_eq!(ids(&between), ["2-1", "2-2"]);
    assert!(store.events_after(turn, EventId { epoch: 10, seq: 1 }, 9).await.unwrap().is_empty());

    assert!(store.has_event(turn, EventId { epoch: 2, seq: 2 }).await.unwrap());
    for (epoch, seq) in [(2, 3), (3, 1), (1, 7)] {
        assert!(!store.has_event(turn, EventId { epoch, seq }).await.unwrap());
    }
}

pub async fn an_event_is_written_once(store: &dyn Store) {
    let turn = queued_turn(store).await.turn_id;
    append(store, turn, &[content(1, 1, "first")]).await;
    append(store, turn, &[content(1, 1, "second"), content(1, 2, "third")]).await;
    let events = store.events_after(turn, EventId { epoch: 0, seq: 1 }, 9).await.unwrap();
    assert_eq!(events, [content(1, 1, "first"), content(1, 2, "third")]);
}

pub async fn many_events_in_one_write(store: &dyn Store) {
    let turn = queued_turn(store).await.turn_id;
    let events: Vec<Event> = (1..=1_000).map(|seq| content(1, seq, &format!("line {seq}\n"))).collect();
    append(store, turn, &events[..151]).await;
    append(store, turn, &events[140..]).await;
    append(store, turn, &[]).await;
    let read = store.events_after(turn, EventId { epoch: 0, seq: 1 }, 2_000).await.unwrap();
    assert!(read == events, "{} events came back", read.len());
}

pub async fn events_need_their_turn(store: &dyn Store) {
    let turn_id = TurnId::fresh();
    let events = (1..=70).map(|seq| content(1, seq, "?")).collect();
    let results = store.write(&[Write::AppendEvents { turn_id, events, at: at(0) }]).await.unwrap();
    assert!(matches!(results[..], [Err(StoreError::Constraint(_))]), "{results:?}");
    assert!(store.events_after(turn_id, EventId::START, 9).await.unwrap().is_empty());
}

pub async fn events_are_pruned_by_the_age_of_their_turn(store: &dyn Store) {
    // Ids tell when a turn was accepted, so these moments have to be real ones.
    let now = Timestamp::now().0;
    let mut turns = Vec::new();
    for moment in [now + 10, now + 20, now + 30] {
        let turn_id = queued_turn(store).await.turn_id;
        append(store, turn_id, &[content(1, 1, "a"), content(1, 2, "b")]).await;
        let outcome = Outcome::Cancelled { partial: None };
        let finish = Finish { turn_id, epoch: 1, outcome, at: Timestamp(moment), events: Vec::new(), audit: None };
        write(store, Write::FinishTurn(Box::new(finish))).await;
        turns.push(turn_id);
    }
    let open = queued_turn(store).await.turn_id;
    let prune = async |moment, limit| write(store, Write::PruneEvents { ended_before: Timestamp(moment), limit }).await;
    let left = async |turn| store.events_after(turn, EventId::START, 9).await.unwrap().len();
    let later = now + 1_000_000;
    assert_eq!(prune(now - 1_000_000, 9).await, Written::Count(0));
    assert_eq!(prune(later, 1).await, Written::Count(1), "one of them, the oldest");
    assert_eq!([left(turns[0]).await, left(turns[1]).await, left(turns[2]).await, left(open).await], [0, 3, 3, 1]);
    assert_eq!(prune(later, 9).await, Written::Count(2));
    assert_eq!([left(turns[1]).await, left(turns[2]).await, left(open).await], [0, 0, 1], "open turns keep theirs");
    assert_eq!(prune(later, 9).await, Written::Count(0));
    for turn in turns {
        assert!(store.turn(turn).await.unwrap().is_some(), "the rows stay");
    }
    // What ended at that moment or later stays.
    let turn_id = queued_turn(store).await.turn_id;
    let ended = Timestamp(later + 5);
    let outcome = Outcome::Cancelled { partial: None };
    let finish = Finish { turn_id, epoch: 0, outcome, at: ended, events: Vec::new(), audit: None };
    write(store, Write::FinishTurn(Box::new(finish))).await;
    assert_eq!(prune(ended.0, 9).await, Written::Count(0));
    assert_eq!(prune(ended.0 + 1, 9).await, Written::Count(1));
}

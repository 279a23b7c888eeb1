//! Turns: accepted, claimed, finished, listed.

use futures_util::future::join_all;
use paliadin::store::{AuditEntry, Finish, NewTurn, Refusal, Store, Turn, Write, Written};
use paliadin::turn::{
    Answer, ErrorCode, Event, EventId, EventKind, Outcome, SessionId, Trailer, TurnId, TurnState, UserId,
};
use serde_json::json;

use super::{accept, at, claim, new_user, question, queued_turn, turn_written, write};

pub async fn an_accepted_turn_reads_back(store: &dyn Store) {
    let user = new_user(store).await;
    let new = NewTurn {
        client_turn_id: Some("c-1".to_owned()),
        persona: "lawyer".to_owned(),
        user_message: format!("\n{}\nanother line", "ü".repeat(100)),
        ..question(user)
    };
    let accepted = accept(store, new.clone()).await;
    assert!(accepted.created);
    assert_eq!(accepted.ahead, 0);
    let turn = store.turn(new.turn_id).await.unwrap().unwrap();
    assert!(turn == accepted.turn);
    assert_eq!((turn.turn_id, turn.user_id, turn.session_id), (new.turn_id, user, new.session_id));
    assert_eq!((turn.state, turn.epoch, turn.queued_at), (TurnState::Queued, 0, at(0)));
    assert_eq!(
        (&turn.user_message, &turn.context, &turn.page_origin),
        (&new.user_message, &new.context, &new.page_origin)
    );
    assert_eq!((turn.client_turn_id, turn.persona, turn.profile), (new.client_turn_id, new.persona, new.profile));

    let conversation = store.conversation(new.session_id).await.unwrap().unwrap();
    let title = format!("{}…", "ü".repeat(79));
    assert_eq!((conversation.user_id, conversation.title, conversation.hidden_at), (user, title, None));
    let events = store.events_after(new.turn_id, EventId::START, 9).await.unwrap();
    let data = json!({ "turn_id": new.turn_id, "position": 0 });
    assert_eq!(events, [Event { id: EventId { epoch: 0, seq: 1 }, kind: EventKind::Queued, data }]);
    assert!(store.turn(TurnId::fresh()).await.unwrap().is_none());
}

pub async fn the_same_client_turn_id_is_the_same_turn(store: &dyn Store) {
    let user = new_user(store).await;
    let ask = |user| NewTurn { client_turn_id: Some("c-1".to_owned()), ..question(user) };
    let before = accept(store, question(user)).await.turn;
    let first = accept(store, ask(user)).await;
    let again = ask(user);
    // Neither the limit nor a conversation stands in the way of a turn that is there already.
    let second = accept(store, NewTurn { queue_limit: 0, ..again.clone() }).await;
    assert!(!second.created);
    assert!(second.turn == first.turn);
    assert_eq!((first.ahead, second.ahead), (1, 1));
    assert!(store.turn(again.turn_id).await.unwrap().is_none());
    assert!(store.conversation(again.session_id).await.unwrap().is_none());
    assert_eq!(store.events_after(first.turn.turn_id, EventId::START, 9).await.unwrap().len(), 1);

    cancel(store, before.turn_id, 0).await.unwrap();
    assert_eq!(accept(store, ask(user)).await.ahead, 0);
    let running = claim(store, first.turn.turn_id, 1).await.unwrap();
    accept(store, question(user)).await;
    let third = accept(store, ask(user)).await;
    assert!(third.turn == running);
    assert_eq!(third.ahead, 0);
    assert!(accept(store, ask(new_user(store).await)).await.created, "the id is the user's own");
}

pub async fn a_foreign_conversation_is_refused(store: &dyn Store) {
    let theirs = queued_turn(store).await;
    let new = NewTurn { session_id: theirs.session_id, ..question(new_user(store).await) };
    let written = write(store, Write::AcceptTurn(Box::new(new.clone()))).await;
    assert_eq!(written, Written::Refused(Refusal::ForeignConversation));
    assert!(store.turn(new.turn_id).await.unwrap().is_none());
    assert!(accept(store, NewTurn { user_id: theirs.user_id, ..new }).await.created);
}

pub async fn the_queue_is_limited(store: &dyn Store) {
    let user = new_user(store).await;
    let ask = |user| NewTurn { queue_limit: 2, ..question(user) };
    let first = accept(store, ask(user)).await.turn;
    accept(store, ask(user)).await;
    let third = Write::AcceptTurn(Box::new(ask(user)));
    assert_eq!(write(store, third.clone()).await, Written::Refused(Refusal::QueueFull));
    accept(store, ask(new_user(store).await)).await;
    claim(store, first.turn_id, 1).await.unwrap();
    assert!(matches!(write(store, third.clone()).await, Written::Accepted(_)), "a running turn is not in the queue");
}

pub async fn what_would_be_answered_can_be_foreseen(store: &dyn Store) {
    let (user, other) = (new_user(store).await, new_user(store).await);
    let ask = |user| NewTurn { queue_limit: 2, client_turn_id: Some("c-1".to_owned()), ..question(user) };
    let theirs = accept(store, question(other)).await.turn;
    let new = ask(user);
    assert_eq!(store.foresee(&new).await.unwrap(), None);
    assert!(store.turn(new.turn_id).await.unwrap().is_none(), "nothing came of it");
    assert!(store.conversation(new.session_id).await.unwrap().is_none());
    let foreign = NewTurn { session_id: theirs.session_id, ..ask(user) };
    accept(store, new.clone()).await;
    // As a write of it is answered, whoever's conversation it names now; a turn that is there comes first.
    let hidden = question(other);
    let hide = AuditEntry::now("ada", "conversation.delete", theirs.session_id);
    let hide = Write::HideConversation { session_id: theirs.session_id, user_id: other, audit: hide };
    let full = NewTurn { client_turn_id: None, ..ask(user) };
    accept(store, NewTurn { client_turn_id: None, ..ask(user) }).await;
    for (new, refusal) in [
        (ask(user), None),
        (foreign.clone(), None),
        (NewTurn { client_turn_id: None, ..foreign }, Some(Refusal::ForeignConversation)),
        (full, Some(Refusal::QueueFull)),
    ] {
        let foreseen = store.foresee(&new).await.unwrap().unwrap();
        assert_eq!(write(store, Write::AcceptTurn(Box::new(new))).await, foreseen);
        match refusal {
            Some(refusal) => assert_eq!(foreseen, Written::Refused(refusal)),
            None => assert!(matches!(foreseen, Written::Accepted(accepted) if !accepted.created)),
        }
    }
    assert_eq!(write(store, hide).await, Written::Count(1));
    let hidden = NewTurn { session_id: theirs.session_id, ..hidden };
    let foreseen = store.foresee(&hidden).await.unwrap();
    assert_eq!(foreseen, Some(Written::Refused(Refusal::HiddenConversation)));
}

pub async fn the_queue_is_first_in_first_out(store: &dyn Store) {
    let user = new_user(store).await;
    let name = question(user).agent_session;
    accept(store, question(new_user(store).await)).await;
    let mut ids = Vec::new();
    for place in 0..3 {
        let accepted = accept(store, question(user)).await;
        assert_eq!(accepted.ahead, place);
        ids.push(accepted.turn.turn_id);
    }
    assert_eq!(store.queued(&name).await.unwrap(), ids);
    for (index, id) in ids.iter().enumerate() {
        let next = store.next_queued(&name).await.unwrap().unwrap();
        assert_eq!(next.turn_id, *id);
        claim(store, next.turn_id, 1).await.unwrap();
        assert_eq!(store.queued(&name).await.unwrap(), ids[index + 1..]);
    }
    assert!(store.next_queued(&name).await.unwrap().is_none());
}

pub async fn one_of_many_claims_wins(store: &dyn Store) {
    let turn = queued_turn(store).await;
    let claims = join_all((1..=8).map(|epoch| claim(store, turn.turn_id, epoch))).await;
    let winners: Vec<&Turn> = claims.iter().flatten().collect();
    assert_eq!(winners.len(), 1);
    let row = store.turn(turn.turn_id).await.unwrap().unwrap();
    assert!(row == *winners[0]);
    assert_eq!((row.state, row.delivering_at), (TurnState::Running, Some(at(10))));
    assert_eq!(row.delivering_pane.as_deref(), Some("%1 4711 99"));
    assert!(claim(store, TurnId::fresh(), 1).await.is_none());
}

pub async fn only_the_claiming_epoch_starts(store: &dyn Store) {
    let turn = queued_turn(store).await;
    claim(store, turn.turn_id, 3).await.unwrap();
    for (epoch, moment) in [(2, 11), (4, 12)] {
        write(store, Write::StartTurn { turn_id: turn.turn_id, epoch, at: at(moment) }).await;
        assert_eq!(store.turn(turn.turn_id).await.unwrap().unwrap().started_at, None);
    }
    for moment in [13, 14] {
        write(store, Write::StartTurn { turn_id: turn.turn_id, epoch: 3, at: at(moment) }).await;
        assert_eq!(store.turn(turn.turn_id).await.unwrap().unwrap().started_at, Some(at(13)), "the first one counts");
    }
}

fn end(epoch: i64, seq: i64) -> Event {
    Event { id: EventId { epoch, seq }, kind: EventKind::End, data: json!({ "streamed": true }) }
}

async fn finish(store: &dyn Store, turn_id: TurnId, epoch: i64, outcome: Outcome, events: Vec<Event>) -> Option<Turn> {
    let finish = Finish { turn_id, epoch, outcome, at: at(1_500), events, audit: None };
    turn_written(write(store, Write::FinishTurn(Box::new(finish))).await)
}

async fn cancel(store: &dyn Store, turn_id: TurnId, epoch: i64) -> Option<Turn> {
    finish(store, turn_id, epoch, Outcome::Cancelled { partial: None }, Vec::new()).await
}

pub async fn an_answer_reads_back(store: &dyn Store) {
    let turn = queued_turn(store).await;
    claim(store, turn.turn_id, 2).await.unwrap();
    let answer = Answer {
        body: "42\n".to_owned(),
        trailer: Trailer {
            used_tools: vec!["sql".to_owned(), "\"x\"".to_owned()],
            rows_seen: vec![3, u64::MAX],
            classifier_tag: Some("lookup".to_owned()),
        },
        chip_count: 2,
        response_tokens: 7,
        warning: Some("the trailer\0 is cut off".to_owned()),
    };
    let written =
        finish(store, turn.turn_id, 2, Outcome::Done(answer.clone()), vec![end(2, 1), end(2, 2)]).await.unwrap();
    let row = store.turn(turn.turn_id).await.unwrap().unwrap();
    assert!(row == written);
    assert_eq!((row.state, row.finished_at, row.duration_ms), (TurnState::Done, Some(at(1_500)), Some(1_500)));
    assert_eq!((row.response.as_deref(), row.partial, row.error_code), (Some("42\n"), None, None));
    assert_eq!((row.used_tools, row.rows_seen), (answer.trailer.used_tools, answer.trailer.rows_seen));
    assert_eq!((row.chip_count, row.response_tokens, row.late), (2, Some(7), false));
    assert_eq!(row.classifier_tag.as_deref(), Some("lookup"));
    assert_eq!(row.error_history, json!([{ "at": at(1_500), "warning": "the trailer\0 is cut off" }]));
    let events = store.events_after(turn.turn_id, EventId { epoch: 0, seq: 1 }, 9).await.unwrap();
    assert_eq!(events, [end(2, 1), end(2, 2)]);
    assert!(cancel(store, turn.turn_id, 2).await.is_none(), "final is final");
}

pub async fn failures_and_cancels_read_back(store: &dyn Store) {
    let turn = queued_turn(store).await;
    claim(store, turn.turn_id, 1).await.unwrap();
    let partial = Some("so f\0ar".to_owned());
    let failed =
        Outcome::Failed { code: ErrorCode::AgentDied, message: "exit status 1".to_owned(), partial: partial.clone() };
    let row = finish(store, turn.turn_id, 1, failed, vec![end(1, 1)]).await.unwrap();
    assert_eq!((row.state, row.error_code), (TurnState::Failed, Some(ErrorCode::AgentDied)));
    assert_eq!((row.response, &row.partial, row.response_tokens), (None, &partial, None));
    let history = json!([{ "at": at(1_500), "code": "agent_died", "message": "exit status 1" }]);
    assert_eq!(row.error_history, history);

    let turn = queued_turn(store).await;
    claim(store, turn.turn_id, 1).await.unwrap();
    let row = finish(store, turn.turn_id, 1, Outcome::Cancelled { partial: partial.clone() }, vec![]).await.unwrap();
    assert_eq!((row.state, row.error_code, row.partial), (TurnState::Cancelled, None, partial));
    assert_eq!(row.error_history, json!([]));
}

pub async fn a_stale_runner_writes_nothing(store: &dyn Store) {
    let turn = queued_turn(store).await;
    let running = claim(store, turn.turn_id, 5).await.unwrap();
    let answer = || Outcome::Done(Answer { body: "stale".to_owned(), ..Answer::default() });
    assert!(finish(store, turn.turn_id, 4, answer(), vec![end(4, 1)]).await.is_none());
    assert!(store.turn(turn.turn_id).await.unwrap().unwrap() == running);
    assert!(!store.has_event(turn.turn_id, EventId { epoch: 4, seq: 1 }).await.unwrap());
    assert!(finish(store, TurnId::fresh(), 9, answer(), vec![end(9, 1)]).await.is_none());
    assert!(finish(store, turn.turn_id, 6, answer(), vec![end(6, 1)]).await.is_some(), "a newer one may");
    assert!(finish(store, turn.turn_id, 6, answer(), vec![end(6, 2)]).await.is_none());
    assert!(!store.has_event(turn.turn_id, EventId { epoch: 6, seq: 2 }).await.unwrap());
}

pub async fn a_queued_turn_can_be_finished(store: &dyn Store) {
    let turn = queued_turn(store).await;
    let reset = Outcome::Failed { code: ErrorCode::SessionReset, message: "reset".to_owned(), partial: None };
    let row = finish(store, turn.turn_id, 0, reset, vec![end(0, 2)]).await.unwrap();
    assert_eq!((row.state, row.epoch, row.error_code), (TurnState::Failed, 0, Some(ErrorCode::SessionReset)));
    assert!(store.queued(&turn.agent_session).await.unwrap().is_empty());
    assert!(store.has_event(turn.turn_id, EventId { epoch: 0, seq: 2 }).await.unwrap());
    assert!(claim(store, turn.turn_id, 1).await.is_none());
}

pub async fn open_turns_are_told_oldest_first(store: &dyn Store) {
    let turns = [queued_turn(store).await, queued_turn(store).await, queued_turn(store).await];
    claim(store, turns[2].turn_id, 1).await.unwrap();
    cancel(store, turns[1].turn_id, 0).await.unwrap();
    let open: Vec<TurnId> = store.open_turns().await.unwrap().iter().map(|turn| turn.turn_id).collect();
    assert_eq!(open, [turns[0].turn_id, turns[2].turn_id]);
}

pub async fn history_is_the_newest_oldest_first(store: &dyn Store) {
    let user = new_user(store).await;
    let session_id = SessionId::fresh();
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(accept(store, NewTurn { session_id, ..question(user) }).await.turn.turn_id);
        accept(store, NewTurn { queue_limit: 99, ..question(user) }).await;
        cancel(store, ids[ids.len() - 1], 0).await.unwrap();
    }
    let history = async |user: UserId, limit| -> Vec<TurnId> {
        store.history(user, session_id, None, limit).await.unwrap().iter().map(|turn| turn.turn_id).collect()
    };
    assert_eq!(history(user, 3).await, ids[2..]);
    assert_eq!(history(user, 200).await, ids);
    assert!(history(new_user(store).await, 200).await.is_empty());
    assert!(store.history(user, SessionId::fresh(), None, 9).await.unwrap().is_empty());
}

pub async fn any_text_round_trips(store: &dyn Store) {
    let user = new_user(store).await;
    let texts = [
        "",
        "\0",
        "a\0b\0",
        "🦀👩‍👩‍👧 \u{202e}x",
        "'; DROP TABLE users; --",
        "\r\n\t\u{1}\u{7f}\u{feff}",
        &"0123456789abcde\n".repeat(65_536),
    ];
    for text in texts {
        let text = text.to_owned();
        let new = NewTurn {
            user_message: text.clone(),
            context: Some(json!({ "selection": text })),
            page_origin: Some(text.clone()),
            ..question(user)
        };
        let turn = accept(store, new.clone()).await.turn;
        claim(store, turn.turn_id, 1).await.unwrap();
        let outcome = Outcome::Done(Answer { body: text.clone(), ..Answer::default() });
        let event = Event { data: json!({ "text": text }), ..end(1, 1) };
        let written = finish(store, turn.turn_id, 1, outcome, vec![event.clone()]).await.unwrap();
        let row = store.turn(turn.turn_id).await.unwrap().unwrap();
        assert!(row == written);
        assert!(row.user_message == text && row.response == Some(text.clone()) && row.page_origin == Some(text));
        assert!(row.context == new.context);
        let events = store.events_after(turn.turn_id, EventId { epoch: 0, seq: 1 }, 9).await.unwrap();
        assert!(events == [event]);
    }
}

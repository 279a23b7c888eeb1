//! Texts of users and agents, which may be anything.

use paliadin::store::{
    AgentSession, ApiToken, AuditEntry, Finish, Listing, NewTurn, SessionPatch, Store, User, Write, Written,
};
use paliadin::turn::{Answer, ErrorCode, Event, EventId, EventKind, Memory, Outcome, SessionId, Trailer, UserId};
use serde_json::json;
use uuid::Uuid;

use super::{accept, account, at, claim, new_user, question, turn_written, write};

/// A megabyte.
const MEGABYTE: usize = 1024 * 1024;

/// NUL, what may stand for it in a database, and what a terminal's bytes become that are no UTF-8.
fn odd_texts() -> Vec<String> {
    let bytes: Vec<u8> = (0..=255).collect();
    vec![
        "\0".to_owned(),
        "\u{1}\u{2}\u{2}\u{2}".to_owned(),
        "\u{2}\0\u{1}\0\0\u{1}\u{2}x".to_owned(),
        String::from_utf8_lossy(&bytes).into_owned(),
        String::from_utf8_lossy(b"a\xff\0\xf0\x9f\x92\xed\xa0\x80 z").into_owned(),
        "\u{fffe}\u{ffff}\u{10ffff}\\0 \\u0000 %_'\"$1?".to_owned(),
    ]
}

pub async fn every_column_holds_any_text(store: &dyn Store) {
    for text in odd_texts() {
        let user = User { display_name: text.clone(), ..account(UserId::fresh(), &format!("{text}@example.org")) };
        write(store, Write::SaveUser(user.clone())).await;
        assert_eq!(store.user(user.user_id).await.unwrap().as_ref(), Some(&user));
        assert_eq!(store.user_by_email(&user.email).await.unwrap(), Some(user.clone()));
        let token = ApiToken {
            token_id: Uuid::now_v7(),
            user_id: user.user_id,
            name: text.clone(),
            hash: text.clone(),
            scopes: vec![text.clone()],
            expires_at: None,
            last_used_at: None,
            revoked_at: None,
        };
        write(store, Write::CreateToken(token.clone())).await;
        assert!(store.token_by_hash(&text).await.unwrap() == Some(token));
        agent_session_holds(store, user.user_id, &text).await;
        turn_holds(store, user.user_id, &text).await;
        let entry = AuditEntry { detail: json!({ &text: text }), at: at(1), ..AuditEntry::now(&text, &text, &text) };
        assert_eq!(write(store, Write::Audit(entry)).await, Written::Done);
    }
}

async fn agent_session_holds(store: &dyn Store, user_id: UserId, text: &str) {
    let (persona, backend) = (text.to_owned(), text.to_owned());
    let opened =
        write(store, Write::OpenAgentSession { prefix: "p".to_owned(), user_id, persona, conversation: None, backend })
            .await;
    let Written::AgentSession(opened) = opened else { panic!("no agent session: {opened:?}") };
    let some = Some(text.to_owned());
    let patch = SessionPatch {
        state: some.clone(),
        last_reason: some.clone(),
        memory: Some(Memory { resume_id: some.clone(), since: at(1) }),
        ..SessionPatch::default()
    };
    write(store, Write::PatchAgentSession { name: opened.name.clone(), patch }).await;
    let expected = AgentSession {
        state: text.to_owned(),
        last_reason: some.clone(),
        memory: Memory { resume_id: some, since: at(1) },
        ..*opened
    };
    assert_eq!(store.agent_session(user_id, text, None).await.unwrap(), Some(expected));
}

async fn turn_holds(store: &dyn Store, user_id: UserId, text: &str) {
    let some = Some(text.to_owned());
    let new = NewTurn {
        client_turn_id: some.clone(),
        persona: text.to_owned(),
        user_message: text.to_owned(),
        page_origin: some.clone(),
        context: Some(json!({ text: [text] })),
        ..question(user_id)
    };
    let accepted = accept(store, new.clone()).await;
    assert!(accept(store, NewTurn { session_id: SessionId::fresh(), ..new.clone() }).await.turn == accepted.turn);
    assert!(store.turn(new.turn_id).await.unwrap().as_ref() == Some(&accepted.turn));
    let audit = AuditEntry::now(text, "rename", "it");
    let (session_id, title) = (new.session_id, text.to_owned());
    write(store, Write::RenameConversation { session_id, user_id, title, audit }).await;
    assert_eq!(store.conversation(new.session_id).await.unwrap().unwrap().title, text);

    let pane = text.to_owned();
    let claim = Write::ClaimTurn { turn_id: new.turn_id, epoch: 1, pane, at: at(1) };
    assert_eq!(turn_written(write(store, claim).await).unwrap().delivering_pane, some);
    let failed = Outcome::Failed { code: ErrorCode::Timeout, message: text.to_owned(), partial: some.clone() };
    let event =
        |epoch| Event { id: EventId { epoch, seq: 2 }, kind: EventKind::Content, data: json!({ "delta": text }) };
    let finish = |epoch, outcome| {
        let events = vec![event(epoch)];
        Box::new(Finish { turn_id: new.turn_id, epoch, outcome, at: at(2), events, audit: None })
    };
    let row = turn_written(write(store, Write::FinishTurn(finish(1, failed))).await).unwrap();
    assert_eq!((&row.partial, &row.error_history[0]["message"]), (&some, &json!(text)));
    let trailer = Trailer { used_tools: vec![text.to_owned()], rows_seen: vec![], classifier_tag: some.clone() };
    let body = text.to_owned();
    let answer = Answer { body, trailer, warning: some.clone(), ..Answer::default() };
    let row = turn_written(write(store, Write::RecordLate(finish(2, Outcome::Done(answer)))).await).unwrap();
    assert!(store.turn(new.turn_id).await.unwrap().as_ref() == Some(&row));
    assert_eq!((&row.response, &row.classifier_tag, &row.used_tools[0]), (&some, &some, &text.to_owned()));
    assert_eq!(row.error_history[1]["warning"], json!(text));
    let events = store.events_after(new.turn_id, EventId { epoch: 0, seq: 1 }, 9).await.unwrap();
    assert_eq!(events, [event(1), event(2)]);
}

pub async fn large_texts_round_trip(store: &dyn Store) {
    let user = new_user(store).await;
    let text = |unit: &str| unit.repeat(6 * MEGABYTE / unit.len());
    let new = NewTurn { user_message: text("üb\n"), context: Some(json!({ "s": text("c") })), ..question(user) };
    let turn = accept(store, new.clone()).await.turn;
    claim(store, turn.turn_id, 1).await.unwrap();
    let content =
        Event { id: EventId { epoch: 1, seq: 1 }, kind: EventKind::Content, data: json!({ "text": text("e") }) };
    // One in eight has to be put in other words.
    let outcome = Outcome::Done(Answer { body: text("1234567\0"), ..Answer::default() });
    let (turn_id, events) = (turn.turn_id, vec![content.clone()]);
    let finish = Finish { turn_id, epoch: 1, outcome: outcome.clone(), at: at(9), events, audit: None };
    assert!(turn_written(write(store, Write::FinishTurn(Box::new(finish))).await).is_some());
    let row = store.turn(turn.turn_id).await.unwrap().unwrap();
    let Outcome::Done(answer) = outcome else { unreachable!() };
    assert!(row.user_message == new.user_message && row.context == new.context && row.response == Some(answer.body));
    assert!(store.events_after(turn_id, EventId { epoch: 0, seq: 1 }, 9).await.unwrap() == [content]);
    assert!(store.history(user, new.session_id, None, 9).await.unwrap() == [row]);
}

pub async fn a_search_takes_every_character_as_it_is(store: &dyn Store) {
    let user = new_user(store).await;
    let text = "A\0B\u{1}C\u{2}D \u{2}\u{2}";
    let turn = accept(store, NewTurn { user_message: text.to_owned(), ..question(user) }).await.turn;
    let found = async |search: &str| {
        let listing = Listing { search: Some(search), before: None, limit: 9 };
        let found = store.conversations(user, listing).await.unwrap();
        assert!(found.iter().all(|conversation| conversation.session_id == turn.session_id));
        !found.is_empty()
    };
    for part in ["a\0b", "\0", "\u{1}", "\u{2}", "\u{2}\u{2}", "b\u{1}c", "c\u{2}d \u{2}"] {
        assert!(found(part).await, "{part:?}");
    }
    for other in ["\0\0", "\u{1}\u{2}", "\u{1}\u{1}", "\u{2}\u{2}\u{2}", "\0\u{2}", "a\u{1}", "\u{3}", "Ａ"] {
        assert!(!found(other).await, "{other:?}");
    }
}

//! Conversations: listed, searched, renamed, hidden, and read back page by page.

use paliadin::store::{
    AuditEntry, ConversationSummary, Finish, HISTORY_BYTES, Listing, NewTurn, Refusal, Store, Turn, Write, Written,
};
use paliadin::turn::{Answer, Outcome, SessionId, TurnId, UserId};

use super::{accept, at, claim, new_user, question, turn_written, write};

const ALL: Listing<'static> = Listing { search: None, before: None, limit: 50 };

async fn ask(store: &dyn Store, user_id: UserId, session_id: SessionId, message: &str) -> Turn {
    let user_message = message.to_owned();
    accept(store, NewTurn { session_id, user_message, queue_limit: 1_000, ..question(user_id) }).await.turn
}

async fn answer(store: &dyn Store, turn: &Turn, body: &str) {
    claim(store, turn.turn_id, 1).await.unwrap();
    let outcome = Outcome::Done(Answer { body: body.to_owned(), ..Answer::default() });
    let finish = Finish { turn_id: turn.turn_id, epoch: 1, outcome, at: at(20), events: Vec::new(), audit: None };
    assert!(turn_written(write(store, Write::FinishTurn(Box::new(finish))).await).is_some());
}

async fn listed(store: &dyn Store, user: UserId, listing: Listing<'_>) -> Vec<SessionId> {
    let found = store.conversations(user, listing).await.unwrap();
    found.into_iter().map(|conversation| conversation.session_id).collect()
}

async fn hide(store: &dyn Store, session_id: SessionId, user_id: UserId) -> Written {
    let audit = AuditEntry { at: at(30), ..AuditEntry::now("a@example.org", "hide", session_id) };
    write(store, Write::HideConversation { session_id, user_id, audit }).await
}

pub async fn they_are_listed_by_their_last_turn(store: &dyn Store) {
    let (user, other) = (new_user(store).await, new_user(store).await);
    assert!(listed(store, user, ALL).await.is_empty());
    let sessions: Vec<SessionId> = (0..4).map(|_| SessionId::fresh()).collect();
    for session in &sessions {
        ask(store, user, *session, "first").await;
    }
    let theirs = ask(store, other, SessionId::fresh(), "first").await;
    // The oldest conversation has the newest turn.
    let last = ask(store, user, sessions[0], "second").await;
    let order = [sessions[0], sessions[3], sessions[2], sessions[1]];
    assert_eq!(listed(store, user, ALL).await, order);
    assert_eq!(listed(store, other, ALL).await, [theirs.session_id]);

    let found = store.conversations(user, ALL).await.unwrap();
    let expected = ConversationSummary {
        session_id: sessions[0],
        title: "first".to_owned(),
        created_at: at(0),
        last_turn_at: at(0),
        last_turn_id: last.turn_id,
        open_turns: 2,
    };
    assert!(found[0] == expected);
    assert!(store.conversation_of(user, sessions[0]).await.unwrap() == Some(expected));
    assert!(store.conversation_of(other, sessions[0]).await.unwrap().is_none());
    assert!(store.conversation_of(user, SessionId::fresh()).await.unwrap().is_none());
    answer(store, &last, "done").await;
    assert_eq!(store.conversation_of(user, sessions[0]).await.unwrap().unwrap().open_turns, 1);

    let (mut pages, mut before) = (Vec::new(), None);
    loop {
        let page = store.conversations(user, Listing { before, limit: 3, ..ALL }).await.unwrap();
        let Some(last) = page.last() else { break };
        before = Some(last.last_turn_id);
        pages.extend(page.iter().map(|conversation| conversation.session_id));
    }
    assert_eq!(pages, order);
    let newest = Listing { before: Some(last.turn_id), ..ALL };
    assert_eq!(listed(store, user, newest).await, order[1..], "a conversation lies where its last turn does");
}

pub async fn a_search_looks_into_title_question_and_answer(store: &dyn Store) {
    let (user, other) = (new_user(store).await, new_user(store).await);
    let sessions: Vec<SessionId> = (0..4).map(|_| SessionId::fresh()).collect();
    ask(store, user, sessions[0], "Quarterly NUMBERS").await;
    ask(store, user, sessions[0], "and 100% of a_b\\c").await;
    let answered = ask(store, user, sessions[1], "second").await;
    answer(store, &answered, "ab\0 the Numbers are 7 Größen").await;
    ask(store, user, sessions[2], "third").await;
    ask(store, other, sessions[3], "numbers").await;
    let search = async |text| listed(store, user, Listing { search: Some(text), ..ALL }).await;
    assert_eq!(search("numbers").await, [sessions[1], sessions[0]], "in title and answer, newest first");
    assert_eq!(search("SECOND").await, [sessions[1]]);
    for (text, found) in
        [("100%", true), ("a_b\\C", true), ("0%f", false), ("aXb", false), ("%%", false), ("\\c", true)]
    {
        assert_eq!(search(text).await == [sessions[0]], found, "{text}: no character is special");
    }
    assert_eq!(search("größen").await, [sessions[1]]);
    assert_eq!(search("b\0 T").await, [sessions[1]]);
    assert!(search("fourth").await.is_empty());
    let one = Listing { search: Some("numbers"), before: None, limit: 1 };
    assert_eq!(listed(store, user, one).await, [sessions[1]]);
    let rest = Listing { before: Some(answered.turn_id), ..one };
    assert_eq!(listed(store, user, rest).await, [sessions[0]]);
}

pub async fn a_title_is_its_users_to_change(store: &dyn Store) {
    let (user, other) = (new_user(store).await, new_user(store).await);
    let session_id = ask(store, user, SessionId::fresh(), "before").await.session_id;
    let rename = async |user_id, session_id, title: &str| {
        let audit = AuditEntry::now("a@example.org", "rename", session_id);
        write(store, Write::RenameConversation { session_id, user_id, title: title.to_owned(), audit }).await
    };
    assert_eq!(rename(user, session_id, "after").await, Written::Count(1));
    assert_eq!(rename(other, session_id, "stolen").await, Written::Count(0));
    assert_eq!(rename(user, SessionId::fresh(), "none").await, Written::Count(0));
    assert_eq!(store.conversation(session_id).await.unwrap().unwrap().title, "after");
    hide(store, session_id, user).await;
    assert_eq!(rename(user, session_id, "again").await, Written::Count(0));
}

pub async fn a_hidden_one_is_gone_for_its_user_for_good(store: &dyn Store) {
    let (user, other) = (new_user(store).await, new_user(store).await);
    let session_id = SessionId::fresh();
    let ask_again = || NewTurn { session_id, client_turn_id: Some("c-1".to_owned()), ..question(user) };
    let done = ask(store, user, session_id, "first").await;
    answer(store, &done, "done").await;
    let open = accept(store, ask_again()).await.turn;
    let kept = ask(store, user, SessionId::fresh(), "kept").await;
    assert!(store.turn_of(user, done.turn_id).await.unwrap().is_some());
    assert!(store.turn_of(other, done.turn_id).await.unwrap().is_none());
    assert!(store.open_turns_of(session_id).await.unwrap() == [open.clone()]);

    assert_eq!(hide(store, session_id, other).await, Written::Count(0));
    assert_eq!(hide(store, session_id, user).await, Written::Count(1));
    assert_eq!(hide(store, session_id, user).await, Written::Count(0), "only once");
    assert_eq!(listed(store, user, ALL).await, [kept.session_id]);
    assert!(store.conversation_of(user, session_id).await.unwrap().is_none());
    assert!(store.history(user, session_id, None, 9).await.unwrap().is_empty());
    for turn in [&done, &open] {
        assert!(store.turn_of(user, turn.turn_id).await.unwrap().is_none());
        assert!(store.turn(turn.turn_id).await.unwrap().is_some(), "the record stays");
    }
    let retry = NewTurn { session_id: kept.session_id, ..ask_again() };
    for new in [NewTurn { client_turn_id: None, ..ask_again() }, ask_again(), retry] {
        let written = write(store, Write::AcceptTurn(Box::new(new.clone()))).await;
        assert_eq!(written, Written::Refused(Refusal::HiddenConversation));
        assert!(store.turn(new.turn_id).await.unwrap().is_none());
    }
    let foreign = NewTurn { session_id, ..question(other) };
    let refused = write(store, Write::AcceptTurn(Box::new(foreign))).await;
    assert_eq!(refused, Written::Refused(Refusal::ForeignConversation));
    assert!(store.conversation(session_id).await.unwrap().unwrap().hidden_at.is_some());
}

pub async fn history_goes_back_page_by_page(store: &dyn Store) {
    let user = new_user(store).await;
    let session = SessionId::fresh();
    let mut ids = Vec::new();
    for _ in 0..7 {
        ids.push(ask(store, user, session, "x").await.turn_id);
        ask(store, user, SessionId::fresh(), "elsewhere").await;
    }
    let page = async |before: Option<TurnId>| -> Vec<TurnId> {
        store.history(user, session, before, 3).await.unwrap().iter().map(|turn| turn.turn_id).collect()
    };
    assert_eq!(page(None).await, ids[4..]);
    assert_eq!(page(Some(ids[4])).await, ids[1..4]);
    assert_eq!(page(Some(ids[1])).await, ids[..1]);
    assert!(page(Some(ids[0])).await.is_empty());
    assert_eq!(page(Some(TurnId::fresh())).await, ids[4..], "the cursor need not be a turn of the conversation");
}

pub async fn a_page_of_history_is_as_short_as_its_turns_are_long(store: &dyn Store) {
    let user = new_user(store).await;
    let session = SessionId::fresh();
    let half = usize::try_from(HISTORY_BYTES).unwrap() / 2;
    let mut ids = Vec::new();
    for size in [half / 2, half, 2 * half + 1, half, half - 1_000, 1] {
        let turn = ask(store, user, session, "x").await;
        answer(store, &turn, &"x".repeat(size)).await;
        ids.push(turn.turn_id);
    }
    let page = async |before: Option<TurnId>, limit| -> Vec<TurnId> {
        store.history(user, session, before, limit).await.unwrap().iter().map(|turn| turn.turn_id).collect()
    };
    assert_eq!(page(None, 200).await, ids[3..]);
    assert_eq!(page(None, 2).await, ids[4..]);
    assert_eq!(page(Some(ids[3]), 200).await, ids[2..3], "a turn that is too long for a page has one of its own");
    assert_eq!(page(Some(ids[2]), 200).await, ids[..2]);
    assert!(page(Some(ids[0]), 200).await.is_empty());
}

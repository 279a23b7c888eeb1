//! What every driver of the store must do: one function per property, written against `&dyn Store`. A driver's module
//! runs them all with `contract!(its function that opens a fresh store)`: most on one store, some on several of one
//! database, as in several processes.

#![expect(clippy::unwrap_used, reason = "a test says what it expects by panicking")]

mod accounts;
mod batches;
mod concurrent;
mod conversations;
mod events;
mod fresh;
mod late;
mod postgres;
mod sessions;
mod sqlite;
mod texts;
mod turns;

use paliadin::store::{Accepted, NewTurn, Role, Store, Turn, User, Write, Written};
use paliadin::turn::{SessionId, Timestamp, TurnId, UserId};
use serde_json::json;

macro_rules! contract {
    ($open:path) => {
        $crate::store::contract! { $open;
            accounts::users_are_found_without_regard_to_case
            accounts::an_email_belongs_to_one_user
            accounts::a_change_of_an_account_leaves_the_rest_as_it_is_by_then
            accounts::what_was_used_is_noted_and_tokens_of_a_name_end_together
            accounts::tokens_round_trip
            accounts::a_token_is_revoked_once
            accounts::web_sessions_come_and_go
            accounts::what_a_constraint_does_not_allow_is_refused
            batches::a_refused_write_fails_alone
            batches::a_refused_write_leaves_none_of_its_statements
            batches::an_empty_batch_is_nothing
            batches::a_caller_may_go_away
            conversations::they_are_listed_by_their_last_turn
            conversations::a_search_looks_into_title_question_and_answer
            conversations::a_title_is_its_users_to_change
            conversations::a_hidden_one_is_gone_for_its_user_for_good
            conversations::history_goes_back_page_by_page
            conversations::a_page_of_history_is_as_short_as_its_turns_are_long
            events::events_are_ordered_across_epochs
            events::an_event_is_written_once
            events::many_events_in_one_write
            events::events_need_their_turn
            events::events_are_pruned_by_the_age_of_their_turn
            late::failed_turns_that_were_typed_are_told_oldest_first
            late::a_late_answer_reads_back
            late::only_a_failed_turn_takes_a_late_answer
            late::a_running_turn_goes_to_a_later_owner
            sessions::two_users_never_share_a_name
            sessions::one_user_keeps_the_name
            sessions::a_conversation_has_its_own
            sessions::a_deleted_conversation_leaves_no_memory
            sessions::unusable_names_are_refused
            sessions::taking_a_session_counts_its_epoch
            sessions::a_patch_changes_what_it_names
            texts::every_column_holds_any_text
            texts::large_texts_round_trip
            texts::a_search_takes_every_character_as_it_is
            turns::an_accepted_turn_reads_back
            turns::the_same_client_turn_id_is_the_same_turn
            turns::a_foreign_conversation_is_refused
            turns::the_queue_is_limited
            turns::what_would_be_answered_can_be_foreseen
            turns::the_queue_is_first_in_first_out
            turns::one_of_many_claims_wins
            turns::only_the_claiming_epoch_starts
            turns::an_answer_reads_back
            turns::failures_and_cancels_read_back
            turns::a_stale_runner_writes_nothing
            turns::a_queued_turn_can_be_finished
            turns::open_turns_are_told_oldest_first
            turns::history_is_the_newest_oldest_first
            turns::any_text_round_trips
        }
        $crate::store::contract! { $open, several;
            concurrent::one_claim_of_a_turn_wins
            concurrent::the_same_client_turn_id_at_once_is_one_turn
            concurrent::the_queue_is_limited_for_all
            concurrent::a_conversation_belongs_to_one_of_two_users
            concurrent::a_user_has_one_agent_session
            concurrent::a_conversation_has_one_agent_session
            concurrent::two_users_that_come_at_once_never_share_a_name
            concurrent::every_take_is_an_epoch_of_its_own
            concurrent::who_was_relieved_claims_nothing
            concurrent::batches_in_opposite_order_get_through
            concurrent::a_turn_ends_once
        }
    };
    ($open:path; $($module:ident :: $property:ident)+) => { $(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $property() {
            let fresh = $open().await;
            let property = $crate::store::$module::$property(&*fresh.store);
            tokio::time::timeout(std::time::Duration::from_secs(60), property).await.expect("the property hangs");
            fresh.end().await;
        }
    )+ };
    ($open:path, several; $($module:ident :: $property:ident)+) => { $(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $property() {
            let fresh = $open().await;
            let stores = fresh.several().await;
            let property = $crate::store::$module::$property(&stores);
            tokio::time::timeout(std::time::Duration::from_secs(60), property).await.expect("the property hangs");
            for store in stores {
                store.close().await;
            }
            fresh.end().await;
        }
    )+ };
}
pub(crate) use contract;

/// Moments in the tests: this many milliseconds after an arbitrary one.
pub fn at(millis: i64) -> Timestamp {
    Timestamp(1_700_000_000_000 + millis)
}

/// Makes one write that must not fail.
pub async fn write(store: &dyn Store, write: Write) -> Written {
    store.write(&[write]).await.unwrap().remove(0).unwrap()
}

/// A new account.
pub async fn new_user(store: &dyn Store) -> UserId {
    let user_id = UserId::fresh();
    assert_eq!(write(store, Write::SaveUser(account(user_id, &format!("{user_id}@example.org")))).await, Written::Done);
    user_id
}

pub fn account(user_id: UserId, email: &str) -> User {
    User { user_id, email: email.to_owned(), display_name: "Ada".to_owned(), role: Role::User, disabled_at: None }
}

/// A question by `user_id` in a conversation of its own.
pub fn question(user_id: UserId) -> NewTurn {
    NewTurn {
        turn_id: TurnId::fresh(),
        user_id,
        session_id: SessionId::fresh(),
        agent_session: format!("paliadin-{}", user_id.0.simple()),
        client_turn_id: None,
        backend: "local".to_owned(),
        persona: String::new(),
        profile: "demo".to_owned(),
        user_message: "How many?\nAnd why?".to_owned(),
        page_origin: Some("https://app.example.org".to_owned()),
        context: Some(json!({ "route": "/orders", "extra": { "n": 1 } })),
        queued_at: at(0),
        queue_limit: 8,
    }
}

/// Has a turn accepted.
pub async fn accept(store: &dyn Store, new: NewTurn) -> Accepted {
    match write(store, Write::AcceptTurn(Box::new(new))).await {
        Written::Accepted(accepted) => *accepted,
        other => panic!("not accepted: {other:?}"),
    }
}

/// A queued turn of a user of its own.
pub async fn queued_turn(store: &dyn Store) -> Turn {
    accept(store, question(new_user(store).await)).await.turn
}

/// Claims a turn under `epoch`; the row, if this claim won.
pub async fn claim(store: &dyn Store, turn_id: TurnId, epoch: i64) -> Option<Turn> {
    let claim = Write::ClaimTurn { turn_id, epoch, pane: "%1 4711 99".to_owned(), at: at(10) };
    turn_written(write(store, claim).await)
}

pub fn turn_written(written: Written) -> Option<Turn> {
    match written {
        Written::Turn(turn) => turn.map(|turn| *turn),
        other => panic!("no turn: {other:?}"),
    }
}

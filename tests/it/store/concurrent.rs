//! Several stores of one database, as several processes have them: what may happen once happens once.

use std::collections::HashSet;

use futures_util::future::join_all;
use paliadin::store::{Accepted, NewTurn, Refusal, SessionPatch, SharedStore, StoreError, Write, Written};
use paliadin::turn::{SessionId, TurnId, UserId};

use super::{accept, account, claim, new_user, question, queued_turn, turn_written, write};

/// How often a race is run.
const ROUNDS: usize = 10;

/// What each store answers to a write of its own, all at once.
async fn at_once(stores: &[SharedStore], writes: impl Fn(usize) -> Write) -> Vec<Written> {
    let writing = stores.iter().enumerate().map(|(index, store)| {
        let (store, write) = (store.clone(), writes(index));
        tokio::spawn(async move { super::write(&*store, write).await })
    });
    join_all(writing).await.into_iter().map(Result::unwrap).collect()
}

fn accepted(written: Written) -> Accepted {
    match written {
        Written::Accepted(accepted) => *accepted,
        other => panic!("not accepted: {other:?}"),
    }
}

fn epoch(written: Written) -> i64 {
    match written {
        Written::AgentSession(session) => session.epoch,
        other => panic!("no agent session: {other:?}"),
    }
}

fn name(written: &Written) -> String {
    match written {
        Written::AgentSession(session) => session.name.clone(),
        other => panic!("no agent session: {other:?}"),
    }
}

fn open(user_id: UserId) -> Write {
    let (prefix, backend) = ("paliadin".to_owned(), "local".to_owned());
    Write::OpenAgentSession { prefix, user_id, persona: String::new(), conversation: None, backend }
}

fn take(name: &str) -> Write {
    Write::TakeAgentSession { name: name.to_owned(), node: "node".to_owned(), lease_until: super::at(60_000) }
}

fn claim_write(turn_id: TurnId, epoch: i64) -> Write {
    Write::ClaimTurn { turn_id, epoch, pane: "%1".to_owned(), at: super::at(10) }
}

pub async fn one_claim_of_a_turn_wins(stores: &[SharedStore]) {
    for _ in 0..ROUNDS {
        let turn_id = queued_turn(&*stores[0]).await.turn_id;
        let claims = at_once(stores, |index| claim_write(turn_id, 1 + index as i64)).await;
        let winners: Vec<_> = claims.into_iter().filter_map(turn_written).collect();
        assert_eq!(winners.len(), 1);
        for store in stores {
            assert!(store.turn(turn_id).await.unwrap().as_ref() == winners.first());
        }
    }
}

pub async fn the_same_client_turn_id_at_once_is_one_turn(stores: &[SharedStore]) {
    let user = new_user(&*stores[0]).await;
    for round in 0..ROUNDS {
        let new: Vec<NewTurn> = stores
            .iter()
            .map(|_| NewTurn { client_turn_id: Some(format!("c-{round}")), queue_limit: 1_000, ..question(user) })
            .collect();
        let answers = at_once(stores, |index| Write::AcceptTurn(Box::new(new[index].clone()))).await;
        let answers: Vec<Accepted> = answers.into_iter().map(accepted).collect();
        assert_eq!(answers.iter().filter(|accepted| accepted.created).count(), 1);
        let only = &answers[0].turn;
        for (accepted, new) in answers.iter().zip(&new) {
            assert!(accepted.turn == *only);
            let is_there = new.turn_id == only.turn_id;
            assert_eq!(stores[0].turn(new.turn_id).await.unwrap().is_some(), is_there);
            assert_eq!(stores[0].conversation(new.session_id).await.unwrap().is_some(), is_there);
        }
    }
}

pub async fn the_queue_is_limited_for_all(stores: &[SharedStore]) {
    for _ in 0..ROUNDS {
        let user = new_user(&*stores[0]).await;
        let ask = |_| Write::AcceptTurn(Box::new(NewTurn { queue_limit: 2, ..question(user) }));
        let answers = at_once(stores, ask).await;
        let full = answers.iter().filter(|written| **written == Written::Refused(Refusal::QueueFull)).count();
        assert_eq!(full, stores.len() - 2, "{answers:?}");
        let ahead: HashSet<u32> = answers
            .into_iter()
            .filter(|written| matches!(written, Written::Accepted(_)))
            .map(|written| accepted(written).ahead)
            .collect();
        // Whose place is the first is a matter of the ids.
        assert!(ahead.iter().all(|ahead| *ahead < 2));
        assert_eq!(stores[0].queued(&question(user).agent_session).await.unwrap().len(), 2);
    }
}

pub async fn a_conversation_belongs_to_one_of_two_users(stores: &[SharedStore]) {
    for _ in 0..ROUNDS {
        let mut users = Vec::new();
        for store in stores {
            users.push(new_user(&**store).await);
        }
        let session_id = SessionId::fresh();
        let ask = |index: usize| Write::AcceptTurn(Box::new(NewTurn { session_id, ..question(users[index]) }));
        let answers = at_once(stores, ask).await;
        let owner = stores[0].conversation(session_id).await.unwrap().unwrap().user_id;
        for (written, user) in answers.into_iter().zip(users) {
            match written {
                Written::Accepted(_) => assert_eq!(user, owner),
                other => assert_eq!(other, Written::Refused(Refusal::ForeignConversation)),
            }
        }
    }
}

pub async fn a_user_has_one_agent_session(stores: &[SharedStore]) {
    for _ in 0..ROUNDS {
        let user = new_user(&*stores[0]).await;
        let names: HashSet<String> = at_once(stores, |_| open(user)).await.iter().map(name).collect();
        assert_eq!(names.len(), 1, "{names:?}");
    }
    assert_eq!(stores[1].agent_sessions().await.unwrap().len(), ROUNDS);
}

pub async fn a_conversation_has_one_agent_session(stores: &[SharedStore]) {
    for _ in 0..ROUNDS {
        let (user_id, conversation) = (new_user(&*stores[0]).await, Some(SessionId::fresh()));
        let open = |_| {
            let (prefix, backend) = ("paliadin".to_owned(), "local".to_owned());
            Write::OpenAgentSession { prefix, user_id, persona: String::new(), conversation, backend }
        };
        let names: HashSet<String> = at_once(stores, open).await.iter().map(name).collect();
        assert_eq!(names.len(), 1, "{names:?}");
    }
    assert_eq!(stores[1].agent_sessions().await.unwrap().len(), ROUNDS);
}

pub async fn two_users_that_come_at_once_never_share_a_name(stores: &[SharedStore]) {
    for round in 0..ROUNDS {
        // All with the same first 12 digits.
        let id = |index: usize| format!("{round:08x}-1234-7000-8000-00000000000{index}");
        let users: Vec<UserId> = (0..stores.len()).map(|index| UserId(id(index).parse().unwrap())).collect();
        for user in &users {
            write(&*stores[0], Write::SaveUser(account(*user, &user.to_string()))).await;
        }
        let opened = at_once(stores, |index| open(users[index])).await;
        let names: HashSet<String> = opened.iter().map(name).collect();
        assert_eq!(names.len(), stores.len(), "{names:?}");
        assert!(names.contains(&format!("paliadin-{round:08x}")), "{names:?}");
    }
}

pub async fn every_take_is_an_epoch_of_its_own(stores: &[SharedStore]) {
    let user = new_user(&*stores[0]).await;
    let session = name(&write(&*stores[0], open(user)).await);
    let mut epochs = Vec::new();
    for _ in 0..ROUNDS {
        epochs.extend(at_once(stores, |_| take(&session)).await.into_iter().map(epoch));
    }
    epochs.sort_unstable();
    assert!(epochs.into_iter().eq(1..=(ROUNDS * stores.len()) as i64));
}

/// Claims, and takes of the session under another epoch: whoever holds an older epoch than a take has answered with
/// claims nothing any more, and the taker finds every claim that was made before.
pub async fn who_was_relieved_claims_nothing(stores: &[SharedStore]) {
    let user = new_user(&*stores[0]).await;
    let session = name(&write(&*stores[0], open(user)).await);
    let mut current = epoch(write(&*stores[0], take(&session)).await);
    for _ in 0..ROUNDS {
        let new = NewTurn { agent_session: session.clone(), queue_limit: 1_000, ..question(user) };
        let turn_id = accept(&*stores[0], new).await.turn.turn_id;
        let (claimer, taker) = (stores[0].clone(), stores[1].clone());
        let old = current;
        let claiming = tokio::spawn(async move { turn_written(write(&*claimer, claim_write(turn_id, old)).await) });
        current = epoch(write(&*taker, take(&session)).await);
        let seen = taker.turn(turn_id).await.unwrap().unwrap();
        let claimed = claiming.await.unwrap();
        if let Some(claimed) = &claimed {
            assert!(seen == *claimed, "the claim came before the take, and was not there after it");
        }
        assert!(claim(&*stores[2], turn_id, old).await.is_none());
        assert_eq!(claim(&*stores[3], turn_id, current).await.is_some(), claimed.is_none());
    }
}

pub async fn batches_in_opposite_order_get_through(stores: &[SharedStore]) {
    let mut names = Vec::new();
    for _ in 0..2 {
        let user = new_user(&*stores[0]).await;
        names.push(name(&write(&*stores[0], open(user)).await));
    }
    let batch = |backwards: bool| -> Vec<Write> {
        let patch = SessionPatch { restarts: 1, ..SessionPatch::default() };
        let mut batch: Vec<Write> =
            names.iter().map(|name| Write::PatchAgentSession { name: name.clone(), patch: patch.clone() }).collect();
        if backwards {
            batch.reverse();
        }
        batch
    };
    let writing = stores.iter().enumerate().map(|(index, store)| {
        let (store, batch) = (store.clone(), batch(index % 2 == 1));
        tokio::spawn(async move {
            for _ in 0..ROUNDS {
                for result in store.write(&batch).await? {
                    result?;
                }
            }
            Ok::<_, StoreError>(())
        })
    });
    for written in join_all(writing).await {
        written.unwrap().unwrap();
    }
    for session in stores[0].agent_sessions().await.unwrap() {
        assert_eq!(session.restarts, (ROUNDS * stores.len()) as i64);
    }
}

pub async fn a_turn_ends_once(stores: &[SharedStore]) {
    for _ in 0..ROUNDS {
        let turn_id = queued_turn(&*stores[0]).await.turn_id;
        let endings = at_once(stores, |index| super::late::failure(turn_id, index as i64)).await;
        assert_eq!(endings.into_iter().filter_map(turn_written).count(), 1);
        let row = stores[0].turn(turn_id).await.unwrap().unwrap();
        assert_eq!(row.error_history.as_array().unwrap().len(), 1);
    }
}

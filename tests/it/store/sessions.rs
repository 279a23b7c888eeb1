//! Agent sessions: names, owners, fields.

use paliadin::store::{AgentSession, SessionPatch, Store, StoreError, Write, Written};
use paliadin::turn::{Memory, UserId};

use super::{account, at, new_user, write};

fn open_write(user_id: UserId, persona: &str) -> Write {
    Write::OpenAgentSession {
        prefix: "team.chat".to_owned(),
        user_id,
        persona: persona.to_owned(),
        backend: "local".to_owned(),
    }
}

fn session(written: Written) -> AgentSession {
    match written {
        Written::AgentSession(session) => *session,
        other => panic!("no agent session: {other:?}"),
    }
}

async fn open(store: &dyn Store, user_id: UserId, persona: &str) -> AgentSession {
    session(write(store, open_write(user_id, persona)).await)
}

pub async fn two_users_never_share_a_name(store: &dyn Store) {
    let ids = [
        "0123abcd-4567-7000-8000-000000000001", // alone with its first 8 digits, until
        "0123abcd-9999-7000-8000-000000000002", // this one shares 8 of them,
        "0123abcd-9999-7000-8000-000000000003", // and this one 12 with the last.
    ];
    let mut names = Vec::new();
    for id in ids {
        let user_id = UserId(id.parse().unwrap());
        write(store, Write::SaveUser(account(user_id, id))).await;
        names.push(open(store, user_id, "").await.name);
    }
    assert_eq!(names, ["team_chat-0123abcd", "team_chat-0123abcd9999", "team_chat-0123abcd99997000"]);
    let listed: Vec<String> = store.agent_sessions().await.unwrap().into_iter().map(|session| session.name).collect();
    assert_eq!(listed, names);
}

pub async fn one_user_keeps_the_name(store: &dyn Store) {
    let user = new_user(store).await;
    let first = open(store, user, "").await;
    assert_eq!((first.user_id, first.persona.as_str(), first.backend.as_str()), (user, "", "local"));
    assert_eq!((first.epoch, first.restarts, &first.host), (0, 0, &None));
    assert_eq!(open(store, user, "").await, first);
    let lawyer = open(store, user, "lawyer").await;
    assert_ne!(lawyer.name, first.name);
    assert_eq!(store.agent_session(user, "").await.unwrap(), Some(first));
    assert_eq!(store.agent_session(user, "lawyer").await.unwrap(), Some(lawyer));
    assert_eq!(store.agent_session(user, "cook").await.unwrap(), None);

    // Several opens in one batch are one session, too.
    let user = new_user(store).await;
    let results = store.write(&[open_write(user, ""), open_write(user, "")]).await.unwrap();
    let names: Vec<String> = results.into_iter().map(|result| session(result.unwrap()).name).collect();
    assert_eq!(names[0], names[1]);
}

pub async fn unusable_names_are_refused(store: &dyn Store) {
    let user_id = new_user(store).await;
    let open = |prefix: &str, user_id| Write::OpenAgentSession {
        prefix: prefix.to_owned(),
        user_id,
        persona: String::new(),
        backend: "local".to_owned(),
    };
    let prefixes = ["", "-a", "a b", "a:b", "ä", &"x".repeat(60)];
    let mut batch: Vec<Write> = prefixes.into_iter().map(|prefix| open(prefix, user_id)).collect();
    batch.push(open("paliadin", UserId::fresh())); // nobody's
    for result in store.write(&batch).await.unwrap() {
        assert!(matches!(result, Err(StoreError::Constraint(_))), "{result:?}");
    }
    assert!(store.agent_sessions().await.unwrap().is_empty());
}

pub async fn taking_a_session_counts_its_epoch(store: &dyn Store) {
    let name = open(store, new_user(store).await, "").await.name;
    let take = |name: &str| Write::TakeAgentSession {
        name: name.to_owned(),
        node: "node-1".to_owned(),
        lease_until: at(60_000),
    };
    assert_eq!(session(write(store, take(&name)).await).epoch, 1);
    assert_eq!(session(write(store, take(&name)).await).epoch, 2);
    let unknown = store.write(&[take("nobody")]).await.unwrap();
    assert!(matches!(unknown[..], [Err(StoreError::Constraint(_))]), "{unknown:?}");
}

pub async fn a_patch_changes_what_it_names(store: &dyn Store) {
    let user = new_user(store).await;
    let opened = open(store, user, "").await;
    let patch = |name: &str, patch| Write::PatchAgentSession { name: name.to_owned(), patch };
    let full = SessionPatch {
        state: Some("ready".to_owned()),
        last_reason: Some("started".to_owned()),
        restarts: 1,
        memory: Some(Memory { resume_id: Some("r-1".to_owned()), since: at(2) }),
        last_used_at: Some(at(3)),
    };
    assert_eq!(write(store, patch(&opened.name, full)).await, Written::Done);
    let part = SessionPatch { restarts: 2, state: Some("busy".to_owned()), ..SessionPatch::default() };
    assert_eq!(write(store, patch(&opened.name, part)).await, Written::Done);
    let expected = AgentSession {
        state: "busy".to_owned(),
        last_reason: Some("started".to_owned()),
        restarts: 3,
        memory: Memory { resume_id: Some("r-1".to_owned()), since: at(2) },
        last_used_at: Some(at(3)),
        ..opened
    };
    assert_eq!(store.agent_session(user, "").await.unwrap(), Some(expected.clone()));
    let memory = Memory { resume_id: None, since: at(4) };
    let forgotten = SessionPatch { memory: Some(memory.clone()), ..SessionPatch::default() };
    assert_eq!(write(store, patch(&expected.name, forgotten)).await, Written::Done);
    assert_eq!(store.agent_session(user, "").await.unwrap(), Some(AgentSession { memory, ..expected }));
    let unknown = store.write(&[patch("nobody", SessionPatch::default())]).await.unwrap();
    assert!(matches!(unknown[..], [Err(StoreError::Constraint(_))]), "{unknown:?}");
}

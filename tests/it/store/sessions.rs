//! Agent sessions: names, owners, fields.

use paliadin::store::{AgentSession, AuditEntry, SessionPatch, Store, StoreError, Write, Written};
use paliadin::turn::{Memory, SessionId, UserId};

use super::{accept, account, at, new_user, question, write};

fn open_write(user_id: UserId, persona: &str) -> Write {
    Write::OpenAgentSession {
        prefix: "team.chat".to_owned(),
        user_id,
        persona: persona.to_owned(),
        conversation: None,
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
    assert_eq!(store.agent_session(user, "", None).await.unwrap(), Some(first));
    assert_eq!(store.agent_session(user, "lawyer", None).await.unwrap(), Some(lawyer));
    assert_eq!(store.agent_session(user, "cook", None).await.unwrap(), None);

    // Several opens in one batch are one session, too.
    let user = new_user(store).await;
    let results = store.write(&[open_write(user, ""), open_write(user, "")]).await.unwrap();
    let names: Vec<String> = results.into_iter().map(|result| session(result.unwrap()).name).collect();
    assert_eq!(names[0], names[1]);
}

async fn open_in(store: &dyn Store, user_id: UserId, conversation: SessionId) -> AgentSession {
    let (prefix, backend) = ("team.chat".to_owned(), "local".to_owned());
    let (persona, conversation) = (String::new(), Some(conversation));
    session(write(store, Write::OpenAgentSession { prefix, user_id, persona, conversation, backend }).await)
}

pub async fn a_conversation_has_its_own(store: &dyn Store) {
    let user = UserId("0123abcd-4567-7000-8000-000000000001".parse().unwrap());
    let other = UserId("0123abcd-4567-7000-8000-000000000002".parse().unwrap());
    for user in [user, other] {
        write(store, Write::SaveUser(account(user, &format!("{user}@example.org")))).await;
    }
    let for_all = open(store, user, "").await;
    // The last 8 digits of two of them are the same, as are the first 8 of all.
    let conversations = ["34eea19004d5", "35eea19004d5", "34eea19004d6"]
        .map(|end| SessionId(format!("01a1fc4b-e581-720d-93be-{end}").parse().unwrap()));
    let mut own = Vec::new();
    for conversation in conversations {
        let opened = open_in(store, user, conversation).await;
        assert_eq!((opened.conversation, opened.epoch), (Some(conversation), 0));
        assert_eq!(open_in(store, user, conversation).await, opened);
        assert_eq!(store.agent_session(user, "", Some(conversation)).await.unwrap(), Some(opened.clone()));
        assert_eq!(store.agent_session_named(&opened.name).await.unwrap(), Some(opened.clone()));
        assert_eq!(store.agent_sessions_of(conversation).await.unwrap(), vec![opened.clone()]);
        own.push(opened);
    }
    let names: Vec<&str> = own.iter().map(|opened| opened.name.as_str()).collect();
    let expected = ["team_chat-0123abcd-a19004d5", "team_chat-0123abcd-35eea19004d5", "team_chat-0123abcd-a19004d6"];
    assert_eq!(names, expected);
    assert_eq!(store.agent_session(user, "", None).await.unwrap(), Some(for_all.clone()));
    assert_eq!((for_all.name.as_str(), for_all.conversation), ("team_chat-0123abcd", None));
    assert_eq!(store.agent_session(user, "cook", Some(conversations[0])).await.unwrap(), None);
    assert_eq!(store.agent_session(other, "", Some(conversations[0])).await.unwrap(), None);
    assert_eq!(store.agent_session(user, "", Some(SessionId::fresh())).await.unwrap(), None);
    assert_eq!(store.agent_session_named("team_chat").await.unwrap(), None, "a name is known as a whole");

    // Another user gets one of another name, also in the same conversation.
    let theirs = open_in(store, other, conversations[0]).await;
    assert_eq!(theirs.name, "team_chat-0123abcd-34eea19004d5");
    assert_eq!(store.agent_sessions_of(conversations[0]).await.unwrap().len(), 2);
}

pub async fn a_deleted_conversation_leaves_no_memory(store: &dyn Store) {
    let user_id = new_user(store).await;
    let kept = accept(store, question(user_id)).await.turn.session_id;
    let deleted = accept(store, question(user_id)).await.turn.session_id;
    let mut names = vec![open(store, user_id, "").await.name];
    for conversation in [kept, deleted] {
        names.push(open_in(store, user_id, conversation).await.name);
    }
    for name in &names {
        let patch = SessionPatch {
            memory: Some(Memory { resume_id: Some("r-1".to_owned()), since: at(1) }),
            ..SessionPatch::default()
        };
        write(store, Write::PatchAgentSession { name: name.clone(), patch }).await;
    }
    let audit = || AuditEntry::now("ann", "conversation.delete", deleted);
    let hide = |user_id| Write::HideConversation { session_id: deleted, user_id, audit: audit() };
    let resumes = async |name: &str| store.agent_session_named(name).await.unwrap().unwrap().memory.resume_id;
    assert_eq!(write(store, hide(new_user(store).await)).await, Written::Count(0));
    assert!(resumes(&names[2]).await.is_some(), "it is not theirs");
    assert_eq!(write(store, hide(user_id)).await, Written::Count(1));
    assert_eq!(resumes(&names[2]).await, None);
    assert!(resumes(&names[0]).await.is_some() && resumes(&names[1]).await.is_some());
}

pub async fn unusable_names_are_refused(store: &dyn Store) {
    let user_id = new_user(store).await;
    let open = |prefix: &str, user_id| Write::OpenAgentSession {
        prefix: prefix.to_owned(),
        user_id,
        persona: String::new(),
        conversation: None,
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
    assert_eq!(store.agent_session(user, "", None).await.unwrap(), Some(expected.clone()));
    let memory = Memory { resume_id: None, since: at(4) };
    let forgotten = SessionPatch { memory: Some(memory.clone()), ..SessionPatch::default() };
    assert_eq!(write(store, patch(&expected.name, forgotten)).await, Written::Done);
    assert_eq!(store.agent_session(user, "", None).await.unwrap(), Some(AgentSession { memory, ..expected }));
    let unknown = store.write(&[patch("nobody", SessionPatch::default())]).await.unwrap();
    assert!(matches!(unknown[..], [Err(StoreError::Constraint(_))]), "{unknown:?}");
}

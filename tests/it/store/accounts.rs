//! Users, tokens, signed-in browsers.

use paliadin::store::{ApiToken, AuditEntry, Role, Store, StoreError, User, UserPatch, WebSession, Write, Written};
use paliadin::turn::UserId;
use uuid::Uuid;

use super::{account, at, new_user, write};

pub async fn users_are_found_without_regard_to_case(store: &dyn Store) {
    let zoe = User { role: Role::Admin, disabled_at: Some(at(1)), ..account(UserId::fresh(), "Zoe@Example.org") };
    let ada = account(UserId::fresh(), "ada@example.org");
    write(store, Write::SaveUser(zoe.clone())).await;
    write(store, Write::SaveUser(ada.clone())).await;
    assert_eq!(store.user(zoe.user_id).await.unwrap(), Some(zoe.clone()));
    assert_eq!(store.user_by_email("zoe@eXample.ORG").await.unwrap(), Some(zoe.clone()));
    assert_eq!(store.user_by_email("zo@example.org").await.unwrap(), None);
    assert_eq!(store.user(UserId::fresh()).await.unwrap(), None);
    assert_eq!(store.users().await.unwrap(), [ada.clone(), zoe]);

    let renamed = User { email: "ADA@example.org".to_owned(), display_name: "A.".to_owned(), ..ada };
    write(store, Write::SaveUser(renamed.clone())).await;
    assert_eq!(store.user(renamed.user_id).await.unwrap(), Some(renamed));
    store.ping().await.unwrap();
}

pub async fn an_email_belongs_to_one_user(store: &dyn Store) {
    let ada = account(UserId::fresh(), "ada@example.org");
    write(store, Write::SaveUser(ada.clone())).await;
    let other = account(UserId::fresh(), "Ada@Example.org");
    let results = store.write(&[Write::SaveUser(other)]).await.unwrap();
    assert!(matches!(results[..], [Err(StoreError::Constraint(_))]), "{results:?}");
    assert_eq!(store.users().await.unwrap(), [ada]);
}

pub async fn a_change_of_an_account_leaves_the_rest_as_it_is_by_then(store: &dyn Store) {
    let entry = |action: &str| AuditEntry { at: at(1), ..AuditEntry::now("someone", action, "x") };
    let ada = account(UserId::fresh(), "ada@example.org");
    let create = Write::CreateUser { user: ada.clone(), audit: entry("create") };
    assert_eq!(write(store, create.clone()).await, Written::Done);
    let again = store.write(&[create]).await.unwrap();
    assert!(matches!(again[..], [Err(StoreError::Constraint(_))]), "{again:?}");
    let patch = |patch: UserPatch| Write::PatchUser { user_id: ada.user_id, patch, audit: entry("patch") };
    let none = UserPatch::default;
    for change in [
        UserPatch { disabled_at: Some(Some(at(5))), ..none() },
        UserPatch { role: Some(Role::Admin), ..none() },
        UserPatch { email: Some("a@example.org".to_owned()), display_name: Some("A.".to_owned()), ..none() },
    ] {
        assert_eq!(write(store, patch(change)).await, Written::Count(1));
    }
    let all = User {
        email: "a@example.org".to_owned(),
        display_name: "A.".to_owned(),
        role: Role::Admin,
        disabled_at: Some(at(5)),
        ..ada.clone()
    };
    assert_eq!(store.user(ada.user_id).await.unwrap(), Some(all.clone()));
    write(store, patch(UserPatch { disabled_at: Some(None), ..none() })).await;
    assert_eq!(store.user(ada.user_id).await.unwrap(), Some(User { disabled_at: None, ..all }));
    let nobody = Write::PatchUser { user_id: UserId::fresh(), patch: none(), audit: entry("nobody") };
    assert_eq!(write(store, nobody).await, Written::Count(0));
    write(store, Write::SaveUser(account(UserId::fresh(), "bob@example.org"))).await;
    let taken = UserPatch { email: Some("BOB@example.org".to_owned()), ..none() };
    let refused = store.write(&[patch(taken)]).await.unwrap();
    assert!(matches!(refused[..], [Err(StoreError::Constraint(_))]), "{refused:?}");
}

pub async fn what_was_used_is_noted_and_tokens_of_a_name_end_together(store: &dyn Store) {
    let user = new_user(store).await;
    let tokens = ["aa", "bb", "cc"].map(|hash| token(user, hash));
    for token in &tokens {
        write(store, Write::CreateToken(token.clone())).await;
    }
    let used = |moment| Write::NoteTokenUse { token_id: tokens[0].token_id, at: at(moment) };
    assert_eq!((write(store, used(7)).await, write(store, used(6)).await), (Written::Count(1), Written::Count(0)));
    assert_eq!(store.token_by_hash("aa").await.unwrap().unwrap().last_used_at, Some(at(7)));
    let browser = WebSession { hash: "ff".to_owned(), user_id: user, expires_at: at(9), last_seen_at: at(1) };
    write(store, Write::CreateWebSession(browser)).await;
    let seen = |moment| Write::NoteWebSession { hash: "ff".to_owned(), at: at(moment) };
    assert_eq!((write(store, seen(4)).await, write(store, seen(3)).await), (Written::Count(1), Written::Count(0)));
    assert_eq!(store.web_session("ff").await.unwrap().unwrap().last_seen_at, at(4));
    // What is over goes with the next one.
    let later = WebSession { hash: "ee".to_owned(), user_id: user, expires_at: at(20), last_seen_at: at(9) };
    write(store, Write::CreateWebSession(later)).await;
    assert!(store.web_session("ff").await.unwrap().is_none() && store.web_session("ee").await.unwrap().is_some());
    let end = |name: &str| Write::RevokeTokensNamed { name: name.to_owned(), except: "bb".to_owned(), at: at(8) };
    assert_eq!(write(store, end("another")).await, Written::Count(0));
    assert_eq!(
        (write(store, end("laptop")).await, write(store, end("laptop")).await),
        (Written::Count(2), Written::Count(0))
    );
    assert!(store.token_by_hash("bb").await.unwrap().unwrap().revoked_at.is_none());
}

fn token(user_id: UserId, hash: &str) -> ApiToken {
    ApiToken {
        token_id: Uuid::now_v7(),
        user_id,
        name: "laptop".to_owned(),
        hash: hash.to_owned(),
        scopes: vec!["chat".to_owned(), "a\"b".to_owned()],
        expires_at: Some(at(5)),
        last_used_at: None,
        revoked_at: None,
    }
}

pub async fn tokens_round_trip(store: &dyn Store) {
    let user = new_user(store).await;
    let older = token(user, "aa");
    let newer = ApiToken { scopes: Vec::new(), expires_at: None, ..token(user, "bb") };
    write(store, Write::CreateToken(older.clone())).await;
    write(store, Write::CreateToken(newer.clone())).await;
    assert!(store.token_by_hash("aa").await.unwrap() == Some(older.clone()));
    assert!(store.token_by_hash("cc").await.unwrap().is_none());
    assert!(store.tokens(user).await.unwrap() == [newer, older]);
    assert!(store.tokens(UserId::fresh()).await.unwrap().is_empty());

    let nobodys = store.write(&[Write::CreateToken(token(UserId::fresh(), "dd"))]).await.unwrap();
    assert!(matches!(nobodys[..], [Err(StoreError::Constraint(_))]), "{nobodys:?}");
    let same_secret = store.write(&[Write::CreateToken(token(user, "aa"))]).await.unwrap();
    assert!(matches!(same_secret[..], [Err(StoreError::Constraint(_))]), "{same_secret:?}");
}

pub async fn a_token_is_revoked_once(store: &dyn Store) {
    let token = token(new_user(store).await, "aa");
    write(store, Write::CreateToken(token.clone())).await;
    let revoke = |moment| Write::RevokeToken { token_id: token.token_id, at: at(moment) };
    assert_eq!(write(store, revoke(7)).await, Written::Count(1));
    assert_eq!(write(store, revoke(8)).await, Written::Count(0));
    assert_eq!(store.token_by_hash("aa").await.unwrap().unwrap().revoked_at, Some(at(7)));
    let unknown = Write::RevokeToken { token_id: Uuid::now_v7(), at: at(9) };
    assert_eq!(write(store, unknown).await, Written::Count(0));
}

pub async fn web_sessions_come_and_go(store: &dyn Store) {
    let user_id = new_user(store).await;
    let session = WebSession { hash: "ff".to_owned(), user_id, expires_at: at(9), last_seen_at: at(1) };
    assert_eq!(write(store, Write::CreateWebSession(session.clone())).await, Written::Done);
    assert!(store.web_session("ff").await.unwrap() == Some(session));
    let delete = Write::DeleteWebSession { hash: "ff".to_owned() };
    assert_eq!(write(store, delete.clone()).await, Written::Count(1));
    assert_eq!(write(store, delete).await, Written::Count(0));
    assert!(store.web_session("ff").await.unwrap().is_none());
}

pub async fn what_a_constraint_does_not_allow_is_refused(store: &dyn Store) {
    let user_id = new_user(store).await;
    let first = token(user_id, "aa");
    let browser =
        |hash: &str, user_id| WebSession { hash: hash.to_owned(), user_id, expires_at: at(9), last_seen_at: at(1) };
    let batch = [
        Write::CreateToken(first.clone()),
        Write::CreateToken(ApiToken { hash: "bb".to_owned(), ..first.clone() }),
        Write::CreateWebSession(browser("cc", user_id)),
        Write::CreateWebSession(browser("cc", user_id)),
        Write::CreateWebSession(browser("dd", UserId::fresh())),
        Write::CreateWebSession(browser("ee", user_id)),
    ];
    let results = store.write(&batch).await.unwrap();
    let made: Vec<bool> = results
        .into_iter()
        .map(|result| match result {
            Ok(written) => written == Written::Done,
            Err(StoreError::Constraint(_)) => false,
            Err(other) => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(made, [true, false, true, false, false, true]);
    assert!(store.tokens(user_id).await.unwrap() == [first]);
    for (hash, there) in [("cc", true), ("dd", false), ("ee", true)] {
        assert_eq!(store.web_session(hash).await.unwrap().is_some(), there);
    }
}

//! Users, tokens, signed-in browsers.

use paliadin::store::{ApiToken, Role, Store, StoreError, User, WebSession, Write, Written};
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

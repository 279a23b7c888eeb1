//! From what a request brings along to an account.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::super::Problem;
use super::App;
use super::credential::{Claimed, Credential};
use crate::store::{AuditEntry, Role, StoreError, User, UserPatch, Write};
use crate::turn::{Timestamp, UserId};

/// How exactly it is noted when a token or a browser was used last.
const USE_NOTED: Duration = Duration::from_secs(60);

/// Someone who is let in.
pub struct Admitted {
    /// The account, with the role that holds now.
    pub user: User,
    /// What the credentials may be used for; empty: everything.
    pub scopes: Vec<String>,
    /// Until when they hold.
    pub ends_at: Option<Timestamp>,
}

/// What other services said last of people. It holds, also for those who still come with what was said before.
#[derive(Default)]
pub struct Sayings {
    last: Mutex<HashMap<UserId, Saying>>,
}

/// What was said last of someone.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Saying {
    at: Timestamp,
    email: String,
    role: Option<Role>,
}

impl Sayings {
    /// What holds of this user by what is known and this; and whether it is this.
    fn hear(&self, user: UserId, claimed: &Claimed) -> (Saying, bool) {
        let heard = Saying { at: claimed.said_at, email: claimed.email.clone(), role: claimed.role };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match last.get_mut(&user) {
            // Nobody knows which of two came later: the one that allows less holds.
            Some(known)
                if known.at == heard.at && known.role == Some(Role::Admin) && heard.role == Some(Role::User) =>
            {
                known.role = heard.role;
            }
            Some(known) if known.at >= heard.at => {}
            _ => drop(last.insert(user, heard.clone())),
        }
        let known = last.get(&user).unwrap_or(&heard).clone();
        let is_this = known == heard;
        (known, is_this)
    }
}

/// Whose credentials these are.
///
/// # Errors
/// 401 where they are worth nothing (any more); 404 where their account is disabled or not on the allow-list: to it, nothing
/// of Paliadin exists; 503 where the database, or whoever has the keys, does not answer.
pub async fn identify(app: &App, credential: &Credential) -> Result<Admitted, Problem> {
    let auth = &app.config.auth;
    let (found, scopes, ends_at) = match credential {
        Credential::Token(hash) => of_token(app, hash).await?,
        Credential::Browser(hash) => of_browser(app, hash).await?,
        Credential::Jwt(token) => {
            let verifier = app.verifier.as_ref().ok_or_else(|| Problem::unauthenticated(auth))?;
            of_claims(app, &verifier.verify(token).await?).await?
        }
        Credential::Proxy(claimed) => of_claims(app, claimed).await?,
    };
    let mut user = found.ok_or_else(|| Problem::unauthenticated(auth))?;
    if user.disabled_at.is_some() || !auth.allows(&user.email) {
        return Err(Problem::not_found());
    }
    if auth.is_admin(&user.email) {
        user.role = Role::Admin;
    }
    Ok(Admitted { user, scopes, ends_at })
}

type Found = (Option<User>, Vec<String>, Option<Timestamp>);

async fn of_token(app: &App, hash: &str) -> Result<Found, StoreError> {
    let now = Timestamp::now();
    let row = app.store.token_by_hash(hash).await?;
    let row = row.filter(|row| bool::from(row.hash.as_bytes().ct_eq(hash.as_bytes())));
    let row = row.filter(|row| row.revoked_at.is_none() && row.expires_at.is_none_or(|end| end > now));
    let Some(row) = row else { return Ok((None, Vec::new(), None)) };
    if is_to_be_noted(row.last_used_at, now) {
        app.recorder.later(Write::NoteTokenUse { token_id: row.token_id, at: now });
    }
    Ok((app.store.user(row.user_id).await?, row.scopes, row.expires_at))
}

async fn of_browser(app: &App, hash: &str) -> Result<Found, StoreError> {
    let now = Timestamp::now();
    let row = app.store.web_session(hash).await?.filter(|row| row.expires_at > now);
    let Some(row) = row else { return Ok((None, Vec::new(), None)) };
    if is_to_be_noted(Some(row.last_seen_at), now) {
        app.recorder.later(Write::NoteWebSession { hash: row.hash, at: now });
    }
    Ok((app.store.user(row.user_id).await?, Vec::new(), Some(row.expires_at)))
}

fn is_to_be_noted(last: Option<Timestamp>, now: Timestamp) -> bool {
    let interval = i64::try_from(USE_NOTED.as_millis()).unwrap_or(i64::MAX);
    last.is_none_or(|last| now.0.saturating_sub(last.0) >= interval)
}

/// The account of someone of whom another service speaks: it is made for those on the allow-list.
async fn of_claims(app: &App, claimed: &Claimed) -> Result<Found, Problem> {
    let found = match claimed.id {
        Some(id) => app.store.user(UserId(id)).await?,
        None => app.store.user_by_email(&claimed.email).await?,
    };
    let user = match found {
        Some(user) => user,
        None if app.config.auth.invites(&claimed.email) => make_account(app, claimed).await?,
        None => return Err(Problem::not_found()),
    };
    let (holds, is_this) = app.sayings.hear(user.user_id, claimed);
    // Whatever is said of an account that is shut stays unsaid.
    let user = if is_this && user.disabled_at.is_none() { brought_up_to_date(app, user, claimed).await? } else { user };
    // The address decides who is on the allow-list, so it is the last one, too.
    let email = if claimed.id.is_some() { holds.email } else { user.email.clone() };
    let user = User { role: holds.role.unwrap_or(user.role), email, ..user };
    Ok((Some(user), Vec::new(), claimed.ends_at))
}

/// Takes over what the other service says now, and leaves everything else of the account as it is by then.
async fn brought_up_to_date(app: &App, user: User, claimed: &Claimed) -> Result<User, Problem> {
    let is_renamed = !claimed.name.is_empty() && claimed.name != user.display_name;
    // Without an id it is the address that was looked for, whatever its letter case.
    let has_moved = claimed.id.is_some() && !claimed.email.eq_ignore_ascii_case(&user.email);
    let patch = UserPatch {
        email: has_moved.then(|| claimed.email.clone()),
        display_name: is_renamed.then(|| claimed.name.clone()),
        role: claimed.role.filter(|role| *role != user.role),
        disabled_at: None,
    };
    if patch == UserPatch::default() {
        return Ok(user);
    }
    let (user_id, audit) = (
        user.user_id,
        AuditEntry {
            detail: json!({ "email": patch.email, "role": patch.role }),
            ..AuditEntry::now("sign-in", "user.update", user.user_id)
        },
    );
    match app.recorder.write(Write::PatchUser { user_id, patch, audit }).await {
        Ok(_) => Ok(user),
        Err(error) => Err(refused(user_id, error)),
    }
}

async fn make_account(app: &App, claimed: &Claimed) -> Result<User, Problem> {
    let user = User {
        user_id: UserId(claimed.id.unwrap_or_else(Uuid::new_v4)),
        email: claimed.email.clone(),
        display_name: claimed.name.clone(),
        role: claimed.role.unwrap_or(Role::User),
        disabled_at: None,
    };
    // Before anything is written: it may be so for each of their requests.
    let known = app.store.user_by_email(&claimed.email).await?;
    if known.is_none() {
        let audit = AuditEntry::now("sign-in", "user.create", user.user_id);
        let audit = AuditEntry { detail: json!({ "email": user.email, "role": user.role }), ..audit };
        match app.recorder.write(Write::CreateUser { user: user.clone(), audit }).await {
            Ok(_) => return Ok(user),
            Err(StoreError::Constraint(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    // Two of their requests came at once, and the other one was first; or the address is another account's.
    let first = match claimed.id {
        Some(id) => app.store.user(UserId(id)).await?,
        None => app.store.user_by_email(&claimed.email).await?,
    };
    first.ok_or_else(|| refused(user.user_id, StoreError::Constraint(String::new())))
}

/// An address that is another account's is not given to a second one: who has it now is for the operator to say.
fn refused(user_id: UserId, error: StoreError) -> Problem {
    if !matches!(error, StoreError::Constraint(_)) {
        return error.into();
    }
    tracing::info!(%user_id, "not let in: another account has this person's address");
    Problem::not_found()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_last_of_someone_holds() {
        let sayings = Sayings::default();
        let (ann, bob) = (UserId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)));
        let said = |user, at, role, email: &str| {
            let (name, ends_at) = (String::new(), None);
            let claimed =
                Claimed { id: None, email: email.to_owned(), name, role: Some(role), said_at: Timestamp(at), ends_at };
            let (holds, is_this) = sayings.hear(user, &claimed);
            (holds.role.unwrap(), holds.email, is_this)
        };
        let (old, new) = ("old@example.org".to_owned(), "new@example.org".to_owned());
        assert_eq!(said(ann, 1, Role::Admin, &old), (Role::Admin, old.clone(), true));
        assert_eq!(said(ann, 2, Role::User, &new), (Role::User, new.clone(), true));
        assert_eq!(said(ann, 1, Role::Admin, &old), (Role::User, new.clone(), false), "an older word");
        assert_eq!(said(bob, 1, Role::Admin, &old), (Role::Admin, old.clone(), true));
        assert_eq!(said(ann, 3, Role::Admin, &new), (Role::Admin, new.clone(), true));
        assert_eq!(said(ann, 3, Role::User, &new), (Role::User, new.clone(), true), "at the same time: the lesser one");
        assert_eq!(said(ann, 3, Role::Admin, &new), (Role::User, new, false));
        // Without a time, too.
        let cat = UserId(Uuid::from_u128(3));
        for role in [Role::User, Role::Admin] {
            assert_eq!(said(cat, 0, role, &old).0, Role::User);
        }
    }
}

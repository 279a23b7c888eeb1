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
use crate::store::{AuditEntry, Role, StoreError, User, Write};
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

/// What other services said of the roles of people. What was said last holds, also for those who still come with what was
/// said before.
#[derive(Default)]
pub struct Roles {
    said: Mutex<HashMap<UserId, (Timestamp, Role)>>,
}

impl Roles {
    /// The role that holds, by what is known and this.
    fn hear(&self, user: UserId, said_at: Timestamp, role: Role) -> Role {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let known = said.entry(user).or_insert((said_at, role));
        if known.0 <= said_at {
            *known = (said_at, role);
        }
        known.1
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
        Some(user) => brought_up_to_date(app, user, claimed).await?,
        None if app.config.auth.invites(&claimed.email) => make_account(app, claimed).await?,
        None => return Err(Problem::not_found()),
    };
    let role = claimed.role.map(|role| app.roles.hear(user.user_id, claimed.said_at, role));
    let user = User { role: role.unwrap_or(user.role), ..user };
    Ok((Some(user), Vec::new(), claimed.ends_at))
}

/// Takes over what the other service says of address and name.
async fn brought_up_to_date(app: &App, user: User, claimed: &Claimed) -> Result<User, Problem> {
    let is_renamed = !claimed.name.is_empty() && claimed.name != user.display_name;
    // Without an id it is the address that was looked for, whatever its letter case.
    let has_moved = claimed.id.is_some() && !claimed.email.eq_ignore_ascii_case(&user.email);
    if !is_renamed && !has_moved {
        return Ok(user);
    }
    let name = if is_renamed { claimed.name.clone() } else { user.display_name.clone() };
    let email = if has_moved { claimed.email.clone() } else { user.email.clone() };
    let changed = User { email, display_name: name, ..user };
    save(app, &changed, "user.update").await?;
    Ok(changed)
}

async fn make_account(app: &App, claimed: &Claimed) -> Result<User, Problem> {
    let user = User {
        user_id: UserId(claimed.id.unwrap_or_else(Uuid::new_v4)),
        email: claimed.email.clone(),
        display_name: claimed.name.clone(),
        role: Role::User,
        disabled_at: None,
    };
    match save(app, &user, "user.create").await {
        Ok(()) => Ok(user),
        // Two of their requests came at once, and the other one was first.
        Err(problem) => match app.store.user_by_email(&claimed.email).await? {
            Some(first) if claimed.id.is_none() => Ok(first),
            _ => Err(problem),
        },
    }
}

/// Saves the account with an entry in the audit log. An address that is another account's is not given to a second one: who
/// has it now is for the operator to say.
async fn save(app: &App, user: &User, action: &str) -> Result<(), Problem> {
    let entry =
        AuditEntry { detail: json!({ "email": user.email }), ..AuditEntry::now("sign-in", action, user.user_id) };
    match app.recorder.write(Write::SaveUser(user.clone())).await {
        Ok(_) => {
            app.recorder.later(Write::Audit(entry));
            Ok(())
        }
        Err(StoreError::Constraint(_)) => {
            tracing::warn!(user_id = %user.user_id, "not let in: another account has this person's address");
            Err(Problem::not_found())
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_last_of_a_role_holds() {
        let roles = Roles::default();
        let (ann, bob) = (UserId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)));
        assert_eq!(roles.hear(ann, Timestamp(1), Role::Admin), Role::Admin);
        assert_eq!(roles.hear(ann, Timestamp(2), Role::User), Role::User);
        assert_eq!(roles.hear(ann, Timestamp(1), Role::Admin), Role::User, "an older word");
        assert_eq!(roles.hear(bob, Timestamp(1), Role::Admin), Role::Admin);
        assert_eq!(roles.hear(ann, Timestamp(3), Role::Admin), Role::Admin);
    }
}

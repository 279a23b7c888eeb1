//! `paliadin user …`: accounts, written straight to the database; a running server sees them at once.

use clap::Subcommand;
use uuid::Uuid;

use super::{account, entry};
use crate::http::auth::is_email;
use crate::server::StartError;
use crate::store::{Role, Store, UserPatch, Write, write_all};
use crate::turn::{Timestamp, UserId};

#[derive(Subcommand)]
pub enum User {
    /// Make an account; its id is printed
    Add {
        /// Email address; names the account
        #[arg(long)]
        email: String,
        /// Name for people
        #[arg(long, default_value = "")]
        name: String,
        /// `user` or `admin`
        #[arg(long, default_value = "user")]
        role: Role,
        /// Use this id (a UUID) instead of a random one
        #[arg(long)]
        id: Option<Uuid>,
    },
    /// Shut an account: its tokens and sign-ins are worth nothing, and its open streams end within 10 seconds
    Disable {
        /// The account's email address
        #[arg(long)]
        email: String,
    },
    /// Open an account again
    Enable {
        /// The account's email address
        #[arg(long)]
        email: String,
    },
    /// Change what an account may do
    Role {
        /// The account's email address
        #[arg(long)]
        email: String,
        /// `user` or `admin`
        #[arg(long)]
        role: Role,
    },
    /// List accounts
    List,
}

impl User {
    /// Runs the command; what it answers is printed.
    pub async fn run(self, store: &dyn Store) -> Result<String, StartError> {
        Ok(match self {
            Self::Add { email, name, role, id } => {
                if !is_email(&email) {
                    return Err(StartError::Configuration(format!("{email:?} is no email address")));
                }
                if store.user_by_email(&email).await?.is_some() {
                    return Err(StartError::Configuration(format!("there is an account {email} already")));
                }
                let user_id = UserId(id.unwrap_or_else(Uuid::new_v4));
                if store.user(user_id).await?.is_some() {
                    return Err(StartError::Configuration(format!(
                        "there is an account with the id {user_id} already"
                    )));
                }
                let user = crate::store::User { user_id, email, display_name: name, role, disabled_at: None };
                write_all(store, &[Write::CreateUser { user, audit: entry("user.add", user_id) }]).await?;
                format!("{user_id}\n")
            }
            Self::List => {
                let users = store.users().await?;
                users.iter().map(line).collect()
            }
            Self::Disable { email } => {
                let patch = UserPatch { disabled_at: Some(Some(Timestamp::now())), ..UserPatch::default() };
                change(store, &email, "user.disable", patch).await?
            }
            Self::Enable { email } => {
                let patch = UserPatch { disabled_at: Some(None), ..UserPatch::default() };
                change(store, &email, "user.enable", patch).await?
            }
            Self::Role { email, role } => {
                let patch = UserPatch { role: Some(role), ..UserPatch::default() };
                change(store, &email, &format!("user.role.{role}"), patch).await?
            }
        })
    }
}

/// Id, role, email, and since when it is disabled.
fn line(user: &crate::store::User) -> String {
    let disabled = user.disabled_at.map(|at| format!("\tdisabled {at}")).unwrap_or_default();
    format!("{}\t{}\t{}{disabled}\n", user.user_id, user.role, user.email)
}

async fn change(store: &dyn Store, email: &str, action: &str, patch: UserPatch) -> Result<String, StartError> {
    let user_id = account(store, email).await?.user_id;
    write_all(store, &[Write::PatchUser { user_id, patch, audit: entry(action, user_id) }]).await?;
    Ok(String::new())
}

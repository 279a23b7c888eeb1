//! `paliadin user …`: accounts, written straight to the database; a running server sees them at once.

use clap::Subcommand;
use uuid::Uuid;

use super::audit;
use crate::server::StartError;
use crate::store::{Role, Store, Write, write_all};
use crate::turn::UserId;

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
    /// List accounts
    List,
}

impl User {
    /// Runs the command; what it answers is printed.
    pub async fn run(self, store: &dyn Store) -> Result<String, StartError> {
        Ok(match self {
            Self::Add { email, name, role, id } => {
                if !email.contains('@') || email.contains(char::is_whitespace) {
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
                write_all(store, &[Write::SaveUser(user), audit("user.add", user_id)]).await?;
                format!("{user_id}\n")
            }
            Self::List => {
                let users = store.users().await?;
                users.iter().map(|user| format!("{}\t{}\t{}\n", user.user_id, user.role, user.email)).collect()
            }
        })
    }
}

//! `paliadin token …`: API tokens, written straight to the database; a running server sees them at once.

use clap::Subcommand;
use uuid::Uuid;

use super::audit;
use crate::secret;
use crate::server::{StartError, new_token};
use crate::store::{Store, User, Write, Written, write_all};
use crate::turn::Timestamp;

#[derive(Subcommand)]
pub enum Token {
    /// Make a token for an account; it is printed once and stored as a hash
    Create {
        /// The account's email address
        #[arg(long)]
        email: String,
        /// What the token is for
        #[arg(long, default_value = "")]
        name: String,
    },
    /// End a token at once
    Revoke {
        /// The token's id, as `token list` tells it
        id: Uuid,
    },
    /// List the tokens of an account
    List {
        /// The account's email address
        #[arg(long)]
        email: String,
    },
}

impl Token {
    /// Runs the command; what it answers is printed.
    pub async fn run(self, store: &dyn Store) -> Result<String, StartError> {
        Ok(match self {
            Self::Create { email, name } => {
                let user = account(store, &email).await?;
                let secret = secret::generate("pal_")?;
                let token = new_token(user.user_id, &name, &secret);
                let entry = audit("token.create", token.token_id);
                write_all(store, &[Write::CreateToken(token), entry]).await?;
                format!("{secret}\n")
            }
            Self::Revoke { id } => {
                let revoke = Write::RevokeToken { token_id: id, at: Timestamp::now() };
                let written = write_all(store, &[revoke]).await?;
                if written != [Written::Count(1)] {
                    return Err(StartError::Configuration(format!("there is no valid token {id}")));
                }
                write_all(store, &[audit("token.revoke", id)]).await?;
                String::new()
            }
            Self::List { email } => {
                let user = account(store, &email).await?;
                let line = |token: &crate::store::ApiToken| {
                    let standing = token.revoked_at.map_or_else(|| "valid".to_owned(), |at| format!("revoked {at}"));
                    format!("{}\t{standing}\t{}\n", token.token_id, token.name)
                };
                store.tokens(user.user_id).await?.iter().map(line).collect()
            }
        })
    }
}

async fn account(store: &dyn Store, email: &str) -> Result<User, StartError> {
    let user = store.user_by_email(email).await?;
    user.ok_or_else(|| StartError::Configuration(format!("there is no account {email}; `paliadin user add` makes one")))
}

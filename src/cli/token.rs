//! `paliadin token …`: API tokens, written straight to the database; a running server sees them at once.

use std::time::Duration;

use clap::Subcommand;
use uuid::Uuid;

use super::{account, audit};
use crate::http::auth::{Scope, TOKEN_PREFIX};
use crate::secret;
use crate::server::{StartError, new_token};
use crate::store::{ApiToken, Store, Write, Written, write_all};
use crate::turn::Timestamp;

/// The longest life of a token that ends by itself.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

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
        /// What it may be used for: read, write, admin, separated by commas; without this, for everything its account may do
        #[arg(long = "scope", value_delimiter = ',', value_name = "SCOPES")]
        scopes: Vec<Scope>,
        /// When it ends, from now on, such as `90d`; without this, never
        #[arg(long = "expires", value_name = "TIME", value_parser = parse_duration)]
        expires: Option<Duration>,
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
            Self::Create { email, name, scopes, expires } => {
                let user = account(store, &email).await?;
                let secret = secret::generate(TOKEN_PREFIX)?;
                let token = ApiToken {
                    scopes: Scope::ALL
                        .into_iter()
                        .filter(|scope| scopes.contains(scope))
                        .map(|scope| scope.as_str().to_owned())
                        .collect(),
                    expires_at: expires.map(|time| Timestamp::now().after(time)),
                    ..new_token(user.user_id, &name, &secret)
                };
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
                store.tokens(user.user_id).await?.iter().map(line).collect()
            }
        })
    }
}

/// Id, standing, name, scopes, when it was used last.
fn line(token: &ApiToken) -> String {
    let standing = match (token.revoked_at, token.expires_at) {
        (Some(at), _) => format!("revoked {at}"),
        (None, Some(end)) if end <= Timestamp::now() => format!("expired {end}"),
        (None, Some(end)) => format!("valid until {end}"),
        (None, None) => "valid".to_owned(),
    };
    let scopes = if token.scopes.is_empty() { "everything".to_owned() } else { token.scopes.join(",") };
    let used = token.last_used_at.map_or_else(|| "never used".to_owned(), |at| format!("used {at}"));
    format!("{}\t{standing}\t{}\t{scopes}\t{used}\n", token.token_id, token.name)
}

/// A time as the configuration writes them; not none, and not one that would never end.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let time = humantime_serde::re::humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if time.is_zero() || time > LONGEST { Err("it must be up to 100 years".to_owned()) } else { Ok(time) }
}

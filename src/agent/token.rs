//! The token of a turn: by it, whoever holds the data knows on whose behalf the agent asks.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jsonwebtoken::{EncodingKey, Header, encode};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use uuid::{Builder, Uuid};

use crate::turn::{Timestamp, TurnId, UserId};

/// What every token names as the role: that of a signed-in person, as PostgREST and Supabase call it.
const ROLE: &str = "authenticated";
/// How long a token is good for where a turn may take for ever.
const WITHOUT_DEADLINE: Duration = Duration::from_secs(30 * 60);

/// Why a turn gets no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// No randomness for its id.
    #[error("the system has no random numbers: {0}")]
    Random(#[from] getrandom::Error),
    /// It cannot be signed.
    #[error("not signed: {0}")]
    Signature(#[from] jsonwebtoken::errors::Error),
}

/// What a token says (RFC 7519, section 4.1). Moments are whole seconds since 1970.
#[derive(Serialize)]
struct Claims<'a> {
    sub: UserId,
    role: &'static str,
    aud: &'a str,
    iat: i64,
    exp: i64,
    jti: Uuid,
    turn_id: TurnId,
}

/// Makes the tokens of turns: JWTs, signed by HMAC with SHA-256 (HS256).
pub struct TurnTokens {
    key: EncodingKey,
    audience: String,
    lifetime: Duration,
}

impl TurnTokens {
    /// Tokens that are signed with this secret and good for as long as a turn may take; zero is for ever. `None` without a
    /// secret.
    pub fn signed_with(secret: &SecretString, audience: &str, deadline: Duration) -> Option<Self> {
        // An empty one is what it refuses.
        let key = EncodingKey::from_secret(secret.expose_secret().as_bytes()).ok()?;
        let lifetime = if deadline.is_zero() { WITHOUT_DEADLINE } else { deadline };
        Some(Self { key, audience: audience.to_owned(), lifetime })
    }

    /// The token of a turn of this user that the agent is given now.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn mint(&self, sub: UserId, turn_id: TurnId, now: Timestamp) -> Result<SecretString, TokenError> {
        let mut random = [0; 16];
        getrandom::fill(&mut random)?;
        let lifetime = i64::try_from(self.lifetime.as_millis()).unwrap_or(i64::MAX);
        let claims = Claims {
            sub,
            role: ROLE,
            aud: &self.audience,
            iat: now.0 / 1_000,
            // The last second counts whole, lest a short one is over before it begins.
            exp: now.0.saturating_add(lifetime).saturating_add(999) / 1_000,
            jti: Builder::from_random_bytes(random).into_uuid(),
            turn_id,
        };
        Ok(encode(&Header::default(), &claims, &self.key)?.into())
    }
}

/// Without the key.
impl fmt::Debug for TurnTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TurnTokens").field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}

/// The token of a turn on its way to the agent. Once the turn's end is decided it is withdrawn, and whoever comes to write it
/// down after that has none.
#[derive(Clone)]
pub struct Grant(Arc<Mutex<Option<SecretString>>>);

impl Grant {
    /// A token that may be handed over.
    pub fn new(token: SecretString) -> Self {
        Self(Arc::new(Mutex::new(Some(token))))
    }

    /// Writes it down by `write`; `None` where it was withdrawn.
    pub fn hand_over<T>(&self, write: impl FnOnce(&SecretString) -> T) -> Option<T> {
        self.lock().as_ref().map(write)
    }

    /// From now on nobody writes it down. Waits for whoever is just doing so.
    pub fn withdraw(&self) {
        drop(self.lock().take());
    }

    fn lock(&self) -> MutexGuard<'_, Option<SecretString>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
    use serde_json::Value;

    use super::*;

    const SECRET: &str = "thirty-two bytes, and some more of them";
    const HOUR: Duration = Duration::from_secs(3_600);

    fn tokens(deadline: Duration) -> TurnTokens {
        TurnTokens::signed_with(&SECRET.into(), "someone", deadline).unwrap()
    }

    /// Its claims, once its signature is found to be by `secret`.
    fn claims(token: &SecretString, secret: &str) -> Result<Value, jsonwebtoken::errors::Error> {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_audience(&["someone"]);
        let key = DecodingKey::from_secret(secret.as_bytes())?;
        Ok(decode::<Value>(token.expose_secret(), &key, &validation)?.claims)
    }

    #[test]
    fn a_token_says_who_asks_in_which_turn_and_until_when() {
        let (user, turn, now) = (UserId::fresh(), TurnId::fresh(), Timestamp::now());
        let token = tokens(HOUR).mint(user, turn, now).unwrap();
        let said = claims(&token, SECRET).unwrap();
        assert_eq!((&said["sub"], &said["turn_id"]), (&user.to_string().into(), &turn.to_string().into()));
        assert_eq!((&said["role"], &said["aud"]), (&"authenticated".into(), &"someone".into()));
        let (iat, exp) = (said["iat"].as_i64().unwrap(), said["exp"].as_i64().unwrap());
        assert_eq!(iat, now.0 / 1_000);
        assert!((iat + 3_600..=iat + 3_601).contains(&exp), "{said}");
        assert_eq!(said.as_object().unwrap().len(), 7, "{said}");
        assert!(claims(&token, "another secret").is_err());
        let other = claims(&tokens(HOUR).mint(user, turn, now).unwrap(), SECRET).unwrap();
        assert_ne!(said["jti"], other["jti"]);
    }

    #[test]
    fn without_a_deadline_it_is_good_for_half_an_hour_and_a_short_one_for_a_second() {
        let lasts = |deadline| {
            let token = tokens(deadline).mint(UserId::fresh(), TurnId::fresh(), Timestamp::now()).unwrap();
            let said = claims(&token, SECRET).unwrap();
            said["exp"].as_i64().unwrap() - said["iat"].as_i64().unwrap()
        };
        assert!((1_800..=1_801).contains(&lasts(Duration::ZERO)));
        assert!((1..=2).contains(&lasts(Duration::from_millis(300))));
        assert!(lasts(Duration::MAX) > 3_600, "no overflow");
    }

    #[test]
    fn without_a_secret_there_are_none_and_nothing_shows_it() {
        assert!(TurnTokens::signed_with(&SecretString::default(), "someone", HOUR).is_none());
        let shown = format!("{:?}", tokens(HOUR));
        assert!(shown.contains("TurnTokens") && !shown.contains("bytes"), "{shown}");
    }

    #[test]
    fn what_was_withdrawn_is_written_down_by_nobody() {
        let grant = Grant::new("token".into());
        let same = grant.clone();
        assert_eq!(same.hand_over(|token| token.expose_secret().to_owned()).as_deref(), Some("token"));
        grant.withdraw();
        assert_eq!(same.hand_over(|_| ()), None);
    }
}

//! Tokens of another service: verified, and read.

use std::time::Duration;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Validation, decode, decode_header};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use super::super::{Code, Problem};
use super::credential::{Claimed, is_email, plain_name, role_among};
use super::keys::{Keys, KeysError};
use crate::config::{Auth, AuthMode};
use crate::turn::Timestamp;

/// How far the clocks of two hosts may be apart, in seconds.
const LEEWAY: u64 = 30;
/// Keys that are tried for a token that names none.
const MAX_TRIES: usize = 8;

/// Verifies tokens by the keys of the configuration.
pub struct Verifier {
    keys: Keys,
    auth: Auth,
}

impl Verifier {
    /// A verifier, in the mode that needs one.
    ///
    /// # Errors
    /// Where a key cannot be used; the text names where it is configured, and shows nothing of it.
    pub async fn start(auth: &Auth) -> Result<Option<Self>, String> {
        if auth.mode != AuthMode::Jwt {
            return Ok(None);
        }
        let keys = Keys::start(&auth.jwt_keys()?, auth.jwt_refresh).await?;
        Ok(Some(Self { keys, auth: auth.clone() }))
    }

    /// What a token says.
    ///
    /// # Errors
    /// 401 where it is worth nothing, 503 where its key cannot be had.
    pub async fn verify(&self, token: &SecretString) -> Result<Claimed, Problem> {
        let token = token.expose_secret();
        let refuse = |reason: String| {
            // The token itself is told nowhere.
            tracing::debug!(reason, "a token was refused");
            Problem::unauthenticated(&self.auth)
        };
        let header = decode_header(token).map_err(|error| refuse(reason(error.kind())))?;
        let algorithm = header.alg;
        let keys = match self.keys.of(header.kid.as_deref(), algorithm).await {
            Ok(keys) => keys,
            Err(KeysError::Unknown) => return Err(refuse("its key is not known".to_owned())),
            Err(KeysError::Unavailable) => {
                let detail = "the keys of the sign-in service cannot be had; try again";
                return Err(Problem::later(
                    axum::http::StatusCode::SERVICE_UNAVAILABLE,
                    Code::AuthUnavailable,
                    detail,
                    None,
                ));
            }
        };
        let mut validation = Validation::new(algorithm);
        validation.leeway = LEEWAY;
        validation.validate_nbf = true;
        let mut required = vec!["exp"];
        if !self.auth.jwt_issuer.is_empty() {
            validation.set_issuer(&[&self.auth.jwt_issuer]);
            required.push("iss");
        }
        if !self.auth.jwt_audience.is_empty() {
            validation.set_audience(&[&self.auth.jwt_audience]);
            required.push("aud");
        }
        validation.set_required_spec_claims(&required);
        let mut last = "no key fits".to_owned();
        for key in keys.iter().take(MAX_TRIES) {
            match decode::<Map<String, Value>>(token, &key.key, &validation) {
                Ok(data) => return read(&self.auth, &data.claims).map_err(|missing| refuse(missing.to_owned())),
                Err(error) => last = reason(error.kind()),
            }
        }
        Err(refuse(last))
    }
}

/// Why a token is refused, without anything of it.
fn reason(kind: &ErrorKind) -> String {
    match kind {
        ErrorKind::ExpiredSignature => "it has expired".to_owned(),
        ErrorKind::ImmatureSignature => "it does not hold yet".to_owned(),
        ErrorKind::InvalidSignature => "its signature is wrong".to_owned(),
        ErrorKind::InvalidIssuer => "it is from another issuer".to_owned(),
        ErrorKind::InvalidAudience => "it is for another audience".to_owned(),
        ErrorKind::MissingRequiredClaim(claim) => format!("it has no `{claim}`"),
        ErrorKind::InvalidAlgorithm => "its algorithm is not that of the key".to_owned(),
        _ => "it cannot be read".to_owned(),
    }
}

/// Reads the claims as the configuration names them.
fn read(auth: &Auth, claims: &Map<String, Value>) -> Result<Claimed, &'static str> {
    let text = |name: &str| claim(claims, name).and_then(Value::as_str).map(str::trim);
    let email = text(&auth.jwt_email_claim).filter(|email| is_email(email)).ok_or("it has no email address")?;
    // Whoever may choose an address that nobody has checked may choose anyone's.
    if claim(claims, "email_verified")
        .is_some_and(|verified| matches!(verified.as_str(), Some("false")) || *verified == false)
    {
        return Err("its email address is not verified");
    }
    let role = (!auth.jwt_role_claim.is_empty()).then(|| match claim(claims, &auth.jwt_role_claim) {
        Some(Value::Array(roles)) => role_among(auth, roles.iter().filter_map(Value::as_str)),
        Some(Value::String(role)) => role_among(auth, [role.as_str()].into_iter()),
        _ => role_among(auth, [].into_iter()),
    });
    let moment = |name: &str| claims.get(name).and_then(Value::as_f64).map(|seconds| seconds * 1_000.0);
    #[expect(clippy::cast_possible_truncation, reason = "casts from floats saturate")]
    let milliseconds = |moment: f64| Timestamp(moment as i64);
    let said_at = moment("iat").map_or(Timestamp(0), milliseconds);
    // It would go before everything that is said later.
    if said_at > Timestamp::now().after(Duration::from_secs(LEEWAY)) {
        return Err("it is from the future");
    }
    Ok(Claimed {
        id: text(&auth.jwt_id_claim).and_then(|id| id.parse().ok()),
        email: email.to_owned(),
        name: plain_name(text(&auth.jwt_name_claim).unwrap_or_default()),
        role,
        said_at,
        // It is compared in whole seconds.
        ends_at: moment("exp").map(|end| milliseconds(end).after(Duration::from_secs(LEEWAY + 1))),
    })
}

/// A claim by its name, which may have dots in it; else by its way, with dots between the steps.
fn claim<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(name) {
        return Some(value);
    }
    let (first, rest) = name.split_once('.')?;
    claim(claims.get(first)?.as_object()?, rest)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::store::Role;

    fn auth(changes: &[(&str, &str)]) -> Auth {
        let mut variables = vec![("HOME".into(), "/home/someone".into())];
        variables.extend(changes.iter().map(|(key, value)| (format!("PALIADIN_AUTH__{key}").into(), (*value).into())));
        crate::config::load(None, &variables).unwrap().auth
    }

    fn told(auth: &Auth, claims: Value) -> Result<Claimed, &'static str> {
        read(auth, claims.as_object().unwrap())
    }

    #[test]
    fn claims_are_read_by_the_names_that_are_configured() {
        let usual = told(
            &auth(&[]),
            json!({
                "sub": "0a000000-0000-4000-8000-00000000000a", "email": "ann@example.org", "name": "Ann", "role": "admin",
                "iat": 1, "exp": 2,
            }),
        )
        .unwrap();
        assert_eq!(usual.id.map(|id| id.to_string()).as_deref(), Some("0a000000-0000-4000-8000-00000000000a"));
        assert_eq!((usual.email.as_str(), usual.name.as_str(), usual.role), ("ann@example.org", "Ann", None));
        assert_eq!((usual.said_at, usual.ends_at), (Timestamp(1_000), Some(Timestamp(33_000))));
        let other = auth(&[
            ("JWT_EMAIL_CLAIM", "https://x.example/mail"),
            ("JWT_ROLE_CLAIM", "realm.roles"),
            ("JWT_ID_CLAIM", ""),
        ]);
        let claims =
            json!({"sub": "x", "https://x.example/mail": "bob@example.org", "realm": {"roles": ["a", "admin"]}});
        let bob = told(&other, claims).unwrap();
        assert_eq!((bob.email.as_str(), bob.role, bob.id), ("bob@example.org", Some(Role::Admin), None));
        let named = json!({"email": "ann@example.org", "name": format!("A\u{1b}[31m\n{}", "n".repeat(1000))});
        assert_eq!(told(&auth(&[]), named).unwrap().name, format!("A[31m{}", "n".repeat(195)));
        for claims in [json!({"realm": {"roles": ["admins"]}}), json!({"realm": "admin"}), json!({})] {
            let mut claims = claims;
            claims["https://x.example/mail"] = json!("bob@example.org");
            assert_eq!(told(&other, claims).unwrap().role, Some(Role::User));
        }
    }

    #[test]
    fn an_address_has_to_be_one_and_verified() {
        for claims in [
            json!({}),
            json!({"email": 1}),
            json!({"email": "ann"}),
            json!({"email": "ann@example.org\nbob"}),
            json!({"email": "ann@example.org", "iat": 1e300}),
            json!({"email": "ann@example.org", "email_verified": false}),
            json!({"email": "ann@example.org", "email_verified": "false"}),
        ] {
            assert!(told(&auth(&[]), claims.clone()).is_err(), "{claims}");
        }
        assert!(told(&auth(&[]), json!({"email": "ann@example.org", "email_verified": true})).is_ok());
    }
}

//! The keys by which tokens are verified: one of the configuration, or a JWK set that may change.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::StreamExt;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use secrecy::ExposeSecret;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until, timeout};

use crate::config::{JwtKeys, SHORTEST_SECRET};

/// From one look for a key that is not known to the next: whoever makes up names shall not have the set fetched each time.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// How long the set may take to come.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of a set.
const MAX_SET: usize = 256 * 1024;
/// Begins what is in PEM.
const PEM: &str = "-----BEGIN ";

/// A key, and the one algorithm that it is for. A token cannot choose another one.
pub struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    /// The key.
    pub key: DecodingKey,
}

/// Why there is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeysError {
    /// There is none of this name and algorithm.
    Unknown,
    /// The set cannot be had.
    Unavailable,
}

/// The keys, kept up to date.
pub struct Keys {
    shared: Arc<Shared>,
    /// Fetches beside the requests: none of them holds it up, and none takes it along when its client hangs up.
    fetching: Option<AbortHandle>,
}

struct Shared {
    source: Source,
    refresh: Duration,
    held: watch::Sender<Held>,
    /// A token names a key that is not there.
    wanted: Notify,
}

enum Source {
    Fixed,
    File(PathBuf),
    Url(reqwest::Client, String),
}

#[derive(Default, Clone)]
struct Held {
    keys: Vec<Arc<Key>>,
    /// When the keys were had; `None` before the first time.
    since: Option<Instant>,
    /// When they were tried to be had.
    tried: Option<Instant>,
    /// They are being fetched.
    on_their_way: bool,
    /// Length and time of the file they are from.
    version: Option<(u64, SystemTime)>,
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.fetching.iter().for_each(AbortHandle::abort);
    }
}

impl Keys {
    /// Reads the keys for the first time. A set at an address may be away then: it is fetched when it is there.
    ///
    /// # Errors
    /// Where they cannot be used; the text says where they are, and shows nothing of them.
    pub async fn start(from: &JwtKeys, refresh: Duration) -> Result<Self, String> {
        let (source, key) = match from {
            JwtKeys::Key(key) => (Source::Fixed, Some(("auth.jwt_key".to_owned(), key.expose_secret().to_owned()))),
            JwtKeys::KeyFile(path) => {
                let name = format!("auth.jwt_key_file: {}", path.display());
                let text = std::fs::read_to_string(path).map_err(|error| format!("{name}: {error}"))?;
                (Source::Fixed, Some((name, text)))
            }
            JwtKeys::SetFile(path) => (Source::File(path.clone()), None),
            JwtKeys::SetUrl(url) => (Source::Url(client()?, url.clone()), None),
        };
        let (held, wanted) = (watch::channel(Held::default()).0, Notify::new());
        let shared = Arc::new(Shared { source, refresh, held, wanted });
        if let Some((name, text)) = key {
            let key = read_key(text.trim()).map_err(|problem| format!("{name} {problem}"))?;
            shared.hold(vec![key], None);
            return Ok(Self { shared, fetching: None });
        }
        let first = shared.fetch().await;
        let fetching = match (&shared.source, first) {
            (Source::File(path), Err(problem)) => {
                return Err(format!("auth.jwt_jwks_file: {}: {problem}", path.display()));
            }
            (Source::Url(..), first) => {
                if let Err(problem) = first {
                    tracing::warn!(problem, "the keys of auth.jwt_jwks_url cannot be had yet");
                }
                Some(tokio::spawn(shared.clone().keep_up_to_date()).abort_handle())
            }
            _ => None,
        };
        Ok(Self { shared, fetching })
    }

    /// The keys that a token may be signed with: that of its name, or all of its algorithm where it names none.
    ///
    /// # Errors
    /// See [`KeysError`].
    pub async fn of(&self, id: Option<&str>, algorithm: Algorithm) -> Result<Vec<Arc<Key>>, KeysError> {
        let shared = &self.shared;
        shared.read_anew().await;
        let mut found = shared.held().find(id, algorithm);
        if found.is_empty() && shared.is_worth_waiting() {
            let mut changes = shared.held.subscribe();
            changes.mark_unchanged();
            shared.wanted.notify_one();
            // Once for its beginning, once for its end.
            let fetched = changes.wait_for(|held| !held.on_their_way && !held.may_fetch());
            let _ = timeout(FETCH_TIMEOUT, fetched).await;
            found = shared.held().find(id, algorithm);
        }
        match (found.is_empty(), shared.held().since) {
            (false, _) => Ok(found),
            (true, Some(_)) => Err(KeysError::Unknown),
            (true, None) => Err(KeysError::Unavailable),
        }
    }
}

impl Shared {
    /// Fetches the set when it is old, and when a key is wanted that is not in it.
    async fn keep_up_to_date(self: Arc<Self>) {
        loop {
            let held = self.held();
            let after =
                if held.since.is_some_and(|since| held.tried <= Some(since)) { self.refresh } else { LOOK_AGAIN };
            let next = held.tried.map_or_else(Instant::now, |tried| tried + after);
            tokio::select! {
                () = sleep_until(next) => {}
                () = self.wanted.notified() => if !self.held().may_fetch() { continue },
            }
            self.held.send_modify(|held| held.on_their_way = true);
            if let Err(problem) = self.fetch().await {
                tracing::warn!(problem, "the keys for tokens were not renewed");
            }
            self.held.send_modify(|held| held.on_their_way = false);
        }
    }

    /// A file is near, and tells whether it has changed.
    async fn read_anew(&self) {
        let Source::File(path) = &self.source else { return };
        let found = version(path).await;
        if found == self.held().version {
            return;
        }
        if let Err(problem) = self.fetch().await {
            tracing::warn!(problem, "the keys for tokens were not renewed");
            self.held.send_modify(|held| held.version = found);
        }
    }

    /// Whether a key that is not there may be there in a moment.
    fn is_worth_waiting(&self) -> bool {
        let held = self.held();
        matches!(self.source, Source::Url(..)) && (held.on_their_way || held.may_fetch())
    }

    async fn fetch(&self) -> Result<(), String> {
        let tried = Instant::now();
        let fetched = self.read().await;
        match fetched {
            Ok((keys, version)) => self.hold(keys, version),
            Err(problem) => {
                self.held.send_modify(|held| held.tried = Some(tried));
                return Err(problem);
            }
        }
        Ok(())
    }

    async fn read(&self) -> Result<(Vec<Key>, Option<(u64, SystemTime)>), String> {
        let (text, version) = match &self.source {
            Source::Fixed => return Err("there is nothing to be read".to_owned()),
            Source::File(path) => {
                let version = version(path).await;
                (tokio::fs::read(path).await.map_err(|error| error.to_string())?, version)
            }
            Source::Url(client, url) => (download(client, url).await?, None),
        };
        // What a parser says may quote what it reads.
        let set: JwkSet = serde_json::from_slice(&text).map_err(|_| "this is no JWK set".to_owned())?;
        let with_secrets = matches!(self.source, Source::File(_));
        let keys: Vec<Key> = set.keys.iter().filter_map(|jwk| usable(jwk, with_secrets)).collect();
        if keys.is_empty() {
            return Err("there is no key for HS256, RS256 or EdDSA in it".to_owned());
        }
        Ok((keys, version))
    }

    fn hold(&self, keys: Vec<Key>, version: Option<(u64, SystemTime)>) {
        let (keys, now) = (keys.into_iter().map(Arc::new).collect(), Some(Instant::now()));
        self.held.send_modify(|held| {
            (held.keys, held.since, held.tried, held.version) = (keys, now, now, version);
        });
    }

    fn held(&self) -> Held {
        self.held.borrow().clone()
    }
}

impl Held {
    /// Whether the set may be fetched again by now.
    fn may_fetch(&self) -> bool {
        self.tried.is_none_or(|tried| tried.elapsed() >= LOOK_AGAIN)
    }

    fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Vec<Arc<Key>> {
        let fits = |key: &&Arc<Key>| {
            let is_named = match (id, &key.id) {
                (Some(wanted), Some(id)) => wanted == id,
                // One key, or a set without names.
                (None, _) | (_, None) => true,
            };
            is_named && key.algorithm == algorithm
        };
        self.keys.iter().filter(fits).cloned().collect()
    }
}

async fn version(path: &Path) -> Option<(u64, SystemTime)> {
    let metadata = tokio::fs::metadata(path).await.ok()?;
    Some((metadata.len(), metadata.modified().ok()?))
}

fn client() -> Result<reqwest::Client, String> {
    let client =
        reqwest::Client::builder().timeout(FETCH_TIMEOUT).redirect(reqwest::redirect::Policy::none()).no_proxy();
    client.build().map_err(|error| format!("auth.jwt_jwks_url: no client: {error}"))
}

async fn download(client: &reqwest::Client, url: &str) -> Result<Vec<u8>, String> {
    let told = |error: reqwest::Error| error.without_url().to_string();
    let response = client.get(url).send().await.map_err(told)?;
    if response.status() != reqwest::StatusCode::OK {
        return Err(format!("status {}", response.status()));
    }
    let (mut bytes, mut chunks) = (Vec::new(), response.bytes_stream());
    while let Some(chunk) = chunks.next().await {
        bytes.extend_from_slice(&chunk.map_err(told)?);
        if bytes.len() > MAX_SET {
            return Err(format!("it has more than {MAX_SET} bytes"));
        }
    }
    Ok(bytes)
}

/// A secret, or a public key in PEM; its kind decides on the algorithm.
fn read_key(text: &str) -> Result<Key, String> {
    let key = |algorithm, key| Key { id: None, algorithm, key };
    if !text.contains(PEM) {
        if text.len() < SHORTEST_SECRET {
            return Err(format!("must have at least {SHORTEST_SECRET} bytes"));
        }
        let secret = DecodingKey::from_secret(text.as_bytes()).map_err(|_| "cannot be used".to_owned())?;
        return Ok(key(Algorithm::HS256, secret));
    }
    if text.contains("PRIVATE KEY") {
        return Err(
            "holds a private key; the public one is wanted, and the private one stays where tokens are made".to_owned()
        );
    }
    let rsa = DecodingKey::from_rsa_pem(text.as_bytes()).map(|rsa| key(Algorithm::RS256, rsa));
    let ed = || DecodingKey::from_ed_pem(text.as_bytes()).map(|ed| key(Algorithm::EdDSA, ed));
    rsa.or_else(|_| ed()).map_err(|_| "is no public key for RS256 or EdDSA".to_owned())
}

/// A key of a set, where it is one for signatures that we know. Secrets come from a file only.
fn usable(jwk: &Jwk, with_secrets: bool) -> Option<Key> {
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => Algorithm::EdDSA,
        AlgorithmParameters::OctetKey(_) if with_secrets => Algorithm::HS256,
        _ => return None,
    };
    let named = jwk.common.key_algorithm.as_ref().map(ToString::to_string);
    let is_for_it = named.is_none_or(|named| named.parse().is_ok_and(|named: Algorithm| named == algorithm));
    let is_for_signatures = jwk.common.public_key_use.as_ref().is_none_or(|usage| *usage == PublicKeyUse::Signature);
    if !is_for_it || !is_for_signatures {
        return None;
    }
    let key = DecodingKey::from_jwk(jwk).ok()?;
    let is_long =
        algorithm != Algorithm::HS256 || key.try_get_as_bytes().is_ok_and(|secret| secret.len() >= SHORTEST_SECRET);
    is_long.then(|| Key { id: jwk.common.key_id.clone(), algorithm, key })
}

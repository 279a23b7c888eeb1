//! What a request brings along to say who asks.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::Request;
use axum::http::{Extensions, HeaderMap, HeaderName, header};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::App;
use crate::config::{Auth, AuthMode};
use crate::secret;
use crate::store::Role;
use crate::turn::Timestamp;

/// The cookie of a signed-in browser; over HTTPS only, the browser sees to it that nobody else has set it.
const COOKIE: &str = "paliadin_session";
const SECURE_COOKIE: &str = "__Host-paliadin_session";
/// Begins every API token.
pub const TOKEN_PREFIX: &str = "pal_";
/// By this a proxy proves that it is one, where it has to.
const PROXY_SECRET: HeaderName = HeaderName::from_static("x-paliadin-proxy-secret");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// Bytes of an email address (RFC 5321, section 4.5.3.1.3).
const MAX_EMAIL: usize = 254;

/// Characters of a person's name.
const MAX_NAME: usize = 200;

/// Where a connection comes from.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// The name of the cookie.
pub fn session_cookie(auth: &Auth) -> &'static str {
    if auth.cookie_secure { SECURE_COOKIE } else { COOKIE }
}

/// What another service says of a person.
#[derive(Clone, PartialEq, Eq)]
pub struct Claimed {
    /// Which account it is.
    pub id: Option<Uuid>,
    /// Their address.
    pub email: String,
    /// For people; may be empty.
    pub name: String,
    /// What they may do, where that is said.
    pub role: Option<Role>,
    /// When it was said.
    pub said_at: Timestamp,
    /// Until when it holds.
    pub ends_at: Option<Timestamp>,
}

/// What says who asks.
#[derive(Clone)]
pub enum Credential {
    /// An API token, by its hash.
    Token(String),
    /// The cookie of a signed-in browser, by its hash.
    Browser(String),
    /// A token of another service.
    Jwt(SecretString),
    /// The word of a proxy.
    Proxy(Box<Claimed>),
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Token(_) => "Token",
            Self::Browser(_) => "Browser",
            Self::Jwt(_) => "Jwt",
            Self::Proxy(_) => "Proxy",
        })
    }
}

impl Credential {
    /// What the request brings along, if anything. A token goes before a cookie: who sends one means it. What is there
    /// twice counts as not there.
    pub fn of(app: &App, request: &Request) -> Option<Self> {
        let (auth, headers) = (&app.config.auth, request.headers());
        if let Some(token) = bearer(headers) {
            let is_ours = token.starts_with(TOKEN_PREFIX);
            match auth.mode {
                AuthMode::Jwt if !is_ours => return Some(Self::Jwt(token.into())),
                // Proxies pass on what they got themselves; it says nothing to us.
                AuthMode::Proxy if !is_ours => {}
                _ => return Some(Self::Token(secret::hash(token))),
            }
        }
        match auth.mode {
            AuthMode::Local => cookie(headers, session_cookie(auth)).map(|value| Self::Browser(secret::hash(value))),
            AuthMode::Jwt if auth.jwt_cookie.is_empty() => None,
            AuthMode::Jwt => cookie(headers, &auth.jwt_cookie).map(|token| Self::Jwt(token.into())),
            AuthMode::Proxy => {
                let is_proxy = is_proxy(auth, headers, request.extensions());
                let claimed = is_proxy.then(|| claimed(auth, headers)).flatten()?;
                Some(Self::Proxy(Box::new(claimed)))
            }
        }
    }

    /// What tells it from others, and does not show it.
    pub fn key(&self) -> String {
        match self {
            Self::Token(hash) => format!("token {hash}"),
            Self::Browser(hash) => format!("browser {hash}"),
            Self::Jwt(token) => format!("jwt {}", secret::hash(token.expose_secret())),
            Self::Proxy(claimed) => format!("proxy {:?} {}", claimed.role, claimed.email),
        }
    }

    /// Whether trying many of it may lead somewhere.
    pub fn can_be_guessed(&self) -> bool {
        matches!(self, Self::Token(_) | Self::Jwt(_))
    }
}

/// Where a request comes from: as its proxy says, where that is believed.
pub fn client_address(app: &App, headers: &HeaderMap, extensions: &Extensions) -> IpAddr {
    let auth = &app.config.auth;
    let peer = peer(extensions);
    if !is_proxy(auth, headers, extensions) {
        return peer;
    }
    // Each proxy adds whom it got the request from; what stands before that may be anyone's word.
    let texts = headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
    let addresses: Vec<&str> = texts.flat_map(|text| text.split(',')).map(str::trim).collect();
    let addresses = addresses.iter().rev().map_while(|address| {
        // Some proxies tell the port, too.
        address.parse::<IpAddr>().ok().or_else(|| address.parse::<SocketAddr>().ok().map(|address| address.ip()))
    });
    addresses.map(|address| address.to_canonical()).find(|address| !auth.is_proxy(*address)).unwrap_or(peer)
}

fn peer(extensions: &Extensions) -> IpAddr {
    let peer = extensions.get::<Peer>().map(|peer| peer.0.ip().to_canonical());
    peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

/// Whether the request comes from a proxy that is believed.
fn is_proxy(auth: &Auth, headers: &HeaderMap, extensions: &Extensions) -> bool {
    let secret = auth.proxy_secret.expose_secret();
    let said = only(headers, &PROXY_SECRET).unwrap_or_default();
    let is_proven =
        secret.is_empty() || bool::from(secret::hash(said).as_bytes().ct_eq(secret::hash(secret).as_bytes()));
    is_proven && auth.is_proxy(peer(extensions))
}

/// What the proxy's headers say.
fn claimed(auth: &Auth, headers: &HeaderMap) -> Option<Claimed> {
    let said = |name: &String| {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        only(headers, &name).map(str::trim)
    };
    let email = said(&auth.proxy_email_header).filter(|email| is_email(email))?.to_owned();
    let role = (!auth.proxy_role_header.is_empty()).then(|| {
        let roles = said(&auth.proxy_role_header).unwrap_or_default();
        role_among(auth, roles.split(',').map(str::trim))
    });
    let name = plain_name(said(&auth.proxy_name_header).unwrap_or_default());
    Some(Claimed { id: None, email, name, role, said_at: Timestamp::now(), ends_at: None })
}

/// What these roles of another service mean here.
pub fn role_among<'a>(auth: &Auth, mut roles: impl Iterator<Item = &'a str>) -> Role {
    if roles.any(|role| role == auth.admin_role) { Role::Admin } else { Role::User }
}

/// A name for people, in one line that is not too long.
pub fn plain_name(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_NAME).collect()
}

/// Whether it can be an account's address.
pub fn is_email(text: &str) -> bool {
    let is_plain = !text.chars().any(|c| c.is_whitespace() || c.is_control());
    is_plain
        && text.len() <= MAX_EMAIL
        && text.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty())
}

/// The header, where it is there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => std::str::from_utf8(value.as_bytes()).ok(),
        _ => None,
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = only(headers, &header::AUTHORIZATION)?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let pairs = headers.get_all(header::COOKIE).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b';'));
    // Others on this host may have set some that are no ASCII.
    let mut values = pairs.filter_map(|pair| {
        let (key, value) = std::str::from_utf8(pair).ok()?.trim().split_once('=')?;
        (key == name).then_some(value)
    });
    let first = values.next()?;
    values.next().is_none().then_some(first)
}

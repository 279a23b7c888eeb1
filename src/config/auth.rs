//! Section `[auth]`: who may come in, and how they are known.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};

use super::load::comma_list;

/// The shortest secret that another service may share with us, in bytes: the length of what it makes with it (RFC 7518, 3.2).
pub const SHORTEST_SECRET: usize = 32;
/// What a revoked user's stream may take to close.
const LONGEST_RECHECK: Duration = Duration::from_secs(10);

/// Section `[auth]`.
#[derive(Debug, Clone, Deserialize)]
pub struct Auth {
    /// How people are known.
    pub mode: AuthMode,
    /// Allow-list of emails; `*` for all.
    #[serde(deserialize_with = "comma_list")]
    pub owners: Vec<String>,
    /// Emails of those who are admins, whatever else is said of them.
    #[serde(deserialize_with = "comma_list")]
    pub admins: Vec<String>,
    /// Life of a browser's sign-in.
    #[serde(with = "humantime_serde")]
    pub session_ttl: Duration,
    /// Life of the printed sign-in link.
    #[serde(with = "humantime_serde")]
    pub link_ttl: Duration,
    /// Whether browsers may send the cookie over HTTPS only.
    pub cookie_secure: bool,
    /// Where people sign in that come without credentials; empty for nowhere.
    pub sign_in_url: String,
    /// Attempts to sign in, and wrong tokens, from one address within a minute.
    pub max_attempts: u32,
    /// From one look whether the user of an open stream may still come in to the next.
    #[serde(with = "humantime_serde")]
    pub recheck: Duration,
    /// Addresses and networks of the proxies that are believed.
    #[serde(deserialize_with = "networks")]
    pub proxy_addresses: Vec<IpNet>,
    /// What a proxy has to send along to be believed; empty for nothing.
    pub proxy_secret: SecretString,
    /// Header with the user's email.
    pub proxy_email_header: String,
    /// Header with the user's name; empty for none.
    pub proxy_name_header: String,
    /// Header with the user's roles; empty for none.
    pub proxy_role_header: String,
    /// Secret of HS256, or a public key in PEM.
    pub jwt_key: SecretString,
    /// The same in a file.
    pub jwt_key_file: PathBuf,
    /// A JWK set in a file.
    pub jwt_jwks_file: PathBuf,
    /// A JWK set at an address.
    pub jwt_jwks_url: String,
    /// How long a JWK set holds.
    #[serde(with = "humantime_serde")]
    pub jwt_refresh: Duration,
    /// Required issuer; empty for any.
    pub jwt_issuer: String,
    /// Required audience; empty for none, and then a token may not name one.
    pub jwt_audience: String,
    /// Cookie with the token, beside the header; empty for none.
    pub jwt_cookie: String,
    /// Claim with the user's id, a UUID; empty for none.
    pub jwt_id_claim: String,
    /// Claim with the user's email.
    pub jwt_email_claim: String,
    /// Claim with the user's name; empty for none.
    pub jwt_name_claim: String,
    /// Claim with the user's roles; empty for none.
    pub jwt_role_claim: String,
    /// The role, in that claim or header, of an admin.
    pub admin_role: String,
}

impl Auth {
    /// Whether the allow-list lets this address in. An empty list lets in every account that was made.
    pub fn allows(&self, email: &str) -> bool {
        self.owners.is_empty() || self.invites(email)
    }

    /// Whether the allow-list names this address, or everyone: such a person gets an account at first sight.
    pub fn invites(&self, email: &str) -> bool {
        self.owners.iter().any(|entry| entry == "*" || entry.eq_ignore_ascii_case(email))
    }

    /// Whether this is an admin by configuration.
    pub fn is_admin(&self, email: &str) -> bool {
        self.admins.iter().any(|entry| entry.eq_ignore_ascii_case(email))
    }

    /// Whether any program on this host may say who people are.
    pub fn believes_this_host(&self) -> bool {
        let is_open = self.mode == AuthMode::Proxy && self.proxy_secret.expose_secret().is_empty();
        let here = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        is_open
            && (self.proxy_addresses.iter().any(|network| network.addr().is_loopback())
                || here.iter().any(|here| self.is_proxy(*here)))
    }

    /// Whether requests from this address come from a proxy that is believed.
    pub fn is_proxy(&self, address: IpAddr) -> bool {
        self.proxy_addresses.iter().any(|network| network.contains(&address.to_canonical()))
    }

    /// The address of the owner in `local` mode.
    pub fn owner_email(&self) -> &str {
        self.owners.iter().map(String::as_str).find(|entry| *entry != "*").unwrap_or("owner@localhost")
    }
}

/// How people are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum AuthMode {
    /// One owner on this machine, by sign-in link; further accounts by API token.
    Local,
    /// By headers of a proxy that has signed them in.
    Proxy,
    /// By a JWT of another service.
    Jwt,
}

impl TryFrom<String> for AuthMode {
    type Error = String;
    fn try_from(word: String) -> Result<Self, String> {
        match word.as_str() {
            "local" => Ok(Self::Local),
            "proxy" => Ok(Self::Proxy),
            "jwt" => Ok(Self::Jwt),
            _ => Err(format!("{word:?} is not known; there are `local`, `proxy` and `jwt`")),
        }
    }
}

/// Where the keys of `jwt` mode are.
#[derive(Debug, Clone)]
pub enum JwtKeys {
    /// One key, from here or from a file that is read once.
    Key(SecretString),
    /// A file with a key.
    KeyFile(PathBuf),
    /// A file with a JWK set.
    SetFile(PathBuf),
    /// The address of a JWK set.
    SetUrl(String),
}

impl Auth {
    /// Where the keys are.
    ///
    /// # Errors
    /// Where there is not exactly one way to them; the text names the keys of the configuration.
    pub fn jwt_keys(&self) -> Result<JwtKeys, String> {
        let key = Some(&self.jwt_key).filter(|key| !key.expose_secret().is_empty());
        let file = |path: &PathBuf| Some(path.clone()).filter(|path| !path.as_os_str().is_empty());
        let url = Some(self.jwt_jwks_url.clone()).filter(|url| !url.is_empty());
        let ways: Vec<JwtKeys> = [
            key.map(|key| JwtKeys::Key(key.clone())),
            file(&self.jwt_key_file).map(JwtKeys::KeyFile),
            file(&self.jwt_jwks_file).map(JwtKeys::SetFile),
            url.map(JwtKeys::SetUrl),
        ]
        .into_iter()
        .flatten()
        .collect();
        let names = "auth.jwt_key, auth.jwt_key_file, auth.jwt_jwks_file and auth.jwt_jwks_url";
        match <[JwtKeys; 1]>::try_from(ways) {
            Ok([way]) => Ok(way),
            Err(ways) if ways.is_empty() => Err(format!("auth.mode = jwt needs one of {names}")),
            Err(_) => Err(format!("only one of {names} may be set")),
        }
    }

    /// What the types cannot say.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.recheck > LONGEST_RECHECK {
            return Err("auth.recheck must be at most 10s".to_owned());
        }
        let short = |secret: &SecretString| (1..SHORTEST_SECRET).contains(&secret.expose_secret().len());
        for (key, secret) in [("auth.proxy_secret", &self.proxy_secret), ("auth.jwt_key", &self.jwt_key)] {
            if short(secret) {
                return Err(format!("{key} must have at least {SHORTEST_SECRET} bytes"));
            }
        }
        let headers = [
            ("auth.proxy_email_header", &self.proxy_email_header, self.mode == AuthMode::Proxy),
            ("auth.proxy_name_header", &self.proxy_name_header, false),
            ("auth.proxy_role_header", &self.proxy_role_header, false),
        ];
        for (key, name, needed) in headers {
            let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
            if !is_name || (needed && name.is_empty()) {
                return Err(format!("{key} is {name:?}: it must be the name of a header"));
            }
        }
        let url = &self.sign_in_url;
        let is_usable = ["https://", "http://"].iter().any(|scheme| url.starts_with(scheme)) || is_own_path(url);
        if !url.is_empty() && !is_usable {
            return Err("auth.sign_in_url must begin with https://, http:// or /".to_owned());
        }
        match self.mode {
            AuthMode::Local => Ok(()),
            AuthMode::Proxy if self.proxy_addresses.is_empty() => {
                Err("auth.mode = proxy needs auth.proxy_addresses: from where the proxy's requests come".to_owned())
            }
            AuthMode::Proxy => Ok(()),
            AuthMode::Jwt if self.jwt_email_claim.is_empty() => Err("auth.jwt_email_claim is empty".to_owned()),
            AuthMode::Jwt => match self.jwt_keys()? {
                JwtKeys::SetUrl(url) => check_url(&url),
                _ => Ok(()),
            },
        }
    }
}

fn is_own_path(url: &str) -> bool {
    url.starts_with('/') && !url.starts_with("//")
}

/// Whoever can change the answer on its way could let anyone in.
fn check_url(url: &str) -> Result<(), String> {
    let wrong = |problem| format!("auth.jwt_jwks_url {problem}");
    let url = reqwest::Url::parse(url).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let is_here = host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_here => Ok(()),
        _ => Err(wrong("must be an https address".to_owned())),
    }
}

/// A list of addresses and networks.
fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let network = |text: &String| {
        let network = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        network.ok_or_else(|| serde::de::Error::custom(format!("{text:?} is neither an address nor a network")))
    };
    comma_list(deserializer)?.iter().map(network).collect()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::super::{Config, load};

    fn with(variables: &[(&str, &str)]) -> Result<Config, String> {
        let mut all = vec![(OsString::from("HOME"), OsString::from("/home/someone"))];
        all.extend(variables.iter().map(|(name, value)| (OsString::from(*name), OsString::from(*value))));
        load(None, &all).map_err(|error| error.to_string())
    }

    #[test]
    fn each_mode_says_what_it_lacks() {
        const SECRET: &str = "0123456789abcdef0123456789abcdef";
        let jwt = ("PALIADIN_AUTH_MODE", "jwt");
        let proxy = ("PALIADIN_AUTH_MODE", "proxy");
        let url = "PALIADIN_AUTH__JWT_JWKS_URL";
        let cases: &[(&[(&str, &str)], &str)] = &[
            (&[jwt], "auth.jwt_jwks_url"),
            (&[jwt, ("PALIADIN_AUTH__JWT_KEY", SECRET), (url, "https://x.example")], "only one of"),
            (&[jwt, (url, "http://x.example/keys")], "auth.jwt_jwks_url must be an https address"),
            (&[jwt, (url, "x")], "auth.jwt_jwks_url"),
            (&[proxy], "auth.proxy_addresses"),
            (&[proxy, ("PALIADIN_AUTH__PROXY_ADDRESSES", "10.0.0.1, here")], "\"here\""),
            (&[("PALIADIN_AUTH__PROXY_SECRET", "short")], "auth.proxy_secret"),
            (&[("PALIADIN_AUTH__PROXY_NAME_HEADER", "a b")], "auth.proxy_name_header"),
            (&[("PALIADIN_AUTH__RECHECK", "11s")], "auth.recheck"),
            (&[("PALIADIN_AUTH__SIGN_IN_URL", "javascript:alert(1)")], "auth.sign_in_url"),
            (&[("PALIADIN_AUTH__SIGN_IN_URL", "//evil.example")], "auth.sign_in_url"),
        ];
        for (variables, words) in cases {
            let error = with(variables).unwrap_err();
            assert!(
                error.contains(words) && !error.contains(SECRET) && !error.contains("short"),
                "{variables:?}: {error}"
            );
        }
        for good in ["https://x.example/keys", "http://127.0.0.1:1/keys", "http://[::1]/keys", "http://localhost/keys"]
        {
            assert!(with(&[jwt, (url, good)]).is_ok(), "{good}");
        }
    }

    #[test]
    fn proxies_are_known_by_address_and_network() {
        let config = with(&[("PALIADIN_AUTH__PROXY_ADDRESSES", "10.0.0.0/8,::1, 192.0.2.7")]).unwrap();
        for (address, known) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("::1", true),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("127.0.0.1", false),
        ] {
            assert_eq!(config.auth.is_proxy(address.parse().unwrap()), known, "{address}");
        }
    }

    #[test]
    fn it_is_known_when_any_program_here_is_believed() {
        for (addresses, secret, believed) in [
            ("127.0.0.0/8", "", true),
            ("::1", "", true),
            ("0.0.0.0/0", "", true),
            ("10.0.0.1", "", false),
            ("127.0.0.1", "0123456789abcdef0123456789abcdef", false),
        ] {
            let config = with(&[
                ("PALIADIN_AUTH_MODE", "proxy"),
                ("PALIADIN_AUTH__PROXY_ADDRESSES", addresses),
                ("PALIADIN_AUTH__PROXY_SECRET", secret),
            ]);
            assert_eq!(config.unwrap().auth.believes_this_host(), believed, "{addresses}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let config = with(&[
            ("PALIADIN_AUTH__JWT_KEY", "planted-0123456789abcdef01234567"),
            ("PALIADIN_AUTH__PROXY_SECRET", "planted-0123456789abcdef01234567"),
            ("DATABASE_URL", "postgres://someone:planted@localhost/x"),
        ]);
        assert!(!format!("{:?}", config.unwrap()).contains("planted"));
    }
}

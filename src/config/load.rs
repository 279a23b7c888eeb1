//! Lays the sources over each other, and says of every bad key and value where it came from.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use config::{File, FileFormat, Map, Source, Value, ValueKind};
use secrecy::ExposeSecret;
use serde::{Deserialize, Deserializer};

use super::{Config, DEFAULTS, SHORTEST_SECRET};

/// Environment variables with a name of their own, and the key that each one sets.
const SHORT_NAMES: &[(&str, &str)] = &[
    ("PALIADIN_LISTEN", "server.listen"),
    ("PALIADIN_ENABLED", "server.enabled"),
    ("PALIADIN_STATE_DIR", "state.dir"),
    ("DATABASE_URL", "store.url"),
    ("PALIADIN_BACKEND", "backend.kind"),
    ("PALIADIN_PROFILE", "agent.profile"),
    ("PALIADIN_SESSION_PREFIX", "agent.session_prefix"),
    ("PALIADIN_JWT_SECRET", "agent.jwt_secret"),
    ("PALIADIN_AUTH_MODE", "auth.mode"),
    ("PALIADIN_OWNERS", "auth.owners"),
    ("PALIADIN_LOG_FORMAT", "log.format"),
];

/// Variables of ours that are no configuration of the server.
const OTHER_NAMES: &[&str] = &[
    "PALIADIN_CONFIG",
    "PALIADIN_URL",
    "PALIADIN_TOKEN",
    "PALIADIN_SPOOL",
    "PALIADIN_SESSION",
    "PALIADIN_DEMO_TYPED_LOG",
    "PALIADIN_FAULTS",
];

/// The largest number of bytes, or of anything else, that can be configured.
const LARGEST_SIZE: usize = 64 * 1024 * 1024;
/// The longest message that can be typed instead of handed over in a file: much more would fill the terminal's buffers.
const LARGEST_INLINE: usize = 64 * 1024;
/// The bounds of every duration.
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Why the configuration cannot be used. One line, for people.
#[derive(Debug, thiserror::Error)]
#[error("configuration: {0}")]
pub struct ConfigError(String);

impl ConfigError {
    fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// Builds the configuration from the defaults, `file` if given, and the variables.
///
/// # Errors
/// A key that does not exist or a value that cannot be used, with its name, what is wrong, and where it was set.
pub fn load(file: Option<&Path>, variables: &[(OsString, OsString)]) -> Result<Config, ConfigError> {
    let defaults = File::from_str(DEFAULTS, FileFormat::Toml);
    let environment = Environment::read(variables)?;
    let known = flatten(&collect(&defaults)?);
    let mut origins = known.clone();

    let mut builder = config::Config::builder().add_source(defaults);
    if let Some(path) = file {
        let overlay = File::from(path.to_path_buf()).format(FileFormat::Toml);
        origins.extend(known_keys(&known, &collect(&overlay)?)?);
        builder = builder.add_source(overlay);
    }
    origins.extend(known_keys(&known, &collect(&environment)?)?);
    let merged = builder.add_source(environment).build().map_err(|error| unreadable(&error))?;
    let mut config: Config = merged.try_deserialize().map_err(|error| bad_value(&error.to_string(), &origins))?;
    complete(&mut config, variables)?;
    Ok(config)
}

/// The names of the variables that are configuration, in their order.
pub fn variables_read(variables: &[(OsString, OsString)]) -> Vec<String> {
    let read = Environment::read(variables).map(|environment| environment.0).unwrap_or_default();
    let names = read.iter().filter_map(|(_, value)| value.origin()?.rsplit(' ').next().map(str::to_owned));
    names.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
}

/// Fills in what depends on the surroundings, and checks what a type cannot say.
fn complete(config: &mut Config, variables: &[(OsString, OsString)]) -> Result<(), ConfigError> {
    if config.state.dir.as_os_str().is_empty() {
        config.state.dir = default_state_dir(variables)?;
    }
    config.state.dir = std::path::absolute(&config.state.dir)
        .map_err(|error| ConfigError::new(format!("state.dir cannot be made absolute: {error}")))?;
    if config.store.url.is_empty() {
        config.store.url = format!("sqlite://{}", config.state.dir.join("paliadin.db").display());
    }
    let names_file = config.store.sqlite_path().is_some_and(|path| !path.as_os_str().is_empty());
    if !names_file && !config.store.is_postgres() {
        // What follows the scheme may hold a password.
        let scheme = config.store.url.split_once("://").map_or("nameless", |(scheme, _)| scheme);
        return Err(ConfigError::new(format!(
            "store.url (DATABASE_URL) must be `sqlite://PATH` or `postgres://…`, not a `{scheme}` address"
        )));
    }
    let prefix = &config.agent.session_prefix;
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if prefix.is_empty() || prefix.len() > 24 || prefix.starts_with('-') || !prefix.chars().all(fits) {
        return Err(ConfigError::new(format!(
            "agent.session_prefix (PALIADIN_SESSION_PREFIX) is {prefix:?}: it must be 1 to 24 letters, digits, `_`, `-` or `.`, not beginning with `-`"
        )));
    }
    // Nothing of the secret itself is told.
    let secret = config.agent.jwt_secret.expose_secret();
    if !secret.is_empty() && secret.len() < SHORTEST_SECRET {
        return Err(ConfigError::new(format!(
            "agent.jwt_secret (PALIADIN_JWT_SECRET) is too short: it must have at least {SHORTEST_SECRET} bytes, or none"
        )));
    }
    if config.agent.jwt_audience.is_empty() {
        return Err(ConfigError::new("agent.jwt_audience must not be empty"));
    }
    let sizes = [
        ("turn.inline_limit", config.turn.inline_limit),
        ("turn.max_message", config.turn.max_message),
        ("turn.max_response", config.turn.max_response),
        ("turn.queue_limit", config.turn.queue_limit as usize),
        ("server.max_connections", config.server.max_connections),
        ("server.max_streams", config.server.max_streams),
        ("auth.max_attempts", config.auth.max_attempts as usize),
        ("agent.restart_limit", config.agent.restart_limit),
        ("stream.max_lag", config.stream.max_lag),
    ];
    for (key, value) in sizes {
        if !(1..=LARGEST_SIZE).contains(&value) {
            return Err(ConfigError::new(format!("{key} is {value}: it must be from 1 to {LARGEST_SIZE}")));
        }
    }
    if config.turn.inline_limit > LARGEST_INLINE {
        return Err(ConfigError::new(format!("turn.inline_limit must be at most {LARGEST_INLINE}")));
    }
    let durations = [
        ("server.write_timeout", config.server.write_timeout),
        ("server.head_timeout", config.server.head_timeout),
        ("server.request_timeout", config.server.request_timeout),
        ("agent.ready_timeout", config.agent.ready_timeout),
        ("agent.confirm_timeout", config.agent.confirm_timeout),
        ("agent.interrupt_timeout", config.agent.interrupt_timeout),
        ("agent.restart_backoff", config.agent.restart_backoff),
        ("agent.restart_backoff_max", config.agent.restart_backoff_max),
        ("agent.restart_period", config.agent.restart_period),
        ("health.timeout", config.health.timeout),
        ("turn.recovery_window", config.turn.recovery_window),
        ("janitor.interval", config.janitor.interval),
        ("janitor.orphan_age", config.janitor.orphan_age),
        ("stream.thinking", config.stream.thinking),
        ("stream.ping", config.stream.ping),
        ("stream.retry", config.stream.retry),
        ("auth.session_ttl", config.auth.session_ttl),
        ("auth.link_ttl", config.auth.link_ttl),
        ("auth.jwt_refresh", config.auth.jwt_refresh),
        ("auth.recheck", config.auth.recheck),
    ];
    for (key, value) in durations {
        if !(SHORTEST..=LONGEST).contains(&value) {
            let value = humantime_serde::re::humantime::format_duration(value);
            return Err(ConfigError::new(format!("{key} is {value}: it must be from 1ms to 10 years")));
        }
    }
    config.auth.check().map_err(ConfigError::new)
}

/// The state directory where none is configured.
///
/// # Errors
/// Where the environment does not tell.
pub fn default_state_dir(variables: &[(OsString, OsString)]) -> Result<PathBuf, ConfigError> {
    let variable = |name: &str| {
        let found = variables.iter().find(|(key, _)| key == name).map(|(_, value)| PathBuf::from(value));
        found.filter(|path| path.is_absolute())
    };
    variable("XDG_STATE_HOME")
        .or_else(|| variable("HOME").map(|home| home.join(".local/state")))
        .map(|base| base.join("paliadin"))
        .ok_or_else(|| {
            ConfigError::new("state.dir is not set, and neither XDG_STATE_HOME nor HOME is an absolute path")
        })
}

fn collect(source: &dyn Source) -> Result<Map<String, Value>, ConfigError> {
    source.collect().map_err(|error| unreadable(&error))
}

/// Where and how a file is no TOML. Its line is not quoted: it may be the one with a secret.
fn unreadable(error: &config::ConfigError) -> ConfigError {
    let config::ConfigError::FileParse { uri, cause } = error else { return ConfigError::new(error.to_string()) };
    let shown = cause.to_string();
    // The first line tells the place, those that follow show it.
    let place = shown.lines().next().unwrap_or_default();
    let how = cause.downcast_ref::<toml::de::Error>().map(|error| format!(": {}", error.message())).unwrap_or_default();
    ConfigError::new(format!("{place}{how} in {}", uri.as_deref().unwrap_or("the configuration")))
}

/// `section.key` → where it was set.
fn flatten(map: &Map<String, Value>) -> BTreeMap<String, String> {
    let mut flat = BTreeMap::new();
    for (section, value) in map {
        match &value.kind {
            ValueKind::Table(table) => {
                for (key, value) in table {
                    flat.insert(format!("{section}.{key}"), origin(value));
                }
            }
            _ => {
                flat.insert(section.clone(), origin(value));
            }
        }
    }
    flat
}

fn origin(value: &Value) -> String {
    value.origin().unwrap_or("the built-in defaults").to_owned()
}

/// The keys of a source and where it sets them.
fn known_keys(
    known: &BTreeMap<String, String>,
    source: &Map<String, Value>,
) -> Result<BTreeMap<String, String>, ConfigError> {
    let keys = flatten(source);
    match keys.iter().find(|(key, _)| !known.contains_key(*key)) {
        None => Ok(keys),
        Some((key, origin)) => Err(ConfigError::new(format!("unknown key `{key}` in {origin}"))),
    }
}

/// Names the key in every case, but the origin in some only.
fn bad_value(error: &str, origins: &BTreeMap<String, String>) -> ConfigError {
    let origin = error.split('`').find_map(|word| origins.get(word)).filter(|origin| !error.contains(origin.as_str()));
    ConfigError::new(origin.map_or_else(|| error.to_owned(), |origin| format!("{error} in {origin}")))
}

/// The variables that are configuration, under their keys.
#[derive(Debug, Clone)]
struct Environment(Vec<(String, Value)>);

impl Environment {
    fn read(variables: &[(OsString, OsString)]) -> Result<Self, ConfigError> {
        let mut found = Vec::new();
        for (name, value) in variables {
            let Some(name) = name.to_str() else { continue };
            let short = SHORT_NAMES.iter().find(|(short, _)| *short == name).map(|(_, key)| (*key).to_owned());
            let long = || {
                let (section, key) = name.strip_prefix("PALIADIN_")?.split_once("__")?;
                Some(format!("{}.{}", section.to_ascii_lowercase(), key.to_ascii_lowercase()))
            };
            let Some(key) = short.or_else(long) else {
                let ours = name.starts_with("PALIADIN_") && !name.starts_with("PALIADIN_TEST_");
                if ours && !OTHER_NAMES.contains(&name) {
                    return Err(ConfigError::new(format!("unknown environment variable {name}")));
                }
                continue;
            };
            let text = value
                .to_str()
                .ok_or_else(|| ConfigError::new(format!("`{key}` in environment variable {name} is not UTF-8")))?;
            let origin = format!("environment variable {name}");
            found.push((key, Value::new(Some(&origin), text)));
        }
        // Short names win over long ones, whatever the order of the environment.
        found.sort_by_key(|(_, value)| value.origin().is_some_and(|origin| !origin.contains("__")));
        Ok(Self(found))
    }
}

impl Source for Environment {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, config::ConfigError> {
        let mut sections: Map<String, Value> = Map::new();
        for (path, value) in &self.0 {
            let (section, key) = path.split_once('.').unwrap_or((path, ""));
            let entry = sections.entry(section.to_owned());
            let table = entry
                .or_insert_with(|| Value::new(value.origin().map(str::to_owned).as_ref(), Map::<String, Value>::new()));
            if let ValueKind::Table(table) = &mut table.kind {
                table.insert(key.to_owned(), value.clone());
            }
        }
        Ok(sections)
    }
}

/// A list, or one string with commas.
pub(super) fn comma_list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum ListOrText {
        List(Vec<String>),
        Text(String),
    }
    let items = match ListOrText::deserialize(deserializer)? {
        ListOrText::List(items) => items,
        ListOrText::Text(text) => text.split(',').map(str::to_owned).collect(),
    };
    Ok(items.iter().map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let mut all = vec![(OsString::from("HOME"), OsString::from("/home/someone"))];
        all.extend(variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))));
        load(None, &all)
    }

    #[test]
    fn defaults_are_complete() {
        let config = with(&[]).unwrap();
        assert_eq!(config.server.listen.port(), 8717);
        assert_eq!(config.state.dir, Path::new("/home/someone/.local/state/paliadin"));
        assert_eq!(config.store.url, "sqlite:///home/someone/.local/state/paliadin/paliadin.db");
        assert_eq!((config.health.cache.as_secs(), config.health.timeout.as_secs()), (10, 3));
        assert_eq!(config.agent.restart_limit, 5);
    }

    #[test]
    fn variables_lie_over_defaults() {
        let config = with(&[
            ("PALIADIN_TURN__QUEUE_LIMIT", "3"),
            ("PALIADIN_STREAM__PING", "250ms"),
            ("PALIADIN_OWNERS", "a@example.org, b@example.org"),
            ("PALIADIN_ENABLED", "false"),
        ])
        .unwrap();
        assert_eq!(config.turn.queue_limit, 3);
        assert_eq!(config.stream.ping.as_millis(), 250);
        assert_eq!(config.auth.owners, ["a@example.org", "b@example.org"]);
        assert!(!config.server.enabled);
    }

    #[test]
    fn a_bad_key_or_value_names_itself_and_its_origin() {
        let wrong = |variables: &[(&str, &str)]| with(variables).unwrap_err().to_string();
        let text = wrong(&[("PALIADIN_TURN__SPEED", "9")]);
        assert!(text.contains("turn.speed") && text.contains("PALIADIN_TURN__SPEED"), "{text}");
        let text = wrong(&[("PALIADIN_LISTEN", "nowhere")]);
        assert!(text.contains("server.listen") && text.contains("PALIADIN_LISTEN"), "{text}");
        let text = wrong(&[("PALIADIN_STREAM__PING", "soon")]);
        assert!(text.contains("stream.ping") && text.contains("PALIADIN_STREAM__PING"), "{text}");
        let text = wrong(&[("PALIADIN_AUTH_MODE", "nobody")]);
        assert!(
            text.contains("auth.mode") && text.contains("PALIADIN_AUTH_MODE") && text.contains("`local`"),
            "{text}"
        );
        let text = wrong(&[("PALIADIN_AGENT__SESSION_SCOPE", "page")]);
        assert!(text.contains("agent.session_scope") && text.contains("`conversation`"), "{text}");
        let text = wrong(&[("PALIADIN_LISTN", "127.0.0.1:1")]);
        assert!(text.contains("PALIADIN_LISTN"), "{text}");
        let text = wrong(&[("DATABASE_URL", "mysql://x")]);
        assert!(text.contains("DATABASE_URL"), "{text}");
    }
}

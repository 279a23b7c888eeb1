//! The server: everything put together, from a configuration to a running product and back to nothing.

mod choice;
mod held;
mod passage;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::actors::root::Tree;
use crate::actors::{Limits, Patience, Probing, Restarts, Upkeep};
use crate::agent::profile::ProfileError;
use crate::agent::token::TurnTokens;
use crate::backend::BackendError;
use crate::config::{AuthMode, Config, SessionScope};
use crate::http::auth::TOKEN_PREFIX;
use crate::http::auth::jwt::Verifier;
use crate::http::auth::limits::Limits as RequestLimits;
use crate::http::listener::GuardedListener;
use crate::http::signin::SignInLinks;
use crate::http::{App, router, serve};
use crate::private;
use crate::secret;
use crate::store::postgres::{PostgresOptions, PostgresStore};
use crate::store::sqlite::SqliteStore;
use crate::store::{ApiToken, AuditEntry, Role, SharedStore, StoreError, User, Write, Written, write_all};
use crate::streams::Streams;
use crate::turn::{Timestamp, UserId};
pub use choice::local_config;
pub use held::{is_running, once_free};
pub use passage::open as open_passage;

/// The name of the command line's own token.
const CLI_TOKEN: &str = "command line of this host";
/// How long connections may take to end after the streams were closed.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a stop may take in all. What is not recorded by then is found again at the next start.
const STOP_TIMEOUT: Duration = Duration::from_millis(4_500);

/// Why the server cannot start. One line, for people.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The agent's profile.
    #[error("{0}")]
    Profile(#[from] ProfileError),
    /// The backend that was asked for.
    #[error("backend: {0}")]
    Backend(#[from] BackendError),
    /// The backend can run here, and did not start.
    #[error("backend: {0}")]
    Agents(BackendError),
    /// The actors.
    #[error("actors: {0}")]
    Actors(#[from] ractor::SpawnErr),
    /// Files or sockets.
    #[error("{what}: {error}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        error: std::io::Error,
    },
    /// No randomness for secrets.
    #[error("the system has no random numbers: {0}")]
    Random(#[from] getrandom::Error),
    /// The actors ended.
    #[error("a part that nothing works without ended too often; the log tells why")]
    Ended,
    /// The configuration does not fit together.
    #[error("{0}")]
    Configuration(String),
}

impl StartError {
    /// Whether the configuration is to be mended, rather than the surroundings.
    pub fn is_configuration(&self) -> bool {
        matches!(self, Self::Configuration(_) | Self::Profile(_) | Self::Backend(_))
    }

    fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |error| Self::Io { what, error }
    }
}

/// A product that is put together and not serving yet.
pub struct Server {
    app: App,
    tree: Tree,
    closing: watch::Sender<bool>,
    /// In `local` mode.
    owner: Option<User>,
    /// Held for as long as the server lives.
    _lock: std::fs::File,
}

impl Server {
    /// Opens the store, chooses the backend, starts the actors, and looks after what an earlier process left open.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let config = Arc::new(config);
        private_dir(&config)?;
        let lock = held::lock_state(&config).await?;
        let store = open_store(&config).await?;
        let verifier = Verifier::start(&config.auth).await.map_err(StartError::Configuration)?;
        let owner = match config.auth.mode {
            AuthMode::Local => Some(owner(&*store, &config).await?),
            AuthMode::Proxy | AuthMode::Jwt => None,
        };
        let backend = choice::choose_backend(&config).await?;
        tracing::info!(backend = backend.name(), profile = backend.profile(), "backend chosen");
        if backend.name() == "local" && config.auth.believes_this_host() {
            tracing::warn!("agents on this host can say that they are anyone: set auth.proxy_secret");
        }
        let streams = Arc::new(Streams::default());
        let limits = Limits {
            queue: config.turn.queue_limit,
            conversations_apart: config.agent.session_scope == SessionScope::Conversation,
            live_agents: config.agent.max_live,
            patience: Patience { silence: config.turn.silence_timeout, deadline: config.turn.deadline },
            drain: config.turn.drain_timeout,
            restarts: Restarts {
                backoff: config.agent.restart_backoff,
                backoff_max: config.agent.restart_backoff_max,
                limit: config.agent.restart_limit,
                period: config.agent.restart_period,
            },
            idle_timeout: config.agent.idle_timeout,
            primer_turns: config.agent.primer_turns,
            health: Probing { cache: config.health.cache, timeout: config.health.timeout },
            upkeep: Upkeep {
                interval: config.janitor.interval,
                recovery_window: config.turn.recovery_window,
                orphan_age: config.janitor.orphan_age,
                retention: config.janitor.retention,
            },
            session_prefix: config.agent.session_prefix.replace('.', "_"),
        };
        let agent = &config.agent;
        let tokens = TurnTokens::signed_with(&agent.jwt_secret, &agent.jwt_audience, config.turn.deadline);
        let tree = Tree::start(store.clone(), backend.clone(), streams.clone(), tokens, limits).await?;
        let (closing, closed) = watch::channel(false);
        let request_limits = RequestLimits::new(&config);
        let app = App {
            hosts: Arc::new(hosts(&config)),
            config,
            store,
            recorder: tree.recorder.clone(),
            sessions: tree.sessions.clone(),
            janitor: tree.janitor.clone(),
            streams,
            registry: tree.registry.clone(),
            backend,
            links: Arc::new(SignInLinks::default()),
            verifier: verifier.map(Arc::new),
            sayings: Arc::default(),
            limits: Arc::new(request_limits),
            admissions: Arc::default(),
            closing: closed,
        };
        Ok(Self { app, tree, closing, owner, _lock: lock })
    }

    /// What handlers share.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// The path of a new sign-in link for the owner; `None` where there are no such links.
    ///
    /// # Errors
    /// Where the system has no random numbers.
    pub fn sign_in_path(&self) -> Result<Option<String>, StartError> {
        let Some(owner) = &self.owner else { return Ok(None) };
        let link = self.app.links.issue(owner.user_id, self.app.config.auth.link_ttl)?;
        Ok(Some(format!("/paliadin/sign-in?token={link}")))
    }

    /// Makes sure that the command line of this host has a valid token, in a file that only its account can read. In other
    /// modes than `local` nobody gets in by being here: a token that an earlier start left is ended.
    ///
    /// # Errors
    /// Where the store or the file cannot be written.
    pub async fn write_cli_token(&self) -> Result<(), StartError> {
        let path = self.app.config.state.cli_token();
        let in_file = private::read(&path).map(|text| secret::hash(text.trim())).unwrap_or_default();
        let Some(owner) = &self.owner else {
            self.end_cli_tokens("").await?;
            return match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(StartError::io(format!("{} cannot be removed", path.display()))(error))
                }
                _ => Ok(()),
            };
        };
        let tokens = self.app.store.tokens(owner.user_id).await?;
        let is_ours = |token: &ApiToken| token.name == CLI_TOKEN && token.revoked_at.is_none() && token.hash == in_file;
        if tokens.iter().any(is_ours) {
            return self.end_cli_tokens(&in_file).await;
        }
        self.end_cli_tokens("").await?;
        let secret = secret::generate(TOKEN_PREFIX)?;
        self.app.recorder.write(Write::CreateToken(new_token(owner.user_id, CLI_TOKEN, &secret))).await?;
        private::write(&path, &secret).map_err(StartError::io(format!("{} cannot be written", path.display())))
    }

    /// Ends what earlier starts made for the command line, whoever was the owner then, but for the token with this hash.
    async fn end_cli_tokens(&self, but: &str) -> Result<(), StartError> {
        let (name, except) = (CLI_TOKEN.to_owned(), but.to_owned());
        let ended = self.app.recorder.write(Write::RevokeTokensNamed { name, except, at: Timestamp::now() }).await?;
        if ended != Written::Count(0) {
            tracing::info!("tokens of the command line, that earlier starts had made, were ended");
            self.app.recorder.later(Write::Audit(AuditEntry::now("system", "token.revoke", CLI_TOKEN)));
        }
        Ok(())
    }

    /// Serves until `shutdown` resolves, then stops everything.
    ///
    /// # Errors
    /// Where the listener fails.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) -> Result<(), StartError> {
        let write_timeout = self.app.config.server.write_timeout;
        let listener = GuardedListener { inner: listener, write_timeout };
        let limits = serve::Limits::new(&self.app.config.server);
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let stopped = async {
            let _ = stopped.await;
        };
        let mut serving = tokio::spawn(serve::serve(listener, router(self.app.clone()), limits, stopped));
        let by;
        tokio::select! {
            ended = &mut serving => {
                let ended = ended.unwrap_or_else(|error| Err(std::io::Error::other(error)));
                ended.map_err(StartError::io("serving"))?;
                by = Instant::now() + STOP_TIMEOUT;
            }
            () = self.tree.ended() => {
                serving.abort();
                self.app.backend.detach().await;
                return Err(StartError::Ended);
            }
            () = shutdown => {
                tracing::info!("stopping; agents go on with their turns");
                by = Instant::now() + STOP_TIMEOUT;
                // Streams end, so that clients come again; then the connections do.
                self.closing.send_replace(true);
                let _ = stop.send(());
                if tokio::time::timeout(DRAIN_TIMEOUT, &mut serving).await.is_err() {
                    tracing::warn!("connections did not end in time");
                    serving.abort();
                }
            }
        }
        let stop = async {
            self.tree.stop().await;
            self.app.backend.detach().await;
            self.app.store.close().await;
        };
        match tokio::time::timeout_at(by, stop).await {
            Ok(()) => tracing::info!("stopped"),
            Err(_) => tracing::warn!("stopped before everything was recorded; the next start sees to it"),
        }
        Ok(())
    }
}

/// The state directory, for our account alone; agents of other accounts may pass through.
///
/// # Errors
/// Where it cannot be made.
pub fn private_dir(config: &Config) -> Result<(), StartError> {
    let dir = &config.state.dir;
    // It may be a link to another disk; what it leads to has to be ours alone.
    let real = std::fs::canonicalize(dir).unwrap_or_else(|_| dir.clone());
    private::passable(&real).map_err(|error| StartError::Configuration(format!("state.dir: {} {error}", dir.display())))
}

/// Opens the database that the configuration names.
///
/// # Errors
/// What the driver says.
pub async fn open_store(config: &Config) -> Result<SharedStore, StartError> {
    if let Some(path) = config.store.sqlite_path() {
        return Ok(Arc::new(SqliteStore::open(path).await?));
    }
    // Nothing of the address itself is told: it may hold a password.
    let wrong = |problem| StartError::Configuration(format!("store.url (DATABASE_URL): {problem}"));
    let options = PostgresOptions::from_url(&config.store.url).map_err(wrong)?;
    Ok(Arc::new(PostgresStore::open(options).await?))
}

/// A token of this user.
pub fn new_token(user_id: UserId, name: &str, secret: &str) -> ApiToken {
    ApiToken {
        token_id: uuid::Uuid::now_v7(),
        user_id,
        name: name.to_owned(),
        hash: secret::hash(secret),
        scopes: Vec::new(),
        expires_at: None,
        last_used_at: None,
        revoked_at: None,
    }
}

/// The owner's account, made where there is none.
async fn owner(store: &dyn crate::store::Store, config: &Config) -> Result<User, StartError> {
    let email = config.auth.owner_email();
    if let Some(user) = store.user_by_email(email).await? {
        return Ok(user);
    }
    let user = User {
        user_id: UserId(uuid::Uuid::new_v4()),
        email: email.to_owned(),
        display_name: String::new(),
        role: Role::Admin,
        disabled_at: None,
    };
    write_all(store, &[Write::SaveUser(user.clone())]).await?;
    Ok(user)
}

/// Names by which a request may address us.
fn hosts(config: &Config) -> Vec<String> {
    let mut hosts: Vec<String> = ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned).into();
    let ip = config.server.listen.ip();
    if !ip.is_unspecified() {
        hosts.push(if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() });
    }
    hosts.extend(config.server.allowed_hosts.iter().cloned());
    hosts
}

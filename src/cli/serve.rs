//! `paliadin serve`

use std::io::{ErrorKind, IsTerminal, Write};
use std::process::ExitCode;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::fail;
use crate::config::{Auth, AuthMode, Config, LogFormat, default_state_dir};
use crate::server::{self, Server, StartError};

/// Serves until SIGTERM or Ctrl-C. `closed` is what came of [`super::close_process`].
pub fn run(config: Config, closed: std::io::Result<()>) -> ExitCode {
    if let Err(error) = start_log(&config) {
        return fail(2, error);
    }
    if let Err(error) = closed {
        tracing::warn!(%error, "the process stays dumpable");
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(1, error),
    };
    let served = runtime.block_on(serve(config));
    // What still blocks (a database that another process has locked) shall not hold up the end.
    runtime.shutdown_background();
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(if error.is_configuration() { 2 } else { 1 }, error),
    }
}

fn start_log(config: &Config) -> Result<(), String> {
    let filter = match std::env::var("RUST_LOG") {
        Ok(text) if !text.is_empty() => {
            EnvFilter::builder().parse(&text).map_err(|error| format!("environment variable RUST_LOG: {error}"))?
        }
        _ => EnvFilter::new("info"),
    };
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Else a log that cannot be written (a full disk) would panic whoever logs.
    let log = log.log_internal_errors(false);
    match config.log.format {
        LogFormat::Text => log.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => log.json().init(),
    }
    Ok(())
}

async fn serve(config: Config) -> Result<(), StartError> {
    let address = config.server.listen;
    if config.auth.mode == AuthMode::Local && !address.ip().is_loopback() {
        let text = format!(
            "server.listen: {address} is no loopback address; auth.mode = local serves this host only (there are `proxy` and `jwt`)"
        );
        return Err(StartError::Configuration(text));
    }
    let io = |error| StartError::Io { what: format!("server.listen: {address}"), error };
    // Before anything else: a second server on this address shall not touch what the first one runs.
    let listener =
        server::once_free(async || TcpListener::bind(address).await, ErrorKind::AddrInUse).await.map_err(io)?;
    let url = format!("http://{}", listener.local_addr().map_err(io)?);
    let shutdown = shutdown_signal().map_err(|error| StartError::Io { what: "signals".to_owned(), error })?;
    let mut shutdown = Box::pin(shutdown);
    let server = tokio::select! {
        server = Server::start(config) => server?,
        // A start may take long: there is much to look after, or tmux does not answer. It begins anew the next time.
        () = &mut shutdown => {
            tracing::info!("stopped before the start was through");
            return Ok(());
        }
    };
    let mut words = format!("listening on {url}\n");
    if server.app().config.server.enabled {
        // Whoever waits for these words finds the token there.
        server.write_cli_token().await?;
        words.push_str(&introduction(&server, &url)?);
    }
    // Nobody may read them: the server serves all the same.
    if let Err(error) = std::io::stdout().write_all(words.as_bytes()) {
        tracing::warn!(%error, "standard output takes nothing");
    }
    server.serve(listener, shutdown).await
}

/// Tells a person how to begin.
fn introduction(server: &Server, url: &str) -> Result<String, StartError> {
    let own = std::env::current_exe();
    let program = own.map_or_else(|_| "paliadin".to_owned(), |path| quoted(&path.display().to_string()));
    // `ask` finds its token in the state directory; it has to be told of one that is not the default.
    let dir = &server.app().config.state.dir;
    let is_default = default_state_dir(&std::env::vars_os().collect::<Vec<_>>()).is_ok_and(|default| default == *dir);
    let state_dir =
        if is_default { String::new() } else { format!("PALIADIN_STATE_DIR={} ", quoted(&dir.display().to_string())) };
    let agent = match server.app().backend.profile() {
        "demo" => "The demo agent answers. Install Claude Code and restart to talk to it.".to_owned(),
        "" => "No agent can run here; see the log.".to_owned(),
        profile => format!("Agent: {profile}"),
    };
    let ask = format!("{state_dir}{program} ask --url {url} '!lines 20 100'");
    let (sign_in, ask) = match server.sign_in_path()? {
        Some(link) => (format!("{url}{link}"), ask),
        None => (signed_in_by(&server.app().config.auth), format!("PALIADIN_TOKEN=pal_… {ask}")),
    };
    Ok(format!("\n  sign in:  {sign_in}\n  or ask:   {ask}\n\n  {agent}\n\n"))
}

/// Who says who people are.
fn signed_in_by(auth: &Auth) -> String {
    match auth.mode {
        AuthMode::Local => "by a link".to_owned(),
        AuthMode::Jwt => "by a token of the sign-in service (auth.mode = jwt)".to_owned(),
        AuthMode::Proxy => {
            let addresses: Vec<String> = auth.proxy_addresses.iter().map(ToString::to_string).collect();
            format!("by the proxy at {} (auth.mode = proxy)", addresses.join(", "))
        }
    }
}

/// For a POSIX shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,:@".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

fn shutdown_signal() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

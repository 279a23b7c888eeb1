//! Connections: accepted as long as there is room, and given up where a client keeps them and says nothing.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use axum::serve::Listener;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use rustix::process::{Resource, getrlimit};
use tokio::sync::Semaphore;
use tower::ServiceExt;

use super::auth::Peer;
use super::listener::GuardedListener;
use crate::config;

/// Bytes of a request's head: its line and its headers, tokens and cookies among them.
const MAX_HEAD: usize = 32 * 1024;
/// Headers of a request.
const MAX_HEADERS: usize = 100;
/// Bytes that are read ahead of a connection.
const MAX_BUFFER: usize = 64 * 1024;

/// What connections may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How many at once.
    pub connections: usize,
    /// How long the head of a request may take, and a connection idle.
    pub head: Duration,
}

impl Limits {
    /// As configured, and as far as the process may open files: the database, agents and their files need some, too.
    pub fn new(config: &config::Server) -> Self {
        let files = getrlimit(Resource::Nofile).current.and_then(|files| usize::try_from(files).ok());
        let room = files.map_or(usize::MAX, |files| files / 4 * 3).max(1);
        if room < config.max_connections {
            tracing::info!(connections = room, "fewer connections than configured: the process may open few files");
        }
        Self { connections: config.max_connections.min(room), head: config.head_timeout }
    }
}

/// Serves until `stop` resolves, and then until every connection has ended.
///
/// # Errors
/// None today; a listener that cannot accept tries again.
pub async fn serve(
    mut listener: GuardedListener,
    router: Router,
    limits: Limits,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let (connections, graceful) = (Arc::new(Semaphore::new(limits.connections)), GracefulShutdown::new());
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.head);
    http.max_header_size(MAX_HEAD).max_headers(MAX_HEADERS).max_buf_size(MAX_BUFFER);
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = async {
            // Who comes when all places are taken waits in the listener's queue.
            let place = connections.clone().acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, (stream, peer)) = tokio::select! {
            accepted = accepted => accepted,
            () = &mut stop => break,
        };
        let router = router.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(Peer(peer));
            answer(router.clone(), request)
        });
        let connection = graceful.watch(http.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            let _place = place;
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended");
            }
        });
    }
    drop(listener);
    graceful.shutdown().await;
    Ok(())
}

async fn answer(router: Router, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    router.oneshot(request.map(Body::new)).await
}

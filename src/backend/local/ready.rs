//! The wait for an agent that was started to take input.

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::incarnation::{Incarnation, LOOK_AGAIN};
use super::process::gone;
use super::{failed, nobody_waits, typing};
use crate::agent::profile::ReadySign;
use crate::agent::signal::Signal;
use crate::backend::{Agent, BackendError};

/// Waits for the agent's word, or for its input to be seen, and marks its pane, so that whoever takes it over need not ask
/// again.
pub async fn wait_until_ready(
    agent: &Incarnation,
    timeout: Duration,
    given_up: &CancellationToken,
) -> Result<(), BackendError> {
    let mut changes = agent.changes.clone();
    let deadline = Instant::now() + timeout;
    let mut exit = agent.exit_watch();
    let by_input = agent.config.profile.ready == ReadySign::Input;
    let mut output = by_input.then(|| agent.server.output(&agent.terminal.pane));
    loop {
        changes.mark_unchanged();
        let mut again = false;
        let is_ready = match by_input {
            true => typing::takes_input(agent).await,
            false => match agent.signals() {
                Ok(signals) => signals.iter().any(|line| matches!(line.signal, Signal::Ready { .. })),
                Err(error) if error.is_passing() => {
                    again = true;
                    false
                }
                Err(error) => return Err(failed(error)),
            },
        };
        if is_ready {
            // Where that fails, the agent is only asked again.
            let _ = agent.server.mark_ready(&agent.terminal.pane).await;
            return Ok(());
        }
        tokio::select! {
            _ = changes.changed() => {}
            () = sleep(LOOK_AGAIN), if again => {}
            () = typing::news(&mut output) => {}
            reason = gone(&mut exit) => {
                return Err(failed(format!("the agent {reason} before it was ready")));
            }
            () = given_up.cancelled() => return Err(nobody_waits()),
            () = sleep_until(deadline) => {
                // For the operator only: no turn was typed yet, but what an agent shows may be private.
                let screen = agent.last_words().await;
                tracing::warn!(place = agent.place(), screen, "agent not ready");
                return Err(failed(format!("the agent was not ready within {} s", timeout.as_secs_f32())));
            }
        }
    }
}

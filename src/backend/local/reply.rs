//! Types what a person replies to an agent that asks, or hands it to the agent's hook.

use tokio::time::{Instant, timeout_at};

use super::delivery::{PASTE_TRIES, died, is_unsure};
use super::incarnation::{Incarnation, unavailable};
use crate::agent::profile::ReplyManner;
use crate::backend::{BackendError, Replied, Reply};
use crate::tmux::{self, TmuxError};
use crate::turn::ErrorCode;

/// Types a reply, at most once and in time, or says that it may have been typed.
pub async fn reply(agent: &Incarnation, reply: &Reply) -> Result<Replied, BackendError> {
    let Ok(keyboard) = timeout_at(reply.until, agent.keyboard.lock()).await else { return Err(withdrawn()) };
    if keyboard.interrupted == Some(reply.turn_id) {
        return Ok(Replied::Refused);
    }
    if agent.config.profile.reply == Some(ReplyManner::Hook) {
        return hand_over(agent, reply);
    }
    let fence = reply.turn_id.to_string();
    let (number, text) = (reply.number, reply.text.as_str());
    let type_once = async || {
        let typing =
            tmux::reply(&agent.server, tmux::Reply { pane: &agent.terminal.pane, fence: &fence, number, text });
        // What tmux has not been given by then is taken back; what it has, it may still type.
        let late = TmuxError::Timeout { command: "paste-buffer" };
        timeout_at(reply.until, typing).await.unwrap_or(Err(late))
    };
    let mut tries = 0;
    let outcome = loop {
        // Only a try whose fate is unknown is followed by another.
        let is_asked = *reply.asks.borrow() == Some(number);
        match (is_asked, Instant::now() < reply.until) {
            (true, true) => {}
            (..) if tries > 0 => return Err(uncertain()),
            (false, _) => return Ok(Replied::Refused),
            (true, false) => return Err(withdrawn()),
        }
        let outcome = type_once().await;
        tries += 1;
        if !(is_unsure(&outcome) && tries < PASTE_TRIES && agent.is_alive()) {
            break outcome;
        }
    };
    match outcome {
        // Refused after a try whose fate was unknown: it was that one.
        Ok(typed) => Ok(if typed || tries > 1 { Replied::Typed } else { Replied::Refused }),
        Err(TmuxError::PaneDead(_) | TmuxError::ServerGone(_)) => Err(died("it takes no reply any more")),
        Err(error) if error.is_missing_target() => Err(died("it takes no reply any more")),
        error if is_unsure(&error) => Err(uncertain()),
        Err(error) => Err(unavailable(&error)),
    }
}

/// Puts the reply where the agent's hook waits for it. That is there once, so it is taken once; and only while the hook is
/// there, since nobody else reads it.
fn hand_over(agent: &Incarnation, reply: &Reply) -> Result<Replied, BackendError> {
    let is_asked = *reply.asks.borrow() == Some(reply.number);
    let Some(name) = reply.name.as_ref().filter(|name| is_asked && agent.spool.is_awaited(name)) else {
        return Ok(Replied::Refused);
    };
    if Instant::now() >= reply.until {
        return Err(withdrawn());
    }
    match agent.spool.write_reply(reply.turn_id, name, &reply.text) {
        Ok(true) => Ok(Replied::Typed),
        Ok(false) => Ok(Replied::Refused),
        Err(error) => {
            Err(BackendError::new(ErrorCode::UpstreamError, format!("the reply is not handed over: {error}")))
        }
    }
}

fn withdrawn() -> BackendError {
    BackendError::new(ErrorCode::TmuxUnavailable, "the agent's terminal does not answer; nothing was typed")
}

fn uncertain() -> BackendError {
    BackendError::new(ErrorCode::TmuxUnavailable, "the agent's terminal does not answer; the reply may have been typed")
}

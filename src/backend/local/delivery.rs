//! Delivers a turn into an agent's pane, and follows it in the spool until it is over.

use secrecy::ExposeSecret;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::incarnation::{Incarnation, LOOK_AGAIN, Unconfirmed, unavailable};
use super::process::gone;
use super::reader::{Reader, Seen, refused};
use super::typing::{self, ENTER_AGAIN, Typing};
use crate::agent::envelope::{self, Flags};
use crate::agent::profile::{NewlineManner, ReplyManner};
use crate::agent::spool::Input;
use crate::backend::{Agent, AgentEvent, BackendError, Job};
use crate::faults;
use crate::tmux::{Newline, Paste, Pasted, TmuxError, paste, put};
use crate::turn::{DIALOG, ErrorCode};

/// Tries of a paste whose fate is unknown because the tmux client ended. The fence makes them harmless.
pub(super) const PASTE_TRIES: usize = 5;

/// Nobody listens any more.
#[derive(Debug)]
pub struct Deaf;

type Reports = mpsc::Sender<AgentEvent>;

/// Runs one turn to its end.
///
/// # Errors
/// [`Deaf`] where nobody listens any more.
pub async fn run(agent: &Incarnation, job: &Job, reports: &Reports) -> Result<(), Deaf> {
    let mut reader = Reader::new(job.turn_id, agent.config.max_response);
    let ending = match deliver(agent, job, reports).await {
        Ok(confirmation) => {
            faults::halt("paste.after").await;
            follow(agent, job, &mut reader, confirmation, reports).await?
        }
        Err(error) => error.into(),
    };
    report(reports, ending).await
}

impl From<BackendError> for AgentEvent {
    fn from(error: BackendError) -> Self {
        AgentEvent::Error { code: error.code, message: error.message }
    }
}

async fn report(reports: &Reports, event: AgentEvent) -> Result<(), Deaf> {
    reports.send(event).await.map_err(|_| Deaf)
}

/// Writes the turn's files and types its envelope; gives the wait for a sign that the agent has it.
async fn deliver(agent: &Incarnation, job: &Job, reports: &Reports) -> Result<Confirmation, BackendError> {
    // Until it is typed: an interrupt waits for that, and keeps a turn that was not typed yet from being typed at all.
    let mut keyboard = typing::keyboard(agent, job).await?;
    faults::halt("inputs.before").await;
    agent.trim_reports();
    let message = envelope::sanitise(&job.message);
    let flags = Flags {
        context: job.context.is_some(),
        primer: job.primer.is_some(),
        message: message.len() > agent.config.inline_limit,
    };
    let write = |input, bytes: &[u8]| {
        let failed = |error| BackendError::new(ErrorCode::BootstrapFailed, format!("the spool: {error}"));
        agent.spool.write_input(job.turn_id, input, bytes).map_err(failed)
    };
    if let Some(context) = &job.context {
        write(Input::Context, context.to_string().as_bytes())?;
    }
    if let Some(primer) = &job.primer {
        write(Input::Primer, envelope::sanitise(primer).as_bytes())?;
    }
    if flags.message {
        write(Input::Message, message.as_bytes())?;
    }
    match &job.token {
        Some(token) => {
            let written = token.hand_over(|token| write(Input::Token, token.expose_secret().as_bytes()));
            written.ok_or_else(typing::withdrawn)??;
        }
        // An earlier server may have made one.
        None => agent.spool.remove_token(job.turn_id),
    }
    faults::halt("intent.after").await;
    let mut text = envelope::envelope(job.turn_id, flags, &message);
    let by_sight = agent.config.profile.input.is_some();
    let mut found = typing::Found::default();
    if by_sight {
        // What is completed at the last word, and what makes Enter another key, is over with it.
        text.push(' ');
        (keyboard, found) = typing::await_input(agent, job, reports, keyboard).await?;
    }
    let fence = job.turn_id.to_string();
    let newline = match agent.config.profile.newline {
        NewlineManner::Lf => Newline::Lf,
        NewlineManner::Cr => Newline::Cr,
    };
    let pane = &agent.terminal.pane;
    let turn = Paste { pane, fence: &fence, epoch: job.epoch, text: &text, newline, bracketed: true };
    let paste_once = async || match by_sight {
        true => put(&agent.server, turn.clone()).await,
        false => paste(&agent.server, turn.clone()).await,
    };
    let (mut outcome, mut tries) = (paste_once().await, 1);
    let was_typed = outcome == Ok(Pasted::Already);
    // A client that dies while it connects looks like a server that is gone; the agent's process tells them apart.
    while tries < PASTE_TRIES && is_unsure(&outcome) && agent.is_alive() && !reports.is_closed() {
        outcome = paste_once().await;
        tries += 1;
    }
    if matches!(outcome, Err(TmuxError::ServerGone(_))) && agent.is_alive() {
        // Nobody can type to it any more.
        tracing::warn!(place = agent.place, "the agent outlives its terminal; ending it");
        let _ = agent.close().await;
    }
    pasted(outcome, if tries == 1 { "before the message was typed" } else { "the message may have been typed" })?;
    if !by_sight {
        return Ok(Confirmation::begin(agent));
    }
    if was_typed {
        // What stands in the input is this turn, or what came after it.
        found.before = None;
    }
    keyboard.unconfirmed = Some(Unconfirmed { turn: job.turn_id, entered: false });
    Ok(Confirmation::BySight(Box::new(Typing::begin(agent, job, &text, found))))
}

/// Whether nobody knows if tmux ran the command.
pub(super) fn is_unsure<T>(outcome: &Result<T, TmuxError>) -> bool {
    matches!(outcome, Err(TmuxError::Interrupted { .. } | TmuxError::Timeout { .. } | TmuxError::ServerGone(_)))
}

/// `if_gone` tells what is known of the message where the agent is gone.
fn pasted(pasted: Result<Pasted, TmuxError>, if_gone: &str) -> Result<(), BackendError> {
    match pasted {
        Ok(Pasted::Typed | Pasted::Already) => {
            faults::point("backend.typed");
            Ok(())
        }
        Ok(Pasted::Stale { pane_epoch }) => {
            let message = format!("another owner (epoch {pane_epoch}) has taken the agent session");
            Err(BackendError::new(ErrorCode::Uncertain, message))
        }
        Err(TmuxError::PaneDead(_) | TmuxError::ServerGone(_)) => Err(died(if_gone)),
        Err(error) if error.is_missing_target() => Err(died(if_gone)),
        Err(error) => Err(unavailable(&error)),
    }
}

pub(super) fn died(how: &str) -> BackendError {
    BackendError::new(ErrorCode::AgentDied, format!("the agent ended: {how}"))
}

/// A question for which no hook waits, where replies go to hooks, is one for the terminal. Where they are typed, none waits.
fn placed(agent: &Incarnation, mut event: AgentEvent) -> AgentEvent {
    if let AgentEvent::Attention { kind, reply, .. } = &mut event
        && !*reply
    {
        match agent.config.profile.reply {
            Some(ReplyManner::Hook) => DIALOG.clone_into(kind),
            Some(ReplyManner::Line) => *reply = *kind != DIALOG,
            None => {}
        }
    }
    event
}

/// Reports what the turn's files show until they show its end.
async fn follow(
    agent: &Incarnation,
    job: &Job,
    reader: &mut Reader,
    confirmation: Confirmation,
    reports: &Reports,
) -> Result<AgentEvent, Deaf> {
    let mut changes = agent.changes.clone();
    let mut exit = agent.exit_watch();
    let mut confirmation = Some(confirmation);
    let mut caught_up = false;
    loop {
        // Whatever changes from here on is told; so nothing falls between the look and the wait.
        changes.mark_unchanged();
        let gone_by_now = exit.borrow().clone();
        let seen = match agent.signals() {
            // Asked before the file is read: what is written after that makes it less, not more.
            Ok(signals) => reader.look(signals, &agent.spool, agent.is_whole(job.turn_id)),
            Err(error) if error.is_passing() => Ok(Seen { again: true, ..Seen::default() }),
            Err(error) => Err(refused(error)),
        };
        let Seen { events, ending, again } = match seen {
            Ok(seen) => seen,
            Err(error) => return Ok(error.into()),
        };
        if reader.is_confirmed()
            && let Some(confirmation) = confirmation.take()
        {
            if let Confirmation::BySight(mut typing) = confirmation
                && let Some(event) = typing.end(agent).await
            {
                report(reports, event).await?;
            }
            report(reports, AgentEvent::Started).await?;
        }
        for event in events {
            report(reports, placed(agent, event)).await?;
        }
        if let Some(ending) = ending {
            return Ok(ending);
        }
        if !again && !std::mem::replace(&mut caught_up, true) {
            report(reports, AgentEvent::CaughtUp).await?;
        }
        // What a dead agent has left is read to its end.
        if let Some(exit) = gone_by_now.filter(|_| !again) {
            return Ok(died(&exit.reason).into());
        }
        tokio::select! {
            _ = changes.changed() => {}
            _ = gone(&mut exit), if !again => {}
            () = tokio::time::sleep(LOOK_AGAIN), if again => {}
            () = reports.closed() => return Err(Deaf),
            () = overdue(&mut confirmation) => {
                let looked = match &mut confirmation {
                    Some(confirmation) => confirmation.look(agent, job).await,
                    None => Ok(None),
                };
                match looked {
                    Ok(Some(event)) => report(reports, event).await?,
                    Ok(None) => {}
                    Err(error) => return Ok(error.into()),
                }
            }
        }
    }
}

/// Resolves when the agent's terminal has to be looked at; never, once the agent has the message.
async fn overdue(confirmation: &mut Option<Confirmation>) {
    match confirmation {
        Some(Confirmation::Blind { deadline, .. }) => tokio::time::sleep_until(*deadline).await,
        Some(Confirmation::BySight(typing)) => typing.wait().await,
        None => std::future::pending().await,
    }
}

/// The wait for a sign that the agent has the message.
enum Confirmation {
    /// Enter was pressed with the text.
    Blind { deadline: Instant, enters: u32 },
    /// Enter is pressed when the text is seen.
    BySight(Box<Typing>),
}

impl Confirmation {
    fn begin(agent: &Incarnation) -> Self {
        Self::Blind { deadline: Instant::now() + agent.config.confirm_timeout, enters: 0 }
    }

    /// Looks at the terminal, and gives what has to be told.
    async fn look(&mut self, agent: &Incarnation, job: &Job) -> Result<Option<AgentEvent>, BackendError> {
        let (deadline, enters) = match self {
            Self::Blind { deadline, enters } => (deadline, enters),
            Self::BySight(typing) => return typing.look(agent, job).await,
        };
        // Enter may have been swallowed: it is sent again, at most twice, and only while this turn's envelope is still to be
        // seen in the terminal. The text is never sent again.
        *deadline = Instant::now() + agent.config.confirm_timeout;
        if *enters == ENTER_AGAIN {
            let message = "the agent did not take the message";
            return Err(BackendError::new(ErrorCode::UpstreamError, message));
        }
        *enters += 1;
        // Where tmux does not answer just now, the next time will do; the agent's end is seen elsewhere.
        let screen = agent.server.capture(&agent.terminal.pane).await.unwrap_or_default();
        // The terminal may break a line anywhere.
        let shown: String = screen.concat().split_whitespace().collect();
        if shown.contains(&format!("{}{}", envelope::MARKER, job.turn_id)) {
            typing::again(agent, job).await;
        }
        Ok(None)
    }
}

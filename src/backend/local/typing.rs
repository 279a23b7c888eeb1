//! Types a turn to an agent whose input can be seen (`input` in its profile): nothing while a dialog is open, and Enter
//! when the text is seen in the input. Every wait is for output of the agent's terminal; deadlines only say when a person
//! is told, when Enter counts as swallowed, and when it is enough.

use tokio::sync::{MutexGuard, mpsc};
use tokio::time::Instant;

use super::incarnation::{Incarnation, Keyboard, Unconfirmed, unavailable};
use super::process::gone;
use super::screen::{Message, Screen};
use crate::agent::envelope;
use crate::backend::{AgentEvent, BackendError, Job};
use crate::tmux::{Output, TmuxError, enter, press_again};
use crate::turn::{ErrorCode, TurnId};

/// How often Enter is sent again for a message that lies unsent in the agent's input.
pub(super) const ENTER_AGAIN: u32 = 2;

async fn look(agent: &Incarnation) -> Result<Screen, TmuxError> {
    Ok(Screen(agent.server.look(&agent.terminal.pane).await?))
}

/// Whether the agent shows its input.
pub(super) async fn takes_input(agent: &Incarnation) -> bool {
    look(agent).await.is_ok_and(|screen| screen.input(&agent.config.profile).is_some())
}

/// The next news of the terminal; never, where nobody follows it.
pub(super) async fn news(output: &mut Option<Output>) {
    match output {
        Some(output) => output.news().await,
        None => std::future::pending().await,
    }
}

/// Whether this turn was typed and cannot be stopped by a key: its text lies in the agent's input, or a dialog is open, to
/// which the key would be an answer.
pub(super) async fn lies_unsent(agent: &Incarnation, turn: TurnId) -> bool {
    match agent.keyboard.lock().await.unconfirmed {
        Some(Unconfirmed { turn: typed, entered }) if typed == turn => {
            if !entered {
                return true;
            }
        }
        _ => return false,
    }
    let profile = &agent.config.profile;
    let message = message(turn, "");
    // Where the terminal cannot be looked at, nothing can be stopped either.
    look(agent).await.is_ok_and(|screen| {
        screen.input(profile).is_none_or(|input| input.holds(&message, profile.pasted.as_ref(), None))
    })
}

fn message(turn: TurnId, text: &str) -> Message {
    Message::new(&format!("{}{turn}", envelope::MARKER), text)
}

pub(super) fn withdrawn() -> BackendError {
    BackendError::new(ErrorCode::Cancelled, "the turn was ended before it was typed")
}

/// The keyboard, for a turn that nobody has ended.
pub(super) async fn keyboard<'a>(agent: &'a Incarnation, job: &Job) -> Result<MutexGuard<'a, Keyboard>, BackendError> {
    let keyboard = agent.keyboard.lock().await;
    if keyboard.interrupted == Some(job.turn_id) { Err(withdrawn()) } else { Ok(keyboard) }
}

/// What was found when a turn could be typed.
#[derive(Default)]
pub(super) struct Found {
    /// What stands in the input; `None` where that does not count.
    pub(super) before: Option<String>,
    /// News of the terminal, where that was waited for.
    output: Option<Output>,
}

/// Waits until the agent takes input, and gives the keyboard back. A person is told of what is in the way, if it stays there
/// for `agent.confirm_timeout`. Others may have the keyboard meanwhile.
pub(super) async fn await_input<'a>(
    agent: &'a Incarnation,
    job: &Job,
    reports: &mpsc::Sender<AgentEvent>,
    mut held: MutexGuard<'a, Keyboard>,
) -> Result<(MutexGuard<'a, Keyboard>, Found), BackendError> {
    let patience = Instant::now() + agent.config.confirm_timeout;
    let mut exit = agent.exit_watch();
    let (mut output, mut told) = (None, false);
    loop {
        // Where it cannot be looked at, typing says why.
        let Ok(screen) = look(agent).await else { return Ok((held, Found { before: None, output })) };
        let before = screen.input(&agent.config.profile).map(|input| input.shown());
        if before.is_some() || was_typed(agent, job).await? {
            if told {
                let _ = reports.send(AgentEvent::AttentionOver { name: None }).await;
            }
            return Ok((held, Found { before, output }));
        }
        drop(held);
        if output.is_none() {
            output = Some(agent.server.output(&agent.terminal.pane));
        }
        tokio::select! {
            () = news(&mut output) => {}
            _ = gone(&mut exit) => {}
            () = reports.closed() => return Err(withdrawn()),
            () = tokio::time::sleep_until(patience), if !told => {
                told = true;
                tracing::info!(turn_id = %job.turn_id, "the agent takes no input; a person has to look at its terminal");
                let _ = reports.send(AgentEvent::Dialog(screen.told())).await;
            }
        }
        held = keyboard(agent, job).await?;
    }
}

/// An earlier owner typed it: whatever is on the screen now, nothing is typed any more.
async fn was_typed(agent: &Incarnation, job: &Job) -> Result<bool, BackendError> {
    let info = agent.server.pane(&agent.terminal.pane).await.map_err(|error| unavailable(&error))?;
    // That it is gone is found by typing, too.
    Ok(info.is_none_or(|info| info.dead || info.turn.as_deref() == Some(job.turn_id.to_string().as_str())))
}

/// A turn whose text was typed, until the agent is seen to have it.
pub(super) struct Typing {
    message: Message,
    /// What stood in the input before.
    before: Option<String>,
    output: Option<Output>,
    /// When the agent should have confirmed it.
    deadline: Instant,
    /// How often it has not.
    waits: u32,
    /// Enter was pressed.
    entered: bool,
    /// The agent takes no input: when a person is told.
    covered: Option<Instant>,
    told: bool,
}

impl Typing {
    /// `text` was just typed, or by an earlier owner.
    pub(super) fn begin(agent: &Incarnation, job: &Job, text: &str, Found { before, output }: Found) -> Self {
        Self {
            message: message(job.turn_id, text),
            before,
            output: output.or_else(|| Some(agent.server.output(&agent.terminal.pane))),
            deadline: Instant::now() + agent.config.confirm_timeout,
            waits: 0,
            entered: false,
            covered: None,
            told: false,
        }
    }

    /// Resolves when [`Typing::look`] has something to do.
    pub(super) async fn wait(&mut self) {
        let due = match (self.told, self.covered) {
            (true, _) => None,
            (false, covered) => Some(covered.unwrap_or(self.deadline)),
        };
        let late = async {
            match due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = news(&mut self.output) => {}
            () = late => {}
        }
    }

    /// Looks at the terminal, and presses Enter where that is due; gives what has to be told. The text is never typed
    /// again, and no key is pressed while the agent shows something else than its input.
    pub(super) async fn look(&mut self, agent: &Incarnation, job: &Job) -> Result<Option<AgentEvent>, BackendError> {
        let profile = &agent.config.profile;
        let now = Instant::now();
        // From the look to the key.
        let mut keyboard = keyboard(agent, job).await?;
        // Where tmux does not answer just now, the next time will do; the agent's end is seen elsewhere.
        let Ok(screen) = look(agent).await else { return self.overdue(agent, now).map(|_| None) };
        let Some(input) = screen.input(profile) else {
            let until = *self.covered.get_or_insert(now + agent.config.confirm_timeout);
            let news = now >= until && !self.told;
            self.told |= news;
            return Ok(news.then(|| AgentEvent::Dialog(screen.told())));
        };
        self.covered = None;
        let over = std::mem::take(&mut self.told).then_some(AgentEvent::AttentionOver { name: None });
        if over.is_some() {
            self.deadline = now + agent.config.confirm_timeout;
        }
        let is_there = input.holds(&self.message, profile.pasted.as_ref(), self.before.as_deref());
        if is_there && !self.entered {
            match enter(&agent.server, &agent.terminal.pane, &job.turn_id.to_string()).await {
                // An earlier owner may have pressed it already.
                Ok(_) => {
                    keyboard.unconfirmed = Some(Unconfirmed { turn: job.turn_id, entered: true });
                    (self.entered, self.waits) = (true, 0);
                    self.deadline = Instant::now() + agent.config.confirm_timeout;
                    return Ok(over);
                }
                // It is pressed once, however often it is tried.
                Err(error) => tracing::warn!(turn_id = %job.turn_id, %error, "Enter not sent"),
            }
        }
        if self.overdue(agent, now)? && is_there && self.entered {
            again(agent, job).await;
        }
        Ok(over)
    }

    /// Whether one more wait for the agent's confirmation is over.
    fn overdue(&mut self, agent: &Incarnation, now: Instant) -> Result<bool, BackendError> {
        if now < self.deadline {
            return Ok(false);
        }
        if self.waits == ENTER_AGAIN {
            return Err(BackendError::new(ErrorCode::UpstreamError, "the agent did not take the message"));
        }
        self.waits += 1;
        self.deadline = now + agent.config.confirm_timeout;
        Ok(true)
    }

    /// What has to be told now that the agent has the turn.
    pub(super) async fn end(&mut self, agent: &Incarnation) -> Option<AgentEvent> {
        agent.keyboard.lock().await.unconfirmed = None;
        std::mem::take(&mut self.told).then_some(AgentEvent::AttentionOver { name: None })
    }
}

/// Enter may have been swallowed: it is pressed again.
pub(super) async fn again(agent: &Incarnation, job: &Job) {
    tracing::warn!(turn_id = %job.turn_id, "message still in the agent's input; sending Enter again");
    let fence = job.turn_id.to_string();
    if let Err(error) = press_again(&agent.server, &agent.terminal.pane, &fence, "Enter").await {
        tracing::warn!(turn_id = %job.turn_id, %error, "Enter not sent");
    }
}

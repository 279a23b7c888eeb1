//! One incarnation of an agent: its pane, its process, its spool and its reports.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use notify::ErrorKind;
use rustix::process::{Pid, PidfdFlags, Signal as OsSignal};
use tokio::sync::{Mutex as AsyncMutex, watch};
use tokio::time::sleep;

use super::config::LocalConfig;
use super::process::{gone, process_start, watch_process};
use super::transcript::{Look, Transcript};
use crate::agent::signal::{Signal, SignalLine};
use crate::agent::spool::{Spool, SpoolError};
use crate::agent::watch::{Changes, SpoolWatch};
use crate::backend::{BackendError, Exit};
use crate::tmux::{Pane, Server, TmuxError};
use crate::turn::{ErrorCode, Memory, Timestamp, TurnId};

/// Bytes of reports after which the file is begun anew, between two turns.
const REPORTS_KEPT: u64 = 1024 * 1024;
/// Turns of which is known that they are over: more than can be waited for at a time.
const OVER_KEPT: usize = 64;
/// Wait before a file is read again that could not be read for the moment. No event tells when it can.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// Lines of the screen that are told where an agent did not start.
const LAST_LINES: usize = 3;

/// An agent in its pane.
pub struct Incarnation {
    pub(super) config: Arc<LocalConfig>,
    pub(super) server: Server,
    pub(super) terminal: Pane,
    pub(super) spool: Spool,
    watch: SpoolWatch,
    pub(super) changes: Changes,
    pub(super) place: String,
    exit: watch::Receiver<Option<Exit>>,
    /// What its terminal showed when its process was gone.
    last_screen: Arc<OnceLock<Vec<String>>>,
    reports: Mutex<Reports>,
    pub(super) memory: watch::Sender<Memory>,
    /// What the agent writes down of the turn that it was given last.
    transcript: Mutex<Followed>,
    /// Held by whoever types.
    pub(super) keyboard: AsyncMutex<Keyboard>,
}

/// What the agent writes down of a turn, and the file of which the watch tells.
#[derive(Default)]
struct Followed {
    transcript: Option<Transcript>,
    watched: Option<PathBuf>,
}

/// What may not be typed any more.
#[derive(Default)]
pub(super) struct Keyboard {
    /// The last turn that was interrupted.
    pub(super) interrupted: Option<TurnId>,
    /// The turn that may lie in the agent's input.
    pub(super) unconfirmed: Option<Unconfirmed>,
}

/// A turn whose text was typed apart from Enter, and which the agent was not seen to have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Unconfirmed {
    pub(super) turn: TurnId,
    /// Enter was pressed, too.
    pub(super) entered: bool,
}

/// How far the agent's reports were read.
#[derive(Default)]
struct Reports {
    offset: u64,
    /// What is read from here on is news. Before that it may be what an earlier owner has read, too.
    caught_up: bool,
    /// The last turns that the agent is done with, one way or another.
    over: VecDeque<TurnId>,
    /// The agent's memory began anew after it was asked for it last, so the turn it works on, or worked on last, has no
    /// primer.
    unprimed: bool,
}

impl Reports {
    fn settle(&mut self, turn: TurnId) {
        if self.over.len() == OVER_KEPT {
            self.over.pop_front();
        }
        self.over.push_back(turn);
    }
}

impl Incarnation {
    /// The agent in this pane.
    pub(super) fn new(
        config: Arc<LocalConfig>,
        server: Server,
        terminal: Pane,
        spool: Spool,
        (watch, changes): (SpoolWatch, Changes),
        memory: Memory,
    ) -> Self {
        let (told, exit) = watch::channel(None);
        let place = format!("{} {} {}", terminal.pane, terminal.pid, process_start(terminal.pid));
        let last_screen = Arc::default();
        tokio::spawn(watch_process(server.clone(), terminal.clone(), told, Arc::clone(&last_screen)));
        let (reports, keyboard) = (Mutex::default(), AsyncMutex::default());
        let (memory, transcript) = (watch::Sender::new(memory), Mutex::default());
        Self {
            config,
            server,
            terminal,
            spool,
            watch,
            changes,
            place,
            exit,
            last_screen,
            reports,
            memory,
            transcript,
            keyboard,
        }
    }

    /// It was just started: nobody has read anything of what it reports.
    pub(super) fn just_started(self) -> Self {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner).caught_up = true;
        self
    }

    /// `Some` once the process is gone.
    pub(super) fn exit_watch(&self) -> watch::Receiver<Option<Exit>> {
        self.exit.clone()
    }

    /// The process is there.
    pub(super) fn is_alive(&self) -> bool {
        self.exit.borrow().is_none()
    }

    /// Whether the answer file of this turn, if there is one, is whole.
    pub(super) fn is_whole(&self, turn: TurnId) -> bool {
        self.watch.is_whole(self.spool.path(), turn)
    }

    /// What the agent reported since the last call. Lines that this version does not know are skipped. Where what it writes
    /// down cannot be read for the moment, nothing is heard: the next call begins with the same lines.
    pub(super) fn signals(&self) -> Result<Vec<SignalLine>, SpoolError> {
        let mut reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        let (lines, next) = self.spool.read_signals(reports.offset)?;
        let mut known: Vec<SignalLine> = lines.iter().filter_map(|line| SignalLine::parse(line).ok()).collect();
        known.extend(self.read_transcript(&known)?);
        reports.offset = next;
        known.iter().filter_map(|line| line.signal.ends()).for_each(|turn| reports.settle(turn));
        let is_news = std::mem::replace(&mut reports.caught_up, true);
        self.memory.send_if_modified(|memory| {
            let before = memory.clone();
            for line in &known {
                reports.unprimed |= remember(memory, line, is_news);
                // As far as the agent's own time tells it, for whoever takes it over before the next turn.
                if line.signal.ends().is_some() && reports.unprimed {
                    memory.since = memory.since.max(Timestamp(line.at));
                }
            }
            *memory != before
        });
        Ok(known)
    }

    /// What is known of the agent's memory by now, the next turn's primer takes into account. codex tells that its memory
    /// began anew with the first message after that, which had no primer: the next turn gets it, since only what is asked from
    /// now on counts as told. (By our clock: that turn may have begun for us after the agent was done with it.)
    pub(super) fn note_known_memory(&self) {
        let mut reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut reports.unprimed) {
            self.memory.send_modify(|memory| memory.since = memory.since.max(Timestamp::now()));
        }
    }

    /// How the turn ended, where only what the agent writes down tells. After an error, which is a passing one, it takes the
    /// same news again.
    fn read_transcript(&self, news: &[SignalLine]) -> Result<Option<SignalLine>, SpoolError> {
        let mut followed = self.transcript.lock().unwrap_or_else(PoisonError::into_inner);
        let Followed { transcript, watched } = &mut *followed;
        for line in news {
            match &line.signal {
                Signal::Transcript { turn_id, path, from, prompt } => {
                    let named = Transcript::new(*turn_id, path, *from, prompt);
                    *transcript = Some(named.in_place_of(transcript.as_ref()));
                }
                signal if signal.ends().is_some_and(|turn| transcript.as_ref().is_some_and(|t| t.turn == turn)) => {
                    *transcript = None;
                }
                _ => {}
            }
        }
        let file = transcript.as_ref().map(|transcript| transcript.path.clone());
        if *watched != file {
            match self.watch.attach(self.spool.path(), file.as_deref(), self.spool.owner()) {
                Ok(()) => *watched = file,
                // Its directory may not be there yet: then it is tried again with the next news.
                Err(error) => {
                    *watched = None;
                    tracing::debug!(place = self.place, %error, "what the agent writes down is not watched");
                    if let (ErrorKind::Io(error), Some(file)) = (error.kind, file)
                        && let Some(error) = SpoolError::passing(&file, error)
                    {
                        return Err(error);
                    }
                }
            }
        }
        let Some(named) = transcript.as_mut() else { return Ok(None) };
        Ok(match named.read(self.spool.owner())? {
            Look::Nothing => None,
            // Whoever waits for changes looks again; others have their turn in between.
            Look::More => {
                self.watch.hint(self.spool.path());
                None
            }
            Look::Ended(ending) => {
                *transcript = None;
                Some(SignalLine::now(ending))
            }
        })
    }

    /// Begins a long file of reports anew. Called before a turn is typed: then the agent has nothing to report. What it
    /// holds stays beside it, for whoever looks for late answers.
    pub(super) fn trim_reports(&self) {
        let mut reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        if reports.offset > REPORTS_KEPT {
            self.spool.set_signals_aside();
            reports.offset = 0;
        }
    }

    /// The agent said that it is done with this turn, or never had it.
    pub(super) fn is_over(&self, turn: TurnId) -> bool {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner).over.contains(&turn)
    }

    /// Waits until this is so, or the agent's process is gone; looked at anew whenever the spool has changed. What could not
    /// be read for the moment is looked at again, too.
    pub(super) async fn until(&self, mut is_so: impl FnMut() -> Result<bool, SpoolError>) -> Result<(), SpoolError> {
        let (mut changes, mut exit) = (self.changes.clone(), self.exit_watch());
        loop {
            // Whatever changes from here on is told.
            changes.mark_unchanged();
            let again = match is_so() {
                Ok(true) => return Ok(()),
                Ok(false) => false,
                Err(error) if error.is_passing() => true,
                Err(error) => return Err(error),
            };
            tokio::select! {
                _ = changes.changed() => {}
                () = sleep(LOOK_AGAIN), if again => {}
                _ = gone(&mut exit) => return Ok(()),
            }
        }
    }

    /// This turn was not typed, and will not be.
    pub(super) fn settle(&self, turn: TurnId) {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner).settle(turn);
    }

    /// What its terminal shows, or showed last. It may be private.
    pub(super) async fn screen(&self) -> Vec<String> {
        match self.last_screen.get() {
            Some(screen) => screen.clone(),
            None => self.server.capture(&self.terminal.pane).await.unwrap_or_default(),
        }
    }

    /// The last lines on the screen, for the operator.
    pub(super) async fn last_words(&self) -> String {
        let screen = self.screen().await;
        let lines: Vec<&str> = screen.iter().map(|line| line.trim()).filter(|line| !line.is_empty()).collect();
        let from = lines.len().saturating_sub(LAST_LINES);
        lines[from..].join(" / ")
    }

    /// Sends a signal to the agent's process, if it is still that process.
    pub(super) fn signal_process(&self, signal: OsSignal) {
        let Some(pid) = i32::try_from(self.terminal.pid).ok().and_then(Pid::from_raw) else { return };
        // The handle first: what the start time says of the number then holds for it.
        if let Ok(handle) = rustix::process::pidfd_open(pid, PidfdFlags::empty())
            && self.place.rsplit(' ').next() == Some(process_start(self.terminal.pid).as_str())
        {
            let _ = rustix::process::pidfd_send_signal(handle, signal);
        }
    }
}

/// An agent says what it remembers when it starts, and when its memory begins anew, as by `/clear`; true for the latter.
/// What was known of that before is not news: reports are read again by whoever takes an agent over, and only their times
/// tell. What is news counts whatever the clock says, which may have been set back.
fn remember(memory: &mut Memory, line: &SignalLine, is_news: bool) -> bool {
    let Signal::Ready { resume_id } = &line.signal else { return false };
    let at = Timestamp(line.at);
    if (!is_news && at <= memory.since) || (resume_id.is_some() && *resume_id == memory.resume_id) {
        return false;
    }
    // The first word of a memory that began with the process.
    let is_first = memory.resume_id.is_none() && resume_id.is_some();
    // It never goes back: at worst something is told to the agent twice.
    let since = if is_first { memory.since } else { memory.since.max(at) };
    let anew = since != memory.since || (!is_first && *resume_id != memory.resume_id);
    *memory = Memory { resume_id: resume_id.clone(), since };
    anew
}

pub(super) fn unavailable(error: &TmuxError) -> BackendError {
    BackendError::new(ErrorCode::TmuxUnavailable, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(resume_id: Option<&str>, at: i64) -> SignalLine {
        SignalLine { at, signal: Signal::Ready { resume_id: resume_id.map(str::to_owned) } }
    }

    fn memory(resume_id: Option<&str>, since: i64) -> Memory {
        Memory { resume_id: resume_id.map(str::to_owned), since: Timestamp(since) }
    }

    #[test]
    fn what_an_agent_of_ours_says_of_its_memory_counts_whatever_the_clock_says() {
        // What was known; what it says; what is known then, and whether the memory began anew.
        let cases = [
            ((None, 100), (Some("a"), 200), (Some("a"), 100), false),
            ((None, 100), (Some("a"), 40), (Some("a"), 100), false),
            ((Some("a"), 100), (Some("a"), 200), (Some("a"), 100), false),
            ((Some("a"), 100), (Some("b"), 200), (Some("b"), 200), true),
            ((Some("a"), 100), (Some("b"), 40), (Some("b"), 100), true),
            ((None, 100), (None, 200), (None, 200), true),
            ((None, 100), (None, 40), (None, 100), false),
        ];
        for (known, said, then, anew) in cases {
            let mut now = memory(known.0, known.1);
            let told = remember(&mut now, &ready(said.0, said.1), true);
            assert_eq!((now, told), (memory(then.0, then.1), anew), "{known:?} {said:?}");
        }
    }

    #[test]
    fn what_is_read_again_counts_by_its_time() {
        let mut now = memory(Some("b"), 100);
        for line in [ready(Some("a"), 50), ready(Some("b"), 100), ready(Some("a"), 100)] {
            assert!(!remember(&mut now, &line, false));
            assert_eq!(now, memory(Some("b"), 100));
        }
        assert!(remember(&mut now, &ready(Some("c"), 101), false));
        assert_eq!(now, memory(Some("c"), 101));
    }
}

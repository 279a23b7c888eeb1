//! The agent itself: takes submissions, answers one at a time, and reports to the spool.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use super::answer::{Plan, Stream, plan, with_trailer};
use super::decoder::{Decoder, Key};
use super::envelope::Envelope;
use super::files::{Given, Spool, TypedLog};
use super::screen::Screen;
use super::terminal::Terminal;
use crate::agent::signal::{ActivityState, AttentionKind, Signal};
use crate::turn::TurnId;

/// How long a lone ESC waits for the rest of a sequence before it counts as the key.
const ESCAPE_WAIT: Duration = Duration::from_millis(50);
/// How long the terminal may take to say that it has processed our greeting; not every terminal does.
const STATUS_WAIT: Duration = Duration::from_millis(500);
/// Bytes read at once; a Linux terminal hands over 4,096 at most.
const READ_SIZE: usize = 16 * 1024;
const TOOL: &str = "demo";

struct Turn {
    /// `None` for what a person typed: it is answered on the screen only.
    id: Option<TurnId>,
    ordinal: u64,
    message: Vec<u8>,
}

enum Work {
    Stream { stream: Stream, due: Instant, part: Option<File>, whole: Vec<u8> },
    Pause { due: Instant, answer: Vec<u8> },
    Hang,
    Ask,
}

struct Current {
    id: Option<TurnId>,
    work: Work,
}

/// The agent's state between two waits.
pub struct Agent {
    spool: Option<Spool>,
    typed_log: Option<TypedLog>,
    screen: Screen,
    decoder: Decoder,
    escape_due: Option<Instant>,
    /// Until when the terminal's status is waited for; `None` once `ready` is reported.
    ready_due: Option<Instant>,
    typed: Vec<u8>,
    current: Option<Current>,
    waiting: VecDeque<Turn>,
    turns_seen: u64,
    listens: bool,
    exit: Option<u8>,
}

impl Agent {
    /// An agent that nobody has talked to.
    pub fn new(shows: bool, spool: Option<Spool>, typed_log: Option<TypedLog>) -> Self {
        Self {
            spool,
            typed_log,
            screen: Screen::new(shows),
            decoder: Decoder::default(),
            escape_due: None,
            ready_due: None,
            typed: Vec::new(),
            current: None,
            waiting: VecDeque::new(),
            turns_seen: 0,
            listens: true,
            exit: None,
        }
    }

    /// Greets, and goes on until it is left; gives the exit status.
    ///
    /// # Errors
    /// Where the terminal fails.
    pub fn converse(&mut self, terminal: &Terminal, session: Option<&str>) -> io::Result<u8> {
        self.screen.greet(session);
        self.show_input();
        if terminal.is_typed_at() && terminal.shows() {
            self.screen.request_status();
            self.ready_due = Some(Instant::now() + STATUS_WAIT);
        } else {
            self.report(Signal::Ready { resume_id: None });
        }
        let (mut buffer, mut keys) = (vec![0; READ_SIZE], Vec::new());
        loop {
            self.show_input();
            self.screen.flush()?;
            let deadline = self.deadline();
            // With the input at its end, only what ends by itself is waited for.
            if !self.listens && deadline.is_none() {
                self.exit.get_or_insert(0);
            }
            if let Some(status) = self.exit {
                self.screen.hide_input();
                self.screen.flush()?;
                return Ok(status);
            }
            if terminal.wait(deadline, self.listens)? {
                let length = terminal.read(&mut buffer)?;
                self.decoder.feed(&buffer[..length], &mut keys);
                self.listens = length > 0;
                if !self.listens && terminal.is_typed_at() {
                    self.exit = Some(0);
                }
                for key in keys.drain(..) {
                    self.press(key);
                }
                self.escape_due = self.decoder.awaits_escape().then(|| Instant::now() + ESCAPE_WAIT);
            }
            self.tick(Instant::now());
        }
    }

    fn show_input(&mut self) {
        let hint = match &self.current {
            None => "Ask something",
            Some(Current { work: Work::Ask, .. }) => "Type your answer",
            Some(_) => "Working; Esc interrupts",
        };
        self.screen.show_input(&self.typed, hint);
    }

    fn deadline(&self) -> Option<Instant> {
        let work = match &self.current {
            Some(Current { work: Work::Stream { due, .. } | Work::Pause { due, .. }, .. }) => Some(*due),
            _ => None,
        };
        [work, self.escape_due, self.ready_due].into_iter().flatten().min()
    }

    fn tick(&mut self, now: Instant) {
        let is_past = |due: Option<Instant>| due.is_some_and(|due| due <= now);
        if is_past(self.ready_due) {
            self.ready();
        }
        if is_past(self.escape_due) {
            self.escape_due = None;
            if let Some(key) = self.decoder.expire() {
                self.press(key);
            }
        }
        self.work_on(now);
    }

    fn press(&mut self, key: Key) {
        // After `!die` nothing more is taken.
        if self.exit.is_some() {
            return;
        }
        let is_idle = self.current.is_none();
        match key {
            Key::Status => return self.ready(),
            Key::Enter => return self.submit(),
            Key::Escape if is_idle => return,
            Key::Escape => return self.interrupt(),
            Key::Interrupt if !is_idle => return self.interrupt(),
            Key::Interrupt | Key::EndOfInput if is_idle && self.typed.is_empty() => {
                self.exit = Some(0);
                return;
            }
            Key::EndOfInput => return,
            Key::ClearScreen => self.screen.clear(),
            Key::Interrupt | Key::ClearLine => self.typed.clear(),
            Key::ClearWord => {
                let kept = self.typed.trim_ascii_end();
                let kept = kept.iter().rposition(u8::is_ascii_whitespace).map_or(0, |space| space + 1);
                self.typed.truncate(kept);
            }
            Key::Backspace => {
                // A whole character: its continuation bytes, then what they continue.
                while self.typed.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
            }
            Key::Byte(byte) => self.typed.push(byte),
            Key::Paste(text) => self.typed.extend_from_slice(&text),
        }
        self.screen.hide_input();
    }

    /// Enter: takes what was typed as an answer to our question, a command, or a turn.
    fn submit(&mut self) {
        if self.typed.is_empty() {
            return;
        }
        let submission = std::mem::take(&mut self.typed);
        if let Some(Err(error)) = self.typed_log.as_ref().map(|log| log.record(&submission)) {
            self.screen.trouble(&format!("The log of what is typed cannot be written: {error}"));
        }
        self.screen.hide_input();
        self.ready();
        if let Some(envelope) = Envelope::parse(&submission) {
            let id = envelope.turn_id;
            self.report(Signal::Submitted { turn_id: id });
            let message = match (&self.spool, envelope.message_in_file) {
                (Some(spool), true) => spool.read(id, Given::Message),
                (None, true) => Err(io::ErrorKind::NotFound.into()),
                (_, false) => Ok(envelope.message.to_vec()),
            };
            match message {
                Ok(message) => self.enqueue(Some(id), message),
                Err(error) => self.fail(Some(id), &format!("the message file cannot be read: {error}")),
            }
        } else if matches!(self.current, Some(Current { work: Work::Ask, .. })) {
            if let Some(Current { id, .. }) = self.current.take() {
                self.report_of(id, |turn_id| Signal::AttentionOver { turn_id, name: None });
                self.screen.question(&submission, None);
                self.finish_at_once(id, [b"you said: ".as_slice(), &submission].concat());
            }
        } else if submission.trim_ascii() == b"/clear" {
            self.screen.clear();
        } else if !submission.trim_ascii().is_empty() {
            self.enqueue(None, submission);
        }
        self.start_waiting();
    }

    fn enqueue(&mut self, id: Option<TurnId>, message: Vec<u8>) {
        self.turns_seen += 1;
        self.waiting.push_back(Turn { id, ordinal: self.turns_seen, message });
        if self.current.is_some() {
            self.screen.remark(&format!("(waiting: {})", self.waiting.len()));
        }
    }

    /// Takes up waiting turns until one is left that takes time.
    fn start_waiting(&mut self) {
        while self.current.is_none()
            && self.exit.is_none()
            && let Some(turn) = self.waiting.pop_front()
        {
            self.start(turn);
        }
    }

    fn start(&mut self, Turn { id, ordinal, message }: Turn) {
        self.screen.question(&message, id);
        let spool = self.spool.as_ref().zip(id);
        let plan = plan(&message, ordinal, |given| spool.and_then(|(spool, id)| spool.read(id, given).ok()));
        let now = Instant::now();
        let work = match plan {
            Plan::Whole(answer) => return self.finish_at_once(id, answer),
            Plan::Exit(status) => {
                self.screen.remark(&format!("Exiting with status {status}."));
                self.exit = Some(status);
                return;
            }
            Plan::Stream(stream) => {
                let part = match spool.map(|(spool, id)| spool.part(id)).transpose() {
                    Ok(part) => part,
                    Err(error) => return self.fail(id, &format!("the answer cannot be written: {error}")),
                };
                if stream.is_activity {
                    self.activity(id, ActivityState::Started);
                }
                Work::Stream { stream, due: now, part, whole: Vec::new() }
            }
            Plan::After(pause, answer) => Work::Pause { due: now + pause, answer },
            Plan::Hang => Work::Hang,
            Plan::Ask(prompt) => {
                self.screen.piece(prompt.as_bytes());
                self.screen.end_of_answer();
                let (kind, options) = (AttentionKind::Question, Vec::new());
                self.report_of(id, |turn_id| Signal::Attention {
                    turn_id,
                    kind,
                    prompt,
                    options,
                    name: None,
                    reply: None,
                });
                Work::Ask
            }
        };
        self.current = Some(Current { id, work });
    }

    /// Does what is due of the current turn: one piece at most, so that an interrupt never waits for long.
    fn work_on(&mut self, now: Instant) {
        let Some(Current { id, work }) = self.current.take() else { return };
        match work {
            Work::Stream { mut stream, due, mut part, mut whole } if due <= now => {
                if let Some(piece) = stream.pieces.next() {
                    self.screen.piece(&piece);
                    whole.extend_from_slice(&piece);
                    if let Some(Err(error)) = part.as_mut().map(|part| part.write_all(&piece)) {
                        return self.give_up(id, &format!("the answer cannot be written: {error}"));
                    }
                    // The end follows the last piece without a pause.
                    let due = if stream.pieces.peek().is_some() { due + stream.pace } else { now };
                    self.current = Some(Current { id, work: Work::Stream { stream, due, part, whole } });
                } else {
                    if stream.is_activity {
                        self.activity(id, ActivityState::Finished);
                    }
                    let answer = match &stream.trailer {
                        Some(trailer) => with_trailer(whole, trailer),
                        None => whole,
                    };
                    self.screen.end_of_answer();
                    self.finish(id, &answer);
                }
            }
            Work::Pause { due, answer } if due <= now => self.finish_at_once(id, answer),
            work => self.current = Some(Current { id, work }),
        }
        self.start_waiting();
    }

    fn interrupt(&mut self) {
        if let Some(Current { id, .. }) = self.current.take() {
            self.report_of(id, |turn_id| Signal::Interrupted { turn_id });
            self.screen.remark("Interrupted.");
            self.screen.end_of_answer();
        }
        self.start_waiting();
    }

    fn finish_at_once(&mut self, id: Option<TurnId>, answer: Vec<u8>) {
        self.finish(id, &answer);
        self.screen.answer(&answer);
    }

    fn finish(&mut self, id: Option<TurnId>, answer: &[u8]) {
        let written = self.spool.as_ref().zip(id).map(|(spool, id)| spool.write_answer(id, answer));
        match written {
            Some(Err(error)) => self.fail(id, &format!("the answer cannot be written: {error}")),
            _ => self.report_of(id, |turn_id| Signal::Stopped { turn_id, message: None }),
        }
    }

    fn give_up(&mut self, id: Option<TurnId>, why: &str) {
        self.fail(id, why);
        self.start_waiting();
    }

    fn fail(&mut self, id: Option<TurnId>, why: &str) {
        self.screen.trouble(&format!("This turn failed: {why}"));
        self.report_of(id, |turn_id| Signal::Failed { turn_id, message: why.to_owned() });
    }

    fn ready(&mut self) {
        if self.ready_due.take().is_some() {
            self.report(Signal::Ready { resume_id: None });
        }
    }

    fn activity(&mut self, id: Option<TurnId>, state: ActivityState) {
        let (tool, label) = (TOOL.to_owned(), "Writing the demo answer".to_owned());
        self.report_of(id, |turn_id| Signal::Activity { turn_id, tool, label, state });
    }

    /// Reports on a turn of the server's; of what a person typed, nothing is reported.
    fn report_of(&mut self, id: Option<TurnId>, signal: impl FnOnce(TurnId) -> Signal) {
        if let Some(id) = id {
            self.report(signal(id));
        }
    }

    fn report(&mut self, signal: Signal) {
        if let Some(Err(error)) = self.spool.as_ref().map(|spool| spool.signal(signal)) {
            self.screen.trouble(&format!("The server cannot be told: {error}"));
        }
    }
}

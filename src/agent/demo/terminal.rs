//! The terminal: its modes, and the wait for its next bytes.

use std::io;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::stdio::{stdin, stdout};
use rustix::termios::{
    InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr,
};

/// Columns where the terminal does not say.
const USUAL_WIDTH: u16 = 80;
/// "Mark pastes", and "mark them no more".
const ENTER: &[u8] = b"\x1b[?2004h";
const LEAVE: &[u8] = b"\x1b[?2004l";

/// Standard input and output in the modes that the agent needs, until it is dropped. Where they are no terminal,
/// nothing is changed.
pub struct Terminal {
    before: Option<Termios>,
    shows: bool,
}

impl Terminal {
    /// Has every key passed on as it is pressed, and pastes marked.
    ///
    /// # Errors
    /// Where the terminal refuses.
    pub fn enter() -> io::Result<Self> {
        let before = if isatty(stdin()) { Some(tcgetattr(stdin())?) } else { None };
        let terminal = Self { before, shows: isatty(stdout()) };
        if let Some(before) = &terminal.before {
            let mut modes = before.clone();
            modes.input_modes -= InputModes::ICRNL | InputModes::INLCR | InputModes::IGNCR | InputModes::ISTRIP;
            modes.input_modes -= InputModes::IXON;
            modes.local_modes -= LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG | LocalModes::IEXTEN;
            modes.special_codes[SpecialCodeIndex::VMIN] = 1;
            modes.special_codes[SpecialCodeIndex::VTIME] = 0;
            // Now, without a flush: what was typed before we came is input like any other.
            tcsetattr(stdin(), OptionalActions::Now, &modes)?;
        }
        if terminal.shows {
            rustix::io::write(stdout(), ENTER)?;
        }
        Ok(terminal)
    }

    /// True where a person or a server types, rather than a pipe.
    pub fn is_typed_at(&self) -> bool {
        self.before.is_some()
    }

    /// True where what is written is looked at on a terminal.
    pub fn shows(&self) -> bool {
        self.shows
    }

    /// Waits for input, or until `deadline`. True where there is something to read, the end of input included.
    ///
    /// # Errors
    /// Whatever the system says; an interrupted wait is a wait that ended early.
    pub fn wait(&self, deadline: Option<Instant>, listens: bool) -> io::Result<bool> {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        let input = stdin();
        let mut inputs = [PollFd::new(&input, PollFlags::IN)];
        let watched = if listens { &mut inputs[..] } else { &mut [] };
        match poll(watched, left.as_ref()) {
            Ok(ready) => Ok(ready > 0),
            Err(Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads what has arrived; 0 at the end of input.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match rustix::io::retry_on_intr(|| rustix::io::read(stdin(), &mut *buffer)) {
            // The other end of the terminal is gone.
            Err(Errno::IO) => Ok(0),
            read => Ok(read?),
        }
    }
}

/// Columns of the terminal at this moment.
pub fn width() -> usize {
    let columns = tcgetwinsize(stdout()).map_or(USUAL_WIDTH, |size| size.ws_col);
    usize::from(if columns == 0 { USUAL_WIDTH } else { columns })
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if self.shows {
            let _ = rustix::io::write(stdout(), LEAVE);
        }
        if let Some(before) = &self.before {
            let _ = tcsetattr(stdin(), OptionalActions::Now, before);
        }
    }
}

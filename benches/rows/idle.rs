//! Row 9: the product with many users, each with an agent session of their own that was needed once.

use std::path::Path;

use super::QUESTION;
use super::client::Client;
use super::server::Server;
use crate::idle::Idle;
use crate::measure::Outcome;

/// Turns before the first session that counts. The database and its caches, which stay below a fixed size, are then full.
const TURNS_BEFORE: usize = 600;

/// A server and its sessions.
pub struct Sessions {
    server: Server,
    count: usize,
}

impl Sessions {
    /// Starts a product with its state in `directory`, which exists and is empty.
    pub fn open(directory: &Path) -> Outcome<Self> {
        let settings = [("PALIADIN_PROFILE", "demo"), ("PALIADIN_AGENT__MAX_LIVE", "0")];
        let server = Server::start(directory, &settings.map(|(name, value)| (name, Path::new(value))))?;
        let mut client = server.client()?;
        for _ in 0..TURNS_BEFORE {
            answered(&mut client)?;
        }
        Ok(Self { server, count: 0 })
    }
}

/// One turn from its question to its end.
fn answered(client: &mut Client) -> Outcome<()> {
    let turn = client.ask(QUESTION)?;
    client.stream(&turn)?.until("end")
}

impl Idle for Sessions {
    fn grow(&mut self, by: usize) -> Outcome<()> {
        for number in self.count..self.count + by {
            let token = self.server.user(&format!("idle-{number}@localhost"))?;
            answered(&mut self.server.client_of(&token)?)?;
        }
        self.count += by;
        Ok(())
    }

    fn process(&self) -> u32 {
        self.server.process()
    }
}

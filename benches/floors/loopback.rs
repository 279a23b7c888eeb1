//! One TCP connection over loopback, with a client that waits at its far end.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use crate::measure::{DEADLINE, Outcome};

/// As long as the `end` of a turn.
const MESSAGE: &[u8] = b"id: 1-4\nevent: end\ndata: {\"turn_id\":\"01900000-0000-7000-8000-000000000001\",\
    \"used_tools\":[],\"rows_seen\":[],\"chip_count\":0,\"classifier_tag\":null,\"duration_ms\":12,\
    \"streamed\":false,\"late\":false}\n\n";

/// The connection.
pub struct Loopback {
    server: TcpStream,
    received: Receiver<Instant>,
}

impl Loopback {
    /// Connects.
    pub fn open() -> Outcome<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let mut client = TcpStream::connect(listener.local_addr()?)?;
        let (server, _) = listener.accept()?;
        server.set_nodelay(true)?;
        let (sender, received) = channel();
        // A client that waits has to be woken. So the floor has one that waits, and not one that reads in passing.
        std::thread::spawn(move || {
            let mut message = [0; MESSAGE.len()];
            while client.read_exact(&mut message).is_ok() && sender.send(Instant::now()).is_ok() {}
        });
        Ok(Self { server, received })
    }

    /// Writes once. Returns the moment at which the client had it.
    pub fn deliver(&mut self) -> Outcome<Instant> {
        self.server.write_all(MESSAGE)?;
        Ok(self.received.recv_timeout(DEADLINE)?)
    }
}

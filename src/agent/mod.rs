//! The agent's side: how one is started (`profile`), what is typed to it (`envelope`), the files that are exchanged
//! with it (`spool`, `watch`), what it reports (`signal`), how its answer is read (`answer`), and the demo agent.

pub mod answer;
pub mod demo;
pub mod envelope;
pub mod profile;
pub mod signal;
pub mod spool;
pub mod watch;

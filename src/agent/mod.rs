//! The agent's side: how one is started (`profile`) and under which account (`account`), what is typed to it (`envelope`), the files that are exchanged
//! with it (`spool`, `watch`, `writers`), what it reports (`signal`, `hook`), how its answer is read (`answer`), and the agents of
//! which more must be known than a profile says (`claude`, `demo`).

pub mod account;
pub mod answer;
pub mod claude;
pub mod demo;
pub mod envelope;
pub mod hook;
pub mod profile;
pub mod signal;
pub mod spool;
pub mod watch;
pub mod writers;

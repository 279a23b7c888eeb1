//! The agent's side: how one is started (`profile`) and under which account (`account`), what is typed to it (`envelope`),
//! the files that are exchanged with it (`spool`, `watch`, `writers`), what it reports (`signal`, `question`, `hook`, `transcript`), how
//! its answer is read (`answer`), what tells it how to answer (`skill`), by what it asks for data (`token`), whether it trusts
//! its directory (`trust`), what a person does not see of a text (`invisible`), and the agents of which more must be known
//! than a profile says (`claude`, `codex`, `demo`).

pub mod account;
pub mod answer;
pub mod claude;
pub mod codex;
pub mod demo;
pub mod envelope;
pub mod hook;
mod invisible;
pub mod profile;
pub mod question;
pub mod signal;
pub mod skill;
pub mod spool;
pub mod token;
pub mod transcript;
pub mod trust;
pub mod watch;
pub mod writers;

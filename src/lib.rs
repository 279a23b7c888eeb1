//! Paliadin puts a terminal AI agent that lives in tmux behind a multi-user web chat.
//!
//! The map, in the order in which a turn passes through: [`http`] takes it in, [`actors`] commit it, queue it and run
//! it, [`backend`] hands it to an agent ([`agent`], [`tmux`]), events come back through [`streams`], and [`store`]
//! keeps the record. [`turn`] is known to all and knows nobody. `ARCHITECTURE.md` tells more.

pub mod actors;
pub mod agent;
pub mod backend;
pub mod cli;
pub mod config;
pub mod doctor;
pub mod faults;
#[cfg(test)]
mod fuzz;
pub mod http;
pub mod private;
pub mod secret;
pub mod server;
pub mod store;
pub mod streams;
pub mod tmux;
pub mod turn;

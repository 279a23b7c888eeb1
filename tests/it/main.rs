//! Integration tests: the real parts, in one binary.

#[path = "../agents/mod.rs"]
mod agents;

mod access;
mod ask;
mod config;
mod conversations;
mod demo;
mod doctor;
mod faults;
mod fence;
mod fuzz;
mod harness;
mod heavy;
mod hook;
mod keeper;
mod kills;
mod late;
mod launch;
mod messages;
mod pages;
mod robustness;
mod security;
mod skill;
mod spool;
mod store;
mod streams;
mod supervision;
mod tmux;
mod token;
mod turns;
mod typing;

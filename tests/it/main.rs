//! Integration tests: the real parts, in one binary.

mod access;
mod ask;
mod config;
mod conversations;
mod demo;
mod doctor;
mod faults;
mod fence;
mod harness;
mod heavy;
mod hook;
mod kills;
mod late;
mod launch;
mod messages;
mod pages;
mod robustness;
mod skill;
mod spool;
mod store;
mod streams;
mod supervision;
mod tmux;
mod turns;
mod typing;

//! Integration tests: the real parts, in one binary.

mod access;
mod ask;
mod config;
mod conversations;
mod demo;
mod fence;
mod harness;
mod heavy;
mod hook;
mod kills;
mod messages;
mod pages;
mod robustness;
mod spool;
mod store;
mod streams;
mod supervision;
mod tmux;
mod turns;

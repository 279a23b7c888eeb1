//! Integration tests: the real parts, in one binary.

mod demo;
mod hook;
mod store;
mod tmux;

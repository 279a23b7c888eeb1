//! Integration tests: the real parts, in one binary.

mod demo;
mod store;
mod tmux;

//! The actors: who runs, who restarts whom, and what everyone does right now.
//!
//! ```text
//! root
//! ├── recorder            group-commits every write to the store
//! ├── health              whether an agent can be had, asked before each turn
//! ├── janitor             late answers, what was left behind, old events
//! └── sessions            directory and supervisor of the agent sessions
//!     └── session:<name>  one turn at a time, first come first served
//!         ├── pane        keeps the agent's process
//!         └── turn:<id>   runs one turn against the backend
//! ```

pub mod address;
mod closing;
mod health;
pub mod janitor;
pub mod observe;
mod pane;
mod reading;
pub mod recorder;
pub mod root;
mod seats;
mod session;
pub mod sessions;
pub mod supervise;
mod turn;
mod wiring;

pub use address::Address;
pub use wiring::{Limits, Patience, Probing, Restarts, Upkeep, Wiring};

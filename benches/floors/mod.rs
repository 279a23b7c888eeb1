//! The floors: the least that the steps of a turn cost on this machine, with the same packages, the same kernel
//! interfaces and the same guarantees as the product, and nothing else. They use nothing of the library; [`hook`] starts the
//! program itself, whose own cost is what it measures.

pub mod commit;
pub mod death;
pub mod hook;
pub mod idle_sessions;
pub mod inotify_to_socket;
pub mod loopback;
pub mod paste_to_pane;
pub mod receiver;
pub mod turn_chain;

//! The web: routes, who may come in, and the shape of every answer.

mod admin;
mod answer;
pub mod auth;
mod chat;
mod conversations;
mod error;
mod gate;
mod health;
mod input;
pub mod listener;
mod owned;
pub mod pages;
mod recover;
pub mod routes;
pub mod serve;
pub mod signin;
mod sse;
pub mod state;
mod steer;

pub use error::{Code, Problem};
pub use routes::{Access, ROUTES, Route, router};
pub use state::App;

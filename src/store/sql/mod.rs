//! What the drivers have in common: every read and every write of the store, in the SQL that SQLite and PostgreSQL both
//! speak. Where they do not, the statement stands in [`dialect`], once for each.
//!
//! A driver brings a [`session::Session`] (how a statement is executed there, how a row is read), a connection for the
//! [`writer`], and the errors of its database as those of the store; [`driver`] makes a `Store` of it.

mod accounts;
mod apply;
mod columns;
mod conversations;
pub(super) mod dialect;
pub(super) mod driver;
mod endings;
mod events;
pub(super) mod migrations;
mod read;
mod rows;
pub(super) mod session;
mod sessions;
mod turns;
pub(super) mod writer;

/// Statements that have to find their rows by an index, and those that may sort what an index found.
#[cfg(test)]
pub(super) mod plans {
    pub(in crate::store) fn indexed() -> impl Iterator<Item = &'static str> {
        let (reads, turns) = (super::read::INDEXED, super::turns::INDEXED.into_iter().chain(super::endings::INDEXED));
        reads.into_iter().chain(turns).chain(super::events::INDEXED).chain(super::conversations::INDEXED)
    }

    /// What a server that starts has to look after.
    pub(in crate::store) const OPEN_TURNS: &str = super::dialect::SQLITE.open_turns;

    pub(in crate::store) const SORTED: [&str; 2] = super::conversations::SORTED;
}

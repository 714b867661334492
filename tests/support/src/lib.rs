//! Helpers that the tests of several crates share.
//!
//! | module | contents |
//! |---|---|
//! | [`golden`] | files with recorded netlink messages and their meaning |
//! | [`messages`] | encoder and parser of netlink messages, independent of the code under test |
//! | [`namespace`] | network namespaces, one for each test |
//! | [`pages`] | an HTTP server with fixed pages |
//! | [`program`] | runs programs and returns their output |
//! | [`Monitor`] | captures every netlink message of a network namespace |
//! | [`Script`] | a netlink transport that returns prepared answers |
//!
//! The crate is for tests, examples and test programs. `cargo xtask tidy` rejects it as a
//! dependency of a crate's library or binary.

pub mod golden;
pub mod messages;
mod monitor;
pub mod namespace;
pub mod pages;
pub mod program;
mod script;

pub use monitor::Monitor;
pub use script::{Receive, Script, Sent};

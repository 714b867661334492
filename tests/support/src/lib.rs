//! Parts that the tests of several crates share.
//!
//! | module | contents |
//! |---|---|
//! | [`golden`] | files with recorded netlink messages and their meaning |
//! | [`messages`] | netlink messages byte by byte, written without the code under test |
//! | [`namespace`] | a network namespace for each test |
//! | [`program`] | programs that are run to their end |
//! | [`Monitor`] | every netlink message of a network namespace |
//! | [`Script`] | a kernel that answers from a script |
//!
//! The crate is for tests, examples and test programs. `cargo xtask tidy` rejects it as a
//! dependency of a crate's library or binary.

pub mod golden;
pub mod messages;
mod monitor;
pub mod namespace;
pub mod program;
mod script;

pub use monitor::Monitor;
pub use script::{Receive, Script, Sent};

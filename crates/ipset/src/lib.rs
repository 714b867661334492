//! ipset, the Linux kernel's sets for packet filters: its types and its text.
//!
//! - **Words**: a [`Set`] has a [`SetName`], a [`Header`] and entries.
//! - **Text**: [`text`] prints and parses the lines of `ipset save`.
//!
//! Nothing here does any input or output.

pub mod text;
mod types;

pub use types::{
    Dimension, Entry, Family, HashType, Header, NAME_MAX, NameError, Protocol, Set, SetName,
    UnfitError,
};

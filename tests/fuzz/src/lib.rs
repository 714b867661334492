//! Fuzzes every decoder and parser, on stable Rust: inputs of a corpus are mutated at random and
//! passed to each [`Target`]. An input is a function of the corpus, a seed and its number, so a run
//! can be repeated.
//!
//! | module | contents |
//! |---|---|
//! | [`corpus`] | the unmutated inputs |
//! | [`mutate`], [`random`] | one mutated input |
//! | [`targets`] | the decoders and parsers |
//! | [`run`] | the loop, and the report of failures |

pub mod corpus;
pub mod mutate;
pub mod random;
pub mod run;
pub mod targets;

pub use targets::Target;

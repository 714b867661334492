//! Fuzzing of every decoder and parser, on stable Rust: inputs of a corpus are mutated at random and given to each
//! [`Target`]. An input is a function of the corpus, a seed and its number, so that a run can be repeated.
//!
//! | module | contents |
//! |---|---|
//! | [`corpus`] | the inputs that mutation starts from |
//! | [`mutate`], [`random`] | one mutated input |
//! | [`targets`] | the decoders and parsers |
//! | [`run`] | the loop, and the report of what it found |

pub mod corpus;
pub mod mutate;
pub mod random;
pub mod run;
pub mod targets;

pub use targets::Target;

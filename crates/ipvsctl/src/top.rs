//! Live view of the traffic of Services.
//!
//! | module | contents |
//! |---|---|
//! | [`sample`] | one reading of the counters |
//! | [`traffic`] | rates from two samples, summed for each Service |
//! | [`reader`] | readings at intervals, and the state of kube-ipvsd |
//! | [`view`] | state of the screen and the effect of a key |
//! | [`draw`] | drawing of the state |
//! | [`numbers`] | short numbers |
//! | [`screen`] | the terminal |
//!
//! Only [`reader`] and [`screen`] do IO.

pub mod draw;
pub mod numbers;
pub mod reader;
pub mod sample;
pub mod screen;
#[cfg(test)]
mod testing;
pub mod traffic;
pub mod view;

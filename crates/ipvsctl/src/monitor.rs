//! Changes of a node's tables as they happen, and the programs that made them.
//!
//! IPVS sends no notifications, so the tables are read at intervals. Two changes of one entry within
//! an interval are seen as one, or not at all.
//!
//! | module | contents |
//! |---|---|
//! | [`tables`] | readings at a small cost |
//! | [`pace`] | pauses between readings |
//! | [`changes`] | differences of two readings |
//! | [`log`] | the log of kube-ipvsd |
//! | [`authors`] | changes that kube-ipvsd made |
//!
//! Only [`tables`] and [`log`] do IO.

pub mod authors;
pub mod changes;
pub mod log;
pub mod pace;
pub mod tables;

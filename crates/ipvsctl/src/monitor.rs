//! Changes of a node's tables as they happen, and the programs that made them.
//!
//! IPVS sends no notifications, so the tables are read at intervals. Two changes of one entry within
//! an interval are seen as one, or not at all.
//!
//! | module | contents |
//! |---|---|
//! | [`changes`] | differences of two readings |
//! | [`authors`] | changes that kube-ipvsd made |
//!
//! All of them are pure.

pub mod authors;
pub mod changes;

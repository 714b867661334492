//! The built program, run on files and against an API server of the test's own.

mod analyze;
mod apply;
mod cluster;
mod colors;
mod config;
mod desk;
mod diff;
mod docs;
mod migrate;
mod misc;
mod node_state;
mod render;
mod reports;
mod untrusted;

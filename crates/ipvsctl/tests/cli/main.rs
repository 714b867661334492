//! Tests of the built program with files and with an API server of the test.

mod analyze;
mod apply;
mod cluster;
mod colors;
mod config;
mod diff;
mod docs;
mod folder;
mod get;
mod migrate;
mod misc;
mod node_state;
mod render;
mod reports;
mod untrusted;

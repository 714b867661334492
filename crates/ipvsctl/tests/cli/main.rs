//! Tests of the built program with files and with an API server of the test.

mod analyze;
mod apply;
mod cluster;
mod colors;
mod config;
mod diff;
mod docs;
mod explain;
mod folder;
mod get;
mod import;
mod migrate;
mod misc;
mod node_state;
mod render;
mod reports;
mod saved;
mod trace;
mod untrusted;
mod virtual_server;

//! Scenarios: manifests in, tables out.

pub mod recording;

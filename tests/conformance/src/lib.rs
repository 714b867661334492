//! Scenarios: manifests in, tables and plan out.

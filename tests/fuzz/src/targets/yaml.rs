//! Files that operators write.

use std::path::Path;

use model::ClusterState;
use sources::config::{self, NodeOverrides, Resolved};
use sources::{files, node_state};

use super::{equal, rejected};

/// Parses a configuration. An accepted one prints as a file that resolves to the same settings.
pub(super) fn config(input: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(input);
    let resolve = |text: &str| -> Result<Resolved, config::ConfigErrors> {
        config::parse("input.yaml", text)?.resolve(&NodeOverrides::default(), "node-1")
    };
    let Ok(first) = resolve(&text) else {
        return Ok(());
    };
    let promise = "a configuration is printed and parsed";
    let printed = first.to_yaml().map_err(rejected(promise, &text))?;
    let again = resolve(&printed).map_err(rejected(promise, &printed))?;
    equal(promise, &first.node, &again.node)?;
    equal(promise, &first.settings, &again.settings)?;
    equal(promise, &first.kubeconfig, &again.kubeconfig)
}

/// Parses manifests and absorbs their objects.
pub(super) fn manifests(input: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(input);
    let found = files::parse(Path::new("input.yaml"), &text);
    for error in &found.errors {
        if error.to_string().contains('\n') {
            return Err(format!("an error is one line\n  {error}"));
        }
    }
    let mut state = ClusterState::default();
    for event in found.into_events() {
        let _ = state.absorb(event);
    }
    Ok(())
}

/// Parses the state of a node.
pub(super) fn node_state(input: &[u8]) -> Result<(), String> {
    let _ = node_state::parse(Path::new("input.yaml"), &String::from_utf8_lossy(input));
    Ok(())
}

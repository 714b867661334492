//! Objects in as little room as they need. Tens of thousands of them stay for as long as the process does.

use std::collections::HashSet;

use super::{EndpointPort, EndpointSlice, Service};
use crate::names::Name;

/// How many names there are at least before any is forgotten.
const FEW: usize = 1024;

/// Names that many objects have in common, such as those of namespaces, nodes and ports, each kept once. What is in it
/// makes no difference to anybody.
#[derive(Clone, Debug, Default)]
pub(super) struct CommonNames {
    names: HashSet<Name>,
    /// How many there were when those that nobody used were forgotten last.
    in_use: usize,
}

impl PartialEq for CommonNames {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for CommonNames {}

impl CommonNames {
    /// Takes the room that `service` does not need.
    pub(super) fn compact_service(&mut self, service: &mut Service) {
        self.share(&mut service.name.namespace);
        service.cluster_ips.shrink_to_fit();
        service.ports.shrink_to_fit();
        for port in &mut service.ports {
            self.share(&mut port.name);
        }
        service.external_ips.shrink_to_fit();
        service.load_balancer_ips.shrink_to_fit();
        service.source_ranges.shrink_to_fit();
    }

    /// The same for `slice`.
    pub(super) fn compact_slice(&mut self, slice: &mut EndpointSlice) {
        self.share(&mut slice.name.namespace);
        slice.endpoints.shrink_to_fit();
        for endpoint in &mut slice.endpoints {
            let hints = endpoint
                .zone_hints
                .iter_mut()
                .chain(&mut endpoint.node_hints);
            for name in endpoint.node.iter_mut().chain(hints) {
                self.share(name);
            }
        }
        slice.ports.shrink_to_fit();
        for EndpointPort { name, .. } in &mut slice.ports {
            name.iter_mut().for_each(|name| self.share(name));
        }
    }

    fn share(&mut self, name: &mut Name) {
        if let Some(known) = self.names.get(name) {
            name.clone_from(known);
            return;
        }
        if self.names.len() >= FEW.max(2 * self.in_use) {
            self.names.retain(|name| Name::strong_count(name) > 1);
            self.in_use = self.names.len();
        }
        self.names.insert(name.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_nobody_uses_are_forgotten() {
        let mut names = CommonNames::default();
        let mut kept: Name = "kept".into();
        names.share(&mut kept);
        for number in 0..10 * FEW {
            names.share(&mut format!("node-{number}").as_str().into());
            assert!(names.names.len() <= FEW + 1);
        }
        let mut again: Name = "kept".into();
        names.share(&mut again);
        assert!(Name::ptr_eq(&kept, &again));
    }

    #[test]
    fn many_names_in_use_are_not_looked_through_each_time() {
        let mut names = CommonNames::default();
        let mut used: Vec<Name> = Vec::new();
        for number in 0..5 * FEW {
            used.push(format!("node-{number}").as_str().into());
            names.share(used.last_mut().expect("one"));
        }
        assert_eq!(names.names.len(), used.len());
        assert_eq!(names.in_use, 4 * FEW, "at 1,024, 2,048 and 4,096");
    }
}

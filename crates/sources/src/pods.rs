//! Addresses of pods by name.
//!
//! kube-ipvs does not read pods. An endpoint names its pod in `targetRef`; the model does not store
//! it, so the addresses are collected only on request ([`crate::files::read_with_pods`],
//! [`crate::kube::list_pods`]). A pod that backs no Service is unknown.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use model::{ObjectName, Parsed};

use crate::convert::{self, name};
use crate::objects::Kubernetes;

/// Addresses of pods by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodAddresses(BTreeMap<ObjectName, BTreeSet<IpAddr>>);

impl PodAddresses {
    /// Returns the addresses of the pod `name`. Endpoints of a pod that was created again under its
    /// name may still have the old address.
    #[must_use]
    pub fn of(&self, name: &ObjectName) -> Option<&BTreeSet<IpAddr>> {
        self.0.get(name)
    }

    /// Returns the names of all pods, ordered.
    pub fn names(&self) -> impl Iterator<Item = &ObjectName> {
        self.0.keys()
    }

    /// Adds the pods of an object's endpoints.
    ///
    /// A pod of another namespace is ignored: who may write EndpointSlices in one namespace must not
    /// choose the addresses of pods in another.
    pub(crate) fn add(&mut self, object: &impl Kubernetes) {
        let namespace = object.metadata().object_name().namespace;
        for (target, address) in object.targets() {
            let is_pod = target.kind.as_deref() == Some("Pod");
            let is_here = (target.namespace.as_deref()).is_none_or(|at| name(at) == namespace);
            let (Some(pod), Parsed::Valid(address)) = (&target.name, convert::ip(address)) else {
                continue;
            };
            if is_pod && is_here {
                let pod = ObjectName::new(namespace.clone(), name(pod));
                self.0.entry(pod).or_default().insert(address);
            }
        }
    }
}

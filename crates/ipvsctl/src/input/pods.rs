//! Pods that the command line names.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipvs::AddressFamily;
use model::ObjectName;
use sources::PodAddresses;

use crate::suggest;

/// Reason why a pod has no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PodError {
    /// No endpoint names the pod.
    #[error(
        "no EndpointSlice has a pod {name}{} give its address (kubectl get pod -n {} {} -o wide), since pods that \
         back no Service are in none",
        otherwise(near), name.namespace, name.name
    )]
    Unknown {
        /// The pod.
        name: ObjectName,
        /// Names like it.
        near: Vec<ObjectName>,
    },
    /// The pod has no address of the family.
    #[error("the pod {name} has no {family} address, only {}", listed(addresses))]
    Family {
        /// The pod.
        name: ObjectName,
        /// The family.
        family: AddressFamily,
        /// Its addresses.
        addresses: BTreeSet<IpAddr>,
    },
    /// The endpoints of the pod have several addresses of the family.
    #[error(
        "EndpointSlices have several addresses of the pod {name}, {}: give one of them",
        listed(addresses)
    )]
    Several {
        /// The pod.
        name: ObjectName,
        /// Its addresses of the family.
        addresses: BTreeSet<IpAddr>,
    },
}

/// Returns the addresses of the pod `name`, at least one.
///
/// # Errors
///
/// [`PodError::Unknown`].
pub fn addresses<'a>(
    pods: &'a PodAddresses,
    name: &ObjectName,
) -> Result<&'a BTreeSet<IpAddr>, PodError> {
    pods.of(name).ok_or_else(|| PodError::Unknown {
        name: name.clone(),
        near: suggest::near(pods.names(), name),
    })
}

/// Returns the address of the pod `name` for packets to `to`, of the same family.
///
/// # Errors
///
/// The pod is unknown, or has no such address, or several.
pub fn address(pods: &PodAddresses, name: &ObjectName, to: IpAddr) -> Result<IpAddr, PodError> {
    let all = addresses(pods, name)?;
    let near: BTreeSet<IpAddr> = (all.iter().copied())
        .filter(|address| address.is_ipv4() == to.is_ipv4())
        .collect();
    match (near.first(), near.len()) {
        (Some(only), 1) => Ok(*only),
        (None, _) => Err(PodError::Family {
            name: name.clone(),
            family: AddressFamily::of(to),
            addresses: all.clone(),
        }),
        (Some(_), _) => Err(PodError::Several {
            name: name.clone(),
            addresses: near,
        }),
    }
}

fn otherwise(near: &[ObjectName]) -> String {
    match near {
        [] => ":".to_owned(),
        near => format!("{} Otherwise", suggest::question(near)),
    }
}

/// Maximum number of addresses in a message.
const LISTED: usize = 5;

fn listed(addresses: &BTreeSet<IpAddr>) -> String {
    let named = addresses.iter().take(LISTED).map(ToString::to_string);
    let named = named.collect::<Vec<_>>().join(", ");
    match addresses.len().checked_sub(LISTED) {
        Some(more @ 1..) => format!("{named} and {more} more"),
        _ => named,
    }
}

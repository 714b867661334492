//! Findings about EndpointSlices. Each slice is reported once, whatever refers to it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use ipvs::{AddressFamily, Protocol};
use model::ObjectName;
use model::cluster::{Endpoint, EndpointPort, EndpointSlice};
use model::finding::{Code, Finding};

/// Maximum number of reported slices without a Service in one namespace. A user who can create one
/// can create thousands.
const MAX_UNLABELLED: usize = 100;

/// Returns the findings about the slices of a namespace that belong to no Service.
pub(crate) fn unlabelled(slices: impl Iterator<Item = EndpointSlice>) -> Vec<Finding> {
    let slices = slices.take(MAX_UNLABELLED);
    slices.map(|slice| unlabelled_slice(slice.name)).collect()
}

fn unlabelled_slice(slice: ObjectName) -> Finding {
    let problem = "without the label kubernetes.io/service-name it belongs to no Service";
    // The control plane prefixes the name of a slice with the name of its Service.
    let meant = slice.name.rsplit_once('-').map(|(service, _)| service);
    Finding {
        code: Code::UnlabelledSlice,
        kind: "EndpointSlice",
        field: "metadata.labels".to_owned(),
        problem: match meant {
            Some(service) if !service.is_empty() => format!("{problem} (is `{service}` meant?)"),
            _ => problem.to_owned(),
        },
        consequence: "its endpoints get no traffic".to_owned(),
        object: slice,
    }
}

/// Adds findings for the problems of `slice`.
pub(super) fn check(slice: &EndpointSlice, findings: &mut Vec<Finding>) {
    let Some(family) = slice.family else {
        findings.push(Finding {
            code: Code::UnusableSlice,
            kind: "EndpointSlice",
            object: slice.name.clone(),
            field: "addressType".to_owned(),
            problem: "it is neither IPv4 nor IPv6".to_owned(),
            consequence: "its endpoints get no traffic".to_owned(),
        });
        return;
    };
    for (index, endpoint) in slice.endpoints.iter().enumerate() {
        if let Err(problem) = usable_address(endpoint, family) {
            findings.push(Finding {
                code: Code::InvalidEndpointAddress,
                kind: "EndpointSlice",
                object: slice.name.clone(),
                field: format!("endpoints[{index}].addresses[0]"),
                problem: problem.to_string(),
                consequence: "this endpoint gets no traffic".to_owned(),
            });
        }
    }
    if let Some(index) = slice.several_addresses {
        findings.push(Finding {
            code: Code::SeveralAddresses,
            kind: "EndpointSlice",
            object: slice.name.clone(),
            field: format!("endpoints[{index}].addresses"),
            problem: "there is more than one address".to_owned(),
            consequence: "the first one is used, as with kube-proxy".to_owned(),
        });
    }
    for (index, port) in slice.ports.iter().enumerate() {
        if let Some((field, problem)) = port_problem(port) {
            findings.push(Finding {
                code: Code::InvalidEndpointPort,
                kind: "EndpointSlice",
                object: slice.name.clone(),
                field: format!("ports[{index}].{field}"),
                problem,
                consequence: "no traffic goes to this port".to_owned(),
            });
        }
    }
}

/// Returns the address of `endpoint` if it can be a real server of a slice of `family`.
///
/// # Errors
///
/// Returns the reason why the address cannot be used. The kernel rejects these addresses for real
/// servers as well (`ip_vs_new_dest`, `net/netfilter/ipvs/ip_vs_ctl.c`, Linux 6.1).
pub(super) fn usable_address(
    endpoint: &Endpoint,
    family: AddressFamily,
) -> Result<IpAddr, AddressProblem<'_>> {
    let address = *(endpoint.address.as_result()).map_err(AddressProblem::NoAddress)?;
    let link_local = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
    let what = if AddressFamily::of(address) != family {
        "not of the slice's addressType"
    } else if address.is_unspecified() {
        "the unspecified address"
    } else if address.is_multicast() {
        "a multicast address"
    } else if address == IpAddr::V4(Ipv4Addr::BROADCAST) {
        "the broadcast address"
    } else if link_local {
        "a link-local address"
    } else {
        return Ok(address);
    };
    Err(AddressProblem::Unusable(address, what))
}

/// Reason why the address of an endpoint cannot be used.
pub(super) enum AddressProblem<'a> {
    /// The text is not an address.
    NoAddress(&'a str),
    /// No real server can have the address. The text describes its kind.
    Unusable(IpAddr, &'static str),
}

impl fmt::Display for AddressProblem<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAddress(text) => write!(f, "`{text}` is not an IP address"),
            Self::Unusable(address, what) => write!(f, "{address} is {what}"),
        }
    }
}

fn port_problem(port: &EndpointPort) -> Option<(&'static str, String)> {
    match port.protocol.as_result() {
        Ok(Protocol::Tcp | Protocol::Udp | Protocol::Sctp) => {}
        Ok(other) => return Some(("protocol", format!("{other} is not TCP, UDP or SCTP"))),
        Err(text) => {
            return Some(("protocol", format!("`{text}` is not TCP, UDP or SCTP")));
        }
    }
    if port.name.is_none() {
        return Some(("name", "there is no name".to_owned()));
    }
    if port.port.is_none() {
        return Some(("port", "there is no port from 1 to 65535".to_owned()));
    }
    None
}

//! Addresses that no Service serves refuse connections at once, so that no client waits for a
//! timeout.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::time::Duration;

use e2e::{Context as _, Knock, Namespace, Outcome, Protocol, ensure, knock, within};
use libtest_mimic::Trial;

use crate::case;
use crate::service::{Address, FAMILIES, Service};
use crate::stage::{Stage, node_address, refused, with_slices};

const KINDS: [Address; 3] = [Address::ClusterIp, Address::LoadBalancer, Address::External];

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        case("refused::a_service_whose_last_endpoint_went", no_endpoints),
        case(
            "refused::port_22_of_virtual_addresses_while_the_hosts_own_answers",
            port_22,
        ),
        case("refused::node_ports_at_localhost", localhost),
    ]
}

fn web() -> Service {
    Service::new("web", 1)
}

fn stage() -> Outcome<Stage> {
    let stage = Stage::start(&["pod1", "pod2"], &[], |world| {
        with_slices(world, web(), web().outside(), &["pod1"])
    })?;
    stage.soon_served_by(web(), Address::ClusterIp, &["pod1"])?;
    Ok(stage)
}

/// Returns the places that send requests: the client, a pod, and the node.
fn origins(stage: &Stage) -> Outcome<[&Namespace; 3]> {
    let pod = &stage.pod("pod2")?.namespace;
    Ok([&stage.world.client, pod, &stage.world.node])
}

fn no_endpoints() -> Outcome {
    let stage = stage()?;
    stage.set_endpoints(web(), &[])?;
    for from in origins(&stage)? {
        for family in FAMILIES {
            for kind in KINDS {
                let target = web().at(kind, family);
                within(Duration::from_secs(2), || refused(from, target))?;
            }
            for protocol in [Protocol::Tcp, Protocol::Udp] {
                let target = (node_address(family), web().node_port(protocol)).into();
                refused(from, target)?;
            }
        }
    }
    stage.set_endpoints(web(), &["pod1"])?;
    stage.soon_served_by(web(), Address::ClusterIp, &["pod1"])?;
    stage.soon_served_by(web(), Address::LoadBalancer, &["pod1"])
}

fn port_22() -> Outcome {
    let stage = stage()?;
    let everywhere = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 22);
    let _ssh = (stage.world.node)
        .run(|| TcpListener::bind(everywhere))
        .context(|| "listening at port 22")?;
    for from in origins(&stage)? {
        for family in FAMILIES {
            let own = SocketAddr::new(node_address(family), 22);
            let found = knock(from, None, Protocol::Tcp, own, Duration::from_secs(1));
            ensure(found == Knock::Open, || format!("{own}: {found:?}"))?;
            for kind in KINDS {
                refused(from, SocketAddr::new(web().address(kind, family), 22))?;
            }
        }
    }
    Ok(())
}

/// `localhost:nodePort` is not served, as in kube-proxy's ipvs mode, and is refused at once.
fn localhost() -> Outcome {
    let stage = stage()?;
    let hosts: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    for host in hosts {
        for protocol in Protocol::ALL {
            let target = SocketAddr::new(host, web().node_port(protocol));
            refused(&stage.world.node, target)?;
        }
    }
    Ok(())
}

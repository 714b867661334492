//! Service addresses that already belong to a node (deviation D8), and those of a load balancer
//! with `ipMode: Proxy`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::time::Duration;

use e2e::{Ask, Over, Reply};
use e2e::{
    Context as _, Family, Knock, Namespace, Neighbour, Outcome, Protocol, Responder, Volley,
    ensure, knock,
};
use libtest_mimic::Trial;
use serde_json::json;

use crate::case;
use crate::service::{Address, FAMILIES, PORT, Service, node};
use crate::stage::{Stage, node_address, served_by, with_slices};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        case(
            "addresses::one_of_the_node_serves_and_stays_the_nodes_own",
            own,
        ),
        case(
            "addresses::one_of_another_node_stays_that_nodes",
            of_another,
        ),
        case(
            "addresses::a_load_balancer_of_mode_proxy_is_reached_itself",
            proxy,
        ),
    ]
}

fn web() -> Service {
    Service::new("web", 1)
}

/// Listens at port 22 of the host.
fn host_listens(namespace: &Namespace) -> Outcome<TcpListener> {
    let everywhere = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 22);
    let listener = namespace.run(|| TcpListener::bind(everywhere));
    listener.context(|| "listening at port 22")
}

fn open(from: &Namespace, target: SocketAddr) -> Outcome {
    let found = knock(from, None, Protocol::Tcp, target, Duration::from_secs(1));
    ensure(found == Knock::Open, || {
        format!("{target}: expected an open port, found {found:?}")
    })
}

/// The node's own address is a load balancer address, as with k3s on every node.
fn own() -> Outcome {
    let stage = Stage::start(&["pod1", "pod2"], &[], |world| {
        let mut service = web().outside();
        let ingress = FAMILIES.map(|family| json!({"ip": node_address(family), "ipMode": "VIP"}));
        service["status"]["loadBalancer"]["ingress"] = json!(ingress);
        with_slices(world, web(), service, &["pod1"])
    })?;
    stage.soon_served_by(web(), Address::ClusterIp, &["pod1"])?;
    let _ssh = host_listens(&stage.world.node)?;
    let pod = &stage.pod("pod2")?.namespace;
    for from in [&stage.world.client, pod, &stage.world.node] {
        for family in FAMILIES {
            let address = node_address(family);
            served_by(from, SocketAddr::new(address, PORT), &["pod1"])?;
            open(from, SocketAddr::new(address, 22))?;
            let port = web().node_port(Protocol::Tcp);
            open(from, SocketAddr::new(address, port))?;
        }
    }
    Ok(())
}

/// The address of another node is an external address. Served here, it would cut that node off from
/// this one.
fn of_another() -> Outcome {
    let other_node: [IpAddr; 2] = [
        Ipv4Addr::new(192, 168, 79, 11).into(),
        Ipv6Addr::new(0xfd00, 0x79, 0, 0, 0, 0, 0, 0x11).into(),
    ];
    let stage = Stage::start(&["pod1", "pod2"], &[], |world| {
        let mut service = web().outside();
        service["spec"]["externalIPs"] = json!(other_node);
        let mut all = vec![node("node2", &other_node)];
        all.extend(with_slices(world, web(), service, &["pod1"]));
        all
    })?;
    stage.soon_served_by(web(), Address::ClusterIp, &["pod1"])?;
    let neighbour = Neighbour::beside(&stage.world, &[])?;
    let _ssh = host_listens(&neighbour.node)?;
    let pod = &stage.pod("pod2")?.namespace;
    for from in [pod, &stage.world.node] {
        for address in other_node {
            open(from, SocketAddr::new(address, 22))?;
            // That node itself refuses the connection, because nothing listens there.
            let target = SocketAddr::new(address, PORT);
            let found = knock(from, None, Protocol::Tcp, target, Duration::from_secs(1));
            let reset = Knock::Other("Connection refused (os error 111)".to_owned());
            ensure(found == reset, || {
                format!("{target}: expected {reset:?}, found {found:?}")
            })?;
        }
    }
    Ok(())
}

/// With `ipMode: Proxy`, connections of pods and of the node go to the load balancer.
fn proxy() -> Outcome {
    let stage = Stage::start(&["pod1", "pod2"], &[], |world| {
        let mut service = web().outside();
        for place in 0..FAMILIES.len() {
            service["status"]["loadBalancer"]["ingress"][place]["ipMode"] = "Proxy".into();
        }
        with_slices(world, web(), service, &["pod1"])
    })?;
    stage.soon_served_by(web(), Address::ClusterIp, &["pod1"])?;
    let balancer = FAMILIES.map(|family| web().at(Address::LoadBalancer, family));
    let world = &stage.world;
    let lines = FAMILIES.map(|family| {
        let address = web().address(Address::LoadBalancer, family);
        let [client, ..] = family.client_addresses()[..] else {
            return (String::new(), String::new());
        };
        let nodad = if family == Family::V6 { " nodad" } else { "" };
        (
            format!("address add {address} dev lo{nodad}"),
            format!("route add {address} via {client}"),
        )
    });
    for (at_client, at_node) in lines {
        world.client.ip(&[at_client])?;
        world.node.ip(&[at_node])?;
    }
    let places = balancer.map(|address| (Protocol::Tcp, address));
    let _balancer = Responder::start(&world.client, "balancer", &places)?;
    let asks = balancer.map(|target| Ask {
        over: Over::Transport(Protocol::Tcp),
        target,
        source: None,
    });
    for from in [&stage.pod("pod2")?.namespace, &world.node] {
        for replies in Volley::new(from).ask(&asks)? {
            let by_balancer = |reply: &Reply| matches!(reply, Reply::Answered(answer) if answer.pod == "balancer");
            ensure(replies.iter().all(by_balancer), || {
                format!("expected answers of the load balancer, found {replies:?}")
            })?;
        }
    }
    Ok(())
}

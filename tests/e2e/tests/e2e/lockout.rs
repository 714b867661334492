//! Services that claim the address of the API server.

use std::time::Duration;

use e2e::{ApiServer, Family, Outcome, Protocol, World, ensure, objects, within};
use libtest_mimic::Trial;
use serde_json::json;

use crate::case;

/// Time limit for a change on a busy machine.
const LIMIT: Duration = Duration::from_secs(15);

pub(crate) fn trials() -> Vec<Trial> {
    vec![case(
        "lockout::the_api_servers_address_is_served_to_no_tenant",
        refused,
    )]
}

fn refused() -> Outcome {
    let world = World::build(1)?;
    let load = world.write_objects("load.json", world.web("web", 1))?;
    let api = ApiServer::start_outside(&world, &[&load])?;
    let config = world.config(&[])?;
    let daemon = world.daemon(&[&"--kubeconfig", &api.kubeconfig, &"--config", &config])?;
    daemon.wait_for_log(LIMIT, &["synced: "])?;

    let server = api.address.ip();
    let mut external = objects::service(
        "external",
        &[Family::V4.virtual_address(50)],
        &[Protocol::Tcp],
    );
    external["spec"]["ports"][0]["port"] = json!(api.address.port());
    external["spec"]["externalIPs"] = json!([server]);
    api.create(&external)?;
    daemon.wait_for_log(LIMIT, &["KIV0116", "spec.externalIPs[0]"])?;

    let mut balanced = objects::service(
        "balanced",
        &[Family::V4.virtual_address(51)],
        &[Protocol::Tcp],
    );
    balanced["spec"]["type"] = json!("LoadBalancer");
    api.create(&balanced)?;
    balanced["status"] = json!({"loadBalancer": {"ingress": [{"ip": server}]}});
    api.replace(&balanced)?;
    daemon.wait_for_log(LIMIT, &["KIV0116", "status.loadBalancer.ingress[].ip"])?;

    // A real API server accepts such a cluster IP only if its own address is in the range of
    // cluster IPs.
    let mut inside = objects::service("inside", &[server], &[Protocol::Tcp]);
    inside["spec"]["ports"][0]["port"] = json!(api.address.port());
    api.create(&inside)?;
    daemon.wait_for_log(LIMIT, &["KIV0116", "spec.clusterIPs[0]"])?;

    // The daemon still reaches the server: later Services are served.
    api.create_all(&world.web("late", 2))?;
    let late = Family::V4.virtual_server(2).to_string();
    let ipvs = within(LIMIT, || {
        let ipvs = world.tables()?.ipvs;
        let served = ipvs.iter().any(|line| line.contains(&late));
        ensure(served, || format!("{late} is not served"))?;
        Ok(ipvs)
    })?;
    let at_server = format!("{server}:");
    ensure(!ipvs.iter().any(|line| line.contains(&at_server)), || {
        format!("the API server's address {server} has a virtual server: {ipvs:?}")
    })?;
    let bound = world.tool("ip -oneline address show dev kube-ipvs0")?;
    ensure(!bound.contains(&format!(" {server}/")), || {
        format!("the API server's address {server} is at kube-ipvs0: {bound}")
    })
}

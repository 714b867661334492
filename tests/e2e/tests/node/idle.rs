//! Connections that are idle for longer than a timeout of IPVS.

use std::thread::sleep;
use std::time::Duration;

use e2e::{Outcome, ensure, within};
use libtest_mimic::Trial;

use crate::case;
use crate::drains::{are_reset, conversations, live, web};
use crate::service::Address;
use crate::stage::{Stage, configuration, with_slices};

/// A timeout of IPVS, in seconds.
const SHORT: u64 = 10;
/// Time without a packet after which the kernel has forgotten a connection with the timeout
/// [`SHORT`]: its timer ends late by up to an eighth. The clock of the guest drives both, so a slow
/// machine needs no longer time.
const IDLE: Duration = Duration::from_secs(15);
/// Time limit for an audit, which runs each second, or for a changed configuration.
const FOLLOWED: Duration = Duration::from_secs(10);

pub(crate) fn trials() -> Vec<Trial> {
    vec![case(
        "idle::a_connection_outlives_the_keepalive_where_that_is_asked_for",
        outlives,
    )]
}

fn text(tcp_timeout: &str) -> String {
    let line = format!("tcpTimeout: {tcp_timeout}");
    configuration(&[&line]).replace("syncPeriod: 30s", "syncPeriod: 1s")
}

/// Fails unless the TCP timeout of IPVS soon has this number of seconds.
fn soon_times_out_after(stage: &Stage, seconds: u64) -> Outcome {
    within(FOLLOWED, || {
        let out = stage.world.tool("ipvsadm -L --timeout")?;
        let expected = format!("Timeout (tcp tcpfin udp): {seconds} 120 300");
        ensure(out.trim() == expected, || {
            format!("expected {expected}, found {out}")
        })
    })
}

/// Sets the node's keepalive. The kernel's values remain for the interval, 75 s, and the number of
/// probes, 9.
fn set_keepalive(stage: &Stage, seconds: u64) -> Outcome {
    let line = format!("sysctl -w net.ipv4.tcp_keepalive_time={seconds}");
    stage.world.tool(&line).map(drop)
}

/// With a fixed timeout IPVS forgets an idle connection, and the next packet is reset. With
/// `matchKeepalive`, a change of the file that acts at once, the connection stays at its endpoint,
/// and the timeout follows the node's keepalive.
fn outlives() -> Outcome {
    let stage = Stage::configured(&["pod1", "pod2"], &text(&format!("{SHORT}s")), |world| {
        with_slices(world, web(), web().outside(), &["pod1"])
    })?;
    set_keepalive(&stage, 20)?;
    stage.soon_served_by(web(), Address::ClusterIp, &["pod1"])?;
    soon_times_out_after(&stage, SHORT)?;
    let forgotten = conversations(&stage)?;
    sleep(IDLE);
    are_reset(&stage, &forgotten)?;

    stage.world.write("config.yaml", &text("matchKeepalive"))?;
    // Pods have the kernel's keepalive of 7200 s whatever the node has.
    soon_times_out_after(&stage, 8_920)?;
    let kept = conversations(&stage)?;
    stage.set_endpoints(web(), &["pod1", "pod2"])?;
    sleep(IDLE);
    live(&kept)?;

    set_keepalive(&stage, 20_000)?;
    soon_times_out_after(&stage, 23_320)?;
    agrees(&stage)?;
    set_keepalive(&stage, 7_200)?;
    soon_times_out_after(&stage, 8_920)?;
    live(&kept)
}

/// Fails unless `ipvsctl` finds no difference, and timeouts above the keepalive.
fn agrees(stage: &Stage) -> Outcome {
    let config = stage.world.path("config.yaml");
    let ipvsctl = |command: &str| {
        stage.world.ipvsctl(&[
            &command,
            &"--config",
            &config,
            &"--kubeconfig",
            &stage.api.kubeconfig,
            &"--node",
            &"node1",
        ])
    };
    ipvsctl("diff")?.exits(0)?;
    let doctor = ipvsctl("doctor")?;
    ensure(
        !doctor.out.contains("idle-tcp") && !doctor.out.contains("timeouts:"),
        || doctor.out.clone(),
    )
}

//! A node that is broken by hand while its daemon hangs, and the commands that find out why.

use std::time::Duration;

use super::output::Output;
use super::shop::FRONT;
use super::{Stage, in_equal_shares};
use crate::failure::{Outcome, ensure};
use crate::process::Process;
use crate::wait::within;
use crate::world::Family;

/// Command that deletes a virtual server.
const DELETE: &str = "ipvsadm -D -t 10.96.1.1:80";
/// Command that flushes the rules that masquerade.
const FLUSH: &str = "iptables -t nat -F KUBE-POSTROUTING";

/// Breaks the node, and shows what `ipvsctl` says about it.
pub(super) fn explained(output: &mut Output, stage: &Stage, daemon: &Process) -> Outcome {
    output.step("A node that is broken while its daemon hangs: doctor, explain, trace");
    daemon.signal(libc::SIGSTOP)?;
    for command in [DELETE, FLUSH] {
        stage.world.tool(command)?;
        output.command(command, "");
    }
    let doctor = stage.ipvsctl("doctor")?.exits(1)?.out;
    output.command("ipvsctl doctor", &doctor);
    for word in ["default/front", "verdict:"] {
        ensure(doctor.contains(word), || doctor.clone())?;
    }
    let explained = stage.ipvsctl("explain svc default/front")?.exits(1)?.out;
    let line = "ipvsctl explain svc default/front";
    output.command(line, &part(&explained, "Addresses"));
    ensure(explained.contains("missing"), || explained.clone())?;
    let line = "trace --from host --to 10.96.1.1:80/tcp";
    let trace = stage.ipvsctl(line)?.exits(1)?.out;
    output.command(&format!("ipvsctl {line}"), &trace);

    daemon.signal(libc::SIGCONT)?;
    within(Duration::from_secs(20), || stage.has_no_difference())?;
    output.line("The daemon goes on, and repairs the node:");
    let probe = FRONT.probe(&stage.world, Family::V4);
    let tally = probe.ask(30).complete()?;
    output.count(&FRONT.question(Family::V4), &tally);
    in_equal_shares(&tally, &super::FRONT_PODS[1..])
}

/// Returns the section of an explanation with this heading, and the verdict.
fn part(explained: &str, heading: &str) -> String {
    let blocks: Vec<&str> = explained.trim_end().split("\n\n").collect();
    let section = blocks.iter().find(|block| block.starts_with(heading));
    let verdict = blocks.last().copied().unwrap_or_default();
    format!("{}\n\n{verdict}", section.copied().unwrap_or_default())
}

use std::time::Duration;

use model::config::{KERNEL_TIMEOUT_MAX, KernelSettings, TcpTimeout};
use model::snapshot::Machine;
use model::{Keepalive, NodeConfig};
use proptest::prelude::*;

use super::{timeouts, tracked};

fn machine(time: u32, interval: u32, probes: u32) -> Machine {
    Machine {
        keepalive: Some(Keepalive {
            time,
            interval,
            probes,
        }),
        ..Machine::default()
    }
}

/// Returns settings with these timeouts of IPVS and of the connection tracker, in seconds.
fn settings(tcp: TcpTimeout, tracked: u64) -> KernelSettings {
    let mut settings = KernelSettings::default();
    settings.timeouts.tcp = tcp;
    settings.timeouts.udp = Duration::from_secs(9);
    settings.conntrack.tcp_established_timeout = Duration::from_secs(tracked);
    settings
}

/// Checks the timeouts of IPVS and of the connection tracker for settings and a machine.
fn check(tcp: TcpTimeout, configured: u64, machine: Machine, expected: [u64; 2]) {
    let settings = settings(tcp, configured);
    let found = [
        timeouts(&settings, machine).tcp,
        tracked(&settings, machine),
    ];
    assert_eq!(
        found.map(|time| time.as_secs()),
        expected,
        "{settings:?} {machine:?}"
    );
}

#[test]
fn the_timeouts_outlive_the_keepalive() {
    const MATCHING: TcpTimeout = TcpTimeout::MatchKeepalive;
    let day = 86_400;
    // The values of Linux: (7200 + 9 x 75) x 9/8 + 60.
    for linux in [
        Machine::default(),
        machine(7200, 75, 9),
        // Pods keep the values of Linux if the node has shorter ones.
        machine(20, 5, 3),
        machine(0, 0, 0),
    ] {
        check(MATCHING, day, linux, [8_920, day]);
        check(MATCHING, 3_600, linux, [8_920, 8_920]);
        check(MATCHING, 0, linux, [8_920, 0]);
    }
    check(MATCHING, day, machine(14_400, 60, 10), [16_935, day]);
    check(MATCHING, day, machine(100_000, 0, 0), [112_560, 112_560]);
    check(MATCHING, day, machine(0, 1_000, 100), [112_560, 112_560]);
    let max = KERNEL_TIMEOUT_MAX.as_secs();
    for (time, interval, probes) in [
        (3_000_000, 75, 9),
        (u32::MAX, u32::MAX, u32::MAX),
        (0, u32::MAX, u32::MAX),
    ] {
        check(MATCHING, day, machine(time, interval, probes), [max, max]);
    }
}

#[test]
fn a_configured_time_does_not_follow_the_keepalive() {
    for time in [0, 900, 86_400] {
        let fixed = TcpTimeout::Fixed(Duration::from_secs(time));
        for tracked in [0, 60, 86_400] {
            check(fixed, tracked, machine(100_000, 75, 9), [time, tracked]);
        }
    }
}

#[test]
fn the_default_leaves_the_timeouts_of_the_kernel() {
    let settings = NodeConfig::new("node1").kernel_settings;
    let found = timeouts(&settings, machine(100_000, 75, 9));
    assert_eq!(found, ipvs::Timeouts::default());
}

proptest! {
    /// No value overflows, and the kernel takes every result.
    #[test]
    fn every_timeout_is_long_enough_and_accepted(
        time in any::<u32>(),
        interval in any::<u32>(),
        probes in any::<u32>(),
        configured in 0..=KERNEL_TIMEOUT_MAX.as_secs(),
    ) {
        let settings = settings(TcpTimeout::MatchKeepalive, configured);
        let machine = machine(time, interval, probes);
        let found = timeouts(&settings, machine);
        let last_probe = u128::from(time) + u128::from(interval) * u128::from(probes);
        let max = KERNEL_TIMEOUT_MAX;
        prop_assert!(found.tcp <= max && found.tcp.subsec_nanos() == 0);
        prop_assert!(found.tcp == max || u128::from(found.tcp.as_secs()) > last_probe);
        prop_assert_eq!(found.udp, Duration::from_secs(9));
        let tracked = tracked(&settings, machine);
        prop_assert!(tracked.is_zero() == (configured == 0) && tracked <= max);
        prop_assert!(tracked.is_zero() || tracked >= found.tcp);
        // A longer keepalive never has a shorter timeout.
        let longer = Machine { keepalive: machine.keepalive.map(|keepalive| Keepalive {
            time: time.saturating_add(1_000),
            ..keepalive
        }), ..machine };
        prop_assert!(timeouts(&settings, longer).tcp >= found.tcp);
    }
}

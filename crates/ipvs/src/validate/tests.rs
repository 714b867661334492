use std::num::NonZeroU32;
use std::time::Duration;

use super::{Invalid, InvalidName};
use crate::text::{Line, parse_line};
use crate::types::{
    AddressFamily, Forwarding, Protocol, RealServer, Scheduler, ServiceFlags, Tunnel, TunnelFlags,
    TunnelKind, VirtualServer, VirtualServerKey,
};

/// Checks the problems of the virtual server of `line` after `change`.
fn check_virtual(line: &str, change: impl FnOnce(&mut VirtualServer), problems: &[Invalid]) {
    let Ok(Line::VirtualServer(mut server)) = parse_line(line) else {
        panic!("{line} is not a virtual server");
    };
    change(&mut server);
    let found = server.validate().err().unwrap_or_default();
    assert_eq!(found, problems, "{line}");
}

fn check_real(line: &str, change: impl FnOnce(&mut RealServer), problems: &[Invalid]) {
    let Ok(Line::RealServer(key, mut real)) = parse_line(line) else {
        panic!("{line} is not a real server");
    };
    change(&mut real);
    let found = real.validate(&key).err().unwrap_or_default();
    assert_eq!(found, problems, "{line}");
}

/// Checks the problems of a line.
fn check_line(line: &str, problems: &[Invalid]) {
    match parse_line(line) {
        Ok(Line::VirtualServer(_)) => check_virtual(line, |_| {}, problems),
        _ => check_real(line, |_| {}, problems),
    }
}

const PLAIN: &str = "-A -t 10.0.0.1:80 -s rr";
const PERSISTENT: &str = "-A -t 10.0.0.1:80 -s rr -p 60";
const REAL: &str = "-a -t 10.0.0.1:80 -r 10.1.0.1:8080 -m -w 1";
const TUNNEL: &str = "-a -t 10.0.0.1:80 -r 10.1.0.1:80 -i -w 1";

#[test]
fn output_of_ipvsadm_is_valid() {
    for line in [
        PLAIN,
        PERSISTENT,
        "-A -t 10.0.0.1:0 -s rr -p 60",
        "-A -t [fd00::1]:80 -s rr -p 60 -M 64",
        "-A -t 10.0.0.1:80 -s rr -p 60 -M 0.0.0.0",
        "-A -u 10.0.0.1:53 -s rr -o",
        "-A -u 10.0.0.1:5060 -s rr -p 60 --pe sip -o",
        "-A -f 7 -6 -s mh -b mh-fallback,mh-port",
        "-A -f 7 -s rr -o",
        REAL,
        TUNNEL,
        "-a -t 10.0.0.1:80 -r [fd00::5]:80 -i -w 1 -x 9 -y 9",
        "-a -f 7 -r 10.1.0.1:0 -g -w 0",
    ] {
        check_line(line, &[]);
    }
}

#[test]
fn names() {
    let check = |name: &str, problem: InvalidName| {
        check_virtual(
            PLAIN,
            |server| server.scheduler = Scheduler(name.into()),
            &[Invalid::Scheduler(problem)],
        );
        check_virtual(
            PERSISTENT,
            |server| server.persistence_engine = Some(name.into()),
            &[Invalid::PersistenceEngine(problem)],
        );
    };
    check("", InvalidName::Empty);
    check("sixteen-bytes-it", InvalidName::TooLong { bytes: 16 });
    check("r\0r", InvalidName::HoldsZero);
    let longest =
        |server: &mut VirtualServer| server.scheduler = Scheduler("fifteen-bytes-i".into());
    check_virtual(PLAIN, longest, &[]);
}

#[test]
fn flags() {
    check_virtual(
        PLAIN,
        |server| server.flags = ServiceFlags::from_bits_retain(0xffff_0042),
        &[Invalid::Flags {
            unknown: 0xffff_0042,
        }],
    );
    check_virtual(
        PLAIN,
        |server| server.flags = ServiceFlags::ONE_PACKET,
        &[Invalid::OnePacket {
            protocol: Protocol::Tcp,
        }],
    );
}

#[test]
fn keys() {
    check_line("-A -t 10.0.0.1:0 -s rr", &[Invalid::PortWithoutPersistence]);
    check_line(
        "-A --protocol-50 10.0.0.1:80 -s rr",
        &[Invalid::Protocol {
            protocol: Protocol::Other(50),
        }],
    );
}

#[test]
fn persistence() {
    let timeout =
        |duration| move |server: &mut VirtualServer| server.persistence_timeout = duration;
    let check = |line, duration, problem| check_virtual(line, timeout(duration), &[problem]);
    let minute = Duration::from_secs(60);
    let fraction = Duration::from_millis(1500);
    let long = Duration::from_secs(4_294_968);
    let longest = Duration::from_secs(4_294_967);
    check(
        PERSISTENT,
        Duration::ZERO,
        Invalid::PersistenceWithoutTimeout,
    );
    check(PLAIN, minute, Invalid::TimeoutWithoutPersistence(minute));
    check(PERSISTENT, fraction, Invalid::TimeoutFraction(fraction));
    check(PERSISTENT, long, Invalid::TimeoutTooLong(long));
    check_virtual(PERSISTENT, timeout(longest), &[]);
    check_virtual(
        PLAIN,
        |server| server.persistence_engine = Some("sip".into()),
        &[Invalid::EngineWithoutPersistence],
    );
}

#[test]
fn prefixes() {
    let prefix = |prefix| move |server: &mut VirtualServer| server.persistence_prefix = prefix;
    let check = |line, length, family| {
        let problem = Invalid::Prefix {
            prefix: length,
            family,
        };
        check_virtual(line, prefix(length), &[problem]);
    };
    check(PERSISTENT, 33, AddressFamily::Ipv4);
    check("-A -f 7 -6 -s rr -p 60", 0, AddressFamily::Ipv6);
    check("-A -t [fd00::1]:80 -s rr -p 60", 129, AddressFamily::Ipv6);
    check_virtual(
        PLAIN,
        prefix(24),
        &[Invalid::PrefixWithoutPersistence { prefix: 24 }],
    );
}

#[test]
fn real_servers() {
    check_real(
        REAL,
        |real| real.weight = 1 << 31,
        &[Invalid::Weight(1 << 31)],
    );
    check_real(REAL, |real| real.weight = (1 << 31) - 1, &[]);
    check_real(
        REAL,
        |real| real.lower_threshold = 1,
        &[Invalid::Thresholds { lower: 1, upper: 0 }],
    );
    check_real(
        REAL,
        |real| real.forwarding = Forwarding::Other(5),
        &[Invalid::Forwarding(5)],
    );
    for line in [
        "-a -t 10.0.0.1:80 -r 0.0.0.0:80 -m -w 1",
        "-a -t 10.0.0.1:80 -r 224.0.0.1:80 -m -w 1",
        "-a -t 10.0.0.1:80 -r 255.255.255.255:80 -m -w 1",
        "-a -t [fd00::1]:80 -r [ff02::1]:80 -m -w 1",
    ] {
        let Ok(Line::RealServer(_, real)) = parse_line(line) else {
            panic!("{line} is not a real server");
        };
        check_line(line, &[Invalid::Address(real.key.address)]);
    }
}

#[test]
fn only_tunnels_connect_two_families() {
    let mixed = Invalid::Family {
        real: AddressFamily::Ipv6,
        virtual_server: AddressFamily::Ipv4,
    };
    check_line("-a -t 10.0.0.1:80 -r [fd00::5]:80 -m -w 1", &[mixed]);
    check_line("-a -t 10.0.0.1:80 -r [fd00::5]:80 -g -w 1", &[mixed]);
    check_line("-a -t 10.0.0.1:80 -r [fd00::5]:80 -i -w 1", &[]);
    check_line("-a -f 7 -r [fd00::5]:80 -m -w 1", &[mixed]);
}

#[test]
fn only_masquerading_changes_the_port() {
    let problem = Invalid::Port {
        port: 8080,
        virtual_port: 80,
    };
    check_line("-a -t 10.0.0.1:80 -r 10.1.0.1:8080 -g -w 1", &[problem]);
    check_line("-a -t 10.0.0.1:80 -r 10.1.0.1:8080 -i -w 1", &[problem]);
}

#[test]
fn tunnels() {
    let check = |kind, port, flags, problems: &[Invalid]| {
        let tunnel = Tunnel {
            kind,
            port,
            flags: TunnelFlags::from_bits_retain(flags),
        };
        let change = |real: &mut RealServer| real.forwarding = Forwarding::Tunnel(tunnel);
        check_real(TUNNEL, change, problems);
    };
    check(TunnelKind::Gue, 0, 0, &[Invalid::TunnelPort]);
    check(TunnelKind::Gue, 6080, 3, &[]);
    check(TunnelKind::Other(3), 0, 0, &[Invalid::TunnelKind(3)]);
    check(
        TunnelKind::Gre,
        0,
        0x14,
        &[Invalid::TunnelFlags { unknown: 0x14 }],
    );
}

#[test]
fn every_problem_is_returned_at_once() {
    let mut server = VirtualServer {
        key: VirtualServerKey::Fwmark {
            family: AddressFamily::Ipv4,
            mark: NonZeroU32::MIN,
        },
        scheduler: Scheduler("".into()),
        flags: ServiceFlags::from_bits_retain(0x40),
        persistence_timeout: Duration::from_millis(1),
        persistence_prefix: 99,
        persistence_engine: Some("".into()),
    };
    assert_eq!(server.validate().expect_err("invalid").len(), 7);
    server.flags = ServiceFlags::PERSISTENT;
    assert_eq!(server.validate().expect_err("invalid").len(), 4);
}

#[test]
fn problem_names_its_field() {
    let check = |problem: Invalid, text: &str| assert_eq!(problem.to_string(), text);
    check(
        Invalid::Scheduler(InvalidName::TooLong { bytes: 20 }),
        "scheduler: the name has 20 bytes, the maximum is 15",
    );
    check(
        Invalid::OnePacket {
            protocol: Protocol::Tcp,
        },
        "flags: ONE_PACKET does nothing for TCP",
    );
    check(
        Invalid::TimeoutTooLong(Duration::from_secs(5_000_000)),
        "persistence_timeout: 5000000s exceeds the maximum of the kernel",
    );
}

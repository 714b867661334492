//! Tests of each problem that `validate` finds, with the kernel's reaction to it.

use std::time::Duration;

use ipvs::client::{Client, ErrorKind, Request};
use ipvs::{
    Forwarding, Invalid, InvalidName, Protocol, RealServer, Scheduler, ServiceFlags, TunnelFlags,
    TunnelKind, VirtualServer, VirtualServerKey,
};

use crate::namespace::{add, attempt, in_namespace, real, server};

/// Reaction of the kernel to an invalid setting.
enum Kernel {
    /// The kernel accepts it and returns it unchanged.
    Keeps,
    /// The kernel accepts it and returns another value.
    Alters,
    /// The kernel refuses it.
    Refuses(ErrorKind),
}

use Kernel::{Alters, Keeps, Refuses};

fn check_virtual(
    line: &str,
    change: impl FnOnce(&mut VirtualServer) + Send,
    problem: Invalid,
    kernel: &Kernel,
) {
    let mut server = server(line);
    change(&mut server);
    assert_eq!(server.validate(), Err(vec![problem]));
    in_namespace(|client| {
        let kind = attempt(client, Request::NewService(server.clone()));
        let read = client.virtual_servers().expect("read");
        let same = read.iter().any(|(read, _)| *read == server);
        check(kind, same, read.is_empty(), &problem, kernel);
    });
}

fn check_real(
    lines: &str,
    change: impl FnOnce(&mut RealServer) + Send,
    problem: Invalid,
    kernel: &Kernel,
) {
    let (virtual_line, line) = lines.split_once('\n').expect("two lines");
    let (key, mut server) = real(line);
    change(&mut server);
    assert_eq!(server.validate(&key), Err(vec![problem]));
    in_namespace(|client: &mut Client| {
        add(client, virtual_line);
        let kind = attempt(client, Request::NewDest(key, server));
        let read = client.real_servers(&key).expect("read");
        let same = read.iter().any(|read| read.server == server);
        check(kind, same, read.is_empty(), &problem, kernel);
    });
}

fn check(kind: Option<ErrorKind>, same: bool, none: bool, problem: &Invalid, kernel: &Kernel) {
    match kernel {
        Keeps => assert!(kind.is_none() && same, "{problem:?} is kept: {kind:?}"),
        Alters => assert!(
            kind.is_none() && !same && !none,
            "{problem:?} is altered: {kind:?}"
        ),
        Refuses(expected) => assert_eq!(kind, Some(*expected), "{problem:?} is refused"),
    }
}

const PLAIN: &str = "-A -t 10.0.0.1:80 -s rr";
const PERSISTENT: &str = "-A -t 10.0.0.1:80 -s rr -p 60";

#[test]
fn names() {
    let scheduler = |name: &'static str| {
        move |server: &mut VirtualServer| server.scheduler = Scheduler(name.into())
    };
    let check = |name, problem, kernel| {
        check_virtual(PLAIN, scheduler(name), Invalid::Scheduler(problem), &kernel);
    };
    check("", InvalidName::Empty, Refuses(ErrorKind::UnknownScheduler));
    check(
        "sixteen-bytes-it",
        InvalidName::TooLong { bytes: 16 },
        Refuses(ErrorKind::Invalid),
    );
    check("rr\0x", InvalidName::HoldsZero, Alters);
    let engine = |name: &'static str| {
        move |server: &mut VirtualServer| server.persistence_engine = Some(name.into())
    };
    let check = |name, problem, kernel| {
        let problem = Invalid::PersistenceEngine(problem);
        check_virtual(PERSISTENT, engine(name), problem, &kernel);
    };
    check("", InvalidName::Empty, Alters);
    check(
        "sixteen-bytes-it",
        InvalidName::TooLong { bytes: 16 },
        Refuses(ErrorKind::UnknownScheduler),
    );
    check(
        "seventeen-bytes-i",
        InvalidName::TooLong { bytes: 17 },
        Refuses(ErrorKind::Invalid),
    );
    check("sip\0x", InvalidName::HoldsZero, Alters);
}

#[test]
fn flags_without_a_meaning() {
    for unknown in [0x40, 0xffff_0000] {
        check_virtual(
            PLAIN,
            |server| server.flags = ServiceFlags::from_bits_retain(unknown),
            Invalid::Flags { unknown },
            &Keeps,
        );
    }
}

#[test]
fn the_kernels_own_flag() {
    check_virtual(
        PLAIN,
        |server| server.flags = ServiceFlags::from_bits_retain(0x2),
        Invalid::Flags { unknown: 0x2 },
        &Alters,
    );
}

#[test]
fn one_packet_scheduling_without_udp() {
    check_virtual(
        PLAIN,
        |server| server.flags = ServiceFlags::ONE_PACKET,
        Invalid::OnePacket {
            protocol: Protocol::Tcp,
        },
        &Keeps,
    );
}

#[test]
fn protocols_that_are_not_balanced() {
    check_virtual(
        "-A --protocol-50 10.0.0.1:80 -s rr",
        |_| {},
        Invalid::Protocol {
            protocol: Protocol::Other(50),
        },
        &Keeps,
    );
}

#[test]
fn port_0_without_persistence() {
    check_virtual(
        "-A -t 10.0.0.1:0 -s rr",
        |_| {},
        Invalid::PortWithoutPersistence,
        &Keeps,
    );
}

#[test]
fn persistence_timeouts() {
    let check = |line, timeout, problem, kernel| {
        let change = move |server: &mut VirtualServer| server.persistence_timeout = timeout;
        check_virtual(line, change, problem, &kernel);
    };
    let minute = Duration::from_secs(60);
    let fraction = Duration::from_millis(1_500);
    let long = Duration::from_secs(3_000_000_000);
    check(
        PERSISTENT,
        Duration::ZERO,
        Invalid::PersistenceWithoutTimeout,
        Keeps,
    );
    check(
        PLAIN,
        minute,
        Invalid::TimeoutWithoutPersistence(minute),
        Keeps,
    );
    check(
        PERSISTENT,
        fraction,
        Invalid::TimeoutFraction(fraction),
        Alters,
    );
    check(PERSISTENT, long, Invalid::TimeoutTooLong(long), Alters);
}

#[test]
fn longest_persistence_reads_back() {
    in_namespace(|client| {
        let mut server = server(PERSISTENT);
        server.persistence_timeout = ipvs::validate::LONGEST_PERSISTENCE;
        assert_eq!(server.validate(), Ok(()));
        assert_eq!(attempt(client, Request::NewService(server.clone())), None);
        assert_eq!(client.virtual_servers().expect("read")[0].0, server);
    });
}

#[test]
fn persistence_prefixes() {
    let check = |line, prefix, kernel| {
        let family = server(line).key.family();
        let change = move |server: &mut VirtualServer| server.persistence_prefix = prefix;
        check_virtual(line, change, Invalid::Prefix { prefix, family }, &kernel);
    };
    let ipv6 = "-A -t [fd00::1]:80 -s rr -p 60";
    check(PERSISTENT, 33, Alters);
    check(ipv6, 0, Refuses(ErrorKind::Invalid));
    check(ipv6, 129, Refuses(ErrorKind::Invalid));
    check_virtual(
        PLAIN,
        |server| server.persistence_prefix = 24,
        Invalid::PrefixWithoutPersistence { prefix: 24 },
        &Keeps,
    );
}

#[test]
fn an_engine_without_persistence() {
    check_virtual(
        "-A -u 10.0.0.1:5060 -s rr",
        |server| server.persistence_engine = Some("sip".into()),
        Invalid::EngineWithoutPersistence,
        &Keeps,
    );
}

const REAL: &str = "-A -t 10.0.0.1:80 -s rr\n-a -t 10.0.0.1:80 -r 10.1.0.1:8080 -m -w 1";
const TUNNEL: &str = "-A -t 10.0.0.1:80 -s rr\n-a -t 10.0.0.1:80 -r 10.1.0.1:80 -i -w 1";

#[test]
fn weights_and_thresholds() {
    check_real(
        REAL,
        |real| real.weight = 1 << 31,
        Invalid::Weight(1 << 31),
        &Refuses(ErrorKind::OutOfRange),
    );
    for (lower, upper) in [(1, 0), (10, 9)] {
        check_real(
            REAL,
            |real| (real.lower_threshold, real.upper_threshold) = (lower, upper),
            Invalid::Thresholds { lower, upper },
            &Refuses(ErrorKind::OutOfRange),
        );
    }
}

#[test]
fn forwarding_methods_without_a_meaning() {
    check_real(
        REAL,
        |real| real.forwarding = Forwarding::Other(5),
        Invalid::Forwarding(5),
        &Keeps,
    );
    check_real(
        REAL,
        |real| real.forwarding = Forwarding::Other(9),
        Invalid::Forwarding(9),
        &Alters,
    );
}

#[test]
fn tunnels() {
    let check = |kind, port, flags, problem, kernel| {
        let change = move |real: &mut RealServer| {
            let Forwarding::Tunnel(tunnel) = &mut real.forwarding else {
                panic!("{real:?} has no tunnel");
            };
            tunnel.kind = kind;
            tunnel.port = port;
            tunnel.flags = TunnelFlags::from_bits_retain(flags);
        };
        check_real(TUNNEL, change, problem, &kernel);
    };
    check(
        TunnelKind::Gue,
        0,
        0,
        Invalid::TunnelPort,
        Refuses(ErrorKind::Invalid),
    );
    check(TunnelKind::Other(3), 0, 0, Invalid::TunnelKind(3), Keeps);
    check(
        TunnelKind::Ipip,
        0,
        0x14,
        Invalid::TunnelFlags { unknown: 0x14 },
        Keeps,
    );
}

#[test]
fn families() {
    let check = |option: &str, mark: bool| {
        let selector = if mark { "-f 7" } else { "-t 10.0.0.1:80" };
        let lines = format!("-A {selector} -s rr\n-a {selector} -r [fd00:1::1]:80 {option} -w 1");
        let (key, server) = real(lines.lines().nth(1).expect("two lines"));
        let problem = Invalid::Family {
            real: ipvs::AddressFamily::of(server.key.address),
            virtual_server: key.family(),
        };
        check_real(&lines, |_| {}, problem, &Refuses(ErrorKind::Invalid));
    };
    for option in ["-m", "-g"] {
        check(option, false);
        check(option, true);
    }
}

#[test]
fn addresses_of_more_than_one_host() {
    for address in ["0.0.0.0", "224.0.0.1", "255.255.255.255"] {
        let lines = format!("-A -t 10.0.0.1:80 -s rr\n-a -t 10.0.0.1:80 -r {address}:80 -m -w 1");
        let address = address.parse().expect("an address");
        check_real(
            &lines,
            |_| {},
            Invalid::Address(address),
            &Refuses(ErrorKind::Invalid),
        );
    }
    for address in ["::", "ff02::1"] {
        let lines =
            format!("-A -t [fd00::1]:80 -s rr\n-a -t [fd00::1]:80 -r [{address}]:80 -m -w 1");
        let address = address.parse().expect("an address");
        check_real(
            &lines,
            |_| {},
            Invalid::Address(address),
            &Refuses(ErrorKind::Invalid),
        );
    }
}

#[test]
fn ports_that_stay() {
    for option in ["-g", "-i"] {
        let lines =
            format!("-A -t 10.0.0.1:80 -s rr\n-a -t 10.0.0.1:80 -r 10.1.0.1:8080 {option} -w 1");
        let problem = Invalid::Port {
            port: 8080,
            virtual_port: 80,
        };
        check_real(&lines, |_| {}, problem, &Keeps);
    }
}

/// Valid settings, including unusual ones, are accepted and read back unchanged.
#[test]
fn valid_settings_read_back() {
    in_namespace(|client| {
        add(client, "-A -t 10.0.0.1:80 -s rr");
        for option in ["--local", "--bypass"] {
            let line = format!("-a -t 10.0.0.1:80 -r 10.1.0.1:80 {option} -w 1");
            let (key, server) = real(&line);
            assert_eq!(server.validate(&key), Ok(()));
            assert_eq!(attempt(client, Request::NewDest(key, server)), None);
            assert_eq!(client.real_servers(&key).expect("read")[0].server, server);
            assert_eq!(attempt(client, Request::DelDest(key, server.key)), None);
        }
        let server = server("-A -t 10.0.0.2:80 -s rr -p 60 -M 0.0.0.0");
        let key: VirtualServerKey = server.key;
        assert_eq!(server.validate(), Ok(()));
        assert_eq!(attempt(client, Request::NewService(server.clone())), None);
        let (read, _) = client.virtual_server(&key).expect("read").expect("there");
        assert_eq!(read, server);
    });
}

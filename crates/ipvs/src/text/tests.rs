use proptest::prelude::*;

use super::{
    Line, parse_line, parse_lines, parse_sync_daemon, print_real_server, print_sync_daemon,
    print_virtual_server,
};
use crate::testing::{key, real_server, sync_daemon, virtual_server};
use crate::types::{Forwarding, ServiceFlags, SyncRole};

/// Checks that `line` parses and prints as itself.
fn check(line: &str) {
    let printed = match parse_line(line) {
        Ok(Line::VirtualServer(server)) => print_virtual_server(&server),
        Ok(Line::RealServer(key, real)) => print_real_server(&key, &real),
        Err(problem) => panic!("{line}: {problem}"),
    };
    assert_eq!(printed, line);
}

fn check_error(line: &str, problem: &str) {
    assert_eq!(parse_line(line), Err(problem.to_owned()));
}

#[test]
fn virtual_servers() {
    for line in [
        "-A -t 10.96.0.1:443 -s rr",
        "-A -u [fd00:10:96::15]:80 -s wrr",
        "-A --sctp-service 10.96.0.1:80 -s lc",
        "-A -t 10.96.6.2:80 -s rr -p 10800",
        "-A -t 10.96.6.2:80 -s rr -p 10800 -M 255.255.255.0",
        "-A -t [fd00::1]:80 -s rr -p 600 -M 64",
        "-A -u 10.96.0.1:5060 -s rr -p 60 --pe sip",
        "-A -u 10.96.0.1:53 -s rr -o",
        "-A -t 10.96.0.1:80 -s mh -b mh-fallback,mh-port",
        "-A -t 10.96.0.1:80 -s sh -b sh-port",
        "-A -t 10.96.0.1:80 -s lc -b flag-1,flag-3",
        "-A -f 7 -s rr",
        "-A -f 7 -6 -s rr",
    ] {
        check(line);
    }
}

#[test]
fn real_servers() {
    for line in [
        "-a -t 10.96.0.1:443 -r 192.168.77.1:6443 -m -w 1",
        "-a -t [fd00:10:96::15]:80 -r [fd00:10:244:1::5]:8080 -m -w 1",
        "-a -f 7 -r 10.0.0.1:80 -g -w 0",
        "-a -t 10.0.0.1:80 -r 10.0.0.2:80 -i -w 1 --tun-type ipip -x 100 -y 50",
        "-a -t 10.0.0.1:80 -r 10.0.0.2:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-nocsum",
        "-a -t 10.0.0.1:80 -r 10.0.0.2:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-remcsum",
        "-a -t 10.0.0.1:80 -r 10.0.0.2:80 -i -w 1 --tun-type gre --tun-csum",
        "-a -t 10.0.0.1:80 -r 10.0.0.2:80 -i -w 1 --tun-type 3 --tun-nocsum",
        "-a -t 10.0.0.1:80 -r 10.0.0.2:80 --local -w 1",
        "-a -t 10.0.0.1:80 -r 10.0.0.2:80 --bypass -w 1",
        "-a -t 10.0.0.1:80 -r 10.0.0.2:80 --forwarding-6 -w 1",
    ] {
        check(line);
    }
}

/// ipvsadm accepts lines without these options.
#[test]
fn missing_options_get_defaults() {
    let check = |short: &str, long: &str| assert_eq!(parse_line(short), parse_line(long));
    check("-A -t 10.0.0.1:80", "-A -t 10.0.0.1:80 -s wlc");
    check(
        "-A -t 10.0.0.1:80 -s rr -p",
        "-A -t 10.0.0.1:80 -s rr -p 360",
    );
    check(
        "-A -t 10.0.0.1:80 -p -s rr",
        "-A -t 10.0.0.1:80 -s rr -p 360",
    );
    check(
        "-a -t 10.0.0.1:80 -r 10.0.0.2",
        "-a -t 10.0.0.1:80 -r 10.0.0.2:80 -g -w 1",
    );
    check(
        "-a -t [fd00::1]:80 -r [fd00::2] -m",
        "-a -t [fd00::1]:80 -r [fd00::2]:80 -m -w 1",
    );
    check("-a -r 10.0.0.2 -f 7", "-a -f 7 -r 10.0.0.2:0 -g -w 1");
}

#[test]
fn errors_name_the_problem() {
    check_error(
        "-X -t 10.0.0.1:80",
        "`-X` is not -A (a virtual server) or -a (a real server)",
    );
    check_error(
        "-A -t 10.0.0.300:80 -s rr",
        "-t expects an address and port such as 10.96.0.10:80, as ipvsadm-save -n writes them, not `10.0.0.300:80`",
    );
    check_error(
        "-A -t 10.0.0.1:80 -s",
        "-s expects a scheduler, but the line ends",
    );
    check_error(
        "-A -t 10.0.0.1:80 -q",
        "`-q` is not an option of a virtual server",
    );
    check_error(
        "-A -s rr",
        "the virtual server is missing: use -t, -u, --sctp-service or -f",
    );
    check_error(
        "-A -t 10.0.0.1:80 -s sh -b mh-port",
        "`mh-port` is not a flag of scheduler sh",
    );
    check_error(
        "-A -t 10.0.0.1:80 -s rr -p 9 -M 255.0.255.0",
        "-M expects a netmask or, for IPv6, a length, not `255.0.255.0`",
    );
}

#[test]
fn lines_are_counted_from_one() {
    let error = parse_lines("# saved\n\n-A -t 10.0.0.1:80 -s rr\nnonsense\n").expect_err("bad");
    assert_eq!(error.line, 4);
}

proptest! {
    /// Holds for every valid virtual server.
    #[test]
    fn printed_virtual_server_parses_back(mut server in virtual_server()) {
        // The text has no form for other flags.
        server.flags &= ServiceFlags::from_bits_retain(0x3d);
        if !server.flags.contains(ServiceFlags::PERSISTENT) {
            server.persistence_timeout = std::time::Duration::ZERO;
            server.persistence_prefix = if server.key.family() == crate::AddressFamily::Ipv4 { 32 } else { 128 };
        } else if server.key.family() == crate::AddressFamily::Ipv6 {
            server.persistence_prefix = server.persistence_prefix.max(1);
        }
        let line = print_virtual_server(&server);
        prop_assert_eq!(parse_line(&line), Ok(Line::VirtualServer(server)), "{}", line);
    }

    #[test]
    fn printed_real_server_parses_back(key in key(), mut real in real_server()) {
        if let Forwarding::Tunnel(tunnel) = &mut real.forwarding {
            // ipvsadm prints one of the two flags.
            if tunnel.flags.bits() == 3 {
                tunnel.flags = crate::TunnelFlags::REMCSUM;
            }
        }
        let line = print_real_server(&key, &real);
        prop_assert_eq!(parse_line(&line), Ok(Line::RealServer(key, real)), "{}", line);
    }

    #[test]
    fn parse_never_panics(text in "[-A-Za-z0-9.:\\[\\] ]{0,80}") {
        let _ = parse_lines(&text);
        let _ = parse_line(&format!("-A {text}"));
        let _ = parse_line(&format!("-a -t 10.0.0.1:80 {text}"));
    }
}

#[test]
fn sync_daemons_that_do_not_parse_are_named() {
    let start = "--start-daemon master --mcast-interface eth0 --syncid 7";
    assert!(parse_sync_daemon(start).is_ok());
    for (line, problem) in [
        ("--mcast-interface eth0", "--start-daemon is missing"),
        ("--start-daemon master", "--mcast-interface is missing"),
        ("--start-daemon both", "`both` is neither master nor backup"),
        (&format!("{start} --syncid 8"), "--syncid is given twice"),
        (&format!("{start} --mcast-ttl"), "--mcast-ttl needs a value"),
        (
            &format!("{start} --mcast-ttl 256"),
            "--mcast-ttl has an invalid value",
        ),
        (&format!("{start} --unicast 1"), "unknown option --unicast"),
    ] {
        assert_eq!(parse_sync_daemon(line), Err(problem.to_owned()), "{line}");
    }
}

proptest! {
    #[test]
    fn sync_daemons_parse_as_printed(daemon in sync_daemon()) {
        prop_assume!(!matches!(daemon.role, SyncRole::Other(_)));
        prop_assert_eq!(parse_sync_daemon(&print_sync_daemon(&daemon)), Ok(daemon));
    }
}

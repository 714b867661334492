//! Tests that ipvsadm and this crate understand each other's entries.

use support::program::run;

use crate::namespace::{add, in_namespace, requests, text};

/// Lines with every option that `ipvsadm-save` prints.
const LINES: &str = "\
-A -t 10.0.0.1:80 -s rr
-a -t 10.0.0.1:80 -r 10.1.0.1:8080 -m -w 1
-a -t 10.0.0.1:80 -r 10.1.0.2:80 -g -w 0
-a -t 10.0.0.1:80 -r 10.1.0.3:80 -i -w 2147483647 --tun-type ipip
-a -t 10.0.0.1:80 -r 10.1.0.4:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-nocsum
-a -t 10.0.0.1:80 -r 10.1.0.5:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-csum
-a -t 10.0.0.1:80 -r 10.1.0.6:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-remcsum
-a -t 10.0.0.1:80 -r 10.1.0.7:80 -i -w 1 --tun-type gre --tun-nocsum
-a -t 10.0.0.1:80 -r 10.1.0.8:80 -i -w 1 --tun-type gre --tun-csum
-a -t 10.0.0.1:80 -r [fd00:1::9]:80 -i -w 1 --tun-type ipip
-A -t 10.0.0.2:443 -s wrr -p 10800
-A -t 10.0.0.2:80 -s lc -p 60 -M 255.255.255.0
-A -t 10.0.0.2:0 -s wlc -p 60 -M 0.0.0.0
-A -u 10.0.0.3:53 -s rr -o
-A -u 10.0.0.3:5060 -s rr -p 60 --pe sip
-A -u 10.0.0.3:5061 -s rr -p 60 --pe sip -o
-A --sctp-service 10.0.0.3:80 -s rr
-a --sctp-service 10.0.0.3:80 -r 10.1.0.1:80 -m -w 1
-A -t 10.0.0.4:80 -s sh -b sh-fallback
-A -t 10.0.0.4:81 -s sh -b sh-fallback,sh-port
-A -t 10.0.0.4:82 -s mh -b mh-port
-A -t 10.0.0.4:83 -s mh -b mh-fallback,mh-port
-A -t 10.0.0.4:84 -s rr -b flag-1,flag-2,flag-3
-A -t [fd00::1]:80 -s lblc
-a -t [fd00::1]:80 -r [fd00:1::1]:8080 -m -w 1
-a -t [fd00::1]:80 -r 10.1.0.1:80 -i -w 1 --tun-type ipip
-A -u [fd00::1]:53 -s lblcr -p 360 -M 64
-A -t [fd00::1]:443 -s dh -p 360
-A --sctp-service [fd00::1]:80 -s sed
-A -f 7 -s nq
-a -f 7 -r 10.1.0.1:0 -g -w 1
-a -f 7 -r 10.1.0.2:99 -m -w 1
-A -f 7 -6 -s fo -p 60 -M 48
-a -f 7 -6 -r [fd00:1::1]:99 -m -w 1
-A -f 2147483647 -s ovf -p 60 -M 255.255.0.0 -o -b flag-2
";

fn sorted(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect();
    lines.sort();
    lines
}

#[test]
fn ipvsadm_lists_our_entries() {
    in_namespace(|client| {
        add(client, LINES);
        assert_eq!(sorted(&run("ipvsadm", "-Sn", "")), sorted(LINES));
    });
}

#[test]
fn client_reads_entries_of_ipvsadm() {
    in_namespace(|client| {
        run("ipvsadm", "-R", LINES);
        assert_eq!(text(client), sorted(LINES));
    });
}

#[test]
fn client_reads_back_its_own_entries() {
    in_namespace(|client| {
        add(client, LINES);
        assert_eq!(text(client), sorted(LINES));
    });
}

/// ipvsadm prints marks as signed numbers.
#[test]
fn marks_of_32_bits() {
    in_namespace(|client| {
        add(client, "-A -f 4294967295 -s rr");
        let saved = run("ipvsadm", "-Sn", "");
        assert_eq!(sorted(&saved), ["-A -f -1 -s rr"]);
        assert_eq!(requests(&saved), requests("-A -f 4294967295 -s rr"));
    });
}

/// `ipvsadm-restore` accepts thresholds; `ipvsadm-save` does not print them.
#[test]
fn thresholds_are_printed_unlike_in_ipvsadm_save() {
    in_namespace(|client| {
        let server = "-A -t 10.0.0.1:80 -s rr";
        let real = "-a -t 10.0.0.1:80 -r 10.1.0.1:8080 -m -w 1";
        let lines = format!("{server}\n{real} -x 100 -y 50\n");
        run("ipvsadm", "-R", &lines);
        assert_eq!(text(client), sorted(&lines));
        assert_eq!(
            sorted(&run("ipvsadm", "-Sn", "")),
            [server.to_owned(), real.to_owned()]
        );
        let listing = run("ipvsadm", "-Ln --thresholds", "");
        let of_real = listing.lines().find(|line| line.contains("10.1.0.1"));
        let words: Vec<&str> = of_real.unwrap_or_default().split_whitespace().collect();
        assert_eq!(words, ["->", "10.1.0.1:8080", "100", "50", "0", "0"]);
    });
}

#[test]
fn ipvsadm_lists_our_timeouts_and_daemons() {
    use std::time::Duration;

    use ipvs::Timeouts;
    use ipvs::client::Request;

    in_namespace(|client| {
        let timeouts = Timeouts {
            tcp: Duration::from_secs(1),
            tcp_fin: Duration::from_secs(2),
            udp: Duration::from_secs(3),
        };
        crate::namespace::do_all(client, &[Request::SetTimeouts(timeouts)]);
        let shown = run("ipvsadm", "-L --timeout", "");
        assert_eq!(shown.trim(), "Timeout (tcp tcpfin udp): 1 2 3");
        run("ipvsadm", "--set 4 5 6", "");
        let read = client.timeouts().expect("read");
        assert_eq!(read.udp, Duration::from_secs(6));
    });
}

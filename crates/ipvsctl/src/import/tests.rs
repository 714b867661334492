use std::path::Path;

use ipvs::text::{print_real_server, print_virtual_server};
use proptest::prelude::*;

use super::*;

/// Returns the lines of `ipvsadm-save` for the imported servers.
pub(super) fn lines(imported: &Imported) -> Vec<String> {
    let mut lines = Vec::new();
    for entry in &imported.servers {
        lines.push(print_virtual_server(&entry.server));
        let key = &entry.server.key;
        lines.extend((entry.real_servers.iter()).map(|real| print_real_server(key, real)));
    }
    lines
}

pub(super) fn notes(imported: &Imported) -> Vec<String> {
    imported.notes.iter().map(ToString::to_string).collect()
}

fn read(text: &str) -> Imported {
    parse(Path::new("f"), text, detect(text), Options::default())
}

/// Checks the imported lines and the notes.
fn check(text: &str, expected: &[&str], expected_notes: &[&str]) {
    let found = read(text);
    assert_eq!(lines(&found), expected);
    assert_eq!(notes(&found), expected_notes);
}

#[test]
fn kinds_of_input_are_detected() {
    for (text, origin) in [
        ("\n# saved\n-A -t 10.0.0.1:80 -s rr", Origin::IpvsadmSave),
        ("--add-service -t 10.0.0.1:80", Origin::IpvsadmSave),
        (
            "IP Virtual Server version 1.2.1 (size=4096)",
            Origin::IpvsadmList,
        ),
        ("TCP  10.0.0.1:80 rr", Origin::IpvsadmList),
        ("! Configuration\nglobal_defs {", Origin::Keepalived),
        ("", Origin::Keepalived),
    ] {
        assert_eq!(detect(text), origin, "{text}");
    }
}

#[test]
fn output_of_ipvsadm_save() {
    let text = "-A -t 192.0.2.1:80 -s wlc -p 60 -M 255.255.255.0\n\
                -a -t 192.0.2.1:80 -r 10.0.0.1:80 -g -w 3\n\
                -A -f 7 -6 -s rr\n";
    let expected: Vec<&str> = text.lines().collect();
    check(text, &expected, &[]);
}

#[test]
fn mistakes_of_saved_lines_do_not_stop_the_others() {
    check(
        "-A -t web:http -s rr\n-A -t 192.0.2.1:80 -s rr\n-A -t 192.0.2.1:80 -s rr\n-a -t 192.0.2.2:80 -r 10.0.0.1:80 -m\n",
        &["-A -t 192.0.2.1:80 -s rr"],
        &[
            "f:1: -t expects an address and port such as 10.96.0.10:80, as ipvsadm-save -n writes them, not \
             `web:http`; the line is ignored",
            "f:3: 192.0.2.1:80/TCP exists already; the line is ignored",
            "f:4: no earlier line adds 192.0.2.2:80/TCP; the line is ignored",
        ],
    );
}

#[test]
fn a_real_server_is_listed_once() {
    let notes = ["f:3: 10.0.0.1:80 of 192.0.2.1:80/TCP exists already; the line is ignored"];
    check(
        "-A -t 192.0.2.1:80 -s rr\n-a -t 192.0.2.1:80 -r 10.0.0.1:80 -m\n-a -t 192.0.2.1:80 -r 10.0.0.1:80 -g\n",
        &[
            "-A -t 192.0.2.1:80 -s rr",
            "-a -t 192.0.2.1:80 -r 10.0.0.1:80 -m -w 1",
        ],
        &notes,
    );
    check(
        "TCP 192.0.2.1:80 rr\n  -> 10.0.0.1:80 Masq 1 0 0\n  -> 10.0.0.1:80 Route 1 0 0\n",
        &[
            "-A -t 192.0.2.1:80 -s rr",
            "-a -t 192.0.2.1:80 -r 10.0.0.1:80 -m -w 1",
        ],
        &notes,
    );
}

const LIST: &str = "\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
TCP  192.0.2.1:80 wlc persistent 360 mask 255.255.255.0 pe sip
  -> 10.0.0.1:80                  Masq    1      5          20
  -> 10.0.0.2:80                  Route   100    0          0
UDP  192.0.2.1:53 sh ops (sh-fallback,sh-port)
TCP  [2001:db8::1]:443 rr persistent 60 mask 64
  -> [fd00::1]:443                Tunnel  1      0          0
  -> [fd00::2]:443                Tunnel  1      0          0
FWM  7 rr
  -> 10.0.0.1:0                   Local   1      0          0
FWM  8 IPv6 rr
";

const THRESHOLDS: &str = "\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port            Uthreshold Lthreshold ActiveConn InActConn
  -> RemoteAddress:Port
TCP  192.0.2.1:80 wlc persistent 360 mask 255.255.255.0 pe sip
  -> 10.0.0.1:80                  100        50         5          20
  -> 10.0.0.2:80                  0          0          0          0
";

const LISTED: [&str; 10] = [
    "-A -t 192.0.2.1:80 -s wlc -p 360 -M 255.255.255.0 --pe sip",
    "-a -t 192.0.2.1:80 -r 10.0.0.1:80 -m -w 1",
    "-a -t 192.0.2.1:80 -r 10.0.0.2:80 -g -w 100",
    "-A -u 192.0.2.1:53 -s sh -o -b sh-fallback,sh-port",
    "-A -t [2001:db8::1]:443 -s rr -p 60 -M 64",
    "-a -t [2001:db8::1]:443 -r [fd00::1]:443 -i -w 1 --tun-type ipip",
    "-a -t [2001:db8::1]:443 -r [fd00::2]:443 -i -w 1 --tun-type ipip",
    "-A -f 7 -s rr",
    "-a -f 7 -r 10.0.0.1:0 --local -w 1",
    "-A -f 8 -6 -s rr",
];

const TUNNEL_NOTE: &str = "f:9: the listing does not contain the kind of a tunnel: ipip is assumed";

#[test]
fn output_of_ipvsadm_for_people() {
    check(LIST, &LISTED, &[TUNNEL_NOTE]);
}

#[test]
fn thresholds_follow_in_a_second_listing() {
    let mut expected = LISTED.map(str::to_owned);
    expected[1] += " -x 100 -y 50";
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    check(&format!("{LIST}{THRESHOLDS}"), &expected, &[TUNNEL_NOTE]);
}

#[test]
fn lines_without_settings_are_mistakes() {
    let found = read(THRESHOLDS);
    assert!(found.servers.is_empty());
    assert!(found.has_errors());
    check(
        "TCP  web.example:http rr\n  -> 10.0.0.1:80 Masq 1 0 0\nTCP 192.0.2.1:80 rr\n  -> 10.0.0.1:80 Nat 1 0 0\n",
        &["-A -t 192.0.2.1:80 -s rr"],
        &[
            "f:1: `web.example:http` is not an address and port: list the table with ipvsadm -Ln; the line is ignored",
            "f:2: the line of its virtual server is missing or not valid; the line is ignored",
            "f:4: `Nat` is not Masq, Local, Tunnel, Route or Bypass; the line is ignored",
        ],
    );
}

#[test]
fn names_are_unique_and_valid() {
    let text = "-A -t [::1]:80 -s rr\n-A -t [::]:180 -s rr\n-A -u 192.0.2.1:53 -s rr\n-A -f 7 -s rr\n-A -f 7 -6 -s rr\n";
    let names: Vec<String> = (read(text).manifests(Path::new("f")).into_iter())
        .map(|manifest| manifest.metadata.name)
        .collect();
    assert_eq!(
        names,
        [
            "tcp---1-80",
            "tcp----180",
            "udp-192-0-2-1-53",
            "fwmark-7",
            "fwmark-7-ipv6"
        ]
    );
}

/// Generates valid virtual servers with valid real servers.
fn entry() -> impl Strategy<Value = String> {
    let server = prop_oneof![
        Just("-t 192.0.2.1:80"),
        Just("-u 192.0.2.1:53"),
        Just("--sctp-service [2001:db8::1]:9"),
        Just("-f 7"),
        Just("-f 4294967295 -6"),
    ];
    let settings = prop_oneof![
        Just("-s rr"),
        Just("-s sh -b sh-fallback,sh-port"),
        Just("-s mh -p 300 --pe sip -b mh-port,flag-3"),
        Just("-s wlc -p 4294967"),
    ];
    let forwarding = prop_oneof![
        Just("-m -w 1"),
        Just("-g -w 0 -x 10 -y 2147483647"),
        Just("-i -w 2147483647 --tun-type ipip"),
        Just("-i -w 1 --tun-type gue --tun-port 6080 --tun-remcsum"),
        Just("-i -w 1 --tun-type gre --tun-csum -x 1"),
        Just("--local -w 1"),
        Just("--bypass -w 1"),
    ];
    let real_servers = proptest::collection::btree_map(1_u8..9, forwarding, 0..5);
    (server, settings, real_servers).prop_map(|(server, settings, real_servers)| {
        let mut text = format!("-A {server} {settings}\n");
        for (number, forwarding) in real_servers {
            text += &format!("-a {server} -r 10.0.0.{number}:80 {forwarding}\n");
        }
        text
    })
}

proptest! {
    /// Import, YAML, reading of the file and export return the same lines.
    #[test]
    fn manifests_keep_every_setting(text in entry()) {
        let mut imported = read(&text);
        prop_assert_eq!(notes(&imported), Vec::<String>::new());
        let expected = lines(&imported);
        let manifests = imported.manifests(Path::new("f"));
        prop_assert_eq!(manifests.len(), 1);
        let yaml = serde_saphyr::to_string(&manifests[0]).expect("YAML");
        let found = sources::files::parse(Path::new("f"), &yaml);
        prop_assert!(found.errors.is_empty(), "{:?}", found.errors);
        let [model::Object::VirtualServer(object)] = found.objects.as_slice() else {
            panic!("one VirtualServer: {found:?}");
        };
        let entry = Entry {
            server: object.server.clone(),
            real_servers: object.real_servers.clone(),
            bind: true,
            health_check: None,
        };
        let again = Imported { servers: vec![entry], ..Imported::default() };
        prop_assert_eq!(lines(&again), expected);
    }

    #[test]
    fn any_text_is_read(text in "[-A-Za-z0-9.:>{}$@!#\"\\\\ \n]{0,200}") {
        for origin in [Origin::IpvsadmSave, Origin::IpvsadmList, Origin::Keepalived] {
            let _ = parse(Path::new("f"), &text, origin, Options::default());
        }
    }
}

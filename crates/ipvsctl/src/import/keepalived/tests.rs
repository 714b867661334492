mod checks;

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::import::tests::{lines, notes};
use crate::import::{Imported, Options, Origin, parse};

const INCLUDES: Options<'_> = Options {
    config_id: None,
    includes: true,
};

fn read(text: &str) -> Imported {
    parse(Path::new("f"), text, Origin::Keepalived, Options::default())
}

fn check(text: &str, expected: &[&str], expected_notes: &[&str]) {
    let found = read(text);
    assert_eq!(lines(&found), expected);
    assert_eq!(notes(&found), expected_notes);
}

/// Returns a configuration of one virtual server.
fn server(settings: &str) -> String {
    format!("virtual_server 192.0.2.1 80 {{\nlvs_method NAT\nprotocol TCP\n{settings}\n}}\n")
}

#[test]
fn defaults_are_those_of_keepalived() {
    check(
        "virtual_server 192.0.2.1 80 {\nreal_server 10.0.0.1 {\n}\n}",
        &[
            "-A -u 192.0.2.1:80 -s wlc",
            "-a -u 192.0.2.1:80 -r 10.0.0.1:80 -m -w 1",
        ],
        &[
            "f:1: protocol is missing: UDP is used, as in keepalived",
            "f:1: lvs_method is missing: NAT (masquerade) is used",
        ],
    );
    check(
        &server("persistence_granularity 255.255.0.0"),
        &["-A -t 192.0.2.1:80 -s wlc -p 360 -M 255.255.0.0"],
        &[],
    );
}

#[test]
fn the_number_of_a_mark_is_no_port() {
    check(
        "virtual_server fwmark 7 {\nlvs_method NAT\nprotocol TCP\nreal_server 10.0.0.1 {\n}\n}",
        &["-A -f 7 -s wlc", "-a -f 7 -r 10.0.0.1:0 -m -w 1"],
        &[],
    );
}

#[test]
fn braces_may_be_anywhere() {
    for text in [
        "virtual_server 192.0.2.1 80 { lvs_method DR\n protocol TCP\n real_server 10.0.0.1 80 { weight 2 }\n}",
        "virtual_server 192.0.2.1 80\n{\nlvs_method DR\nprotocol TCP\nreal_server 10.0.0.1 80\n{\nweight 2\n}\n}",
        "virtual_server 192.0.2.1 80{\nlvs_method DR # }\nprotocol TCP\nreal_server 10.0.0.1 80{weight 2}}",
    ] {
        let expected = [
            "-A -t 192.0.2.1:80 -s wlc",
            "-a -t 192.0.2.1:80 -r 10.0.0.1:80 -g -w 2",
        ];
        check(text, &expected, &[]);
    }
}

#[test]
fn mistakes_name_their_line_and_do_not_stop_the_rest() {
    check(
        &server(
            "weight x\nprotocol ICMP\nreal_server web 80 {\n}\nreal_server 10.0.0.1 80\nreal_server 10.0.0.1 80\nlvs_sched",
        ),
        &[
            "-A -t 192.0.2.1:80 -s wlc",
            "-a -t 192.0.2.1:80 -r 10.0.0.1:80 -m -w 1",
        ],
        &[
            "f:4: weight: `x` is not a number; the setting is ignored",
            "f:5: protocol: `ICMP` is not TCP, UDP or SCTP; the setting is ignored",
            "f:10: lvs_sched: the value is missing; the setting is ignored",
            "f:6: `web` is not an IP address; the real server is not imported",
            "f:9: 10.0.0.1:80 exists already; it is ignored",
        ],
    );
    check(
        "virtual_server group NONE {\n}\nvirtual_server 192.0.2.1 80 {\nlvs_sched rr\nprotocol TCP\nsh-port\n}\n}\n{\nx\n}\nvirtual_server 192.0.2.2 80 {\nprotocol TCP",
        &["-A -t 192.0.2.1:80 -s rr", "-A -t 192.0.2.2:80 -s wlc"],
        &[
            "f:8: `}` closes no block; it is ignored",
            "f:9: `{` follows no keyword: its block is ignored",
            "f:12: the block of virtual_server is not closed",
            "f:1: there is no virtual_server_group NONE; the virtual server is not imported",
            "f:6: `sh-port` is not a flag of scheduler rr; it is ignored",
        ],
    );
}

#[test]
fn ranges_of_groups() {
    let group = |members: &str| {
        format!(
            "virtual_server_group G {{\n{members}\n}}\nvirtual_server group G {{\nlvs_method NAT\nprotocol TCP\n}}\n"
        )
    };
    check(
        &group("192.0.2.1-3 80\n2001:db8::1e-20\nfwmark 5"),
        &[
            "-A -t 192.0.2.1:80 -s wlc",
            "-A -t 192.0.2.2:80 -s wlc",
            "-A -t 192.0.2.3:80 -s wlc",
            "-A -t [2001:db8::1e]:0 -s wlc",
            "-A -t [2001:db8::1f]:0 -s wlc",
            "-A -t [2001:db8::20]:0 -s wlc",
            "-A -f 5 -s wlc",
        ],
        &[],
    );
    check(
        &group("192.0.2.9-3 80\nfwmark 0\n2001:db8::-ffff 80\n2001:db8:1::-ffff 80")
            .replace("group G {\nlvs", "group H {\nlvs"),
        &[],
        &[
            "f:2: `192.0.2.9-3` is not an address or a range such as 192.0.2.10-20; the line is ignored",
            "f:3: fwmark needs a number above 0; the line is ignored",
            "f:5: the groups have more than 65536 addresses: the line is ignored",
            "f:7: there is no virtual_server_group H; the virtual server is not imported",
        ],
    );
}

#[test]
fn conditions_depend_on_the_configuration_id() {
    let text = server("@a lvs_sched rr\n@^a lvs_sched lc");
    for (id, scheduler) in [(Some("a"), "rr"), (Some("b"), "lc"), (None, "lc")] {
        let options = Options {
            config_id: id,
            ..Options::default()
        };
        let found = parse(Path::new("f"), &text, Origin::Keepalived, options);
        assert_eq!(
            lines(&found),
            [format!("-A -t 192.0.2.1:80 -s {scheduler}")]
        );
        assert_eq!(found.notes.is_empty(), id.is_some());
    }
}

#[test]
fn definitions_are_bounded() {
    check(
        &format!("$A=$A\n{}", server("lvs_sched $A\npersistence_engine $B")),
        &["-A -t 192.0.2.1:80 -s $A --pe $B"],
        &[
            "f:5: definitions contain each other more than 16 times; the line is used as it is",
            "f:6: $B is not defined; it is used as it is",
        ],
    );
    let mut bomb = String::from("$A0=xxxxxxxxxxxxxxxx\n");
    for level in 1..16 {
        bomb += &format!("$A{level}={}\n", format!("$A{} ", level - 1).repeat(16));
    }
    let found = read(&format!("{bomb}{}", server("lvs_sched $A15")));
    assert_eq!(found.notes.len(), 1);
}

#[test]
fn comments_are_removed_before_definitions_are_replaced() {
    let definitions = "$SCHED=rr # not lc\n$HASH=a\\#b ! the comment\n$QUOTED=\"#c\"\n\
                       $REALS=real_server 10.0.0.1 80 {\\\n}  \\\nreal_server 10.0.0.2 80 { # } \\\n}\n\n";
    let settings = "lvs_sched $SCHED # $UNKNOWN $REALS\npersistence_engine $HASH\npersistence_timeout 60 \
                    ! ${SCHED}\n$REALS\n";
    check(
        &format!("{definitions}{}", server(settings)),
        &[
            "-A -t 192.0.2.1:80 -s rr -p 60 --pe a#b",
            "-a -t 192.0.2.1:80 -r 10.0.0.1:80 -m -w 1",
            "-a -t 192.0.2.1:80 -r 10.0.0.2:80 -m -w 1",
        ],
        &[],
    );
    check(
        &format!("{definitions}{}", server("persistence_engine $QUOTED")),
        &["-A -t 192.0.2.1:80 -s wlc --pe #c"],
        &[],
    );
}

/// The example of keepalived.conf(5): lines of a definition have conditions and other definitions.
#[test]
fn lines_of_a_definition_are_read_like_lines_of_a_file() {
    let text = "$SERVER= \\\nvirtual_server 192.0.2.${NUM} 80 { \\\n@main lvs_sched rr \\\n@^main lvs_sched lc \\\n\
                protocol TCP \\\n$NEXT=9 \\\n}\n\n$NUM=1\n$SERVER\n$NUM=${NEXT}\n$SERVER\n";
    let options = Options {
        config_id: Some("main"),
        ..Options::default()
    };
    let found = parse(Path::new("f"), text, Origin::Keepalived, options);
    assert_eq!(
        lines(&found),
        ["-A -t 192.0.2.1:80 -s rr", "-A -t 192.0.2.9:80 -s rr"]
    );
    assert_eq!(notes(&found), [""; 0]);
}

#[test]
fn a_definition_of_several_lines_is_replaced_at_the_end_of_a_line() {
    check(
        &format!(
            "$A=rr\n$M=x \\\ny\n{}",
            server("lvs_sched $A\npersistence_engine $M,$A")
        ),
        &["-A -t 192.0.2.1:80 -s rr --pe $M,rr"],
        &[],
    );
}

#[test]
fn everything_that_grows_is_bounded() {
    // A definition of 1 MiB in each of many lines.
    let mut bomb = format!("$A0={}\n", "x".repeat(16));
    for level in 1..=4 {
        bomb += &format!("$A{level}={}\n", format!("$A{} ", level - 1).repeat(15));
    }
    let found = read(&format!("{bomb}{}{}", "$A4\n".repeat(100_000), server("")));
    assert_eq!(lines(&found), ["-A -t 192.0.2.1:80 -s wlc"]);
    let all = notes(&found);
    assert!(
        all.iter().any(|note| note.ends_with(
            "definitions make the configuration longer than 16777216 bytes; the line is used as it is"
        )),
        "{:#?}",
        &all[..10]
    );
    // A group with 65,536 addresses in each of many virtual servers.
    let group = "virtual_server_group G {\n2001:db8::-ffff 80\n}\n".to_owned();
    let servers = "virtual_server group G {\nlvs_method NAT\nprotocol TCP\n}\n".repeat(1_000);
    let found = read(&(group + &servers));
    assert_eq!(found.servers.len(), 1 << 20);
    assert_eq!(
        notes(&found),
        [
            "f:68: there are more than 1048576 virtual servers and real servers: this virtual server and the rest are not \
          imported"
        ]
    );
}

#[test]
fn deep_nesting_is_bounded() {
    let text = format!("{}{}", "a {\n".repeat(100_000), "}\n".repeat(100_000));
    let found = read(&format!("{text}{}", server("")));
    assert_eq!(lines(&found), ["-A -t 192.0.2.1:80 -s wlc"]);
    assert_eq!(
        notes(&found)[0],
        "f:17: blocks inside more than 16 others are ignored"
    );
}

#[test]
fn includes_are_bounded() {
    let folder = TempDir::new().expect("a folder");
    let write = |name: &str, text: &str| {
        fs::write(folder.path().join(name), text).expect("to write");
    };
    let main = format!(
        "include self.conf\ninclude pool/*.conf\ninclude none\n{}",
        server("include part.inc")
    );
    write("self.conf", "include self.conf\n");
    write("part.inc", "lvs_sched rr\n");
    fs::create_dir(folder.path().join("pool")).expect("a folder");
    write(
        "pool/b.conf",
        "virtual_server 192.0.2.3 80 {\nprotocol TCP\n}\n",
    );
    write(
        "pool/a.conf",
        "virtual_server 192.0.2.2 80 {\nprotocol TCP\n}\n",
    );
    for number in 0..20 {
        write(
            &format!("deep{number}"),
            &format!("include deep{}\n", number + 1),
        );
    }
    write("deep20", "");
    fs::create_dir(folder.path().join("device")).expect("a folder");
    std::os::unix::fs::symlink("/dev/zero", folder.path().join("device/zero")).expect("a link");
    let path = folder.path().join("main.conf");
    let found = parse(
        &path,
        &format!("{main}include deep0\ninclude device/*\n"),
        Origin::Keepalived,
        INCLUDES,
    );
    assert_eq!(
        lines(&found),
        [
            "-A -t 192.0.2.2:80 -s wlc",
            "-A -t 192.0.2.3:80 -s wlc",
            "-A -t 192.0.2.1:80 -s rr",
        ]
    );
    let root = folder.path().display().to_string();
    let notes: Vec<String> = (notes(&found).iter())
        .map(|note| note.replace(&root, "DIR"))
        .collect();
    assert_eq!(
        notes,
        [
            "DIR/self.conf:1: include: DIR/self.conf: the file includes itself; the file is ignored",
            "DIR/main.conf:3: include: no file is named DIR/none",
            "DIR/deep15:1: include: DIR/deep16: more than 16 files include each other; the file is ignored",
            "DIR/main.conf:10: include: DIR/device/zero: not a regular file; the file is ignored",
        ]
    );
}

//! The table of ways to break the node.

/// Services that a result must name.
#[derive(Clone, Copy, Debug)]
pub(super) enum Named {
    /// The Service `web`.
    Web,
    /// Every Service.
    Every,
    /// No Service. The reason is part of what the users see.
    Nobody(&'static str),
}

/// Result of the doctor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Diagnosis {
    pub(super) check: &'static str,
    pub(super) severity: &'static str,
    /// Part of the text.
    pub(super) found: &'static str,
    pub(super) named: Named,
}

/// Result of `ipvsctl explain`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Explained {
    /// Subject: `svc NAME` or `ip ADDRESS`.
    pub(super) subject: &'static str,
    pub(super) status: i32,
    /// Parts of the text.
    pub(super) says: &'static [&'static str],
}

/// Effect on packets.
#[derive(Clone, Copy, Debug)]
pub(super) enum Effect {
    /// The fates of exactly these packets change, see [`PACKETS`](super::packets::PACKETS).
    On(&'static [&'static str]),
    /// No packet feels it, for this reason.
    Unfelt(&'static str),
}

/// A way to break the node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way {
    pub(super) name: &'static str,
    /// Commands that break it. A no-break space stands for a space in a word.
    pub(super) breaks: &'static [&'static str],
    /// Commands that undo what kube-ipvsd does not undo.
    pub(super) undo: &'static [&'static str],
    pub(super) doctor: Diagnosis,
    /// Result of the doctor about kube-ipvsd and other proxies.
    pub(super) proxy: Diagnosis,
    pub(super) explain: Explained,
    pub(super) effect: Effect,
    /// Packets of which trace leaves a part open.
    pub(super) open: &'static [&'static str],
}

const fn problem(check: &'static str, found: &'static str, named: Named) -> Diagnosis {
    Diagnosis {
        check,
        severity: "problem",
        found,
        named,
    }
}

const fn warning(check: &'static str, found: &'static str, named: Named) -> Diagnosis {
    Diagnosis {
        severity: "warning",
        ..problem(check, found, named)
    }
}

/// Explains the Service `web`, which is not served as its objects ask for.
const fn web(says: &'static [&'static str]) -> Explained {
    Explained {
        subject: "svc default/web",
        status: 1,
        says,
    }
}

/// Packets to the IPv4 addresses and ports of the Service.
const IPV4: Effect = Effect::On(&["client", "client-udp", "host", "pod", "endpoint"]);
/// TCP packets to its IPv4 address and port 80.
const TCP: Effect = Effect::On(&["client", "host", "pod", "endpoint"]);

const NODE_CHANGE: &str = "1 change of rules, sets or settings pending";

const STOPPED: Diagnosis = problem(
    "process",
    "is stopped by a signal or a debugger",
    Named::Nobody("Services stay as they are"),
);

const fn way(name: &'static str, breaks: &'static [&'static str], doctor: Diagnosis) -> Way {
    Way {
        name,
        breaks,
        undo: &[],
        doctor,
        proxy: STOPPED,
        explain: web(&[]),
        effect: IPV4,
        open: &[],
    }
}

/// Ways whose commands are run while kube-ipvsd is stopped.
pub(super) const WAYS: [Way; 17] = [
    Way {
        explain: web(&["not answering: the kernel has none of its virtual servers"]),
        effect: Effect::On(&[
            "client",
            "client-udp",
            "client-v6",
            "host",
            "pod",
            "endpoint",
        ]),
        ..way(
            "flushed IPVS table",
            &["ipvsadm -C"],
            problem(
                "virtual-servers",
                "virtual servers are missing",
                Named::Every,
            ),
        )
    },
    Way {
        explain: web(&["+ -A -t 10.96.1.1:80", "no: its virtual server is missing"]),
        effect: TCP,
        ..way(
            "deleted virtual server",
            &["ipvsadm -D -t 10.96.1.1:80"],
            problem("virtual-servers", "1 virtual server is missing", Named::Web),
        )
    },
    Way {
        // The daemon compares the real servers of large tables in slices, which takes a minute.
        undo: &["ipvsadm -a -t 10.96.1.1:80 -r 10.244.0.10:8080 -m -w 1"],
        explain: web(&["+ -a -t 10.96.1.1:80 -r 10.244.0.10:8080", "missing"]),
        effect: TCP,
        ..way(
            "deleted real server",
            &["ipvsadm -d -t 10.96.1.1:80 -r 10.244.0.10:8080"],
            problem(
                "real-servers",
                "1 real server is missing; 1 Service without any endpoint",
                Named::Web,
            ),
        )
    },
    Way {
        undo: &["ipvsadm -d -t 10.96.1.1:80 -r 10.244.0.99:8080"],
        explain: web(&["-r 10.244.0.99:8080", "no endpoint of the Service"]),
        effect: TCP,
        // The kernel knows no program of an address that no EndpointSlice has.
        open: &["client", "host", "pod", "endpoint"],
        ..way(
            "rogue real server",
            &["ipvsadm -a -t 10.96.1.1:80 -r 10.244.0.99:8080 -m"],
            problem(
                "real-servers",
                "1 real server is not an endpoint",
                Named::Web,
            ),
        )
    },
    Way {
        explain: web(&["~ -e -t 10.96.1.1:80 -r 10.244.0.10:8080", "weight 0 -> 1"]),
        effect: TCP,
        ..way(
            "weight 0",
            &["ipvsadm -e -t 10.96.1.1:80 -r 10.244.0.10:8080 -m -w 0"],
            problem(
                "real-servers",
                "1 real server of an endpoint has weight 0; 1 Service without any endpoint",
                Named::Web,
            ),
        )
    },
    Way {
        explain: web(&["of rules, sets or settings pending"]),
        effect: Effect::On(&["host", "endpoint"]),
        ..way(
            "flushed nat table",
            &["iptables -t nat -F"],
            problem(
                "rules",
                "chains and jumps of the IPv4 packet filter",
                Named::Every,
            ),
        )
    },
    Way {
        explain: web(&["of rules, sets or settings pending"]),
        effect: Effect::On(&["client-ssh"]),
        ..way(
            "removed jump",
            &[
                "iptables -D INPUT -m comment --comment kubernetes\u{a0}ipvs\u{a0}access\u{a0}filter -j KUBE-IPVS-FILTER",
            ],
            problem(
                "rules",
                "1 chain or jump of the IPv4 packet filter",
                Named::Every,
            ),
        )
    },
    Way {
        explain: web(&[
            "KUBE-CLUSTER-IP",
            "missing",
            "entries are missing for 10.96.1.1:80/TCP",
        ]),
        effect: TCP,
        ..way(
            "deleted set entry",
            &["ipset del KUBE-CLUSTER-IP 10.96.1.1,tcp:80"],
            problem(
                "set-entries",
                "1 entry is missing in set KUBE-CLUSTER-IP",
                Named::Web,
            ),
        )
    },
    Way {
        explain: web(&["entries are missing for 10.96.1.1:80/TCP", "+ 10.96.1.1/32"]),
        ..way(
            "deleted address",
            &["ip address delete 10.96.1.1/32 dev kube-ipvs0"],
            problem(
                "addresses",
                "1 Service address is missing on kube-ipvs0",
                Named::Web,
            ),
        )
    },
    Way {
        explain: web(&["entries are missing for [fd00:10:96::101]:80/TCP"]),
        effect: Effect::On(&["client-v6"]),
        ..way(
            "device set up and down",
            // The kernel deletes the IPv6 addresses.
            &["ip link set kube-ipvs0 up", "ip link set kube-ipvs0 down"],
            problem(
                "addresses",
                "1 Service address is missing on kube-ipvs0",
                Named::Web,
            ),
        )
    },
    Way {
        undo: &["ip route add local 10.96.1.1 dev kube-ipvs0 table local"],
        explain: web(&["no: this node has no local route to the address"]),
        ..way(
            "deleted local route",
            &["ip route delete local 10.96.1.1 dev kube-ipvs0 table local"],
            problem(
                "local-addresses",
                "1 address of kube-ipvs0 without a local route",
                Named::Web,
            ),
        )
    },
    Way {
        undo: &["ip link delete other0"],
        explain: Explained {
            subject: "ip 10.96.1.1",
            status: 0,
            says: &["on this node's interface other0"],
        },
        effect: Effect::Unfelt(
            "the address is local, whatever device has it; it stays when its Service goes",
        ),
        ..way(
            "address on another device",
            &[
                "ip link add other0 type dummy",
                "ip address add 10.96.1.1/32 dev other0",
            ],
            warning(
                "addresses-elsewhere",
                "1 address of Services on other devices",
                Named::Web,
            ),
        )
    },
    Way {
        explain: web(&[NODE_CHANGE, "net.ipv4.ip_forward"]),
        effect: Effect::On(&["client", "client-udp", "endpoint"]),
        ..way(
            "no forwarding",
            &["sysctl -q -w net.ipv4.ip_forward=0"],
            problem(
                "settings",
                "net.ipv4.ip_forward is 0, should be 1",
                Named::Every,
            ),
        )
    },
    Way {
        explain: web(&[NODE_CHANGE, "net.ipv4.vs.conntrack"]),
        effect: Effect::On(&["host", "endpoint"]),
        ..way(
            "untracked connections of IPVS",
            &["sysctl -q -w net.ipv4.vs.conntrack=0"],
            problem(
                "settings",
                "net.ipv4.vs.conntrack is 0, should be 1",
                Named::Every,
            ),
        )
    },
    Way {
        undo: &[
            "iptables -P INPUT ACCEPT",
            "iptables -D INPUT -i lo -j ACCEPT",
        ],
        explain: web(&["policy DROP of chain INPUT of the IPv4 packet filter"]),
        ..way(
            "INPUT policy DROP",
            &[
                "iptables -A INPUT -i lo -j ACCEPT",
                "iptables -P INPUT DROP",
            ],
            problem(
                "foreign-rules",
                "policy DROP of chain INPUT of the IPv4 packet filter",
                Named::Every,
            ),
        )
    },
    Way {
        explain: web(&[NODE_CHANGE, "--set 7800 120 120"]),
        effect: Effect::Unfelt("only idle connections end at other times"),
        ..way(
            "other timeouts",
            &["ipvsadm --set 900 120 300"],
            warning(
                "timeouts",
                "the idle timeouts of IPVS are not the configured ones",
                Named::Nobody("idle connections"),
            ),
        )
    },
    Way {
        undo: &[
            "iptables -t raw -D PREROUTING -d 10.96.1.1/32 -p tcp -m tcp --dport 80 -j CT --notrack",
        ],
        explain: web(&["keeps packets to 10.96.1.1:80/TCP from connection tracking"]),
        effect: Effect::On(&["endpoint"]),
        ..way(
            "NOTRACK",
            &[
                "iptables -t raw -A PREROUTING -d 10.96.1.1/32 -p tcp -m tcp --dport 80 -j CT --notrack",
            ],
            problem(
                "foreign-rules",
                "keeps packets to 10.96.1.1:80/TCP from connection tracking",
                Named::Web,
            ),
        )
    },
];

/// A kube-proxy beside the stopped kube-ipvsd, which deletes a virtual server of `web`. The drill
/// starts and ends it.
pub(super) const SECOND_PROXY: Way = Way {
    proxy: problem(
        "process",
        "kube-proxy runs on this node",
        Named::Nobody("the other checks name those that differ now"),
    ),
    explain: web(&["+ -A -u 10.96.1.1:80"]),
    effect: Effect::On(&["client-udp"]),
    ..way(
        "second proxy",
        &[],
        problem("virtual-servers", "1 virtual server is missing", Named::Web),
    )
};

/// No kube-ipvsd: the objects are those of the command line.
pub(super) const NO_DAEMON: Way = Way {
    name: "no daemon",
    proxy: problem(
        "proxies",
        "kube-ipvsd does not answer",
        Named::Nobody("Services stay as they are"),
    ),
    ..WAYS[0]
};

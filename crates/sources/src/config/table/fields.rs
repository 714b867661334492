//! The fields, in the order in which they are shown. Behaviour and defaults of kube-proxy's are those
//! of its release 1.30; `min` of conntrack and such are explained in its reference.

use super::FieldInfo;
use super::Kind::{
    Address, AddressPort, Any, Bool, Choice, Duration, Gates, Interface, KernelSeconds,
    NetworkPair, Networks, NodePorts, Number, Ports, Scheduler, Text, Whole, Words,
};

const fn field(
    path: &'static str,
    kind: super::Kind,
    default: &'static str,
    meaning: &'static str,
) -> FieldInfo {
    FieldInfo::new(path, kind, default, meaning)
}

/// All fields but `apiVersion` and `kind`.
pub const FIELDS: &[FieldInfo] = &[
    field("mode", Choice(&["ipvs"]), "ipvs", "Empty is `ipvs` too; another mode is an error.")
        .flag("proxy-mode"),
    field("hostnameOverride", Text, "", "The node's name in Kubernetes; empty is the host's name.")
        .flag("hostname-override"),
    field(
        "bindAddress",
        Address,
        "0.0.0.0",
        "Replaces the node's primary address in its family, if it is not unspecified. No socket is bound to it.",
    )
    .flag("bind-address"),
    field(
        "clientConnection.kubeconfig",
        Text,
        "",
        "How to reach the API server; empty is `$KUBECONFIG`, then the pod's service account, then `~/.kube/config`.",
    )
    .flag("kubeconfig"),
    // What is programmed.
    field(
        "ipvs.scheduler",
        Scheduler,
        "rr",
        "The scheduler of every virtual server; the kernel must have it.",
    )
    .flag("ipvs-scheduler"),
    field(
        "ipvs.schedulerFlags",
        Words(&["sh-port", "sh-fallback", "mh-port", "mh-fallback"]),
        "[]",
        "Flags of the scheduler `sh` or `mh`. `*-port`: the client's port decides too; `*-fallback`: another \
         real server instead of none while the chosen one has weight 0. Default for `mh`: `[mh-port]`, as \
         kube-proxy has it.",
    )
    .ours(),
    field(
        "ipvs.syncPeriod",
        Duration,
        "30s",
        "How often everything is compared with the kernel even if nothing changed.",
    )
    .zero_is_default()
    .flag("ipvs-sync-period"),
    field(
        "ipvs.minSyncPeriod",
        Duration,
        "0s",
        "How long changes are gathered before they are applied; 0 applies at once. At most `ipvs.syncPeriod`.",
    )
    .flag("ipvs-min-sync-period"),
    field(
        "ipvs.excludeCIDRs",
        Networks,
        "[]",
        "Virtual servers and addresses inside these are never deleted.",
    )
    .flag("ipvs-exclude-cidrs"),
    field(
        "ipvs.strictARP",
        Bool,
        "false",
        "The node answers ARP for an address only at the interface that has it: `arp_ignore` 1 and \
         `arp_announce` 2.",
    )
    .flag("ipvs-strict-arp"),
    field(
        "iptables.masqueradeAll",
        Bool,
        "false",
        "Every packet to a cluster address gets an address of the node as its source.",
    )
    .flag("masquerade-all"),
    field(
        "iptables.masqueradeBit",
        Whole(0, 31),
        "14",
        "The bit of the packet mark for packets to be masqueraded.",
    )
    .flag("iptables-masquerade-bit"),
    field(
        "iptables.dropBit",
        Whole(0, 31),
        "15",
        "The bit for packets of the node itself to be dropped, where a Service's source ranges leave the \
         node out; another one than `iptables.masqueradeBit`. Default: 14 if that one is 15.",
    )
    .ours(),
    field(
        "detectLocalMode",
        Choice(&["ClusterCIDR", "NodeCIDR", "BridgeInterface", "InterfaceNamePrefix"]),
        "ClusterCIDR",
        "How traffic from pods is known, so that other traffic to a cluster address is masqueraded.",
    )
    .flag("detect-local-mode"),
    field(
        "clusterCIDR",
        NetworkPair,
        "",
        "The pods' network, for `ClusterCIDR`; empty is unknown: nothing is masqueraded for its source.",
    )
    .flag("cluster-cidr"),
    field(
        "detectLocal.bridgeInterface",
        Interface,
        "",
        "The bridge of the pods; required with `BridgeInterface`.",
    )
    .flag("pod-bridge-interface"),
    field(
        "detectLocal.interfaceNamePrefix",
        Interface,
        "",
        "How the names of the interfaces to pods begin; required with `InterfaceNamePrefix`.",
    )
    .flag("pod-interface-name-prefix"),
    field(
        "nodePortAddresses",
        NodePorts,
        "[]",
        "The node's addresses at which node ports are served: those inside these networks, with `primary` its first \
         one of each family, with `all` every one. A family without a network has all, unless `primary` is there. \
         `localhost` adds nothing: node ports are never served at loopback addresses.",
    )
    .flag("nodeport-addresses"),
    field(
        "externalIPPolicy",
        Choice(&["Allow", "AllowList", "Deny"]),
        "Allow",
        "Which `externalIPs` of Services are served: all, those inside `allowedExternalCIDRs`, or none.",
    )
    .ours(),
    field(
        "allowedExternalCIDRs",
        Networks,
        "[]",
        "For `externalIPPolicy: AllowList`, and required there.",
    )
    .ours(),
    field(
        "protectedCIDRs",
        Networks,
        "[]",
        "External and load-balancer addresses inside these are not served.",
    )
    .ours(),
    field(
        "protectedHostPorts",
        Ports,
        "[22]",
        "Ports of the node's own programs: no Service is served at them on the node's addresses, whatever the protocol. The kubelet's \
         10250, the ports of `healthzBindAddress` and `metricsBindAddress`, and the API server's on this node are protected besides.",
    )
    .ours(),
    field(
        "serviceLimits.addresses",
        Whole(1, 1_000_000),
        "256",
        "External and load-balancer addresses of one Service at most; those that follow in its lists are not served.",
    )
    .ours(),
    field(
        "serviceLimits.sourceRanges",
        Whole(1, 1_000_000),
        "1000",
        "Source ranges of one Service at most; those that follow in its list admit no client.",
    )
    .ours(),
    field(
        "serviceLimits.entries",
        Whole(1, 1_000_000),
        "8192",
        "Virtual servers of one Service and entries for their source ranges at most, together; cluster IPs come first. Virtual servers \
         that do not fit are not served.",
    )
    .ours(),
    field(
        "serviceLimits.realServers",
        Whole(1, 10_000_000),
        "131072",
        "Real servers of all virtual servers of one Service at most, together; cluster IPs come first. Virtual servers whose real servers \
         do not fit are not served.",
    )
    .ours(),
    field(
        "acceptServedTraffic",
        Bool,
        "false",
        "Accept packets to Services in INPUT of the packet filter, once source ranges admitted them, so that a policy DROP or rules that \
         stand behind ours do not drop them.",
    )
    .ours(),
    field(
        "drainTimeout",
        Duration,
        "15m0s",
        "How long a real server that left may keep its connections; 0 is without end.",
    )
    .ours(),
    field(
        "udpDrainTimeout",
        Duration,
        "5s",
        "How long a UDP real server keeps its flows while its endpoint terminates and still serves; 0 deletes it at once. Times below \
         1 s count as 1 s.",
    )
    .ours(),
    field(
        "cutLostEndpoints",
        Bool,
        "false",
        "An endpoint that is gone without having been terminating is cut off at once, so that its clients \
         are reset.",
    )
    .ours(),
    field(
        "deletionConfirmation",
        Duration,
        "10s",
        "Time between a list that lacks more than half of the known objects and the list that must lack them too before they are \
         deleted (deviation D27); 0 deletes at once.",
    )
    .ours(),
    field(
        "iptablesBackend",
        Choice(&["auto", "nft", "legacy"]),
        "auto",
        "The packet filter that holds the rules: nf_tables, x_tables, or the one that the node uses.",
    )
    .ours(),
    field(
        "serviceMetrics",
        Choice(&["off", "service", "endpoint"]),
        "off",
        "Whether `/metrics` has the traffic of each Service port, or that of each endpoint too.",
    )
    .ours(),
    field(
        "serviceMetricsLimit",
        Whole(0, 1_000_000),
        "10000",
        "Label sets at most, of Service ports and of endpoints each; 0 shows none.",
    )
    .ours(),
    field(
        "watchedNodes",
        Choice(&["all", "own"]),
        "all",
        "Which Nodes the API server is asked for. With `own` other nodes' addresses are not known: name their \
         networks in `protectedCIDRs`. For clusters of thousands of nodes.",
    )
    .ours(),
    // The daemon's own.
    field(
        "ipvs.tcpTimeout",
        KernelSeconds,
        "0s",
        "When the kernel forgets an idle TCP connection; 0 leaves its setting.",
    )
    .flag("ipvs-tcp-timeout"),
    field(
        "ipvs.tcpFinTimeout",
        KernelSeconds,
        "0s",
        "When it forgets a TCP connection after a FIN; 0 leaves its setting.",
    )
    .flag("ipvs-tcpfin-timeout"),
    field(
        "ipvs.udpTimeout",
        KernelSeconds,
        "0s",
        "When it forgets an idle UDP flow; 0 leaves its setting.",
    )
    .flag("ipvs-udp-timeout"),
    field(
        "conntrack.maxPerCore",
        Whole(0, i32::MAX as i64),
        "32768",
        "`nf_conntrack_max` for each CPU, 1048576 in all at most; 0 leaves the kernel's setting, whatever `conntrack.min` \
         says. A larger setting of the kernel stays.",
    )
    .flag("conntrack-max-per-core"),
    field(
        "conntrack.min",
        Whole(0, i32::MAX as i64),
        "131072",
        "The least `nf_conntrack_max`, which may be above 1048576; 0 is no least one.",
    )
    .flag("conntrack-min"),
    field(
        "conntrack.tcpEstablishedTimeout",
        KernelSeconds,
        "24h0m0s",
        "`nf_conntrack_tcp_timeout_established`; 0 leaves the kernel's setting.",
    )
    .flag("conntrack-tcp-timeout-established"),
    field(
        "conntrack.tcpCloseWaitTimeout",
        KernelSeconds,
        "1h0m0s",
        "`nf_conntrack_tcp_timeout_close_wait`; 0 leaves the kernel's setting.",
    )
    .flag("conntrack-tcp-timeout-close-wait"),
    field(
        "conntrack.tcpBeLiberal",
        Bool,
        "false",
        "`nf_conntrack_tcp_be_liberal`: packets outside the TCP window are not invalid.",
    )
    .flag("conntrack-tcp-be-liberal"),
    field(
        "conntrack.udpTimeout",
        KernelSeconds,
        "0s",
        "`nf_conntrack_udp_timeout`; 0 leaves the kernel's setting.",
    )
    .flag("conntrack-udp-timeout"),
    field(
        "conntrack.udpStreamTimeout",
        KernelSeconds,
        "0s",
        "`nf_conntrack_udp_timeout_stream`; 0 leaves the kernel's setting.",
    )
    .flag("conntrack-udp-timeout-stream"),
    field(
        "healthzBindAddress",
        AddressPort(10256),
        "0.0.0.0:10256",
        "Where the daemon's health is served (`/livez`, `/readyz`, `/healthz`), on `[::]` if `bindAddress` is IPv6; `0` is nowhere, as is an \
         empty flag.",
    )
    .flag("healthz-bind-address"),
    field(
        "metricsBindAddress",
        AddressPort(10249),
        "127.0.0.1:10249",
        "Where metrics are served, on `[::1]` if `bindAddress` is IPv6; `0` is nowhere, as is an empty flag.",
    )
    .flag("metrics-bind-address"),
    field(
        "bindAddressHardFail",
        Bool,
        "false",
        "The daemon ends if one of these addresses is taken.",
    )
    .flag("bind-address-hard-fail"),
    field("enableProfiling", Bool, "false", "Profiles are served beside the metrics.")
        .flag("profiling")
        .later(),
    field(
        "configSyncPeriod",
        Duration,
        "15m0s",
        "How often everything is read again from the API server.",
    )
    .zero_is_default()
    .flag("config-sync-period")
    .later(),
    field(
        "clientConnection.qps",
        Number,
        "5",
        "Requests to the API server a second; below 0 is without limit.",
    )
    .zero_is_default()
    .flag("kube-api-qps")
    .later(),
    field(
        "clientConnection.burst",
        Whole(0, i32::MAX as i64),
        "10",
        "How many of them at once.",
    )
    .zero_is_default()
    .flag("kube-api-burst")
    .later(),
    field(
        "oomScoreAdj",
        Whole(-1000, 1000),
        "-999",
        "How the kernel ranks the daemon when memory is short: -1000 is never killed.",
    )
    .flag("oom-score-adj"),
    field(
        "logging.format",
        Choice(&["text", "json"]),
        "text",
        "How log lines are written. `--log-format` of kube-ipvsd comes first, then the flag, then the file.",
    )
    .flag("logging-format"),
    field(
        "logging.verbosity",
        Whole(0, i32::MAX as i64),
        "0",
        "Which log lines are written: up to 3 is the level `info`, 4 and 5 are `debug`, from 6 it is `trace`. `--log-level` of \
         kube-ipvsd comes first, then the flag, then the file.",
    )
    .flag("v"),
    // Without meaning here.
    field(
        "clientConnection.contentType",
        Text,
        "application/vnd.kubernetes.protobuf",
        "JSON is all that is asked for.",
    )
    .flag("kube-api-content-type")
    .nothing(),
    field(
        "clientConnection.acceptContentTypes",
        Text,
        "",
        "JSON is all that is asked for.",
    )
    .nothing(),
    field("iptables.localhostNodePorts", Bool, "true", "Of the iptables mode.")
        .flag("iptables-localhost-nodeports")
        .nothing(),
    field("iptables.snatNodeInternalIP", Bool, "false", "Of the iptables mode.").nothing(),
    field("iptables.syncPeriod", Duration, "30s", "Of the iptables mode.")
        .flag("iptables-sync-period")
        .nothing(),
    field("iptables.minSyncPeriod", Duration, "1s", "Of the iptables mode.")
        .flag("iptables-min-sync-period")
        .nothing(),
    field("nftables", Any, "", "Of the nftables mode.").nothing(),
    field(
        "featureGates",
        Gates,
        "",
        "kube-proxy's own, but for `AllowServiceExternalIPs: false`: it is `externalIPPolicy: Deny`, unless that says something.",
    )
        .flag("feature-gates")
        .nothing(),
    field("logging.flushFrequency", Any, "5s", "Every line is written at once.")
        .flag("log-flush-frequency")
        .nothing(),
    field("logging.options", Any, "", "kube-proxy's own.").nothing(),
    field(
        "logging.vmodule",
        Any,
        "",
        "By parts of kube-proxy's code; see `--log-level` of kube-ipvsd.",
    )
    .flag("vmodule")
    .nothing(),
    field("showHiddenMetricsForVersion", Text, "", "kube-proxy's own.")
        .flag("show-hidden-metrics-for-version")
        .nothing(),
    field("portRange", Text, "", "Unused in kube-proxy.").nothing(),
    field("winkernel", Any, "", "Of Windows.").nothing(),
    field("windowsRunAsService", Bool, "false", "Of Windows.").nothing(),
];

/// Fields that kube-proxy had and has no longer, and what is to be said about them.
pub(super) const RETIRED: &[(&str, &str)] = &[
    (
        "conntrack.max",
        "conntrack.maxPerCore and conntrack.min decide",
    ),
    (
        "resourceContainer",
        "the cgroup is left to what starts the daemon",
    ),
    ("udpIdleTimeout", "it was for the userspace mode"),
];

//! The meaning of each finding, and the action to take.

#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use model::Code;

/// A code, what it means and what to do, in one paragraph.
#[must_use]
pub fn explain(code: Code) -> String {
    format!(
        "{code} {}: {}\n\n{}\n",
        code.level(),
        title(code),
        meaning(code)
    )
}

/// The page `docs/reference/findings.md`.
#[must_use]
pub fn reference() -> String {
    let mut page = "# Findings\n\n\
        <!-- Made from the program's own texts; `BLESS=1 cargo test -p ipvsctl docs_are_current` writes it anew. -->\n\n\
        What `ipvsctl analyze` prints, what `ipvsctl render` and `ipvsctl diff` say on standard error, and what `kube-ipvsd` logs. A finding \
        stops nothing: the rest of the cluster is programmed as if its object were not there, or as the finding says. \
        **error**: something that was asked for is not there. **warning**: something does not do what its author meant. \
        **info**: all is as asked, and worth knowing when something looks odd.\n"
        .to_owned();
    for code in Code::ALL {
        let _ = write!(
            page,
            "\n## {code}: {}\n\nLevel {}. {}\n",
            title(code),
            code.level(),
            meaning(code)
        );
    }
    page
}

fn title(code: Code) -> &'static str {
    match code {
        Code::InvalidServiceAddress => "a Service's address cannot be served",
        Code::InvalidServicePort => "a Service's port cannot be served",
        Code::InvalidEndpointAddress => "an endpoint's address cannot be used",
        Code::InvalidEndpointPort => "an endpoint port cannot be used",
        Code::InvalidSourceRange => "a source range is no network",
        Code::NoSourceRangeOfFamily => "no source range is of a family",
        Code::OwnAddress => "an external address is this node's own",
        Code::OtherNodesAddress => "an external address is another node's",
        Code::ProtectedAddress => "an external address is protected",
        Code::ExternalIpNotAllowed => "an external address is not allowed",
        Code::NoLocalEndpoints => "a policy is Local, and no endpoint is on this node",
        Code::NoHealthCheck => "a load balancer cannot ask this node",
        Code::NoNodePortAddress => "the node has no address for node ports",
        Code::UnusableSlice => "a slice is of no use to a node",
        Code::InvalidScheduler => "a Service names a scheduler that it cannot choose",
        Code::ApiServerAddress => "a Service asks for an address of the API server",
        Code::HostPort => "a Service asks for a port that the node needs",
        Code::ServiceLimit => "a Service is over a limit",
        Code::UndecodableObject => "an object cannot be decoded",
        Code::NoSlices => "no slice belongs to a Service",
        Code::NoReadyEndpoint => "no endpoint of a Service is ready",
        Code::PortNotOffered => "no slice has a port of the Service's name",
        Code::NoEndpointOfFamily => "a Service has no endpoint of a family",
        Code::OtherFamilyAddress => "an address is of a family that the Service does not have",
        Code::OtherNodesBalancer => "a load-balancer address is another node's",
        Code::SeveralAddresses => "an endpoint has several addresses",
        Code::UnlabelledSlice => "a slice lacks the label that names its Service",
        Code::ServiceClash => "two Services want the same address and port",
        Code::HealthCheckClash => "two Services want the same health-check port",
        Code::ForeignVirtualServer => "a virtual server belongs to another program",
        Code::UnknownNode => "no Node has this node's name",
        Code::NoLocalDetection => "this node's pods cannot be told from others",
        Code::IdleTcpForgotten => "idle TCP connections are forgotten before their keepalive",
        Code::UdpTrackedTooBriefly => "UDP flows are tracked for less time than IPVS keeps them",
        Code::OtherModesLeftovers => "kube-proxy left something of another mode",
        Code::InputDrops => "INPUT drops packets to Services",
        Code::NotTracked => "packets to a Service are not tracked",
        Code::MissingFamily => "the node lacks a family",
        Code::InputMayDrop => "INPUT drops packets to Services that no other rule accepts",
        Code::SecondProxy => "another program writes this node's tables",
        Code::ShrunkList => "a list lacks most of the known objects",
    }
}

fn meaning(code: Code) -> &'static str {
    match code {
        Code::InvalidServiceAddress => {
            "The text is no IP address, or it is one that would take the node apart on kube-ipvs0: unspecified, \
             loopback, multicast or broadcast. The Service is served at its other addresses. Correct the field; what \
             writes `status.loadBalancer` is the load balancer's controller."
        }
        Code::InvalidServicePort => {
            "Port and node port are 1 to 65535, the protocol is TCP, UDP or SCTP. An API server admits nothing else: \
             look at where the object comes from. The Service's other ports are served."
        }
        Code::InvalidEndpointAddress => {
            "The text is no IP address, is not of the slice's addressType, or is one that the kernel takes for no real \
             server: unspecified, multicast, broadcast, IPv6 link-local. The other endpoints are used. EndpointSlices \
             without a selector are written by hand or by a controller of yours: correct it there."
        }
        Code::InvalidEndpointPort => {
            "A slice's port needs a name (it may be empty), a number and a protocol that a Service can have. Without a \
             number a slice means all ports, which no node can serve."
        }
        Code::InvalidSourceRange => {
            "It should read like 192.0.2.0/24. An empty text, several ranges in one text and an address without a length are none. It \
             admits no client, and the Service stays closed to all that no other range admits (deviation D11): a typing mistake must \
             not open a Service."
        }
        Code::NoSourceRangeOfFamily => {
            "The Service has source ranges of one family alone and a load-balancer address of the other one. kube-proxy \
             restricts no client there; kube-ipvs admits none (deviation D11). Add a range of that family; `::/0` or `0.0.0.0/0` \
             admits all clients of its family."
        }
        Code::OwnAddress => {
            "An address of an interface of this node, or of its Node object. It is served, but not bound to kube-ipvs0 and not \
             in KUBE-IPVS-IPS, so that the node's other ports stay open there (deviation D8). Usual with load balancers that \
             hand out nodes' addresses, such as k3s' servicelb."
        }
        Code::OtherNodesAddress => {
            "Bound here, it would cut this node off from that one: with kube-proxy such a Service takes a cluster down. \
             It is not served (deviation D8). Choose another address."
        }
        Code::ProtectedAddress => {
            "The address is inside `protectedCIDRs` of the configuration, and so neither bound nor served here: not even the \
             node's own connections to it are taken (deviation D8)."
        }
        Code::ExternalIpNotAllowed => {
            "`externalIPPolicy` is Deny, or it is AllowList and no network of `allowedExternalCIDRs` has the address \
             (deviation D9). Anybody who may create Services could otherwise claim any address (CVE-2020-8554)."
        }
        Code::NoLocalEndpoints => {
            "As the policy demands, connections from outside get no answer here; load balancers learn it by the \
             health-check node port. Pods and the node itself reach endpoints elsewhere, except by a cluster IP with \
             internalTrafficPolicy Local that has no other way in."
        }
        Code::NoHealthCheck => {
            "Type LoadBalancer with externalTrafficPolicy Local, and no usable `spec.healthCheckNodePort`. The API server \
             allocates one; a load balancer without it sends connections to nodes that drop them."
        }
        Code::NoNodePortAddress => {
            "No address of this node's interfaces is of that family and inside `nodePortAddresses`. With `ipvsctl render` and \
             `analyze` the addresses are those of `--node-state`, else those of the Node's status."
        }
        Code::UnusableSlice => {
            "`addressType: FQDN` is not for proxies: no program on the node resolves names. kube-proxy passes over such \
             slices, too."
        }
        Code::InvalidScheduler => {
            "The annotation kube-ipvs.io/scheduler holds the name of one of Linux's IPVS schedulers: dh, fo, lblc, lblcr, lc, mh, nq, \
             ovf, rr, sed, sh, twos, wlc, wrr. The scheduler of `ipvs.scheduler` is used instead. Another scheduler, of a module of \
             your own, is for that setting alone: its name becomes that of a kernel module to load, and who writes a Service is \
             not to choose that."
        }
        Code::ApiServerAddress => {
            "Bound to kube-ipvs0, the address would be the node's own, and the node could no longer reach the API server. So it is neither \
             bound nor served, whatever the port (deviation D22). The API server's addresses are those of the kubeconfig or of the pod's \
             environment, and the endpoints and cluster IPs of `default/kubernetes`, which alone is served there. Choose another address."
        }
        Code::HostPort => {
            "A virtual server at an address of this node takes the connections of the program that listens there. The port is not served at \
             the node's addresses; the Service's other ports are, and this port is at other addresses (deviation D22). A health \
             check is not answered there. Protected are the kubelet's port 10250, the ports of `healthzBindAddress` and `metricsBindAddress`, the API server's port on its own node, and \
             `protectedHostPorts`. Choose another port, or correct `protectedHostPorts`."
        }
        Code::ServiceLimit => {
            "One object must not fill the tables of every node. A Service over a limit of `serviceLimits` is served in part, as the finding \
             says; source ranges over the limit admit no client, and a virtual server keeps all of its real servers or is not served (deviation \
             D23). Split the Service, or raise the limit."
        }
        Code::UndecodableObject => {
            "A field that kube-ipvs reads has another type than Kubernetes' API gives it, or the object has no name, so that it means \
             nothing. What it said before stays in force until it can be decoded or is deleted; all other objects are served. Correct \
             the field. Fields that are not read, such as `managedFields`, may hold anything."
        }
        Code::NoSlices => {
            "Connections to its addresses are refused. With a selector the control plane makes slices, if no Pod matches then one \
             without endpoints: look at the endpointslice-controller of kube-controller-manager. Without a selector they are written by hand, \
             or by a controller of yours: a slice belongs to a Service by its label `kubernetes.io/service-name`, not by its own name."
        }
        Code::NoReadyEndpoint => {
            "Either the Service has no Pods, as when it is scaled to zero, or none passes its readiness probe. Where nothing is ready, \
             endpoints that terminate and still serve are used; without any, connections are refused."
        }
        Code::PortNotOffered => {
            "The port of a Service and that of a slice belong together by name and protocol, not by number; no name is a name too. \
             Slices by hand: write the Service's port name. Slices of the control plane lack a port where the container has none of the name \
             in `targetPort`."
        }
        Code::NoEndpointOfFamily => {
            "Endpoints serve the addresses of their own family alone. Either the Pods have no address of that family, or slices were written \
             for one family: add some of the other, or take the family out of the Service's `ipFamilies`."
        }
        Code::OtherFamilyAddress => {
            "A Service is served in the families of its cluster IPs alone, as with kube-proxy (k/k#97343). Make it dual-stack \
             (`ipFamilyPolicy: PreferDualStack`), or keep the address from being published."
        }
        Code::OtherNodesBalancer => {
            "As KIV0108, at an address of `status.loadBalancer`: it is not served here, and that node serves it as its own (KIV0107). Usual with \
             load balancers that hand out the addresses of all nodes, such as k3s' servicelb."
        }
        Code::SeveralAddresses => {
            "An endpoint is one Pod or host, and its other addresses get no traffic (KEP-752): write an endpoint for each. Said of the first \
             endpoint of a slice."
        }
        Code::UnlabelledSlice => {
            "A slice belongs to the Service that its label `kubernetes.io/service-name` names, in the slice's namespace. Without the label, \
             or with an empty one, it serves nothing, as with kube-proxy. In a slice by hand: add the label. Slices for other programs need \
             nothing: those of imported Services (KEP-1645) have the label `multicluster.kubernetes.io/service-name` alone. Up to 100 slices of \
             each namespace are reported, in the order of their names. Of slices with the label `service.kubernetes.io/headless` nothing is \
             reported: the API server is asked for all others."
        }
        Code::ServiceClash => {
            "The older Service has it (`creationTimestamp`; then namespace, name, port name), on every node alike \
             (deviation D3). When it goes, the other one takes over. With kube-proxy the winner is random."
        }
        Code::HealthCheckClash => {
            "The older Service is answered for (deviation D3). The API server does not allocate a port twice: one of the two was \
             written by hand."
        }
        Code::ForeignVirtualServer => {
            "It is at a key that a Service needs, and neither is its address on kube-ipvs0 nor did we make it: keepalived, or an \
             administrator (deviation D13). It is left alone, and the Service is not served there, until it is gone \
             (`ipvsadm -D -t ADDRESS:PORT`). A node port of the Service is served at the node's other addresses."
        }
        Code::UnknownNode => {
            "Endpoints say by a Node's name where they are; by this name none is here. Traffic policies Local find nothing, and \
             a pod cannot reach itself through a Service (k/k#134884). Give the Node's name by `hostnameOverride` or `--node-name`."
        }
        Code::IdleTcpForgotten => {
            "A connection through a Service lives as long as both IPVS and the connection tracker know it. \
             After that long without a packet it is forgotten, and its next packet is refused or lost. A \
             program that relies on the kernel's keepalive is safe only if that speaks earlier: raise \
             ipvs.tcpTimeout and conntrack.tcpEstablishedTimeout above net.ipv4.tcp_keepalive_time of the \
             pods, or lower that in the pods, or let the program send its own keepalives."
        }
        Code::UdpTrackedTooBriefly => {
            "A UDP flow must be known to IPVS and to the connection tracker; the shorter time counts. Set \
             conntrack.udpStreamTimeout to ipvs.udpTimeout or above where flows must last."
        }
        Code::ShrunkList => {
            "The API server, or the directory of manifests, delivered a complete list that lacks more than half of the objects that were \
             known (deviation D27): its storage was lost, a cache is still empty, or a directory is not mounted. Nothing is deleted unless \
             a second list lacks them too, after `deletionConfirmation`. If the objects were deleted on purpose, wait; else check the \
             source. Deletions that a watch reports one by one do not wait."
        }
        Code::OtherModesLeftovers => {
            "Rules of its iptables mode, a table of its nftables mode, or rules and sets of an old version. Some act on traffic: \
             iptables mode's `KUBE-SERVICES` of the table `filter` refuses Services that had no endpoints when it stopped, \
             and the table of nftables mode takes connections before IPVS sees them. Once kube-proxy no longer runs here, start \
             kube-ipvsd with `--remove-leftovers`: it deletes them after its first synchronisation. Chains to \
             which a chain of another program leads stay, and that one is named. `ipvsctl migrate check` lists them."
        }
        Code::InputDrops => {
            "IPVS stands behind INPUT of the packet filter, so INPUT sees every packet to a virtual address, also those to pods elsewhere. \
             kube-proxy in iptables mode is not affected: its packets are forwarded. With `acceptServedTraffic: true` kube-ipvsd accepts \
             packets to what it serves, after source ranges, in its own chain KUBE-NODE-PORT. Rules that stand before the jump to that \
             chain still decide. The finding names one virtual server of those whose packets are dropped for certain; rules of nftables \
             itself, as of firewalld, are not read."
        }
        Code::InputMayDrop => {
            "As KIV0406, but an earlier rule accepts some of these packets by their source, interface, mark, or by a condition that \
             kube-ipvsd does not understand. It is as it should be where the rules of INPUT are to decide which clients reach Services."
        }
        Code::NotTracked => {
            "The rule is in the table `raw`. IPVS needs connection tracking to masquerade; without it answers to the node itself, and to \
             clients of other nodes, are lost. Usual with nodelocaldns when it is told the address of the cluster DNS: in ipvs mode it listens at \
             its link-local address alone (169.254.20.10), to which kubelet's `clusterDNS` then points."
        }
        Code::MissingFamily => {
            "kube-ipvsd serves the other family alone: dual-stack Services in part, and Services of the missing family not at all, without a \
             finding about each. It looks again at each audit, `ipvs.syncPeriod`. Missing is a family that is disabled \
             (`net.ipv6.conf.all.disable_ipv6`), that the kernel or IPVS lacks, or for which the packet filter has no table `nat` or no \
             programs. In a cluster without that family nothing is to be done."
        }
        Code::SecondProxy => {
            "Most likely a kube-proxy that started after kube-ipvsd: `kubeadm upgrade` brings one back. It and kube-ipvsd undo each other's work: \
             Services fail for up to `ipvs.syncPeriod` at a time. kube-ipvsd goes on serving, and repairs at the rate of its audits. The finding names \
             the sign: a proxy that answers at kube-proxy's health or metrics port; a process kube-proxy; table kube-proxy of nftables mode, created \
             since kube-ipvsd started; or repairs of kube-ipvsd's own entries in audits that follow each other. Keep kube-proxy away as the section \
             \"Keep kube-proxy away\" of operations.md says for each distribution, and do not run its `--cleanup`. Where no kube-proxy runs, the log \
             lines `repairing drift` name the entries: stop the program that changes them. The finding clears 5 minutes after the last sign."
        }
        Code::NoLocalDetection => {
            "`detectLocalMode: NodeCIDR` reads the Node's podCIDRs, and there are none (yet). Until then only the node's own \
             connections to cluster IPs are masqueraded."
        }
    }
}

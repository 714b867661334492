//! Explanations of findings: meaning, consequence and what to do.

#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use model::Code;

/// Returns the explanation of a code in one paragraph.
#[must_use]
pub fn explain(code: Code) -> String {
    format!(
        "{code} {}: {}\n\n{}\n",
        code.level(),
        title(code),
        meaning(code)
    )
}

/// Returns the page `docs/reference/findings.md`.
#[must_use]
pub fn reference() -> String {
    let mut page = "# Findings\n\n\
        <!-- Generated from the program's texts by `BLESS=1 cargo test -p ipvsctl docs_are_current`. -->\n\n\
        Findings are problems of objects and of the node. `ipvsctl analyze` prints them, `ipvsctl render` and \
        `ipvsctl diff` print them on standard error, and `kube-ipvsd` logs them. A finding stops nothing: all other \
        objects are served as usual.\n\n\
        | level | meaning |\n|---|---|\n\
        | error | a part of the input is not served |\n\
        | warning | an object behaves in another way than its author meant |\n\
        | info | the node does what the objects ask for; useful when something looks wrong |\n"
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

/// Returns what a code means, in a few words.
#[must_use]
pub fn title(code: Code) -> &'static str {
    match code {
        Code::InvalidServiceAddress => "an address of a Service cannot be served",
        Code::InvalidServicePort => "a port of a Service cannot be served",
        Code::InvalidEndpointAddress => "an address of an endpoint cannot be used",
        Code::InvalidEndpointPort => "a port of an EndpointSlice cannot be used",
        Code::InvalidSourceRange => "a source range is not a network",
        Code::NoSourceRangeOfFamily => "a Service has no source range of a family",
        Code::OwnAddress => "an external address belongs to this node",
        Code::OtherNodesAddress => "an external address belongs to another node",
        Code::ProtectedAddress => "an external address is protected",
        Code::ExternalIpNotAllowed => "an external address is not allowed",
        Code::NoLocalEndpoints => "a traffic policy is Local, and no endpoint is on this node",
        Code::NoHealthCheck => "a load balancer cannot check this node",
        Code::NoNodePortAddress => "the node has no address for node ports",
        Code::UnusableSlice => "a slice has an address type that nodes cannot use",
        Code::InvalidScheduler => "a Service names a scheduler that it may not choose",
        Code::ApiServerAddress => "an address of a Service belongs to the API server",
        Code::HostPort => "a port of a Service is protected on this node",
        Code::ServiceLimit => "a Service exceeds a limit",
        Code::UndecodableObject => "an object cannot be decoded",
        Code::NoSlices => "a Service has no slices",
        Code::NoReadyEndpoint => "a Service has no ready endpoint",
        Code::PortNotOffered => "no slice has a port of this name",
        Code::NoEndpointOfFamily => "a Service has no endpoint of a family",
        Code::OtherFamilyAddress => "the Service has no cluster IP of the family of an address",
        Code::OtherNodesBalancer => "a load-balancer address belongs to another node",
        Code::SeveralAddresses => "an endpoint has several addresses",
        Code::UnlabelledSlice => "a slice lacks the label that names its Service",
        Code::InvalidPolicy => "a field of a policy is unknown or invalid",
        Code::PolicyNotAllowed => "a Service may not set a field of its policy",
        Code::PolicyWithoutEffect => "a field of a policy has no effect",
        Code::EndpointNotChecked => "an endpoint cannot be probed for a health check",
        Code::EndpointFailed => "an endpoint fails its health check",
        Code::HealthCheckPanic => "too many endpoints fail their health check",
        Code::ForwardingNotUsed => "endpoints cannot get packets that keep the virtual address",
        Code::InvalidVirtualServer => "a VirtualServer cannot be programmed",
        Code::InvalidRealServer => "a real server of a VirtualServer cannot be programmed",
        Code::NoRealServer => "a VirtualServer has no real server for new connections",
        Code::PortHasNoEffect => "the port of a real server has no effect",
        Code::ServiceClash => "two Services claim the same address and port",
        Code::HealthCheckClash => "two Services claim the same health-check node port",
        Code::ForeignVirtualServer => "a virtual server belongs to another program",
        Code::UnknownNode => "no Node has the name of this node",
        Code::NoLocalDetection => "pods of this node cannot be distinguished from others",
        Code::IdleTcpForgotten => "idle TCP connections expire before their keepalive",
        Code::UdpTrackedTooBriefly => "UDP flows expire in the connection tracker before IPVS",
        Code::OtherModesLeftovers => "leftovers of another mode of kube-proxy",
        Code::InputDrops => "INPUT drops packets to Services",
        Code::NotTracked => "packets to a Service are not tracked",
        Code::MissingFamily => "the node lacks an address family",
        Code::InputMayDrop => "INPUT drops packets to Services that no earlier rule accepts",
        Code::SecondProxy => "another program writes the tables of this node",
        Code::ShrunkList => "a list lacks most of the known objects",
    }
}

fn meaning(code: Code) -> &'static str {
    match code {
        Code::InvalidServiceAddress => {
            "The text is not an IP address, or the address would break the node's networking if it were on kube-ipvs0: \
             unspecified, loopback, multicast or broadcast. The Service is served at its other addresses. Correct the \
             field. `status.loadBalancer` is written by the controller of the load balancer: correct it there."
        }
        Code::InvalidServicePort => {
            "Ports and node ports must be from 1 to 65535, and the protocol must be TCP, UDP or SCTP. The other ports of \
             the Service are served. The API server rejects such Services: check the source of the object."
        }
        Code::InvalidEndpointAddress => {
            "The text is not an IP address, the address is not of the slice's addressType, or the kernel does not accept \
             it as a real server: unspecified, multicast, broadcast, IPv6 link-local. The other endpoints are used. \
             Correct the slice. Slices of Services without a selector are written by hand or by your own controller."
        }
        Code::InvalidEndpointPort => {
            "A port of a slice needs a name (it may be empty), a number and a protocol: TCP, UDP or SCTP. A port without \
             a number means all ports, which a node cannot serve. The other ports of the slice are used. Correct the slice."
        }
        Code::InvalidSourceRange => {
            "A source range must be one network such as 192.0.2.0/24. An empty text, several networks in one text, and an \
             address without a prefix length are invalid. An invalid range admits no client, so that a typing error does \
             not open the Service (deviation D11). The other ranges of the Service are used. Correct the field."
        }
        Code::NoSourceRangeOfFamily => {
            "The Service has source ranges of only one family, and a load-balancer address of the other family. \
             kube-ipvs admits no client at this address; kube-proxy admits all (deviation D11). Add a range of the \
             missing family: `::/0` or `0.0.0.0/0` admits all clients."
        }
        Code::OwnAddress => {
            "The address is on an interface of this node or in the status of its Node. It is served, but not bound to \
             kube-ipvs0 and not in the set KUBE-IPVS-IPS, so that the other ports of the node stay reachable (deviation \
             D8). This is usual with load balancers that publish addresses of nodes, such as k3s' servicelb."
        }
        Code::OtherNodesAddress => {
            "Bound to this node, the address would cut this node off from the other one. With kube-proxy such a Service \
             breaks the cluster. The address is not served (deviation D8). Choose another address."
        }
        Code::ProtectedAddress => {
            "The address is inside `protectedCIDRs` of the configuration. It is neither bound nor served, and connections \
             of the node itself to it are not redirected (deviation D8). Choose another address, or change `protectedCIDRs`."
        }
        Code::ExternalIpNotAllowed => {
            "`externalIPPolicy` is Deny, or it is AllowList and no network of `allowedExternalCIDRs` contains the address. \
             The address is not served (deviation D9). Without this policy every author of Services could claim any \
             address (CVE-2020-8554). Remove the address, or allow its network."
        }
        Code::NoLocalEndpoints => {
            "Connections from outside get no answer at this node, as the policy demands. Load balancers detect this at the \
             health-check node port. Pods and the node itself still reach endpoints on other nodes, except by a cluster IP \
             with internalTrafficPolicy Local of a Service that is not reachable from outside."
        }
        Code::NoHealthCheck => {
            "The Service has type LoadBalancer and externalTrafficPolicy Local, but no usable `spec.healthCheckNodePort`. \
             A load balancer without it sends connections to nodes that drop them. The API server allocates a port: check \
             the source of the object."
        }
        Code::NoNodePortAddress => {
            "No interface of this node has an address of this family inside `nodePortAddresses`. Node ports are not served \
             in this family. Change `nodePortAddresses`, or add an address. `ipvsctl render` and `analyze` use the \
             addresses of `--node-state`, or else those of the Node's status."
        }
        Code::UnusableSlice => {
            "Slices with `addressType: FQDN` are ignored, as in kube-proxy: no program on the node resolves names. Use \
             addressType IPv4 or IPv6."
        }
        Code::InvalidScheduler => {
            "The annotation kube-ipvs.io/scheduler must be one of Linux's IPVS schedulers: dh, fo, lblc, lblcr, lc, mh, nq, \
             ovf, rr, sed, sh, twos, wlc, wrr. The scheduler of `servicePolicies` or `ipvs.scheduler` is used instead. \
             Only `ipvs.scheduler` accepts the scheduler of another kernel module: its name selects a module to load, and authors of Services \
             must not choose modules."
        }
        Code::ApiServerAddress => {
            "Bound to kube-ipvs0 the address would belong to this node, which could no longer reach the API server. It is \
             neither bound nor served at any port (deviation D22). Addresses of the API server are those of the \
             kubeconfig or of the pod's environment, and the endpoints and cluster IPs of `default/kubernetes`, the only \
             Service that is served at them. Choose another address."
        }
        Code::HostPort => {
            "A virtual server at this port would take connections of a program of the node. The port is not served at the \
             addresses of the node, and a health check at it is not answered. The Service's other ports, and this port at \
             other addresses, are served (deviation D22). Protected are: the kubelet's port 10250, the ports of \
             `healthzBindAddress` and `metricsBindAddress`, the port of the API server on its own node, and \
             `protectedHostPorts`. Choose another port, or change `protectedHostPorts`."
        }
        Code::ServiceLimit => {
            "Limits prevent that one object fills the tables of every node (deviation D23). The Service is served in part, \
             as the finding says. Source ranges over the limit admit no client. A virtual server has all of its real \
             servers or is not served. Split the Service, or raise the limit in `serviceLimits`."
        }
        Code::UndecodableObject => {
            "A field that kube-ipvs reads has another type than in the Kubernetes API, or the object has no name. The last \
             decoded version of the object stays in force until the object can be decoded or is deleted. All other objects \
             are served. Correct the field. Fields that kube-ipvs does not read, such as `managedFields`, are not checked."
        }
        Code::NoSlices => {
            "Connections to the Service are refused. If it has a selector, the control plane writes its slices, with no \
             endpoints if no Pod matches: check the endpointslice-controller of kube-controller-manager. If it has no \
             selector, you or your controller must write slices with the Service's name in the label \
             `kubernetes.io/service-name`; the name of a slice does not matter."
        }
        Code::NoReadyEndpoint => {
            "The Service has no Pods, for example because it is scaled to zero, or no Pod passes its readiness probe. \
             Connections go to endpoints that terminate and still serve; without such endpoints they are refused. Check \
             the Pods of the Service."
        }
        Code::PortNotOffered => {
            "Ports of a Service and of a slice match by name and protocol, not by number. No name matches only no name. \
             Connections to this port are refused. In slices that you write, use the port name of the Service. Slices of \
             the control plane lack a port if no container has a port with the name in `targetPort`."
        }
        Code::NoEndpointOfFamily => {
            "Endpoints serve only addresses of their own family. Connections to addresses of this family are refused. \
             Either the Pods have no address of the family, or the slices were written for one family. Add endpoints of \
             the family, or remove the family from the Service's `ipFamilies`."
        }
        Code::OtherFamilyAddress => {
            "A Service is served only in the families of its cluster IPs, as in kube-proxy (k/k#97343). The address is not \
             served. Make the Service dual-stack (`ipFamilyPolicy: PreferDualStack`), or remove the address."
        }
        Code::OtherNodesBalancer => {
            "As KIV0108, for an address of `status.loadBalancer`. It is not served on this node; the other node serves it \
             as its own (KIV0107). This is usual with load balancers that publish addresses of all nodes, such as k3s' \
             servicelb."
        }
        Code::SeveralAddresses => {
            "An endpoint is one Pod or host. Only its first address gets traffic (KEP-752). Write one endpoint for each \
             address. The finding names the first such endpoint of a slice."
        }
        Code::UnlabelledSlice => {
            "A slice belongs to the Service in its label `kubernetes.io/service-name`, in the namespace of the slice. \
             Without the label, or with an empty one, the slice is ignored, as in kube-proxy. If you write the slice, add \
             the label. Slices for other programs need no change: slices of imported Services (KEP-1645) have only the \
             label `multicluster.kubernetes.io/service-name`. At most 100 slices of each namespace are reported, in the \
             order of their names. Slices with the label `service.kubernetes.io/headless` are never reported, since they \
             are not read from the API server."
        }
        Code::InvalidPolicy => {
            "An annotation that begins with `kube-ipvs.io/` sets a field of the Service's policy, and this one is unknown, or \
             its value cannot be read. The value that the finding names is used, as for a Service without the annotation. \
             Correct the annotation. `docs/reference/policy.md` describes the fields and their values."
        }
        Code::PolicyNotAllowed => {
            "`allowedAnnotations` of the configuration lists the fields of its policy that a Service may set. The annotation \
             has no effect. Remove it, or ask the administrator to allow the field, or to set it in `servicePolicies`."
        }
        Code::PolicyWithoutEffect => {
            "The field is valid, and changes nothing beside the rest of the Service: weights with a scheduler that does not \
             use them, flags of another scheduler, an affinity prefix without `sessionAffinity: ClientIP`, one packet \
             scheduling without a UDP port, a forwarding method without external or load-balancer addresses. Change the other field, or remove the annotation."
        }
        Code::EndpointNotChecked => {
            "The Service has a health check, and an endpoint is outside `healthChecks.networks` of the configuration, which \
             lists the only addresses that this node may probe. Without a network health checks are off. Or the check has \
             `verify=NAME`, and `healthChecks.authorities` has no NAME. The endpoint is not probed and counts as healthy. \
             Add the network of the pods or the authority, or remove the health check. For a VirtualServer, which may probe \
             any address: the real server has no port of the probe's protocol, and the check has no `port`. Add it."
        }
        Code::EndpointFailed => {
            "This node probed the endpoint, and as many probes in a row as `fall` of the health check failed. The finding names \
             the last error. Other nodes probe for themselves: if they reach the endpoint, look at the network of this node. \
             `/healthchecks` of kube-ipvsd shows all endpoints that are probed. The finding is cleared when as many probes in \
             a row as `rise` succeed."
        }
        Code::HealthCheckPanic => {
            "More of the endpoints that get connections fail than `panicThreshold` of the health check allows, so that all \
             endpoints are used: the check itself, or the network of this node, may be at fault. Compare with other nodes, \
             and look at the errors of the endpoints."
        }
        Code::ForwardingNotUsed => {
            "The policy asks for direct routing or a tunnel, and an endpoint on another host cannot get packets that are not \
             rewritten: it listens at another port than the Service's, which the kernel cannot change in such packets, or it \
             has an address of a Node, whose own kube-ipvsd has the virtual address too and would balance the packets again. \
             The packets of an address are masqueraded all alike, so that one such endpoint decides for the port. The \
             Service is served as without the field. Let the endpoints listen at the Service's port, at addresses of their own."
        }
        Code::InvalidVirtualServer => {
            "The kernel refuses the setting, or it would accept it and handle no packet, or the address would break the \
             node's networking if it were on kube-ipvs0. The virtual server is not programmed. Correct the field. \
             `docs/reference/virtualserver.md` describes the fields."
        }
        Code::InvalidRealServer => {
            "The kernel refuses the setting, or it would accept it and send packets nowhere. The other real servers of the \
             VirtualServer are used. Correct the field."
        }
        Code::NoRealServer => {
            "The virtual server refuses new connections: it has no usable real server, or each has weight 0. This is usual \
             while all real servers are drained for maintenance."
        }
        Code::PortHasNoEffect => {
            "With direct routing and tunnels the packets keep their port, so the real server must listen at the virtual \
             port. Write the virtual port, or omit the port. To change ports use `forwarding: masquerade`."
        }
        Code::ServiceClash => {
            "The older Service is served, on all nodes alike (deviation D3). The order is: `creationTimestamp`, namespace, \
             name, port name. If the older Service is deleted, the other one is served. With kube-proxy the winner is \
             random. VirtualServers precede all Services, and each other by namespace and name. \
             Change one of the two objects."
        }
        Code::HealthCheckClash => {
            "The health check answers for the older Service (deviation D3). The API server does not allocate a port twice, \
             so one of the two was set by hand. Change it."
        }
        Code::ForeignVirtualServer => {
            "A virtual server exists at this address and port that kube-ipvs did not create, and its address is not on \
             kube-ipvs0: it belongs to another program such as keepalived, or to an administrator (deviation D13). It is \
             never changed. The Service is not served there until the virtual server is deleted \
             (`ipvsadm -D -t ADDRESS:PORT`). A node port is served at the other addresses of the node."
        }
        Code::UnknownNode => {
            "Endpoints name their Node, and no Node object has the name of this node. Traffic policies Local find no \
             endpoint, and a pod cannot reach itself through a Service (k/k#134884). Set the name of the Node with \
             `hostnameOverride` or `--node-name`."
        }
        Code::IdleTcpForgotten => {
            "A connection through a Service needs its entries in IPVS and in the connection tracker. After this time \
             without a packet an entry expires, and the next packet is refused or lost. TCP keepalive of the kernel helps \
             only if it starts earlier. Set `ipvs.tcpTimeout: matchKeepalive`: the timeout follows the node's keepalive \
             settings, is never too short for pods with the kernel's values, and raises \
             `conntrack.tcpEstablishedTimeout` unless that is 0. Pods have settings of their own: where they set a longer \
             net.ipv4.tcp_keepalive_time, set a time above it. Or lower net.ipv4.tcp_keepalive_time in the pods, or let \
             the program send its own keepalives."
        }
        Code::UdpTrackedTooBriefly => {
            "A UDP flow needs its entries in IPVS and in the connection tracker. It ends after the shorter timeout. If \
             flows must last, set conntrack.udpStreamTimeout to ipvs.udpTimeout or above."
        }
        Code::ShrunkList => {
            "The API server, or the directory of manifests, delivered a complete list that lacks more than half of the \
             known objects. Possible causes are lost storage, an empty cache, or a directory that is not mounted. Nothing \
             is deleted unless a second list after `deletionConfirmation` lacks the objects too (deviation D27). If the \
             objects were deleted on purpose, wait; otherwise check the source. Deletions that a watch reports one by one \
             are not delayed."
        }
        Code::OtherModesLeftovers => {
            "kube-proxy left rules of its iptables mode, a table of its nftables mode, or rules and sets of an old \
             version. Some affect traffic: chain `KUBE-SERVICES` of table `filter` refuses Services that had no endpoints \
             when kube-proxy stopped, and the table of nftables mode redirects connections before IPVS. Stop kube-proxy on \
             this node, then start kube-ipvsd with `--remove-leftovers`, which deletes them after its first sync. Chains to \
             which a chain of another program jumps stay, and are named. `ipvsctl migrate check` lists the leftovers."
        }
        Code::InputDrops => {
            "All packets to virtual addresses pass chain INPUT of the packet filter before IPVS, even if their pod is on \
             another node. In iptables mode of kube-proxy these packets are forwarded and do not pass INPUT. With \
             `acceptServedTraffic: true` kube-ipvsd accepts packets to served addresses in its chain KUBE-NODE-PORT, after \
             source ranges. Rules before the jump to that chain still decide. The finding names one virtual server whose \
             packets are certainly dropped. Rules of nftables itself, for example of firewalld, are not read."
        }
        Code::InputMayDrop => {
            "As KIV0406, but an earlier rule accepts some of these packets by their source, interface or mark, or by a \
             condition that kube-ipvsd cannot evaluate. Nothing is to be done if rules of INPUT are meant to select the \
             clients of Services."
        }
        Code::NotTracked => {
            "A rule in table `raw` excludes the packets from connection tracking, which IPVS needs to masquerade. Answers \
             to the node itself, and to clients of other nodes, are lost. Delete the rule. A usual cause is nodelocaldns \
             that listens at the address of the cluster DNS. In ipvs mode it must listen only at its link-local address \
             (169.254.20.10), with kubelet's `clusterDNS` set to that address."
        }
        Code::MissingFamily => {
            "kube-ipvsd serves only the other family: dual-stack Services in part, and Services of the missing family not \
             at all, without a finding for each. It checks again at each audit, `ipvs.syncPeriod`. A family is missing if \
             it is disabled (`net.ipv6.conf.all.disable_ipv6`), if the kernel or IPVS lacks it, or if the packet filter \
             has no table `nat` or no programs for it. In a cluster without this family nothing is to be done."
        }
        Code::SecondProxy => {
            "The other program is most likely a kube-proxy that started after kube-ipvsd; `kubeadm upgrade` reinstalls it. \
             Both undo each other's changes, so that Services fail for up to `ipvs.syncPeriod` at a time. kube-ipvsd keeps \
             serving and repairs its entries at each audit. The finding names the sign: a proxy that answers at the health \
             or metrics port of kube-proxy; a process kube-proxy; table kube-proxy of nftables mode, created after \
             kube-ipvsd started; or repairs of our entries in consecutive audits. Keep kube-proxy off the node as \
             docs/keep-kube-proxy-away.md describes, and do not run its `--cleanup`. If no kube-proxy runs, \
             the log lines `repairing drift` name the entries: stop the program that changes them. The finding clears 5 \
             minutes after the last sign."
        }
        Code::NoLocalDetection => {
            "`detectLocalMode: NodeCIDR` needs podCIDRs of the Node, which it does not have (yet). Until then only \
             connections of the node itself to cluster IPs are masqueraded. Wait until the control plane assigns podCIDRs, \
             or choose another `detectLocalMode`."
        }
    }
}

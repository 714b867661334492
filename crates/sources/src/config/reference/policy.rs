//! The fields of a policy as a page of documentation.

use std::fmt::Write as _;

use model::policy::{PREFIX, PolicyField};

const HEAD: &str = "\
# Policy of a Service

<!-- Made from the table of fields; `BLESS=1 cargo test -p sources docs_are_current` writes it anew. -->

A policy says about the traffic of a Service what Kubernetes has no field for: which share each endpoint
gets, how many connections it may have, how long it drains. A Service without a policy is served as by
kube-proxy.

The author of a Service writes annotations:

```yaml
apiVersion: v1
kind: Service
metadata:
  name: web
  annotations:
    kube-ipvs.io/scheduler: wrr
    kube-ipvs.io/weights: node/gpu-*=10, zone/eu-1a=3, default=1
    kube-ipvs.io/connection-limits: upper=500
```

The administrator gives policies to Services by namespace and label, in a file of kind
KubeIpvsConfiguration ([configuration](config.md)):

```yaml
apiVersion: kube-ipvs.io/v1alpha1
kind: KubeIpvsConfiguration
allowedAnnotations: [scheduler, weights, connectionLimits]
servicePolicies:
  - name: near-first
    namespaces: [shop, team-*]
    selector:
      matchLabels: {tier: frontend}
      matchExpressions:
        - {key: legacy, operator: DoesNotExist}
    policy:
      scheduler: wlc
      locality: {node: 100, zone: 10, other: 1}
      drainTimeout: 2m
```

* Each field has its value from the first of these that sets it: the annotation, if `allowedAnnotations`
  has the field; the first policy of `servicePolicies` that selects the Service; the node's configuration.
  Later policies that would select the Service too are not read for it.
* All conditions of a policy must hold. `namespaces` are patterns (`*` is any text, `?` one character), of
  which one must match. `selector` is a label selector as in Kubernetes. Without one of them the policy
  selects every Service.
* A mistake in an annotation is a finding (KIV0115, KIV0128 to KIV0130) that names the value that is used
  instead; the Service is served as without the annotation. A mistake in the configuration is an error of
  the file, and the configuration in force stays.
* A change takes effect at once and closes no connection; one of `affinityScope` waits for connections
  ([below](#one-endpoint-at-every-port)). If `servicePolicies` begin to read another
  label, the Services are listed again, and those that it selects follow within seconds.
* `ipvsctl explain svc NAMESPACE/NAME` shows each value and its origin.
* A VirtualServer has the fields `drainTimeout`, `udpDrainTimeout`, `healthCheck` and `connectionLimits` with
  the same values, and fields of its own for the other settings ([VirtualServer](virtualserver.md)).

## Fields

In an annotation, items are separated by commas. A file may hold a list or a mapping instead.

| field | annotation | values | meaning |
|---|---|---|---|
";

const TAIL: &str = r#"
## Which endpoint gets a connection

A weight is a share: with the scheduler `wrr` an endpoint with weight 3 gets three times as many
connections as one with weight 1. The weight in the kernel is the product of `weights` and `locality`.

| scheduler | effect of the weight |
|---|---|
| `wrr` | share of new connections |
| `wlc`, `sed`, `nq` | share of the connections that exist at a time |
| `sh`, `mh` | share of the clients' addresses, with `*-port` of their addresses and ports |
| `fo` | the endpoint with the greatest weight gets every connection |
| `ovf` | the endpoint with the greatest weight, until it has as many connections as its weight |
| `twos` | share of the choices of two endpoints, of which the one with less load gets the connection |
| `lblc`, `lblcr` | the load at which a client's endpoint counts as overloaded |
| `rr`, `lc`, `dh` | none, except that weight 0 leaves an endpoint out |

Locality prefers endpoints, and excludes none for good: factors that would leave every endpoint with
weight 0 are ignored. Weights do exclude: with `default=0` and no other endpoint, new connections are
refused. Traffic policies and topology hints come first: they choose the endpoints, and weights and
locality distribute connections among these.

Recipes:

* *This node first, others if its endpoints are full or gone*: `scheduler: fo`,
  `locality: node=100, zone=10`, `connection-limits: upper=500`. Among endpoints of equal weight `fo` takes
  the first one; use `wlc` or `wrr` with the same locality for a share of 100:10:1 instead.
* *A canary*: `scheduler: wrr`, `weights: node/canary-*=1, default=19` gives it 5 %.
* *An endpoint to be emptied*: `weights: 10.1.2.3=0`. It keeps its connections.

## One endpoint at every port

With `sessionAffinity: ClientIP` each port of a Service has an affinity of its own, as in kube-proxy: a
client may reach one endpoint at port 80 and another at port 443. With `affinityScope: service` the ports
of one protocol share one virtual server, and a client gets the same endpoint at all of them.

```yaml
kube-ipvs.io/affinity-scope: service
```

* It acts at cluster IPs, external and load-balancer addresses that are on kube-ipvs0. Node ports and
  addresses of an interface of the node keep an affinity for each port.
* Each endpoint must have the port number of the Service: `port: 443` needs `targetPort: 443`. All ports of
  the protocol must have the same endpoints.
* TCP, UDP and SCTP have an affinity each: a client may reach different endpoints over TCP and UDP.
* An address that several Services share: the Service that has won all its ports there may have the shared
  affinity; of two that ask for it, the older one.
* Where it cannot act, each port has an affinity of its own, as without the field, and a finding names the
  port or the other object (KIV0130).
* An endpoint that fails its health check at one port gets no new clients at any; its weight is the smallest
  of its ports. If no endpoint would be left, the greatest weights are used.
* Only the ports of the Service are served from outside the node, as before. A connection of the node itself
  does not pass the rules that refuse other ports: it reaches the same port of an endpoint, which refuses it
  unless a program listens there.
* The virtual server in the kernel has port 0: `ipvsctl`, metrics and logs name it by the Service without a
  port. `connectionLimits` count the connections of all its ports.
* After a change of the scope the affinity of each client begins anew. TCP connections stay. From `port` to
  `service`, a port follows once it has no connection, at the latest after `drainTimeout`, which ends the
  connections that are left; until then it has an affinity of its own. From `service` to `port`, new
  connections follow at once, and existing ones drain within `drainTimeout`. UDP flows and SCTP associations
  may move to another endpoint.

## Health checks

Kubernetes decides with readiness probes, made by the kubelet of the endpoint's node, whether an endpoint
is ready. A health check is a second opinion: each node probes by itself the endpoints that its virtual
servers use, so that it also sees a broken path to them, and acts within seconds while the control plane is
away. It never makes an endpoint used that is not ready.

* Health checks are off until the administrator lists networks of pods in `healthChecks.networks`. An
  endpoint outside them is not probed and counts as healthy (KIV0131). Authors of Services may set the
  annotation only if `allowedAnnotations` has `healthCheck`, which its default has not
  ([why](../security.md#a-tenant-who-can-write-services)).
* The types of probes, with what counts as success:

  | type | success |
  |---|---|
  | `tcp` | a connection is accepted; it is reset at once |
  | `http` | the answer to `GET` of HTTP/1.1 has a status in `status`; redirects are not followed |
  | `https` | the same over TLS 1.2 or 1.3 |
  | `grpc` | `grpc.health.v1.Health/Check` for `service` answers `SERVING`, over HTTP/2 without TLS |
  | `udp` | the answer to a datagram with the bytes `send` begins with the bytes `expect` |

* `https` accepts any certificate with `verify=none`, the default, as the kubelet's probes do: a check asks
  whether the endpoint works, and clients verify it themselves. `verify=NAME` verifies by the authority
  NAME of `healthChecks.authorities` in the configuration. If it has no NAME, the endpoints are not
  probed and count as healthy (KIV0131). The server name is `host` without a port; without `host` it is
  the address of the endpoint, which the certificate must then contain.
* A `udp` probe fails if the endpoint's node answers that the port is unreachable, if the answer differs, or
  if none arrives within `timeout`. An empty `expect` accepts every answer. `send` and `expect` have at
  most 128 bytes, written with the escapes `\r`, `\n`, `\t`, `\\` and `\xNN`; a comma is `\x2c`.
* A `udp` check checks endpoints of UDP ports, the others those of TCP ports. With `port` a check probes that
  port for every Service port, whatever its protocol.
* A probe reads at most 64 KiB of an answer.
* An endpoint is healthy until `fall` probes in a row failed, and then has failed until `rise` in a row
  succeeded. A new endpoint, and every endpoint after a restart of kube-ipvsd, starts as healthy. If this
  node has no sockets, ports or memory, or its packet filter refuses the probe, the probe does not count.
* `onFailure=quiesce` gives a failed endpoint weight 0: connections stay, new ones go elsewhere.
  `onFailure=remove` removes it, and it drains as an endpoint that is gone does.
* Above `panicThreshold` percent of failed endpoints of a Service port all are used (KIV0133). Endpoints to
  which the policy gives weight 0 do not count. With 100 the Service may be left without an endpoint.
* A failure is known after at most `interval` x `fall` x 1.05 + `timeout`, and acts within 0.2 s more.
* Services whose checks have an equal type, times, counts and request share the probes of one address and
  port.

```yaml
kube-ipvs.io/health-check: type=http, path=/healthz, interval=2s, timeout=1s, fall=2, onFailure=quiesce
```

[Health checks of endpoints](../health-checks.md) describes metrics and Events.

## Slow start

With `slowStart` an endpoint that begins to get connections starts with a tenth of its weight and gets a
tenth more after each ninth of the time, so that it can warm up. That holds for a new endpoint, one that
is ready again, one whose health check recovered, and one whose weight was 0.

```yaml
kube-ipvs.io/scheduler: wlc
kube-ipvs.io/slow-start: 30s
```

* It acts with `wrr`, `wlc`, `sed`, `nq` and `twos`. With other schedulers endpoints start with their full
  weight (KIV0130). `nq` gives an idle endpoint the next connection whatever its weight.
* All weights of the Service are multiplied by ten, or by less if a weight could exceed 256: with
  `weights: default=100` by two. The shares stay the same. A weight that is 1 in the kernel, beside one of
  more than 128, has no smaller one to start with.
* An endpoint relieves others only if there are others: while no endpoint of a virtual server has its full
  weight, those that are furthest get it. A new Service and its only endpoint start with full weights.
* A weight of 0 stays 0. A changed time applies to endpoints that are in a slow start, and lowers no
  weight. `slow-start: "0"` turns off what `servicePolicies` set.
* It does not act where ports share a virtual server (`affinityScope: service`), nor for VirtualServers.
* Every node has its own slow starts. After a restart of kube-ipvsd all endpoints have their full weights.
* Steps are made each 0.5 s, for all Services together. At most 4,096 real servers of a node are in a slow
  start; further ones start with their full weight
  (`kubeipvs_slow_starts_skipped_total`).
* While endpoints start slowly the others have more load. In a roll-out choose a time below the pause
  between two endpoints (`minReadySeconds`).
* `ipvsctl explain svc NAMESPACE/NAME` shows the weight of an endpoint in a slow start, and when it is
  full. `/slowstarts` of the metrics address lists all.

## Packets that are not rewritten

By default IPVS rewrites the destination of each packet, and the rules replace the client's address, so that
answers return through the node. With `forwarding: direct` (keepalived's DR) or `method=tunnel` (TUN) an endpoint
gets the packet as it came and answers the client itself. The node carries only the requests, and the endpoint sees
the client's address.

```yaml
kube-ipvs.io/forwarding: direct
kube-ipvs.io/forwarding: method=tunnel, type=ipip
kube-ipvs.io/forwarding: method=tunnel, type=gue, port=6080, checksum=full
```

* It applies to external and load-balancer addresses of a Service with externalTrafficPolicy `Cluster`. Cluster IPs
  and node ports are masqueraded as ever. Beside other addresses it has no effect (KIV0130).
* Endpoints on this node are always masqueraded. They see the client's address too.
* An endpoint must listen at the Service's port, since only masquerading changes ports, and its address must not be
  that of a Node, which has the virtual address itself. If one endpoint of a Service port does not fit, the port is
  masqueraded as without the field (KIV0138).
* Authors of Services may set the annotation only if `allowedAnnotations` has `forwarding`, which its default has not
  ([why](../security.md#a-tenant-who-can-write-services)).
* A change acts on new connections; existing ones keep their method. Change to `direct` while no masqueraded
  connection to the endpoints is open: otherwise new ones may get no answer, since the kernel keeps one route for each
  real server ([ADR 31](../adr/0031-packets-that-are-not-rewritten.md)). Two more exceptions: connections in a tunnel follow
  the new type, port and checksum, and are sent by `ipip` after a change to another method; after a change back to
  `masquerade`, TCP connections that are younger than `nf_conntrack_tcp_timeout_syn_sent` (120 s) break, and UDP flows
  that pause for longer than `nf_conntrack_udp_timeout`.

Each endpoint that is not on this node needs:

| need | direct | tunnel |
|---|---|---|
| the virtual address on an interface that answers no ARP and ND for it, such as `lo` | yes | yes |
| an interface in the same network as the node, so that the next hop is the endpoint itself and no other node | yes | no |
| a device that unpacks the tunnel, whose `rp_filter` is 0 or 2 | no | yes |
| a route to the clients that does not pass a node, or nodes with `accept_local` (below) | yes | yes |
| a smaller MTU, or TCP clients that heed it: the outer header takes 20 bytes (ipip), 24 (gre; 28 with a checksum), 32 (gue), and 20 more over IPv6 | no | yes |

Recipe for an endpoint that is a Linux host, with the virtual address 203.0.113.10:

```sh
ip address add 203.0.113.10/32 dev lo
sysctl -w net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2   # direct
modprobe ipip && ip link set tunl0 up                                       # type=ipip
ip link add gre4 type gre local ENDPOINT remote NODE && ip link set gre4 up # type=gre, for each node; icsum with checksum=full
modprobe fou && ip fou add port 6080 gue && ip link set tunl0 up            # type=gue
```

For IPv6 the devices are `ip6tnl0`, `type ip6gre` and `ip -6 fou add`; the outer packet has the family of the endpoint's
address. An IPv6 host on `lo` answers no neighbour solicitation of another interface.

| client | IPv4 | IPv6 |
|---|---|---|
| outside the node | works | works |
| a pod of this node | only with `net.ipv4.conf.INTERFACE.accept_local` 1 and `rp_filter` 0 or 2, for the interface at which the answer arrives: the kernel drops packets whose source is an address of kube-ipvs0 | not to be relied on |
| this node itself; the endpoint sees an address of the node | as a pod | not to be relied on |

Such clients can use the cluster IP. `ipvsctl doctor` (`forwarding`) reads the settings of the node, and names tunnels
that its kernel does not know: gue needs Linux 5.3, gre 5.4. An INPUT chain of another program that drops packets of
state INVALID breaks such connections, because the connection tracker does not see the answers.

## Limits

* A weight and a factor are at most 256, and so is their product in the kernel: greater products are
  reduced in proportion, to at least 1. A value has at most 64 items, an annotation at most 2048 bytes,
  and 32 annotations of a Service are read.
* An endpoint with `upper` connections gets no new one until fewer than `lower` are left.
  `connectionLimits` count for each virtual server and on each node: a Service with two ports, or a cluster
  IP and a node port, may have twice as many connections to one endpoint. An endpoint that is full is left
  out as one with weight 0 is; if all are full, new connections are refused. The kernel counts inactive
  connections too: one that was closed, until the kernel forgets it (ten seconds after a reset, else up to
  two minutes), and each UDP flow until `ipvs.udpTimeout`. Many short connections fill an endpoint
  although few are open.
* Existing clients keep their endpoint under session affinity, whatever its weight, except 0 with
  `net.ipv4.vs.expire_quiescent_template`.
* `onePacket` acts on UDP ports only. Each datagram of a flow may reach another endpoint. The kernel keeps
  no connection, so that no answer arrives from the virtual address: use it for datagrams without answers,
  such as syslog and statsd, not for DNS.
* `sh` has 256 buckets, which it fills by weight in the order of the endpoints: weights that add up to
  more are reduced in proportion, to at least 1. An endpoint with weight 0 still has a bucket, whose clients
  are refused without `sh-fallback`. With more than 256 endpoints the last ones get nothing. `mh` reduces greater weights to fewer
  than 64 steps after division by their greatest common divisor: 256 and 1 become 32 and 1.
* An endpoint's zone is that in its EndpointSlice. Endpoints objects have none.
"#;

/// Returns the page `docs/reference/policy.md`.
#[must_use]
pub fn markdown() -> String {
    let mut page = HEAD.to_owned();
    for field in PolicyField::ALL {
        let _ = writeln!(
            page,
            "| `{}` | `{PREFIX}{}` | {} | {} |",
            field.name(),
            field.annotation(),
            field.form(),
            field.meaning()
        );
    }
    page + TAIL
}

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
* A change takes effect at once and closes no connection. If `servicePolicies` begin to read another
  label, the Services are listed again, and those that it selects follow within seconds.
* `ipvsctl explain svc NAMESPACE/NAME` shows each value and its origin.
* A VirtualServer has fields of its own for the same settings ([VirtualServer](virtualserver.md)).

## Fields

In an annotation, items are separated by commas. A file may hold a list or a mapping instead.

| field | annotation | values | meaning |
|---|---|---|---|
";

const TAIL: &str = "
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

## Health checks

Kubernetes decides with readiness probes, made by the kubelet of the endpoint's node, whether an endpoint
is ready. A health check is a second opinion: each node probes by itself the endpoints that its virtual
servers use, so that it also sees a broken path to them, and acts within seconds while the control plane is
away. It never makes an endpoint used that is not ready.

* Health checks are off until the administrator lists networks of pods in `healthChecks.networks`. An
  endpoint outside them is not probed and counts as healthy (KIV0131). Authors of Services may set the
  annotation only if `allowedAnnotations` has `healthCheck`, which its default has not
  ([why](../security.md#a-tenant-who-can-write-services)).
* `type=tcp` opens a connection and resets it. `type=http` sends `GET` with HTTP/1.1 and reads the status;
  redirects are not followed. Other types (`https`, `grpc`, `udp`) are not built, and refused.
* Probes use TCP. An endpoint of a UDP or SCTP port is checked only if the check has a `port`.
* An endpoint is healthy until `fall` probes in a row failed, and then has failed until `rise` in a row
  succeeded. A new endpoint, and every endpoint after a restart of kube-ipvsd, starts as healthy. If this
  node has no sockets, ports or memory, or its packet filter refuses the probe, the probe does not count.
* `onFailure=quiesce` gives a failed endpoint weight 0: connections stay, new ones go elsewhere.
  `onFailure=remove` removes it, and it drains as an endpoint that is gone does.
* Above `panicThreshold` percent of failed endpoints of a Service port all are used (KIV0133). Endpoints to
  which the policy gives weight 0 do not count. With 100 the Service may be left without an endpoint.
* A failure is known after at most `interval` x `fall` x 1.05 + `timeout`, and acts within 0.2 s more.
* Services with equal `type`, times, counts, `host`, `path` and `status` share the probes of one address and
  port.

```yaml
kube-ipvs.io/health-check: type=http, path=/healthz, interval=2s, timeout=1s, fall=2, onFailure=quiesce
```

[Health checks of endpoints](../health-checks.md) describes metrics and Events.

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
";

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

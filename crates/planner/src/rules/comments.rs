//! Comments of kube-proxy's rules about the sets that they match.

use model::sets::SetKind;

/// Returns kube-proxy's comment about a set (`pkg/proxy/ipvs/ipset.go`, Kubernetes 1.30), which
/// people and tools search for. Returns `None` if kube-proxy has no comment for it.
pub(super) fn about(kind: SetKind) -> Option<&'static str> {
    let text = match kind {
        SetKind::LoopBack => {
            "Kubernetes endpoints dst ip:port, source ip for solving hairpin purpose"
        }
        SetKind::ClusterIp => "Kubernetes service cluster ip + port for masquerade purpose",
        SetKind::ExternalIp => {
            "Kubernetes service external ip + port for masquerade and filter purpose"
        }
        SetKind::ExternalIpLocal => {
            "Kubernetes service external ip + port with externalTrafficPolicy=local"
        }
        SetKind::LoadBalancer => "Kubernetes service lb portal",
        SetKind::LoadBalancerFw => {
            "Kubernetes service load balancer ip + port for load balancer with sourceRange"
        }
        SetKind::LoadBalancerLocal => {
            "Kubernetes service load balancer ip + port with externalTrafficPolicy=local"
        }
        SetKind::LoadBalancerSourceIp => {
            "Kubernetes service load balancer ip + port + source IP for packet filter purpose"
        }
        SetKind::LoadBalancerSourceCidr => {
            "Kubernetes service load balancer ip + port + source cidr for packet filter purpose"
        }
        SetKind::NodePortTcp => "Kubernetes nodeport TCP port for masquerade purpose",
        SetKind::NodePortLocalTcp => {
            "Kubernetes nodeport TCP port with externalTrafficPolicy=local"
        }
        SetKind::NodePortUdp => "Kubernetes nodeport UDP port for masquerade purpose",
        SetKind::NodePortLocalUdp => {
            "Kubernetes nodeport UDP port with externalTrafficPolicy=local"
        }
        SetKind::NodePortSctp => {
            "Kubernetes nodeport SCTP port for masquerade purpose with type 'hash ip:port'"
        }
        SetKind::NodePortLocalSctp => {
            "Kubernetes nodeport SCTP port with externalTrafficPolicy=local with type 'hash ip:port'"
        }
        SetKind::HealthCheckNodePort => "Kubernetes health check node port",
        SetKind::IpvsIps | SetKind::NoLocalEndpoint => return None,
    };
    Some(text)
}

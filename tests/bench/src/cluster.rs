//! An API server with a cluster of one shape, in this process.

use apiserver::{Server, ServerConfig};
use ipvs::AddressFamily;
use serde_json::{Value, json};

use crate::Outcome;
use crate::shape::{self, Shape};

/// An API server and the shape of its cluster.
pub(crate) struct Cluster {
    pub(crate) server: Server,
    shape: Shape,
}

impl Cluster {
    pub(crate) async fn start(shape: Shape) -> Outcome<Self> {
        let server = Server::start(ServerConfig::default()).await?;
        let cluster = Self { server, shape };
        for number in 0..shape.services {
            cluster.server.put(cluster.service(number))?;
            cluster.put_slices(number, &|_| true)?;
        }
        Ok(cluster)
    }

    /// Sets the endpoints of a Service to those numbers that `kept` selects.
    pub(crate) fn put_slices(&self, service: u32, kept: &dyn Fn(u32) -> bool) -> Outcome {
        for family in self.shape.families() {
            let endpoints: Vec<u32> = (0..self.shape.endpoints).collect();
            for (part, endpoints) in endpoints.chunks(100).enumerate() {
                let kept: Vec<u32> = endpoints
                    .iter()
                    .copied()
                    .filter(|number| kept(*number))
                    .collect();
                let slice = self.slice(service, *family, part, &kept);
                self.server.put(slice)?;
            }
        }
        Ok(())
    }

    fn service(&self, number: u32) -> Value {
        let name = shape::name(number);
        let addresses = self.shape.cluster_ips(number);
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"namespace": &*name.namespace, "name": &*name.name, "labels": {"app": &*name.name}},
            "spec": {
                "type": "ClusterIP",
                "selector": {"app": &*name.name},
                "clusterIP": addresses[0].to_string(),
                "clusterIPs": addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "ports": [{"name": "http", "protocol": "TCP", "port": 80, "targetPort": 8080}],
            },
        })
    }

    fn slice(&self, service: u32, family: AddressFamily, part: usize, endpoints: &[u32]) -> Value {
        let name = shape::name(service);
        let kind = match family {
            AddressFamily::Ipv4 => "IPv4",
            AddressFamily::Ipv6 => "IPv6",
        };
        let endpoints: Vec<Value> = (endpoints.iter())
            .map(|endpoint| {
                json!({
                    "addresses": [self.shape.pod(service, *endpoint, family).to_string()],
                    "conditions": {"ready": true, "serving": true, "terminating": false},
                    "nodeName": format!("node-{}", shape::node_of(service, *endpoint)),
                    "targetRef": {"kind": "Pod", "namespace": &*name.namespace, "name": format!("{}-{endpoint}", name.name)},
                })
            })
            .collect();
        json!({
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "namespace": &*name.namespace,
                "name": format!("{}-{}-{part}", name.name, kind.to_lowercase()),
                "labels": {"kubernetes.io/service-name": &*name.name},
            },
            "addressType": kind,
            "endpoints": endpoints,
            "ports": [{"name": "http", "protocol": "TCP", "port": 8080}],
        })
    }
}

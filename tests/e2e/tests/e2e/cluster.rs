//! A world with an API server and the daemon that watches it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use e2e::{
    ApiServer, Family, Outcome, Probe, Process, Protocol, Tables, Tally, World, ensure, eventually,
    objects, within,
};
use serde_json::Value;

/// Time limit for a change to reach the kernel.
const SOON: Duration = Duration::from_secs(2);

/// The Service `web` with the virtual address number 1 on all pods, an API server, and the daemon.
pub(crate) struct Cluster {
    pub(crate) world: World,
    pub(crate) api: ApiServer,
    pub(crate) daemon: Process,
    pub(crate) config: PathBuf,
}

impl Cluster {
    /// Starts the cluster with these lines in section `ipvs` of the configuration. Returns once the
    /// daemon has synchronised.
    pub(crate) fn start(pods: usize, ipvs: &[&str]) -> Outcome<Self> {
        let world = World::build(pods)?;
        let load = world.write_objects("load.json", world.web("web", 1))?;
        let config = world.config(ipvs)?;
        let api = ApiServer::start(&world, &[&load])?;
        let daemon = start_daemon(&world, &api, &config)?;
        let cluster = Self {
            world,
            api,
            daemon,
            config,
        };
        cluster.converges()?;
        Ok(cluster)
    }

    /// Starts another daemon in place of the previous one.
    pub(crate) fn restart_daemon(&mut self) -> Outcome {
        self.daemon = start_daemon(&self.world, &self.api, &self.config)?;
        Ok(())
    }

    /// Waits until the node's tables correspond to the API server's objects.
    pub(crate) fn converges(&self) -> Outcome {
        let path = self.world.path("now.json");
        eventually(|| {
            let objects: Value = self.api.objects()?;
            std::fs::write(&path, objects.to_string())
                .map_err(|error| e2e::Failure::new(error.to_string()))?;
            let expected = self.world.rendered(&path, &self.config)?;
            self.world.tables()?.are(&expected)
        })
    }

    /// Replaces the endpoints of `web` by these pods, counted from 0, in both families.
    pub(crate) fn set_endpoints(&self, pods: &[usize]) -> Outcome {
        for family in [Family::V4, Family::V6] {
            let all = self.world.endpoints(family);
            let some: Vec<_> = pods
                .iter()
                .filter_map(|pod| all.get(*pod))
                .copied()
                .collect();
            let slice = objects::empty_slice("web", family.name(), &some, &Protocol::ALL);
            self.api.replace(&slice)?;
        }
        Ok(())
    }

    /// Sends requests from outside to the virtual server of this number.
    pub(crate) fn ask(&self, family: Family, number: u8, count: usize) -> Tally {
        let target = family.virtual_server(number);
        Probe::new(&self.world.client, Protocol::Tcp, target).ask(count)
    }

    /// Waits a short time until these pods, counted from 0, are the real servers of `web`. Fails
    /// unless exactly they then answer. No packets are sent before: a packet on its way to a real
    /// server that is deleted would be lost.
    pub(crate) fn soon_served_by(&self, pods: &[usize]) -> Outcome {
        let all = &self.world.pods;
        let pods: Vec<_> = pods.iter().filter_map(|pod| all.get(*pod)).collect();
        within(SOON, || {
            let ipvs = self.world.tables()?.ipvs;
            for pod in all {
                let wanted = pods.iter().any(|wanted| wanted.name == pod.name);
                let entries = [pod.v4.to_string(), format!("[{}]", pod.v6)].map(|address| {
                    let real = format!(" -r {address}:");
                    (ipvs.iter())
                        .filter(|line| line.contains(&real) && !Tables::is_drained(line))
                        .count()
                });
                // One real server for each protocol.
                ensure(entries == [if wanted { 3 } else { 0 }; 2], || {
                    format!(
                        "{}: unexpected numbers of real servers: {entries:?}",
                        pod.name
                    )
                })?;
            }
            Ok(())
        })?;
        let names: Vec<&str> = pods.iter().map(|pod| &*pod.name).collect();
        self.served_by(&names)
    }

    /// Fails unless exactly these pods answer, over all protocols and families.
    pub(crate) fn served_by(&self, pods: &[&str]) -> Outcome {
        for family in [Family::V4, Family::V6] {
            for protocol in Protocol::ALL {
                let target = family.virtual_server(1);
                let probe = Probe::new(&self.world.client, protocol, target);
                let tally = probe.ask(3 * pods.len()).complete()?;
                let by_pod = tally.by_pod();
                ensure(by_pod.keys().eq(pods), || {
                    format!("{target}/{protocol}: expected answers of {pods:?}, found {by_pod:?}")
                })?;
            }
        }
        Ok(())
    }
}

fn start_daemon(world: &World, api: &ApiServer, config: &Path) -> Outcome<Process> {
    world.daemon(&[&"--kubeconfig", &api.kubeconfig, &"--config", &config])
}

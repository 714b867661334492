//! Input of an explanation: objects, desired and live tables, and the answers of kube-ipvsd.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use ipset::{Entry, SetName};
use ipvs::VirtualServerKey;
use model::snapshot::Interface;
use model::text::Part;
use model::{Finding, ObjectName, Snapshot};
use planner::{HarmfulRule, ServedSite, ServiceExplanation};
use sources::proxy;

use crate::cli::ExplainInput;
use crate::error::{Error, Status};
use crate::grouping::{Changes, Selection};
use crate::input::facts::unreachable;
use crate::input::view::View;
use crate::input::{Input, daemon, live};
use crate::schema::{DaemonChange, DaemonSlowStart, Drain, Presence, drains};
use crate::style;

/// Live tables that a command uses.
enum Live {
    /// They were read.
    Known,
    /// The command line leaves them out.
    LeftOut,
    /// They could not be read.
    Failed,
}

/// Input of an explanation.
pub(super) struct Scene {
    view: View,
    live: Live,
    /// Addresses of the dummy device without a local route; `None` for saved and desired tables.
    unreachable: Option<BTreeSet<IpAddr>>,
    /// Drains that kube-ipvsd reports, by virtual server and real server.
    drains: BTreeMap<(String, String), Drain>,
    /// Slow starts that kube-ipvsd reports, by virtual server and real server.
    slow_starts: BTreeMap<(String, String), DaemonSlowStart>,
    /// Address of kube-ipvsd, if it answers.
    daemon: Option<SocketAddr>,
}

impl Scene {
    /// Reads the input of `args`, with the addresses of the pods in the namespace of `pod`. A kernel
    /// that cannot be read is an error on standard error; the desired tables are explained then.
    ///
    /// # Errors
    ///
    /// The node, the cluster or a file with saved tables cannot be read.
    pub(super) fn read(args: &ExplainInput, pod: Option<&ObjectName>) -> Result<Self, Error> {
        let state = RefCell::new(Live::Known);
        let view = View::read_with(&args.compared, pod, args.metrics_address, |node| {
            if args.desired {
                state.replace(Live::LeftOut);
                return Ok(Snapshot::default());
            }
            let read =
                live::read_only_kernel().and_then(|mut kernel| live::of_kernel(&mut kernel, node));
            read.or_else(|error| {
                style::error(&format!(
                    "{}; the live state is unknown, and the desired tables are explained: --desired leaves out the kernel",
                    model::chain(&error)
                ));
                state.replace(Live::Failed);
                Ok(Snapshot::default())
            })
        })?;
        let reads_kernel = !args.desired && args.compared.live.is_none();
        let daemon = match (args.metrics_address, reads_kernel) {
            (Some(address), _) => Some(address),
            (None, true) => Some(proxy::METRICS),
            // Saved tables may be from another node.
            (None, false) => None,
        };
        let mut scene = Self {
            view,
            live: state.into_inner(),
            unreachable: None,
            drains: BTreeMap::new(),
            slow_starts: BTreeMap::new(),
            daemon,
        };
        let live = scene.live().filter(|_| reads_kernel);
        scene.unreachable = live.map(unreachable);
        scene.ask_drains();
        scene.ask_slow_starts();
        Ok(scene)
    }

    fn ask_drains(&mut self) {
        let Some(address) = self.daemon else {
            return;
        };
        match daemon::drains(address) {
            Ok(found) => {
                let key = |drain: &Drain| (drain.virtual_server.clone(), drain.real_server.clone());
                let found = drains(&found, None).into_iter();
                self.drains = found.map(|drain| (key(&drain), drain)).collect();
            }
            Err(problem) => {
                style::note(&format!(
                    "kube-ipvsd at {address} does not answer: {problem}; times of drains and the last change are unknown"
                ));
                self.daemon = None;
            }
        }
    }

    /// Asks for the times of slow starts, if kube-ipvsd answered so far and a Service has a policy
    /// that may lead to one.
    fn ask_slow_starts(&mut self) {
        let mut policies = self.input().desired.policies.values();
        let Some(address) = self
            .daemon
            .filter(|_| policies.any(|policy| policy.slow_start.is_some()))
        else {
            return;
        };
        match daemon::slow_starts(address) {
            Ok(found) => self.slow_starts = found.by_name(),
            Err(problem) => style::note(&format!(
                "kube-ipvsd at {address} does not report its slow starts: {problem}; their times are unknown"
            )),
        }
    }

    /// Returns the desired tables with their input.
    pub(super) fn input(&self) -> &Input {
        &self.view.input
    }

    /// Returns the changes that `diff` shows for `services`, or all of them for none; no changes if
    /// the live tables are unknown.
    pub(super) fn changes(&self, services: &[ObjectName]) -> Changes<'_> {
        let selection = Selection {
            services,
            ..Selection::default()
        };
        match self.live() {
            Some(_) => self.view.changes(selection),
            None => Changes::default(),
        }
    }

    /// Returns the live tables, if they are known.
    pub(super) fn live(&self) -> Option<&Snapshot> {
        matches!(self.live, Live::Known).then_some(&self.view.live)
    }

    /// Returns the live tables, unless they are those of a file without `part`, which was filled in
    /// with the desired one.
    pub(super) fn with(&self, part: Part) -> Option<&Snapshot> {
        let has = !self.view.unsaved.contains(&part);
        self.live().filter(|_| has)
    }

    /// Returns true if the live tables have numbers of connections.
    pub(super) fn has_connections(&self) -> bool {
        self.with(Part::Connections).is_some()
    }

    /// Explains the Service `name`; `None` if there is none.
    pub(super) fn explain(&self, name: &ObjectName) -> Option<ServiceExplanation> {
        self.view.input.explain(name)
    }

    /// Returns the finding about a virtual server of another program in the place of `site`.
    pub(super) fn foreign(&self, site: &ServedSite) -> Option<&Finding> {
        self.live()?;
        self.view.plan.findings.get(&site.virtual_server.key)
    }

    /// Returns true if another program has the desired virtual server `key`.
    pub(super) fn is_foreign(&self, key: &VirtualServerKey) -> bool {
        self.live().is_some() && self.view.plan.findings.contains_key(key)
    }

    /// Returns the presence of a desired set entry.
    pub(super) fn set_entry(&self, set: &SetName, entry: &Entry) -> Presence {
        let holds = |live: &Snapshot| {
            (live.tables.sets.get(set)).is_some_and(|found| found.entries.contains(entry))
        };
        Presence::of_desired(self.with(Part::Sets).map(holds))
    }

    /// Returns the presence of the local route to an address of the dummy device.
    pub(super) fn local_route(&self, address: IpAddr) -> Presence {
        let unreachable = self.unreachable.as_ref();
        Presence::of_desired(unreachable.map(|lost| !lost.contains(&address)))
    }

    /// Returns the interface of this node, other than the dummy device, with the address.
    pub(super) fn interface(&self, address: IpAddr) -> Option<String> {
        let mut interfaces = self.input().node.interfaces.iter();
        let has = |interface: &&Interface| {
            (interface.addresses.iter()).any(|network| network.ip() == address)
        };
        interfaces.find(has).map(|found| found.name.to_string())
    }

    /// Returns the rules of other programs that drop packets to `servers` or exempt them from
    /// connection tracking.
    pub(super) fn harmful_rules(&self, servers: &BTreeSet<VirtualServerKey>) -> Vec<Finding> {
        let Some(live) = self.with(Part::Rules) else {
            return Vec::new();
        };
        let rules = planner::harmful_rules_with_servers(live, &self.input().config).into_iter();
        let harms = |rule: &HarmfulRule| rule.servers.iter().any(|key| servers.contains(key));
        rules.filter(harms).map(|rule| rule.finding).collect()
    }

    /// Returns the drain of a real server that kube-ipvsd reports.
    pub(super) fn drain(&self, server: &impl ToString, real: &impl ToString) -> Option<&Drain> {
        self.drains.get(&(server.to_string(), real.to_string()))
    }

    /// Returns the slow start of a real server that kube-ipvsd reports.
    pub(super) fn slow_start(
        &self,
        server: &impl ToString,
        real: &impl ToString,
    ) -> Option<&DaemonSlowStart> {
        self.slow_starts
            .get(&(server.to_string(), real.to_string()))
    }

    /// Returns the last change that kube-ipvsd made for `service`. A failure is a note on standard
    /// error.
    pub(super) fn last_change(&self, service: &ObjectName) -> Option<DaemonChange> {
        let address = self.daemon?;
        match daemon::last_changes(address, service, 1) {
            Ok(mut found) => found.changes.pop(),
            Err(problem) => {
                style::note(&format!(
                    "kube-ipvsd at {address} does not report its changes: {problem}; the last change is unknown"
                ));
                None
            }
        }
    }

    /// Returns the status of a command that found a problem or not.
    pub(super) fn status(&self, found: bool) -> Status {
        match self.live {
            Live::Failed => Status::Failed,
            Live::Known | Live::LeftOut => self.view.status(found),
        }
    }
}

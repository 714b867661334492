//! The steps of a run.

use std::time::Duration;

use ipset::Entry;
use ipvs::{AddressFamily, Connections, VirtualServer, VirtualServerKey};
use kernel::memory::FaultRule;
use model::config::NodePortAddresses;
use model::sets::SetKind;
use model::snapshot::Interface;
use model::{NodeConfig, NodeState, NodeTables, ObjectKind, Op};
use reconciler::Event;

use super::by_hand::{busy, idle, meddle, some_connections};
use super::deadlines::Cause;
use super::random::Random;
use super::trouble::{Active, Trouble, foreign_server};
use super::world::NODE_PORTS;
use super::{Ended, PAUSE, REST, Simulation};
use crate::node::{Law, Violation};
use crate::subject::{Subject, address_of};

/// Returns a random configuration.
pub(super) fn config(random: &mut Random) -> NodeConfig {
    let seconds = |random: &mut Random, all: &[u64]| {
        Duration::from_secs(random.pick(all.iter().copied()).unwrap_or(0))
    };
    let scheduler = random.pick(["rr", "rr", "wlc"]).unwrap_or("rr");
    let mut config = NodeConfig {
        sync_period: seconds(random, &[10, 30, 30]),
        min_sync_period: seconds(random, &[0, 0, 1]),
        drain_timeout: seconds(random, &[0, 20, 20, 60, 900]),
        udp_drain_timeout: seconds(random, &[0, 1, 5, 5]),
        cut_lost_endpoints: random.percent(15),
        scheduler: ipvs::Scheduler(scheduler.into()),
        ..NodeConfig::new("node1")
    };
    config.masquerade.all = random.percent(30);
    if random.percent(20) {
        let network = "192.0.2.0/24".parse().expect("a network");
        config.node_port_addresses = NodePortAddresses::Within(vec![network]);
    }
    config
}

/// Address of the second interface.
const SECOND: [u8; 4] = [198, 51, 100, 1];

/// Returns the interfaces of the node, with or without a second one and that of a pod.
pub(super) fn interfaces(second: bool, pod: bool) -> NodeState {
    let interface = |name: &str, address: &str| Interface {
        name: name.into(),
        addresses: vec![address.parse().expect("a network")],
    };
    let mut interfaces = vec![interface("eth0", "192.0.2.1/24")];
    interfaces.extend(second.then(|| interface("eth1", "198.51.100.1/24")));
    interfaces.push(interface("lo", "127.0.0.1/8"));
    interfaces.extend(pod.then(|| interface("veth1", "fe80::1/64")));
    NodeState {
        interfaces,
        ..NodeState::default()
    }
}

impl Simulation {
    /// Starts the daemon on a node where other programs have virtual servers.
    pub(super) fn start(&mut self) -> Result<(), Violation> {
        self.add_foreign(&foreign_server([172, 16, 0, 1], 80));
        if self.random.percent(30) {
            let low = u8::try_from(self.random.below(4)).unwrap_or(0);
            let address = self.random.pick([[10, 96, 0, low], [203, 0, 113, low]]);
            self.add_foreign(&foreign_server(address.unwrap_or_default(), 80));
        }
        if self.random.percent(30) {
            let port = NODE_PORTS + 4 * u16::try_from(self.random.below(4)).unwrap_or(0);
            let address = self.random.pick([[192, 0, 2, 1], [198, 51, 100, 1]]);
            self.add_foreign(&foreign_server(address.unwrap_or_default(), port));
        }
        let lists = self.world.lists();
        self.feed(lists)
    }

    fn add_foreign(&mut self, server: &VirtualServer) {
        let kernel = &self.node.kernel;
        let add = |op: Op| kernel.foreign(&op).is_ok();
        if !add(Op::AddVirtualServer(server.clone())) {
            return;
        }
        // One of its real servers is quiesced, as by keepalived's inhibit_on_failure.
        for (host, weight) in [(7, 0), (8, 5)] {
            add(Op::AddRealServer(
                server.key,
                ipvs::RealServer {
                    key: ipvs::RealServerKey {
                        address: [192, 0, 2, 200 + host].into(),
                        port: 80,
                    },
                    forwarding: ipvs::Forwarding::Masquerade,
                    weight,
                    upper_threshold: 0,
                    lower_threshold: 0,
                },
            ));
        }
        self.node.guard.foreign.insert(server.key);
        self.deadlines.unjudged.insert(server.key);
    }

    /// Executes one step.
    pub(super) fn step(&mut self) -> Result<(), Violation> {
        match self.random.below(1000) {
            0..240 => self.endpoints(),
            240..330 => self.service(),
            330..350 => self.lists(),
            350..370 => {
                let events = self.world.repeat(&mut self.random);
                self.feed(events)
            }
            370..620 => self.time(),
            620..640 => self.roll(),
            640..740 => self.clients(),
            740..830 => self.others(),
            830..925 => self.faults(),
            925..950 => self.node_changes(),
            950..965 => self.configure(),
            965..980 => self.restart(),
            980..988 => self.foreign_goes(),
            _ => self.quiesce(),
        }
    }

    fn endpoints(&mut self) -> Result<(), Violation> {
        let events = self.world.change_endpoints(&mut self.random);
        self.note(|| format!("endpoints: {events:?}"));
        self.feed(events)?;
        let time = self
            .random
            .time(Duration::from_millis(1), Duration::from_millis(30));
        self.pass(time)
    }

    fn service(&mut self) -> Result<(), Violation> {
        let events = self.world.change_service(&mut self.random);
        self.note(|| format!("service: {events:?}"));
        self.feed(events)?;
        let time = self
            .random
            .time(Duration::from_millis(1), Duration::from_millis(30));
        self.pass(time)
    }

    /// Simulates a broken watch: events are missed until the list.
    fn lists(&mut self) -> Result<(), Violation> {
        for _ in 0..self.random.below(3) {
            // The event is never sent.
            let _ = self.world.change_endpoints(&mut self.random);
            let _ = self.world.change_service(&mut self.random);
        }
        let time = self.random.time(Duration::ZERO, Duration::from_secs(2));
        self.pass(time)?;
        for kind in ObjectKind::ALL {
            let events = match self.random.percent(30) {
                true => self.world.broken_list(&mut self.random, kind),
                false => self.world.list(kind),
            };
            self.note(|| format!("list of {kind:?}: {} events", events.len()));
            self.feed(events)?;
        }
        Ok(())
    }

    fn time(&mut self) -> Result<(), Violation> {
        let (from, to) = match self.random.below(100) {
            0..45 => (1, 200),
            45..88 => (200, 6_000),
            88..96 => (6_000, 40_000),
            _ => (40_000, 200_000),
        };
        let time = (self.random).time(Duration::from_millis(from), Duration::from_millis(to));
        self.note(|| format!("{time:?} pass"));
        self.pass(time)
    }

    /// Simulates a rolling update: endpoints change continuously.
    fn roll(&mut self) -> Result<(), Violation> {
        let pause = self
            .random
            .time(Duration::from_millis(5), Duration::from_millis(150));
        self.note(|| format!("a change every {pause:?}"));
        for _ in 0..if self.large { 80 } else { 20 } {
            let events = self.world.change_endpoints(&mut self.random);
            self.feed(events)?;
            self.pass(pause)?;
        }
        Ok(())
    }

    fn clients(&mut self) -> Result<(), Violation> {
        let live = self.node.kernel.snapshot();
        let (chosen, connections) = match self.random.percent(55) {
            true => (
                busy(&mut self.random, &live.tables),
                some_connections(&mut self.random),
            ),
            false => (idle(&mut self.random, &live), Connections::default()),
        };
        if let Some((key, real)) = chosen {
            self.note(|| format!("{key} {real}: {connections:?}"));
            self.node.kernel.set_connections(key, real, connections);
            self.review(Cause::Change, false);
        }
        Ok(())
    }

    fn others(&mut self) -> Result<(), Violation> {
        if !self.knows_its_own() {
            return Ok(());
        }
        let tables = self.node.kernel.tables();
        let unjudged = &self.deadlines.unjudged;
        let op = meddle(&mut self.random, &tables, |key| unjudged.contains(&key));
        let Some(op) = op else { return Ok(()) };
        if self.node.meddle(&op).is_err() {
            return Ok(());
        }
        self.node.guard.excuse(|_| true);
        self.note(|| format!("by hand: {op}"));
        self.tamper(&op, &tables);
        let about_addresses = matches!(op, Op::DelDevice | Op::DelAddress(_) | Op::AddAddress(_));
        let told = about_addresses && self.random.percent(50);
        if let Op::AddVirtualServer(server) = &op {
            self.deadlines.intruders.insert(server.key);
            self.added.insert(server.key);
        }
        self.review(if told { Cause::Node } else { Cause::Meddled }, true);
        if told {
            self.note(|| "the interfaces changed".to_owned());
            self.send(Event::NodeChanged)?;
        }
        Ok(())
    }

    /// Returns false while the process may not have read everything yet. A virtual server that
    /// loses its marks then becomes foreign.
    fn knows_its_own(&self) -> bool {
        self.node.reconciler.has_synced() && !(self.fresh && self.are_readings_disturbed())
    }

    /// Records the entries that `op` of another program changed.
    fn tamper(&mut self, op: &Op, before: &NodeTables) {
        let now = self.node.now;
        self.tampered.insert(Subject::of(op), now);
        match op {
            Op::DelDevice => {
                let addresses = before.addresses.iter();
                (self.tampered).extend(addresses.map(|at| (Subject::Address(*at), now)));
            }
            Op::DelVirtualServer(key) => {
                let entry = before.virtual_servers.get(key).into_iter();
                let reals = entry.flat_map(|entry| entry.real_servers.keys());
                (self.tampered).extend(reals.map(|real| (Subject::RealServer(*key, *real), now)));
            }
            _ => {}
        }
    }

    fn faults(&mut self) -> Result<(), Violation> {
        if !self.troubles.is_empty() && self.random.percent(55) {
            let at = self.random.below(self.troubles.len());
            self.end_fault(at);
            return Ok(());
        }
        let tables = self.node.kernel.tables();
        let trouble = Trouble::any(&mut self.random, &tables, &self.node.guard.foreign);
        let fits = (self.troubles.iter()).all(|active| active.goes_with(&trouble));
        if self.troubles.len() < 2 && fits {
            self.begin_fault(trouble);
        }
        Ok(())
    }

    fn begin_fault(&mut self, trouble: Trouble) {
        self.note(|| format!("begins: {trouble:?}"));
        self.faults += 1;
        let active = trouble.begin(&mut self.node);
        self.forget_ended();
        if active.disturbs_readings() {
            for ended in &mut self.ended {
                ended.lasts |= ended.fault.needs_reading();
            }
        }
        if let Trouble::Writer = active.trouble {
            self.deadlines.unjudged.extend(&self.node.guard.foreign);
        }
        if let Trouble::Slow(reading, _) = active.trouble {
            // A list has five readings, and may be a fifth of the work.
            self.audit_pause = self.audit_pause.max((20 * reading).min(PAUSE));
        }
        // The loop may consider them deleted, and forget their owner.
        self.deadlines.intruders.extend(active.hidden());
        self.hide(&active);
        self.trouble_since.get_or_insert(active.since);
        let rules = self.node.guard.rules();
        let mut deadlines = std::mem::take(&mut self.deadlines);
        let lasting: Vec<&Active> = self.lasting().chain([&active]).collect();
        deadlines.each(|subject, wrong, waiting| {
            if (lasting.iter()).any(|active| active.excuses(subject, wrong, waiting.cause, rules)) {
                waiting.until = None;
            }
        });
        self.deadlines = deadlines;
        self.troubles.push(active);
    }

    fn forget_ended(&mut self) {
        let now = self.node.now;
        self.ended.retain(|ended| ended.is_felt(now));
    }

    /// Treats entries that readings miss without a sign as deleted and restored by another program.
    fn hide(&mut self, active: &Active) {
        let now = self.node.now;
        let hidden = active.hidden().into_iter();
        (self.tampered).extend(hidden.map(|key| (Subject::VirtualServer(key), now)));
    }

    fn end_fault(&mut self, at: usize) {
        let active = self.troubles.remove(at);
        self.note(|| format!("ends: {:?}", active.trouble));
        active.end(&mut self.node);
        self.hide(&active);
        if self.node.reading.is_zero() {
            self.node.reading = self.reading;
        }
        if let Trouble::Slow(reading, _) = active.trouble {
            self.slow_until = Some(self.node.now + reading.min(PAUSE));
        }
        self.forget_ended();
        let until = self.node.now + self.recovery();
        let unreadable = self.troubles.iter().any(Active::disturbs_readings);
        if !unreadable {
            for ended in self.ended.iter_mut().filter(|ended| ended.lasts) {
                ended.lasts = false;
                ended.until = ended.until.max(until);
            }
        }
        self.ended.push(Ended {
            lasts: unreadable && active.needs_reading(),
            fault: active,
            until,
        });
        let mut deadlines = std::mem::take(&mut self.deadlines);
        deadlines.each(|subject, wrong, waiting| {
            if waiting.until.is_none() {
                waiting.cause = Cause::Fault;
                waiting.until = self.deadline(subject, wrong, Cause::Fault, waiting.meddled);
            }
        });
        self.deadlines = deadlines;
        self.review(Cause::Fault, false);
    }

    fn node_changes(&mut self) -> Result<(), Violation> {
        if !self.knows_its_own() {
            return Ok(());
        }
        let state = interfaces(self.random.percent(70), self.random.percent(50));
        self.node.kernel.set_node(state.clone());
        // A virtual server whose addition had no answer is not known to be the loop's own. Its
        // address marked it.
        let second = std::net::IpAddr::from(SECOND);
        let known = self.node.reconciler.live();
        let unanswered = (self.node.kernel.tables().virtual_servers.into_keys())
            .filter(|key| address_of(*key) == Some(second))
            .filter(|key| known.is_none_or(|live| !live.tables.virtual_servers.contains_key(key)));
        self.deadlines.intruders.extend(unanswered);
        let keys = self.compiler.look_at_node(&self.cluster, &state);
        self.excuse(&keys);
        let told = self.random.percent(80);
        self.note(|| format!("another interface, told: {told}"));
        let fails = told && self.random.percent(30);
        if !told || fails || self.are_readings_disturbed() {
            // The loop does not know, or cannot see, that the address was added or removed.
            self.tampered
                .insert(Subject::Address(second), self.node.now);
        }
        self.review(if told { Cause::Node } else { Cause::Meddled }, true);
        if told {
            if fails {
                self.node.kernel.fail_observations(1);
            }
            self.send(Event::NodeChanged)?;
        }
        Ok(())
    }

    fn configure(&mut self) -> Result<(), Violation> {
        self.config = config(&mut self.random);
        let config = self.config.clone();
        self.note(|| format!("another configuration: {config:?}"));
        self.compile_all();
        self.review(Cause::Anew, false);
        let config = self.config.clone();
        self.send(Event::Configured(Box::new(config)))?;
        self.extend_drains();
        Ok(())
    }

    /// Kills the daemon and starts it again.
    fn restart(&mut self) -> Result<(), Violation> {
        let live = self.node.kernel.snapshot();
        // Without its address and its entry a virtual server is foreign: the daemon would have
        // repaired them first.
        let unmarked = (live.tables.virtual_servers.keys()).any(|key| {
            let others = self.node.guard.foreign.contains(key) || self.added.contains(key);
            !others && !planner::is_marked(&live, *key)
        });
        let blind = self.troubles.iter().any(|active| {
            matches!(&active.trouble, Trouble::Rule(FaultRule::Torn(tear)) if !tear.flagged)
        });
        if unmarked || blind {
            return Ok(());
        }
        self.note(|| "the daemon is killed and started again".to_owned());
        let seed = self.random.number();
        self.node.restart(self.config.clone(), seed);
        self.cluster = model::ClusterState::default();
        self.fresh = true;
        self.deadlines.each(|_, _, waiting| {
            waiting.cause = Cause::Anew;
            waiting.until = None;
        });
        let mut kinds = ObjectKind::ALL.to_vec();
        while !kinds.is_empty() {
            let kind = kinds.swap_remove(self.random.below(kinds.len()));
            let events = match self.random.percent(20) {
                true => self.world.broken_list(&mut self.random, kind),
                false => self.world.list(kind),
            };
            if kinds.is_empty() {
                // From now on the tables must be corrected.
                self.compile_ahead(&events);
            }
            self.feed(events)?;
            if self.random.percent(50) {
                let time = self.random.time(Duration::ZERO, Duration::from_secs(40));
                self.pass(time)?;
            }
        }
        Ok(())
    }

    /// Gives all entries that are wrong when the last list is complete a short deadline.
    fn compile_ahead(&mut self, events: &[model::ClusterEvent]) {
        let before = self.cluster.clone();
        for event in events {
            self.cluster.absorb(event.clone());
        }
        self.compile_all();
        self.review(Cause::Anew, false);
        let mut deadlines = std::mem::take(&mut self.deadlines);
        deadlines.each(|subject, wrong, waiting| {
            waiting.until = self.deadline(subject, wrong, Cause::Anew, waiting.meddled);
        });
        self.deadlines = deadlines;
        self.cluster = before;
    }

    /// Deletes a foreign virtual server.
    fn foreign_goes(&mut self) -> Result<(), Violation> {
        let foreign = self.node.guard.foreign.iter().copied();
        let writers = self.node.writer.as_ref().map(|server| server.key);
        let key: Option<VirtualServerKey> = self
            .random
            .pick(foreign.filter(|key| Some(*key) != writers));
        if let Some(key) = key
            && self.node.kernel.foreign(&Op::DelVirtualServer(key)).is_ok()
        {
            self.note(|| format!("by hand: foreign {key} goes"));
            self.node.guard.foreign.remove(&key);
            self.deadlines.unjudged.remove(&key);
            self.tampered
                .insert(Subject::VirtualServer(key), self.node.now);
            // The loop kept its address unbound.
            if let Some(address) = address_of(key) {
                let set = SetKind::IpvsIps.name(AddressFamily::of(address));
                let entry = Subject::Entry(set, Entry::Ip(address));
                let freed = [Subject::Address(address), entry].map(|at| (at, self.node.now));
                self.tampered.extend(freed);
            }
            self.review(Cause::Meddled, true);
        }
        Ok(())
    }

    /// Ends all faults and connections. Then every entry is corrected within its deadline, and
    /// nothing more is written.
    pub(super) fn quiesce(&mut self) -> Result<(), Violation> {
        while !self.troubles.is_empty() {
            self.end_fault(0);
        }
        self.node.kernel.end_connections();
        self.note(|| "all faults end, and all connections".to_owned());
        self.review(Cause::Change, false);
        let period = self.config.sync_period;
        let server = Subject::RealServer(
            foreign_server([0, 0, 0, 0], 0).key,
            ipvs::RealServerKey {
                address: [0, 0, 0, 0].into(),
                port: 0,
            },
        );
        let time = 4 * period + 2 * self.round(&server) + 2 * REST + 2 * self.audit_pause;
        self.pass(time)?;
        self.audit_pause = Duration::ZERO;
        if let Some(((subject, wrong), waiting)) = self.deadlines.all().first_key_value() {
            let what = format!("{subject:?} is {wrong:?} without a fault: {waiting:?}");
            return Err(Violation::new(Law::InTime, what));
        }
        let before = self.node.kernel.counts();
        self.pass(2 * period)?;
        let after = self.node.kernel.counts();
        if after.ops != before.ops {
            let what = format!("{} writes without a fault", after.ops - before.ops);
            return Err(Violation::new(Law::Writes, what));
        }
        let readings = after.observations - before.observations;
        if readings > 60 {
            let what = format!("{readings} readings in {:?} without a fault", 2 * period);
            return Err(Violation::new(Law::Readings, what));
        }
        self.node.guard.writes = 0;
        self.justified = 0;
        Ok(())
    }
}

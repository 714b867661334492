//! Sends every probe again that was recorded on a node with a real kube-proxy.
//!
//! A probe is eight attempts at the same moment. It must end as recorded; where a listed deviation
//! applies, it must end as a trace predicts from our own tables.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use conformance::packets::{Comparison, RECORDINGS, Recorded, Seen, probes, recorded_node, seen};
use e2e::{Ask, Context as _, Failure, Lab, Outcome, Over, Protocol, Reply, Volley, ensure};
use libtest_mimic::Trial;
use model::NodeTables;
use trace::{Verdict, World};

use crate::case;
use crate::proxy::{Proxy, Source, Wanted};

/// The table of results, with a line for each recording.
static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

pub(crate) fn trials() -> Vec<Trial> {
    RECORDINGS
        .into_iter()
        .map(|(name, config, bridge)| {
            let recording = Recording {
                name,
                config,
                bridge,
            };
            let title = format!("packets::as_recorded::{}", name.replace('-', "_"));
            case(title, move || recording.check())
        })
        .collect()
}

/// Prints the table.
pub(crate) fn print() {
    let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    for line in lines.iter() {
        println!("{line}");
    }
}

struct Recording {
    name: &'static str,
    config: &'static str,
    /// True if packets between the ports of a bridge pass iptables.
    bridge: bool,
}

impl Recording {
    /// The source of the daemon's objects: an API server for one of the recordings.
    fn source(&self) -> Source {
        match self.name {
            "masqall" => Source::Server,
            _ => Source::Files,
        }
    }

    fn check(&self) -> Outcome {
        let folder = folder();
        let probes = probes(&folder, self.name).map_err(Failure::new)?;
        let lab = Lab::build()?;
        // The directory of the world is visible to containers.
        let copy = |name: &str| -> Outcome<PathBuf> {
            let path = folder.join(name);
            let text = std::fs::read_to_string(&path);
            let text = text.context(|| format!("reading {}", path.display()))?;
            lab.world.write(name, &text)
        };
        let (objects, config, node_state) = (
            copy("objects.yaml")?,
            copy(self.config)?,
            copy("node.yaml")?,
        );
        let wanted = Wanted {
            objects: &objects,
            config: &config,
            node_state: &node_state,
        };
        let begin = Instant::now();
        let _running = Proxy::chosen()?.run(&lab.world, wanted, self.source())?;
        if !self.bridge {
            for family in ["ip", "ip6"] {
                let name = format!("bridge/bridge-nf-call-{family}tables");
                lab.world.node.sysctl(&name, "0")?;
            }
        }
        let programmed = begin.elapsed();
        let comparison = self.compare(&lab, &probes)?;
        self.add_line(&comparison, programmed, begin.elapsed());
        let wrong = comparison.unlisted;
        ensure(wrong.is_empty(), || {
            format!("{} probes:\n  {}", wrong.len(), wrong.join("\n  "))
        })
    }

    fn compare(&self, lab: &Lab, probes: &[Recorded]) -> Outcome<Comparison> {
        let folder = folder();
        let mut comparison = Comparison::begin(&folder, self.name).map_err(Failure::new)?;
        let node = recorded_node(&folder, self.config).map_err(Failure::new)?;
        let (tables, mut world) = (node.tables, node.world);
        world.bridge_calls_iptables = self.bridge;
        let sources: BTreeSet<&str> = probes.iter().map(|row| &*row.probe.from).collect();
        // One source after the other, so that no other probe affects how the scheduler treats the
        // eight attempts.
        for source in sources {
            let rows: Vec<&Recorded> = probes
                .iter()
                .filter(|row| row.probe.from == source)
                .collect();
            for (row, replies) in rows.iter().zip(send(lab, source, &rows)?) {
                match judge(row, &replies, &comparison, &tables, &world) {
                    Ok(found) => comparison.add(row, found),
                    Err(text) => comparison.unlisted.push(text),
                }
            }
        }
        Ok(comparison)
    }

    fn add_line(&self, comparison: &Comparison, programmed: Duration, all: Duration) {
        let listed = |which| comparison.listed.get(which).copied().unwrap_or_default();
        let line = format!(
            "packets: {:<20} equal {:>5}  D11 {:>3}  D12 {:>3}  wrong {:>4}   programmed in {:.1} s, all in {:.0} s",
            self.name,
            comparison.equal,
            listed("D11"),
            listed("D12"),
            comparison.unlisted.len(),
            programmed.as_secs_f64(),
            all.as_secs_f64(),
        );
        LINES
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(line);
    }
}

fn folder() -> PathBuf {
    let own = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let own = own.unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    own.with_file_name("conformance").join("packets")
}

/// Sends the probes of one source; returns the replies in the order of `rows`.
fn send(lab: &Lab, source: &str, rows: &[&Recorded]) -> Outcome<Vec<Vec<Reply>>> {
    let asks: Vec<Ask> = rows.iter().map(|row| ask(row)).collect();
    let volley = Volley::new(lab.place(source)?);
    let mut replies = volley.ask(&asks)?;
    // As in the recording: if some attempts were answered and others were not, all are made again.
    // This excludes single packets that a slow machine lost.
    let again: Vec<usize> = (0..rows.len())
        .filter(|place| is_mixed(&replies[*place]))
        .collect();
    let patient = Volley {
        timeout: Duration::from_secs(2),
        width: 8,
        ..volley
    };
    let asks: Vec<Ask> = again.iter().map(|place| asks[*place]).collect();
    for (place, second) in again.into_iter().zip(patient.ask(&asks)?) {
        replies[place] = second;
    }
    Ok(replies)
}

fn is_mixed(replies: &[Reply]) -> bool {
    let answered = |reply: &&Reply| matches!(reply, Reply::Answered(_) | Reply::Echo);
    let count = replies.iter().filter(answered).count();
    count > 0 && count < replies.len()
}

fn ask(row: &Recorded) -> Ask {
    let over = match row.probe.protocol {
        ipvs::Protocol::Tcp => Over::Transport(Protocol::Tcp),
        ipvs::Protocol::Udp => Over::Transport(Protocol::Udp),
        ipvs::Protocol::Sctp => Over::Transport(Protocol::Sctp),
        ipvs::Protocol::Other(_) => Over::Ping,
    };
    Ask {
        over,
        target: row.probe.to,
        source: None,
    }
}

/// Returns the difference between the result of a probe and the recorded one, or none. An error is
/// a difference that no listed deviation explains.
fn judge(
    row: &Recorded,
    replies: &[Reply],
    comparison: &Comparison,
    tables: &NodeTables,
    world: &World,
) -> Result<Option<String>, String> {
    let found = outcomes(replies).map_err(|text| format!("{}: {text}", row.name))?;
    let found = Seen::from(found);
    let theirs = &row.seen;
    if *theirs == found {
        return Ok(None);
    }
    let ours = seen(tables, world, row)?;
    // With affinity one pod answers, and it may be another one than in the recording.
    if row.affinity && found.is_one() && found.is_part_of(&ours) {
        return Ok(None);
    }
    let name = &row.name;
    if comparison.lists(row) && found != ours {
        return Err(format!("{name}: {found}; our own tables predict {ours}"));
    }
    Ok(Some(format!("{name}: kube-proxy: {theirs}; here: {found}")))
}

fn outcomes(replies: &[Reply]) -> Result<Verdict, String> {
    let outcome = |reply: &Reply| {
        Ok(match reply {
            Reply::Answered(answer) => trace::Outcome::Answered {
                by: answer.pod.clone(),
                seeing: Some(answer.seen_from),
            },
            Reply::Echo => trace::Outcome::Echo,
            Reply::Refused => trace::Outcome::Refused,
            Reply::Unreachable(what) => trace::Outcome::Unreachable((*what).to_owned()),
            Reply::Timeout => trace::Outcome::Lost,
            Reply::NotPermitted => trace::Outcome::NotPermitted,
            Reply::Other(text) => return Err(text.clone()),
        })
    };
    replies
        .iter()
        .map(outcome)
        .collect::<Result<_, _>>()
        .map(Verdict)
}

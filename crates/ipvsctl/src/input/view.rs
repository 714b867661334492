//! Desired and live tables of a node, and their difference: the input of most commands.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;

use ipvs::VirtualServerKey;
use model::text::Part;
use model::{ObjectName, Plan, Snapshot};

use super::desired::Origin;
use super::node::Node;
use super::{Input, live, running};
use crate::cli::Compared;
use crate::error::{Error, Status};
use crate::grouping::{Changes, Selection};
use crate::style;

/// Desired and live tables of a node, and their difference.
#[derive(Debug)]
pub struct View {
    /// The cluster and the desired tables of the node.
    pub input: Input,
    /// Live tables.
    pub live: Snapshot,
    /// Changes that turn the live tables into the desired ones.
    pub plan: Plan,
    /// Parts that the file of saved tables lacks. They are not compared.
    pub unsaved: Vec<Part>,
}

impl View {
    /// Reads the objects and the live tables of `args`, and compares them.
    ///
    /// # Errors
    ///
    /// The node, the cluster or the live tables cannot be read.
    pub fn read(args: &Compared) -> Result<Self, Error> {
        Self::read_with(args, None, None, |node| {
            live::of_kernel(&mut live::read_only_kernel()?, node)
        })
    }

    /// Does the same as [`View::read`], with the kernel's tables from `kernel`, and the addresses of
    /// the pods in the namespace of `pod`. kube-ipvsd is asked for health checks at `metrics`, even
    /// for saved tables; without it at the configured address, for tables of the kernel.
    ///
    /// # Errors
    ///
    /// As [`View::read`], and those of `kernel`.
    pub fn read_with(
        args: &Compared,
        pod: Option<&ObjectName>,
        metrics: Option<SocketAddr>,
        kernel: impl FnOnce(&mut Node) -> Result<Snapshot, Error>,
    ) -> Result<Self, Error> {
        let Compared {
            source,
            node,
            live: saved,
        } = args;
        let stdin = Path::new("-");
        if saved.as_deref() == Some(stdin) && source.paths.iter().any(|path| path == stdin) {
            return Err(Error::StandardInputTwice);
        }
        // Saved tables may be those of another node.
        let origin = match saved {
            Some(_) => Origin::of_arguments(source, node),
            None => Origin::find(source, node, Path::new(running::PROC)),
        };
        let origin = origin.with_pods_near(pod);
        let mut node = origin.node()?;
        let cluster = origin.cluster(&mut node)?;
        Ok(match saved {
            Some(path) => {
                let saved = live::saved(path)?;
                live::describe(&mut node, &saved);
                if metrics.is_some() {
                    node.ask_endpoint_states(&cluster.state, metrics);
                }
                let input = Input::compile(cluster, node).report();
                let live::Comparable {
                    live,
                    ours,
                    unsaved,
                } = live::comparable(saved, &input);
                Self {
                    unsaved,
                    ..Self::compare(input, live, ours)
                }
            }
            None => {
                let live = kernel(&mut node)?;
                node.ask_endpoint_states(&cluster.state, metrics);
                let input = Input::compile(cluster, node).report();
                Self::compare(input, live, BTreeSet::new())
            }
        })
    }

    /// Compares the desired tables of `input` with `live`. Prints findings and withheld deletions
    /// on standard error. `ours` are virtual servers that are ours whatever their address.
    #[must_use]
    pub fn compare(input: Input, live: Snapshot, ours: BTreeSet<VirtualServerKey>) -> Self {
        let plan = input.plan(&live, ours);
        plan.findings.values().for_each(style::finding);
        if plan.withheld > 0 {
            let why = if input.whole {
                "another program changed the IPVS table while it was read: run the command again"
            } else {
                "a part of the input could not be read: see the errors above"
            };
            style::warning(&format!("{} deletions are withheld: {why}", plan.withheld));
        }
        Self {
            input,
            live,
            plan,
            unsaved: Vec::new(),
        }
    }

    /// Returns the selected changes of the plan by the Services that ask for them.
    #[must_use]
    pub fn changes(&self, selection: Selection<'_>) -> Changes<'_> {
        Changes::of(&self.plan, &self.input.claims, selection)
    }

    /// Returns the status of a command that found something or not. A part of the input that could
    /// not be read is a failure.
    #[must_use]
    pub fn status(&self, found: bool) -> Status {
        self.input.status(found)
    }
}

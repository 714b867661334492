//! Policy of a Service: everything about its traffic that a Kubernetes Service has no field for.
//!
//! A policy is written in three places with the same fields and values: in annotations of a
//! Service, in `servicePolicies` of the configuration, and in a VirtualServer.
//! `docs/reference/policy.md` describes it for operators.

mod check;
mod forwarding;
mod pattern;
mod rule;
mod slow_start;
#[cfg(test)]
mod tests;
mod value;
mod weights;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

pub use self::check::{
    CheckTarget, EndpointCheck, FailedTargets, GrpcProbe, HttpProbe, HttpsProbe, OnFailure,
    Payload, Probe, ProbeKind, UdpProbe, Verify, is_authority_name,
};
pub use self::forwarding::ForwardingMethod;
pub use self::pattern::Pattern;
pub use self::rule::{LabelSelector, PolicyRule, Requirement};
pub use self::slow_start::{RampStep, Ramps, SlowStart, is_gradual};
use self::value::Value;
pub use self::value::{
    AffinityPrefix, AffinityScope, ConnectionLimits, Drain, Given, SchedulerName, is_weighted,
    scheduler_flags,
};
pub use self::weights::{Locality, MAX_WEIGHT, Place, WeightRule, Weights};
use crate::names::Name;
use crate::safe_text::{SafeText, escaped};

/// Prefix of the annotations by which a Service sets fields of its policy.
pub const PREFIX: &str = "kube-ipvs.io/";

/// An annotation of a Service that begins with [`PREFIX`], as it was written. Both texts are safe to
/// print, see [`SafeText`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Annotation {
    /// The rest of its name.
    pub name: Name,
    /// Its value.
    pub value: Name,
}

impl Annotation {
    /// Maximum number of annotations of one Service that are read.
    pub const MAX: usize = 32;
    /// Maximum length of a value, bytes. A longer one is cut, and refused because of its length.
    pub const MAX_LENGTH: usize = 2_048;

    /// Returns the annotation with this name and value, cut if it is too long.
    #[must_use]
    pub fn new(name: &str, value: &str) -> Self {
        // A few bytes more than are allowed show that the value is too long.
        let value = value.trim();
        let value = escaped(&value[..value.floor_char_boundary(Self::MAX_LENGTH + 4)]);
        Self {
            name: SafeText::new(name).into_name(),
            value: value[..value.floor_char_boundary(Self::MAX_LENGTH + 4)].into(),
        }
    }
}

macro_rules! fields {
    ($(
        $(#[doc = $meaning:literal])+
        $variant:ident $field:ident: $type:ty = $name:literal, $annotation:literal;
    )+) => {
        /// A field of a policy.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum PolicyField {
            $($(#[doc = $meaning])+ $variant,)+
        }

        impl PolicyField {
            /// All fields, in the order in which they are shown.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Returns the name of the field in a file.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// Returns the name of the annotation without [`PREFIX`].
            #[must_use]
            pub fn annotation(self) -> &'static str {
                match self { $(Self::$variant => $annotation,)+ }
            }

            /// Returns the purpose of the field. Markdown.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($meaning),+).trim_ascii_start(),)+ }
            }

            /// Describes the values.
            #[must_use]
            pub fn form(self) -> String {
                match self { $(Self::$variant => <$type>::form(),)+ }
            }
        }

        /// Policy of one Service. A field that is `None` is not set.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct ServicePolicy {
            $($(#[doc = $meaning])+ pub $field: Option<$type>,)+
        }

        impl ServicePolicy {
            /// Sets `field` to the value that was written.
            ///
            /// # Errors
            ///
            /// The problem of the value, as the end of a sentence. The field keeps its value.
            pub fn set(&mut self, field: PolicyField, given: &Given<'_>) -> Result<(), String> {
                match field {
                    $(PolicyField::$variant => self.$field = Some(<$type>::read(given)?),)+
                }
                Ok(())
            }

            /// Returns the value of `field` as an annotation holds it; `None` if it is not set.
            #[must_use]
            pub fn text(&self, field: PolicyField) -> Option<String> {
                match field {
                    $(PolicyField::$variant => self.$field.as_ref().map(Value::write),)+
                }
            }

            /// Takes the value of `field` from `other` if this policy does not set it. Returns
            /// true if it did.
            pub fn inherit(&mut self, field: PolicyField, other: &Self) -> bool {
                match field {
                    $(PolicyField::$variant => {
                        let takes = self.$field.is_none() && other.$field.is_some();
                        if takes {
                            self.$field.clone_from(&other.$field);
                        }
                        takes
                    })+
                }
            }

            /// Removes the value of `field`.
            pub fn clear(&mut self, field: PolicyField) {
                match field { $(PolicyField::$variant => self.$field = None,)+ }
            }
        }
    };
}

fields! {
    /// Scheduler of the Service's virtual servers.
    Scheduler scheduler: SchedulerName = "scheduler", "scheduler";

    /// Flags of the scheduler `sh` or `mh`. `*-port` also hashes the client's port. `*-fallback`
    /// chooses another endpoint while the selected one has weight 0.
    SchedulerFlags scheduler_flags: Vec<Name> = "schedulerFlags", "scheduler-flags";

    /// Weights of endpoints by their zone, node or address. The most specific key decides: an
    /// address before the longest network, a node's name before a pattern, a zone after these,
    /// `default` last. Without `default` all other endpoints have weight 1. An endpoint with
    /// weight 0 keeps its connections and gets no new ones.
    Weights weights: Weights = "weights", "weights";

    /// Factors of the weights by the place of an endpoint relative to this node: on this node, in
    /// its zone, or elsewhere.
    Locality locality: Locality = "locality", "locality";

    /// Numbers of connections of one endpoint. With `upper` connections it gets no new ones, until it
    /// has fewer than `lower`, by default three quarters of `upper`. The kernel counts them for
    /// each virtual server.
    ConnectionLimits connection_limits: ConnectionLimits = "connectionLimits", "connection-limits";

    /// Every UDP datagram is scheduled on its own. Clients get no answers from the virtual address.
    OnePacket one_packet: bool = "onePacket", "one-packet";

    /// Prefix length, for each family, of the clients that count as one for
    /// `sessionAffinity: ClientIP`.
    AffinityPrefix affinity_prefix: AffinityPrefix = "affinityPrefix", "affinity-prefix";

    /// Ports at which a client of `sessionAffinity: ClientIP` has one endpoint: each `port` has an
    /// affinity of its own, or the client gets the same endpoint at every port of the `service`
    /// with the same protocol.
    AffinityScope affinity_scope: AffinityScope = "affinityScope", "affinity-scope";

    /// Maximum time for which a removed endpoint keeps its TCP connections; 0 is unlimited.
    DrainTimeout drain_timeout: Drain = "drainTimeout", "drain-timeout";

    /// Maximum time for which an endpoint that terminates keeps its UDP flows; 0 ends them at once.
    UdpDrainTimeout udp_drain_timeout: Drain = "udpDrainTimeout", "udp-drain-timeout";

    /// Active check of the endpoints by this node. An endpoint that fails `fall` probes in a row
    /// gets no new connections, until `rise` probes in a row succeed.
    HealthCheck health_check: EndpointCheck = "healthCheck", "health-check";

    /// Time over which the weight of an endpoint that begins to get connections grows in ten steps,
    /// from a tenth to its full weight.
    SlowStart slow_start: SlowStart = "slowStart", "slow-start";

    /// Forwarding method of packets to external and load-balancer addresses, for endpoints that are
    /// not on this node. `direct` sends the unchanged packet to the endpoint's link-layer address,
    /// `tunnel` encapsulates it; the endpoint answers the client itself, from the virtual address.
    Forwarding forwarding: ForwardingMethod = "forwarding", "forwarding";
}

impl PolicyField {
    /// Returns the fields that a Service may set unless the administrator says otherwise: all but
    /// those by which a Service makes nodes send packets of another kind than its clients' to its
    /// endpoints: probes, and packets that keep the virtual address or are encapsulated.
    #[must_use]
    pub fn allowed_by_default() -> BTreeSet<Self> {
        let sends = [Self::HealthCheck, Self::Forwarding];
        let fields = Self::ALL.iter().copied();
        fields.filter(|field| !sends.contains(field)).collect()
    }

    /// Returns the field with this name in a file.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|field| field.name() == name)
    }

    /// Returns the field with this annotation.
    #[must_use]
    pub fn of_annotation(name: &str) -> Option<Self> {
        (Self::ALL.iter().copied()).find(|field| field.annotation() == name)
    }
}

impl ServicePolicy {
    /// Returns true if no field is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns the fields that are set, with their values as an annotation holds them.
    pub fn values(&self) -> impl Iterator<Item = (PolicyField, String)> + '_ {
        (PolicyField::ALL.iter()).filter_map(|field| Some((*field, self.text(*field)?)))
    }
}

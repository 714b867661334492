//! kube-proxy's flags without a field, of releases 1.20 to 1.37.

use super::{Effect, Kind};

/// A flag of kube-proxy without a field.
#[derive(Clone, Copy, Debug)]
pub struct ExtraFlag {
    /// Its name, without the dashes.
    pub flag: &'static str,
    /// The kind of its value: [`Kind::Bool`] may be left out.
    pub kind: Kind,
    /// The value that asks for nothing that is not so here.
    pub default: &'static str,
    /// The field that it says something about.
    pub about: Option<&'static str>,
    /// Its effect.
    pub effect: Effect,
    /// Its purpose.
    pub meaning: &'static str,
}

impl ExtraFlag {
    const fn later(flag: &'static str, about: Option<&'static str>, meaning: &'static str) -> Self {
        Self {
            flag,
            kind: Kind::Text,
            default: "",
            about,
            effect: Effect::Later,
            meaning,
        }
    }

    const fn nothing(
        flag: &'static str,
        kind: Kind,
        default: &'static str,
        meaning: &'static str,
    ) -> Self {
        Self {
            flag,
            kind,
            default,
            about: None,
            effect: Effect::Nothing,
            meaning,
        }
    }

    /// Returns true if `value` asks for nothing that is not so here.
    pub(in super::super) fn asks_for_nothing(&self, value: &str) -> bool {
        let boolean = |text| super::super::parse_boolean(text);
        match self.kind {
            Kind::Bool => boolean(value).is_some() && boolean(value) == boolean(self.default),
            _ => value.is_empty() || value == self.default,
        }
    }
}

const fn text(flag: &'static str, default: &'static str, meaning: &'static str) -> ExtraFlag {
    ExtraFlag::nothing(flag, Kind::Text, default, meaning)
}

const fn boolean(flag: &'static str, default: &'static str, meaning: &'static str) -> ExtraFlag {
    ExtraFlag::nothing(flag, Kind::Bool, default, meaning)
}

const FILES: &str = "Log files: lines go to standard error alone";
const HEADERS: &str = "Of kube-proxy's log lines";
const STREAMS: &str =
    "Streams and buffers of kube-proxy's log: every line goes to standard error at once";
const USERSPACE: &str = "Of the userspace mode";
const WINDOWS: &str = "Of Windows";
const CADVISOR: &str = "Of a library in kube-proxy";

/// kube-proxy's flags without a field.
pub const EXTRA_FLAGS: &[ExtraFlag] = &[
    ExtraFlag::later(
        "healthz-port",
        Some("healthzBindAddress"),
        "Deprecated: the port for a --healthz-bind-address without one; 0 is no server",
    ),
    ExtraFlag::later(
        "metrics-port",
        Some("metricsBindAddress"),
        "Deprecated: the port for a --metrics-bind-address without one; 0 is no server",
    ),
    ExtraFlag::later(
        "master",
        None,
        "The API server's URL; name it in a kubeconfig instead",
    ),
    boolean("logtostderr", "true", FILES),
    boolean("alsologtostderr", "true", FILES),
    text("stderrthreshold", "INFO", FILES),
    text("log-dir", "", FILES),
    text("log-file", "", FILES),
    text("log-file-max-size", "1800", FILES),
    boolean("one-output", "false", FILES),
    boolean("add-dir-header", "false", HEADERS),
    boolean("skip-headers", "false", HEADERS),
    boolean("skip-log-headers", "false", HEADERS),
    text("log-backtrace-at", ":0", HEADERS),
    text("log-json-info-buffer-size", "0", STREAMS),
    boolean("log-json-split-stream", "false", STREAMS),
    text("log-text-info-buffer-size", "0", STREAMS),
    boolean("log-text-split-stream", "false", STREAMS),
    text("proxy-port-range", "", USERSPACE),
    text("udp-timeout", "250ms", USERSPACE),
    boolean(
        "cleanup-ipvs",
        "true",
        "Deprecated: --cleanup deletes IPVS entries always",
    ),
    text("boot-id-file", "/proc/sys/kernel/random/boot_id", CADVISOR),
    text(
        "machine-id-file",
        "/etc/machine-id,/var/lib/dbus/machine-id",
        CADVISOR,
    ),
    text("azure-container-registry-config", "", CADVISOR),
    boolean("windows-service", "false", WINDOWS),
    boolean("enable-dsr", "false", WINDOWS),
    boolean("forward-healthcheck-vip", "false", WINDOWS),
    text("network-name", "", WINDOWS),
    text("root-hnsendpoint-name", "cbr0", WINDOWS),
    text("source-vip", "", WINDOWS),
];

//! kube-proxy's flags without a field, of releases 1.20 to 1.37.

use super::Effect;
use crate::config::parse_boolean;

/// A flag of kube-proxy without a field.
#[derive(Clone, Copy, Debug)]
pub struct ExtraFlag {
    /// Name, without the dashes.
    pub flag: &'static str,
    /// Value that asks for what is so here anyway.
    pub default: &'static str,
    /// Field that the flag is about.
    pub(crate) about: Option<&'static str>,
    pub(crate) effect: Effect,
    pub(crate) meaning: &'static str,
}

impl ExtraFlag {
    /// Returns true if the value may be left out.
    pub(crate) fn is_switch(&self) -> bool {
        parse_boolean(self.default).is_some() && self.default.len() > 1
    }

    /// Returns true if the last value asks for what is so here anyway.
    pub(crate) fn asks_for_nothing(&self, texts: &[String]) -> bool {
        let last = texts.last().map_or("", String::as_str);
        match parse_boolean(last) {
            Some(boolean) if self.is_switch() => parse_boolean(self.default) == Some(boolean),
            _ => last == self.default || last.is_empty() && !self.is_switch(),
        }
    }
}

const FILES: &str = "Log files: lines go to standard error alone";
const HEADERS: &str = "Of kube-proxy's log lines";
const STREAMS: &str =
    "Streams and buffers of kube-proxy's log: every line goes to standard error at once";
const USERSPACE: &str = "Of the userspace mode";
const WINDOWS: &str = "Of Windows";
const CADVISOR: &str = "Of a library in kube-proxy";

macro_rules! flags {
    ($($flag:literal = $default:literal, $effect:ident $(($about:literal))?: $meaning:expr;)+) => {
        /// kube-proxy's flags without a field.
        pub const EXTRA_FLAGS: &[ExtraFlag] = &[$(ExtraFlag {
            flag: $flag,
            default: $default,
            about: [$(Some($about),)? None][0],
            effect: Effect::$effect,
            meaning: $meaning,
        }),+];
    };
}

flags! {
    "healthz-port" = "", Later("healthzBindAddress"):
        "Deprecated: the port for a --healthz-bind-address without one; 0 is no server";
    "metrics-port" = "", Later("metricsBindAddress"):
        "Deprecated: the port for a --metrics-bind-address without one; 0 is no server";
    "master" = "", Later: "The API server's URL; name it in a kubeconfig instead";
    "logtostderr" = "true", Nothing: FILES;
    "alsologtostderr" = "true", Nothing: FILES;
    "stderrthreshold" = "INFO", Nothing: FILES;
    "log-dir" = "", Nothing: FILES;
    "log-file" = "", Nothing: FILES;
    "log-file-max-size" = "1800", Nothing: FILES;
    "one-output" = "false", Nothing: FILES;
    "add-dir-header" = "false", Nothing: HEADERS;
    "skip-headers" = "false", Nothing: HEADERS;
    "skip-log-headers" = "false", Nothing: HEADERS;
    "log-backtrace-at" = ":0", Nothing: HEADERS;
    "log-json-info-buffer-size" = "0", Nothing: STREAMS;
    "log-json-split-stream" = "false", Nothing: STREAMS;
    "log-text-info-buffer-size" = "0", Nothing: STREAMS;
    "log-text-split-stream" = "false", Nothing: STREAMS;
    "proxy-port-range" = "", Nothing: USERSPACE;
    "udp-timeout" = "250ms", Nothing: USERSPACE;
    "cleanup-ipvs" = "true", Nothing: "Deprecated: --cleanup deletes IPVS entries always";
    "boot-id-file" = "/proc/sys/kernel/random/boot_id", Nothing: CADVISOR;
    "machine-id-file" = "/etc/machine-id,/var/lib/dbus/machine-id", Nothing: CADVISOR;
    "azure-container-registry-config" = "", Nothing: CADVISOR;
    "windows-service" = "false", Nothing: WINDOWS;
    "enable-dsr" = "false", Nothing: WINDOWS;
    "forward-healthcheck-vip" = "false", Nothing: WINDOWS;
    "network-name" = "", Nothing: WINDOWS;
    "root-hnsendpoint-name" = "cbr0", Nothing: WINDOWS;
    "source-vip" = "", Nothing: WINDOWS;
}

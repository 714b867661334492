//! Every flag of kube-proxy from 1.20 to 1.37.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use clap::error::ErrorKind;
use sources::config::parse_boolean;
use sources::config::table::{EXTRA_FLAGS, FIELDS};

use super::*;

/// The effect of a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Becomes {
    /// Sets a field that has an effect.
    Acts,
    /// Sets a field that has an effect only with another `detectLocalMode`; one warning reports it.
    OfMode,
    /// Belongs to kube-ipvsd itself.
    Own,
    /// Sets a field that has no effect yet; one warning.
    NotYet,
    /// Has an effect, and one warning names the flag to use.
    Deprecated,
    /// Has no effect; one warning.
    NoEffect,
    /// Has no meaning in the ipvs mode, whatever its value; no warning.
    Nothing,
}

use Becomes::{Acts, Deprecated, NoEffect, NotYet, Nothing, OfMode, Own};

/// Flags with a value that is not the default, the minor releases that have the flag, and its
/// effect here.
const FLAGS: &[(&str, &str, RangeInclusive<u8>, Becomes)] = &[
    ("add-dir-header", "true", 20..=25, NoEffect),
    ("alsologtostderr", "false", 20..=25, NoEffect),
    ("azure-container-registry-config", "/a", 20..=25, NoEffect),
    ("bind-address", "10.0.0.1", 20..=37, Acts),
    ("bind-address-hard-fail", "true", 20..=37, Acts),
    ("boot-id-file", "/b", 20..=30, NoEffect),
    ("cleanup", "true", 20..=37, Own),
    ("cleanup-ipvs", "false", 20..=20, NoEffect),
    ("cluster-cidr", "10.244.0.0/16", 20..=37, Acts),
    ("config", "/dev/null", 20..=37, Own),
    ("config-sync-period", "5m", 20..=37, NotYet),
    ("conntrack-max-per-core", "1000", 20..=37, Acts),
    ("conntrack-min", "1000", 20..=37, Acts),
    ("conntrack-tcp-be-liberal", "true", 29..=37, Acts),
    ("conntrack-tcp-timeout-close-wait", "10m", 20..=37, Acts),
    ("conntrack-tcp-timeout-established", "2h", 20..=37, Acts),
    ("conntrack-udp-timeout", "10s", 29..=37, Acts),
    ("conntrack-udp-timeout-stream", "20s", 29..=37, Acts),
    ("detect-local-mode", "NodeCIDR", 20..=37, Acts),
    ("enable-dsr", "true", 20..=37, NoEffect),
    ("feature-gates", "A=true", 20..=37, NoEffect),
    ("forward-healthcheck-vip", "true", 24..=37, NoEffect),
    ("healthz-bind-address", "127.0.0.1:1", 20..=37, Acts),
    ("healthz-port", "1", 20..=37, Deprecated),
    ("help", "", 20..=37, Own),
    ("hostname-override", "n", 20..=37, Own),
    ("init-only", "true", 29..=37, Own),
    ("iptables-localhost-nodeports", "false", 26..=37, Nothing),
    ("iptables-masquerade-bit", "3", 20..=37, Acts),
    ("iptables-min-sync-period", "2s", 20..=37, NoEffect),
    ("iptables-sync-period", "1m", 20..=37, NoEffect),
    ("ipvs-exclude-cidrs", "10.0.0.0/8", 20..=37, Acts),
    ("ipvs-min-sync-period", "1s", 20..=37, Acts),
    ("ipvs-scheduler", "lc", 20..=37, Acts),
    ("ipvs-strict-arp", "true", 20..=37, Acts),
    ("ipvs-sync-period", "1m", 20..=37, Acts),
    ("ipvs-tcp-timeout", "2h", 20..=37, Acts),
    ("ipvs-tcpfin-timeout", "1m", 20..=37, Acts),
    ("ipvs-udp-timeout", "1m", 20..=37, Acts),
    ("kube-api-burst", "5", 20..=37, NotYet),
    (
        "kube-api-content-type",
        "application/json",
        20..=37,
        NoEffect,
    ),
    ("kube-api-qps", "6", 20..=37, NotYet),
    ("kubeconfig", "/k", 20..=37, Own),
    ("log-backtrace-at", "a.go:1", 20..=25, NoEffect),
    ("log-dir", "/var/log", 20..=25, NoEffect),
    ("log-file", "/var/log/kube-proxy.log", 20..=25, NoEffect),
    ("log-file-max-size", "100", 20..=25, NoEffect),
    ("log-flush-frequency", "1s", 20..=37, NoEffect),
    ("log-json-info-buffer-size", "1M", 28..=37, NoEffect),
    ("log-json-split-stream", "true", 28..=37, NoEffect),
    ("log-text-info-buffer-size", "1M", 31..=37, NoEffect),
    ("log-text-split-stream", "true", 31..=37, NoEffect),
    ("logging-format", "json", 28..=37, Acts),
    ("logtostderr", "false", 20..=25, NoEffect),
    ("machine-id-file", "/m", 20..=30, NoEffect),
    ("masquerade-all", "true", 20..=37, Acts),
    ("master", "https://192.0.2.1", 20..=37, NotYet),
    ("metrics-bind-address", "0.0.0.0", 20..=37, Acts),
    ("metrics-port", "1", 20..=37, Deprecated),
    ("network-name", "n", 20..=37, NoEffect),
    ("nodeport-addresses", "primary", 20..=37, Acts),
    ("one-output", "true", 20..=25, NoEffect),
    ("oom-score-adj", "-998", 20..=37, Acts),
    ("pod-bridge-interface", "cni0", 24..=37, OfMode),
    ("pod-interface-name-prefix", "veth", 24..=37, OfMode),
    ("profiling", "true", 20..=37, NotYet),
    ("proxy-mode", "ipvs", 20..=37, Acts),
    ("proxy-port-range", "1-2", 20..=30, NoEffect),
    ("root-hnsendpoint-name", "r", 24..=37, NoEffect),
    ("show-hidden-metrics-for-version", "1.30", 20..=37, NoEffect),
    ("skip-headers", "true", 20..=25, NoEffect),
    ("skip-log-headers", "true", 20..=25, NoEffect),
    ("source-vip", "192.0.2.1", 20..=37, NoEffect),
    ("stderrthreshold", "2", 20..=25, NoEffect),
    ("udp-timeout", "1s", 20..=25, NoEffect),
    ("v", "4", 20..=37, Acts),
    ("version", "true", 20..=37, Own),
    ("vmodule", "a=1", 20..=37, NoEffect),
    ("windows-service", "true", 20..=37, NoEffect),
    ("write-config-to", "/w", 20..=37, Own),
];

/// Returns true for values of flags whose value is optional.
fn is_boolean(value: &str) -> bool {
    parse_boolean(value).is_some() && value.len() > 1
}

fn parse(arg: &str) -> Result<Args, clap::Error> {
    Args::read(["kube-ipvsd", arg].map(OsString::from).into_iter())
}

fn warnings(arg: &str) -> Vec<String> {
    let args = parse(arg).expect(arg);
    let resolved = sources::config::load(args.config.as_deref(), &args.overrides(), "host");
    let warnings = resolved.expect(arg).warnings;
    warnings.iter().map(ToString::to_string).collect()
}

#[test]
fn every_flag_has_an_effect_or_one_warning() {
    for (flag, value, releases, becomes) in FLAGS {
        let expected = match becomes {
            _ if ["help", "version"].contains(flag) => continue,
            Acts | Own | Nothing => vec![],
            OfMode => vec!["has no effect while detectLocalMode is ClusterCIDR"],
            NotYet => vec!["has no effect yet"],
            Deprecated => vec!["is deprecated, use"],
            NoEffect => vec!["has no effect"],
        };
        for name in [flag.replace('-', "_"), (*flag).to_owned()] {
            let found = warnings(&format!("--{name}={value}"));
            let fits = (found.iter().zip(&expected))
                .all(|(found, text)| found.starts_with(&format!("--{flag}: {text}")));
            let which = format!("--{name} of 1.{} to 1.{}", releases.start(), releases.end());
            assert!(fits && found.len() == expected.len(), "{which}: {found:?}");
        }
        if is_boolean(value) {
            for arg in ["", "=true", "=false", "=0", "=T"] {
                assert!(
                    warnings(&format!("--{flag}{arg}")).len() <= 1,
                    "{flag}{arg}"
                );
            }
        }
    }
}

#[test]
fn the_list_of_flags_is_complete() {
    let listed: BTreeSet<_> = FLAGS.iter().map(|(flag, ..)| *flag).collect();
    let fields = FIELDS.iter().filter_map(|field| field.flag);
    let known: BTreeSet<_> = fields
        .chain(EXTRA_FLAGS.iter().map(|extra| extra.flag))
        .collect();
    let own = FLAGS.iter().filter(|(.., becomes)| *becomes == Own);
    let own: BTreeSet<_> = own.map(|(flag, ..)| *flag).collect();
    assert_eq!(listed, known.union(&own).copied().collect());
    assert!(FLAGS.is_sorted_by_key(|(flag, ..)| *flag));
    assert!(
        FLAGS
            .iter()
            .all(|(_, _, releases, _)| *releases.start() >= 20 && *releases.end() <= 37)
    );
}

#[test]
fn default_values_cause_no_warning() {
    for arg in [
        "--logtostderr=true",
        "--logtostderr",
        "--alsologtostderr",
        "--stderrthreshold=INFO",
        "--windows-service=false",
        "--log-text-split-stream=false",
        "--log-json-info-buffer-size=0",
        "--boot-id-file=/proc/sys/kernel/random/boot_id",
        "--log-dir=",
        "--cleanup=false",
        "--masquerade-all=false",
        "--feature-gates=A=false",
    ] {
        assert_eq!(warnings(arg), [""; 0], "{arg}");
    }
}

#[test]
fn switches_of_the_program_take_values() {
    let cleanup = |arg: &str| parse(arg).expect(arg).cleanup;
    assert!(cleanup("--cleanup") && cleanup("--cleanup=true") && cleanup("--cleanup=1"));
    assert!(!cleanup("--cleanup=false") && !cleanup("--cleanup=F"));
    assert!(!parse("--init_only=false").expect("flags").init_only);
    assert!(parse("--strict_config").expect("flags").strict_config);
    let kind = |arg: &str| parse(arg).expect_err(arg).kind();
    assert_eq!(kind("--cleanup=maybe"), ErrorKind::TooManyValues);
    for arg in ["--version", "--version=true", "--version=raw"] {
        assert_eq!(kind(arg), ErrorKind::DisplayVersion);
    }
    parse("--version=false").expect("flags");
    assert_eq!(kind("--help"), ErrorKind::DisplayHelp);
    assert_eq!(kind("--no_such"), ErrorKind::UnknownArgument);
}

#[test]
fn only_names_are_rewritten() {
    let read = |args: &[&str]| -> Vec<OsString> {
        as_kube_proxy_reads_it(args.iter().map(OsString::from))
    };
    let args = [
        "x",
        "--ipvs_scheduler=a_b",
        "--kube_config",
        "a_b",
        "-v_1",
        "--",
        "--a_b",
    ];
    let expected = [
        "x",
        "--ipvs-scheduler=a_b",
        "--kube-config",
        "a_b",
        "-v_1",
        "--",
        "--a_b",
    ];
    assert_eq!(read(&args), expected.map(OsString::from));
}

#[test]
fn flagz_shows_every_flag() {
    let args = [
        "kube-ipvsd",
        "--ipvs_scheduler=lc",
        "--cleanup=false",
        "--nodeport-addresses=10.0.0.0/8",
        "--nodeport-addresses=primary",
        "--master=https://admin:secret@192.0.2.1:6443/",
        "-v",
        "4",
    ];
    let args = Args::read(args.map(OsString::from).into_iter()).expect("flags");
    let names: BTreeSet<&str> = FLAGS.iter().map(|(flag, ..)| *flag).collect();
    for name in names {
        // `hostname-override` is renamed; `help` and `version` end the process.
        let known = args.shown.contains_key(name);
        assert!(
            known || ["hostname-override", "help", "version"].contains(&name),
            "{name}"
        );
    }
    let page = crate::http::flagz::page(&args.shown);
    for line in [
        "ipvs-scheduler=lc",
        "cleanup=false",
        "nodeport-addresses=10.0.0.0/8,primary",
        "master=https://***@192.0.2.1:6443/",
        "v=4",
        "once=false",
        "ipvs-sync-period=30s",
        "cluster-cidr=",
        "metrics-bind-address=127.0.0.1:10249",
    ] {
        assert!(page.lines().any(|shown| shown == line), "{line}: {page}");
    }
    assert!(!page.contains("secret"));
}

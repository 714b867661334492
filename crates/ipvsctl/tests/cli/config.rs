//! `ipvsctl config`.

use serde_json::{Value, json};

use crate::folder::{Folder, SHOP};

const VALID: &str = "apiVersion: kube-ipvs.io/v1alpha1\nkind: KubeIpvsConfiguration\n\
                    ipvs: {scheduler: wlc, tcpTimeout: 2h}\nconfigSyncPeriod: 5m\n";

#[test]
fn valid_file_is_ok_with_warnings() {
    let folder = Folder::new().with("c.yaml", VALID);
    let ran = folder.run("config check c.yaml").exits(0);
    assert_eq!(ran.out, "c.yaml: ok\n");
    assert_eq!(ran.err, "warning: configSyncPeriod: has no effect yet\n");
}

#[test]
fn all_mistakes_are_reported() {
    let folder = Folder::new().with(
        "c.yaml",
        "drainTimeout: 5m\nmode: no\nipvs: {syncPeriod: soon}\n",
    );
    let ran = folder.run("config check c.yaml").exits(1);
    assert_eq!(ran.out, "");
    let paths: Vec<_> = (ran.err.lines())
        .map(|line| line.split(": ").nth(1).unwrap_or_default())
        .collect();
    assert_eq!(paths, ["drainTimeout", "ipvs.syncPeriod", "mode"]);
    assert!(
        ran.err.lines().all(|line| line.starts_with("error: ")),
        "{}",
        ran.err
    );
}

#[test]
fn unknown_fields_are_mistakes_with_strict_config() {
    let folder = Folder::new()
        .with("c.yaml", "new: 1\nhostnameOverride: node1\n")
        .with("shop.yaml", SHOP);
    let warning = "warning: new: is no field of a KubeProxyConfiguration";
    for args in [
        "config check c.yaml",
        "config show --config c.yaml",
        "render -f shop.yaml --config c.yaml",
    ] {
        for lenient in ["", " --lenient"] {
            let ran = folder.run(&format!("{args}{lenient}")).exits(0);
            ran.says(warning);
        }
        let ran = folder.run(&format!("{args} --strict-config"));
        assert_ne!(ran.status, 0, "{args}");
    }
}

#[test]
fn configuration_in_a_config_map_is_read() {
    let folder = Folder::new().with(
        "c.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: kube-proxy, namespace: kube-system}\ndata:\n  \
         config.conf: |\n    kind: KubeProxyConfiguration\n    mode: ipvs\n",
    );
    let ran = folder.run("config check c.yaml").exits(0);
    assert_eq!(
        ran.err,
        "note: reading data[\"config.conf\"] of ConfigMap kube-system/kube-proxy\n"
    );
}

#[test]
fn missing_file_is_an_error() {
    let folder = Folder::new();
    let ran = folder.run("config check c.yaml").exits(2);
    assert!(
        ran.err.starts_with("error: c.yaml: cannot be read: "),
        "{}",
        ran.err
    );
}

#[test]
fn show_prints_values_and_sources() {
    let folder = Folder::new().with("c.yaml", VALID);
    let ran = folder
        .run("config show --config c.yaml --node Node1 --ipvs-scheduler=rr")
        .exits(0)
        .says("warning: --ipvs-scheduler: is ignored: the configuration file decides");
    let lines: Vec<_> = ran.out.lines().collect();
    let column = |line: &str, word: &str| line.find(word).expect("the word");
    let of = |path: &str| {
        let found = (lines.iter()).find(|line| line.split(' ').next() == Some(path));
        *found.expect("the field")
    };
    let title = lines[0];
    for (path, value, source) in [
        ("hostnameOverride", "node1", "override --hostname-override"),
        ("ipvs.scheduler", "wlc", "file c.yaml"),
        ("ipvs.syncPeriod", "30s", "default"),
        ("configSyncPeriod", "5m0s", "file c.yaml"),
        ("clusterCIDR", "\"\"", "default"),
    ] {
        let line = of(path);
        assert_eq!(column(line, value), column(title, "VALUE"), "{line}");
        assert_eq!(column(line, source), column(title, "SOURCE"), "{line}");
    }
}

#[test]
fn show_reads_flags_without_a_file() {
    let folder = Folder::new();
    let args = "config show --node n --masquerade-all --ipvs-exclude-cidrs=10.0.0.0/8";
    let shown = folder.run(&format!("{args} -o json")).exits(0).json();
    assert_eq!(shown["apiVersion"], "kube-ipvs.io/v1alpha1");
    assert_eq!(shown["kind"], "EffectiveConfiguration");
    let values = shown["values"].as_array().expect("values");
    for expected in [
        json!({"path": "iptables.masqueradeAll", "value": true, "source": "flag --masquerade-all"}),
        json!({"path": "ipvs.excludeCIDRs", "value": ["10.0.0.0/8"], "source": "flag --ipvs-exclude-cidrs"}),
        json!({"path": "iptables.masqueradeBit", "value": 14, "source": "default"}),
    ] {
        assert!(values.contains(&expected), "no {expected} in {shown}");
    }
    let yaml_text = folder.run(&format!("{args} -o yaml")).exits(0).out;
    let yaml: Value = serde_saphyr::from_str(&yaml_text).expect("YAML");
    assert_eq!(yaml, shown);
}

#[test]
fn show_reports_all_mistakes() {
    let folder = Folder::new();
    let ran = folder
        .run("config show --proxy-mode=iptables --oom-score-adj=5000")
        .exits(2);
    assert_eq!(ran.out, "");
    assert_eq!(
        ran.err,
        "error: --oom-score-adj: must be from -1000 to 1000, not 5000\n\
         error: --proxy-mode: \"iptables\" is not supported, only ipvs\n"
    );
}

#[test]
fn spellings_of_kube_proxy_are_accepted() {
    let folder = Folder::new();
    let args = "config show --ipvs_scheduler=lc --cleanup=false --init_only=F --strict_config=true --masquerade_all --v=-1";
    let ran = folder.run(args).exits(0);
    assert_eq!(ran.err, "warning: --v: is negative: 0 is used\n");
    let has = |path: &str, value: &str| {
        let mut lines = ran
            .out
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>());
        lines.any(|words| words.starts_with(&[path, value]))
    };
    assert!(
        has("ipvs.scheduler", "lc") && has("iptables.masqueradeAll", "true"),
        "{}",
        ran.out
    );
    let ran = folder.run("config show --cleanup=true");
    assert_ne!(ran.status, 0);
}

#[test]
fn a_configuration_is_read_from_standard_input_and_misspelt_fields_are_told() {
    let folder = Folder::new().with(
        "config.yaml",
        "apiVersion: kube-ipvs.io/v1alpha1\nkind: KubeIpvsConfiguration\nipvs: {schedular: rr}\n",
    );
    let file = std::fs::File::open(folder.file("config.yaml")).expect("the file");
    let ran = folder.run_with("config check -", |command| {
        command.stdin(file);
    });
    ran.exits(1).says(
        "error: ipvs.schedular: is no field of a KubeIpvsConfiguration, is ipvs.scheduler meant?",
    );
}

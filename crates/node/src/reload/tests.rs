//! Tests of changes that take effect at once, need a restart, or are refused.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use sources::config::parse;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use super::*;
use crate::http::tests::metrics;

const HEAD: &str = "apiVersion: kube-ipvs.io/v1alpha1\nkind: KubeIpvsConfiguration\n";

fn resolve(fields: &str) -> Result<Resolved, ConfigErrors> {
    parse("file", &format!("{HEAD}{fields}"))?.resolve(&NodeOverrides::default(), "host")
}

/// Checks the fields that take effect at once, and the fields that need a restart, when `new`
/// replaces `old` in the file.
#[track_caller]
fn check(old: &str, new: &str, applied: &[&str], restart: &[&str]) {
    let old = resolve(old).expect("a valid file");
    let (now, later, holds) = match compare(&old, resolve(new)) {
        ReloadOutcome::Same => (Vec::new(), Vec::new(), old.clone()),
        ReloadOutcome::Changed {
            holds,
            applied,
            restart,
        } => (applied, restart, *holds),
        ReloadOutcome::Broken(errors) => panic!("{errors}"),
    };
    let printed = |changes: &[Change]| changes.iter().map(Change::to_string).collect::<Vec<_>>();
    assert_eq!(printed(&now), applied);
    assert_eq!(printed(&later), restart);
    assert_eq!(holds.settings, old.settings);
    assert_eq!(holds.kubeconfig, old.kubeconfig);
    assert_eq!(holds.node.node_name, old.node.node_name);
}

#[test]
fn fields_of_the_tables_take_effect_at_once_and_others_need_a_restart() {
    check("ipvs: {scheduler: rr}\n", "", &[], &[]);
    check(
        "",
        "ipvs: {scheduler: wrr, excludeCIDRs: [10.0.0.0/8]}\nconntrack: {min: 7}\n",
        &[
            r#"ipvs.scheduler: "rr" is now "wrr""#,
            r#"ipvs.excludeCIDRs: "[]" is now "[10.0.0.0/8]""#,
            r#"conntrack.min: "131072" is now "7""#,
        ],
        &[],
    );
    check(
        "",
        "hostnameOverride: other\nclientConnection: {kubeconfig: /k}\noomScoreAdj: -5\n",
        &[],
        &[
            r#"hostnameOverride: "host" is now "other""#,
            r#"clientConnection.kubeconfig: "" is now "/k""#,
            r#"oomScoreAdj: "-999" is now "-5""#,
        ],
    );
    check(
        "ipvs: {scheduler: sh}\n",
        "metricsBindAddress: 0.0.0.0:10250\n",
        &[r#"ipvs.scheduler: "sh" is now "rr""#],
        &[r#"metricsBindAddress: "127.0.0.1:10249" is now "0.0.0.0:10250""#],
    );
}

/// The daemon keeps its listeners and its API server until a restart, so these stay protected.
#[test]
fn own_ports_and_the_api_server_stay_protected_until_a_restart() {
    let mut old = resolve("").expect("a valid file");
    old.node.api_server = ["192.0.2.100:6443".parse().expect("a socket")].into();
    let new = resolve("healthzBindAddress: 0.0.0.0:9999\nprotectedHostPorts: [2222]\n");
    let ReloadOutcome::Changed { holds, .. } = compare(&old, new) else {
        panic!("two fields changed");
    };
    assert_eq!(holds.node.api_server, old.node.api_server);
    assert_eq!(holds.node.listener_ports, [10249, 10256].into());
    assert_eq!(holds.node.protected_host_ports, [2222].into());
}

#[test]
fn a_broken_file_names_the_field() {
    let old = resolve("").expect("a valid file");
    let outcome = compare(&old, resolve("ipvs: {syncPeriod: soon}\n"));
    let ReloadOutcome::Broken(ConfigErrors(errors)) = outcome else {
        panic!("{outcome:?}");
    };
    let paths: Vec<_> = errors.iter().map(|error| &*error.path).collect();
    assert_eq!(paths, ["ipvs.syncPeriod"]);
}

/// A mounted ConfigMap: `config.conf` is a link through `..data`, which each update replaces.
struct Mount {
    directory: TempDir,
    version: u32,
}

impl Mount {
    fn new(fields: &str) -> Self {
        let directory = TempDir::new().expect("a directory");
        let mut mount = Self {
            directory,
            version: 0,
        };
        mount.swap(fields);
        symlink("..data/config.conf", mount.file()).expect("a link");
        mount
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("config.conf")
    }

    fn swap(&mut self, fields: &str) {
        self.version += 1;
        let name = format!("..{}", self.version);
        let directory = self.directory.path();
        fs::create_dir(directory.join(&name)).expect("a directory");
        let file = directory.join(&name).join("config.conf");
        fs::write(file, format!("{HEAD}{fields}")).expect("a file");
        let link = directory.join("..data_tmp");
        symlink(Path::new(&name), &link).expect("a link");
        fs::rename(link, directory.join("..data")).expect("a swap");
    }
}

/// A running watcher.
struct Scene {
    mount: Mount,
    metrics: Arc<Metrics>,
    config: watch::Receiver<Arc<Resolved>>,
    reload: Arc<Notify>,
}

impl Scene {
    fn start(fields: &str) -> Self {
        let mount = Mount::new(fields);
        let metrics = metrics();
        let overrides = NodeOverrides::default();
        let read = load(Some(&mount.file()), &overrides, "host").expect("a valid file");
        let (sender, config) = watch::channel(Arc::new(read));
        let reload = Arc::new(Notify::new());
        let watcher = ConfigWatcher {
            path: mount.file(),
            overrides,
            hostname: "host".to_owned(),
            metrics: Arc::clone(&metrics),
            config: sender,
            reload: Arc::clone(&reload),
        };
        tokio::spawn(watcher.run());
        Self {
            mount,
            metrics,
            config,
            reload,
        }
    }

    /// Waits for the next configuration and returns its scheduler.
    async fn scheduler(&mut self) -> String {
        let changed = timeout(Duration::from_secs(10), self.config.changed()).await;
        changed.expect("a change in time").expect("a watcher");
        self.config.borrow_and_update().node.scheduler.0.to_string()
    }

    /// Checks that no new configuration has come.
    #[track_caller]
    fn unchanged(&self) {
        let changed = self.config.has_changed().expect("a watcher");
        assert!(!changed, "an unexpected change");
    }

    async fn exposed(&self, line: &str) {
        for _ in 0..200 {
            let text = self.metrics.text(Instant::now()).expect("text");
            if text.lines().any(|it| it == line) {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
        panic!("{line} is not exposed");
    }
}

#[tokio::test]
async fn a_config_map_is_followed_and_a_broken_one_ignored() {
    let mut scene = Scene::start("");
    scene.mount.swap("ipvs: {scheduler: wrr}\n");
    assert_eq!(scene.scheduler().await, "wrr");
    scene
        .exposed(r#"kubeipvs_config_reloads_total{result="ok"} 1"#)
        .await;
    scene.mount.swap("ipvs: {scheduler: [wrr]}\n");
    scene
        .exposed(r#"kubeipvs_config_reloads_total{result="failed"} 1"#)
        .await;
    scene.unchanged();
    scene.mount.swap("ipvs: {scheduler: sh}\n");
    assert_eq!(scene.scheduler().await, "sh");
    scene
        .exposed(r#"kubeipvs_config_reloads_total{result="ok"} 2"#)
        .await;
}

#[tokio::test]
async fn changes_before_the_watch_began_are_applied() {
    let mut scene = Scene::start("");
    // The watcher does not run before this task waits.
    scene.mount.swap("ipvs: {scheduler: lc}\n");
    assert_eq!(scene.scheduler().await, "lc");
}

#[tokio::test]
async fn a_file_that_is_valid_again_is_counted() {
    let mut scene = Scene::start("");
    scene.mount.swap("ipvs: 7\n");
    scene
        .exposed("kubeipvs_config_last_reload_successful 0")
        .await;
    scene.mount.swap("");
    scene
        .exposed("kubeipvs_config_last_reload_successful 1")
        .await;
    scene.unchanged();
}

/// A busy receiver gets the latest configuration, not a queue.
#[tokio::test]
async fn only_the_latest_configuration_is_kept() {
    let mut scene = Scene::start("");
    for (count, scheduler) in [(1, "wrr"), (2, "sh")] {
        scene
            .mount
            .swap(&format!("ipvs: {{scheduler: {scheduler}}}\n"));
        let line = format!(r#"kubeipvs_config_reloads_total{{result="ok"}} {count}"#);
        scene.exposed(&line).await;
    }
    assert_eq!(scene.scheduler().await, "sh");
    scene.unchanged();
}

/// A requested reading is counted even if the file, or its errors, are the same as before.
#[tokio::test]
async fn each_requested_reading_is_counted() {
    let mut scene = Scene::start("");
    for count in 1..3 {
        scene.reload.notify_one();
        let line = format!(r#"kubeipvs_config_reloads_total{{result="ok"}} {count}"#);
        scene.exposed(&line).await;
    }
    scene.unchanged();
    scene.mount.swap("ipvs: 7\n");
    for count in 1..3 {
        let line = format!(r#"kubeipvs_config_reloads_total{{result="failed"}} {count}"#);
        scene.exposed(&line).await;
        scene.reload.notify_one();
    }
    scene.mount.swap("ipvs: {scheduler: wrr}\n");
    scene.reload.notify_one();
    assert_eq!(scene.scheduler().await, "wrr");
}

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use model::{ClusterState, ObjectName};
use tempfile::TempDir;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::timeout;

use super::*;
use crate::event::SourceEvent;
use crate::list_guard::Confirmation;
use crate::status::{SourceState, SourceStatuses};

fn service(name: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: Service, metadata: {{name: {name}}}, spec: {{clusterIP: 10.96.0.1}}}}\n"
    )
}

/// A watched path and the events about it.
struct Scene {
    events: Receiver<SourceEvent>,
    statuses: SourceStatuses,
    state: ClusterState,
    troubles: Vec<String>,
    recovered: Vec<String>,
}

impl Scene {
    fn watch(path: &Path) -> Self {
        Self::confirming(path, Confirmation::default())
    }

    fn confirming(path: &Path, confirmation: Confirmation) -> Self {
        let (sender, events) = channel(4);
        let sink = EventSink::new(&[SOURCE], sender).with_confirmation(confirmation);
        let statuses = sink.progress().statuses.clone();
        tokio::spawn(run(vec![path.to_owned()], sink));
        Self {
            events,
            statuses,
            state: ClusterState::default(),
            troubles: Vec::new(),
            recovered: Vec::new(),
        }
    }

    fn services(&self) -> Vec<&str> {
        (self.state.service_names())
            .map(|name: &ObjectName| &*name.name)
            .collect()
    }

    async fn receive(&mut self) {
        let event = timeout(Duration::from_secs(10), self.events.recv()).await;
        match event.expect("an event in time").expect("a running source") {
            SourceEvent::Cluster(event, _) => drop(self.state.absorb(event)),
            SourceEvent::Trouble(problem) => self.troubles.push(problem.to_string()),
            SourceEvent::Recovered { subject } => self.recovered.push(subject.to_string()),
        }
    }

    async fn until_troubles(&mut self, count: usize) {
        while self.troubles.len() < count {
            self.receive().await;
        }
    }

    async fn until_state(&self, state: SourceState) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        while self.statuses.all()[SOURCE].state != state {
            assert!(tokio::time::Instant::now() < deadline, "not {state}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn until(&mut self, services: &[&str]) {
        while !(self.state.is_complete() && self.services() == services) {
            self.receive().await;
        }
    }
}

fn folder() -> TempDir {
    TempDir::new().expect("a temporary directory")
}

fn write(path: impl AsRef<Path>, text: &str) {
    fs::write(path, text).expect("to write");
}

#[tokio::test]
async fn changes_in_a_directory_are_detected() {
    let folder = folder();
    let file = |name: &str| folder.path().join(name);
    write(file("a.yaml"), &service("a"));
    let mut scene = Scene::watch(folder.path());
    scene.until(&["a"]).await;
    write(file("b.yaml"), &service("b"));
    scene.until(&["a", "b"]).await;
    write(file("new"), &service("c"));
    fs::rename(file("new"), file("a.yaml")).expect("to rename");
    scene.until(&["b", "c"]).await;
    fs::remove_file(file("b.yaml")).expect("to remove");
    scene.until(&["c"]).await;
    assert_eq!(scene.troubles, [""; 0]);
}

#[tokio::test]
async fn an_update_of_a_configmap_mount_is_detected() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("..1")).expect("to create");
    write(at("..1/a.yaml"), &service("a"));
    symlink("..1", at("..data")).expect("to link");
    symlink("..data/a.yaml", at("a.yaml")).expect("to link");
    let mut directory = Scene::watch(folder.path());
    let mut single = Scene::watch(&at("a.yaml"));
    directory.until(&["a"]).await;
    single.until(&["a"]).await;
    fs::create_dir(at("..2")).expect("to create");
    write(at("..2/a.yaml"), &service("b"));
    symlink("..2", at("..data_tmp")).expect("to link");
    fs::rename(at("..data_tmp"), at("..data")).expect("to rename");
    fs::remove_dir_all(at("..1")).expect("to remove");
    directory.until(&["b"]).await;
    single.until(&["b"]).await;
    assert_eq!(directory.troubles, [""; 0]);
}

#[tokio::test]
async fn an_invalid_file_keeps_its_objects_and_recovers() {
    let folder = folder();
    let file = folder.path().join("a.yaml");
    write(&file, &service("a"));
    let mut scene = Scene::watch(folder.path());
    scene.until(&["a"]).await;
    scene.until_state(SourceState::Watching).await;
    assert!(scene.statuses.have_listed());
    write(&file, "kind: [\n");
    scene.until_troubles(1).await;
    assert!(
        scene.troubles[0].contains("a.yaml:1:7:"),
        "{:?}",
        scene.troubles
    );
    assert_eq!(scene.services(), ["a"]);
    scene.until_state(SourceState::Failing).await;
    let error = scene.statuses.all()[SOURCE].last_error.clone();
    assert!(error.expect("one").message.contains("a.yaml"));
    write(&file, &service("b"));
    scene.until(&["b"]).await;
    assert_eq!(scene.recovered, [file.display().to_string()]);
    scene.until_state(SourceState::Watching).await;
}

#[tokio::test]
async fn lists_are_incomplete_until_the_path_exists() {
    let folder = folder();
    let path = folder.path().join("later");
    let mut scene = Scene::watch(&path);
    scene.receive().await;
    assert_eq!(scene.troubles.len(), 1);
    assert!(!scene.state.is_complete());
    scene.until_state(SourceState::Failing).await;
    assert!(!scene.statuses.have_listed());
    let staged = folder.path().join("staged");
    fs::create_dir(&staged).expect("to create");
    write(staged.join("a.yaml"), &service("a"));
    fs::rename(&staged, &path).expect("to rename");
    scene.until(&["a"]).await;
    assert_eq!(scene.recovered.len(), 1);
    // The directory disappears, its objects are kept, and another directory replaces it.
    fs::rename(&path, &staged).expect("to rename");
    scene.until_troubles(2).await;
    assert_eq!(scene.services(), ["a"]);
    write(staged.join("a.yaml"), &service("b"));
    fs::rename(&staged, &path).expect("to rename");
    scene.until(&["b"]).await;
}

#[tokio::test]
async fn a_file_that_is_being_written_is_read_when_it_is_complete() {
    let folder = folder();
    let file = folder.path().join("a.yaml");
    write(&file, &service("a"));
    let mut scene = Scene::watch(&file);
    scene.until(&["a"]).await;
    let text = format!("# more\n{}", service("b"));
    let mut writer = fs::File::create(&file).expect("to create");
    for part in text.as_bytes().chunks(20) {
        std::io::Write::write_all(&mut writer, part).expect("to write");
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    drop(writer);
    scene.until(&["b"]).await;
    assert_eq!(scene.troubles, [""; 0]);
}

#[tokio::test]
async fn the_source_ends_when_the_receiver_is_dropped() {
    let folder = folder();
    let (sender, mut events) = channel(4);
    let sink = EventSink::new(&[SOURCE], sender);
    let source = tokio::spawn(run(vec![folder.path().to_owned()], sink));
    events.recv().await.expect("an event");
    drop(events);
    timeout(Duration::from_secs(10), source)
        .await
        .expect("an end in time")
        .expect("no panic");
}

#[tokio::test]
async fn a_suddenly_empty_directory_deletes_only_lasting_absences() {
    let folder = folder();
    let file = folder.path().join("all.yaml");
    let all: Vec<_> = ["a", "b", "c"].map(service).into();
    write(&file, &all.join("---\n"));
    let after = Duration::from_millis(1500);
    let mut scene = Scene::confirming(
        folder.path(),
        Confirmation {
            after,
            ..Confirmation::default()
        },
    );
    scene.until(&["a", "b", "c"]).await;

    fs::remove_file(&file).expect("to remove");
    scene.until_troubles(1).await;
    assert!(
        scene.troubles[0].contains("the list lacks 3 of 3 known objects"),
        "{:?}",
        scene.troubles
    );
    scene.until_state(SourceState::Failing).await;
    write(&file, &all.join("---\n"));
    while scene.recovered.is_empty() {
        scene.receive().await;
    }
    assert_eq!(scene.services(), ["a", "b", "c"]);

    let removed = Instant::now();
    fs::remove_file(&file).expect("to remove");
    scene.until(&[]).await;
    assert!(removed.elapsed() >= after, "deleted without confirmation");
    scene.until_state(SourceState::Watching).await;
}

#[tokio::test]
async fn a_first_reading_without_services_needs_confirmation_on_a_node_with_entries() {
    let folder = folder();
    let confirmation = Confirmation {
        after: Duration::from_millis(300),
        of_first: true,
    };
    let mut scene = Scene::confirming(folder.path(), confirmation);
    scene.until_troubles(1).await;
    assert!(!scene.state.is_complete(), "complete without confirmation");
    scene.until(&[]).await;
}

//! Slices without a Service.

use model::cluster::EndpointSlice;
use model::finding::{Code, FindingChanges};
use model::{ClusterEvent, ClusterState, NodeState, Object, ObjectKind, ObjectName};

use crate::testing::{Scene, compiler, deleted, endpoint, slice, texts};

fn empty() -> Scene {
    Scene::new(ClusterState::default(), compiler(), &NodeState::default())
}

impl Scene {
    fn changes(&mut self, event: ClusterEvent) -> FindingChanges {
        let keys = self.apply(event);
        assert!(keys.is_empty(), "{keys:?}");
        self.compiler.take_finding_changes()
    }

    fn put(&mut self, namespace: &str, name: &str, service: &str) -> FindingChanges {
        let slice = EndpointSlice {
            name: ObjectName::new(namespace, name),
            ..slice(service, name, vec![endpoint("10.1.0.1")])
        };
        self.changes(ClusterEvent::Upsert(Object::EndpointSlice(slice)))
    }

    fn delete(&mut self, namespace: &str, name: &str) -> FindingChanges {
        let name = ObjectName::new(namespace, name);
        self.changes(ClusterEvent::Delete(ObjectKind::EndpointSlice, name))
    }

    /// Changes the cluster by `events` and compiles everything.
    fn compile_all(&mut self, events: impl IntoIterator<Item = ClusterEvent>) {
        for event in events {
            self.state.absorb(event);
        }
        (self.compiler).update_all(&self.state, &NodeState::default());
    }

    /// Returns the namespaces and names of the reported slices.
    fn reported(&self) -> Vec<String> {
        let findings = self.compiler.findings();
        let unlabelled = findings.filter(|finding| finding.code == Code::UnlabelledSlice);
        texts(unlabelled.map(|finding| &finding.object))
    }
}

#[test]
fn an_unlabelled_slice_is_reported_until_it_is_labelled_or_deleted() {
    let mut scene = empty();
    let raised = scene.put("default", "web-x2b", "").raised;
    assert_eq!(
        texts(&raised),
        [
            "KIV0127 info EndpointSlice default/web-x2b: metadata.labels: without the label kubernetes.io/service-name it belongs to \
             no Service (is `web` meant?); its endpoints get no traffic"
        ]
    );
    assert!(scene.put("default", "web-x2b", "").is_empty());
    assert_eq!(scene.put("default", "web-x2b", "web").cleared, raised);

    assert_eq!(scene.put("default", "web-x2b", "").raised, raised);
    let named = scene.put("default", "-web", "").raised;
    let problem = "without the label kubernetes.io/service-name it belongs to no Service";
    assert_eq!(named[0].problem, problem);
    assert_eq!(scene.delete("default", "web-x2b").cleared, raised);
    assert_eq!(scene.delete("default", "-web").cleared, named);
}

#[test]
fn unlabelled_slices_are_limited_per_namespace() {
    let mut scene = empty();
    for number in 0..150 {
        scene.put("greedy", &format!("s{number:03}"), "");
    }
    scene.put("shop", "web-1", "");
    let reported = scene.reported();
    assert_eq!(reported.len(), 101);
    assert_eq!(reported[99..], ["greedy/s099", "shop/web-1"]);

    let changes = scene.delete("greedy", "s000");
    let next = texts(changes.raised.iter().map(|finding| &finding.object));
    assert_eq!(next, ["greedy/s100"]);
    assert_eq!(changes.cleared.len(), 1);
}

/// Changes are reported only when everything is compiled again.
#[test]
fn a_full_compilation_reports_and_clears_unlabelled_slices() {
    let mut scene = empty();
    scene.put("default", "gone", "");
    let came = slice("", "came", vec![endpoint("10.1.0.1")]);
    scene.compile_all([
        deleted(ObjectKind::EndpointSlice, "gone"),
        ClusterEvent::Upsert(Object::EndpointSlice(came)),
    ]);
    assert_eq!(scene.reported(), ["default/came"]);

    scene.compile_all([deleted(ObjectKind::EndpointSlice, "came")]);
    assert_eq!(scene.reported(), [""; 0]);
}

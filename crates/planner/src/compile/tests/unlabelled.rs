//! Slices without a Service.

use model::cluster::EndpointSlice;
use model::finding::{Code, FindingChanges};
use model::names::ObjectName;
use model::{ClusterEvent, ClusterState, NodeState, Object, ObjectKind};

use crate::Compiler;
use crate::testing::{compiler, endpoint, slice};

/// A compiler and its cluster.
struct Scene {
    state: ClusterState,
    compiler: Compiler,
}

impl Scene {
    fn new() -> Self {
        Self {
            state: ClusterState::default(),
            compiler: compiler(),
        }
    }

    fn apply(&mut self, event: ClusterEvent) -> FindingChanges {
        let changed = self.state.absorb(event);
        let keys = self.compiler.update(&self.state, &changed);
        assert!(keys.is_empty(), "{keys:?}");
        self.compiler.take_finding_changes()
    }

    fn put(&mut self, namespace: &str, name: &str, service: &str) -> FindingChanges {
        let slice = EndpointSlice {
            name: ObjectName::new(namespace, name),
            ..slice(service, name, vec![endpoint("10.1.0.1")])
        };
        self.apply(ClusterEvent::Upsert(Object::EndpointSlice(slice)))
    }

    fn delete(&mut self, namespace: &str, name: &str) -> FindingChanges {
        let name = ObjectName::new(namespace, name);
        self.apply(ClusterEvent::Delete(ObjectKind::EndpointSlice, name))
    }

    /// Returns the namespaces and names of the reported slices.
    fn reported(&self) -> Vec<String> {
        (self.compiler.findings())
            .filter(|finding| finding.code == Code::UnlabelledSlice)
            .map(|finding| finding.object.to_string())
            .collect()
    }
}

#[test]
fn an_unlabelled_slice_is_reported_until_it_is_labelled_or_deleted() {
    let mut scene = Scene::new();
    let raised = scene.put("default", "web-x2b", "").raised;
    let texts: Vec<String> = raised.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
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
    let mut scene = Scene::new();
    for number in 0..150 {
        scene.put("greedy", &format!("s{number:03}"), "");
    }
    scene.put("shop", "web-1", "");
    let reported = scene.reported();
    assert_eq!(reported.len(), 101);
    assert_eq!(reported[99..], ["greedy/s099", "shop/web-1"]);

    let changes = scene.delete("greedy", "s000");
    let next: Vec<String> = (changes.raised.iter())
        .map(|finding| finding.object.to_string())
        .collect();
    assert_eq!(
        (changes.cleared.len(), next),
        (1, vec!["greedy/s100".into()])
    );
}

/// Changes are reported only when everything is compiled again.
#[test]
fn a_full_compilation_reports_and_clears_unlabelled_slices() {
    let mut scene = Scene::new();
    scene.put("default", "gone", "");
    let event = ClusterEvent::Delete(
        ObjectKind::EndpointSlice,
        ObjectName::new("default", "gone"),
    );
    scene.state.absorb(event);
    let came = slice("", "came", vec![endpoint("10.1.0.1")]);
    let event = ClusterEvent::Upsert(Object::EndpointSlice(came));
    scene.state.absorb(event);
    scene
        .compiler
        .update_all(&scene.state, &NodeState::default());
    assert_eq!(scene.reported(), ["default/came"]);

    let name = ObjectName::new("default", "came");
    let event = ClusterEvent::Delete(ObjectKind::EndpointSlice, name);
    scene.state.absorb(event);
    scene
        .compiler
        .update_all(&scene.state, &NodeState::default());
    assert_eq!(scene.reported(), [""; 0]);
}

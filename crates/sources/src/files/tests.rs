use std::fs;

use model::ClusterState;
use tempfile::TempDir;

use super::*;

mod virtual_servers;

const SERVICE: &str = "{apiVersion: v1, kind: Service, metadata: {name: NAME}, spec: {clusterIP: 10.96.0.1, ports: [{port: 80}]}}\n";
const SLICE: &str = "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: NAME-1, labels: {kubernetes.io/service-name: NAME}}, addressType: IPv4, endpoints: [{addresses: [10.244.0.1]}], ports: [{port: 8080}]}\n";
const ENDPOINTS: &str = "{apiVersion: v1, kind: Endpoints, metadata: {name: NAME}, subsets: [{addresses: [{ip: 10.244.0.2}], ports: [{port: 8080}]}]}\n";

fn named(template: &str, name: &str) -> String {
    template.replace("NAME", name)
}

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().expect("a temporary directory");
    for (name, text) in files {
        fs::write(folder.path().join(name), text).expect("to write");
    }
    folder
}

fn names(found: &FileObjects) -> Vec<String> {
    (found.objects.iter())
        .map(|object| match object {
            Object::VirtualServer(server) => server.name.to_string(),
            object => format!("{:?} {}", object.kind(), object.name()),
        })
        .collect()
}

/// Reads a directory of files and checks the objects and errors; `DIR` in an error stands for the
/// directory.
fn check(files: &[(&str, &str)], expected: &[&str], expected_errors: &[&str]) -> FileObjects {
    let folder = folder(files);
    let found = read(&[folder.path().to_owned()]);
    let directory = folder.path().display().to_string();
    let errors: Vec<_> = (found.errors.iter())
        .map(|error| error.to_string().replace(&directory, "DIR"))
        .collect();
    assert_eq!(names(&found), expected);
    assert_eq!(errors, expected_errors);
    found
}

#[test]
fn documents_and_lists_are_read() {
    let list = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Node\n  metadata: {name: node1}\n\
                - {apiVersion: v1, kind: Service, metadata: {name: c, namespace: shop}}\n- {apiVersion: v1, kind: Pod, metadata: {name: p}}\n";
    let typed = "{\"apiVersion\": \"v1\", \"kind\": \"ServiceList\", \"items\": [{\"metadata\": {\"name\": \"d\"}}]}\n{\"apiVersion\": \"v1\", \"kind\": \"Secret\"}";
    let two = format!("---\n{}---\n{}", named(SERVICE, "a"), named(SLICE, "a"));
    let found = check(
        &[("1.yaml", &two), ("2.yml", list), ("3.json", typed)],
        &[
            "Service default/a",
            "Service default/d",
            "Service shop/c",
            "EndpointSlice default/a-1",
            "Node node1",
        ],
        &[],
    );
    let other: Vec<_> = found.other_kinds.into_iter().collect();
    assert_eq!(other, [("Pod".into(), 1), ("Secret".into(), 1)]);
}

#[test]
fn manifests_in_a_directory_are_read_in_order() {
    let a = named(SERVICE, "a");
    check(
        &[
            ("b.yaml", &a),
            ("a.yaml", &named(SERVICE, "b")),
            (".hidden.yaml", "{"),
            ("a.yaml~", "{"),
            ("#a.yaml#", "{"),
            (".a.yaml.swp", "{"),
            ("README.md", "{"),
        ],
        &["Service default/a", "Service default/b"],
        &[],
    );
}

#[test]
fn subdirectories_with_manifests_are_told() {
    let folder = folder(&[("a.yaml", &named(SERVICE, "a"))]);
    for (name, file) in [
        ("more", "b.yaml"),
        ("..data", "b.yaml"),
        ("notes", "README"),
    ] {
        let directory = folder.path().join(name);
        fs::create_dir(&directory).expect("a directory");
        fs::write(directory.join(file), named(SERVICE, "b")).expect("a file");
    }
    let found = read(&[folder.path().to_owned()]);
    assert_eq!(found.objects.len(), 1);
    let warnings: Vec<String> = found.warnings.iter().map(ToString::to_string).collect();
    let left_out = folder.path().join("more");
    assert_eq!(
        warnings,
        [format!(
            "{}: the directory is not read, since subdirectories are not searched; name it too",
            left_out.display()
        )]
    );
}

#[test]
fn a_syntax_error_affects_only_its_document() {
    let text = format!(
        "{}---\nkind: [Service\n---\n{}",
        named(SERVICE, "a"),
        named(SERVICE, "b")
    );
    let found = check_places(&[("1.yaml", &text), ("2.json", "{\"a\": ]")]);
    assert_eq!(
        found,
        [("1.yaml", Some(3)), ("2.json", Some(1))].map(|(name, line)| (name.to_owned(), line))
    );
}

fn check_places(files: &[(&str, &str)]) -> Vec<(String, Option<u64>)> {
    let folder = folder(files);
    let found = read(&[folder.path().to_owned()]);
    assert_eq!(names(&found), ["Service default/a", "Service default/b"]);
    (found.errors.iter())
        .map(|error| {
            let name = error.file.file_name().expect("a name");
            (name.to_string_lossy().into_owned(), error.line)
        })
        .collect()
}

#[test]
fn a_field_of_the_wrong_type_affects_only_its_object() {
    let service = "apiVersion: v1\nkind: Service\nmetadata:\n  name: bad\nspec:\n  ports:\n  - port: eighty\n";
    let list = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Service, metadata: {name: ok}}\n\
                - apiVersion: v1\n  kind: Service\n  metadata: {name: x, namespace: ns}\n  spec: {clusterIPs: 10.0.0.1}\n";
    let text = format!("{}---\n{service}", named(SERVICE, "a"));
    check(
        &[("1.yaml", &text), ("2.yaml", list)],
        &["Service default/a", "Service default/ok"],
        &[
            "DIR/1.yaml:9:11: Service default/bad: spec.ports[0].port: invalid type: string \"eighty\", expected i32; the object is ignored",
            "DIR/2.yaml:8:22: Service ns/x: spec.clusterIPs: invalid type: string \"10.0.0.1\", expected a sequence; the object is ignored",
        ],
    );
}

#[test]
fn documents_that_are_not_objects_are_reported() {
    check(
        &[
            ("1.yaml", "just text\n"),
            ("2.yaml", "a: 1\n---\n{apiVersion: v1, kind: Service}\n"),
        ],
        &[],
        &[
            "DIR/1.yaml:1:1: not a Kubernetes object: the field kind is missing; it is ignored",
            "DIR/2.yaml:1:1: not a Kubernetes object: the field kind is missing; it is ignored",
            "DIR/2.yaml:3:1: not a Kubernetes object: Service without metadata.name; it is ignored",
        ],
    );
}

#[test]
fn the_last_object_with_a_name_is_used() {
    let first = named(SERVICE, "a");
    let second = first.replace("10.96.0.1", "10.96.0.2");
    let third = first.replace("10.96.0.1", "10.96.0.3");
    let found = check(
        &[
            ("1.yaml", &first),
            ("2.yaml", &format!("{second}---\n{third}")),
        ],
        &["Service default/a"],
        &[
            "DIR/2.yaml: Service default/a is also defined in DIR/2.yaml; the last definition is used",
            "DIR/2.yaml: Service default/a is also defined in DIR/1.yaml; the last definition is used",
        ],
    );
    let Object::Service(service) = &found.objects[0] else {
        panic!("a Service");
    };
    assert_eq!(service.cluster_ips, [crate::convert::ip("10.96.0.3")]);
}

#[test]
fn the_label_selectors_apply() {
    let object = |kind: &str, name: &str, label: &str| {
        let version = match kind {
            "EndpointSlice" => "discovery.k8s.io/v1",
            _ => "v1",
        };
        format!(
            "{{apiVersion: {version}, kind: {kind}, metadata: {{name: {name}, labels: {{\
             kubernetes.io/service-name: h, service.kubernetes.io/{label}: \"\"}}}}, addressType: IPv4}}\n"
        )
    };
    let text = [
        object("Service", "p", "service-proxy-name"),
        object("Service", "h", "headless"),
        object("EndpointSlice", "p-1", "service-proxy-name"),
        object("EndpointSlice", "h-1", "headless"),
        object("Node", "node1", "headless"),
    ];
    check(
        &[("1.yaml", &text.join("---\n"))],
        &[
            "Service default/h",
            "EndpointSlice default/p-1",
            "Node node1",
        ],
        &[],
    );
}

#[test]
fn misspelt_kinds_and_fields_cause_warnings() {
    let other = [
        "apps/v1 Deployment",
        "v1 ConfigMap",
        "v1 Pod",
        "rbac.authorization.k8s.io/v1 Role",
        "batch/v1 Job",
        "v1 Secret",
        "serving.knative.dev/v1 Service",
        "management.cattle.io/v3 Node",
        "v1 ServiceAccount",
        "apiregistration.k8s.io/v1 APIService",
    ];
    let misspelt = [
        "v1 Sevice",
        "v1 service",
        "v2 Service",
        "v1 Nodes",
        "v1 EndpointSlice",
        "discovery.k8s.io/v1 EndpointSlices",
        "discovery.k8.io/v1 EndpointSlice",
        "v1 Endpoint",
    ];
    let text = |of: &str| {
        let (version, kind) = of.split_once(' ').expect("two words");
        format!("{{apiVersion: {version}, kind: {kind}, metadata: {{name: a}}}}")
    };
    for of in other {
        assert_eq!(parse(Path::new("f"), &text(of)).warnings, [], "{of}");
    }
    for of in misspelt {
        let found = parse(Path::new("f"), &text(of));
        assert_eq!(
            (
                found.warnings.len(),
                found.errors.len(),
                found.objects.len()
            ),
            (1, 0, 0),
            "{of}"
        );
    }
    let found = parse(Path::new("f"), &text("v1 Sevice"));
    assert_eq!(
        found.warnings[0].to_string(),
        "f:1:1: Sevice default/a: unknown kind `Sevice` (did you mean Service?); the object is ignored"
    );
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {clusterIP: 10.96.0.1, ports: [{port: 80}, {port: 81, nodeport: 1}]}\n";
    let found = parse(Path::new("f"), service);
    assert_eq!(
        found.warnings[0].to_string(),
        "f:1:1: Service default/a: spec.ports[1].nodeport: unknown field (did you mean nodePort?); it is ignored"
    );
    assert_eq!(found.objects.len(), 1);
}

#[test]
fn a_slice_without_a_service_is_read() {
    for labels in ["{app: web}", "{kubernetes.io/service-name: \"\"}"] {
        let text = format!(
            "{{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {{name: web-1, labels: {labels}}}, addressType: IPv4}}"
        );
        let found = check(&[("1.yaml", &text)], &["EndpointSlice default/web-1"], &[]);
        assert_eq!(found.warnings, []);
    }
}

#[test]
fn slices_of_v1beta1_are_read() {
    let text = "apiVersion: discovery.k8s.io/v1beta1\nkind: EndpointSlice\nmetadata: {name: a-1, labels: {kubernetes.io/service-name: a}}\n\
                addressType: IPv4\nports: [{name: http, port: 8080}]\nendpoints:\n\
                - {addresses: [10.1.0.5], topology: {kubernetes.io/hostname: node1, topology.kubernetes.io/zone: a}}\n\
                - {addresses: [10.1.0.6], nodeName: node2, topology: {kubernetes.io/hostname: other}}\n";
    let found = check(&[("1.yaml", text)], &["EndpointSlice default/a-1"], &[]);
    assert_eq!(found.warnings, []);
    let Object::EndpointSlice(slice) = &found.objects[0] else {
        panic!("a slice");
    };
    let nodes: Vec<_> = slice
        .endpoints
        .iter()
        .map(|one| one.node.as_deref())
        .collect();
    assert_eq!(nodes, [Some("node1"), Some("node2")]);
}

#[test]
fn endpoints_are_used_only_without_slices() {
    let text = [
        named(ENDPOINTS, "a"),
        named(SLICE, "a"),
        named(ENDPOINTS, "b"),
    ]
    .join("---\n");
    check(
        &[("1.yaml", &text)],
        &[
            "EndpointSlice default/a-1",
            "EndpointSlice default/b:ipv4:0",
        ],
        &[],
    );
}

#[test]
fn a_missing_path_is_an_error() {
    let found = read(&["/nonexistent/x.yaml".into()]);
    assert!(found.incomplete);
    assert_eq!(
        found.errors[0].to_string(),
        "/nonexistent/x.yaml: cannot be read: No such file or directory (os error 2)"
    );
}

#[test]
fn objects_of_an_invalid_file_are_kept() {
    let folder = folder(&[(
        "1.yaml",
        &format!("{}---\n{}", named(SERVICE, "a"), named(SERVICE, "b")),
    )]);
    let file = folder.path().join("1.yaml");
    let mut files = FileSet::new(vec![folder.path().to_owned()]);
    assert_eq!(files.read().objects.len(), 2);
    let c = named(SERVICE, "c");
    fs::write(&file, format!("{c}---\nkind: [\n")).expect("to write");
    let found = files.read();
    assert_eq!(
        names(&found),
        [
            "Service default/a",
            "Service default/b",
            "Service default/c"
        ]
    );
    assert_eq!(found.errors.len(), 1);
    fs::write(&file, &c).expect("to write");
    assert_eq!(names(&files.read()), ["Service default/c"]);
    fs::remove_file(&file).expect("to remove");
    assert_eq!(names(&files.read()), [""; 0]);
}

#[test]
fn objects_of_a_missing_path_are_kept() {
    let folder = folder(&[("1.yaml", &named(SERVICE, "a"))]);
    let file = folder.path().join("1.yaml");
    let mut files = FileSet::new(vec![file.clone()]);
    files.read();
    fs::remove_file(&file).expect("to remove");
    let found = files.read();
    assert!(found.incomplete);
    assert_eq!(names(&found), ["Service default/a"]);
    assert_eq!(files.read().objects.len(), 1);
}

#[test]
fn events_are_complete_lists() {
    let folder = folder(&[(
        "1.yaml",
        &format!("{}---\n{}", named(SERVICE, "a"), named(SLICE, "a")),
    )]);
    let mut state = ClusterState::default();
    for event in read(&[folder.path().to_owned()]).into_events() {
        state.absorb(event);
    }
    assert!(state.is_complete());
    let name = ObjectName::new("default", "a");
    assert!(state.service(&name).is_some());
    assert_eq!(state.slices(&name).count(), 1);
}

#[test]
fn a_service_and_a_virtual_server_may_have_one_name() {
    let server = "{apiVersion: kube-ipvs.io/v1alpha1, kind: VirtualServer, metadata: {name: a}, spec: {fwmark: 1}}\n";
    check(
        &[("1.yaml", &format!("{}---\n{server}", named(SERVICE, "a")))],
        &["VirtualServer default/a", "Service default/a"],
        &[],
    );
}

use std::path::PathBuf;

use super::{Content, Origin, Part, Request, collect, parts, without_secrets};

fn collected(origin: Origin) -> Result<Content, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let part = Part {
        name: "part".to_owned(),
        about: "a part",
        origin,
    };
    runtime.block_on(collect(part)).content
}

#[test]
fn secrets_are_removed_and_the_rest_stays() {
    for (text, without) in [
        ("token: abc", "token: (removed)"),
        (
            "  password: 'a b'\nnext: 1",
            "  password: (removed)\nnext: 1",
        ),
        (
            r#"{"clientSecret": "x", "port": 1}"#,
            r#"{"clientSecret": (removed), "port": 1}"#,
        ),
        ("client-key-data: QUJD", "client-key-data: (removed)"),
        ("Authorization: Bearer a.b.c", "Authorization: (removed)"),
        (
            "run --api-key=abc --port=1",
            "run --api-key=(removed) --port=1",
        ),
        ("GET /?access_token=abc&x=1", "GET /?access_token=(removed)"),
        ("https://user:pass@host/", "https://(removed)@host/"),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nAB\n-----END RSA PRIVATE KEY-----\nrest",
            "(removed)\nrest",
        ),
        ("-----BEGIN PRIVATE KEY-----\ncut", "(removed)"),
        (
            "add KUBE-CLUSTER-IP 10.96.0.1,tcp:80",
            "add KUBE-CLUSTER-IP 10.96.0.1,tcp:80",
        ),
        (
            "kubeconfig: /etc/kube-ipvs/kubeconfig",
            "kubeconfig: /etc/kube-ipvs/kubeconfig",
        ),
        ("secret/shop:http is served", "secret/shop:http is served"),
    ] {
        assert_eq!(without_secrets(text), without);
    }
}

#[test]
fn output_messages_and_status_of_a_program_are_collected() {
    let all = collected(Origin::Program(
        "sh",
        &["-c", "echo out; echo message >&2; exit 1"],
    ));
    let expected = Content {
        text: "out\n".to_owned(),
        messages: "exit status: 1\nmessage\n".to_owned(),
    };
    assert_eq!(all.expect("an output"), expected);
    let failed = collected(Origin::Program("sh", &["-c", "echo message >&2; exit 2"]));
    assert_eq!(failed.expect_err("no output"), "exit status: 2: message");
    assert!(collected(Origin::Program("no-such-program", &[])).is_err());
}

#[test]
fn only_the_end_of_a_long_file_is_collected() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    file.as_file().set_len((32 << 20) + 1).expect("a long file");
    let text = collected(Origin::File(file.path().to_owned())).expect("a text");
    assert_eq!(text.text.len(), 32 << 20);
    assert!(collected(Origin::File(PathBuf::from("/nowhere"))).is_err());
}

#[test]
fn configuration_objects_and_node_are_passed_on() {
    let request = Request {
        source: vec!["-f".into(), "shop.yaml".into()],
        node: vec!["--node".into(), "node1".into()],
        config: Some("config.yaml".into()),
        configuration: "kind: EffectiveConfiguration".to_owned(),
        ..Request::default()
    };
    let parts = parts(&request);
    let of = |name: &str| {
        let part = parts.iter().find(|part| part.name == name).expect(name);
        match &part.origin {
            Origin::Ipvsctl(args) => args.join(" ".as_ref()).into_string().expect("text"),
            Origin::Text(text) => text.clone(),
            Origin::File(path) => path.display().to_string(),
            other => panic!("{name} is from {other:?}"),
        }
    };
    assert_eq!(of("diff.txt"), "diff -f shop.yaml --node node1");
    assert_eq!(of("configuration.yaml"), "kind: EffectiveConfiguration");
    assert_eq!(of("configuration-file.yaml"), "config.yaml");
    let mut names: Vec<&str> = parts.iter().map(|part| part.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), parts.len());
}

use super::Plan;

fn plan() -> Plan {
    Plan {
        folder: "/tmp/x".into(),
        etcd_port: 2379,
        port: 6443,
        token: "secret".into(),
    }
}

#[test]
fn api_server_gets_all_required_arguments() {
    let arguments = plan().apiserver_arguments();
    for wanted in [
        "--etcd-servers=http://127.0.0.1:2379",
        "--secure-port=6443",
        "--tls-cert-file=/tmp/x/tls.crt",
        "--token-auth-file=/tmp/x/tokens.csv",
        "--service-account-signing-key-file=/tmp/x/sa.key",
        "--service-cluster-ip-range=10.96.0.0/16,fd00:10:96::/112",
        "--disable-admission-plugins=ServiceAccount",
    ] {
        assert!(
            arguments.iter().any(|a| a == wanted),
            "{wanted} is not in {arguments:?}"
        );
    }
    assert!(
        arguments.iter().all(|a| !a.contains("secret")),
        "the token is on the command line: {arguments:?}"
    );
}

#[test]
fn etcd_and_the_api_server_agree_on_the_port() {
    let arguments = plan().etcd_arguments();
    assert!(arguments.contains(&"--listen-client-urls=http://127.0.0.1:2379".to_owned()));
    assert!(arguments.contains(&"--data-dir=/tmp/x/etcd".to_owned()));
}

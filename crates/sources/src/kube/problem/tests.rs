use kube::core::response::{StatusCause, StatusDetails};

use super::*;
use crate::objects::{EndpointSlice, Service};

const SERVER: &str = "https://10.0.0.1:6443";

fn refused(code: u16, message: &str) -> RequestError {
    RequestError::Server(Status::failure(message, "").with_code(code).boxed())
}

#[test]
fn problems_name_their_remedy() {
    for (error, kind, text) in [
        (
            refused(403, "endpointslices is forbidden"),
            ProblemKind::Forbidden,
            "403 endpointslices is forbidden; a ClusterRole bound to this user must allow the verbs list \
             and watch on endpointslices of apiGroup discovery.k8s.io",
        ),
        (
            refused(401, "Unauthorized"),
            ProblemKind::Unauthorized,
            "401 Unauthorized; check the credentials: the token or client certificate is missing, has \
             expired, or belongs to another cluster",
        ),
        (
            RequestError::Silent(Duration::from_secs(60)),
            ProblemKind::Unreachable,
            "no answer in 60 s; check that the API server runs and is reachable from this node",
        ),
    ] {
        let problem = error.problem::<EndpointSlice>("list", SERVER);
        let start = "failed to list endpointslices.discovery.k8s.io at https://10.0.0.1:6443";
        assert_eq!(problem.kind, kind);
        assert_eq!(problem.to_string(), format!("{start}: {text}"));
    }
    let of_core = refused(403, "no").problem::<Service>("watch", SERVER);
    let end = "on services of apiGroup \"\"";
    assert!(of_core.to_string().ends_with(end), "{of_core}");
}

#[test]
fn forgotten_and_future_versions_need_a_list() {
    assert!(refused(410, "too old resource version").is_gone());
    assert!(refused(504, "Timeout: Too large resource version: 9, current: 3").is_gone());
    let details = StatusDetails {
        causes: vec![StatusCause {
            reason: "ResourceVersionTooLarge".to_owned(),
            message: String::new(),
            field: String::new(),
        }],
        name: String::new(),
        group: String::new(),
        kind: String::new(),
        uid: String::new(),
        retry_after_seconds: 7,
    };
    let status = Status::failure("timeout", "Timeout").with_code(504);
    let error = RequestError::Server(status.with_details(details).boxed());
    assert!(error.is_gone());
    assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
    assert!(!refused(500, "etcd").is_gone());
}

#[test]
fn the_servers_text_is_one_short_line() {
    let message = "no\n\u{1b}[2JERROR forged\n".repeat(1000);
    let problem = refused(500, &message).problem::<EndpointSlice>("list", SERVER);
    let text = problem.to_string();
    let start = r"failed to list endpointslices.discovery.k8s.io at https://10.0.0.1:6443: 500 no\n\u{1b}[2JERROR forged\n";
    assert!(text.starts_with(start), "{text}");
    assert!(!text.chars().any(char::is_control), "{text:?}");
    assert!(text.chars().count() < 512, "{text}");
}

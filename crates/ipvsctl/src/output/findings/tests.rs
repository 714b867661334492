use model::Code;

use super::{explain, reference};

#[test]
fn code_is_explained() {
    let text = explain(Code::OtherNodesAddress);
    assert!(text.starts_with("KIV0108 error: an external address belongs to another node\n\n"));
    assert!(text.contains("deviation D8"));
}

#[test]
fn page_has_every_code_once() {
    let page = reference();
    for code in Code::ALL {
        assert_eq!(page.matches(&format!("## {code}:")).count(), 1, "{code}");
    }
}

#[test]
fn allowed_schedulers_are_listed() {
    let text = explain(Code::InvalidScheduler);
    let list = model::config::SCHEDULERS.join(", ");
    assert!(text.contains(&list), "{text}");
}

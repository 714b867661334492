use super::*;

const NODE: &str = "kind: Node\napiVersion: v1\nmetadata: {name: node1}\n";

/// Checks the number of objects and the errors of a text, with a limit of two documents.
fn check(text: &str, objects: usize, errors: &[&str]) {
    let file = parse_at_most(2, Path::new("f.yaml"), text, File::default());
    assert_eq!(file.objects.len(), objects);
    let found: Vec<String> = file.errors.iter().map(ToString::to_string).collect();
    assert_eq!(found, errors);
}

#[test]
fn documents_beyond_the_maximum_are_reported_once() {
    check(&[NODE; 2].join("---\n"), 2, &[]);
    check(
        &[NODE; 4].join("---\n"),
        2,
        &[
            "f.yaml:8:1: the file has more than 2 documents: this one and the later ones are ignored; split the file",
        ],
    );
}

#[test]
fn empty_documents_do_not_count() {
    let empty = "---\n--- # nothing\n...\n---\n\n# a comment\n".repeat(3);
    check(
        &format!("{empty}---\n{NODE}{empty}---\n{NODE}{empty}"),
        2,
        &[],
    );
}

#[test]
fn the_first_errors_of_a_list_have_places() {
    let items = "- {}\n".repeat(MAX_PLACES + 20);
    let text = format!("kind: List\napiVersion: v1\nitems:\n{items}");
    let file = parse(Path::new("f.yaml"), &text, None);
    assert_eq!(file.errors.len(), MAX_PLACES + 20);
    let places = file.errors.iter().filter(|error| error.line.is_some());
    assert_eq!(places.count(), MAX_PLACES);
    assert_eq!(file.errors[MAX_PLACES - 1].line, Some(103));
    assert_eq!(
        file.errors[MAX_PLACES].to_string(),
        "f.yaml: not a Kubernetes object: the field kind is missing; it is ignored"
    );
}

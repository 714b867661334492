use super::*;

#[test]
fn the_command_survives_the_shell() {
    let project = Project {
        root: "/project".into(),
        target: "/project/target".into(),
        metadata: serde_json::Value::Null,
    };
    let mut spec = VmSpec::new(
        "x",
        ["echo", "it's", "$HOME", ""].map(String::from).to_vec(),
    );
    spec.env = vec![("A".into(), "b c".into())];
    let text = command(&project, &spec);
    assert!(text.contains("export VM_BACKEND=uml\n"), "{text}");
    assert!(text.contains("export A='b c'\n"), "{text}");
    assert!(text.contains("cd '/project' || exit 126\n"), "{text}");
    assert!(
        text.ends_with("exec 'echo' 'it'\\''s' '$HOME' ''\n"),
        "{text}"
    );
}

use super::ObjectName;

#[test]
fn names_are_ordered_by_their_text_whether_they_share_it_or_not() {
    let texts = [("a", "y"), ("a", "z"), ("b", "x"), ("b", "y")];
    let ordered = || {
        let services = texts.map(|(namespace, name)| ObjectName::new(namespace, name));
        let servers = texts.map(|(namespace, name)| ObjectName::virtual_server(namespace, name));
        services.into_iter().chain(servers)
    };
    let names: Vec<ObjectName> = ordered().collect();
    let apart: Vec<ObjectName> = ordered().collect();
    let shared: Vec<ObjectName> = (ordered())
        .map(|name| {
            let known = names.iter().find(|known| known.namespace == name.namespace);
            ObjectName {
                namespace: known.expect("the same namespaces").namespace.clone(),
                ..name
            }
        })
        .collect();
    for others in [&apart, &shared] {
        for (a, name) in names.iter().enumerate() {
            for (b, other) in others.iter().enumerate() {
                assert_eq!(name.cmp(other), a.cmp(&b), "{name} and {other}");
                assert_eq!(name == other, a == b, "{name} and {other}");
            }
        }
    }
}

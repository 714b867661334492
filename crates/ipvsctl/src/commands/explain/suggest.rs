//! Names like a misspelled one.

use model::{ClusterState, ObjectName};

/// Minimum similarity of a suggestion, from 0 to 1.
const SIMILAR: f64 = 0.75;

/// Maximum number of suggestions.
const SUGGESTIONS: usize = 3;

/// Returns the names of Services like `name`, the most similar first. A Service of the same name in
/// another namespace is always one of them.
pub(super) fn near(cluster: &ClusterState, name: &ObjectName) -> Vec<ObjectName> {
    let asked = name.to_string();
    let mut near: Vec<(f64, &ObjectName)> = (cluster.service_names())
        .map(|known| (similarity(&asked, name, known), known))
        .filter(|(similarity, _)| *similarity >= SIMILAR)
        .collect();
    near.sort_by(|(a, left), (b, right)| b.total_cmp(a).then_with(|| left.cmp(right)));
    let near = near.into_iter().take(SUGGESTIONS);
    near.map(|(_, known)| known.clone()).collect()
}

fn similarity(asked: &str, name: &ObjectName, known: &ObjectName) -> f64 {
    if known.name == name.name {
        return 1.0;
    }
    let whole = strsim::jaro_winkler(asked, &known.to_string());
    let same_namespace = known.namespace == name.namespace;
    let own = strsim::jaro_winkler(&name.name, &known.name);
    if same_namespace { own } else { whole.min(own) }
}

#[cfg(test)]
mod tests {
    use model::cluster::{ClusterEvent, Object, Service};

    use super::*;

    #[test]
    fn similar_names_are_suggested() {
        let mut cluster = ClusterState::default();
        for (namespace, name) in [
            ("shop", "web"),
            ("shop", "webshop"),
            ("shop", "database"),
            ("test", "web"),
            ("kube-system", "kube-dns"),
        ] {
            let service = Service::new(ObjectName::new(namespace, name));
            cluster.absorb(ClusterEvent::Upsert(Object::Service(service)));
        }
        let near = |namespace, name| {
            let near = near(&cluster, &ObjectName::new(namespace, name)).into_iter();
            near.map(|name| name.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(near("shop", "wbe"), Vec::<String>::new());
        assert_eq!(near("shop", "wep"), ["shop/web"]);
        assert_eq!(near("default", "web"), ["shop/web", "test/web"]);
        assert_eq!(near("shop", "databse"), ["shop/database"]);
        assert_eq!(near("default", "zzz"), Vec::<String>::new());
    }
}

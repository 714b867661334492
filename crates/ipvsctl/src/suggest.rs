//! Names like a misspelled one.

use model::ObjectName;

/// Minimum similarity of a suggestion, from 0 to 1.
const SIMILAR: f64 = 0.75;

/// Maximum number of suggestions.
const SUGGESTIONS: usize = 3;

/// Returns the names of `known` like `name`, the most similar first. The same name in another
/// namespace is always one of them, and so is a longer one as that of a Deployment's pod.
pub fn near<'a>(known: impl Iterator<Item = &'a ObjectName>, name: &ObjectName) -> Vec<ObjectName> {
    let asked = name.to_string();
    let mut near: Vec<(f64, &ObjectName)> = known
        .map(|known| (similarity(&asked, name, known), known))
        .filter(|(similarity, _)| *similarity >= SIMILAR)
        .collect();
    near.sort_by(|(a, left), (b, right)| b.total_cmp(a).then_with(|| left.cmp(right)));
    let near = near.into_iter().take(SUGGESTIONS);
    near.map(|(_, known)| known.clone()).collect()
}

fn similarity(asked: &str, name: &ObjectName, known: &ObjectName) -> f64 {
    let same_namespace = known.namespace == name.namespace;
    let rest = known.name.strip_prefix(&*name.name);
    if rest == Some("") || same_namespace && rest.is_some_and(|rest| rest.starts_with('-')) {
        return 1.0;
    }
    let whole = strsim::jaro_winkler(asked, &known.to_string());
    let own = strsim::jaro_winkler(&name.name, &known.name);
    if same_namespace { own } else { whole.min(own) }
}

/// Returns the question of an error that suggests `names`; empty without one.
#[must_use]
pub fn question(names: &[ObjectName]) -> String {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    match names.is_empty() {
        true => String::new(),
        false => format!(": did you mean {}?", names.join(" or ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similar_names_are_suggested() {
        let known = [
            ("shop", "web"),
            ("shop", "webshop"),
            ("shop", "database"),
            ("test", "web"),
            ("kube-system", "kube-dns"),
            ("shop", "cart-7d4b9c-x2x1"),
        ];
        let known = known.map(|(namespace, name)| ObjectName::new(namespace, name));
        let near = |namespace, name| {
            let near = near(known.iter(), &ObjectName::new(namespace, name)).into_iter();
            near.map(|name| name.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(near("shop", "wbe"), Vec::<String>::new());
        assert_eq!(near("shop", "wep"), ["shop/web"]);
        assert_eq!(near("default", "web"), ["shop/web", "test/web"]);
        assert_eq!(near("shop", "databse"), ["shop/database"]);
        assert_eq!(near("default", "zzz"), Vec::<String>::new());
        assert_eq!(near("shop", "cart"), ["shop/cart-7d4b9c-x2x1"]);
        assert_eq!(near("test", "cart"), Vec::<String>::new());
    }
}

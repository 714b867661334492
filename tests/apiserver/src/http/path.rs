//! Parses the path of a request.

use crate::object::Key;
use crate::resource::Resource;

/// A collection, or an object of it.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) resource: Resource,
    pub(super) namespace: Option<String>,
    pub(super) name: Option<String>,
}

impl Target {
    pub(super) fn key(&self) -> Key {
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        Key::new(text(&self.namespace), text(&self.name))
    }
}

pub(super) fn parse(path: &str) -> Option<Target> {
    let steps: Vec<&str> = path.split('/').filter(|s| !s.is_empty()).collect();
    let (version, rest) = match steps.as_slice() {
        ["api", version, rest @ ..] => ((*version).to_owned(), rest),
        ["apis", group, version, rest @ ..] => (format!("{group}/{version}"), rest),
        _ => return None,
    };
    let (namespace, plural, name) = match *rest {
        ["namespaces", namespace, plural] => (Some(namespace), plural, None),
        ["namespaces", namespace, plural, name] => (Some(namespace), plural, Some(name)),
        [plural] => (None, plural, None),
        [plural, name] => (None, plural, Some(name)),
        _ => return None,
    };
    let resource = Resource::find(&version, plural)?;
    // The path of an object of a namespaced kind has a namespace. A collection may cover all of
    // them.
    let fits = match namespace {
        Some(_) => resource.is_namespaced(),
        None => name.is_none() || !resource.is_namespaced(),
    };
    fits.then(|| Target {
        resource,
        namespace: namespace.map(str::to_owned),
        name: name.map(str::to_owned),
    })
}

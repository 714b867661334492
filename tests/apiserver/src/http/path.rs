//! The subject of a path.

use crate::object::Key;
use crate::resource::Api;

/// A path, understood.
#[derive(Debug)]
pub(super) enum Topic {
    /// A collection or an object.
    Resource(Target),
    /// Discovery, versions, anything else.
    Other,
}

/// A collection, or an object of it.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) api: &'static Api,
    pub(super) namespace: Option<String>,
    pub(super) name: Option<String>,
    /// True if it is the object's `/status`.
    pub(super) status: bool,
}

impl Target {
    pub(super) fn key(&self, name: &str) -> Key {
        Key::new(self.namespace.clone().unwrap_or_default(), name)
    }
}

pub(super) fn parse(path: &str) -> Topic {
    let steps: Vec<&str> = path.split('/').filter(|s| !s.is_empty()).collect();
    let (group, rest) = match steps.as_slice() {
        ["api", "v1", rest @ ..] => ("", rest),
        ["apis", group, "v1", rest @ ..] => (*group, rest),
        _ => return Topic::Other,
    };
    let target = match rest {
        ["namespaces", namespace, plural, below @ ..]
            if !matches!(*plural, "status" | "finalize") =>
        {
            target(group, plural, Some(namespace), below)
        }
        [plural, below @ ..] => target(group, plural, None, below),
        [] => None,
    };
    target.map_or(Topic::Other, Topic::Resource)
}

fn target(group: &str, plural: &str, namespace: Option<&str>, below: &[&str]) -> Option<Target> {
    let api = Api::find(group, plural)?;
    let (name, status) = match below {
        [] => (None, false),
        [name] => (Some((*name).to_owned()), false),
        [name, "status"] if api.has_status => (Some((*name).to_owned()), true),
        _ => return None,
    };
    // An object of a namespaced kind has a path with a namespace; a collection may be over all of them.
    if namespace.is_some() != api.namespaced && (namespace.is_some() || name.is_some()) {
        return None;
    }
    Some(Target {
        api,
        namespace: namespace.map(str::to_owned),
        name,
        status,
    })
}

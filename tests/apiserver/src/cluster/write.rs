//! Create, update and delete, as k8s.io/apiserver's generic registry does them
//! (`pkg/registry/generic/registry/store.go`, 1.32).

use super::{Cluster, SYSTEM_NAMESPACES, State};
use crate::admission::{Part, admit_change, admit_metadata, admit_new, check_types, random_suffix};
use crate::object::{Key, Object};
use crate::resource::{Api, Resource};
use crate::status::ApiError;
use crate::store::Range;
use serde_json::{Value, json};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

const MODIFIED: &str =
    "the object has been modified; please apply your changes to the latest version and try again";

/// Options of a write.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WriteOptions {
    pub(crate) part: Part,
    pub(crate) dry_run: bool,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self {
            part: Part::Main,
            dry_run: false,
        }
    }
}

/// `DeleteOptions`, as far as this server heeds them.
#[derive(Debug, Clone, Default)]
pub(crate) struct DeleteOptions {
    pub(crate) uid: Option<String>,
    pub(crate) resource_version: Option<String>,
    pub(crate) dry_run: bool,
}

impl Cluster {
    /// Creates an object in a namespace (empty for cluster-scoped kinds).
    pub(crate) fn create(
        &self,
        api: &Api,
        namespace: &str,
        object: Value,
        options: WriteOptions,
    ) -> Result<Arc<Object>, ApiError> {
        let mut state = self.lock();
        let created = state.create(api, namespace, object, options)?;
        drop(state);
        if !options.dry_run {
            self.announce(api.resource, created.revision);
        }
        Ok(created)
    }

    /// Changes an object by a function from the stored version, in this API's spelling, to the new
    /// one. `None` goes in where the object does not exist; then a result is created. Returns whether
    /// it was.
    pub(crate) fn modify(
        &self,
        api: &Api,
        key: &Key,
        options: WriteOptions,
        change: impl FnOnce(Option<&Value>) -> Result<Value, ApiError>,
    ) -> Result<(Arc<Object>, bool), ApiError> {
        let mut state = self.lock();
        let Some(old) = state.store.get(api.resource, key).cloned() else {
            let new = change(None)?;
            let created = state.create(api, &key.namespace, new, options)?;
            drop(state);
            if !options.dry_run {
                self.announce(api.resource, created.revision);
            }
            return Ok((created, true));
        };
        let new = change(Some(&api.encode(&old.value)))?;
        let new = state.prepare_change(api, key, &old, new, options.part)?;
        if same_but_revision(&new, &old.value) {
            return Ok((old, false));
        }
        if options.dry_run {
            return Ok((
                Arc::new(Object::new(api.resource, new, old.revision)),
                false,
            ));
        }
        let metadata = &new["metadata"];
        let done = !metadata["deletionTimestamp"].is_null()
            && metadata["finalizers"].as_array().is_none_or(Vec::is_empty);
        let object = state.put(api.resource, new);
        let revision = if done {
            state
                .remove(api.resource, key)
                .map_or(object.revision, |o| o.revision)
        } else {
            object.revision
        };
        drop(state);
        self.announce(api.resource, revision);
        Ok((object, false))
    }

    /// Deletes an object, or marks it where it has finalizers. Returns the last version.
    pub(crate) fn delete(
        &self,
        api: &Api,
        key: &Key,
        options: &DeleteOptions,
    ) -> Result<Arc<Object>, ApiError> {
        let mut state = self.lock();
        let Some(old) = state.store.get(api.resource, key).cloned() else {
            return Err(ApiError::not_found(api.group, api.plural, &key.name));
        };
        check_preconditions(api, &old, options)?;
        if api.resource == Resource::Namespaces && SYSTEM_NAMESPACES.contains(&key.name.as_str()) {
            return Err(ApiError::new(
                403,
                "Forbidden",
                format!(
                    "namespaces {:?} is forbidden: this namespace may not be deleted",
                    key.name
                ),
            ));
        }
        if options.dry_run {
            return Ok(old);
        }
        let has_finalizers = old.value["metadata"]["finalizers"]
            .as_array()
            .is_some_and(|f| !f.is_empty());
        let object = if has_finalizers {
            if !old.value["metadata"]["deletionTimestamp"].is_null() {
                return Ok(old);
            }
            let mut marked = old.value.clone();
            marked["metadata"]["deletionTimestamp"] = json!(now());
            marked["metadata"]["deletionGracePeriodSeconds"] = json!(0);
            state.put(api.resource, marked)
        } else {
            if api.resource == Resource::Namespaces {
                state.empty_namespace(&key.name);
            }
            state.remove(api.resource, key).unwrap_or(old)
        };
        let revision = state.store.revision();
        drop(state);
        if api.resource == Resource::Namespaces {
            for resource in Resource::ALL {
                self.announce(resource, revision);
            }
        } else {
            self.announce(api.resource, revision);
        }
        Ok(object)
    }
}

impl State {
    fn create(
        &mut self,
        api: &Api,
        namespace: &str,
        mut object: Value,
        options: WriteOptions,
    ) -> Result<Arc<Object>, ApiError> {
        if !object["metadata"]["resourceVersion"]
            .as_str()
            .unwrap_or_default()
            .is_empty()
        {
            return Err(ApiError::new(
                500,
                "",
                "resourceVersion should not be set on objects to be created",
            ));
        }
        check_types(api, &object)?;
        strip_nulls(&mut object);
        if api.namespaced {
            object["metadata"]["namespace"] = json!(namespace);
            if self
                .store
                .get(Resource::Namespaces, &Key::new("", namespace))
                .is_none()
            {
                return Err(ApiError::not_found("", "namespaces", namespace));
            }
        }
        let metadata = &mut object["metadata"];
        let prefix = metadata["generateName"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        if metadata["name"].as_str().unwrap_or_default().is_empty() && !prefix.is_empty() {
            metadata["name"] = json!(format!("{prefix}{}", random_suffix()));
        }
        for field in [
            "generation",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "selfLink",
            "resourceVersion",
        ] {
            if let Some(map) = metadata.as_object_mut() {
                map.remove(field);
            }
        }
        let mut object = api.decode(object);
        stamp(&mut object);
        let key = Key::of(&object);
        if self.store.get(api.resource, &key).is_some() {
            return Err(ApiError::already_exists(api.group, api.plural, &key.name));
        }
        let mut errors = admit_metadata(api, &object);
        if let Err(more) = admit_new(api.resource, &mut object, &self.taken) {
            errors.extend(more);
        }
        if !errors.is_empty() {
            return Err(ApiError::invalid(api.group, api.kind, &key.name, &errors));
        }
        if options.dry_run {
            return Ok(Arc::new(Object::new(api.resource, object, 0)));
        }
        Ok(self.put(api.resource, object))
    }

    /// The new version of an object, ready to be stored.
    fn prepare_change(
        &self,
        api: &Api,
        key: &Key,
        old: &Object,
        mut new: Value,
        part: Part,
    ) -> Result<Value, ApiError> {
        check_types(api, &new)?;
        strip_nulls(&mut new);
        let mut new = api.decode(new);
        let sent = |field: &str| {
            new["metadata"][field]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        let (version, uid, name) = (sent("resourceVersion"), sent("uid"), sent("name"));
        if name != key.name {
            return Err(ApiError::bad_request(format!(
                "the name of the object ({name}) does not match the name on the URL ({})",
                key.name
            )));
        }
        if !version.is_empty() && version != old.revision.to_string() {
            return Err(ApiError::conflict(
                api.group, api.plural, &key.name, MODIFIED,
            ));
        }
        let old_uid = old.value["metadata"]["uid"].as_str().unwrap_or_default();
        if !uid.is_empty() && uid != old_uid {
            let why = format!(
                "Precondition failed: UID in precondition: {uid}, UID in object meta: {old_uid}"
            );
            return Err(ApiError::conflict(api.group, api.plural, &key.name, &why));
        }
        for field in [
            "uid",
            "creationTimestamp",
            "generation",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "resourceVersion",
            "namespace",
            "generateName",
        ] {
            let Some(map) = new["metadata"].as_object_mut() else {
                continue;
            };
            match old.value["metadata"].get(field) {
                Some(value) => drop(map.insert(field.to_owned(), value.clone())),
                None => drop(map.remove(field)),
            }
        }
        tidy_metadata(&mut new);
        let mut errors = admit_metadata(api, &new);
        if let Err(more) = admit_change(api.resource, part, &mut new, &old.value, &self.taken) {
            errors.extend(more);
        }
        if !errors.is_empty() {
            return Err(ApiError::invalid(api.group, api.kind, &key.name, &errors));
        }
        Ok(new)
    }

    fn empty_namespace(&mut self, namespace: &str) {
        for resource in Resource::ALL.into_iter().filter(|r| r.storage().namespaced) {
            let range = Range {
                namespace: Some(namespace),
                ..Range::default()
            };
            let keys: Vec<Key> = self
                .store
                .list(resource, &range, |_| true)
                .map(|page| page.items.iter().map(|o| o.key.clone()).collect())
                .unwrap_or_default();
            for key in keys {
                self.remove(resource, &key);
            }
        }
    }
}

/// The fields every new object gets.
pub(crate) fn stamp(object: &mut Value) {
    object["metadata"]["uid"] = json!(random_uid());
    object["metadata"]["creationTimestamp"] = json!(now());
    tidy_metadata(object);
}

fn check_preconditions(api: &Api, old: &Object, options: &DeleteOptions) -> Result<(), ApiError> {
    let metadata = &old.value["metadata"];
    for (what, asked, has) in [
        ("UID", &options.uid, &metadata["uid"]),
        (
            "ResourceVersion",
            &options.resource_version,
            &metadata["resourceVersion"],
        ),
    ] {
        let has = has.as_str().unwrap_or_default();
        if let Some(asked) = asked
            && asked != has
        {
            let why = format!(
                "Precondition failed: {what} in precondition: {asked}, {what} in object meta: {has}"
            );
            return Err(ApiError::conflict(
                api.group,
                api.plural,
                &old.key.name,
                &why,
            ));
        }
    }
    Ok(())
}

fn same_but_revision(new: &Value, old: &Value) -> bool {
    let (mut new, mut old) = (new.clone(), old.clone());
    for object in [&mut new, &mut old] {
        object["metadata"]["resourceVersion"].take();
    }
    new == old
}

/// Go's `omitempty`: empty maps and lists of the metadata are not there.
fn tidy_metadata(object: &mut Value) {
    let Some(map) = object["metadata"].as_object_mut() else {
        return;
    };
    for field in [
        "labels",
        "annotations",
        "finalizers",
        "ownerReferences",
        "managedFields",
    ] {
        let empty = match map.get(field) {
            Some(Value::Object(m)) => m.is_empty(),
            Some(Value::Array(a)) => a.is_empty(),
            _ => false,
        };
        if empty {
            map.remove(field);
        }
    }
}

/// Go decodes a null as the absence of the field.
fn strip_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, v| !v.is_null());
            map.values_mut().for_each(strip_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(strip_nulls),
        _ => {}
    }
}

/// The time as Kubernetes writes it, in whole seconds.
pub(crate) fn now() -> String {
    let seconds = jiff::Timestamp::now().as_second();
    jiff::Timestamp::from_second(seconds).map_or_else(|_| String::new(), |t| t.to_string())
}

fn random_uid() -> String {
    let (a, b) = (
        RandomState::new().hash_one(1_u8),
        RandomState::new().hash_one(2_u8),
    );
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        a >> 32,
        (a >> 16) & 0xffff,
        a & 0xfff,
        (b >> 48) & 0x3fff | 0x8000,
        b & 0xffff_ffff_ffff
    )
}

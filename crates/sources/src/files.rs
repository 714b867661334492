//! Manifests: Services, EndpointSlices, Endpoints, Nodes and VirtualServers in YAML or JSON files.
//!
//! - A path is a file, a directory, or `-` for standard input.
//! - In a directory, the files `*.yaml`, `*.yml` and `*.json` are read in the order of their names.
//!   Names that begin with a dot (of editors and ConfigMap mounts) and all other names, such as
//!   `web.yaml~` or `#web.yaml#`, are skipped. Subdirectories are not read.
//! - A file may have up to 250,000 documents, not counting empty ones. Further documents are
//!   reported and ignored.
//! - A document is an object or a list (`kind: List`, `ServiceList` and so on), such as the output
//!   of `kubectl get svc,endpointslices,nodes -A -o yaml`.
//! - Objects of other kinds are skipped. A kind or API version that looks like a misspelt supported
//!   one causes a warning, as does a field that Kubernetes does not have. EndpointSlices may have
//!   the version `discovery.k8s.io/v1beta1`.
//! - A VirtualServer ([`crate::virtual_server`]) with an unknown field is an error.
//! - Plain `yes`, `no`, `on`, `off`, `y` and `n` are text. `kubectl` reads them as booleans (YAML
//!   1.1).
//! - Objects that do not match kube-proxy's label selectors are skipped ([`crate::filter`]).
//! - Endpoints are used only for a Service without an EndpointSlice in the same set of files, since
//!   a cluster has the same endpoints in both.
//! - A syntax error affects only its document, and a field with a wrong type only its object.
//! - Of several objects with the same name the last one is used, and the duplicate is reported.

mod converted;
mod error;
mod file;
mod misspelt;
mod object;
mod paths;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use model::{ClusterEvent, Object, ObjectKind, ObjectName, SafeText};

use self::converted::{Converted, ConvertedKey};
pub use self::error::{FileError, FileErrorKind};
use self::file::File;
use crate::pods::PodAddresses;

/// Contents of a set of files.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FileObjects {
    /// Services, EndpointSlices, Nodes and VirtualServers with unique names, ordered by kind and name.
    pub objects: Vec<Object>,
    /// Errors in the files, in the order of reading.
    pub errors: Vec<FileError>,
    /// Warnings about misspelt kinds and fields, up to 100 for each file.
    pub warnings: Vec<FileError>,
    /// Numbers of skipped objects of other kinds, by kind.
    pub other_kinds: BTreeMap<SafeText, usize>,
    /// True if a path could not be read at all. A missing object does not count as deleted then.
    pub incomplete: bool,
    /// Addresses of pods, if [`read_with_pods`] has read the files.
    pub pods: PodAddresses,
}

impl FileObjects {
    /// Converts the objects to complete lists of every kind.
    #[must_use]
    pub fn into_events(self) -> Vec<ClusterEvent> {
        let mut events = Vec::new();
        let mut objects = self.objects.into_iter().peekable();
        for kind in ObjectKind::OF_FILES {
            events.push(ClusterEvent::ListStarted(kind));
            while let Some(object) = objects.next_if(|object| object.kind() == kind) {
                events.push(ClusterEvent::Upsert(object));
            }
            events.push(ClusterEvent::ListDone(kind));
        }
        events
    }
}

/// Reads files, directories and standard input (`-`) once.
#[must_use]
pub fn read(paths: &[PathBuf]) -> FileObjects {
    FileSet::new(paths.to_vec()).read()
}

/// Does the same as [`read`], and collects the addresses of pods: those of endpoints, headless
/// Services included.
#[must_use]
pub fn read_with_pods(paths: &[PathBuf]) -> FileObjects {
    let mut set = FileSet::new(paths.to_vec());
    set.with_pods = true;
    set.read()
}

/// Parses the text of the file at `path`. Errors contain the path.
#[must_use]
pub fn parse(path: &Path, text: &str) -> FileObjects {
    let mut found = FileObjects::default();
    let mut merged = Merged::default();
    FileSet::new(Vec::new()).add(path, file::parse(path, text, None), &mut merged, &mut found);
    found.objects = merged.into_objects();
    found
}

/// A set of files that is read repeatedly.
///
/// - While a file has an error, objects that were read from it before and are missing now are kept,
///   since they may be in the invalid part. The other objects of the file are updated.
/// - While a path cannot be read at all, all objects that were read from it are kept.
#[derive(Debug)]
pub struct FileSet {
    paths: Vec<PathBuf>,
    known: BTreeMap<PathBuf, BTreeMap<ConvertedKey, Converted>>,
    with_pods: bool,
}

impl FileSet {
    /// Returns the set of the files at `paths`, without reading them.
    #[must_use]
    pub fn new(paths: Vec<PathBuf>) -> Self {
        Self {
            paths,
            known: BTreeMap::new(),
            with_pods: false,
        }
    }

    /// Returns the paths of the set.
    #[must_use]
    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// Reads all files.
    pub fn read(&mut self) -> FileObjects {
        let mut found = FileObjects::default();
        let mut merged = Merged::default();
        let mut seen = BTreeSet::new();
        for path in self.paths.clone() {
            match paths::files_of(&path) {
                Ok(paths::Found { files, left_out }) => {
                    let left_out = left_out.iter().map(|path| FileError::left_out(path));
                    found.warnings.extend(left_out);
                    for file in files {
                        let pods = self.with_pods.then(|| std::mem::take(&mut found.pods));
                        let mut contents = file::read(&file, pods);
                        found.pods = contents.pods.take().unwrap_or_default();
                        self.add(&file, contents, &mut merged, &mut found);
                        seen.insert(file);
                    }
                }
                Err(error) => {
                    found.errors.push(*error);
                    found.incomplete = true;
                    let stale = self
                        .known
                        .iter()
                        .filter(|(file, _)| file.starts_with(&path));
                    for (file, objects) in stale {
                        seen.insert(file.clone());
                        merged.add_all(file, objects.clone(), &mut found.errors);
                    }
                }
            }
        }
        self.known.retain(|file, _| seen.contains(file));
        found.objects = merged.into_objects();
        found
    }

    fn add(&mut self, path: &Path, file: File, merged: &mut Merged, found: &mut FileObjects) {
        let broken = !file.errors.is_empty();
        found.errors.extend(file.errors);
        found.warnings.extend(file.warnings);
        for (kind, count) in file.other_kinds {
            *found.other_kinds.entry(kind).or_default() += count;
        }
        let mut now = BTreeMap::new();
        for (key, converted) in file.objects {
            if now.insert(key.clone(), converted).is_some() {
                found.errors.push(FileError::twice(path, path, &key));
            }
        }
        if broken && let Some(before) = self.known.remove(path) {
            for (key, converted) in before {
                now.entry(key).or_insert(converted);
            }
        }
        self.known.insert(path.to_owned(), now.clone());
        merged.add_all(path, now, &mut found.errors);
    }
}

/// Objects of all files.
#[derive(Default)]
struct Merged {
    objects: BTreeMap<ConvertedKey, (PathBuf, Converted)>,
}

impl Merged {
    fn add_all(
        &mut self,
        path: &Path,
        objects: BTreeMap<ConvertedKey, Converted>,
        errors: &mut Vec<FileError>,
    ) {
        for (key, converted) in objects {
            let before = (self.objects).insert(key.clone(), (path.to_owned(), converted));
            if let Some((first, _)) = before {
                errors.push(FileError::twice(path, &first, &key));
            }
        }
    }

    fn into_objects(self) -> Vec<Object> {
        let with_slices: BTreeSet<ObjectName> = (self.objects.values())
            .filter_map(|(_, converted)| match converted {
                Converted::Object(object) => service_of(object),
                Converted::Endpoints(_) => None,
            })
            .collect();
        let mut objects = Vec::new();
        for (key, (_, converted)) in self.objects {
            match converted {
                Converted::Object(object) => objects.push(*object),
                Converted::Endpoints(_) if with_slices.contains(&key.name) => {
                    tracing::debug!(endpoints = %key.name, "ignored Endpoints: the Service has EndpointSlices");
                }
                Converted::Endpoints(slices) => {
                    objects.extend(slices.into_iter().map(Object::EndpointSlice));
                }
            }
        }
        objects.sort_by_cached_key(|object| (object.kind(), object.name()));
        objects
    }
}

/// Returns the Service of a slice.
fn service_of(object: &Object) -> Option<ObjectName> {
    match object {
        Object::EndpointSlice(slice) => Some(ObjectName::new(
            slice.name.namespace.clone(),
            slice.service.clone(),
        )),
        Object::Service(_) | Object::Node(_) | Object::VirtualServer(_) => None,
    }
}

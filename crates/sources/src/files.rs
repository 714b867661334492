//! Manifests: Services, EndpointSlices, Endpoints and Nodes in YAML or JSON files.
//!
//! - A path is a file, a directory, or `-` for standard input.
//! - Of a directory, the files `*.yaml`, `*.yml` and `*.json` are read in the order of their names.
//!   Names that begin with a dot are left out (editors' and ConfigMap mounts' own), and so is every
//!   other name, such as `web.yaml~` or `#web.yaml#`; directories inside it are not entered.
//! - A file holds up to 250,000 documents; empty ones do not count, and later ones are reported and ignored.
//!   A document holds an object or a list (`kind: List`,
//!   `ServiceList` and so on), so the output of `kubectl get svc,endpointslices,nodes -A -o yaml` is one.
//!   Objects of other kinds are passed over; one whose kind or API version looks like a misspelt one of ours is warned of, and so is
//!   a field that Kubernetes does not have. EndpointSlices may be of `discovery.k8s.io/v1beta1`.
//! - Plain words are what they are to `kubectl` (YAML 1.1): `yes`, `no`, `on`, `off`, `y` and `n` are no
//!   text unless they are quoted.
//! - Objects that kube-proxy's label selectors leave out are left out here too ([`crate::filter`]).
//! - Endpoints count only for a Service that has no EndpointSlice in the same set of files, because a
//!   cluster shows the same endpoints in both.
//! - A mistake harms its own document, a field of the wrong type its own object, and nothing else.
//! - The last object of a name wins, and the clash is reported.

mod doubts;
mod error;
mod file;
mod given;
mod object;
mod paths;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use model::{ClusterEvent, Object, ObjectKind, ObjectName, SafeText};

pub use self::error::{FileError, FileErrorKind};
use self::file::File;
use self::given::{Given, GivenKey};

/// The contents of a set of files.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FileObjects {
    /// Services, EndpointSlices and Nodes, each name once; ordered by kind and name.
    pub objects: Vec<Object>,
    /// Errors in the files, in the order of reading.
    pub errors: Vec<FileError>,
    /// Oddities in the files, which harm nothing: misspelt kinds and fields. Up to 100 of each file.
    pub warnings: Vec<FileError>,
    /// Numbers of objects of other kinds that were passed over, by kind.
    pub other_kinds: BTreeMap<SafeText, usize>,
    /// True if a path that was asked for could not be read at all: then the absence of an object means nothing.
    pub incomplete: bool,
}

impl FileObjects {
    /// The objects as complete lists of every kind.
    #[must_use]
    pub fn into_events(self) -> Vec<ClusterEvent> {
        let mut events = Vec::new();
        let mut objects = self.objects.into_iter().peekable();
        for kind in ObjectKind::ALL {
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

/// Parses a text that came from `path`, which the errors name.
#[must_use]
pub fn parse(path: &Path, text: &str) -> FileObjects {
    let mut found = FileObjects::default();
    let mut merged = Merged::default();
    FileSet::new(Vec::new()).add(path, file::parse(path, text), &mut merged, &mut found);
    found.objects = merged.into_objects();
    found
}

/// A set of files that is read again and again.
///
/// While a file has a mistake, what was read from it before and is not in it now stays, because it
/// may stand in the broken part; what is readable counts as it is now. While one of the paths that
/// were asked for cannot be read at all, all that was read from it stays.
#[derive(Debug)]
pub struct FileSet {
    paths: Vec<PathBuf>,
    known: BTreeMap<PathBuf, BTreeMap<GivenKey, Given>>,
}

impl FileSet {
    /// The files at `paths`. Nothing is read yet.
    #[must_use]
    pub fn new(paths: Vec<PathBuf>) -> Self {
        Self {
            paths,
            known: BTreeMap::new(),
        }
    }

    /// Returns the paths that were asked for.
    #[must_use]
    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// Reads everything.
    pub fn read(&mut self) -> FileObjects {
        let mut found = FileObjects::default();
        let mut merged = Merged::default();
        let mut seen = BTreeSet::new();
        for path in self.paths.clone() {
            match paths::files_of(&path) {
                Ok(files) => {
                    for file in files {
                        self.add(&file, file::read(&file), &mut merged, &mut found);
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
        for (key, given) in file.objects {
            if now.insert(key.clone(), given).is_some() {
                found.errors.push(FileError::twice(path, path, &key));
            }
        }
        if broken && let Some(before) = self.known.remove(path) {
            for (key, given) in before {
                now.entry(key).or_insert(given);
            }
        }
        self.known.insert(path.to_owned(), now.clone());
        merged.add_all(path, now, &mut found.errors);
    }
}

/// The objects of all files.
#[derive(Default)]
struct Merged {
    objects: BTreeMap<GivenKey, (PathBuf, Given)>,
}

impl Merged {
    fn add_all(
        &mut self,
        path: &Path,
        objects: BTreeMap<GivenKey, Given>,
        errors: &mut Vec<FileError>,
    ) {
        for (key, given) in objects {
            let before = (self.objects).insert(key.clone(), (path.to_owned(), given));
            if let Some((first, _)) = before {
                errors.push(FileError::twice(path, &first, &key));
            }
        }
    }

    fn into_objects(self) -> Vec<Object> {
        let with_slices: BTreeSet<ObjectName> = (self.objects.values())
            .filter_map(|(_, given)| match given {
                Given::Object(object) => service_of(object),
                Given::Endpoints(_) => None,
            })
            .collect();
        let mut objects = Vec::new();
        for (key, (_, given)) in self.objects {
            match given {
                Given::Object(object) => objects.push(*object),
                Given::Endpoints(_) if with_slices.contains(&key.name) => {
                    tracing::debug!(endpoints = %key.name, "EndpointSlices are there: Endpoints are not used");
                }
                Given::Endpoints(slices) => {
                    objects.extend(slices.into_iter().map(Object::EndpointSlice));
                }
            }
        }
        objects.sort_by_cached_key(|object| (object.kind(), object.name()));
        objects
    }
}

/// The Service of a slice.
fn service_of(object: &Object) -> Option<ObjectName> {
    match object {
        Object::EndpointSlice(slice) => Some(ObjectName::new(
            slice.name.namespace.clone(),
            slice.service.clone(),
        )),
        Object::Service(_) | Object::Node(_) => None,
    }
}

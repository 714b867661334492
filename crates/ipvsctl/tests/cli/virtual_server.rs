//! The JSON Schema of VirtualServers agrees with the examples, with `ipvsctl import` and with the
//! decoder.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::folder::validator;
use crate::import::configurations;

/// Returns the files below `place` with this extension.
fn files(place: &Path, extension: &str) -> Vec<PathBuf> {
    if place.is_file() {
        let is_wanted = place.extension().is_some_and(|end| end == extension);
        return is_wanted.then(|| place.to_owned()).into_iter().collect();
    }
    let entries = fs::read_dir(place).expect("a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.flat_map(|path| files(&path, extension)).collect()
}

/// Returns the objects of kind VirtualServer in a YAML text.
fn virtual_servers(yaml: &str) -> Vec<Value> {
    let documents = yaml
        .split("---\n")
        .filter(|text| text.contains("kind: VirtualServer"));
    let parse = |text: &str| serde_saphyr::from_str::<Value>(text).expect("YAML");
    documents.map(parse).collect()
}

/// Returns the blocks of code in Markdown.
fn blocks(markdown: &str) -> impl Iterator<Item = &str> {
    let parts = markdown.split("```").skip(1).step_by(2);
    parts.filter_map(|block| block.split_once('\n').map(|(_, text)| text))
}

/// Returns true if a file with this object is read without a mistake.
fn is_read(object: &Value) -> bool {
    let found = sources::files::parse(Path::new("f"), &object.to_string());
    found.errors.is_empty() && found.objects.len() == 1
}

#[track_caller]
fn check(name: &str, objects: &[Value]) {
    let validator = validator("VirtualServer");
    for object in objects {
        let problems: Vec<String> = (validator.iter_errors(object))
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(problems.is_empty(), "{name}: {object:#}\n{problems:#?}");
        assert!(is_read(object), "{name}: {object:#}");
    }
}

#[test]
fn examples_are_valid() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut found = 0;
    for place in ["README.md", "docs", "manifests", "demo", "crates"] {
        let place = root.join(place);
        if !place.exists() {
            continue;
        }
        for path in files(&place, "md") {
            let text = fs::read_to_string(&path).expect("text");
            for block in blocks(&text) {
                let objects = virtual_servers(block);
                found += objects.len();
                check(&path.display().to_string(), &objects);
            }
        }
        for path in files(&place, "yaml") {
            let objects = virtual_servers(&fs::read_to_string(&path).expect("text"));
            found += objects.len();
            check(&path.display().to_string(), &objects);
        }
    }
    // The page of the kind, and the imported configurations.
    assert!(found > 10, "{found}");
}

#[test]
fn imported_objects_are_valid() {
    let folder = configurations();
    for path in files(folder.path(), "conf") {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .expect("a name");
        let ran = folder.run(&format!("import {name} -o json")).exits(0);
        let list: Value = serde_json::from_str(&ran.out).expect("JSON");
        let items = list["items"].as_array().expect("a list");
        assert!(!items.is_empty(), "{name}");
        check(name, items);
        // The same objects as YAML.
        let ran = folder.run(&format!("import {name}")).exits(0);
        assert_eq!(virtual_servers(&ran.out), *items);
    }
}

/// Returns a VirtualServer with this specification.
fn object(spec: &Value) -> Value {
    json!({
        "apiVersion": "kube-ipvs.io/v1alpha1",
        "kind": "VirtualServer",
        "metadata": {"name": "web", "labels": {"a": "b"}},
        "spec": spec,
    })
}

/// Every field of an address and of a real server.
fn complete() -> Value {
    object(&json!({
        "address": "192.0.2.10",
        "port": 80,
        "protocol": "TCP",
        "scheduler": "mh",
        "schedulerFlags": ["mh-port"],
        "onePacket": false,
        "persistence": {"timeoutSeconds": 60, "prefixLength": 24, "engine": "sip"},
        "forwarding": "tunnel",
        "tunnel": {"type": "gue", "port": 6080, "checksum": "full"},
        "bind": false,
        "masqueradeSource": true,
        "realServers": [{
            "address": "10.0.0.1",
            "port": 8080,
            "weight": 3,
            "forwarding": "tunnel",
            "tunnel": {"type": "ipip"},
            "upperThreshold": 10,
            "lowerThreshold": 5,
        }],
    }))
}

/// Returns copies of `value` in which one field of any object has another name.
fn misspelt(value: &Value) -> Vec<Value> {
    let mut found = Vec::new();
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let with = |name: &str, field: &Value| {
                    let mut copy = fields.clone();
                    copy.insert(name.to_owned(), field.clone());
                    Value::Object(copy)
                };
                found.push(with(&format!("{name}x"), field));
                // Names of labels are free.
                if name != "labels" {
                    found.extend(misspelt(field).iter().map(|field| with(name, field)));
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                found.extend(misspelt(item).into_iter().map(|item| {
                    let mut copy = items.clone();
                    copy[index] = item;
                    Value::Array(copy)
                }));
            }
        }
        _ => {}
    }
    found
}

#[test]
fn every_field_is_known_and_no_other() {
    let complete = complete();
    check("complete", std::slice::from_ref(&complete));
    let validator = validator("VirtualServer");
    let misspelt = misspelt(&complete);
    assert_eq!(misspelt.len(), 32);
    for object in misspelt {
        assert!(!validator.is_valid(&object), "{object:#}");
    }
}

#[test]
fn the_schema_accepts_what_the_decoder_accepts() {
    let validator = validator("VirtualServer");
    let address = json!({"address": "192.0.2.10", "port": 80});
    let with = |base: &Value, field: &str, value: Value| {
        let mut spec = base.clone();
        spec[field] = value;
        spec
    };
    let mark = json!({"fwmark": 7});
    let accepted = [
        address.clone(),
        mark.clone(),
        with(&address, "fwmark", Value::Null),
        with(&address, "persistence", json!({})),
        with(&mark, "bind", json!(false)),
        with(&mark, "family", json!("IPv6")),
        json!({"fwmark": 4_294_967_295_u32}),
        with(&address, "realServers", json!([{"address": "fd00::1"}])),
    ];
    let refused = [
        json!({}),
        json!({"address": "192.0.2.10"}),
        json!({"port": 80}),
        json!({"fwmark": 0}),
        json!({"fwmark": 4_294_967_296_u64}),
        with(&address, "fwmark", json!(7)),
        with(&address, "family", json!("IPv4")),
        with(&address, "port", json!(65_536)),
        with(&address, "port", json!("80")),
        with(&address, "protocol", json!("tcp")),
        with(&address, "forwarding", json!("nat")),
        with(&address, "tunnel", json!({"type": "vxlan"})),
        with(&address, "realServers", json!([{"port": 80}])),
        with(
            &address,
            "realServers",
            json!([{"address": "10.0.0.1", "weight": -1}]),
        ),
        with(&mark, "port", json!(80)),
        with(&mark, "protocol", json!("TCP")),
        with(&mark, "bind", json!(true)),
    ];
    let verdicts =
        (accepted.iter().map(|spec| (spec, true))).chain(refused.iter().map(|spec| (spec, false)));
    for (spec, expected) in verdicts {
        let object = object(spec);
        assert_eq!(validator.is_valid(&object), expected, "schema: {spec}");
        assert_eq!(is_read(&object), expected, "decoder: {spec}");
    }
}

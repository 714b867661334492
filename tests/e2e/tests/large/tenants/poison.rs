//! Invalid objects, which a real API server rejects, but a newer or a broken server may deliver.

use e2e::{Outcome, Protocol, ensure, objects};
use serde_json::{Value, json};

use super::scene::{LIMIT, Scene, address, endpoint};

/// Number of objects of each kind in the last phase.
const MANY: u16 = 100;

/// Maximum number of lines of the log.
const LINES: usize = 1_500;

pub(super) fn harmless() -> Outcome {
    let scene = Scene::start_with(|api, _| {
        let kept = [
            objects::service("kept", &[address(2)], &[Protocol::Tcp]),
            objects::slice("kept", &[endpoint(2)], &[Protocol::Tcp]),
        ];
        api.create_all(&kept)?;
        let listed = poisoned("listed");
        listed.iter().try_for_each(|each| api.replace(each))
    })?;
    let store = |objects: &[Value]| {
        let store = |each| scene.api.replace(each);
        objects.iter().try_for_each(store)
    };
    reported(&scene, "listed")?;
    scene.phase("3 objects that cannot be decoded, in the lists", || Ok(()))?;
    // Of objects that were valid before, the last valid version stays in use.
    scene.phase("and 6 more, of which 2 were served", || {
        store(&poisoned("later"))?;
        store(&poisoned("kept"))
    })?;
    reported(&scene, "later")?;
    reported(&scene, "kept")?;
    scene.phase("and 300 more", || {
        (0..MANY).try_for_each(|number| store(&poisoned(&format!("many-{number}"))))
    })?;
    reported(&scene, &format!("many-{}", MANY - 1))?;
    scene.serves(address(2), endpoint(2))?;
    scene.is_ready()?;
    let lines = scene.lines();
    ensure(lines <= LINES, || {
        format!("the log has {lines} lines, more than {LINES}")
    })
}

/// Returns a Service, its EndpointSlice and a Node, each with a field of the wrong type.
fn poisoned(name: &str) -> [Value; 3] {
    let mut service = objects::service(name, &[address(3)], &[]);
    service["spec"]["ports"] = json!("http");
    let mut slice = objects::slice(name, &[endpoint(3)], &[Protocol::Tcp]);
    slice["endpoints"] = json!({"addresses": [endpoint(3)]});
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name},
        "status": {"addresses": 7}});
    [service, slice, node]
}

/// Waits until the log names each of the objects of this name, with the wrong field.
fn reported(scene: &Scene, name: &str) -> Outcome {
    let slice = objects::slice_name(name, "IPv4");
    let words = [
        ["Service", &format!("default/{name}"), "spec.ports"],
        ["EndpointSlice", &format!("default/{slice}"), "endpoints"],
        ["Node", name, "status.addresses"],
    ];
    for [kind, object, field] in words {
        let words = ["KIV0119", kind, object, field];
        scene.daemon.wait_for_log(LIMIT, &words)?;
    }
    Ok(())
}

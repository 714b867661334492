//! A directory of manifests that is watched.

use std::fs;
use std::time::Duration;

use e2e::{Context as _, Family, Outcome, Protocol, World, eventually, objects, within};
use libtest_mimic::Trial;

use crate::case;

pub(crate) fn trials() -> Vec<Trial> {
    vec![case("files::a_directory_is_followed", directory)]
}

fn directory() -> Outcome {
    let world = World::build(2)?;
    let config = world.config(&[])?;
    let directory = world.path("manifests");
    world.write_objects("manifests/web.json", world.web("web", 1))?;
    let _daemon = world.daemon(&[&"--manifests", &directory, &"--config", &config])?;
    let follows = || {
        let expected = world.rendered(&directory, &config)?;
        world.tables()?.are(&expected)
    };
    eventually(follows)?;

    world.write_objects("manifests/shop.json", world.web("shop", 2))?;
    within(Duration::from_secs(3), follows)?;
    // Fewer endpoints in a file that is there.
    let addresses = [Family::V4.virtual_address(1)];
    let endpoints = &world.endpoints(Family::V4)[1..];
    world.write_objects(
        "manifests/web.json",
        vec![
            objects::service("web", &addresses, &[Protocol::Tcp]),
            objects::slice("web", endpoints, &[Protocol::Tcp]),
        ],
    )?;
    within(Duration::from_secs(3), follows)?;
    fs::remove_file(directory.join("shop.json")).context(|| "removing a manifest")?;
    within(Duration::from_secs(3), follows)
}

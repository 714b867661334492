//! A watched directory of manifests.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use e2e::{
    Context as _, Family, LongLived, Outcome, Probe, Protocol, World, ensure, eventually, get_text,
    objects, within,
};
use libtest_mimic::Trial;

use crate::case;

/// The address of kube-ipvsd's pages.
const METRICS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 10249);

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        case("files::a_directory_is_followed", directory),
        case(
            "files::a_directory_that_is_suddenly_empty_serves_on",
            suddenly_empty,
        ),
    ]
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
    // An existing file gets fewer endpoints.
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

/// An unmounted volume looks like an empty directory. Connections live, and new ones are answered,
/// until a second reading also finds it empty.
fn suddenly_empty() -> Outcome {
    let world = World::build(1)?;
    let config = world.config(&[])?;
    let confirmation = Duration::from_secs(8);
    let text = fs::read_to_string(&config).context(|| "reading the configuration")?;
    let own = text
        .replace("kubeproxy.config.k8s.io/v1alpha1", "kube-ipvs.io/v1alpha1")
        .replace("KubeProxyConfiguration", "KubeIpvsConfiguration");
    world.write("config.yaml", &format!("{own}deletionConfirmation: 8s\n"))?;
    let directory = world.path("manifests");
    let file = world.write_objects("manifests/web.json", world.web("web", 1))?;
    let _daemon = world.daemon(&[&"--manifests", &directory, &"--config", &config])?;
    let full = world.rendered(&directory, &config)?;
    eventually(|| world.tables()?.are(&full))?;

    let target = Family::V4.virtual_server(1);
    let held = LongLived::open(&world.client, target)?;
    let away = world.path("away.json");
    let emptied = Instant::now();
    fs::rename(&file, &away).context(|| "taking the manifest away")?;
    std::thread::sleep(Duration::from_secs(4));
    world.tables()?.are(&full)?;
    Probe::new(&world.client, Protocol::Tcp, target)
        .ask(5)
        .complete()?;
    let page = get_text(&world.node, METRICS, "/statusz")?;
    ensure(page.contains("KIV0415"), || {
        format!("the page lacks the finding about the empty directory: {page}")
    })?;

    // The files return: nothing was lost.
    fs::rename(&away, &file).context(|| "putting the manifest back")?;
    eventually(|| {
        let page = get_text(&world.node, METRICS, "/statusz")?;
        ensure(!page.contains("KIV0415"), || page.clone())
    })?;
    world.tables()?.are(&full)?;
    held.close()?;

    // Two readings find the directory empty: only then entries are deleted.
    let emptied_again = Instant::now();
    fs::remove_file(&file).context(|| "removing the manifest")?;
    let none = world.write_objects("none.json", Vec::new())?;
    let empty = world.rendered(&none, &config)?;
    eventually(|| world.tables()?.are(&empty))?;
    let (first, second) = (emptied.elapsed(), emptied_again.elapsed());
    ensure(second >= confirmation, || {
        format!(
            "the tables were emptied too early: after {second:?} ({first:?} after the first time)"
        )
    })
}

//! `ipvsctl explain`: why a Service, an address or a pod is served as it is.

mod address;
mod endpoints;
mod places;
mod pod;
mod scene;
mod service;
mod verdict;

use std::collections::BTreeSet;

use self::scene::Scene;
use crate::cli::{Explain, ExplainAddress, ExplainPod, ExplainService, PodArgument, Subject};
use crate::error::{Error, Status};
use crate::input::pods;
use crate::output::{explain, show};
use crate::{style, suggest};

/// Prints an explanation.
///
/// # Errors
///
/// There is no such Service, the node, the cluster or the live tables cannot be read, or the output
/// cannot be written.
pub fn run(args: &Explain) -> Result<Status, Error> {
    // An explanation prints the findings of its subject itself.
    style::hide_findings();
    match &args.subject {
        Subject::Svc(args) => service(args),
        Subject::Ip(args) => address(args),
        Subject::Pod(args) => pod(args),
    }
}

fn service(args: &ExplainService) -> Result<Status, Error> {
    let scene = Scene::read(&args.input, None)?;
    let Some(explained) = scene.explain(&args.service) else {
        return Err(Error::NoService {
            name: args.service.clone(),
            near: suggest::near(scene.input().cluster.service_names(), &args.service),
        });
    };
    let mut object = service::explanation(&scene, &explained);
    if let Some(address) = args.endpoint {
        let address = address.to_string();
        (object.endpoints).retain(|endpoint| endpoint.address == address);
    }
    show(
        args.input.output,
        || &object,
        || explain::service(&object, args.endpoint.is_some()),
    )?;
    Ok(scene.status(!object.verdict.ok))
}

fn address(args: &ExplainAddress) -> Result<Status, Error> {
    let scene = Scene::read(&args.input, None)?;
    let object = address::explanation(&scene, args.place);
    show(args.input.output, || &object, || explain::address(&object))?;
    Ok(scene.status(!object.verdict.ok))
}

fn pod(args: &ExplainPod) -> Result<Status, Error> {
    let name = match &args.pod {
        PodArgument::Address(_) => None,
        PodArgument::Name(name) => Some(name),
    };
    let scene = Scene::read(&args.input, name)?;
    let addresses = match &args.pod {
        PodArgument::Address(address) => BTreeSet::from([*address]),
        PodArgument::Name(name) => pods::addresses(&scene.input().pods, name)
            .map_err(Error::Pod)?
            .clone(),
    };
    let object = pod::explanation(&scene, name, &addresses);
    show(args.input.output, || &object, || explain::pod(&object))?;
    Ok(scene.status(!object.verdict.ok))
}

//! `ipvsctl explain`: why a Service, an address or a pod is served as it is.

mod address;
mod endpoints;
mod places;
mod pod;
mod rules;
mod scene;
mod service;
mod suggest;
mod verdict;

use self::scene::Scene;
use crate::cli::{Explain, ExplainAddress, ExplainPod, ExplainService, Subject};
use crate::error::{Error, Status};
use crate::output::{explain, show};
use crate::style;

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
    let scene = Scene::read(&args.input)?;
    let Some(explained) = scene.explain(&args.service) else {
        return Err(Error::NoService {
            name: args.service.clone(),
            near: suggest::near(&scene.input().cluster, &args.service),
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
    let scene = Scene::read(&args.input)?;
    let object = address::explanation(&scene, args.place);
    show(args.input.output, || &object, || explain::address(&object))?;
    Ok(scene.status(!object.verdict.ok))
}

fn pod(args: &ExplainPod) -> Result<Status, Error> {
    let scene = Scene::read(&args.input)?;
    let object = pod::explanation(&scene, args.address);
    show(args.input.output, || &object, || explain::pod(&object))?;
    Ok(scene.status(!object.verdict.ok))
}

//! Traces packets through the tables of a scenario.

use super::world::World;
use crate::world as places;
use trace::Probe;

const PLACES: &str = include_str!("../../scenarios/places.toml");

/// Checks that the packet that `text` describes has the outcome in `text`:
/// `client -> 203.0.113.1:80/tcp : podA seeing 192.168.77.10, podB seeing 192.168.77.10`.
pub(super) fn check(world: &World, text: &str) -> Result<(), String> {
    let (probe, expected) =
        (text.split_once(" : ")).ok_or("no ` : ` between the packet and its outcome")?;
    let probe: Probe = probe.parse()?;
    let around = places::parse(PLACES, world.node().clone())?;
    let desired = world.desired();
    let verdict = trace::trace(&desired.0.tables, &around, &probe)
        .verdict()
        .map_err(|error| error.to_string())?;
    if verdict.to_string() == expected.trim() {
        Ok(())
    } else {
        Err(format!("{probe} : {verdict}, and not {}", expected.trim()))
    }
}

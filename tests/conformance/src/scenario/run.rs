//! Runs a scenario.

use std::collections::{BTreeMap, BTreeSet};

use model::{NodeTables, Object, ObjectKind};

use super::format::Scenario;
use super::step::{Directive, Step};
use super::world::{Mistake, World, objects, tables};
use super::{Problem, background, print};
use crate::section::{self, Lines, Section};

/// Text for an empty expectation.
const NOTHING: &str = "nothing";

/// Runs `scenario` alone.
pub(super) fn alone(scenario: &Scenario) -> Result<(), Problem> {
    let mut run = Run::new(scenario, Participants::Scenario)?;
    for step in &scenario.steps {
        let shown = run.step(step, &NodeTables::default())?;
        if let Some(shown) = shown {
            compare(scenario, step, &shown)?;
        }
    }
    Ok(())
}

/// Returns the output of the steps of `scenario`, with their index. Expectations are ignored.
pub(super) fn shown(scenario: &Scenario) -> Result<Vec<(usize, Vec<String>)>, Problem> {
    let mut run = Run::new(scenario, Participants::Scenario)?;
    let mut all = Vec::new();
    for (index, step) in scenario.steps.iter().enumerate() {
        match run.step(step, &NodeTables::default()) {
            Ok(Some(shown)) => all.push((index, block(shown))),
            Err(problem) if step.directive.changes() => return Err(problem),
            Ok(None) | Err(_) => {}
        }
    }
    Ok(all)
}

/// Runs `scenario` among unrelated Services, its objects in the opposite order. The result must be
/// the union of the results of the scenario and of those Services.
pub(super) fn with_background(scenario: &Scenario) -> Result<(), Problem> {
    let mut alone = Run::new(scenario, Participants::Scenario)?;
    let mut others = Run::new(scenario, Participants::Background)?;
    let mut both = Run::new(scenario, Participants::Both)?;
    for step in &scenario.steps {
        let left = others.world.desired();
        let shown = [
            others.step(step, &left.0.tables)?,
            alone.step(step, &NodeTables::default())?,
            both.step(step, &left.0.tables)?,
        ];
        if let [Some(others), Some(alone), Some(both)] = shown {
            add_up(scenario, step, "shown", [others, alone, both])?;
        }
        if !step.directive.changes() {
            continue;
        }
        let [others, alone, both] = [&others, &alone, &both].map(Run::state);
        for (place, both) in both {
            let of = |state: &State| state.get(&place).cloned().unwrap_or_default();
            let what = format!("{} {}", place.0, place.1.name());
            add_up(scenario, step, &what, [of(&others), of(&alone), both])?;
        }
    }
    Ok(())
}

/// Checks that `both` is the union of `others` and `alone`.
fn add_up(
    scenario: &Scenario,
    step: &Step,
    what: &str,
    [others, alone, both]: [Vec<String>; 3],
) -> Result<(), Problem> {
    let sum: BTreeSet<&String> = others.iter().chain(&alone).collect();
    let both: BTreeSet<&String> = both.iter().collect();
    let lacking = sum.difference(&both).map(|line| format!("- {line}"));
    let surplus = both.difference(&sum).map(|line| format!("+ {line}"));
    let differences: Vec<String> = lacking.chain(surplus).collect();
    if differences.is_empty() {
        return Ok(());
    }
    let what = format!(
        "{what}: different with the background's Services\n{}",
        differences.join("\n")
    );
    Err(scenario.problem(step.line, what))
}

/// Lines by source, `tables` or `kernel`, and section.
type State = BTreeMap<(&'static str, Section), Vec<String>>;

/// Objects that take part in a run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Participants {
    /// Only the scenario's objects, in their order.
    Scenario,
    /// Only the background's Services, with the scenario's Nodes and the Services whose cluster IPs
    /// are on its interfaces.
    Background,
    /// All objects, the scenario's in the opposite order.
    Both,
}

struct Run<'a> {
    scenario: &'a Scenario,
    participants: Participants,
    world: World,
    /// The tables that were printed last.
    before: Option<Lines>,
}

impl<'a> Run<'a> {
    fn new(scenario: &'a Scenario, participants: Participants) -> Result<Self, Problem> {
        let wrong = |mistake: Mistake| scenario.problem(1, mistake.what);
        let mut world = World::new().map_err(wrong)?;
        if participants != Participants::Scenario {
            world.apply(objects(background::OBJECTS).map_err(wrong)?);
            world.sync();
        }
        Ok(Self {
            scenario,
            participants,
            world,
            before: None,
        })
    }

    fn tables(&self) -> Lines {
        section::lines(&self.world.desired().0.tables)
    }

    /// Returns the desired tables and the kernel's tables.
    fn state(&self) -> State {
        let places = [
            ("tables", self.tables()),
            ("kernel", section::lines(self.world.kernel())),
        ];
        let mut state = State::new();
        for (place, lines) in places {
            state.extend(
                lines
                    .into_iter()
                    .map(|(section, lines)| ((place, section), lines)),
            );
        }
        state
    }

    /// Executes `step` and returns its output. `left` has the kernel's entries that do not belong
    /// to the scenario.
    fn step(&mut self, step: &Step, left: &NodeTables) -> Result<Option<Vec<String>>, Problem> {
        let shown = match &step.directive {
            Directive::Tables(sections, filter) => {
                self.before = Some(self.tables());
                print::tables(&self.world.desired().0.tables, sections, filter)
            }
            Directive::Kernel(sections, filter) => {
                print::tables(self.world.kernel(), sections, filter)
            }
            Directive::Plan(filter) => {
                let mut plan = self.world.sync();
                if self.participants != Participants::Scenario {
                    // The device exists already.
                    (plan.stages.iter_mut()).for_each(|stage| {
                        stage.ops.retain(|planned| !planned.op.keys().is_empty());
                    });
                }
                print::plan(&plan, filter)
            }
            Directive::Findings(filter) => print::findings(&self.world.desired().1, filter),
            Directive::Health => print::health(&self.world.desired().0),
            _ => return self.silent(step, left).map(|()| None),
        };
        Ok(Some(shown))
    }

    /// Executes a step without output.
    fn silent(&mut self, step: &Step, left: &NodeTables) -> Result<(), Problem> {
        let here = |what: String| self.scenario.problem(step.line, what);
        match &step.directive {
            Directive::Apply(names) => {
                let objects = self.objects(names)?;
                self.world.apply(objects);
            }
            Directive::DeleteFiles(names) => {
                for object in self.objects(names)? {
                    self.world.delete(object.kind(), object.name());
                }
            }
            Directive::Delete(kind, name) => {
                if self.participants != Participants::Background && !self.world.has(*kind, name) {
                    return Err(here(format!("there is no {kind:?} {name}")));
                }
                self.world.delete(*kind, name.clone());
            }
            Directive::Config(name) => self.with(name, World::set_config)?,
            Directive::Node(name) => self.with(name, World::set_node)?,
            Directive::Live(name) => {
                let own = self.text(name);
                let text = if self.participants == Participants::Background {
                    ""
                } else {
                    own
                };
                let tables = tables(text, left).map_err(|mistake| self.in_file(name, &mistake))?;
                self.world.set_kernel(tables);
            }
            Directive::Connections(busy) => self.world.set_busy(busy.clone()),
            Directive::Restart => self.world.restart(),
            Directive::Sync => {
                self.world.sync();
            }
            Directive::Same => {
                let now = self.tables();
                match self.before.replace(now.clone()) {
                    None => return Err(here("no `tables` before".to_owned())),
                    Some(before) if before == now => {}
                    Some(before) => return Err(here(changed(&before, &now))),
                }
            }
            Directive::Trace(text) => {
                if self.participants != Participants::Background {
                    super::trace::check(&self.world, text).map_err(here)?;
                }
            }
            Directive::Tables(..)
            | Directive::Kernel(..)
            | Directive::Plan(_)
            | Directive::Findings(_)
            | Directive::Health => {}
        }
        Ok(())
    }

    /// Returns the objects of the files `names`, in the order of application.
    fn objects(&self, names: &[String]) -> Result<Vec<Object>, Problem> {
        let mut all = Vec::new();
        for name in names {
            let found = objects(self.text(name));
            all.extend(found.map_err(|mistake| self.in_file(name, &mistake))?);
        }
        match self.participants {
            Participants::Scenario => {}
            Participants::Both => all.reverse(),
            Participants::Background => all.retain(|object| {
                object.kind() == ObjectKind::Node || self.world.has_cluster_ip_of(object)
            }),
        }
        Ok(all)
    }

    fn with(
        &mut self,
        name: &str,
        set: impl FnOnce(&mut World, &str) -> Result<(), Mistake>,
    ) -> Result<(), Problem> {
        let text = self.text(name);
        set(&mut self.world, text).map_err(|mistake| self.in_file(name, &mistake))
    }

    fn text(&self, name: &str) -> &'a str {
        // Parsing the scenario checked that every named file exists.
        self.scenario
            .files
            .get(name)
            .map_or("", |file| file.text.as_str())
    }

    fn in_file(&self, name: &str, mistake: &Mistake) -> Problem {
        let first = self.scenario.files.get(name).map_or(1, |file| file.line);
        let line = mistake
            .line
            .and_then(|line| usize::try_from(line).ok())
            .unwrap_or(1);
        let what = format!("{name}: {}", mistake.what);
        self.scenario.problem(first + line - 1, what)
    }
}

/// Compares the output of a step with the expectation below it.
fn compare(scenario: &Scenario, step: &Step, shown: &[String]) -> Result<(), Problem> {
    let shown = block(shown.to_vec());
    let Some(expected) = &step.expected else {
        let what = format!(
            "no expectation is written yet (cargo xtask bless); the result is:\n{}",
            shown.join("\n")
        );
        return Err(scenario.problem(step.line, what));
    };
    if *expected == shown {
        return Ok(());
    }
    let lacking = expected
        .iter()
        .filter(|line| !shown.contains(line))
        .map(|line| format!("- {line}"));
    let surplus = shown
        .iter()
        .filter(|line| !expected.contains(line))
        .map(|line| format!("+ {line}"));
    let mut differences: Vec<String> = lacking.chain(surplus).collect();
    if differences.is_empty() {
        differences = vec![
            "the same lines in another order:".to_owned(),
            shown.join("\n"),
        ];
    }
    let what = format!(
        "not as expected (- expected, + shown)\n{}",
        differences.join("\n")
    );
    Err(scenario.problem(step.line, what))
}

/// Returns the lines to write below a step with the output `lines`.
fn block(lines: Vec<String>) -> Vec<String> {
    if lines.is_empty() {
        vec![NOTHING.to_owned()]
    } else {
        lines
    }
}

fn changed(before: &Lines, now: &Lines) -> String {
    let mut text = "the tables changed".to_owned();
    for difference in crate::difference::between(now, before) {
        let mark = match difference.side {
            crate::difference::Side::Ours => '+',
            crate::difference::Side::Theirs => '-',
        };
        text.push_str(&format!(
            "\n{mark} {} {}",
            difference.section.name(),
            difference.line
        ));
    }
    text
}

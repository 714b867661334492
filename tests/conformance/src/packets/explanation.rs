//! Checks that the steps of a trace explain its verdict.

use model::rules::Target;
use trace::{End, Outcome, Route, Step, Trace};

/// Checks that every result of `trace` follows from the last steps before it.
///
/// # Errors
///
/// A result contradicts the last steps before it.
pub fn check(trace: &Trace) -> Result<(), String> {
    match &trace.end {
        End::Unjudged(unjudged) => Err(unjudged.to_string()),
        End::Outcome(outcome) => of_path(&trace.steps, outcome, trace),
        End::Balanced(balance) => (balance.branches.iter())
            .filter_map(|branch| Some((&branch.steps, branch.outcome.as_ref()?)))
            .try_for_each(|(steps, outcome)| match outcome {
                Ok(outcome) => of_path(steps, outcome, trace),
                Err(unjudged) => Err(unjudged.to_string()),
            }),
    }
}

fn of_path(steps: &[Step], outcome: &Outcome, trace: &Trace) -> Result<(), String> {
    let decision = match steps.last() {
        Some(Step::Chain(traversal)) => traversal.decision,
        _ => None,
    };
    let explained = match outcome {
        Outcome::Answered { seeing, .. } => {
            let masqueraded = steps.iter().find_map(|step| match step {
                Step::Masqueraded(source) => Some(*source),
                _ => None,
            });
            *seeing == masqueraded.unwrap_or(trace.source)
                && !matches!(decision, Some(Target::Drop | Target::Reject(_)))
        }
        Outcome::Lost => {
            matches!(decision, Some(Target::Drop))
                || matches!(
                    steps.last(),
                    Some(
                        Step::AnswerBypassesNode
                            | Step::NotForwarded
                            | Step::AnswerNotForwarded
                            | Step::AnswerDropped { .. }
                            | Step::FromReceiver
                            | Step::Route(Route::Nowhere)
                    )
                )
        }
        Outcome::NotPermitted => matches!(decision, Some(Target::Drop)),
        Outcome::Unreachable(_) | Outcome::Refused => {
            // A socket refuses what no rule does.
            !matches!(decision, Some(Target::Drop))
        }
        Outcome::Echo => !matches!(decision, Some(Target::Drop | Target::Reject(_))),
        Outcome::Delivered { .. } | Outcome::Forwarded { .. } | Outcome::Routed { .. } => false,
    };
    match explained {
        true => Ok(()),
        false => Err(format!("{}: {outcome} after {steps:?}", trace.probe)),
    }
}

//! Change: how a pipeline differs from the one a snapshot was taken of, and how to handle it.

use crate::error::{Error, Result};
use crate::pipeline::{Pipeline, Restored};
use crate::plan::{Node, Output, Plan};

/// What to do with a snapshot of a different pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnChange {
    /// Refuse it and report the differences.
    Refuse,
    /// Restore unchanged verbs; new ones give null until they know their answers.
    Warm,
    /// Restore unchanged verbs; new ones answer from the rows they see.
    Keep,
}

impl OnChange {
    /// Parses the option's name in Python.
    pub fn parse(word: &str) -> Result<OnChange> {
        match word {
            "refuse" => Ok(OnChange::Refuse),
            "warm" => Ok(OnChange::Warm),
            "keep" => Ok(OnChange::Keep),
            other => Err(Error::Plan(format!(
                "on_change=\"{other}\" is unknown\nhint: \"refuse\", \"warm\" or \"keep\""
            ))),
        }
    }
}

/// Where the verbs and inputs of a pipeline were in the snapshot's plan.
#[derive(Debug)]
pub struct Change {
    /// For each verb its index there; `None` if it is new or downstream of a new one.
    pub verbs: Vec<Option<usize>>,
    /// For each input its index there.
    pub inputs: Vec<usize>,
}

impl Change {
    /// Matches verbs by fingerprint, which covers everything upstream, and inputs by name.
    pub fn between(before: &Plan, prints: &[String], pipeline: &Pipeline) -> Result<Change> {
        let mut left: Vec<Option<&String>> = prints.iter().map(Some).collect();
        let verbs = pipeline.prints.iter().map(|print| {
            let at = left.iter().position(|other| *other == Some(print))?;
            left[at] = None;
            Some(at)
        });
        Ok(Change { verbs: verbs.collect(), inputs: same_inputs(before, &pipeline.plan)? })
    }

    /// Reorders the snapshot's values per input to the order of the pipeline.
    pub fn arranged<T: Clone>(&self, of_inputs: &[T], what: &str) -> Result<Vec<T>> {
        if of_inputs.len() != self.inputs.len() {
            return Err(Error::Snapshot(format!(
                "the manifest has {what} for another number of inputs"
            )));
        }
        Ok(self.inputs.iter().map(|&at| of_inputs[at].clone()).collect())
    }

    /// For each input of the snapshot its index in the pipeline.
    pub fn places(&self) -> Vec<usize> {
        let place = |at| self.inputs.iter().position(|&from| from == at).unwrap_or(at);
        (0..self.inputs.len()).map(place).collect()
    }

    /// Which verbs with state were restored, are new, or were dropped.
    pub fn summary(&self, before: &Plan, now: &Plan) -> Restored {
        let name = |(i, node): (usize, &Node)| format!("{}#{i}", node.verb());
        let mut summary = Restored::default();
        for (i, node) in now.nodes.iter().enumerate().filter(|(_, node)| node.has_state()) {
            let list =
                if self.verbs[i].is_some() { &mut summary.restored } else { &mut summary.new };
            list.push(name((i, node)));
        }
        let gone = |i: &usize| !self.verbs.contains(&Some(*i));
        let nodes = before.nodes.iter().enumerate().filter(|(i, node)| gone(i) && node.has_state());
        summary.dropped = nodes.map(name).collect();
        summary
    }
}

/// For each input its index in the previous plan. The inputs themselves must not change.
fn same_inputs(before: &Plan, now: &Plan) -> Result<Vec<usize>> {
    let names = |plan: &Plan| -> Vec<String> {
        let mut names: Vec<String> =
            plan.inputs.iter().map(|input| format!("\"{}\"", input.name)).collect();
        names.sort_unstable();
        names
    };
    if names(before) != names(now) {
        return Err(Error::Snapshot(format!(
            "the snapshot is of the inputs {}, not of {}\nhint: a changed pipeline goes on with all \
             inputs that it had, and with no others",
            names(before).join(", "),
            names(now).join(", ")
        )));
    }
    let place = |input: &crate::plan::Input| {
        let at = before.inputs.iter().position(|old| old.name == input.name).unwrap_or_default();
        let time = &before.inputs[at].time;
        if *time == input.time {
            return Ok(at);
        }
        Err(Error::Snapshot(format!(
            "input \"{}\": its time was {time}, is {}\nhint: start without the snapshot: its \
             watermarks follow another event time",
            input.name, input.time
        )))
    };
    now.inputs.iter().map(place).collect()
}

/// Refuses the snapshot of a different pipeline. The caller adds the differences, since only it
/// knows the verbs as written.
pub fn same_pipeline(before: &Plan, prints: &[String], pipeline: &Pipeline) -> Result<()> {
    let outputs = |plan: &Plan| -> Vec<(String, usize)> {
        plan.outputs.iter().map(|output| (output.name.clone(), output.node)).collect()
    };
    let same = prints == pipeline.prints.as_slice()
        && outputs(before) == outputs(&pipeline.plan)
        && before.outputs.iter().zip(&pipeline.plan.outputs).all(|(old, new)| same_rules(old, new));
    match same {
        true => Ok(()),
        false => Err(Error::Changed("the snapshot is of another pipeline".into())),
    }
}

/// Whether rules with the same name have the same key and cooldown.
fn same_rules(old: &Output, new: &Output) -> bool {
    old.rules.iter().all(|rule| {
        let same = new.rules.iter().find(|other| other.name == rule.name);
        same.is_none_or(|same| (&same.by, same.cooldown) == (&rule.by, rule.cooldown))
    })
}

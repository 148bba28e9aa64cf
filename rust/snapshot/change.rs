//! Change: how a pipeline differs from the one that a snapshot is of, and what is done about it.

use crate::error::{Error, Result};
use crate::pipeline::{Pipeline, Restored};
use crate::plan::{Node, Plan};

/// What to do with the snapshot of another pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnChange {
    /// Refuse it, with what differs.
    Refuse,
    /// Restore what is unchanged; what is new warms.
    Warm,
    /// Restore what is unchanged; what is new answers from what it sees.
    Keep,
}

impl OnChange {
    /// The word for it in Python.
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

/// Where the parts of a pipeline stood in the plan of a snapshot.
#[derive(Debug)]
pub struct Change {
    /// For each verb its place there; `None` if it is new, or reads from what is.
    pub verbs: Vec<Option<usize>>,
    /// For each input its place there.
    pub inputs: Vec<usize>,
}

impl Change {
    /// Finds verbs by their prints, which hold all upstream of them, and inputs by their names.
    pub fn between(before: &Plan, prints: &[String], pipeline: &Pipeline) -> Result<Change> {
        let mut left: Vec<Option<&String>> = prints.iter().map(Some).collect();
        let verbs = pipeline.prints.iter().map(|print| {
            let at = left.iter().position(|other| *other == Some(print))?;
            left[at] = None;
            Some(at)
        });
        Ok(Change { verbs: verbs.collect(), inputs: same_inputs(before, &pipeline.plan)? })
    }

    /// Puts what the snapshot has of each input in the order of the pipeline.
    pub fn arranged<T: Clone>(&self, of_inputs: &[T], what: &str) -> Result<Vec<T>> {
        if of_inputs.len() != self.inputs.len() {
            return Err(Error::Snapshot(format!("the manifest has {what} of other inputs")));
        }
        Ok(self.inputs.iter().map(|&at| of_inputs[at].clone()).collect())
    }

    /// For each input of the snapshot its place in the pipeline.
    pub fn places(&self) -> Vec<usize> {
        let place = |at| self.inputs.iter().position(|&from| from == at).unwrap_or(at);
        (0..self.inputs.len()).map(place).collect()
    }

    /// What became of the verbs that keep state.
    pub fn told(&self, before: &Plan, now: &Plan) -> Restored {
        let name = |(i, node): (usize, &Node)| format!("{}#{i}", node.verb());
        let mut told = Restored::default();
        for (i, node) in now.nodes.iter().enumerate().filter(|(_, node)| node.has_state()) {
            let list = if self.verbs[i].is_some() { &mut told.restored } else { &mut told.new };
            list.push(name((i, node)));
        }
        let gone = |i: &usize| !self.verbs.contains(&Some(*i));
        let nodes = before.nodes.iter().enumerate().filter(|(i, node)| gone(i) && node.has_state());
        told.dropped = nodes.map(name).collect();
        told
    }
}

/// For each input its place in the plan before; what comes in may not change.
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
             watermarks are of another time",
            input.name, input.time
        )))
    };
    now.inputs.iter().map(place).collect()
}

/// Refuses the snapshot of another pipeline, naming what differs.
pub fn same_pipeline(before: &Plan, prints: &[String], pipeline: &Pipeline) -> Result<()> {
    let mut differs = vec![];
    for i in 0..prints.len().max(pipeline.prints.len()) {
        let (old, new) = (before.nodes.get(i), pipeline.plan.nodes.get(i));
        if prints.get(i) != pipeline.prints.get(i) {
            differs.push(format!("verb {i} {}", difference(old, new)));
        }
    }
    let outputs = |plan: &Plan| -> Vec<(String, usize)> {
        plan.outputs.iter().map(|output| (output.name.clone(), output.node)).collect()
    };
    if outputs(before) != outputs(&pipeline.plan) {
        differs.push("the outputs are others".into());
    }
    for (old, new) in before.outputs.iter().zip(&pipeline.plan.outputs) {
        for rule in &old.rules {
            let same = new.rules.iter().find(|other| other.name == rule.name);
            if same.is_some_and(|s| (&s.by, s.cooldown) != (&rule.by, rule.cooldown)) {
                differs.push(format!("rule \"{}\" has another key or cooldown", rule.name));
            }
        }
    }
    if differs.is_empty() {
        return Ok(());
    }
    Err(Error::Snapshot(format!(
        "the snapshot is of another pipeline\n  {}\nhint: start without it, with the \
         pipeline that made it, or with on_change=\"warm\"",
        differs.join("\n  ")
    )))
}

/// What a verb was and is: the parameters that differ, in microseconds where they are times.
fn difference(old: Option<&Node>, new: Option<&Node>) -> String {
    let (old, new) = match (old, new) {
        (Some(old), Some(new)) if old.verb() == new.verb() => (old, new),
        _ => {
            let verb = |node: Option<&Node>| node.map_or("nothing", Node::verb);
            return format!("was {}, is {}", verb(old), verb(new));
        }
    };
    let fields = |node| serde_json::to_value(node).unwrap_or_default();
    let (before, now) = (fields(old), fields(new));
    let names = now.as_object().into_iter().flat_map(|fields| fields.keys());
    let changed: Vec<String> = names
        .filter(|name| before[*name] != now[*name])
        .map(|name| format!("{name} was {}, is {}", before[name], now[name]))
        .collect();
    match changed.is_empty() {
        true => format!("({}): what it reads from differs", old.verb()),
        false => format!("({}): {}", old.verb(), changed.join(", ")),
    }
}

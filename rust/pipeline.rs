//! Pipeline: a plan with its operators, watermarks and counters: everything a snapshot contains.

use std::collections::BTreeMap;

use arrow_schema::SchemaRef;
use serde::Serialize;
use serde_json::json;

use crate::aggregate::Registry;
use crate::error::{Error, Result};
use crate::fate::Counters;
use crate::graph::{self, Formula, TypedNode};
use crate::ledger::Ledger;
use crate::operator::rule::Rules;
use crate::operator::{CompleteFrom, Completeness, Operator, Vitals};
use crate::plan::{Node, Output, Plan};
use crate::time::{FOREVER, Micros, NEVER};
use crate::watermark::Watermarks;

/// The operators, built once the columns of all inputs are known.
#[derive(Debug)]
pub struct BuiltGraph {
    /// The columns of each input.
    pub schemas: Vec<SchemaRef>,
    /// The event time of each input.
    pub times: Vec<Formula>,
    /// The late and invalid tables of each input.
    pub ledgers: Vec<Ledger>,
    /// The inputs of each verb, by index.
    pub from: Vec<Vec<usize>>,
    /// The verbs' names.
    pub names: Vec<String>,
    /// The columns of each output.
    pub outputs: Vec<SchemaRef>,
    /// How long each operator has run, for statistics only.
    pub spent: Vec<std::time::Duration>,
    /// The verbs.
    pub operators: Vec<Box<dyn Operator>>,
    /// The rules of each output.
    pub rules: Vec<Rules>,
    /// From when on the output of each verb is complete.
    pub completeness: Completeness,
}

/// What a peek changes beside the state of the operators.
#[derive(Debug)]
pub struct Measures {
    vitals: Vec<Vitals>,
    completeness: Completeness,
    spent: Vec<std::time::Duration>,
}

impl BuiltGraph {
    /// A copy of counters, clocks and completeness.
    pub fn measures(&self) -> Measures {
        let vitals = self.operators.iter().map(|operator| *operator.vitals()).collect();
        let (completeness, spent) = (self.completeness.clone(), self.spent.clone());
        Measures { vitals, completeness, spent }
    }

    /// Puts back such a copy.
    pub fn put_back(&mut self, kept: Measures) {
        let Measures { vitals, completeness, spent } = kept;
        for (operator, vitals) in self.operators.iter_mut().zip(vitals) {
            *operator.vitals_mut() = vitals;
        }
        (self.completeness, self.spent) = (completeness, spent);
    }

    /// Computes completeness for all verbs and rules, if any verb is warming up.
    pub fn update_completeness(&mut self, outputs: &[Output]) {
        self.completeness.update_all(&self.operators);
        for (output, rules) in outputs.iter().zip(&mut self.rules) {
            if let Some(complete) = self.completeness.complete(output.node) {
                rules.update_completeness(complete);
            }
        }
    }
}

/// Which verbs of a snapshot's pipeline were restored, by name.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Restored {
    /// Verbs restored with their state.
    pub restored: Vec<String>,
    /// Verbs that start without state.
    pub new: Vec<String>,
    /// Verbs that are no longer in the pipeline.
    pub dropped: Vec<String>,
}

/// A plan being executed.
#[derive(Debug)]
pub struct Pipeline {
    /// The plan.
    pub plan: Plan,
    /// The aggregates that it can name.
    pub registry: Registry,
    /// The fingerprint of each verb.
    pub prints: Vec<String>,
    /// The watermarks of each input.
    pub watermarks: Vec<Watermarks>,
    /// Rows of each input that could not be decoded.
    pub undecoded: Vec<u64>,
    /// The operators, once the columns of all inputs are known.
    pub running: Option<BuiltGraph>,
    /// The `seq` of the next row.
    pub seq: u64,
    /// The number of steps.
    pub epoch: u64,
    /// What was restored from the snapshot it continues from.
    pub restored: Option<Restored>,
}

impl Pipeline {
    /// Creates a pipeline before any row; typed immediately if all inputs declare their columns.
    pub fn new(plan: Plan, registry: Registry, partitions: &[Vec<i64>]) -> Result<Pipeline> {
        if partitions.len() != plan.inputs.len() {
            return Err(Error::Plan("partitions must be given for each input".into()));
        }
        let watermarks = plan.inputs.iter().zip(partitions);
        let watermarks =
            watermarks.map(|(input, ids)| Watermarks::new(input.out_of_order, ids)).collect();
        let mut pipeline = Pipeline {
            prints: graph::fingerprints(&plan),
            watermarks,
            undecoded: vec![0; plan.inputs.len()],
            running: None,
            seq: 0,
            epoch: 0,
            restored: None,
            plan,
            registry,
        };
        let declared: Result<Vec<Option<SchemaRef>>> =
            pipeline.plan.inputs.iter().map(graph::declared).collect();
        if let Some(schemas) = declared?.into_iter().collect() {
            pipeline.running = Some(pipeline.build(schemas)?);
        } else if pipeline.plan.inputs.len() > 1 {
            return Err(Error::Plan(
                "several inputs need schema= on each stream: the graph is typed before all are heard"
                    .into(),
            ));
        }
        Ok(pipeline)
    }

    /// Builds the operators for inputs with these columns.
    pub fn build(&self, schemas: Vec<SchemaRef>) -> Result<BuiltGraph> {
        let known: Vec<Option<SchemaRef>> = schemas.iter().cloned().map(Some).collect();
        let typed: Option<Vec<TypedNode>> =
            graph::type_plan(&self.plan, &self.registry, &known)?.into_iter().collect();
        let typed = typed.ok_or_else(|| Error::Plan("a verb has no columns".into()))?;
        let mut times = vec![];
        let mut ledgers = vec![];
        for (input, schema) in self.plan.inputs.iter().zip(&schemas) {
            let (time, zone) = graph::time_of(input, schema)?;
            times.push(time);
            ledgers.push(Ledger::new(input.name.clone(), schema.clone(), zone));
        }
        let rules = |output| {
            let output: &crate::plan::Output = output;
            Rules::new(output, &typed[output.node], self.prints[output.node].clone())
        };
        let rules: Result<Vec<Rules>> = self.plan.outputs.iter().map(rules).collect();
        let rules = rules?;
        let from: Vec<Vec<usize>> = typed.iter().map(|node| node.from.clone()).collect();
        let names = typed.iter().map(|node| node.name.clone()).collect();
        let outputs =
            self.plan.outputs.iter().map(|output| typed[output.node].schema.clone()).collect();
        let operators: Result<Vec<Box<dyn Operator>>> = typed
            .into_iter()
            .enumerate()
            .map(|(i, node)| crate::operator::build(node, i as u32))
            .collect();
        let operators = operators?;
        let spent = vec![std::time::Duration::ZERO; operators.len()];
        let completeness = Completeness::new(from.clone());
        Ok(BuiltGraph {
            schemas,
            times,
            ledgers,
            from,
            names,
            outputs,
            spent,
            operators,
            rules,
            completeness,
        })
    }

    /// The verb that reads an input.
    pub fn node_of(&self, input: u32) -> u32 {
        let reads = |node: &Node| matches!(node, Node::Input { input: i } if *i == input as usize);
        self.plan.nodes.iter().position(reads).unwrap_or(0) as u32
    }

    /// The watermark over all inputs.
    pub fn watermark(&self) -> Micros {
        self.watermarks.iter().map(Watermarks::clock).min().unwrap_or(NEVER)
    }

    /// The watermark of each partition of each input.
    pub fn clocks(&self) -> Vec<Vec<(i64, Micros)>> {
        let of =
            |input: &Watermarks| input.partitions().iter().map(|p| (p.id, p.watermark)).collect();
        self.watermarks.iter().map(of).collect()
    }

    /// The columns of an output, once they are known.
    pub fn schema(&self, output: usize) -> Option<SchemaRef> {
        self.running.as_ref().and_then(|running| running.outputs.get(output).cloned())
    }

    /// Counters and sizes, as JSON.
    pub fn stats(&self) -> serde_json::Value {
        let operator = |(i, node): (usize, &Node)| {
            let at_work = self.running.as_ref().map(|running| &running.operators[i]);
            let mut counters = at_work.map_or(Counters::default(), |op| op.vitals().counters);
            if let Node::Input { input } = node {
                counters.rows_in += self.undecoded[*input];
                counters.invalid += self.undecoded[*input];
            }
            let mut all = serde_json::to_value(counters).unwrap_or_default();
            all["node"] = json!(i);
            all["op"] = json!(node.verb());
            all["name"] = json!(format!("{}#{i}", node.verb()));
            all["keys"] = json!(at_work.map_or(0, |op| op.keys()));
            all["bytes"] = json!(at_work.map_or(0, |op| op.bytes()));
            let completeness = self.running.as_ref().map(|running| &running.completeness);
            all["warming"] = json!(completeness.map_or(0, |all| all.warming(i).rows));
            let complete = completeness.and_then(|all| all.complete(i));
            all["full_from"] =
                json!(complete.map(CompleteFrom::whole).filter(|&from| from != NEVER));
            all
        };
        let operators: Vec<serde_json::Value> =
            self.plan.nodes.iter().enumerate().map(operator).collect();
        let mut alerts: BTreeMap<&str, u64> = BTreeMap::new();
        let mut failed: BTreeMap<&str, u64> = BTreeMap::new();
        let rules = self.running.iter().flat_map(|r| &r.rules).flat_map(Rules::counts);
        for (name, fired, batches) in rules {
            *alerts.entry(name).or_default() += fired;
            if batches > 0 {
                *failed.entry(name).or_default() += batches;
            }
        }
        let waiting: Vec<&str> = self
            .plan
            .inputs
            .iter()
            .zip(&self.watermarks)
            .filter(|(_, watermarks)| !watermarks.heard())
            .map(|(input, _)| input.name.as_str())
            .collect();
        let finite = |w: Micros| Some(w).filter(|&w| w != NEVER && w != FOREVER);
        let input = |(input, watermarks): (&crate::plan::Input, &Watermarks)| {
            let newest = watermarks.partitions().iter().map(|p| p.watermark);
            let newest =
                newest.filter_map(finite).max().map(|w| w.saturating_add(input.out_of_order));
            json!({
                "name": input.name,
                "watermark": finite(watermarks.clock()),
                "newest": newest,
                "idle": watermarks.is_idle(),
            })
        };
        let spent = self.running.iter().flat_map(|running| &running.spent);
        let spent: Vec<f64> = spent.map(std::time::Duration::as_secs_f64).collect();
        let inputs: Vec<serde_json::Value> =
            self.plan.inputs.iter().zip(&self.watermarks).map(input).collect();
        json!({
            "spent": spent,
            "inputs": inputs,
            "operators": operators,
            "waiting_for": waiting,
            "seq": self.seq,
            "epoch": self.epoch,
            "watermark": finite(self.watermark()),
            "alerts": alerts,
            "failed": failed,
            "restored": self.restored,
        })
    }
}

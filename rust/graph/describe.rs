//! Describes a plan to Python: fingerprints, types as words, facts of each verb; checks rules.

use arrow_schema::{Schema, SchemaRef};
use serde::Serialize;
use serde_json::json;

use super::facts::{Facts, facts};
use super::scope::Scope;
use super::{Formula, TypedNode, declared, type_plan};
use crate::aggregate::Registry;
use crate::error::{Result, unknown_column};
use crate::plan::{self, Node, Plan};
use crate::schema::type_word;
use crate::state::check_key;

/// A fingerprint of each verb and everything upstream of it; identifies state in a snapshot.
pub fn fingerprints(plan: &Plan) -> Vec<String> {
    let mut prints: Vec<String> = Vec::with_capacity(plan.nodes.len());
    for node in &plan.nodes {
        let mut value = serde_json::to_value(node).expect("a plan is JSON");
        value["from"] = json!(node.from().iter().map(|&from| &prints[from]).collect::<Vec<_>>());
        if let Node::Input { input } = node {
            let input = &plan.inputs[*input];
            value["input"] =
                json!([input.name, input.time, input.out_of_order, input.max_future_skew]);
        }
        let print = xxhash_rust::xxh3::xxh3_128(value.to_string().as_bytes());
        prints.push(format!("{print:032x}"));
    }
    prints
}

/// What is reported of a verb.
#[derive(Serialize)]
struct Described<'a> {
    schema: Option<Vec<(String, String)>>,
    time_zone: Option<&'a str>,
    fingerprint: &'a str,
    revisions: bool,
    #[serde(flatten)]
    facts: &'a Facts,
}

/// Checks a plan as far as its inputs declare columns; returns as JSON the typed verbs, and the
/// scope if the source of its only input is partitioned by some columns.
pub fn describe(
    plan_json: &str,
    registry: &Registry,
    partitioned_by: Option<&[String]>,
) -> Result<String> {
    let plan = Plan::parse(plan_json)?;
    let inputs: Vec<Option<SchemaRef>> = plan.inputs.iter().map(declared).collect::<Result<_>>()?;
    let typed = type_plan(&plan, registry, &inputs)?;
    if let ([Some(schema)], Some(columns)) = (inputs.as_slice(), partitioned_by) {
        known_columns(schema, columns).map_err(|error| error.within("partitioned_by"))?;
    }
    let scope = Scope::infer(&plan, partitioned_by);
    let (prints, known) = (fingerprints(&plan), facts(&plan, &scope));
    let nodes: Result<Vec<serde_json::Value>> = typed
        .iter()
        .enumerate()
        .map(|(i, node)| {
            let schema = node.as_ref().map(|node| words(&node.schema)).transpose()?;
            let described = Described {
                schema,
                time_zone: node.as_ref().and_then(|node| node.zone.as_deref()),
                fingerprint: &prints[i],
                revisions: node.as_ref().is_some_and(|node| node.revisions),
                facts: &known[i],
            };
            Ok(json!(described))
        })
        .collect();
    for output in &plan.outputs {
        if let Some(node) = &typed[output.node] {
            check_rules(output, node)?;
        }
    }
    Ok(json!({ "nodes": nodes?, "scope": scope }).to_string())
}

fn known_columns(schema: &Schema, columns: &[String]) -> Result<()> {
    let known: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    match columns.iter().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(unknown_column(name, &known)),
        None => Ok(()),
    }
}

/// Types the rules of an output.
pub fn check_rules(output: &plan::Output, node: &TypedNode) -> Result<Vec<Option<Formula>>> {
    let known: Vec<&str> = node.schema.fields().iter().map(|f| f.name().as_str()).collect();
    let check = |rule: &plan::Rule| {
        for name in rule.by.iter().map(String::as_str).chain(placeholders(&rule.message)) {
            if !known.contains(&name) {
                return Err(unknown_column(name, &known));
            }
        }
        for name in &rule.by {
            check_key(name, node.schema.field_with_name(name)?.data_type())?;
        }
        match &rule.when {
            plan::When::Mask { .. } => Ok(None),
            plan::When::Expr(expr) => Formula::condition(expr, &node.schema, "when").map(Some),
        }
    };
    output
        .rules
        .iter()
        .map(|rule| check(rule).map_err(|e| e.within(&format!("rule \"{}\"", rule.name))))
        .collect()
}

/// The columns named in a message: `{card}`, `{spent:.2f}`; `{{` is a brace.
fn placeholders(message: &str) -> impl Iterator<Item = &str> {
    let mut rest = message;
    std::iter::from_fn(move || {
        loop {
            let open = rest.find('{')?;
            if rest[open + 1..].starts_with('{') {
                rest = &rest[open + 2..];
                continue;
            }
            let close = open + rest[open..].find('}')?;
            let inside = &rest[open + 1..close];
            rest = &rest[close + 1..];
            return Some(inside.split(':').next().unwrap_or(inside));
        }
    })
}

fn words(schema: &Schema) -> Result<Vec<(String, String)>> {
    schema.fields().iter().map(|f| Ok((f.name().clone(), type_word(f.data_type())?))).collect()
}

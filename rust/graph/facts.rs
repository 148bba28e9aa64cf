//! What holds for the rows of a verb whatever the types of its columns are: keys, stability, timing.

use std::collections::BTreeSet;

use serde::Serialize;

use super::scope::Scope;
use crate::expr::Expr;
use crate::plan::{Aligned, Answering, Emit, Node, Plan};

/// What is known of the rows that one verb gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// The columns that identify a row, also when it comes again as a revision; empty if none do.
    pub upsert_key: Vec<String>,
    /// The key columns of each verb by whose keys the rows are grouped, nearest first.
    pub keys: Vec<Vec<String>>,
    /// Whether the windows of all keys end at the same times.
    pub shared_ends: bool,
    /// Whether a replay gives the same rows in the same order, however partitions interleave.
    pub replay_stable: bool,
    /// How many rows one row of each input gives, filters aside.
    pub rows_per_row: Vec<usize>,
    /// Why a row is not answered at once, if it is not.
    pub answers_later: Option<String>,
    /// Inputs without `idle_after` on whose rows a verb that fires by the clock waits.
    pub waits_for: Vec<String>,
    /// The inputs above.
    #[serde(skip)]
    inputs: BTreeSet<usize>,
}

/// The facts of each verb of a plan, in its order.
pub fn facts(plan: &Plan, scope: &Scope) -> Vec<Facts> {
    let mut known: Vec<Facts> = Vec::with_capacity(plan.nodes.len());
    for node in &plan.nodes {
        let above: Vec<&Facts> = node.from().iter().map(|&from| &known[from]).collect();
        let mut next = of_node(plan, node, &above);
        // the rows of one partition have one order
        next.replay_stable |= scope.is_partition();
        known.push(next);
    }
    known
}

fn of_node(plan: &Plan, node: &Node, above: &[&Facts]) -> Facts {
    match node {
        Node::Input { input } => of_input(plan, *input),
        Node::Filter { .. } | Node::Top(_) => above[0].clone(),
        Node::WithColumns { columns, .. } => {
            let mut facts = above[0].clone();
            facts.upsert_key = key_without(facts.upsert_key, columns);
            facts
        }
        Node::Select { columns, .. } => {
            let mut facts = above[0].clone();
            facts.upsert_key = key_within(facts.upsert_key, columns);
            facts
        }
        Node::Union { .. } => of_union(above),
        Node::Tumbling(w) | Node::Hopping(w) | Node::Cumulative(w) => {
            of_aligned(w, node.verb(), above[0])
        }
        Node::Session(w) => fired(&w.by, node.verb(), above[0]),
        Node::Silent(w) => {
            let waits = above[0].inputs.iter().map(|&input| &plan.inputs[input]);
            let waits = waits.filter(|input| input.idle_after.is_none());
            let waits_for = waits.map(|input| input.name.clone()).collect();
            Facts { waits_for, ..fired(&w.by, node.verb(), above[0]) }
        }
        Node::Previous(w) => per_event(&w.by, above[0]),
        Node::History(w) => Facts { shared_ends: false, ..per_event(&w.by, above[0]) },
        Node::Deduplicate(_) => Facts { replay_stable: false, ..above[0].clone() },
        Node::Sliding(w) => {
            let mut facts = above[0].clone();
            facts.keys.insert(0, w.by.clone());
            facts.shared_ends = false;
            if w.emit == Answering::Watermark {
                let reason = "sliding with emit=\"watermark\" waits for the clock".to_owned();
                facts.answers_later.get_or_insert(reason);
            } else {
                facts.replay_stable = false;
            }
            facts
        }
    }
}

/// Rows that are answered on arrival from rows of their key.
fn per_event(by: &[String], above: &Facts) -> Facts {
    let mut facts = above.clone();
    facts.keys.insert(0, by.to_vec());
    facts.replay_stable = false;
    facts
}

fn of_input(plan: &Plan, input: usize) -> Facts {
    let mut rows_per_row = vec![0; plan.inputs.len()];
    rows_per_row[input] = 1;
    Facts {
        upsert_key: vec![],
        keys: vec![],
        shared_ends: false,
        replay_stable: true,
        rows_per_row,
        answers_later: None,
        waits_for: vec![],
        inputs: BTreeSet::from([input]),
    }
}

fn of_union(above: &[&Facts]) -> Facts {
    let sum = |input| above.iter().map(|side| side.rows_per_row[input]).sum();
    Facts {
        upsert_key: vec![],
        keys: above.iter().flat_map(|side| side.keys.clone()).collect(),
        shared_ends: above.iter().all(|side| side.shared_ends),
        replay_stable: above.iter().all(|side| side.replay_stable),
        rows_per_row: (0..above[0].rows_per_row.len()).map(sum).collect(),
        answers_later: above.iter().find_map(|side| side.answers_later.clone()),
        waits_for: vec![],
        inputs: above.iter().flat_map(|side| side.inputs.clone()).collect(),
    }
}

fn of_aligned(window: &Aligned, verb: &str, above: &Facts) -> Facts {
    let mut facts = fired(&window.by, verb, above);
    facts.shared_ends = true;
    facts.replay_stable &= window.emit != Emit::Each && window.emit_every.is_none();
    facts
}

/// Rows that fire by the clock, one for each key and window.
fn fired(by: &[String], verb: &str, above: &Facts) -> Facts {
    let bounds = ["window_start", "window_end"].map(str::to_owned);
    let reason =
        above.answers_later.clone().unwrap_or_else(|| format!("{verb} fires by the clock"));
    Facts {
        upsert_key: by.iter().cloned().chain(bounds).collect(),
        keys: vec![by.to_vec()],
        shared_ends: false,
        replay_stable: above.replay_stable,
        rows_per_row: vec![0; above.rows_per_row.len()],
        answers_later: Some(reason),
        waits_for: vec![],
        inputs: above.inputs.clone(),
    }
}

fn key_without(key: Vec<String>, replaced: &[(String, Expr)]) -> Vec<String> {
    if replaced.iter().any(|(name, _)| key.contains(name)) { vec![] } else { key }
}

fn key_within(key: Vec<String>, kept: &[(String, Expr)]) -> Vec<String> {
    let is_kept = |name: &String| {
        kept.iter().any(|(new, expr)| match expr {
            Expr::Column(read) | Expr::Text(read, _) => new == name && read == name,
            _ => false,
        })
    };
    if key.iter().all(is_kept) { key } else { vec![] }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn last(plan: &str, more: &[serde_json::Value]) -> Facts {
        let mut plan: serde_json::Value = serde_json::from_str(plan).expect("a plan");
        let nodes = plan["nodes"].as_array_mut().expect("nodes");
        nodes.extend_from_slice(more);
        let plan = Plan::parse(&plan.to_string()).expect("a plan");
        facts(&plan, &Scope::infer(&plan, None)).pop().expect("a node")
    }

    const TUMBLING: &str = include_str!("../../tests/corpus/plans/tumbling.json");
    const SLIDING: &str = include_str!("../../tests/corpus/plans/sliding.json");
    const SILENT: &str = include_str!("../../tests/corpus/plans/silent.json");

    #[test]
    fn a_fired_row_is_identified_by_key_and_window() {
        let facts = last(TUMBLING, &[]);
        let [key @ .., "window_start", "window_end"] =
            &facts.upsert_key.iter().map(String::as_str).collect::<Vec<_>>()[..]
        else {
            panic!("{facts:?}");
        };
        assert_eq!(facts.keys, [key]);
        assert!(facts.shared_ends && facts.replay_stable);
        assert!(facts.answers_later.is_some_and(|why| why.ends_with("fires by the clock")));
    }

    #[test]
    fn a_key_that_is_replaced_or_left_out_identifies_nothing() {
        let from = serde_json::from_str::<Plan>(TUMBLING).expect("a plan").nodes.len() - 1;
        let key = last(TUMBLING, &[]).upsert_key;
        let kept: Vec<_> = key.iter().map(|name| json!([name, {"col": name}])).collect();
        let select = |columns: &[_]| json!({"op": "select", "from": from, "columns": columns});
        assert_eq!(last(TUMBLING, &[select(&kept)]).upsert_key, key);
        assert!(last(TUMBLING, &[select(&kept[1..])]).upsert_key.is_empty());
        let other = [json!([key[0], {"lit": 1, "type": "i64"}])];
        assert!(last(TUMBLING, &[select(&other)]).upsert_key.is_empty());
        let replaced = json!({"op": "with_columns", "from": from, "columns": other});
        assert!(last(TUMBLING, &[replaced]).upsert_key.is_empty());
    }

    #[test]
    fn rows_answered_at_once_depend_on_how_partitions_interleave() {
        let facts = last(SLIDING, &[]);
        assert!(
            facts.answers_later.is_none() && !facts.replay_stable && facts.upsert_key.is_empty()
        );
    }

    #[test]
    fn rows_answered_at_once_are_stable_where_each_partition_is_alone() {
        let plan = Plan::parse(SLIDING).expect("a plan");
        for (by, stable) in [("k", true), ("v", false)] {
            let scope = Scope::infer(&plan, Some(&[by.to_owned()]));
            assert_eq!(scope.is_partition(), stable);
            assert_eq!(facts(&plan, &scope).pop().expect("a node").replay_stable, stable);
        }
    }

    #[test]
    fn silence_waits_for_the_rows_of_inputs_that_are_never_idle() {
        let mut plan: serde_json::Value = serde_json::from_str(SILENT).expect("a plan");
        let name = plan["inputs"][0]["name"].clone();
        plan["inputs"][0]["idle_after"] = json!(null);
        assert_eq!(json!(last(&plan.to_string(), &[]).waits_for), json!([name]));
        plan["inputs"][0]["idle_after"] = json!(1_000_000);
        assert!(last(&plan.to_string(), &[]).waits_for.is_empty());
    }
}

//! Scope: whether each partition of the source can have its own state.
//!
//! That is so if the columns by which the source is partitioned reach the key of every verb and
//! rule with state unchanged: then all rows of a key come from one partition.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::expr::Expr;
use crate::plan::{Node, NullKey, Plan};

/// Whether a pipeline's state is global or per partition, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Scope {
    /// `partition` or `global`.
    pub word: &'static str,
    /// Why, as a clause that can follow a colon.
    pub reason: String,
    /// Whether some verb or rule groups the rows whose key is null.
    pub groups_null: bool,
}

impl Scope {
    /// The scope of a plan whose only input is partitioned by these columns; `None` if its source
    /// does not declare any.
    pub fn infer(plan: &Plan, partitioned_by: Option<&[String]>) -> Scope {
        let (word, reason) = match decide(plan, partitioned_by) {
            Ok(reason) => ("partition", reason),
            Err(reason) => ("global", reason),
        };
        Scope { word, reason, groups_null: Keyed::all(plan).iter().any(|keyed| keyed.groups_null) }
    }

    /// Whether the state is per partition.
    pub fn is_partition(&self) -> bool {
        self.word == "partition"
    }
}

/// Why the scope is partition, or as an error why it is global.
fn decide(plan: &Plan, partitioned_by: Option<&[String]>) -> Result<String, String> {
    if plan.inputs.len() > 1 {
        return Err(format!("there are {} inputs", plan.inputs.len()));
    }
    let (keyed, provenance) = (Keyed::all(plan), Provenance::all(plan));
    let Some(columns) = partitioned_by else {
        return Err(match candidates(&keyed, &provenance) {
            Ok(names) => format!("no source declares partitioned_by= (it could be {names})"),
            Err(why) => format!("no source declares partitioned_by=, and none would do: {why}"),
        });
    };
    for one in &keyed {
        one.has_key()?;
        columns.iter().try_for_each(|column| one.contains(column, &provenance[one.node]))?;
    }
    let names = columns.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
    Ok(match keyed.as_slice() {
        [] => "no verb or rule keeps state".into(),
        [one] => format!("the key of {} contains {names}, unchanged from the source", one.name),
        _ => format!("every key contains {names}, unchanged from the source"),
    })
}

/// The columns that could be declared, quoted; as an error why there are none.
fn candidates(keyed: &[Keyed<'_>], provenance: &[Provenance]) -> Result<String, String> {
    let mut common: Option<BTreeSet<&str>> = None;
    for one in keyed {
        one.has_key()?;
        let mine = one.by.iter().filter_map(|name| provenance[one.node].source_of(name).ok());
        let mine: BTreeSet<&str> = mine.collect();
        let left = match common {
            Some(before) => before.intersection(&mine).copied().collect(),
            None => mine,
        };
        if left.is_empty() {
            let by = one.by.join("\", \"");
            return Err(format!("the key \"{by}\" of {} shares none with the others", one.name));
        }
        common = Some(left);
    }
    let names = common.unwrap_or_default();
    if names.is_empty() {
        return Ok("any column".into());
    }
    let names: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    Ok(names.join(", "))
}

/// A verb or rule that keeps state by key.
struct Keyed<'a> {
    name: String,
    by: &'a [String],
    /// The verb whose rows it reads, by index.
    node: usize,
    groups_null: bool,
    /// Whether it names keys that may never send a row.
    names_keys: bool,
}

impl Keyed<'_> {
    fn all(plan: &Plan) -> Vec<Keyed<'_>> {
        let verbs = plan.nodes.iter().enumerate().filter_map(|(i, node)| {
            let (by, groups_null) = match node {
                Node::Tumbling(w) | Node::Hopping(w) | Node::Cumulative(w) => (&w.by, true),
                Node::Session(w) => (&w.by, true),
                Node::Silent(w) => (&w.by, true),
                Node::Sliding(w) => (&w.by, w.null_key == NullKey::Group),
                Node::History(w) => (&w.by, w.null_key == NullKey::Group),
                Node::Previous(w) => (&w.by, false),
                Node::Deduplicate(w) => (&w.by, false),
                Node::Top(w) => (&w.by, true),
                Node::Input { .. }
                | Node::Filter { .. }
                | Node::WithColumns { .. }
                | Node::Select { .. }
                | Node::Union { .. } => return None,
            };
            let names_keys = matches!(node, Node::Silent(w) if w.known.is_some());
            Some(Keyed {
                name: name_of(plan, i),
                by,
                node: node.from()[0],
                groups_null,
                names_keys,
            })
        });
        // without a cooldown a rule looks at each row alone
        let rules = plan.outputs.iter().flat_map(|output| {
            let with_state = output.rules.iter().filter(|rule| rule.cooldown.is_some());
            with_state.map(|rule| Keyed {
                name: format!("rule \"{}\"", rule.name),
                by: &rule.by,
                node: output.node,
                groups_null: true,
                names_keys: false,
            })
        });
        verbs.chain(rules).collect()
    }

    fn has_key(&self) -> Result<(), String> {
        if self.by.is_empty() {
            return Err(format!("{} has no key", self.name));
        }
        if self.names_keys {
            let name = &self.name;
            return Err(format!("{name} has known=, and a key's partition is known by its rows"));
        }
        Ok(())
    }

    /// Checks that the key contains a column of the source.
    fn contains(&self, column: &str, provenance: &Provenance) -> Result<(), String> {
        if self.by.iter().any(|name| provenance.source_of(name) == Ok(column)) {
            return Ok(());
        }
        let name = &self.name;
        Err(match self.by.iter().find(|by| *by == column).map(|by| provenance.source_of(by)) {
            Some(Err(changed)) => {
                format!("\"{column}\" in the key of {name} is not the source's: {changed}")
            }
            _ => format!("the key \"{}\" of {name} lacks \"{column}\"", self.by.join("\", \"")),
        })
    }
}

/// A verb, as messages and counters name it.
fn name_of(plan: &Plan, node: usize) -> String {
    format!("{}#{node}", plan.nodes[node].verb())
}

/// Which column of the source each column of a verb's rows is, unchanged.
#[derive(Debug, Clone, Default)]
struct Provenance {
    /// The column of the source, or what made the column something else.
    named: BTreeMap<String, Result<String, String>>,
    /// What made the columns that are not named something else; `None` if each is the column of
    /// that name.
    others: Option<String>,
}

impl Provenance {
    /// The provenance for each verb of a plan with one input.
    fn all(plan: &Plan) -> Vec<Provenance> {
        let mut known: Vec<Provenance> = vec![];
        for (i, node) in plan.nodes.iter().enumerate() {
            let above: Vec<&Provenance> = node.from().iter().map(|&from| &known[from]).collect();
            let next = Provenance::after(node, &name_of(plan, i), &above);
            known.push(next);
        }
        known
    }

    /// The source's column, or what made this column something else.
    fn source_of<'a>(&'a self, name: &'a str) -> Result<&'a str, &'a str> {
        match (self.named.get(name), &self.others) {
            (Some(origin), _) => origin.as_deref().map_err(String::as_str),
            (None, None) => Ok(name),
            (None, Some(changed)) => Err(changed),
        }
    }

    fn after(node: &Node, verb: &str, above: &[&Provenance]) -> Provenance {
        let made = || format!("{verb} made it");
        let fired = |by: &[String]| {
            let named = by.iter().map(|name| (name.clone(), above[0].owned(name)));
            Provenance { named: named.collect(), others: Some(made()) }
        };
        let added = |columns: &mut dyn Iterator<Item = &String>| {
            let mut provenance = above[0].clone();
            provenance.named.extend(columns.map(|name| (name.clone(), Err(made()))));
            provenance
        };
        let computed = |columns: &[(String, Expr)]| -> Vec<(String, Result<String, String>)> {
            let origin = |expr: &Expr| match expr {
                Expr::Column(read) => above[0].owned(read),
                // the text is the column of that name if there is one, and else means the same
                Expr::Text(read, meaning) if **meaning == Expr::Column(read.clone()) => {
                    above[0].owned(read)
                }
                _ => Err(made()),
            };
            columns.iter().map(|(name, expr)| (name.clone(), origin(expr))).collect()
        };
        match node {
            Node::Input { .. } => Provenance::default(),
            Node::Filter { .. } | Node::Deduplicate(_) | Node::Top(_) => above[0].clone(),
            Node::WithColumns { columns, .. } => {
                let mut provenance = above[0].clone();
                provenance.named.extend(computed(columns));
                provenance
            }
            Node::Select { columns, .. } => {
                Provenance { named: computed(columns).into_iter().collect(), others: Some(made()) }
            }
            Node::Union { tag, .. } => Provenance::mixed(above, tag.as_ref(), verb),
            Node::Tumbling(w) | Node::Hopping(w) | Node::Cumulative(w) => fired(&w.by),
            Node::Session(w) => fired(&w.by),
            Node::Silent(w) => fired(&w.by),
            Node::Previous(w) => added(&mut w.columns.iter().map(|(new, _)| new)),
            Node::Sliding(w) => added(&mut w.columns.iter().map(|feature| &feature.name)),
            Node::History(w) => added(&mut w.columns.iter().map(|feature| &feature.name)),
        }
    }

    /// A column of a union is the source's if it is so on every side.
    fn mixed(sides: &[&Provenance], tag: Option<&String>, verb: &str) -> Provenance {
        let mixes = format!("{verb} mixes it with other columns");
        let origin = |name: &String| {
            let first = sides[0].owned(name);
            match sides.iter().all(|side| side.source_of(name).is_ok() && side.owned(name) == first)
            {
                true => first,
                false => Err(mixes.clone()),
            }
        };
        let names: BTreeSet<&String> = sides.iter().flat_map(|side| side.named.keys()).collect();
        let mut named: BTreeMap<_, _> =
            names.into_iter().map(|name| (name.clone(), origin(name))).collect();
        named.extend(tag.map(|tag| (tag.clone(), Err(format!("{verb} made it")))));
        let others = sides.iter().any(|side| side.others.is_some()).then_some(mixes);
        Provenance { named, others }
    }

    fn owned(&self, name: &str) -> Result<String, String> {
        self.source_of(name).map(str::to_owned).map_err(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// The scope of a stream of `k`, `m` and `v` with these verbs, the last of which goes out.
    fn scope(by: &[&str], verbs: Vec<Value>, rules: Value) -> Scope {
        let mut plan: Value =
            serde_json::from_str(include_str!("../../tests/corpus/plans/tumbling.json")).unwrap();
        plan["nodes"] = json!([json!({"op": "input", "input": 0})]);
        plan["nodes"].as_array_mut().unwrap().extend(verbs);
        let last = plan["nodes"].as_array().unwrap().len() - 1;
        plan["outputs"] = json!([{"name": "out", "node": last, "rules": rules}]);
        let plan = Plan::parse(&plan.to_string()).unwrap();
        let by: Vec<String> = by.iter().map(|name| name.to_string()).collect();
        Scope::infer(&plan, (!by.is_empty()).then_some(&by))
    }

    fn deduplicate(from: usize, by: &[&str]) -> Value {
        json!({"op": "deduplicate", "from": from, "by": by, "within": 1})
    }

    fn session(from: usize, by: &[&str]) -> Value {
        json!({"op": "session", "from": from, "by": by, "gap": 1, "gap_closed": true,
               "allowed_lateness": 0, "aggregates": []})
    }

    fn silent(known: Value) -> Value {
        json!({"op": "silent", "from": 0, "by": ["k"], "after": 1, "known": known})
    }

    fn columns(op: &str, from: usize, columns: Value) -> Value {
        json!({"op": op, "from": from, "columns": columns})
    }

    fn union(from: &[usize]) -> Value {
        json!({"op": "union", "from": from, "tag": "side", "names": ["a", "b"]})
    }

    fn rule(by: &[&str], cooldown: Option<i64>) -> Value {
        json!([{"name": "high", "when": {"lit": true, "type": "bool"}, "by": by,
                "severity": "info", "cooldown": cooldown, "message": "", "score": 0,
                "version": 1, "shadow": false}])
    }

    #[test]
    fn the_scope_is_partition_where_the_columns_reach_every_key() {
        let col = |name: &str| json!({"col": name});
        let lit = json!({"lit": "x", "type": "str"});
        let text = |text: &str, column: &str| json!({"text": [text, {"col": column}]});
        let cases: Vec<(Vec<Value>, Value, &str)> = vec![
            (vec![], json!([]), "partition: no verb or rule keeps state"),
            (
                vec![deduplicate(0, &["k"])],
                json!([]),
                "partition: the key of deduplicate#1 contains \"k\", unchanged from the source",
            ),
            (
                vec![deduplicate(0, &["k", "m"]), session(1, &["m", "k"])],
                rule(&["k"], Some(1)),
                "partition: every key contains \"k\", unchanged from the source",
            ),
            (
                vec![deduplicate(0, &["k"]), session(1, &["m"])],
                json!([]),
                "global: the key \"m\" of session#2 lacks \"k\"",
            ),
            (vec![session(0, &[])], json!([]), "global: session#1 has no key"),
            (
                vec![silent(json!([["a"]]))],
                json!([]),
                "global: silent#1 has known=, and a key's partition is known by its rows",
            ),
            (
                vec![silent(json!(null))],
                json!([]),
                "partition: the key of silent#1 contains \"k\", unchanged from the source",
            ),
            (vec![], rule(&["m"], None), "partition: no verb or rule keeps state"),
            (vec![], rule(&["m"], Some(1)), "global: the key \"m\" of rule \"high\" lacks \"k\""),
            (
                vec![columns("with_columns", 0, json!([["k", lit]])), session(1, &["k"])],
                json!([]),
                "global: \"k\" in the key of session#2 is not the source's: with_columns#1 made it",
            ),
            // a column keeps its origin under another name, and a swap swaps provenance
            (
                vec![columns("select", 0, json!([["c", col("k")]])), session(1, &["c"])],
                json!([]),
                "partition: the key of session#2 contains \"k\", unchanged from the source",
            ),
            (
                vec![columns("select", 0, json!([["c", text("k", "k")]])), session(1, &["c"])],
                json!([]),
                "partition: the key of session#2 contains \"k\", unchanged from the source",
            ),
            (
                vec![columns("select", 0, json!([["c", text("m", "k")]])), session(1, &["c"])],
                json!([]),
                "global: the key \"c\" of session#2 lacks \"k\"",
            ),
            (
                vec![
                    columns("with_columns", 0, json!([["k", col("m")], ["m", col("k")]])),
                    session(1, &["k"]),
                ],
                json!([]),
                "global: the key \"k\" of session#2 lacks \"k\"",
            ),
            (
                vec![
                    columns("with_columns", 0, json!([["k", col("m")], ["m", col("k")]])),
                    session(1, &["m"]),
                ],
                json!([]),
                "partition: the key of session#2 contains \"k\", unchanged from the source",
            ),
            // what a window made is no key of the source, also under the name of one
            (
                vec![session(0, &["k"]), session(1, &["window_end"])],
                json!([]),
                "global: the key \"window_end\" of session#2 lacks \"k\"",
            ),
            (
                vec![session(0, &["k"]), session(1, &["k"])],
                json!([]),
                "partition: every key contains \"k\", unchanged from the source",
            ),
            // a union mixes
            (
                vec![deduplicate(0, &["k"]), union(&[0, 1]), session(2, &["k"])],
                json!([]),
                "partition: every key contains \"k\", unchanged from the source",
            ),
            (
                vec![
                    columns("with_columns", 0, json!([["k", col("m")]])),
                    union(&[0, 1]),
                    session(2, &["k"]),
                ],
                json!([]),
                "global: \"k\" in the key of session#3 is not the source's: \
                 union#2 mixes it with other columns",
            ),
            (
                vec![
                    columns("select", 0, json!([["m", col("m")]])),
                    union(&[0, 1]),
                    session(2, &["k"]),
                ],
                json!([]),
                "global: \"k\" in the key of session#3 is not the source's: \
                 union#2 mixes it with other columns",
            ),
        ];
        for (verbs, rules, expected) in cases {
            let found = scope(&["k"], verbs.clone(), rules.clone());
            let shown = format!("{}: {}", found.word, found.reason);
            assert_eq!(shown, expected, "{verbs:?} {rules}");
        }
    }

    #[test]
    fn without_a_declaration_it_says_what_could_be_declared() {
        let reason = |verbs| scope(&[], verbs, json!([])).reason;
        let could = "no source declares partitioned_by= (it could be ";
        assert_eq!(reason(vec![]), format!("{could}any column)"));
        assert_eq!(reason(vec![session(0, &["m", "k"])]), format!("{could}\"k\", \"m\")"));
        let two = vec![deduplicate(0, &["k", "m"]), session(1, &["m", "v"])];
        assert_eq!(reason(two), format!("{could}\"m\")"));
        let apart = vec![deduplicate(0, &["k"]), session(1, &["m"])];
        assert!(reason(apart).ends_with("the key \"m\" of session#2 shares none with the others"));
        assert!(reason(vec![session(0, &[])]).ends_with("session#1 has no key"));
    }

    #[test]
    fn a_null_key_is_grouped_by_windows_and_cooldowns() {
        let groups = |verbs, rules| scope(&["k"], verbs, rules).groups_null;
        assert!(!groups(vec![deduplicate(0, &["k"])], rule(&["k"], None)));
        assert!(groups(vec![deduplicate(0, &["k"])], rule(&["k"], Some(1))));
        assert!(groups(vec![session(0, &["k"])], json!([])));
    }
}

//! Plan: the description of a pipeline as it crosses from Python, once, as typed JSON.

mod length;

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::expr::Expr;
use crate::time::Micros;

pub use length::{Length, ZoneOf};

/// The format of the JSON.
pub const VERSION: u32 = 1;

/// A pipeline: inputs, a graph of verbs in topological order, outputs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// See [`VERSION`].
    pub version: u32,
    /// The input streams.
    pub inputs: Vec<Input>,
    /// The verbs; each names earlier ones in `from`.
    pub nodes: Vec<Node>,
    /// The outputs.
    pub outputs: Vec<Output>,
}

/// A stream that comes in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Its name.
    pub name: String,
    /// The event time of a row.
    pub time: Expr,
    /// How far a row's time may be behind the newest of its partition.
    pub out_of_order: Micros,
    /// After how long a silent partition stops holding the watermark back; the loop's affair.
    pub idle_after: Option<Micros>,
    /// How far ahead of its recorded arrival a row's time may be.
    pub max_future_skew: Option<Micros>,
    /// Declared columns: name and type word.
    pub schema: Option<Vec<(String, String)>>,
}

/// One aggregate of a window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Aggregation {
    /// The column it makes.
    pub name: String,
    /// A name of the registry.
    pub kind: String,
    /// What it aggregates.
    pub args: Vec<Expr>,
    /// Its parameters: literals, the same for all rows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<Expr>,
    /// Only rows for which this is true.
    #[serde(rename = "where")]
    pub filter: Option<Expr>,
}

/// When a window's row comes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Emit {
    /// Once, at the close; each accepted late row fires again.
    Final,
    /// For every accepted row.
    Each,
    /// At the close, if rows entered or left since the key's window before.
    Changed,
}

/// Which ends of a per-event window belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Closed {
    /// `(t - size, t]`
    Right,
    /// `[t - size, t)`
    Left,
    /// `[t - size, t]`
    Both,
    /// `(t - size, t)`
    None,
}

/// When a per-event row is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answering {
    /// At once.
    Arrival,
    /// When the watermark has passed its time.
    Watermark,
}

/// What a null key means to a per-event verb.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NullKey {
    /// No key: null features.
    Null,
    /// A key like any other.
    Group,
}

/// A tumbling, hopping or cumulative window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Aligned {
    /// The verb it reads from.
    pub from: usize,
    /// Key columns.
    pub by: Vec<String>,
    /// Length of a window; of a cycle of cumulative ones.
    pub size: Length,
    /// From one start to the next; the size itself when tumbling. In a cycle of cumulative windows
    /// from one end to the next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<Length>,
    /// Moves all bounds; in a calendar by local time.
    pub offset: Micros,
    /// Moves the bounds of months and years by months.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub offset_months: i64,
    /// The zone of calendar windows; if not given, that of the time column, or UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<ZoneOf>,
    /// See [`Emit`].
    pub emit: Emit,
    /// Also fire what changed at each multiple of this.
    pub emit_every: Option<Micros>,
    /// How long a closed window still accepts.
    pub allowed_lateness: Micros,
    /// Whether an accepted late row fires again, or the close waits for the lateness to pass.
    pub revisions: bool,
    /// Whether starts may lie further apart than the size.
    #[serde(default)]
    pub allow_gaps: bool,
    /// What is computed.
    pub aggregates: Vec<Aggregation>,
}

fn is_zero(value: &i64) -> bool {
    *value == 0
}

/// A session window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// The verb it reads from.
    pub from: usize,
    /// Key columns.
    pub by: Vec<String>,
    /// Rows at most this far apart share a session.
    pub gap: Micros,
    /// Whether rows exactly one gap apart do.
    pub gap_closed: bool,
    /// How much longer a session stays open.
    pub allowed_lateness: Micros,
    /// What is computed.
    pub aggregates: Vec<Aggregation>,
}

/// One feature column of a per-event window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feature {
    /// The column.
    pub name: String,
    /// Which aggregate.
    pub aggregate: usize,
    /// Which size.
    pub size: usize,
}

/// A per-event window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sliding {
    /// The verb it reads from.
    pub from: usize,
    /// Key columns.
    pub by: Vec<String>,
    /// Lengths.
    pub sizes: Vec<Micros>,
    /// How long before the row its windows end.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub ago: Micros,
    /// See [`Closed`].
    pub closed: Closed,
    /// Whether a row counts in its own answer.
    pub include_current: bool,
    /// See [`Answering`].
    pub emit: Answering,
    /// How far behind its watermark a row is still answered as of its own time.
    pub allowed_lateness: Micros,
    /// See [`NullKey`].
    pub null_key: NullKey,
    /// What is computed.
    pub aggregates: Vec<Aggregation>,
    /// The columns it adds.
    pub columns: Vec<Feature>,
}

/// A per-event window without a length: over all rows of a key, or over its last ones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct History {
    /// The verb it reads from.
    pub from: usize,
    /// Key columns.
    pub by: Vec<String>,
    /// How many of the last rows; all of them, if not given.
    pub rows: Option<u64>,
    /// After how long without a row a key begins anew.
    pub expire_after: Option<Micros>,
    /// How long before the row the window ends.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub ago: Micros,
    /// Which end belongs to it; the other one is open for ever.
    pub closed: Closed,
    /// Whether a row counts in its own answer.
    pub include_current: bool,
    /// How far behind its watermark a row is still answered as of its own time.
    pub allowed_lateness: Micros,
    /// See [`NullKey`].
    pub null_key: NullKey,
    /// What is computed.
    pub aggregates: Vec<Aggregation>,
    /// The columns it adds.
    pub columns: Vec<Feature>,
}

/// A row for a key that sent nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Silent {
    /// The verb it reads from.
    pub from: usize,
    /// Key columns.
    pub by: Vec<String>,
    /// For how long.
    pub after: Micros,
    /// Keys that are expected from the first watermark on.
    pub known: Option<Vec<Vec<serde_json::Value>>>,
    /// Interval at which the row is repeated while the silence lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Micros>,
}

/// Columns of the key's row before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Previous {
    /// The verb it reads from.
    pub from: usize,
    /// Key columns.
    pub by: Vec<String>,
    /// How much older that row is, at least; if not given, it is the row just before.
    pub ago: Option<Micros>,
    /// The columns it adds, each with the column whose value it has.
    pub columns: Vec<(String, String)>,
}

/// The first to arrive of rows that lie close together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deduplicate {
    /// The verb it reads from.
    pub from: usize,
    /// Key columns.
    pub by: Vec<String>,
    /// How far apart in event time duplicates lie at most.
    pub within: Micros,
}

/// The first of the rows of one window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Top {
    /// The verb it reads from.
    pub from: usize,
    /// Columns within whose values rows are ranked.
    pub by: Vec<String>,
    /// How many.
    pub n: u64,
    /// What they are ranked by, the greatest first.
    pub order: Expr,
    /// Whether all rows that are equal to the last one are kept, too.
    pub ties: bool,
}

/// One verb.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Node {
    Input { input: usize },
    Filter { from: usize, r#where: Expr },
    WithColumns { from: usize, columns: Vec<(String, Expr)> },
    Select { from: usize, columns: Vec<(String, Expr)> },
    Union { from: Vec<usize>, tag: Option<String>, names: Vec<String> },
    Tumbling(Aligned),
    Hopping(Aligned),
    Cumulative(Aligned),
    Session(Session),
    Sliding(Sliding),
    History(History),
    Silent(Silent),
    Previous(Previous),
    Deduplicate(Deduplicate),
    Top(Top),
}

/// What goes out, and the rules over it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// Its name.
    pub name: String,
    /// The verb whose rows go out.
    pub node: usize,
    /// Rules over its rows.
    pub rules: Vec<Rule>,
}

/// When a rule fires.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum When {
    /// The n-th Python callable given to the engine.
    Mask {
        /// Which.
        mask: usize,
    },
    /// A boolean expression.
    Expr(Expr),
}

/// A rule over the rows of an output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// See [`When`].
    pub when: When,
    /// Whose cooldown it is.
    pub by: Vec<String>,
    /// `info`, `warning` or `critical`.
    pub severity: String,
    /// For how long the same key does not fire again, in event time.
    pub cooldown: Option<Micros>,
    /// Text with `{column}` places.
    pub message: String,
    /// Added up by those who read it.
    pub score: i64,
    /// Which edition of the rule.
    pub version: i64,
    /// Whether it is only watched.
    pub shadow: bool,
}

impl Node {
    /// The verb's word.
    pub fn verb(&self) -> &'static str {
        match self {
            Node::Input { .. } => "input",
            Node::Filter { .. } => "filter",
            Node::WithColumns { .. } => "with_columns",
            Node::Select { .. } => "select",
            Node::Union { .. } => "union",
            Node::Tumbling(_) => "tumbling",
            Node::Hopping(_) => "hopping",
            Node::Cumulative(_) => "cumulative",
            Node::Session(_) => "session",
            Node::Sliding(_) | Node::History(_) => "sliding",
            Node::Silent(_) => "silent",
            Node::Previous(_) => "previous",
            Node::Deduplicate(_) => "deduplicate",
            Node::Top(_) => "top",
        }
    }

    /// Whether its output depends on earlier rows.
    pub fn has_state(&self) -> bool {
        match self {
            Node::Input { .. }
            | Node::Filter { .. }
            | Node::WithColumns { .. }
            | Node::Select { .. }
            | Node::Union { .. }
            | Node::Top(_) => false,
            Node::Tumbling(_)
            | Node::Hopping(_)
            | Node::Cumulative(_)
            | Node::Session(_)
            | Node::Sliding(_)
            | Node::History(_)
            | Node::Silent(_)
            | Node::Previous(_)
            | Node::Deduplicate(_) => true,
        }
    }

    /// The verbs it reads from.
    pub fn from(&self) -> Vec<usize> {
        match self {
            Node::Input { .. } => vec![],
            Node::Filter { from, .. }
            | Node::WithColumns { from, .. }
            | Node::Select { from, .. } => vec![*from],
            Node::Union { from, .. } => from.clone(),
            Node::Tumbling(w) | Node::Hopping(w) | Node::Cumulative(w) => vec![w.from],
            Node::Session(w) => vec![w.from],
            Node::Sliding(w) => vec![w.from],
            Node::History(w) => vec![w.from],
            Node::Silent(w) => vec![w.from],
            Node::Previous(w) => vec![w.from],
            Node::Deduplicate(w) => vec![w.from],
            Node::Top(w) => vec![w.from],
        }
    }
}

impl Plan {
    /// Every text that occurs in the plan; a column whose name is not among them is never read.
    pub fn words(&self) -> HashSet<String> {
        let (mut words, mut ahead) = (HashSet::new(), vec![serde_json::json!(self)]);
        while let Some(value) = ahead.pop() {
            match value {
                serde_json::Value::String(word) => {
                    words.insert(word);
                }
                serde_json::Value::Array(inner) => ahead.extend(inner),
                serde_json::Value::Object(inner) => ahead.extend(inner.into_iter().map(|(_, v)| v)),
                _ => {}
            }
        }
        words
    }

    /// Reads a plan and checks its wiring; types are checked by [`crate::graph`].
    pub fn parse(json: &str) -> Result<Plan> {
        let plan: Plan = serde_json::from_str(json)
            .map_err(|error| Error::Plan(format!("the plan cannot be read: {error}")))?;
        if plan.version != VERSION {
            return Err(Error::Plan(format!("plan version {} is not {VERSION}", plan.version)));
        }
        for (i, node) in plan.nodes.iter().enumerate() {
            if node.from().iter().any(|&from| from >= i) {
                return Err(Error::Plan(format!("node {i} reads from a later one")));
            }
            if let Node::Input { input } = node
                && *input >= plan.inputs.len()
            {
                return Err(Error::Plan(format!(
                    "node {i} reads input {input}, which is not there"
                )));
            }
        }
        if let Some(output) = plan.outputs.iter().find(|o| o.node >= plan.nodes.len()) {
            return Err(Error::Plan(format!("output \"{}\" has no node", output.name)));
        }
        Ok(plan)
    }
}

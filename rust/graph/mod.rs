//! Graph: the plan with every name resolved and every expression typed, and the verbs'
//! fingerprints.

mod columns;
mod scope;
mod facts;
mod windows;
mod aligned;
mod keyed;
mod describe;

use std::fmt::{self, Debug, Formatter};
use std::sync::Arc;

use arrow_array::{Array, ArrayRef};
use arrow_buffer::BooleanBuffer;
use arrow_schema::{DataType, Field, Schema, SchemaRef};

use crate::aggregate::{Aggregate, Builder, Call, Registry};
use crate::assign::GridKind;
use crate::block::Block;
use crate::error::{Error, Result};
use crate::expr::{Expr, Function, Literal, Lost, Typed, check};
use crate::plan::{self, Node, Plan};
use crate::schema::{parse_type, type_word};
use columns::{project, union, with_columns};
use windows::{fold, positive, sliding, stateful, windowed};

pub use aligned::Frame;
pub use describe::{check_rules, describe, fingerprints};
pub use keyed::TypedKeyed;
pub use scope::Scope;

/// A typed expression.
#[derive(Debug, Clone)]
pub struct Formula {
    /// The expression, checked against its input's columns.
    pub typed: Typed,
    /// Whether it reads the recorded arrival.
    pub arrival: bool,
    /// Indices of the columns it reads.
    pub reads: Vec<usize>,
}

impl Formula {
    /// Types an expression.
    pub fn new(expr: &Expr, schema: &Schema) -> Result<Formula> {
        let expr = &expr.settled(schema);
        let typed = check(expr, schema)?;
        let reads = expr.columns().filter_map(|name| schema.index_of(name).ok()).collect();
        Ok(Formula { typed, arrival: expr.calls(Function::Arrival), reads })
    }

    pub(crate) fn condition(expr: &Expr, schema: &Schema, place: &str) -> Result<Formula> {
        let formula = Formula::new(expr, schema).map_err(|error| error.within(place))?;
        match formula.typed.data_type() {
            DataType::Boolean | DataType::Null => Ok(formula),
            other => Err(Error::Expression(format!(
                "{place}: {expr} is {}, not a condition\nhint: compare it with something",
                type_word(other)?
            ))),
        }
    }

    /// Evaluates the formula for a block; also returns the rows in which it failed.
    pub fn eval(&self, block: &Block) -> Result<(ArrayRef, Lost)> {
        if let Some(at) = self.typed.as_column() {
            return Ok((block.columns[at].clone(), Lost::default()));
        }
        let done = block.with_rows(self.arrival, |rows| self.typed.eval(rows))?;
        debug_assert_eq!(done.array.len(), block.len());
        Ok((done.array, done.lost))
    }

    /// Evaluates the formula as a condition; also returns the rows in which it failed.
    pub fn test(&self, block: &Block) -> Result<(BooleanBuffer, Lost)> {
        block.with_rows(self.arrival, |rows| self.typed.test(rows))
    }
}

/// The aggregates of a window, typed.
#[derive(Debug)]
pub struct TypedAggregates {
    /// Indices of the key columns in the input.
    pub by: Vec<usize>,
    /// Their types.
    pub key_types: Vec<DataType>,
    /// The aggregates.
    pub aggregates: Vec<TypedAggregate>,
}

/// One typed aggregate.
pub struct TypedAggregate {
    /// The output column.
    pub name: String,
    /// Its name in the registry.
    pub kind: String,
    /// Its arguments.
    pub arguments: Vec<Formula>,
    /// Its parameters.
    pub parameters: Vec<Literal>,
    /// The aggregate covers only rows for which this is true.
    pub filter: Option<Formula>,
    /// The type of its column.
    pub output: DataType,
    /// Its builder in the registry.
    pub builder: Builder,
}

impl Debug for TypedAggregate {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}({:?}; {:?})", self.name, self.kind, self.arguments, self.parameters)
    }
}

impl TypedAggregate {
    /// A new instance of the aggregate.
    pub fn build(&self) -> Result<Box<dyn Aggregate>> {
        let (types, parameters) = (self.types(), self.parameters.as_slice());
        (self.builder)(&Call { kind: &self.kind, types: &types, parameters })
    }

    /// The types of its arguments.
    pub fn types(&self) -> Vec<DataType> {
        self.arguments.iter().map(|formula| formula.typed.data_type().clone()).collect()
    }
}

/// A typed verb.
#[derive(Debug)]
pub enum Verb {
    /// The rows of an input.
    Input(usize),
    /// Keeps rows for which the condition is true.
    Filter(Formula),
    /// Computes columns.
    Project(Vec<Formula>),
    /// Per input: for each column of the union its index in that input, and the input's tag.
    Union(Vec<(Vec<Option<usize>>, Option<String>)>),
    /// Tumbling, hopping or cumulative windows.
    Aligned(plan::Aligned, Frame, TypedAggregates),
    /// Session windows.
    Session(plan::Session, TypedAggregates),
    /// Per-event windows.
    Sliding(plan::Sliding, TypedAggregates),
    /// Per-event windows without a length.
    History(plan::History, TypedAggregates),
    /// Rows for silent keys.
    Silent(plan::Silent, TypedAggregates),
    /// Columns of the row before.
    Previous(plan::Previous, TypedKeyed),
    /// Rows without duplicates.
    Deduplicate(plan::Deduplicate, TypedKeyed),
    /// The first rows of each window: the columns within which they are ranked, and by what.
    Top(plan::Top, Vec<usize>, Formula),
}

/// A verb of the plan with known columns.
#[derive(Debug)]
pub struct TypedNode {
    /// The verb and its index, as used in messages and counters.
    pub name: String,
    /// The output columns.
    pub schema: SchemaRef,
    /// The time zone of the event time, also used for window bounds.
    pub zone: Option<Arc<str>>,
    /// Whether the rows are fired windows.
    pub fired: bool,
    /// Whether the rows of a window come out at once.
    pub together: bool,
    /// Whether a window's row may be emitted again.
    pub revisions: bool,
    /// The columns by which rows of one window differ; `None` if one of them was dropped.
    pub keys: Option<Vec<String>>,
    /// The verbs it reads from, by index.
    pub from: Vec<usize>,
    /// The verb with its typed parameters.
    pub verb: Verb,
}

/// The event time of an input, typed.
pub fn time_of(input: &plan::Input, schema: &Schema) -> Result<(Formula, Option<Arc<str>>)> {
    let place = format!("time of stream \"{}\"", input.name);
    let formula = Formula::new(&input.time, schema).map_err(|error| error.within(&place))?;
    match formula.typed.data_type() {
        DataType::Timestamp(_, zone) => {
            let zone = zone.clone();
            Ok((formula, zone))
        }
        DataType::Date32 => Ok((formula, None)),
        whole if whole.is_integer() => Err(Error::Schema(format!(
            "{place}: {} is {}, not a timestamp\nhint: cast it, or say time=mt.epoch(\"ms\", \"{}\")",
            input.time,
            type_word(whole)?,
            input.time
        ))),
        other => Err(Error::Schema(format!(
            "{place}: {} is {}, not a timestamp\nhint: cast it, as in time=\"{}::timestamptz\", or \
             declare schema={{\"{}\": \"timestamp[us, UTC]\", ...}}",
            input.time,
            type_word(other)?,
            input.time,
            input.time
        ))),
    }
}

/// The declared columns of an input, if it declares them.
pub fn declared(input: &plan::Input) -> Result<Option<SchemaRef>> {
    let Some(columns) = &input.schema else { return Ok(None) };
    let fields: Result<Vec<Field>> = columns
        .iter()
        .map(|(name, word)| {
            let data_type = crate::schema::internal_type(&parse_type(word)?)
                .map_err(|error| error.within(&format!("column \"{name}\"")))?;
            Ok(Field::new(name, data_type, true))
        })
        .collect();
    let schema = Schema::new(fields?);
    unique(&schema)?;
    Ok(Some(Arc::new(schema)))
}

/// Types every verb whose input columns are known; `None` for the others.
pub fn type_plan(
    plan: &Plan,
    registry: &Registry,
    inputs: &[Option<SchemaRef>],
) -> Result<Vec<Option<TypedNode>>> {
    let mut typed: Vec<Option<TypedNode>> = Vec::with_capacity(plan.nodes.len());
    for (i, node) in plan.nodes.iter().enumerate() {
        let known = match node {
            Node::Input { input } => inputs[*input].is_some(),
            other => other.from().iter().all(|&from| typed[from].is_some()),
        };
        let name = format!("{}#{i}", node.verb());
        let done =
            known.then(|| type_node((plan, registry), node, &name, inputs, &typed)).transpose();
        typed.push(done.map_err(|error| error.within(node.verb()))?);
    }
    Ok(typed)
}

fn type_node(
    (plan, registry): (&Plan, &Registry),
    node: &Node,
    name: &str,
    inputs: &[Option<SchemaRef>],
    typed: &[Option<TypedNode>],
) -> Result<TypedNode> {
    let upstream = |from: usize| typed[from].as_ref().expect("typed before");
    let keep = |from: usize, schema: SchemaRef, keys: Option<Vec<String>>, verb: Verb| {
        let up = upstream(from);
        let (name, zone, from) = (name.into(), up.zone.clone(), vec![from]);
        let (fired, together, revisions) = (up.fired, up.together, up.revisions);
        TypedNode { name, schema, zone, fired, together, revisions, keys, from, verb }
    };
    let made = match node {
        Node::Input { input } => {
            let schema = inputs[*input].clone().expect("heard");
            let (_, zone) = time_of(&plan.inputs[*input], &schema)?;
            let verb = Verb::Input(*input);
            let (name, keys, from) = (name.into(), Some(vec![]), vec![]);
            let (fired, together, revisions) = (false, false, false);
            TypedNode { name, schema, zone, fired, together, revisions, keys, from, verb }
        }
        Node::Filter { from, r#where } => {
            let schema = upstream(*from).schema.clone();
            let condition = Formula::condition(r#where, &schema, "where")?;
            keep(*from, schema, upstream(*from).keys.clone(), Verb::Filter(condition))
        }
        Node::WithColumns { from, columns } => {
            let old = &upstream(*from).schema;
            let all = with_columns(old, columns);
            let (schema, formulas) = project(old, &all)?;
            keep(*from, schema, keys_in(upstream(*from), &all), Verb::Project(formulas))
        }
        Node::Select { from, columns } => {
            let (schema, formulas) = project(&upstream(*from).schema, columns)?;
            keep(*from, schema, keys_in(upstream(*from), columns), Verb::Project(formulas))
        }
        Node::Union { from, tag, names } => {
            let sides: Vec<&TypedNode> = from.iter().map(|&from| upstream(from)).collect();
            union(name, from, &sides, tag.as_deref(), names)?
        }
        Node::Tumbling(w) | Node::Hopping(w) | Node::Cumulative(w) => {
            let is_cumulative = matches!(node, Node::Cumulative(_));
            let kind = if is_cumulative { GridKind::Cumulative } else { GridKind::Even };
            let frame = aligned::frame(w, kind, upstream(w.from))?;
            let folding = fold(registry, stateful(upstream(w.from))?, &w.by, &w.aggregates)?;
            let early = w.emit == plan::Emit::Each || w.emit_every.is_some();
            let revisions = early || (w.allowed_lateness > 0 && w.revisions);
            let verb = Verb::Aligned(w.clone(), frame, folding);
            windowed(name, w.from, upstream(w.from), verb, revisions)?
        }
        Node::Session(w) => {
            positive("gap", w.gap)?;
            let folding = fold(registry, stateful(upstream(w.from))?, &w.by, &w.aggregates)?;
            windowed(name, w.from, upstream(w.from), Verb::Session(w.clone(), folding), false)?
        }
        Node::Silent(w) => {
            positive("after", w.after)?;
            w.every.map_or(Ok(()), |every| positive("every", every))?;
            let folding = fold(registry, stateful(upstream(w.from))?, &w.by, &[])?;
            windowed(name, w.from, upstream(w.from), Verb::Silent(w.clone(), folding), false)?
        }
        Node::Sliding(w) => sliding(registry, name, w, upstream(w.from))?,
        Node::History(w) => windows::history(registry, name, w, upstream(w.from))?,
        Node::Previous(w) => keyed::previous(name, w, upstream(w.from))?,
        Node::Deduplicate(w) => keyed::deduplicate(name, w, upstream(w.from))?,
        Node::Top(w) => windows::top(name, w, upstream(w.from))?,
    };
    unique(&made.schema)?;
    Ok(made)
}

/// The keys of a node under the names they have in columns computed from it.
fn keys_in(node: &TypedNode, columns: &[(String, Expr)]) -> Option<Vec<String>> {
    let kept = |key: &String| {
        let is_key = |expr: &Expr| expr.settled(&node.schema) == Expr::Column(key.clone());
        columns.iter().find(|column| is_key(&column.1)).map(|column| column.0.clone())
    };
    node.keys.as_ref()?.iter().map(kept).collect()
}

fn unique(schema: &Schema) -> Result<()> {
    for (i, field) in schema.fields().iter().enumerate() {
        if schema.fields()[..i].iter().any(|other| other.name() == field.name()) {
            return Err(Error::Plan(format!(
                "column \"{}\" would be there twice\nhint: give one of them another name",
                field.name()
            )));
        }
    }
    Ok(())
}

//! Graph: the plan with every name resolved and every expression typed, and the prints of its slots.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use serde_json::json;

use crate::aggregate::{self, Aggregate};
use crate::error::{Error, Result, unknown_column};
use crate::expr::{Expr, Function, Typed, check};
use crate::plan::{self, Aggregation, Node, Plan};
use crate::schema::{parse_type, type_word, widen};
use crate::state::check_key;

/// A typed expression and what it is called in messages.
#[derive(Debug, Clone)]
pub struct Formula {
    /// The expression, checked against its input's columns.
    pub typed: Typed,
    /// Whether it reads the recorded arrival.
    pub arrival: bool,
}

impl Formula {
    /// Types an expression.
    pub fn new(expr: &Expr, schema: &Schema) -> Result<Formula> {
        Ok(Formula { typed: check(expr, schema)?, arrival: expr.calls(Function::Arrival) })
    }

    fn condition(expr: &Expr, schema: &Schema, place: &str) -> Result<Formula> {
        let formula = Formula::new(expr, schema).map_err(|error| error.within(place))?;
        match formula.typed.data_type() {
            DataType::Boolean | DataType::Null => Ok(formula),
            other => Err(Error::Expression(format!(
                "{place}: {expr} is {}, not a condition\nhint: compare it with something",
                type_word(other)?
            ))),
        }
    }
}

/// The aggregates of a window, typed.
#[derive(Debug)]
pub struct Folding {
    /// The key columns, by place in the input.
    pub by: Vec<usize>,
    /// Their types.
    pub key_types: Vec<DataType>,
    /// Name, arguments, condition and maker of each aggregate.
    pub aggregates: Vec<Fold>,
}

/// One typed aggregate.
#[derive(Debug)]
pub struct Fold {
    /// The column it makes.
    pub name: String,
    /// Its name in the registry.
    pub kind: String,
    /// Its argument, if any.
    pub argument: Option<Formula>,
    /// Only rows for which this is true.
    pub filter: Option<Formula>,
    /// The type of its column.
    pub output: DataType,
}

impl Fold {
    /// A new instance of the aggregate.
    pub fn build(&self) -> Result<Box<dyn Aggregate>> {
        let types: Vec<DataType> =
            self.argument.iter().map(|formula| formula.typed.data_type().clone()).collect();
        aggregate::build(&self.kind, &types)
    }
}

/// What a verb does, typed.
#[derive(Debug)]
pub enum Verb {
    /// Rows of an input.
    Input(usize),
    /// Keeps rows for which the condition is true.
    Filter(Formula),
    /// Makes columns.
    Project(Vec<Formula>),
    /// Per input: for each column of the union, its place there; and the tag of the input.
    Union(Vec<(Vec<Option<usize>>, Option<String>)>),
    /// Tumbling or hopping windows.
    Aligned(plan::Aligned, Folding),
    /// Session windows.
    Session(plan::Session, Folding),
    /// Per-event windows.
    Sliding(plan::Sliding, Folding),
    /// Rows for silent keys.
    Silent(plan::Silent, Folding),
}

/// A verb of the plan whose columns are known.
#[derive(Debug)]
pub struct TypedNode {
    /// The verb and its place, as messages and counters name it.
    pub name: String,
    /// The columns that come out.
    pub schema: SchemaRef,
    /// The zone of the event time, which window bounds are shown in.
    pub zone: Option<Arc<str>>,
    /// Whether the rows are fired windows.
    pub fired: bool,
    /// Whether a row may be fired again.
    pub revisions: bool,
    /// The verbs it reads from.
    pub from: Vec<usize>,
    /// What it does.
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
        other => Err(Error::Schema(format!(
            "{place}: {} is {}, not a timestamp\nhint: cast it, or say mt.epoch(\"ms\", column) for \
             an integer",
            input.time,
            type_word(other)?
        ))),
    }
}

/// The declared columns of an input, if it declares them.
pub fn declared(input: &plan::Input) -> Result<Option<SchemaRef>> {
    let Some(columns) = &input.schema else { return Ok(None) };
    let fields: Result<Vec<Field>> = columns
        .iter()
        .map(|(name, word)| {
            let data_type = crate::schema::normalised(&parse_type(word)?)
                .map_err(|error| error.within(&format!("column \"{name}\"")))?;
            Ok(Field::new(name, data_type, true))
        })
        .collect();
    let schema = Schema::new(fields?);
    unique(&schema)?;
    Ok(Some(Arc::new(schema)))
}

/// Types every verb whose inputs have columns; `None` where an input has not been heard.
pub fn type_plan(plan: &Plan, inputs: &[Option<SchemaRef>]) -> Result<Vec<Option<TypedNode>>> {
    let mut typed: Vec<Option<TypedNode>> = Vec::with_capacity(plan.nodes.len());
    for (i, node) in plan.nodes.iter().enumerate() {
        let known = match node {
            Node::Input { input } => inputs[*input].is_some(),
            other => other.from().iter().all(|&from| typed[from].is_some()),
        };
        let name = format!("{}#{i}", node.verb());
        let done = known.then(|| type_node(plan, node, &name, inputs, &typed)).transpose();
        typed.push(done.map_err(|error| error.within(node.verb()))?);
    }
    Ok(typed)
}

fn type_node(
    plan: &Plan,
    node: &Node,
    name: &str,
    inputs: &[Option<SchemaRef>],
    typed: &[Option<TypedNode>],
) -> Result<TypedNode> {
    let upstream = |from: usize| typed[from].as_ref().expect("typed before");
    let keep = |from: usize, schema: SchemaRef, verb: Verb| {
        let up = upstream(from);
        let (zone, fired, revisions) = (up.zone.clone(), up.fired, up.revisions);
        TypedNode { name: name.into(), schema, zone, fired, revisions, from: vec![from], verb }
    };
    let made = match node {
        Node::Input { input } => {
            let schema = inputs[*input].clone().expect("heard");
            let (_, zone) = time_of(&plan.inputs[*input], &schema)?;
            let verb = Verb::Input(*input);
            let name = name.into();
            TypedNode { name, schema, zone, fired: false, revisions: false, from: vec![], verb }
        }
        Node::Filter { from, r#where } => {
            let schema = upstream(*from).schema.clone();
            let condition = Formula::condition(r#where, &schema, "where")?;
            keep(*from, schema, Verb::Filter(condition))
        }
        Node::WithColumns { from, columns } => {
            let old = &upstream(*from).schema;
            let all = with_columns(old, columns);
            let (schema, formulas) = project(old, &all)?;
            keep(*from, schema, Verb::Project(formulas))
        }
        Node::Select { from, columns } => {
            let (schema, formulas) = project(&upstream(*from).schema, columns)?;
            keep(*from, schema, Verb::Project(formulas))
        }
        Node::Union { from, tag, names } => {
            let sides: Vec<&TypedNode> = from.iter().map(|&from| upstream(from)).collect();
            union(name, from, &sides, tag.as_deref(), names)?
        }
        Node::Tumbling(w) | Node::Hopping(w) => {
            check_aligned(w)?;
            let folding = fold(stateful(upstream(w.from))?, &w.by, &w.aggregates)?;
            let revisions =
                w.emit == plan::Emit::Each || (w.allowed_lateness > 0 && w.revisions);
            let verb = Verb::Aligned(w.clone(), folding);
            windowed(name, w.from, upstream(w.from), verb, revisions)?
        }
        Node::Session(w) => {
            positive("gap", w.gap)?;
            let folding = fold(stateful(upstream(w.from))?, &w.by, &w.aggregates)?;
            windowed(name, w.from, upstream(w.from), Verb::Session(w.clone(), folding), false)?
        }
        Node::Silent(w) => {
            positive("after", w.after)?;
            let folding = fold(stateful(upstream(w.from))?, &w.by, &[])?;
            windowed(name, w.from, upstream(w.from), Verb::Silent(w.clone(), folding), false)?
        }
        Node::Sliding(w) => sliding(name, w, upstream(w.from))?,
    };
    unique(&made.schema)?;
    Ok(made)
}

fn with_columns(old: &Schema, columns: &[(String, Expr)]) -> Vec<(String, Expr)> {
    let mut all: Vec<(String, Expr)> =
        old.fields().iter().map(|f| (f.name().clone(), Expr::Column(f.name().clone()))).collect();
    for (name, expr) in columns {
        match all.iter_mut().find(|(known, _)| known == name) {
            Some(place) => place.1 = expr.clone(),
            None => all.push((name.clone(), expr.clone())),
        }
    }
    all
}

fn project(old: &Schema, columns: &[(String, Expr)]) -> Result<(SchemaRef, Vec<Formula>)> {
    let mut fields = Vec::with_capacity(columns.len());
    let mut formulas = Vec::with_capacity(columns.len());
    for (name, expr) in columns {
        let formula = Formula::new(expr, old)
            .map_err(|error| error.within(&format!("column \"{name}\"")))?;
        fields.push(Field::new(name, formula.typed.data_type().clone(), true));
        formulas.push(formula);
    }
    Ok((Arc::new(Schema::new(fields)), formulas))
}

fn union(
    name: &str,
    from: &[usize],
    sides: &[&TypedNode],
    tag: Option<&str>,
    names: &[String],
) -> Result<TypedNode> {
    let mut fields: Vec<(String, DataType)> = Vec::new();
    for field in sides.iter().flat_map(|side| side.schema.fields()) {
        match fields.iter_mut().find(|(known, _)| known == field.name()) {
            None => fields.push((field.name().clone(), field.data_type().clone())),
            Some((_, known)) => {
                *known = widen(known, field.data_type()).ok_or_else(|| {
                    Error::Schema(format!(
                        "column \"{}\" is {known} in one stream and {} in another\nhint: cast one \
                         of them with with_columns",
                        field.name(),
                        field.data_type()
                    ))
                })?;
            }
        }
    }
    let places = |side: &TypedNode| -> Vec<Option<usize>> {
        fields.iter().map(|(name, _)| side.schema.index_of(name).ok()).collect()
    };
    let verb = Verb::Union(
        sides
            .iter()
            .enumerate()
            .map(|(i, side)| (places(side), tag.map(|_| names[i].clone())))
            .collect(),
    );
    if let Some(tag) = tag {
        fields.push((tag.to_string(), DataType::Utf8));
    }
    let zone = sides[0].zone.clone();
    let alike = sides.iter().all(|side| side.zone == zone);
    let schema: Vec<Field> =
        fields.iter().map(|(name, data_type)| Field::new(name, data_type.clone(), true)).collect();
    Ok(TypedNode {
        name: name.into(),
        schema: Arc::new(Schema::new(schema)),
        zone: if alike { zone } else { Some("UTC".into()) },
        fired: sides.iter().any(|side| side.fired),
        revisions: sides.iter().any(|side| side.revisions),
        from: from.to_vec(),
        verb,
    })
}

/// A window takes rows once only, so none stands behind a stream with revisions.
fn stateful(upstream: &TypedNode) -> Result<&TypedNode> {
    if upstream.revisions {
        return Err(Error::Plan(format!(
            "no window may stand behind {}, whose rows may be fired again\nhint: ask there for \
             allowed_lateness with revisions=False, then each window fires once",
            upstream.name
        )));
    }
    Ok(upstream)
}

fn positive(what: &str, size: i64) -> Result<()> {
    if size > 0 {
        return Ok(());
    }
    Err(Error::Plan(format!("{what} must be longer than nothing, not {size} microseconds")))
}

fn check_aligned(w: &plan::Aligned) -> Result<()> {
    positive("size", w.size)?;
    let every = w.every.unwrap_or(w.size);
    positive("every", every)?;
    if every > w.size && !w.allow_gaps {
        return Err(Error::Plan(format!(
            "every={every} is larger than size={} (microseconds), so rows would fall between \
             windows\nhint: say allow_gaps=True if that is meant",
            w.size
        )));
    }
    if w.size / every > 10_000 {
        return Err(Error::Plan(format!(
            "a row would be in {} windows, more than 10000\nhint: a larger every=, or sliding()",
            w.size / every
        )));
    }
    if w.allowed_lateness < 0 {
        return Err(Error::Plan("allowed_lateness must not be negative".into()));
    }
    if w.emit_every.is_some() {
        return Err(Error::Plan("emit_every= is not there yet\nhint: emit=\"each\"".into()));
    }
    Ok(())
}

fn fold(upstream: &TypedNode, by: &[String], aggregates: &[Aggregation]) -> Result<Folding> {
    let schema = &upstream.schema;
    let known: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    let mut places = Vec::with_capacity(by.len());
    let mut key_types = Vec::with_capacity(by.len());
    for name in by {
        let at = schema.index_of(name).map_err(|_| unknown_column(name, &known).within("by"))?;
        let data_type = schema.field(at).data_type();
        check_key(name, data_type)?;
        places.push(at);
        key_types.push(data_type.clone());
    }
    let aggregates = aggregates.iter().map(|each| fold_one(each, schema)).collect::<Result<_>>()?;
    Ok(Folding { by: places, key_types, aggregates })
}

fn fold_one(each: &Aggregation, schema: &Schema) -> Result<Fold> {
    let place = format!("aggregate \"{}\"", each.name);
    let argument = match each.args.as_slice() {
        [] => None,
        [one] => Some(Formula::new(one, schema).map_err(|error| error.within(&place))?),
        more => {
            return Err(Error::Plan(format!("{place}: {} arguments, not one", more.len())));
        }
    };
    let filter = each
        .filter
        .as_ref()
        .map(|filter| Formula::condition(filter, schema, &format!("{place}, where")))
        .transpose()?;
    let mut fold = Fold {
        name: each.name.clone(),
        kind: each.kind.clone(),
        argument,
        filter,
        output: DataType::Null,
    };
    fold.output = fold.build().map_err(|error| error.within(&place))?.output_type().clone();
    Ok(fold)
}

/// The columns of fired rows: keys, bounds, aggregates.
fn windowed(
    name: &str,
    from: usize,
    upstream: &TypedNode,
    verb: Verb,
    revisions: bool,
) -> Result<TypedNode> {
    let (folding, last) = match &verb {
        Verb::Aligned(_, folding) => (folding, false),
        Verb::Session(_, folding) | Verb::Silent(_, folding) => (folding, true),
        Verb::Input(_) | Verb::Filter(_) | Verb::Project(_) | Verb::Union(_) | Verb::Sliding(..) => {
            return Err(Error::Plan(format!("{name} fires no windows")));
        }
    };
    let time = DataType::Timestamp(TimeUnit::Microsecond, upstream.zone.clone());
    let mut fields: Vec<Field> =
        folding.by.iter().map(|&at| upstream.schema.field(at).clone()).collect();
    fields.push(Field::new("window_start", time.clone(), true));
    fields.push(Field::new("window_end", time.clone(), true));
    if last {
        fields.push(Field::new("last_event_time", time, true));
    }
    for each in &folding.aggregates {
        fields.push(Field::new(&each.name, each.output.clone(), true));
    }
    if revisions {
        fields.push(Field::new("revision", DataType::Int64, true));
    }
    Ok(TypedNode {
        name: name.into(),
        schema: Arc::new(Schema::new(fields)),
        zone: upstream.zone.clone(),
        fired: true,
        revisions,
        from: vec![from],
        verb,
    })
}

fn sliding(name: &str, w: &plan::Sliding, upstream: &TypedNode) -> Result<TypedNode> {
    w.sizes.iter().try_for_each(|&size| positive("size", size))?;
    if w.emit == plan::Answering::Watermark && w.allowed_lateness != 0 {
        return Err(Error::Plan(
            "emit=\"watermark\" has no place for late rows\nhint: a larger out_of_order on the \
             stream, or emit=\"arrival\""
                .into(),
        ));
    }
    let folding = fold(stateful(upstream)?, &w.by, &w.aggregates)?;
    let mut fields: Vec<Field> =
        upstream.schema.fields().iter().map(|f| f.as_ref().clone()).collect();
    for feature in &w.columns {
        let output = folding.aggregates[feature.aggregate].output.clone();
        fields.push(Field::new(&feature.name, output, true));
    }
    Ok(TypedNode {
        name: name.into(),
        schema: Arc::new(Schema::new(fields)),
        zone: upstream.zone.clone(),
        fired: false,
        revisions: false,
        from: vec![w.from],
        verb: Verb::Sliding(w.clone(), folding),
    })
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

/// A print of each verb and of all upstream of it: what a slot of a snapshot belongs to.
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

/// Whether a replay gives the same rows in the same order whatever the interleaving of partitions.
fn replay_stable(plan: &Plan, node: usize) -> bool {
    let stable_from = || plan.nodes[node].from().iter().all(|&from| replay_stable(plan, from));
    match &plan.nodes[node] {
        Node::Input { .. } => true,
        Node::Sliding(w) => w.emit == plan::Answering::Watermark && stable_from(),
        Node::Tumbling(w) | Node::Hopping(w) => w.emit != plan::Emit::Each && stable_from(),
        Node::Filter { .. }
        | Node::WithColumns { .. }
        | Node::Select { .. }
        | Node::Union { .. }
        | Node::Session(_)
        | Node::Silent(_) => stable_from(),
    }
}

/// Checks a plan as far as its inputs declare columns; gives the typed verbs as JSON.
pub fn describe(plan_json: &str) -> Result<String> {
    let plan = Plan::parse(plan_json)?;
    let inputs: Vec<Option<SchemaRef>> = plan.inputs.iter().map(declared).collect::<Result<_>>()?;
    let typed = type_plan(&plan, &inputs)?;
    let prints = fingerprints(&plan);
    let nodes: Result<Vec<serde_json::Value>> = typed
        .iter()
        .enumerate()
        .map(|(i, node)| {
            let schema = node.as_ref().map(|node| words(&node.schema)).transpose()?;
            Ok(json!({
                "schema": schema,
                "time_zone": node.as_ref().and_then(|node| node.zone.as_deref()),
                "fingerprint": prints[i],
                "revisions": node.as_ref().is_some_and(|node| node.revisions),
                "replay_stable": replay_stable(&plan, i),
            }))
        })
        .collect();
    for output in &plan.outputs {
        if let Some(node) = &typed[output.node] {
            check_rules(output, node)?;
        }
    }
    Ok(json!({ "nodes": nodes? }).to_string())
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

/// The columns that a message names: `{card}`, `{spent:.2f}`; `{{` is a brace.
pub fn placeholders(message: &str) -> impl Iterator<Item = &str> {
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

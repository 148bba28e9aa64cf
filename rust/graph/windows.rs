//! Windows: their checks, and the columns of their rows.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, TimeUnit};

use super::{Formula, TypedAggregate, TypedAggregates, TypedNode, Verb};
use crate::aggregate::{ARGUMENTS_MAX, Registry};
use crate::error::{Error, Result, unknown_column};
use crate::expr::{Expr, Literal};
use crate::plan::{self, Aggregation};
use crate::schema::type_word;
use crate::state::check_key;

/// Refuses a window after a stream with revisions, which would count the same row twice.
pub fn stateful(upstream: &TypedNode) -> Result<&TypedNode> {
    if upstream.revisions {
        return Err(Error::Plan(format!(
            "a window cannot follow {}, which may emit a row again\nhint: set revisions=False \
             there, then each window fires once",
            upstream.name
        )));
    }
    Ok(upstream)
}

/// Refuses a duration that is not positive.
pub fn positive(what: &str, size: i64) -> Result<()> {
    if size > 0 {
        return Ok(());
    }
    Err(Error::Plan(format!("{what} must be positive, not {size} microseconds")))
}

/// The indices and types of key columns.
pub fn keys(schema: &Schema, by: &[String]) -> Result<(Vec<usize>, Vec<DataType>)> {
    let one = |name: &String| {
        let at = place(schema, name).map_err(|error| error.within("by"))?;
        let data_type = schema.field(at).data_type();
        check_key(name, data_type)?;
        Ok((at, data_type.clone()))
    };
    by.iter().map(one).collect()
}

/// The index of a column.
pub fn place(schema: &Schema, name: &str) -> Result<usize> {
    let known: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    schema.index_of(name).map_err(|_| unknown_column(name, &known))
}

/// Types keys and aggregates.
pub fn fold(
    registry: &Registry,
    upstream: &TypedNode,
    by: &[String],
    aggregates: &[Aggregation],
) -> Result<TypedAggregates> {
    let schema = &upstream.schema;
    let (places, key_types) = keys(schema, by)?;
    let aggregates: Result<_> =
        aggregates.iter().map(|each| fold_one(registry, each, schema)).collect();
    Ok(TypedAggregates { by: places, key_types, aggregates: aggregates? })
}

fn fold_one(registry: &Registry, each: &Aggregation, schema: &Schema) -> Result<TypedAggregate> {
    let place = format!("aggregate \"{}\"", each.name);
    if each.args.len() > ARGUMENTS_MAX {
        let found = each.args.len();
        return Err(Error::Plan(format!("{place} has {found} arguments, not {ARGUMENTS_MAX}")));
    }
    let argument = |expr| Formula::new(expr, schema).map_err(|error| error.within(&place));
    let arguments: Result<Vec<Formula>> = each.args.iter().map(argument).collect();
    let parameter = |expr: &Expr| match expr {
        Expr::Literal(literal) => Ok(literal.clone()),
        other => Err(Error::Plan(format!("{place}: the parameter {other} is not a literal"))),
    };
    let parameters: Result<Vec<Literal>> = each.parameters.iter().map(parameter).collect();
    let filter = each
        .filter
        .as_ref()
        .map(|filter| Formula::condition(filter, schema, &format!("{place}, where")))
        .transpose()?;
    let mut fold = TypedAggregate {
        name: each.name.clone(),
        kind: each.kind.clone(),
        arguments: arguments?,
        parameters: parameters?,
        filter,
        output: DataType::Null,
        builder: registry.builder(&each.kind).map_err(|error| error.within(&place))?.clone(),
    };
    fold.output = fold.build().map_err(|error| error.within(&place))?.output_type().clone();
    Ok(fold)
}

/// The columns of fired rows: keys, bounds, aggregates.
pub fn windowed(
    name: &str,
    from: usize,
    upstream: &TypedNode,
    verb: Verb,
    revisions: bool,
) -> Result<TypedNode> {
    let (folding, last) = match &verb {
        Verb::Aligned(_, _, folding) => (folding, false),
        Verb::Session(_, folding) | Verb::Silent(_, folding) => (folding, true),
        Verb::Input(_)
        | Verb::Filter(_)
        | Verb::Project(_)
        | Verb::Union(_)
        | Verb::Sliding(..)
        | Verb::History(..)
        | Verb::Previous(..)
        | Verb::Top(..)
        | Verb::Deduplicate(..) => {
            return Err(Error::Plan(format!("{name} fires no windows")));
        }
    };
    let together = matches!(verb, Verb::Aligned(..)) && !revisions;
    let time = DataType::Timestamp(TimeUnit::Microsecond, upstream.zone.clone());
    let mut fields: Vec<Field> =
        folding.by.iter().map(|&at| upstream.schema.field(at).clone()).collect();
    let keys = fields.iter().map(|field| field.name().clone()).collect();
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
        together,
        revisions,
        keys: Some(keys),
        from: vec![from],
        verb,
    })
}

/// The rows of `top`: those that come in, some of them.
pub fn top(name: &str, w: &plan::Top, upstream: &TypedNode) -> Result<TypedNode> {
    if !upstream.together {
        return Err(Error::Plan(format!(
            "the rows of a window must come out together, and those of {} do not\nhint: write it \
             behind tumbling, hopping or cumulative windows that fire once",
            upstream.name
        )));
    }
    if w.n == 0 {
        return Err(Error::Plan("n must be at least 1, not 0".into()));
    }
    let (by, _) = keys(&upstream.schema, &w.by)?;
    let order = Formula::new(&w.order, &upstream.schema).map_err(|error| error.within("order"))?;
    let data_type = order.typed.data_type();
    if data_type.is_nested() {
        let word = type_word(data_type)?;
        return Err(Error::Plan(format!("order: {} is {word}, which has no order", w.order)));
    }
    Ok(TypedNode {
        name: name.into(),
        schema: upstream.schema.clone(),
        zone: upstream.zone.clone(),
        fired: upstream.fired,
        together: true,
        revisions: false,
        keys: upstream.keys.clone(),
        from: vec![w.from],
        verb: Verb::Top(w.clone(), by, order),
    })
}

/// The columns of per-event windows: those of the row, then the features.
pub fn sliding(
    registry: &Registry,
    name: &str,
    w: &plan::Sliding,
    upstream: &TypedNode,
) -> Result<TypedNode> {
    w.sizes.iter().try_for_each(|&size| positive("size", size))?;
    if w.ago < 0 {
        return Err(Error::Plan(format!("ago must not be negative, not {} microseconds", w.ago)));
    }
    if w.emit == plan::Answering::Watermark && w.allowed_lateness != 0 {
        return Err(Error::Plan(
            "emit=\"watermark\" has no place for late rows\nhint: a larger out_of_order on the \
             stream, or emit=\"arrival\""
                .into(),
        ));
    }
    let folding = fold(registry, stateful(upstream)?, &w.by, &w.aggregates)?;
    let schema = with_features(upstream, &folding, &w.columns, w.sizes.len())?;
    Ok(per_event(name, (w.from, upstream), schema, Verb::Sliding(w.clone(), folding)))
}

/// The columns of per-event windows without a length.
pub fn history(
    registry: &Registry,
    name: &str,
    w: &plan::History,
    upstream: &TypedNode,
) -> Result<TypedNode> {
    w.expire_after.map_or(Ok(()), |after| positive("expire_after", after))?;
    if w.rows == Some(0) || w.ago < 0 {
        return Err(Error::Plan("rows and ago must not be below 1 and 0".into()));
    }
    let folding = fold(registry, stateful(upstream)?, &w.by, &w.aggregates)?;
    let schema = with_features(upstream, &folding, &w.columns, 1)?;
    Ok(per_event(name, (w.from, upstream), schema, Verb::History(w.clone(), folding)))
}

fn per_event(
    name: &str,
    (from, upstream): (usize, &TypedNode),
    schema: Schema,
    verb: Verb,
) -> TypedNode {
    TypedNode {
        name: name.into(),
        schema: Arc::new(schema),
        zone: upstream.zone.clone(),
        fired: false,
        together: false,
        revisions: false,
        keys: upstream.keys.clone(),
        from: vec![from],
        verb,
    }
}

/// The columns that come in, then those of the features.
fn with_features(
    upstream: &TypedNode,
    folding: &TypedAggregates,
    features: &[plan::Feature],
    sizes: usize,
) -> Result<Schema> {
    let mut fields: Vec<Field> =
        upstream.schema.fields().iter().map(|f| f.as_ref().clone()).collect();
    for feature in features {
        let fold = folding.aggregates.get(feature.aggregate).filter(|_| feature.size < sizes);
        let fold = fold.ok_or_else(|| {
            let (name, a, s) = (&feature.name, feature.aggregate, feature.size);
            let aggregates = folding.aggregates.len();
            Error::Plan(format!(
                "column \"{name}\" is of aggregate {a} of {aggregates} over size {s} of {sizes}"
            ))
        })?;
        fields.push(Field::new(&feature.name, fold.output.clone(), true));
    }
    Ok(Schema::new(fields))
}

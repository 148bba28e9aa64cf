//! Verbs that decide about a row from other rows of its key: their checks, and their columns.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema};

use super::windows::{keys, place, positive, stateful};
use super::{TypedNode, Verb};
use crate::error::{Error, Result};
use crate::plan;

/// The keys of a verb, and the columns of other rows that it adds.
#[derive(Debug)]
pub struct TypedKeyed {
    /// Indices of the key columns in the input.
    pub by: Vec<usize>,
    /// Their types.
    pub key_types: Vec<DataType>,
    /// The indices of the columns whose values in another row are added, in order.
    pub shown: Vec<usize>,
}

/// The rows that come in, with columns of the row before.
pub fn previous(name: &str, w: &plan::Previous, upstream: &TypedNode) -> Result<TypedNode> {
    w.ago.map_or(Ok(()), |ago| positive("ago", ago))?;
    if w.columns.is_empty() {
        return Err(Error::Plan("no column".into()));
    }
    let schema = &upstream.schema;
    let mut fields: Vec<Field> = schema.fields().iter().map(|f| f.as_ref().clone()).collect();
    let mut shown = vec![];
    for (new, old) in &w.columns {
        let at = place(schema, old)?;
        fields.push(Field::new(new, schema.field(at).data_type().clone(), true));
        shown.push(at);
    }
    let verb = |keyed| Verb::Previous(w.clone(), keyed);
    per_row(name, (w.from, &w.by), upstream, (fields, shown), verb)
}

/// The rows that come in, without duplicates.
pub fn deduplicate(name: &str, w: &plan::Deduplicate, upstream: &TypedNode) -> Result<TypedNode> {
    positive("within", w.within)?;
    let fields = upstream.schema.fields().iter().map(|f| f.as_ref().clone()).collect();
    let verb = |keyed| Verb::Deduplicate(w.clone(), keyed);
    per_row(name, (w.from, &w.by), upstream, (fields, vec![]), verb)
}

fn per_row(
    name: &str,
    (from, by): (usize, &[String]),
    upstream: &TypedNode,
    (fields, shown): (Vec<Field>, Vec<usize>),
    verb: impl FnOnce(TypedKeyed) -> Verb,
) -> Result<TypedNode> {
    let (by, key_types) = keys(&stateful(upstream)?.schema, by)?;
    Ok(TypedNode {
        name: name.into(),
        schema: Arc::new(Schema::new(fields)),
        zone: upstream.zone.clone(),
        fired: upstream.fired,
        together: false,
        revisions: false,
        keys: upstream.keys.clone(),
        from: vec![from],
        verb: verb(TypedKeyed { by, key_types, shown }),
    })
}

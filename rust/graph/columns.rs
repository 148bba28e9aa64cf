//! The output columns of verbs without state.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef};

use super::{Formula, TypedNode, Verb};
use crate::error::{Error, Result};
use crate::expr::Expr;
use crate::schema::{common_type, named};

/// The columns of `with_columns`: the old ones, replaced in place, and the new ones.
pub fn with_columns(old: &Schema, columns: &[(String, Expr)]) -> Vec<(String, Expr)> {
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

/// Types columns.
pub fn project(old: &Schema, columns: &[(String, Expr)]) -> Result<(SchemaRef, Vec<Formula>)> {
    let mut fields = Vec::with_capacity(columns.len());
    let mut formulas = Vec::with_capacity(columns.len());
    for (name, expr) in columns {
        let formula =
            Formula::new(expr, old).map_err(|error| error.within(&format!("column \"{name}\"")))?;
        fields.push(Field::new(name, formula.typed.data_type().clone(), true));
        formulas.push(formula);
    }
    Ok((Arc::new(Schema::new(fields)), formulas))
}

/// The columns of a union, by name in order of first appearance.
pub fn union(
    name: &str,
    from: &[usize],
    sides: &[&TypedNode],
    tag: Option<&str>,
    names: &[String],
) -> Result<TypedNode> {
    let mut found: Vec<(String, Vec<&DataType>)> = Vec::new();
    for field in sides.iter().flat_map(|side| side.schema.fields()) {
        match found.iter_mut().find(|(known, _)| known == field.name()) {
            None => found.push((field.name().clone(), vec![field.data_type()])),
            Some((_, types)) => types.push(field.data_type()),
        }
    }
    let common = |(name, types): (String, Vec<&DataType>)| {
        let common = common_type(&types).map_err(|(a, b)| {
            let (a, b) = (named(a), named(b));
            Error::Schema(format!(
                "column \"{name}\" is {a} in one stream and {b} in another\nhint: cast one of \
                 them with with_columns"
            ))
        })?;
        Ok((name, common))
    };
    let mut fields = found.into_iter().map(common).collect::<Result<Vec<_>>>()?;
    if tag.is_some() && names.len() != sides.len() {
        let (names, sides) = (names.len(), sides.len());
        return Err(Error::Plan(format!(
            "a union of {sides} streams has {names} names for its tag"
        )));
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
    let mut keys: Option<Vec<String>> = sides
        .iter()
        .map(|side| side.keys.clone())
        .try_fold(tag.map(String::from).into_iter().collect(), |all: Vec<String>, more| {
            Some([all, more?].concat())
        });
    keys.iter_mut().for_each(|keys| {
        keys.sort();
        keys.dedup();
    });
    let zone = sides[0].zone.clone();
    let alike = sides.iter().all(|side| side.zone == zone);
    let schema: Vec<Field> =
        fields.iter().map(|(name, data_type)| Field::new(name, data_type.clone(), true)).collect();
    Ok(TypedNode {
        name: name.into(),
        schema: Arc::new(Schema::new(schema)),
        zone: if alike { zone } else { Some("UTC".into()) },
        fired: sides.iter().any(|side| side.fired),
        together: false,
        revisions: sides.iter().any(|side| side.revisions),
        keys,
        from: from.to_vec(),
        verb,
    })
}

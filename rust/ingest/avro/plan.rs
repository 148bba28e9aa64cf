//! How values of a writer's schema are read into columns: decided once for each schema.

use std::sync::Arc;

use arrow_schema::{DataType, Fields};

use super::super::fault::{Fault, Parse, Wrong};
use super::columns::AvroColumn;
use super::cursor::AvroCursor;
use super::value::read_single;
use crate::avro::{AvroField, AvroKind, AvroSchema};
use crate::error::{Error, Result};
use crate::schema::texts::Misfit;

/// How a value is read.
enum AvroPlan {
    /// It goes nowhere.
    Skip(AvroKind, Arc<AvroSchema>),
    /// It is null.
    Null,
    /// It is a single value for a column of single values.
    Single(AvroKind),
    /// It is a list for a column of lists.
    List(Box<AvroPlan>),
    /// It is a record for a column of structs.
    Struct(RecordPlan),
    /// One of several, whose number comes first.
    Union(Vec<AvroPlan>),
    /// No value of the type fits the column; what to call such a value.
    Never(&'static str),
}

/// How a record is read into columns.
pub struct RecordPlan {
    /// For each field of the writer its column, if it has one, and how it is read.
    fields: Vec<(Option<usize>, AvroPlan)>,
    /// The columns that the writer has no field for, with their defaults.
    absent: Vec<(usize, Option<DefaultPlan>)>,
    /// The names of the columns.
    columns: Fields,
}

/// The bytes of a default, and how they are read.
struct DefaultPlan {
    plan: AvroPlan,
    bytes: Vec<u8>,
}

/// Plans to read records of a writer into columns of these fields. The reader's own schema, if
/// there is one, has aliases and defaults.
pub fn plan(
    writer: &Arc<AvroSchema>,
    reader: Option<&Arc<AvroSchema>>,
    fields: &Fields,
) -> Result<RecordPlan> {
    record(writer, writer.root, reader.map(|reader| (reader, reader.root)), fields)
}

/// A record in its schema.
type Place<'a> = (&'a Arc<AvroSchema>, usize);

fn record(
    writer: &Arc<AvroSchema>,
    place: usize,
    reader: Option<Place<'_>>,
    columns: &Fields,
) -> Result<RecordPlan> {
    let written = &writer.records[place].fields;
    let own = |name: &str| reader.and_then(|(schema, place)| field(schema, place, name));
    let named = |name: &str| written.iter().position(|field| field.name == name);
    // the field of each column, by its name or else by an alias
    let sources: Vec<Option<usize>> = columns
        .iter()
        .map(|column| {
            let aliases = own(column.name()).map_or(&[][..], |field| &field.aliases);
            named(column.name()).or_else(|| aliases.iter().find_map(|alias| named(alias)))
        })
        .collect();
    let step = |(at, field): (usize, &AvroField)| {
        let Some(i) = sources.iter().position(|source| *source == Some(at)) else {
            return Ok((None, AvroPlan::Skip(field.kind.clone(), writer.clone())));
        };
        let column = &columns[i];
        let own = own(column.name()).map(|field| &field.kind);
        let own = own.and_then(|kind| Some((reader?.0, record_of(kind)?)));
        Ok((Some(i), value(writer, &field.kind, own, column.data_type())?))
    };
    let fields = written.iter().enumerate().map(step).collect::<Result<_>>()?;
    let mut absent = vec![];
    for (i, column) in columns.iter().enumerate().filter(|(i, _)| sources[*i].is_none()) {
        let default = own(column.name()).and_then(|field| Some((field, field.default.as_ref()?)));
        let read = match (default, reader) {
            (Some((field, default)), Some((schema, _))) => {
                let bytes = schema.encoded(&field.kind, default).ok_or_else(|| {
                    let name = column.name();
                    Error::Schema(format!("the default of \"{name}\" in the Avro schema of the reader is {default}, which is not of its type"))
                })?;
                let plan = value(schema, &field.kind, None, column.data_type())?;
                Some(DefaultPlan { plan, bytes })
            }
            _ => None,
        };
        absent.push((i, read));
    }
    Ok(RecordPlan { fields, absent, columns: columns.clone() })
}

fn field<'a>(schema: &'a AvroSchema, place: usize, name: &str) -> Option<&'a AvroField> {
    schema.records[place].fields.iter().find(|field| field.name == name)
}

/// The record that a value is, or is if it is not null.
fn record_of(kind: &AvroKind) -> Option<usize> {
    match kind {
        AvroKind::Record(place) => Some(*place),
        AvroKind::Array(item) => record_of(item),
        AvroKind::Union(kinds) => kinds.iter().find_map(record_of),
        _ => None,
    }
}

fn value(
    schema: &Arc<AvroSchema>,
    kind: &AvroKind,
    reader: Option<Place<'_>>,
    column: &DataType,
) -> Result<AvroPlan> {
    Ok(match (kind, column) {
        (AvroKind::Null, _) => AvroPlan::Null,
        (AvroKind::Union(kinds), _) => {
            let plans = kinds.iter().map(|kind| value(schema, kind, reader, column));
            AvroPlan::Union(plans.collect::<Result<_>>()?)
        }
        (AvroKind::Array(kind), DataType::List(item)) => {
            AvroPlan::List(Box::new(value(schema, kind, reader, item.data_type())?))
        }
        (AvroKind::Record(place), DataType::Struct(fields)) => {
            AvroPlan::Struct(record(schema, *place, reader, fields)?)
        }
        (AvroKind::Array(_), _) => AvroPlan::Never("a list"),
        (AvroKind::Record(_), _) => AvroPlan::Never("a record"),
        (AvroKind::Map(_), _) => AvroPlan::Never("a map"),
        (_, DataType::List(_) | DataType::Struct(_)) => AvroPlan::Never("a single value"),
        (kind, _) => AvroPlan::Single(kind.clone()),
    })
}

impl RecordPlan {
    /// Reads a record as one row. After an error the columns need a truncate.
    pub fn read(&self, cursor: &mut AvroCursor<'_>, columns: &mut [AvroColumn]) -> Parse<()> {
        for (column, plan) in &self.fields {
            match *column {
                None => plan.skip(cursor)?,
                Some(i) => plan
                    .read(cursor, &mut columns[i])
                    .map_err(|wrong| wrong.within(self.columns[i].name()))?,
            }
        }
        for (i, default) in &self.absent {
            match default {
                None => columns[*i].push_null(),
                Some(DefaultPlan { plan, bytes }) => {
                    cursor.grow(bytes.len())?;
                    plan.read(&mut AvroCursor::new(bytes, 0), &mut columns[*i])
                        .map_err(|wrong| wrong.within(self.columns[*i].name()))?;
                }
            }
        }
        Ok(())
    }
}

impl AvroPlan {
    fn skip(&self, cursor: &mut AvroCursor<'_>) -> Parse<()> {
        match self {
            AvroPlan::Skip(kind, schema) => cursor.skip(kind, schema, 0),
            _ => Ok(()),
        }
    }

    fn read(&self, cursor: &mut AvroCursor<'_>, column: &mut AvroColumn) -> Parse<()> {
        match (self, column) {
            (AvroPlan::Single(kind), AvroColumn::Single(column)) => {
                read_single(cursor, kind, column.as_mut())
            }
            (AvroPlan::Null, column) => {
                column.push_null();
                Ok(())
            }
            (AvroPlan::Union(plans), column) => {
                let branch = cursor.choice(plans.len(), "there is no type")?;
                plans[branch].read(cursor, column)
            }
            (AvroPlan::List(plan), AvroColumn::List(_, items, ends, count)) => {
                let first = *count;
                cursor.blocks(|cursor| {
                    plan.read(cursor, items)
                        .map_err(|wrong| wrong.within(&format!("[{}]", *count - first)))?;
                    *count += 1;
                    Ok(())
                })?;
                ends.push(*count);
                Ok(())
            }
            (AvroPlan::Struct(plan), AvroColumn::Struct(_, columns, nulls)) => {
                plan.read(cursor, columns)?;
                nulls.append_non_null();
                Ok(())
            }
            (AvroPlan::Never(what), column) => never(cursor, what, column),
            (_, column) => never(cursor, "a value", column),
        }
    }
}

#[cold]
fn never(cursor: &AvroCursor<'_>, what: &str, column: &AvroColumn) -> Parse<()> {
    let fault = Fault::Misfit(Misfit::Kind, column.data_type(), what.to_owned());
    Err(Wrong::new(cursor.at(), fault))
}

//! Avro schemas, which reading and writing share.

mod defaults;
mod generate;
mod parse;

use std::sync::Arc;

use arrow_schema::TimeUnit;
use serde_json::Value;

pub use defaults::{long, text};
pub use generate::schema_of;
pub use parse::parse;

/// A schema whose values are records.
#[derive(Debug, Clone, PartialEq)]
pub struct AvroSchema {
    /// All records of it. A record may hold itself, so a record is named by its place here.
    pub records: Vec<AvroRecord>,
    /// The record that a whole value is.
    pub root: usize,
}

/// A record.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AvroRecord {
    /// Its full name.
    pub name: String,
    /// Its fields in the order of their bytes.
    pub fields: Vec<AvroField>,
}

/// A field of a record.
#[derive(Debug, Clone, PartialEq)]
pub struct AvroField {
    /// Its name.
    pub name: String,
    /// Names that a writer may have for it.
    pub aliases: Vec<String>,
    /// The type of its values.
    pub kind: AvroKind,
    /// Its value, as JSON, where the writer has none.
    pub default: Option<Value>,
}

/// A type, with what its logical type makes of it.
#[derive(Debug, Clone, PartialEq)]
pub enum AvroKind {
    /// No value.
    Null,
    /// A truth value.
    Boolean,
    /// 32 bits.
    Int,
    /// 64 bits.
    Long,
    /// A float of 32 bits.
    Float,
    /// A float of 64 bits.
    Double,
    /// Bytes.
    Bytes,
    /// Text.
    Text,
    /// So many bytes.
    Fixed(usize),
    /// One of these words.
    Enum(Arc<[String]>),
    /// Days since 1970.
    Date,
    /// Milliseconds since midnight.
    TimeMillis,
    /// Microseconds since midnight.
    TimeMicros,
    /// Units since 1970; in UTC, or in no zone.
    Moment(TimeUnit, bool),
    /// A number in so many bytes, or in as many as it needs, with so many decimals.
    Decimal(Option<usize>, i8),
    /// 16 bytes.
    Uuid,
    /// Months, days and milliseconds in 12 bytes.
    Duration,
    /// Values of one type.
    Array(Box<AvroKind>),
    /// Texts, each with a value of one type.
    Map(Box<AvroKind>),
    /// A value of one of these types.
    Union(Arc<[AvroKind]>),
    /// The record at this place.
    Record(usize),
}

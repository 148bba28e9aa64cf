//! JSON lines, read straight into columns of known types.
//!
//! A line is read here if it is an object as the JSON standard has it, with each key once, and every
//! value fits its column. Any other line is left to a reader that takes its time: it may still be a
//! row (`NaN`, say), or it says what is wrong. So this reader only ever has to be sure.

use std::borrow::Cow;
use std::fmt;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{Fields as ArrowFields, SchemaRef};
use hashbrown::HashMap;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::columns::{Column, column};
use crate::error::Result;

/// Deeper nesting is left to the other reader, which has a limit of its own.
const DEPTH_MAX: usize = 32;

/// That a value does not fit its column, or that this reader cannot tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unfit;

/// One JSON value.
#[derive(Debug)]
pub enum Json<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number of 64 bits without point or exponent.
    Whole(i64),
    /// Another number, as written.
    Number(&'a str),
    /// A text.
    Text(Cow<'a, str>),
    /// An array, as written.
    Array(&'a str),
    /// An object, as written.
    Object(&'a str),
}

impl<'a> Json<'a> {
    /// What a value is; `raw` is the whole value and valid JSON.
    fn read(raw: &'a str) -> Result<Json<'a>, Unfit> {
        Ok(match raw.as_bytes()[0] {
            b'"' => Json::Text(text(raw)?),
            b't' => Json::Bool(true),
            b'f' => Json::Bool(false),
            b'n' => Json::Null,
            b'[' => Json::Array(raw),
            b'{' => Json::Object(raw),
            _ => raw.parse().map_or(Json::Number(raw), Json::Whole),
        })
    }
}

/// A JSON string without its quotes and escapes.
fn text(raw: &str) -> Result<Cow<'_, str>, Unfit> {
    let inner = &raw[1..raw.len() - 1];
    if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
        return Ok(Cow::Borrowed(inner));
    }
    serde_json::from_str(raw).map(Cow::Owned).map_err(|_| Unfit)
}

/// Lines that were read, and those that were not.
#[derive(Debug)]
pub struct JsonLines {
    /// The rows.
    pub rows: RecordBatch,
    /// For each row, the number of its line, from 0; none if each line is a row.
    pub numbers: Option<Vec<i64>>,
    /// The other lines that are not blank.
    pub left: Vec<LineLeft>,
    /// How many lines there are.
    pub count: usize,
}

/// A line that was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineLeft {
    /// Its number, from 0.
    pub number: usize,
    /// Where it begins in the text.
    pub start: usize,
    /// Where it ends, without its line end.
    pub end: usize,
}

/// Reads lines into columns of `schema`; none if it has a type that is not read here.
///
/// A null in one of the `required` columns leaves the line to the other reader.
pub fn json_lines(
    text: &[u8],
    schema: &SchemaRef,
    required: &[usize],
) -> Result<Option<JsonLines>> {
    let Some(mut fields) = ObjectFields::new(schema.fields()) else { return Ok(None) };
    fields.require(required);
    let (mut numbers, mut left, mut start) = (vec![], vec![], 0);
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let ends = memchr::memchr_iter(b'\n', text).chain([text.len()]);
    let mut count = 0;
    for (number, end) in ends.enumerate() {
        let line = &text[start..end];
        if !line.trim_ascii().is_empty() {
            let read = std::str::from_utf8(line).map_err(|_| Unfit);
            match read.and_then(|line| fields.read(line)) {
                Ok(()) => numbers.push(number as i64),
                Err(Unfit) => {
                    fields.truncate(numbers.len());
                    left.push(LineLeft { number, start, end });
                }
            }
        }
        (start, count) = (end + 1, number + 1);
    }
    let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(numbers.len()));
    let rows = RecordBatch::try_new_with_options(schema.clone(), fields.finish().1, &options)?;
    let numbers = (numbers.len() < count).then_some(numbers);
    Ok(Some(JsonLines { rows, numbers, left, count }))
}

/// The columns of an object's fields.
pub struct ObjectFields {
    fields: ArrowFields,
    columns: Vec<Box<dyn Column>>,
    required: Vec<bool>,
    index: HashMap<String, usize, foldhash::fast::RandomState>,
    /// The column after each column in the row before, the first one last: most rows have the
    /// same order.
    next: Vec<usize>,
    /// For each column, the last row in which it had a field.
    filled: Vec<usize>,
    row: usize,
}

impl fmt::Debug for ObjectFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectFields").field("fields", &self.fields).finish_non_exhaustive()
    }
}

impl ObjectFields {
    /// Empty columns; none if one has a type that is not read here.
    pub fn new(fields: &ArrowFields) -> Option<ObjectFields> {
        let columns = fields.iter().map(|field| column(field.data_type()));
        let columns = columns.collect::<Option<Vec<_>>>()?;
        let index: HashMap<_, _, _> =
            fields.iter().enumerate().map(|(i, field)| (field.name().clone(), i)).collect();
        let count = columns.len();
        (index.len() == count).then(|| ObjectFields {
            fields: fields.clone(),
            columns,
            required: vec![false; count],
            index,
            next: (1..=count).chain([0]).collect(),
            filled: vec![0; count],
            row: 0,
        })
    }

    fn require(&mut self, columns: &[usize]) {
        columns.iter().for_each(|&i| self.required[i] = true);
    }

    /// Reads an object as one row.
    pub fn read(&mut self, object: &str) -> Result<(), Unfit> {
        self.row += 1;
        let mut source = serde_json::Deserializer::from_str(object);
        source.deserialize_map(ObjectRow(self)).and_then(|()| source.end()).map_err(|_| Unfit)?;
        for i in 0..self.columns.len() {
            if self.filled[i] != self.row {
                self.null(i)?;
            }
        }
        Ok(())
    }

    /// Appends a row of nulls.
    pub fn push_null(&mut self) {
        self.row += 1;
        self.columns.iter_mut().for_each(|column| column.push_null());
    }

    /// Removes all rows from the `len`-th on.
    pub fn truncate(&mut self, len: usize) {
        self.columns.iter_mut().for_each(|column| column.truncate(len));
    }

    /// The fields and their values.
    pub fn finish(&mut self) -> (ArrowFields, Vec<ArrayRef>) {
        (self.fields.clone(), self.columns.iter_mut().map(|column| column.finish()).collect())
    }

    fn null(&mut self, i: usize) -> Result<(), Unfit> {
        self.columns[i].push_null();
        if self.required[i] { Err(Unfit) } else { Ok(()) }
    }

    /// The column of a key, where the one before was that of `last`.
    fn find(&mut self, key: &str, last: usize) -> Option<usize> {
        let guess = self.next[last];
        if self.fields.get(guess).is_some_and(|field| field.name() == key) {
            return Some(guess);
        }
        let found = self.index.get(key).copied()?;
        self.next[last] = found;
        Some(found)
    }

    fn take(&mut self, i: usize, raw: &str) -> Result<(), Unfit> {
        if std::mem::replace(&mut self.filled[i], self.row) == self.row {
            return Err(Unfit);
        }
        match Json::read(raw)? {
            Json::Null => self.null(i),
            value => self.columns[i].push(value),
        }
    }
}

/// Puts the fields of an object into columns.
struct ObjectRow<'f>(&'f mut ObjectFields);

impl<'de> Visitor<'de> for ObjectRow<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let fields = self.0;
        let mut others = FieldNames::default();
        // the place before the first column
        let mut last = fields.columns.len();
        while let Some(FieldName(key)) = map.next_key()? {
            let raw: &RawValue = map.next_value()?;
            let taken = match fields.find(&key, last) {
                Some(i) => {
                    last = i;
                    fields.take(i, raw.get())
                }
                None => others.add(key).and_then(|()| sound(raw.get(), DEPTH_MAX)),
            };
            taken.map_err(|Unfit| A::Error::custom("unfit"))?;
        }
        Ok(())
    }
}

/// Calls `each` with the items of an array.
pub fn items(
    array: &str,
    each: &mut dyn FnMut(Json<'_>) -> Result<(), Unfit>,
) -> Result<(), Unfit> {
    struct ArrayItems<'e>(&'e mut dyn FnMut(Json<'_>) -> Result<(), Unfit>);

    impl<'de> Visitor<'de> for ArrayItems<'_> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
            while let Some(raw) = items.next_element::<&RawValue>()? {
                let item = Json::read(raw.get()).and_then(&mut *self.0);
                item.map_err(|Unfit| A::Error::custom("unfit"))?;
            }
            Ok(())
        }
    }

    let mut source = serde_json::Deserializer::from_str(array);
    source.deserialize_seq(ArrayItems(each)).map_err(|_| Unfit)
}

/// Whether a value that no column takes would do: not deep, each key once, no half characters.
fn sound(raw: &str, depth: usize) -> Result<(), Unfit> {
    let bytes = raw.as_bytes();
    match bytes[0] {
        b'[' | b'{' => {
            let mut source = serde_json::Deserializer::from_str(raw);
            Unread(depth).deserialize(&mut source).map_err(|_| Unfit)
        }
        b'"' if memchr::memmem::find(bytes, b"\\u").is_some() => text(raw).map(|_| ()),
        _ => Ok(()),
    }
}

/// An array or an object that no column takes.
struct Unread(usize);

impl<'de> DeserializeSeed<'de> for Unread {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<(), D::Error> {
        source.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unread {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array or an object")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while let Some(raw) = items.next_element::<&RawValue>()? {
            self.inside(raw).map_err(|Unfit| A::Error::custom("unfit"))?;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut keys = FieldNames::default();
        while let Some(FieldName(key)) = map.next_key()? {
            let raw: &RawValue = map.next_value()?;
            let sound = keys.add(key).and_then(|()| self.inside(raw));
            sound.map_err(|Unfit| A::Error::custom("unfit"))?;
        }
        Ok(())
    }
}

impl Unread {
    fn inside(&self, raw: &RawValue) -> Result<(), Unfit> {
        sound(raw.get(), self.0.checked_sub(1).ok_or(Unfit)?)
    }
}

/// A key of an object.
#[derive(Deserialize)]
struct FieldName<'a>(#[serde(borrow)] Cow<'a, str>);

/// The keys of one object that no column has.
#[derive(Default)]
struct FieldNames<'a>(Vec<Cow<'a, str>>);

impl<'a> FieldNames<'a> {
    /// More keys are left to the other reader: looking through them takes quadratic time.
    const MANY: usize = 64;

    fn add(&mut self, key: Cow<'a, str>) -> Result<(), Unfit> {
        if self.0.len() == Self::MANY || self.0.contains(&key) {
            return Err(Unfit);
        }
        self.0.push(key);
        Ok(())
    }
}

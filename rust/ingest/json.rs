//! JSON lines, read straight into columns of known types.
//!
//! A line is read here if it is an object as the JSON standard has it, with each key once, and every
//! value fits its column. Any other line is left to a reader that takes its time: it may still be a
//! row (`NaN`, say), or it says what is wrong. So this reader only ever has to be sure.

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::SchemaRef;

use super::columns::ObjectFields;
use super::value::Unfit;
use crate::error::Result;

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
    let options = RecordBatchOptions::new().with_row_count(Some(numbers.len()));
    let rows = RecordBatch::try_new_with_options(schema.clone(), fields.finish().1, &options)?;
    let numbers = (numbers.len() < count).then_some(numbers);
    Ok(Some(JsonLines { rows, numbers, left, count }))
}

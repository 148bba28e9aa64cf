//! JSON lines: a text of which each line is a row.

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::SchemaRef;

use super::fault::{Fault, Wrong};
use super::json_row::object_row;
use super::objects::ObjectFields;
use crate::error::Result;

/// Lines that are rows, and those that are not.
#[derive(Debug)]
pub struct JsonLines {
    /// The rows.
    pub rows: RecordBatch,
    /// For each row, the number of its line, from 0; none if each line is a row.
    pub numbers: Option<Vec<i64>>,
    /// The other lines that are not blank.
    pub bad: Vec<BadLine>,
    /// How many lines there are.
    pub count: usize,
}

/// A line that is not a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// Its number, from 0.
    pub number: usize,
    /// Where it begins in the text.
    pub start: usize,
    /// Where it ends, without its line end.
    pub end: usize,
    /// What is wrong with it.
    pub detail: String,
}

/// Reads lines into columns of `schema`; none if it has a type that is not read here, or if the
/// text is longer than a column can be.
///
/// Each of the `needed` columns must have a value in each row; the text says what the value is.
pub fn json_lines(
    text: &[u8],
    schema: &SchemaRef,
    needed: &[(usize, String)],
) -> Result<Option<JsonLines>> {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let fields = ObjectFields::new(schema.fields(), |_| None);
    let Some(mut fields) = fields.filter(|_| text.len() <= i32::MAX as usize) else {
        return Ok(None);
    };
    let (mut numbers, mut bad, mut start) = (vec![], vec![], 0);
    let ends = memchr::memchr_iter(b'\n', text).chain([text.len()]);
    let mut count = 0;
    for (number, end) in ends.enumerate() {
        let line = &text[start..end];
        if !line.trim_ascii().is_empty() {
            let row = numbers.len();
            let read = object_row(&mut fields, line);
            let read =
                read.and_then(|()| match needed.iter().find(|(i, _)| fields.is_null(*i, row)) {
                    Some((i, what)) => {
                        let name = schema.field(*i).name();
                        let said = format!("it has no {what} in \"{name}\"");
                        Err(Wrong::new(0, Fault::Said(said)))
                    }
                    None => Ok(()),
                });
            match read {
                Ok(()) => numbers.push(number as i64),
                Err(wrong) => {
                    fields.truncate(row);
                    bad.push(BadLine { number, start, end, detail: wrong.to_string() });
                }
            }
        }
        (start, count) = (end + 1, number + 1);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(numbers.len()));
    let rows = RecordBatch::try_new_with_options(schema.clone(), fields.finish().1, &options)?;
    let numbers = (numbers.len() < count).then_some(numbers);
    Ok(Some(JsonLines { rows, numbers, bad, count }))
}

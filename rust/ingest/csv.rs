//! CSV: each message is a record (RFC 4180), whose fields are the columns in their order.
//!
//! The rules are those of files of CSV: a quote counts only at a field's start, a text is null
//! where it is one of the `null_values` and, in a column of text or bytes, not in quotes.

use std::borrow::Cow;

use arrow_array::ArrayRef;
use arrow_schema::{DataType, SchemaRef};
use serde::Deserialize;

use super::Format;
use super::columns::{Column, single_column};
use super::fault::{Fault, Parse, Wrong};
use super::json_row::utf8;
use super::options::options;
use super::rows::{RowByRow, RowFormat};
use crate::error::{Error, Result};
use crate::schema::single::SingleValue;
use crate::schema::{TextsFor, named};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct CsvOptions {
    delimiter: String,
    null_values: Vec<String>,
}

impl Default for CsvOptions {
    fn default() -> CsvOptions {
        CsvOptions { delimiter: ",".into(), null_values: vec![String::new()] }
    }
}

/// Messages of CSV.
pub fn csv_format(schema: &SchemaRef, json: &str) -> Result<Box<dyn Format>> {
    let (common, own) = options::<CsvOptions>("csv", json)?;
    let delimiter = match own.delimiter.as_bytes() {
        [byte] if byte.is_ascii() && !b"\"\r\n".contains(byte) => *byte,
        _ => {
            let got = &own.delimiter;
            let hint = "hint: give one ASCII character, such as \",\"";
            return Err(Error::Plan(format!("decode csv: the delimiter is {got:?}\n{hint}")));
        }
    };
    let mut columns = vec![];
    for field in schema.fields() {
        let name = field.name();
        let column = single_column(field.data_type(), None).ok_or_else(|| {
            let word = named(field.data_type());
            Error::Schema(format!(
                "decode csv: column \"{name}\" cannot be a {word}\nhint: json can have lists"
            ))
        })?;
        let texts = matches!(field.data_type(), DataType::Utf8 | DataType::Binary);
        columns.push(CsvColumn { name: name.clone(), texts, column });
    }
    if columns.is_empty() {
        return Err(Error::Schema("decode csv: the schema has no column".into()));
    }
    let format = CsvMessages { columns, delimiter, null_values: own.null_values };
    Ok(Box::new(RowByRow { schema: schema.clone(), common, format }))
}

struct CsvMessages {
    columns: Vec<CsvColumn>,
    delimiter: u8,
    null_values: Vec<String>,
}

struct CsvColumn {
    name: String,
    /// Whether it is of text or bytes.
    texts: bool,
    column: Box<dyn Column>,
}

impl RowFormat for CsvMessages {
    fn read(&mut self, payload: &[u8]) -> Parse<()> {
        let text = utf8(payload)?;
        let said = |at: usize, said: String| Wrong::new(at, Fault::Said(said));
        let mut record = CsvRecord { text, at: 0, delimiter: self.delimiter };
        record.line_ends();
        if record.at == text.len() {
            return Err(said(0, "it has no record".into()));
        }
        let (mut fields, mut misfit) = (0, None);
        let mut more = true;
        while more {
            let start = record.at;
            let (cell, quoted) = record.field()?;
            if let (Some(cells), None) = (self.columns.get_mut(fields), &misfit) {
                misfit = cells.add(&cell, quoted, &self.null_values, start).err();
            }
            fields += 1;
            more = record.delimited();
        }
        let wanted = self.columns.len();
        if fields != wanted {
            return Err(said(0, format!("it has {fields} fields, not {wanted}")));
        }
        record.line_ends();
        if record.at < text.len() {
            return Err(said(record.at, "it has more than one record".into()));
        }
        misfit.map_or(Ok(()), Err)
    }

    fn push_null(&mut self) {
        self.columns.iter_mut().for_each(|cells| cells.column.push_null());
    }

    fn truncate(&mut self, len: usize) {
        self.columns.iter_mut().for_each(|cells| cells.column.truncate(len));
    }

    fn finish(&mut self) -> Vec<ArrayRef> {
        self.columns.iter_mut().map(|cells| cells.column.finish()).collect()
    }
}

impl CsvColumn {
    fn add(&mut self, cell: &str, quoted: bool, nulls: &[String], at: usize) -> Parse<()> {
        if !(quoted && self.texts) && nulls.iter().any(|null| null == cell) {
            self.column.push_null();
            return Ok(());
        }
        self.column.push(SingleValue::Text(cell), TextsFor::All).map_err(|why| {
            let fault = Fault::Misfit(why, self.column.data_type(), format!("{cell:?}"));
            Wrong::new(at, fault).within(&self.name)
        })
    }
}

/// A place in a record.
struct CsvRecord<'a> {
    text: &'a str,
    at: usize,
    delimiter: u8,
}

impl<'a> CsvRecord<'a> {
    /// Reads a field: its value, and whether it was in quotes.
    fn field(&mut self) -> Parse<(Cow<'a, str>, bool)> {
        let start = self.at;
        if self.text.as_bytes().get(start) != Some(&b'"') {
            return Ok((Cow::Borrowed(self.plain()), false));
        }
        let mut value = String::new();
        self.at += 1;
        loop {
            let rest = &self.text[self.at..];
            let Some(end) = rest.find('"') else {
                let said = "a quote is opened and never closed";
                return Err(Wrong::new(start, Fault::Said(said.into())));
            };
            value.push_str(&rest[..end]);
            self.at += end + 1;
            if !self.text[self.at..].starts_with('"') {
                break;
            }
            value.push('"');
            self.at += 1;
        }
        value.push_str(self.plain());
        Ok((Cow::Owned(value), true))
    }

    /// Passes text up to the field's end.
    fn plain(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        let ends = |byte: u8| byte == self.delimiter || byte == b'\r' || byte == b'\n';
        let end = rest.bytes().position(ends).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    /// Passes a delimiter, if there is one.
    fn delimited(&mut self) -> bool {
        let found = self.text.as_bytes().get(self.at) == Some(&self.delimiter);
        self.at += usize::from(found);
        found
    }

    fn line_ends(&mut self) {
        while let Some(b'\r' | b'\n') = self.text.as_bytes().get(self.at) {
            self.at += 1;
        }
    }
}

//! How a column's values are written: what they are written into, and by what.

use super::plain;

/// What a value is written into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShownAs {
    /// Text, without quotes.
    Text,
    /// JSON inside a text: floats as Python writes them, so that all texts have one form.
    JsonInText,
    /// A JSON document.
    Json,
}

impl ShownAs {
    /// The form of what is inside a value of this form.
    pub fn inside(self) -> ShownAs {
        match self {
            ShownAs::Text => ShownAs::JsonInText,
            json => json,
        }
    }

    /// Writes a text: in JSON it has quotes. It must need no escapes.
    pub fn quote(self, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        match self {
            ShownAs::Text => write(out),
            ShownAs::JsonInText | ShownAs::Json => {
                out.push(b'"');
                write(out);
                out.push(b'"');
            }
        }
    }

    /// Writes a float; in JSON, the words for what is not a number have quotes.
    pub fn float(self, out: &mut Vec<u8>, value: f64) {
        match self {
            ShownAs::Json if value.is_finite() => plain::json_float(out, value),
            ShownAs::JsonInText if value.is_finite() => plain::float(out, value),
            form => form.quote(out, |out| plain::float(out, value)),
        }
    }
}

/// Any column whose values can be written.
pub type BoxedCells = Box<dyn Cells>;

/// A column whose values can be written.
pub trait Cells: Send + Sync {
    /// Whether a row has no value.
    fn is_null(&self, row: usize) -> bool;

    /// Appends a value that is not null.
    fn write_valid(&self, row: usize, form: ShownAs, out: &mut Vec<u8>);

    /// Appends the value of a row; `null` if there is none.
    fn write(&self, row: usize, form: ShownAs, out: &mut Vec<u8>) {
        match self.is_null(row) {
            true => out.extend_from_slice(b"null"),
            false => self.write_valid(row, form, out),
        }
    }
}

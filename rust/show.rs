//! Values as text and as JSON: the forms of `docs/values.md`, as `muntin.values` has them in
//! Python.

mod escape;
mod plain;
mod times;
mod form;
mod single;
mod nested;

use arrow_array::Array;
use arrow_schema::Field;

pub use escape::with_escapes;
pub use form::{BoxedCells, Cells, ShownAs};
pub use nested::{Object, repeated_name};

/// The value of a row as text; `null` if there is none.
pub fn text(column: &dyn Array, row: usize) -> String {
    one(column, row, ShownAs::Text)
}

/// The value of a row as JSON, with floats as Python writes them.
pub fn json(column: &dyn Array, row: usize) -> String {
    one(column, row, ShownAs::JsonInText)
}

/// Text as a JSON string.
pub fn quoted(text: &str) -> String {
    written(|out| plain::quoted(out, text))
}

/// A float as Python writes it, with JavaScript's words for what is not a number.
pub fn float(value: f64) -> String {
    written(|out| plain::float(out, value))
}

/// Prepares a column; the field says if it has an extension type.
pub fn cells(column: &dyn Array, field: &Field) -> BoxedCells {
    single::single(column, field).unwrap_or_else(|| nested::nested(column, field))
}

fn one(column: &dyn Array, row: usize, form: ShownAs) -> String {
    let value = column.slice(row, 1);
    let field = Field::new("", value.data_type().clone(), true);
    written(|out| cells(value.as_ref(), &field).write(0, form, out))
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = vec![];
    write(&mut out);
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use arrow_array::*;

    use super::*;

    fn both(column: impl Array) -> (String, String) {
        (text(&column, 0), json(&column, 0))
    }

    fn same(text: &str) -> (String, String) {
        (text.to_string(), format!("\"{text}\""))
    }

    #[test]
    fn times_of_any_year_have_a_text() {
        let us = |value| TimestampMicrosecondArray::from(vec![value]);
        assert_eq!(both(us(-62_167_219_200_000_001)), same("-0001-12-31T23:59:59.999999"));
        assert_eq!(both(us(253_402_300_800_000_000)), same("+10000-01-01T00:00:00"));
        let zoned = TimestampNanosecondArray::from(vec![1_729_992_600_000_000_001]);
        let zoned = zoned.with_timezone("Europe/Berlin");
        assert_eq!(both(zoned), same("2024-10-27T01:30:00.000000001Z"));
        let last = TimestampSecondArray::from(vec![i64::MAX]);
        assert_eq!(both(last), same("+292277026596-12-04T15:30:07"));
        let first = TimestampSecondArray::from(vec![i64::MIN]);
        assert_eq!(both(first), same("-292277022657-01-27T08:29:52"));
        assert_eq!(both(Date32Array::from(vec![i32::MAX])), same("+5881580-07-11"));
        assert_eq!(both(Date32Array::from(vec![-719_528])), same("0000-01-01"));
        assert_eq!(both(Time64NanosecondArray::from(vec![1])), same("00:00:00.000000001"));
    }

    #[test]
    fn numbers_bytes_and_durations() {
        assert_eq!(both(Float64Array::from(vec![1e16])), ("1e+16".into(), "1e+16".into()));
        assert_eq!(both(Float64Array::from(vec![1.5e-7])), ("1.5e-07".into(), "1.5e-07".into()));
        assert_eq!(both(Float32Array::from(vec![0.1])), ("0.1".into(), "0.1".into()));
        assert_eq!(both(Float64Array::from(vec![f64::NAN])), same("NaN"));
        assert_eq!(both(Float32Array::from(vec![f32::NEG_INFINITY])), same("-Infinity"));
        assert_eq!(both(BinaryArray::from(vec![&b"\xff\x00a"[..]])), same("/wBh"));
        assert_eq!(both(BinaryArray::from(vec![&b"ab"[..]])), same("YWI="));
        assert_eq!(both(DurationMillisecondArray::from(vec![5_400_500])), same("PT1H30M0.5S"));
        assert_eq!(both(DurationMicrosecondArray::from(vec![0])), same("PT0S"));
        assert!(both(DurationNanosecondArray::from(vec![i64::MIN])).0.starts_with("-PT2562047H"));
        let wide = Decimal128Array::from(vec![-5]).with_precision_and_scale(9, 2).unwrap();
        assert_eq!(both(wide), same("-0.05"));
        let hundreds = Decimal128Array::from(vec![12]).with_precision_and_scale(9, -2).unwrap();
        assert_eq!(both(hundreds), same("1200"));
        let none = Int64Array::from(vec![None]);
        assert_eq!(both(none), ("null".into(), "null".into()));
    }
}

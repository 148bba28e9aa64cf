//! A rule's message: text with placeholders for columns, each with an optional format.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, Schema};

use crate::error::Result;
use crate::show;

/// Fills the placeholders: `{card}`, `{spent:.2f}`, `{n:,}`, `{share:.1%}`, `{{`.
pub fn message(text: &str, schema: &Schema, columns: &[ArrayRef], row: usize) -> Result<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        out.push_str(&rest[..at]);
        let brace = &rest[at..=at];
        if rest[at + 1..].starts_with(brace) {
            out.push_str(brace);
            rest = &rest[at + 2..];
            continue;
        }
        let Some(close) = rest[at..].find('}').filter(|_| brace == "{") else {
            out.push_str(brace);
            rest = &rest[at + 1..];
            continue;
        };
        let inside = &rest[at + 1..at + close];
        let (name, format) = inside.split_once(':').unwrap_or((inside, ""));
        out.push_str(&place(&columns[schema.index_of(name)?], row, format)?);
        rest = &rest[at + close + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

/// The text for a placeholder; the format applies to numbers and leaves other values unchanged.
fn place(column: &ArrayRef, row: usize, format: &str) -> Result<String> {
    let plain = show::text(column.as_ref(), row);
    let kind = column.data_type();
    if column.is_null(row) || !(kind.is_integer() || kind.is_floating() || kind.is_decimal()) {
        return Ok(plain);
    }
    let (grouped, format) = match format.strip_prefix(',') {
        Some(rest) => (true, rest),
        None => (false, format),
    };
    let digits = format.strip_prefix('.').and_then(|f| f.trim_end_matches(['f', '%']).parse().ok());
    let percent = format.ends_with('%');
    let shown = if !percent && !format.ends_with('f') {
        plain
    } else if kind.is_floating() {
        float(column, row, digits.unwrap_or(6), percent)
    } else {
        fixed(&plain, digits.unwrap_or(6), percent)
    };
    let shown = if grouped { group(&shown) } else { shown };
    Ok(if percent { shown + "%" } else { shown })
}

fn float(column: &ArrayRef, row: usize, digits: usize, percent: bool) -> String {
    let value = match column.data_type() {
        DataType::Float32 => column.as_primitive::<Float32Type>().value(row).into(),
        _ => column.as_primitive::<Float64Type>().value(row),
    };
    if !value.is_finite() {
        return show::float(value);
    }
    format!("{:.digits$}", if percent { value * 100.0 } else { value })
}

/// Formats a number with a fixed number of decimals, exactly, rounding halves to even.
fn fixed(plain: &str, decimals: usize, percent: bool) -> String {
    let (sign, plain) = plain.strip_prefix('-').map_or(("", plain), |rest| ("-", rest));
    let (whole, fraction) = plain.split_once('.').unwrap_or((plain, ""));
    let mut digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).map(|c| c - b'0').collect();
    let mut point = whole.len() + if percent { 2 } else { 0 };
    digits.resize(digits.len().max(point + decimals), 0);
    let rest = digits.split_off(point + decimals);
    let odd = digits.last().is_some_and(|digit| digit % 2 == 1);
    let up = match rest.split_first() {
        Some((5, more)) if more.iter().all(|&digit| digit == 0) => odd,
        Some((first, _)) => *first >= 5,
        None => false,
    };
    if up {
        match digits.iter().rposition(|&digit| digit < 9) {
            Some(at) => {
                digits[at] += 1;
                digits[at + 1..].fill(0);
            }
            None => {
                digits.fill(0);
                digits.insert(0, 1);
                point += 1;
            }
        }
    }
    let text: String = digits.iter().map(|digit| char::from(digit + b'0')).collect();
    let (whole, fraction) = text.split_at(point);
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// Inserts commas between thousands.
fn group(number: &str) -> String {
    let (sign, digits) = number.strip_prefix('-').map_or(("", number), |rest| ("-", rest));
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    let mut out = String::from(sign);
    for (i, digit) in digits[..end].chars().enumerate() {
        if i > 0 && (end - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out + &digits[end..]
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Decimal128Array, Float64Array, Int64Array, StringArray};
    use arrow_schema::Field;

    use super::*;
    use crate::operator::alert::object;

    #[test]
    fn messages_are_filled() {
        let schema = Schema::new(vec![
            Field::new("card", DataType::Utf8, true),
            Field::new("spent", DataType::Float64, true),
            Field::new("n", DataType::Int64, true),
            Field::new("price", DataType::Decimal128(38, 3), true),
        ]);
        let price = Decimal128Array::from(vec![12345678901234567890125, -500]);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(vec![Some("c1"), None])),
            Arc::new(Float64Array::from(vec![1234567.891, 0.5])),
            Arc::new(Int64Array::from(vec![-1234567, 9_007_199_254_740_993])),
            Arc::new(price.with_precision_and_scale(38, 3).unwrap()),
        ];
        let say = |text, row| message(text, &schema, &columns, row).unwrap();
        assert_eq!(say("{card}: {n} {{x}}", 0), "c1: -1234567 {x}");
        assert_eq!(say("{spent:,.2f} {n:,} {spent:.0f}", 0), "1,234,567.89 -1,234,567 1234568");
        assert_eq!(say("{card} {spent} {spent:.1%}", 1), "null 0.5 50.0%");
        assert_eq!(say("{n:.1f} {n:,.1%}", 1), "9007199254740993.0 900,719,925,474,099,300.0%");
        assert_eq!(
            say("{price:.2f} {price:,}", 0),
            "12345678901234567890.12 12,345,678,901,234,567,890.125"
        );
        assert_eq!(say("{price:.0f} {price:.1%} {card:.2f}", 1), "-0 -50.0% null");
        let all = object(&schema, &columns, &[0, 1, 3], 1).unwrap();
        assert_eq!(all, r#"{"card":null,"price":"-0.500","spent":0.5}"#);
    }

    #[test]
    fn digits_are_rounded_to_even() {
        let cases = [
            ("0.5", 0, "0"),
            ("1.5", 0, "2"),
            ("2.500", 0, "2"),
            ("99.96", 1, "100.0"),
            ("9.5", 0, "10"),
            ("2.501", 0, "3"),
            ("7", 2, "7.00"),
            ("0.049", 1, "0.0"),
        ];
        for (plain, decimals, text) in cases {
            assert_eq!(fixed(plain, decimals, false), text, "{plain}");
        }
        assert_eq!(fixed("0.12345", 1, true), "12.3");
        assert_eq!(fixed("3", 0, true), "300");
    }
}

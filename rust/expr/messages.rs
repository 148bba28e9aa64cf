//! The words of type errors: what, where, and a way out.

use arrow_schema::DataType;

use super::tree::Expr;
use crate::error::Error;
use crate::schema::named;

/// `said in: expression`, and a hint if there is one.
pub(super) fn wrong(expr: &Expr, said: String, hint: &str) -> Error {
    let hint = if hint.is_empty() { String::new() } else { format!("\nhint: {hint}") };
    Error::Expression(format!("{said} in: {expr}{hint}"))
}

/// A function that was given a value of the wrong type.
pub(super) fn needs(expr: &Expr, what: &str, given: &DataType) -> Error {
    let hint = match given {
        DataType::Utf8 => "text has no other reading here; cast it, as in cast(x as f64)",
        other if other.is_floating() => "cast it, as in cast(x as i64)",
        other if other.is_numeric() => "compare it, as in x > 0, or cast it",
        _ => "",
    };
    wrong(expr, format!("{what} is needed, not {}", named(given)), hint)
}

/// The same error, said of `expr`.
pub(super) fn at(expr: &Expr, error: Error) -> Error {
    let (said, hint) = error.message().split_once("\nhint: ").unwrap_or((error.message(), ""));
    wrong(expr, said.to_string(), hint)
}

/// The way out for two types that do not go together.
pub(super) fn hint(a: &DataType, b: &DataType) -> &'static str {
    let either = |is: fn(&DataType) -> bool| is(a) || is(b);
    if either(|t| matches!(t, DataType::Timestamp(..) | DataType::Date32)) {
        if either(DataType::is_integer) {
            return "epoch_s, epoch_ms, epoch_us and epoch_ns read integers as times";
        }
        return "cast the other side, as in cast(x as timestamp[us, UTC])";
    }
    if either(|t| t == &DataType::Utf8) {
        return "cast one side, as in cast(x as f64) or cast(x as str)";
    }
    if either(|t| t == &DataType::Boolean) {
        return "a condition is true or false by itself; cast(x as i64) makes it 1 or 0";
    }
    if a.is_decimal() && b.is_decimal() {
        return "decimals have at most 38 digits; cast one side to a smaller scale or to f64";
    }
    "cast one side"
}

//! The types in which values meet: before a comparison, an operation, a choice.

use arrow_schema::DataType::{
    self, Boolean, Date32, Decimal128, Duration, Float64, Int64, Null, Timestamp, UInt64,
};
use arrow_schema::TimeUnit::Microsecond;

use super::tree::Operation;

/// The types of an operation.
pub struct Signature {
    /// What the left argument becomes.
    pub left: DataType,
    /// What the right argument becomes.
    pub right: DataType,
    /// What comes out.
    pub result: DataType,
}

/// The type in which a value computes: the widest of its family.
pub fn computed(data_type: &DataType) -> DataType {
    match data_type {
        whole if whole.is_integer() => Int64,
        float if float.is_floating() => Float64,
        Timestamp(_, zone) => Timestamp(Microsecond, zone.clone()),
        other => other.clone(),
    }
}

/// The types as which two values are compared, if they can be.
pub fn compared(a: &DataType, b: &DataType) -> Option<(DataType, DataType)> {
    // u64 stays, so that its upper half compares exactly
    let side = |t: &DataType| if t == &UInt64 { UInt64 } else { computed(t) };
    let instant = Timestamp(Microsecond, None);
    let decimal = |t: &DataType| if t == &UInt64 { Decimal128(20, 0) } else { as_decimal(t) };
    match (a, b) {
        (Null, Null) => Some((Boolean, Boolean)),
        (Null, other) | (other, Null) => Some((side(other), side(other))),
        _ if a.is_decimal() && b.is_floating() || a.is_floating() && b.is_decimal() => {
            Some((Float64, Float64))
        }
        _ if (a.is_decimal() || b.is_decimal()) && number(a) && number(b) => {
            Some((decimal(a), decimal(b)))
        }
        _ if number(a) && number(b) => Some((side(a), side(b))),
        (Timestamp(..) | Date32, Timestamp(..)) | (Timestamp(..), Date32) => {
            Some((instant.clone(), instant))
        }
        _ if a == b && !a.is_nested() => Some((a.clone(), b.clone())),
        _ => None,
    }
}

/// The common type of two alternatives, if there is one.
pub fn common(a: &DataType, b: &DataType) -> Option<DataType> {
    match (a, b) {
        (Null, other) | (other, Null) => Some(computed(other)),
        _ if (a.is_decimal() || b.is_decimal()) && number(a) && number(b) => {
            if a.is_floating() || b.is_floating() {
                return Some(Float64);
            }
            let (whole, scale) = digits(a, b);
            Some(Decimal128((whole + scale).min(38) as u8, scale as i8))
        }
        _ if number(a) && number(b) => {
            Some(if a.is_floating() || b.is_floating() { Float64 } else { Int64 })
        }
        (Timestamp(_, zone), Timestamp(_, other)) => {
            Some(Timestamp(Microsecond, zone.clone().or(other.clone())))
        }
        (Timestamp(_, zone), Date32) | (Date32, Timestamp(_, zone)) => {
            Some(Timestamp(Microsecond, zone.clone()))
        }
        _ if a == b => Some(computed(a)),
        _ => None,
    }
}

/// The types of `a operation b`, if there is such an operation.
pub fn arithmetic(operation: Operation, a: &DataType, b: &DataType) -> Option<Signature> {
    let (a, b) = (untyped(operation, a, b, true), untyped(operation, b, a, false));
    if number(&a) && number(&b) {
        return numeric(operation, &a, &b);
    }
    let span = Duration(Microsecond);
    let instant = |zone: &Option<std::sync::Arc<str>>| Timestamp(Microsecond, zone.clone());
    let (left, right, result) = match (operation, &a, &b) {
        (Operation::Add | Operation::Sub, Timestamp(_, zone), Duration(_)) => {
            (instant(zone), span, instant(zone))
        }
        (Operation::Add, Duration(_), Timestamp(_, zone)) => (span, instant(zone), instant(zone)),
        (Operation::Add | Operation::Sub, Date32, Duration(_)) => {
            (instant(&None), span, instant(&None))
        }
        (Operation::Add, Duration(_), Date32) => (span, instant(&None), instant(&None)),
        (Operation::Sub, Timestamp(..) | Date32, Timestamp(..) | Date32) => {
            (instant(&None), instant(&None), span)
        }
        (Operation::Add | Operation::Sub, Duration(_), Duration(_)) => {
            (span.clone(), span.clone(), span)
        }
        (Operation::Mul, Duration(_), whole) if whole.is_integer() => (span.clone(), Int64, span),
        (Operation::Mul, whole, Duration(_)) if whole.is_integer() => (Int64, span.clone(), span),
        (Operation::Div, Duration(_), Duration(_)) => (Float64, Float64, Float64),
        _ => return None,
    };
    Some(Signature { left, right, result })
}

fn numeric(operation: Operation, a: &DataType, b: &DataType) -> Option<Signature> {
    let same = |t: DataType| Some(Signature { left: t.clone(), right: t.clone(), result: t });
    if operation == Operation::Div || a.is_floating() || b.is_floating() {
        return same(Float64);
    }
    if !a.is_decimal() && !b.is_decimal() {
        return same(Int64);
    }
    let of = |digits: i16, scale: i16| Decimal128(digits.min(38) as u8, scale as i8);
    let (whole, scale) = digits(a, b);
    let aligned = of(whole + scale, scale);
    match operation {
        Operation::Add | Operation::Sub => Some(Signature {
            left: aligned.clone(),
            right: aligned,
            result: of(whole + scale + 1, scale),
        }),
        Operation::Mod | Operation::Div => same(aligned),
        Operation::Mul => {
            let (left, right) = (as_decimal(a), as_decimal(b));
            let ((p, s), (q, t)) = (parameters(&left), parameters(&right));
            (s + t <= 38).then(|| Signature { left, right, result: of(p + q, s + t) })
        }
    }
}

/// What an untyped null is beside a value of type `other`.
fn untyped(operation: Operation, own: &DataType, other: &DataType, left: bool) -> DataType {
    match (own, other) {
        (Null, Timestamp(..) | Date32) if left && operation == Operation::Sub => other.clone(),
        (Null, Duration(_)) if operation == Operation::Mul => Int64,
        (Null, Timestamp(..) | Date32 | Duration(_)) => Duration(Microsecond),
        (Null, Null) => Int64,
        (Null, other) => other.clone(),
        (own, _) => own.clone(),
    }
}

/// Digits before and after the point that hold values of both types.
fn digits(a: &DataType, b: &DataType) -> (i16, i16) {
    let ((p, s), (q, t)) = (parameters(&as_decimal(a)), parameters(&as_decimal(b)));
    ((p - s).max(q - t), s.max(t))
}

fn parameters(decimal: &DataType) -> (i16, i16) {
    match decimal {
        Decimal128(precision, scale) => (i16::from(*precision), i16::from(*scale)),
        _ => (38, 0),
    }
}

fn as_decimal(data_type: &DataType) -> DataType {
    if data_type.is_decimal() { data_type.clone() } else { Decimal128(19, 0) }
}

fn number(data_type: &DataType) -> bool {
    data_type.is_numeric()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_keep_their_digits() {
        let (a, b) = (Decimal128(10, 2), Decimal128(6, 4));
        let result = |operation, a, b| arithmetic(operation, a, b).unwrap().result;
        assert_eq!(result(Operation::Add, &a, &b), Decimal128(13, 4));
        assert_eq!(result(Operation::Mul, &a, &b), Decimal128(16, 6));
        assert_eq!(result(Operation::Mul, &a, &Int64), Decimal128(29, 2));
        assert_eq!(result(Operation::Div, &a, &b), Float64);
        assert_eq!(result(Operation::Add, &a, &Float64), Float64);
        let wide = Decimal128(38, 30);
        assert!(arithmetic(Operation::Mul, &wide, &wide).is_none());
        assert_eq!(common(&a, &b), Some(Decimal128(12, 4)));
    }

    #[test]
    fn times_and_spans() {
        let (at, span) = (Timestamp(Microsecond, Some("UTC".into())), Duration(Microsecond));
        let result = |operation, a, b| arithmetic(operation, a, b).map(|types| types.result);
        assert_eq!(result(Operation::Sub, &at, &Date32), Some(span.clone()));
        assert_eq!(result(Operation::Add, &span, &at), Some(at.clone()));
        assert_eq!(result(Operation::Sub, &span, &at), None);
        assert_eq!(result(Operation::Add, &at, &at), None);
        assert_eq!(result(Operation::Mul, &Int64, &span), Some(span.clone()));
        assert_eq!(result(Operation::Div, &span, &span), Some(Float64));
        assert_eq!(result(Operation::Sub, &at, &Null), Some(at.clone()));
        assert_eq!(result(Operation::Sub, &Null, &at), Some(span));
        assert_eq!(compared(&at, &Date32).unwrap().0, Timestamp(Microsecond, None));
        assert_eq!(compared(&at, &Int64), None);
    }
}

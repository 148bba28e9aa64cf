//! Arithmetic of two columns, where a row that fails is that row's alone.

use std::cell::Cell;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, DecimalType, Float64Type};
use arrow_array::{ArrayRef, Decimal128Array, Float64Array, Int64Array};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use arrow_schema::DataType;

use super::cast::{retyped, ticks};
use super::kernels::{Side, bits, zip};
use super::tree::Operation;

/// The values of an operation, and the rows where it failed.
struct Attempt<T> {
    values: Vec<T>,
    failed: Option<BooleanBuffer>,
}

impl<T: Default + Copy> Attempt<T> {
    /// `f` tells of each row whether it failed; what it is then is looked at no more.
    fn zip<A: Copy, B: Copy>(
        len: usize,
        a: (&[A], bool),
        b: (&[B], bool),
        f: impl Fn(A, B) -> (T, bool),
    ) -> Attempt<T> {
        let any = Cell::new(false);
        let values = zip(len, a, b, |a, b| {
            let (value, failed) = f(a, b);
            any.set(any.get() | failed);
            value
        });
        let failed = any.get().then(|| bits(len, a, b, |a, b| f(a, b).1));
        Attempt { values, failed }
    }
}

/// `left operation right` as `to`, and the rows where it overflowed; the types are a `Signature`'s.
///
/// Division and remainder by zero are null, not a failure.
pub fn arithmetic(
    operation: Operation,
    left: Side,
    right: Side,
    len: usize,
    to: &DataType,
) -> (ArrayRef, Option<BooleanBuffer>) {
    let mut valid = NullBuffer::union(left.valid(len).as_ref(), right.valid(len).as_ref());
    let by_zero = matches!(operation, Operation::Div | Operation::Mod);
    let mut over = None;
    let mut settle = |failed: Option<BooleanBuffer>| {
        let failed = failed.map(|failed| match &valid {
            Some(valid) => &failed & valid.inner(),
            None => failed,
        });
        if let Some(failed) = failed.filter(BooleanBuffer::has_true) {
            let kept = NullBuffer::new(!&failed);
            valid = NullBuffer::union(valid.as_ref(), Some(&kept));
            over = (!by_zero).then_some(failed);
        }
        valid.clone()
    };
    let array: ArrayRef = match to {
        DataType::Float64 => {
            let values = |side: Side| side.array.as_primitive::<Float64Type>().values().clone();
            let (a, b) = (values(left), values(right));
            let result = floats(operation, len, (&a, left.one), (&b, right.one));
            let valid = settle(result.failed);
            Arc::new(Float64Array::new(result.values.into(), valid))
        }
        DataType::Decimal128(precision, scale) => {
            let values = |side: Side| side.array.as_primitive::<Decimal128Type>().values().clone();
            let (a, b) = (values(left), values(right));
            let result = decimals(operation, *precision, len, (&a, left.one), (&b, right.one));
            let valid = settle(result.failed);
            let array = Decimal128Array::new(result.values.into(), valid);
            Arc::new(array.with_data_type(DataType::Decimal128(*precision, *scale)))
        }
        _ => {
            let (a, b) = (ticks(left.array), ticks(right.array));
            let result = whole(operation, len, (a.values(), left.one), (b.values(), right.one));
            let valid = settle(result.failed);
            retyped(&Int64Array::new(result.values.into(), valid), to)
        }
    };
    (array, over)
}

fn floats(operation: Operation, len: usize, a: (&[f64], bool), b: (&[f64], bool)) -> Attempt<f64> {
    let sure = |values: Vec<f64>| Attempt { values, failed: None };
    match operation {
        Operation::Add => sure(zip(len, a, b, |a, b| a + b)),
        Operation::Sub => sure(zip(len, a, b, |a, b| a - b)),
        Operation::Mul => sure(zip(len, a, b, |a, b| a * b)),
        Operation::Div => Attempt::zip(len, a, b, |a, b| (a / b, b == 0.0)),
        Operation::Mod => Attempt::zip(len, a, b, |a, b| (a % b, b == 0.0)),
    }
}

/// Integers, and times and durations as their microseconds.
fn whole(operation: Operation, len: usize, a: (&[i64], bool), b: (&[i64], bool)) -> Attempt<i64> {
    match operation {
        Operation::Add => Attempt::zip(len, a, b, i64::overflowing_add),
        Operation::Sub => Attempt::zip(len, a, b, i64::overflowing_sub),
        Operation::Mul => Attempt::zip(len, a, b, i64::overflowing_mul),
        // true division is of floats; here it would be a remainder's twin
        Operation::Div | Operation::Mod => {
            Attempt::zip(len, a, b, |a, b| (if b == 0 { 0 } else { a.wrapping_rem(b) }, b == 0))
        }
    }
}

fn decimals(
    operation: Operation,
    precision: u8,
    len: usize,
    a: (&[i128], bool),
    b: (&[i128], bool),
) -> Attempt<i128> {
    let fits = |(value, over): (i128, bool)| {
        (value, over || !Decimal128Type::is_valid_decimal_precision(value, precision))
    };
    match operation {
        Operation::Add => Attempt::zip(len, a, b, |a, b| fits(a.overflowing_add(b))),
        Operation::Sub => Attempt::zip(len, a, b, |a, b| fits(a.overflowing_sub(b))),
        Operation::Mul => Attempt::zip(len, a, b, |a, b| fits(a.overflowing_mul(b))),
        Operation::Div | Operation::Mod => {
            Attempt::zip(len, a, b, |a, b| (if b == 0 { 0 } else { a.wrapping_rem(b) }, b == 0))
        }
    }
}

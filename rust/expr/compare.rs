//! Comparison of two columns, exactly, in one total order.

use std::cmp::Ordering;

use arrow_array::GenericByteArray;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, ByteArrayType, Date32Type, Decimal128Type, Float64Type, UInt64Type,
};
use arrow_buffer::BooleanBuffer;
use arrow_schema::DataType;

use super::cast::ticks;
use super::kernels::{Side, bits};
use super::tree::Comparison;

/// Which rows compare so; whatever stands at null rows. The types are those of `compared`.
pub fn compare(how: Comparison, left: Side, right: Side, len: usize) -> BooleanBuffer {
    match how {
        Comparison::Eq => ordered(false, left, right, len),
        Comparison::Ne => !&ordered(false, left, right, len),
        Comparison::Lt => ordered(true, left, right, len),
        Comparison::Gt => ordered(true, right, left, len),
        Comparison::Le => !&ordered(true, right, left, len),
        Comparison::Ge => !&ordered(true, left, right, len),
    }
}

/// Rows where left is less than right, or where both are equal.
fn ordered(less: bool, left: Side, right: Side, len: usize) -> BooleanBuffer {
    use DataType::{Binary, Boolean, Date32, Decimal128, Float64, UInt64, Utf8};
    match (left.array.data_type(), right.array.data_type()) {
        (Float64, Float64) => {
            primitive::<Float64Type, Float64Type>(less, left, right, len, float_order)
        }
        (UInt64, UInt64) => {
            primitive::<UInt64Type, UInt64Type>(less, left, right, len, |a, b| a.cmp(&b))
        }
        (UInt64, Float64) => {
            primitive::<UInt64Type, Float64Type>(less, left, right, len, wide_order)
        }
        (Float64, UInt64) => {
            primitive::<Float64Type, UInt64Type>(less, left, right, len, |a, b| {
                wide_order(b, a).reverse()
            })
        }
        (Date32, Date32) => {
            primitive::<Date32Type, Date32Type>(less, left, right, len, |a, b| a.cmp(&b))
        }
        (Decimal128(_, s), Decimal128(_, t)) => {
            let (s, t) = (*s, *t);
            primitive::<Decimal128Type, Decimal128Type>(less, left, right, len, move |a, b| {
                decimal_order((a, s), (b, t))
            })
        }
        (Boolean, Boolean) => {
            let (a, b) = (left.array.as_boolean().values(), right.array.as_boolean().values());
            by_index(less, len, |i| a.value(left.index(i)).cmp(&b.value(right.index(i))))
        }
        (Utf8, Utf8) => {
            bytes(less, left, right, len, left.array.as_string::<i32>(), right.array.as_string())
        }
        (Binary, Binary) => {
            bytes(less, left, right, len, left.array.as_binary::<i32>(), right.array.as_binary())
        }
        (UInt64, _) => {
            let (a, b) = (left.array.as_primitive::<UInt64Type>(), ticks(right.array));
            let order = |a: u64, b: i64| i128::from(a).cmp(&i128::from(b));
            decide(less, len, (a.values(), left.one), (b.values(), right.one), order)
        }
        (_, UInt64) => {
            let (a, b) = (ticks(left.array), right.array.as_primitive::<UInt64Type>());
            let order = |a: i64, b: u64| i128::from(a).cmp(&i128::from(b));
            decide(less, len, (a.values(), left.one), (b.values(), right.one), order)
        }
        (Float64, _) => {
            let (a, b) = (left.array.as_primitive::<Float64Type>(), ticks(right.array));
            let order = |a, b| whole_order(b, a).reverse();
            decide(less, len, (a.values(), left.one), (b.values(), right.one), order)
        }
        (_, Float64) => {
            let (a, b) = (ticks(left.array), right.array.as_primitive::<Float64Type>());
            decide(less, len, (a.values(), left.one), (b.values(), right.one), whole_order)
        }
        _ => {
            let (a, b) = (ticks(left.array), ticks(right.array));
            decide(less, len, (a.values(), left.one), (b.values(), right.one), |a, b| a.cmp(&b))
        }
    }
}

fn primitive<A: ArrowPrimitiveType, B: ArrowPrimitiveType>(
    less: bool,
    left: Side,
    right: Side,
    len: usize,
    order: impl Fn(A::Native, B::Native) -> Ordering,
) -> BooleanBuffer {
    let (a, b) = (left.array.as_primitive::<A>(), right.array.as_primitive::<B>());
    decide(less, len, (a.values(), left.one), (b.values(), right.one), order)
}

fn decide<A: Copy, B: Copy>(
    less: bool,
    len: usize,
    a: (&[A], bool),
    b: (&[B], bool),
    order: impl Fn(A, B) -> Ordering,
) -> BooleanBuffer {
    if less {
        bits(len, a, b, |a, b| order(a, b).is_lt())
    } else {
        bits(len, a, b, |a, b| order(a, b).is_eq())
    }
}

fn by_index(less: bool, len: usize, order: impl Fn(usize) -> Ordering) -> BooleanBuffer {
    if less {
        BooleanBuffer::collect_bool(len, |i| order(i).is_lt())
    } else {
        BooleanBuffer::collect_bool(len, |i| order(i).is_eq())
    }
}

/// Text by its UTF-8 bytes, which is the order of code points.
fn bytes<T: ByteArrayType>(
    less: bool,
    left: Side,
    right: Side,
    len: usize,
    a: &GenericByteArray<T>,
    b: &GenericByteArray<T>,
) -> BooleanBuffer {
    let a = |i| -> &[u8] { a.value(left.index(i)).as_ref() };
    let b = |i| -> &[u8] { b.value(right.index(i)).as_ref() };
    if less {
        BooleanBuffer::collect_bool(len, |i| a(i) < b(i))
    } else {
        BooleanBuffer::collect_bool(len, |i| a(i) == b(i))
    }
}

/// NaN equals NaN and is greatest, -0.0 equals 0.0; without a branch, so that loops vectorise.
fn float_order(a: f64, b: f64) -> Ordering {
    let less = (a < b) | (!a.is_nan() & b.is_nan());
    let greater = (a > b) | (a.is_nan() & !b.is_nan());
    greater.cmp(&less)
}

/// A whole number and a float, exactly.
fn whole_order(a: i64, b: f64) -> Ordering {
    const EXACT: u64 = 1 << 53;
    if a.unsigned_abs() <= EXACT { float_order(a as f64, b) } else { beyond_order(a.into(), b) }
}

fn wide_order(a: u64, b: f64) -> Ordering {
    i64::try_from(a).map_or_else(|_| beyond_order(a.into(), b), |a| whole_order(a, b))
}

/// Whole numbers that no float may hold.
fn beyond_order(a: i128, b: f64) -> Ordering {
    if b.is_nan() {
        return Ordering::Less;
    }
    // the cast saturates, far beyond 64 bits
    let whole = b as i128;
    a.cmp(&whole).then_with(|| 0.0.partial_cmp(&b.fract()).unwrap_or(Ordering::Equal))
}

/// Decimals of two scales, exactly.
fn decimal_order((a, s): (i128, i8), (b, t): (i128, i8)) -> Ordering {
    if s == t {
        return a.cmp(&b);
    }
    if s > t {
        return decimal_order((b, t), (a, s)).reverse();
    }
    match a.checked_mul(10i128.pow((t - s) as u32)) {
        Some(aligned) => aligned.cmp(&b),
        // beyond every i128 of the finer scale: the sign decides
        None => a.cmp(&0),
    }
}

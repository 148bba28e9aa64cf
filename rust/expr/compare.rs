//! Comparison of two columns, exactly. A comparison with NaN is false, but for `<>`.

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

/// The rows for which the comparison holds; the result at null rows is arbitrary. The types are
/// those of `compared`.
///
/// If either side is NaN only `Ne` holds.
pub fn compare(how: Comparison, left: Side, right: Side, len: usize) -> BooleanBuffer {
    use DataType::{Binary, Boolean, Date32, Decimal128, Float64, UInt64, Utf8};
    match (left.array.data_type(), right.array.data_type()) {
        (Float64, Float64) => floats(how, left, right, len),
        (UInt64, UInt64) => {
            primitive::<UInt64Type, UInt64Type>(how, left, right, len, |a, b| Some(a.cmp(&b)))
        }
        (UInt64, Float64) => {
            primitive::<UInt64Type, Float64Type>(how, left, right, len, wide_order)
        }
        (Float64, UInt64) => primitive::<Float64Type, UInt64Type>(how, left, right, len, |a, b| {
            wide_order(b, a).map(Ordering::reverse)
        }),
        (Date32, Date32) => {
            primitive::<Date32Type, Date32Type>(how, left, right, len, |a, b| Some(a.cmp(&b)))
        }
        (Decimal128(_, s), Decimal128(_, t)) => {
            let (s, t) = (*s, *t);
            primitive::<Decimal128Type, Decimal128Type>(how, left, right, len, move |a, b| {
                Some(decimal_order((a, s), (b, t)))
            })
        }
        (Boolean, Boolean) => {
            let (a, b) = (left.array.as_boolean().values(), right.array.as_boolean().values());
            let order = |i| a.value(left.index(i)).cmp(&b.value(right.index(i)));
            BooleanBuffer::collect_bool(len, |i| holds(how, Some(order(i))))
        }
        (Utf8, Utf8) => {
            bytes(how, left, right, len, left.array.as_string::<i32>(), right.array.as_string())
        }
        (Binary, Binary) => {
            bytes(how, left, right, len, left.array.as_binary::<i32>(), right.array.as_binary())
        }
        (UInt64, _) => {
            let (a, b) = (left.array.as_primitive::<UInt64Type>(), ticks(right.array));
            let order = |a: u64, b: i64| Some(i128::from(a).cmp(&i128::from(b)));
            decide(how, len, (a.values(), left.one), (b.values(), right.one), order)
        }
        (_, UInt64) => {
            let (a, b) = (ticks(left.array), right.array.as_primitive::<UInt64Type>());
            let order = |a: i64, b: u64| Some(i128::from(a).cmp(&i128::from(b)));
            decide(how, len, (a.values(), left.one), (b.values(), right.one), order)
        }
        (Float64, _) => {
            let (a, b) = (left.array.as_primitive::<Float64Type>(), ticks(right.array));
            let order = |a, b| whole_order(b, a).map(Ordering::reverse);
            decide(how, len, (a.values(), left.one), (b.values(), right.one), order)
        }
        (_, Float64) => {
            let (a, b) = (ticks(left.array), right.array.as_primitive::<Float64Type>());
            decide(how, len, (a.values(), left.one), (b.values(), right.one), whole_order)
        }
        _ => {
            let (a, b) = (ticks(left.array), ticks(right.array));
            let order = |a: i64, b: i64| Some(a.cmp(&b));
            decide(how, len, (a.values(), left.one), (b.values(), right.one), order)
        }
    }
}

/// Whether values in this order compare so; without an order, NaN is among them.
#[inline]
fn holds(how: Comparison, order: Option<Ordering>) -> bool {
    match how {
        Comparison::Eq => order == Some(Ordering::Equal),
        Comparison::Ne => order != Some(Ordering::Equal),
        Comparison::Lt => order == Some(Ordering::Less),
        Comparison::Le => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        Comparison::Gt => order == Some(Ordering::Greater),
        Comparison::Ge => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
    }
}

/// Floats, and whether the first value is a constant for all rows.
type FloatSide<'a> = (&'a [f64], bool);

/// Floats by the operators themselves, so that loops vectorise.
fn floats(how: Comparison, left: Side, right: Side, len: usize) -> BooleanBuffer {
    let values = |side: Side| side.array.as_primitive::<Float64Type>().values().clone();
    let (a, b) = (values(left), values(right));
    let (a, b): (FloatSide, FloatSide) = ((&a, left.one), (&b, right.one));
    match how {
        Comparison::Eq => bits(len, a, b, |a, b| a == b),
        Comparison::Ne => bits(len, a, b, |a, b| a != b),
        Comparison::Lt => bits(len, a, b, |a, b| a < b),
        Comparison::Le => bits(len, a, b, |a, b| a <= b),
        Comparison::Gt => bits(len, a, b, |a, b| a > b),
        Comparison::Ge => bits(len, a, b, |a, b| a >= b),
    }
}

fn primitive<A: ArrowPrimitiveType, B: ArrowPrimitiveType>(
    how: Comparison,
    left: Side,
    right: Side,
    len: usize,
    order: impl Fn(A::Native, B::Native) -> Option<Ordering>,
) -> BooleanBuffer {
    let (a, b) = (left.array.as_primitive::<A>(), right.array.as_primitive::<B>());
    decide(how, len, (a.values(), left.one), (b.values(), right.one), order)
}

/// One loop for each way to compare, so that each is compiled by itself.
fn decide<A: Copy, B: Copy>(
    how: Comparison,
    len: usize,
    a: (&[A], bool),
    b: (&[B], bool),
    order: impl Fn(A, B) -> Option<Ordering>,
) -> BooleanBuffer {
    use Comparison::{Eq, Ge, Gt, Le, Lt, Ne};
    match how {
        Eq => bits(len, a, b, |a, b| holds(Eq, order(a, b))),
        Ne => bits(len, a, b, |a, b| holds(Ne, order(a, b))),
        Lt => bits(len, a, b, |a, b| holds(Lt, order(a, b))),
        Le => bits(len, a, b, |a, b| holds(Le, order(a, b))),
        Gt => bits(len, a, b, |a, b| holds(Gt, order(a, b))),
        Ge => bits(len, a, b, |a, b| holds(Ge, order(a, b))),
    }
}

/// Text by its UTF-8 bytes, which is the order of code points.
fn bytes<T: ByteArrayType>(
    how: Comparison,
    left: Side,
    right: Side,
    len: usize,
    a: &GenericByteArray<T>,
    b: &GenericByteArray<T>,
) -> BooleanBuffer {
    let a = |i| -> &[u8] { a.value(left.index(i)).as_ref() };
    let b = |i| -> &[u8] { b.value(right.index(i)).as_ref() };
    match how {
        Comparison::Eq => BooleanBuffer::collect_bool(len, |i| a(i) == b(i)),
        Comparison::Ne => BooleanBuffer::collect_bool(len, |i| a(i) != b(i)),
        how => BooleanBuffer::collect_bool(len, |i| holds(how, Some(a(i).cmp(b(i))))),
    }
}

/// A whole number and a float, exactly; none with NaN.
fn whole_order(a: i64, b: f64) -> Option<Ordering> {
    const EXACT: u64 = 1 << 53;
    if a.unsigned_abs() <= EXACT { (a as f64).partial_cmp(&b) } else { beyond_order(a.into(), b) }
}

fn wide_order(a: u64, b: f64) -> Option<Ordering> {
    i64::try_from(a).map_or_else(|_| beyond_order(a.into(), b), |a| whole_order(a, b))
}

/// Whole numbers that no float may hold.
fn beyond_order(a: i128, b: f64) -> Option<Ordering> {
    if b.is_nan() {
        return None;
    }
    // the cast saturates, far beyond 64 bits
    let whole = b as i128;
    Some(a.cmp(&whole).then_with(|| 0.0.partial_cmp(&b.fract()).unwrap_or(Ordering::Equal)))
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

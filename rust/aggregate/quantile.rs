//! `quantile(x, q)`: the value below which a share `q` of the values lies, interpolated linearly
//! between the two nearest, as `quantile_cont` in SQL. NaN is skipped; -0.0 is below 0.0.
//!
//! With `n` values in order, counted from 0, it is the value at `q * (n - 1)`.

use std::fmt::Debug;
use std::marker::PhantomData;

use arrow_schema::DataType;

use super::codec::{damaged, put_u64, take_u64};
use super::heap::OwnState;
use super::integer_sum::IntegerSum;
use super::ordered::OrderedSet;
use super::{Aggregate, Answer, Call, Cell, CellRef, Kind, Moment, Retract, Value};
use crate::error::{Error, Result};
use crate::expr::Literal;

/// `quantile` of numbers or bool, as f64.
pub const KIND: Kind = Kind {
    name: "quantile",
    about: "the value at a share of the values in order, interpolated linearly",
    build,
};

fn build(call: &Call<'_>) -> Result<Box<dyn Aggregate>> {
    let ([argument], [q]) = (call.arguments()?, call.parameters()?);
    let q = match q {
        Literal::Float(q) if (0.0..=1.0).contains(q) => *q,
        other => {
            let hint = "write a number between 0 and 1, as 0.95 for the 95th percentile";
            return Err(Error::Plan(format!("quantile at {other}\nhint: {hint}")));
        }
    };
    Ok(match argument {
        DataType::Null
        | DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32 => Quantile::<OrderedInts>::boxed(q, 0),
        DataType::UInt64 => Quantile::<OrderedWides>::boxed(q, 0),
        DataType::Decimal128(_, scale) => Quantile::<OrderedWides>::boxed(q, *scale),
        DataType::Float32 | DataType::Float64 => Quantile::<OrderedFloats>::boxed(q, 0),
        other => return Err(call.refuse(other, "quantile takes numbers and bool")),
    })
}

/// How the values of a class are ordered and turned into floats.
trait Ordered: Send + Sync + Debug + 'static {
    /// A value as it is kept.
    type Key: Copy + Ord + Debug + Send + Sync + 'static;

    /// The key of a value, unless it is skipped.
    fn key(value: Value<'_>) -> Option<Self::Key>;
    /// The nearest float to the value / 10^scale.
    fn float(key: Self::Key, scale: i8) -> f64;
    /// Appends a key.
    fn save(key: Self::Key, out: &mut Vec<u8>);
    /// Reads a key.
    fn load(bytes: &mut &[u8]) -> Result<Self::Key>;
}

/// OrderedInts of up to 64 bits that fit i64, and bool.
#[derive(Debug)]
struct OrderedInts;

/// u64 and decimals.
#[derive(Debug)]
struct OrderedWides;

/// OrderedFloats, kept as integers of the same order.
#[derive(Debug)]
struct OrderedFloats;

impl Ordered for OrderedInts {
    type Key = i64;

    fn key(value: Value<'_>) -> Option<i64> {
        if let Value::I64(v) = value { Some(v) } else { None }
    }

    fn float(key: i64, _: i8) -> f64 {
        key as f64
    }

    fn save(key: i64, out: &mut Vec<u8>) {
        put_u64(out, key as u64);
    }

    fn load(bytes: &mut &[u8]) -> Result<i64> {
        Ok(take_u64(bytes)? as i64)
    }
}

impl Ordered for OrderedWides {
    type Key = i128;

    fn key(value: Value<'_>) -> Option<i128> {
        if let Value::I128(v) = value { Some(v) } else { None }
    }

    fn float(key: i128, scale: i8) -> f64 {
        IntegerSum::<2>::scaled(&[key as u64, (key >> 64) as u64, 1], scale)
    }

    fn save(key: i128, out: &mut Vec<u8>) {
        put_u64(out, key as u64);
        put_u64(out, (key >> 64) as u64);
    }

    fn load(bytes: &mut &[u8]) -> Result<i128> {
        let (low, high) = (take_u64(bytes)?, take_u64(bytes)?);
        Ok((u128::from(high) << 64 | u128::from(low)) as i128)
    }
}

/// Flips the bits of a negative float below its sign, so that integers are ordered as the floats
/// are; applied twice it changes nothing.
fn flipped(bits: i64) -> i64 {
    bits ^ (((bits >> 63) as u64) >> 1) as i64
}

impl Ordered for OrderedFloats {
    type Key = i64;

    fn key(value: Value<'_>) -> Option<i64> {
        match value {
            Value::F64(v) if !v.is_nan() => Some(flipped(v.to_bits() as i64)),
            _ => None,
        }
    }

    fn float(key: i64, _: i8) -> f64 {
        f64::from_bits(flipped(key) as u64)
    }

    fn save(key: i64, out: &mut Vec<u8>) {
        put_u64(out, key as u64);
    }

    fn load(bytes: &mut &[u8]) -> Result<i64> {
        let key = take_u64(bytes)? as i64;
        if OrderedFloats::float(key, 0).is_nan() { Err(damaged("not a number")) } else { Ok(key) }
    }
}

impl<T: Copy + Ord + Debug + Send + Sync + 'static> OwnState for OrderedSet<T> {
    fn bytes(&self) -> usize {
        OrderedSet::bytes(self)
    }
}

/// State: one word, the handle of the values.
#[derive(Debug)]
struct Quantile<S> {
    q: f64,
    scale: i8,
    how: PhantomData<S>,
}

impl<S: Ordered> Quantile<S> {
    fn boxed(q: f64, scale: i8) -> Box<dyn Aggregate> {
        Box::new(Quantile::<S> { q, scale, how: PhantomData })
    }

    fn values(cell: CellRef<'_>) -> Option<&OrderedSet<S::Key>> {
        cell.heap.own(cell.words[0])
    }
}

/// The value between two others, `share` of the way from the lower one.
fn between(lower: f64, upper: f64, share: f64) -> f64 {
    if lower == upper {
        return lower;
    }
    // A rounded result may lie just outside of the two.
    let value = lower * (1.0 - share) + upper * share;
    if value < lower {
        lower
    } else if value > upper {
        upper
    } else {
        value
    }
}

impl<S: Ordered> Aggregate for Quantile<S> {
    #[inline(always)]
    fn words(&self) -> usize {
        1
    }

    fn output_type(&self) -> &DataType {
        &DataType::Float64
    }

    fn update(&self, cell: Cell<'_>, args: &[Value<'_>], _: Moment) {
        if let Some(key) = S::key(args[0]) {
            cell.heap.change_own(&mut cell.words[0], |own: &mut OrderedSet<_>| own.add(key, 1));
        }
    }

    fn merge(&self, into: Cell<'_>, from: CellRef<'_>) {
        if into.words[0] == 0 {
            into.words[0] = into.heap.clone_from_heap(from.heap, from.words[0] as u32).into();
        } else if let Some(other) = Self::values(from) {
            into.heap.change_own(&mut into.words[0], |own: &mut OrderedSet<_>| {
                other.iter().for_each(|(key, rows)| own.add(key, rows));
            });
        }
    }

    fn inverts(&self) -> bool {
        true
    }

    fn grows(&self) -> bool {
        true
    }

    fn retract(&self, mut cell: Cell<'_>, args: &[Value<'_>], _: Moment) -> Retract {
        if let Some(key) = S::key(args[0]) {
            let Cell { words, heap } = cell.reborrow();
            let is_empty = heap.change_own(&mut words[0], |own: &mut OrderedSet<_>| {
                own.remove(key);
                own.is_empty()
            });
            if is_empty == Some(true) {
                self.clear(cell);
            }
        }
        Retract::Done
    }

    fn evaluate<'a>(&self, cell: CellRef<'a>) -> Answer<'a> {
        let Some(values) = Self::values(cell).filter(|values| !values.is_empty()) else {
            return Answer::Null;
        };
        let place = self.q * (values.rows() - 1) as f64;
        let (whole, share) = (place.floor(), place.fract());
        let value = |k: u64| values.nth(k).map(|key| S::float(key, self.scale));
        let lower = value(whole as u64);
        let upper = if share > 0.0 { value(whole as u64 + 1) } else { lower };
        match (lower, upper) {
            (Some(lower), Some(upper)) => Answer::F64(between(lower, upper, share)),
            (_, _) => Answer::Null,
        }
    }

    fn save(&self, cell: CellRef<'_>, out: &mut Vec<u8>) {
        match Self::values(cell) {
            Some(values) => values.save(out, S::save),
            None => put_u64(out, 0),
        }
    }

    fn load(&self, cell: Cell<'_>, bytes: &mut &[u8]) -> Result<()> {
        let values = OrderedSet::load(bytes, S::load)?;
        if !values.is_empty() {
            cell.heap.change_own(&mut cell.words[0], |own| *own = values);
        }
        Ok(())
    }

    fn clear(&self, cell: Cell<'_>) {
        cell.heap.release(&mut cell.words[0]);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Registry, StateRows};
    use super::*;

    fn built(data_type: DataType, q: Literal) -> Result<Box<dyn Aggregate>> {
        let (types, parameters) = ([data_type], [q]);
        let call = Call { kind: "quantile", types: &types, parameters: &parameters };
        Registry::default().build(&call)
    }

    fn quantile(data_type: DataType, q: f64, values: &[Value<'_>]) -> Option<f64> {
        let aggregate = built(data_type, Literal::Float(q)).unwrap();
        let mut hot = StateRows::new(1);
        hot.push();
        for &value in values {
            aggregate.update(hot.cell(0, 0, 1), &[value], Moment { time: 0, seq: 0 });
        }
        match aggregate.evaluate(hot.peek(0, 0, 1)) {
            Answer::F64(v) => Some(v),
            _ => None,
        }
    }

    #[test]
    fn it_lies_between_the_nearest_values() {
        let numbers = [40, 10, 30, 20].map(Value::I64);
        let at = |q| quantile(DataType::Int64, q, &numbers);
        assert_eq!([0.0, 0.5, 0.9, 1.0].map(at), [10.0, 25.0, 37.0, 40.0].map(Some));
        assert_eq!(quantile(DataType::Int64, 0.3, &numbers[..1]), Some(40.0));
        assert_eq!(quantile(DataType::Int64, 0.3, &[]), None);
        let decimals = [Value::I128(125), Value::I128(-10)];
        assert_eq!(quantile(DataType::Decimal128(9, 2), 0.5, &decimals), Some(0.575));
        let wide = [Value::I128(u64::MAX.into())];
        assert_eq!(quantile(DataType::UInt64, 0.5, &wide), Some(u64::MAX as f64));
    }

    #[test]
    fn floats_are_ordered_and_nan_is_skipped() {
        let (inf, nan) = (f64::INFINITY, f64::NAN);
        let floats = |values: &[f64]| values.iter().map(|v| Value::F64(*v)).collect::<Vec<_>>();
        let at = |q, values: &[f64]| quantile(DataType::Float64, q, &floats(values));
        assert_eq!(at(0.5, &[nan, 1.0, -1.0, 0.0, nan]), Some(0.0));
        assert_eq!(at(0.0, &[0.0, -0.0]).map(f64::to_bits), Some((-0.0f64).to_bits()));
        assert_eq!(at(0.5, &[-inf, 3.0]), Some(-inf));
        assert_eq!(at(0.25, &[1e308, -1e308]), Some(-5e307));
        assert!(at(0.5, &[-inf, inf]).is_some_and(f64::is_nan));
        assert_eq!(at(0.5, &[nan]), None);
    }

    #[test]
    fn its_share_is_checked() {
        for q in [Literal::Float(1.5), Literal::Float(f64::NAN), Literal::Int(1), Literal::Null] {
            let error = built(DataType::Int64, q).unwrap_err();
            assert!(error.message().starts_with("quantile at "), "{error}");
        }
        let error = built(DataType::Utf8, Literal::Float(0.5)).unwrap_err();
        assert_eq!(error.message(), "quantile of str\nhint: quantile takes numbers and bool");
    }
}

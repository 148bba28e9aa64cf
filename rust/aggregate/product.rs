//! `product`, as f64: of the values as floats, whatever their order. NaN is skipped.
//!
//! The different values are kept with their number of rows, and a result walks them in order: twice as
//! many digits as a float has are carried along, so that only the last rounding is seen.

use arrow_schema::DataType;

use super::codec::put_u64;
use super::distinct::ValueSet;
use super::integer_sum::IntegerSum;
use super::quotient::rounded;
use super::{Aggregate, Answer, Call, Cell, CellRef, Kind, Moment, Retract, Value};
use crate::error::Result;

/// `product` of numbers or bool.
pub const KIND: Kind = Kind { name: "product", about: "the product of the values", build };

fn build(call: &Call<'_>) -> Result<Box<dyn Aggregate>> {
    let [argument] = call.plain()?;
    let scale = super::powers::scale_of(call, argument)?;
    Ok(Box::new(Product { scale: scale as i8 }))
}

/// State: one word, the handle of the values as the bits of floats.
#[derive(Debug)]
struct Product {
    scale: i8,
}

fn set(cell: CellRef<'_>) -> Option<&ValueSet<i64>> {
    cell.heap.own(cell.words[0])
}

impl Product {
    /// The bits of a value as a float; the sign of zero is that of a factor, too.
    fn key(&self, value: Value<'_>) -> Option<i64> {
        let float = match value {
            Value::F64(v) if !v.is_nan() => v,
            Value::I64(v) => v as f64,
            Value::I128(v) => IntegerSum::<2>::scaled(&[v as u64, (v >> 64) as u64, 1], self.scale),
            _ => return None,
        };
        Some(float.to_bits() as i64)
    }
}

/// A product so far: 128 digits, of which the first is set, and a power of two.
#[derive(Clone, Copy)]
struct Digits {
    digits: u128,
    exponent: i64,
}

impl Digits {
    fn from_float(value: f64) -> Digits {
        let (exponent, fraction) = ((value.to_bits() >> 52 & 0x7ff) as i64, value.to_bits() << 12);
        let mantissa = u128::from(fraction >> 12 | u64::from(exponent > 0) << 52);
        let zeros = mantissa.leading_zeros();
        Digits { digits: mantissa << zeros, exponent: exponent.max(1) - 1075 - i64::from(zeros) }
    }

    /// The product; a digit behind the last one is kept as a set last digit.
    fn times(self, other: Digits) -> Digits {
        let half = |digits: u128| [digits as u64, (digits >> 64) as u64].map(u128::from);
        let ([a, b], [c, d]) = (half(self.digits), half(other.digits));
        let (low, one, two) = (a * c, a * d, b * c);
        let middle = (low >> 64) + u128::from(one as u64) + u128::from(two as u64);
        let high = b * d + (one >> 64) + (two >> 64) + (middle >> 64);
        let more = low as u64 != 0 || middle as u64 != 0;
        let zeros = high.leading_zeros();
        // At most one place is free, which the digit behind fills.
        let next = if zeros > 0 { middle >> 63 & 1 } else { 0 };
        Digits {
            digits: high << zeros | next | u128::from(more),
            exponent: (self.exponent.saturating_add(other.exponent))
                .saturating_add(128 - i64::from(zeros)),
        }
    }

    fn power(self, mut rows: u64) -> Digits {
        let (mut square, mut all) = (self, Digits::from_float(1.0));
        while rows > 0 {
            if rows & 1 == 1 {
                all = all.times(square);
            }
            square = square.times(square);
            rows >>= 1;
        }
        all
    }
}

fn product(values: &ValueSet<i64>) -> f64 {
    let (mut all, mut negative) = (Digits::from_float(1.0), false);
    let (mut zero, mut infinite) = (false, false);
    let mut sorted: Vec<(f64, u64)> = vec![];
    values.each(|bits, rows| sorted.push((f64::from_bits(*bits as u64), rows)));
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    for (value, rows) in sorted {
        negative ^= value.is_sign_negative() && rows % 2 == 1;
        if value == 0.0 {
            zero = true;
        } else if value.is_infinite() {
            infinite = true;
        } else {
            all = all.times(Digits::from_float(value.abs()).power(rows));
        }
    }
    let value = match (zero, infinite) {
        (true, true) => return f64::NAN,
        (true, false) => 0.0,
        (false, true) => f64::INFINITY,
        (false, false) => rounded(all.digits, all.exponent.clamp(-9999, 9999) as i32),
    };
    if negative { -value } else { value }
}

impl Aggregate for Product {
    fn words(&self) -> usize {
        1
    }

    fn output_type(&self) -> &DataType {
        &DataType::Float64
    }

    fn update(&self, cell: Cell<'_>, args: &[Value<'_>], _: Moment) {
        if let Some(key) = self.key(args[0]) {
            cell.heap.change_own(&mut cell.words[0], |own: &mut ValueSet<i64>| own.add(&key, 1));
        }
    }

    fn merge(&self, into: Cell<'_>, from: CellRef<'_>) {
        if let Some(other) = set(from) {
            into.heap.change_own(&mut into.words[0], |own: &mut ValueSet<i64>| {
                other.each(|value, rows| {
                    own.add(value, rows);
                });
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
        if let Some(key) = self.key(args[0]) {
            let Cell { words, heap } = cell.reborrow();
            let is_empty = heap.change_own(&mut words[0], |own: &mut ValueSet<i64>| {
                own.remove(&key);
                own.is_empty()
            });
            if is_empty == Some(true) {
                self.clear(cell);
            }
        }
        Retract::Done
    }

    fn evaluate<'a>(&self, cell: CellRef<'a>) -> Answer<'a> {
        set(cell).map_or(Answer::Null, |values| Answer::F64(product(values)))
    }

    fn save(&self, cell: CellRef<'_>, out: &mut Vec<u8>) {
        match set(cell) {
            Some(values) => values.save(out),
            None => put_u64(out, 0),
        }
    }

    fn load(&self, cell: Cell<'_>, bytes: &mut &[u8]) -> Result<()> {
        let values = ValueSet::<i64>::load(bytes)?;
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
    use proptest::prelude::*;

    use super::*;

    fn product_of(values: &[f64]) -> f64 {
        let mut set = ValueSet::default();
        values.iter().for_each(|v| {
            set.add(&(v.to_bits() as i64), 1);
        });
        product(&set)
    }

    #[test]
    fn nothing_overflows_on_the_way() {
        // 1e-300 is not exactly 1 / 1e300, and the difference is not lost.
        assert_eq!(product_of(&[1e300, 1e300, 1e-300, 1e-300]), 1.0000000000000002);
        assert_eq!(product_of(&[1e200, 1e200]), f64::INFINITY);
        assert_eq!(product_of(&[-2.0, 3.0, 2.0]), -12.0);
        assert_eq!(product_of(&[-2.0, 0.0]).to_bits(), (-0.0f64).to_bits());
        assert!(product_of(&[0.0, f64::INFINITY]).is_nan());
        assert_eq!(product_of(&[-f64::INFINITY, 5.0]), f64::NEG_INFINITY);
        assert_eq!(product_of(&[5e-324, 0.5]), 0.0);
        assert_eq!(product_of(&[1.5; 200]), 1.6529199107882081e35);
    }

    proptest! {
        #[test]
        fn two_factors_are_those_of_the_processor(one in any::<f64>(), two in any::<f64>()) {
            prop_assume!(!one.is_nan() && !two.is_nan());
            let (found, expected) = (product_of(&[one, two]), one * two);
            prop_assert!(found.to_bits() == expected.to_bits() || expected.is_nan());
        }
    }
}

//! `mean`: the exact sum rounded to f64 once, divided by the number of values.

use std::marker::PhantomData;

use arrow_schema::DataType;

use super::sum::{Decimals, FloatSums, Integers, Summation};
use super::{Aggregate, Answer, Call, Cell, CellRef, Kind, Moment, Retract, Value, weighted};
use crate::error::Result;

/// `mean` of numbers or bool (the share of true values).
pub const KIND: Kind = Kind { name: "mean", about: "the arithmetic mean of the values", build };

fn build(call: &Call<'_>) -> Result<Box<dyn Aggregate>> {
    if call.types.len() == 2 {
        return weighted::mean(call);
    }
    let [arg] = call.plain()?;
    Ok(match arg {
        DataType::Null
        | DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32
        | DataType::UInt64 => Mean::<Integers>::boxed(0),
        DataType::Decimal128(_, scale) => Mean::<Decimals>::boxed(*scale),
        DataType::Float32 | DataType::Float64 => Mean::<FloatSums>::boxed(0),
        other => {
            let hint = "mean takes numbers and bool; sum a duration and divide it by a count";
            return Err(call.refuse(other, hint));
        }
    })
}

/// A sum that is divided on evaluation.
#[derive(Debug)]
struct Mean<S> {
    scale: i8,
    how: PhantomData<S>,
}

impl<S: Summation> Mean<S> {
    fn boxed(scale: i8) -> Box<dyn Aggregate> {
        Box::new(Mean::<S> { scale, how: PhantomData })
    }
}

impl<S: Summation> Aggregate for Mean<S> {
    #[inline(always)]
    fn words(&self) -> usize {
        S::WORDS
    }

    fn output_type(&self) -> &DataType {
        &DataType::Float64
    }

    #[inline(always)]
    fn update(&self, cell: Cell<'_>, args: &[Value<'_>], _: Moment) {
        S::add(cell, args[0]);
    }

    fn merge(&self, into: Cell<'_>, from: CellRef<'_>) {
        S::merge(into, from);
    }

    fn inverts(&self) -> bool {
        true
    }

    #[inline(always)]
    fn retract(&self, cell: Cell<'_>, args: &[Value<'_>], _: Moment) -> Retract {
        S::subtract(cell, args[0]);
        Retract::Done
    }

    #[inline(always)]
    fn evaluate<'a>(&self, cell: CellRef<'a>) -> Answer<'a> {
        match S::count(cell) {
            0 => Answer::Null,
            count => Answer::F64(S::float(cell, self.scale) / count as f64),
        }
    }

    fn save(&self, cell: CellRef<'_>, out: &mut Vec<u8>) {
        S::save(cell, out);
    }

    fn load(&self, cell: Cell<'_>, bytes: &mut &[u8]) -> Result<()> {
        S::load(cell, bytes)
    }

    fn clear(&self, cell: Cell<'_>) {
        S::clear(cell);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Layout, build};
    use super::*;

    fn mean(arg: DataType, values: &[Value<'_>]) -> Option<f64> {
        let layout = Layout::new(vec![build("mean", &[arg]).unwrap()]);
        let mut hot = layout.hot();
        let row = hot.push();
        let (aggregate, _) = &layout.items[0];
        for (seq, value) in (0..).zip(values) {
            let at = Moment { time: 0, seq };
            aggregate.update(hot.cell(row, 0, aggregate.words()), &[*value], at);
        }
        match layout.evaluate(&hot, row, 0) {
            Answer::F64(mean) => Some(mean),
            _ => None,
        }
    }

    #[test]
    fn each_type_has_its_own_mean() {
        let ints = [Value::I64(1), Value::I64(2)];
        assert_eq!(mean(DataType::Int32, &ints), Some(1.5));
        assert_eq!(mean(DataType::Boolean, &[Value::I64(1), Value::I64(0)]), Some(0.5));
        let most = [Value::I64(i64::MAX); 4];
        assert_eq!(mean(DataType::Int64, &most), Some(i64::MAX as f64));
        let cents = [Value::I128(10), Value::I128(20)];
        assert_eq!(mean(DataType::Decimal128(5, 2), &cents), Some(0.3 / 2.0));
        let floats = [Value::F64(1e40), Value::F64(3.0), Value::F64(-1e40), Value::F64(f64::NAN)];
        assert_eq!(mean(DataType::Float64, &floats), Some(1.0));
        assert_eq!(mean(DataType::Float64, &[Value::F64(f64::NAN)]), None);
    }
}

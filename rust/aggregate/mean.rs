//! mean: the exact sum, rounded once, divided by the count.

use arrow_schema::DataType;

use super::integer_sum::IntegerSum;
use super::sum::whole;
use super::{Aggregate, Answer, Cell, CellRef, Kind, Moment, Retract, Value};
use super::{exact_sum, one, refuse};
use crate::error::Result;

/// f64 over numbers and bool.
pub const KIND: Kind = Kind { name: "mean", about: "the sum divided by the count", build };

fn build(args: &[DataType]) -> Result<Box<dyn Aggregate>> {
    match one("mean", args)? {
        DataType::Float32 | DataType::Float64 => Ok(Box::new(Mean::<2> { scale: None })),
        DataType::Decimal128(_, scale) => Ok(Box::new(Mean::<3> { scale: Some(*scale) })),
        DataType::Boolean => Ok(Box::new(Mean::<2> { scale: Some(0) })),
        DataType::UInt64 => Ok(Box::new(Mean::<3> { scale: Some(0) })),
        other if other.is_integer() => Ok(Box::new(Mean::<2> { scale: Some(0) })),
        other => Err(refuse("mean", other, "it takes numbers and bool")),
    }
}

/// Of floats where there is no scale.
#[derive(Debug)]
struct Mean<const LIMBS: usize> {
    scale: Option<i8>,
}

impl<const LIMBS: usize> Aggregate for Mean<LIMBS> {
    fn words(&self) -> usize {
        if self.scale.is_some() { IntegerSum::<LIMBS>::WORDS } else { exact_sum::WORDS }
    }

    fn output_type(&self) -> &DataType {
        &DataType::Float64
    }

    #[inline(always)]
    fn update(&self, cell: Cell<'_>, value: Value<'_>, _at: Moment) {
        match value {
            Value::F64(v) => exact_sum::add(cell, v),
            other => IntegerSum::<LIMBS>::add(cell.words, whole(other)),
        }
    }

    fn merge(&self, into: Cell<'_>, from: CellRef<'_>) {
        match self.scale {
            Some(_) => IntegerSum::<LIMBS>::merge(into.words, from.words),
            None => exact_sum::merge(into, from),
        }
    }

    fn retract(&self, cell: Cell<'_>, value: Value<'_>, _at: Moment) -> Retract {
        match value {
            Value::F64(v) => exact_sum::subtract(cell, v),
            other => IntegerSum::<LIMBS>::subtract(cell.words, whole(other)),
        }
        Retract::Done
    }

    fn evaluate<'a>(&self, cell: CellRef<'a>) -> Answer<'a> {
        match self.scale {
            Some(scale) => match IntegerSum::<LIMBS>::count(cell.words) {
                0 => Answer::Null,
                n => Answer::F64(IntegerSum::<LIMBS>::scaled(cell.words, scale) / n as f64),
            },
            None => {
                let sum = exact_sum::value(cell);
                sum.map_or(Answer::Null, |sum| Answer::F64(sum / exact_sum::count(cell) as f64))
            }
        }
    }

    fn save(&self, cell: CellRef<'_>, out: &mut Vec<u8>) {
        match self.scale {
            Some(_) => IntegerSum::<LIMBS>::save(cell, out),
            None => exact_sum::save(cell, out),
        }
    }

    fn load(&self, cell: Cell<'_>, bytes: &mut &[u8]) -> Result<()> {
        match self.scale {
            Some(_) => IntegerSum::<LIMBS>::load(cell, bytes),
            None => exact_sum::load(cell, bytes),
        }
    }

    fn clear(&self, cell: Cell<'_>) {
        match self.scale {
            Some(_) => cell.words.fill(0),
            None => exact_sum::clear(cell),
        }
    }
}

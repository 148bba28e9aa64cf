//! sum: exact for every type, so it takes rows back and does not depend on their order.

use arrow_schema::DataType;

use super::integer_sum::IntegerSum;
use super::{Aggregate, Answer, Cell, CellRef, Class, Kind, Moment, Retract, Value};
use super::{exact_sum, one, refuse};
use crate::error::Result;

/// Integers and bool give i64, decimals decimal(38, s), floats the correctly rounded f64.
pub const KIND: Kind = Kind { name: "sum", about: "the exact sum", build };

fn build(args: &[DataType]) -> Result<Box<dyn Aggregate>> {
    let arg = one("sum", args)?;
    let output = match arg {
        DataType::Decimal128(_, scale) => DataType::Decimal128(38, *scale),
        DataType::Duration(_) => arg.clone(),
        DataType::Boolean => DataType::Int64,
        other if other.is_integer() => DataType::Int64,
        DataType::Float32 | DataType::Float64 => {
            return Ok(Box::new(FloatSum));
        }
        other => return Err(refuse("sum", other, "it takes numbers, bool and durations")),
    };
    Ok(match Class::of(arg) {
        Class::I128 => Box::new(WholeSum::<3> { output }),
        Class::Unit | Class::I64 | Class::F64 | Class::Bytes => Box::new(WholeSum::<2> { output }),
    })
}

#[derive(Debug)]
struct FloatSum;

fn float(value: Value<'_>) -> f64 {
    match value {
        Value::F64(v) => v,
        Value::I64(v) => v as f64,
        Value::Unit | Value::I128(_) | Value::Bytes(_) => f64::NAN,
    }
}

impl Aggregate for FloatSum {
    fn words(&self) -> usize {
        exact_sum::WORDS
    }

    fn output_type(&self) -> &DataType {
        &DataType::Float64
    }

    #[inline(always)]
    fn update(&self, cell: Cell<'_>, value: Value<'_>, _at: Moment) {
        exact_sum::add(cell, float(value));
    }

    fn merge(&self, into: Cell<'_>, from: CellRef<'_>) {
        exact_sum::merge(into, from);
    }

    fn retract(&self, cell: Cell<'_>, value: Value<'_>, _at: Moment) -> Retract {
        exact_sum::subtract(cell, float(value));
        Retract::Done
    }

    fn evaluate<'a>(&self, cell: CellRef<'a>) -> Answer<'a> {
        exact_sum::value(cell).map_or(Answer::Null, Answer::F64)
    }

    fn save(&self, cell: CellRef<'_>, out: &mut Vec<u8>) {
        exact_sum::save(cell, out);
    }

    fn load(&self, cell: Cell<'_>, bytes: &mut &[u8]) -> Result<()> {
        exact_sum::load(cell, bytes)
    }

    fn clear(&self, cell: Cell<'_>) {
        exact_sum::clear(cell);
    }
}

#[derive(Debug)]
struct WholeSum<const LIMBS: usize> {
    output: DataType,
}

/// A whole number of any width.
pub fn whole(value: Value<'_>) -> i128 {
    match value {
        Value::I64(v) => i128::from(v),
        Value::I128(v) => v,
        Value::Unit | Value::F64(_) | Value::Bytes(_) => 0,
    }
}

impl<const LIMBS: usize> Aggregate for WholeSum<LIMBS> {
    fn words(&self) -> usize {
        IntegerSum::<LIMBS>::WORDS
    }

    fn output_type(&self) -> &DataType {
        &self.output
    }

    #[inline(always)]
    fn update(&self, cell: Cell<'_>, value: Value<'_>, _at: Moment) {
        IntegerSum::<LIMBS>::add(cell.words, whole(value));
    }

    fn merge(&self, into: Cell<'_>, from: CellRef<'_>) {
        IntegerSum::<LIMBS>::merge(into.words, from.words);
    }

    fn retract(&self, cell: Cell<'_>, value: Value<'_>, _at: Moment) -> Retract {
        IntegerSum::<LIMBS>::subtract(cell.words, whole(value));
        Retract::Done
    }

    fn evaluate<'a>(&self, cell: CellRef<'a>) -> Answer<'a> {
        if IntegerSum::<LIMBS>::count(cell.words) == 0 {
            return Answer::Null;
        }
        match Class::of(&self.output) {
            Class::I128 => IntegerSum::<LIMBS>::decimal(cell.words).map_or(Answer::Overflow, Answer::I128),
            Class::Unit | Class::I64 | Class::F64 | Class::Bytes => {
                let total = IntegerSum::<LIMBS>::total(cell.words).and_then(|t| i64::try_from(t).ok());
                total.map_or(Answer::Overflow, Answer::I64)
            }
        }
    }

    fn save(&self, cell: CellRef<'_>, out: &mut Vec<u8>) {
        IntegerSum::<LIMBS>::save(cell, out);
    }

    fn load(&self, cell: Cell<'_>, bytes: &mut &[u8]) -> Result<()> {
        IntegerSum::<LIMBS>::load(cell, bytes)
    }

    fn clear(&self, cell: Cell<'_>) {
        cell.words.fill(0);
    }
}

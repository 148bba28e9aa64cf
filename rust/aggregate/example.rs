//! An aggregate as a user would add it: two arguments, a parameter, and a state that inverts. Only in
//! tests; the laws run over it as over the built-in ones.

use std::sync::Arc;

use arrow_schema::DataType;

use super::codec::{put_u64, take_u64};
use super::{Aggregate, Answer, Call, Cell, CellRef, Moment, Registry, Retract, Value};
use crate::error::{Error, Result};
use crate::expr::Literal;

/// The built-in aggregates and `dot_product`.
pub fn registry() -> Registry {
    let mut registry = Registry::default();
    registry.add("dot_product", Arc::new(build)).expect("a new name");
    registry
}

fn build(call: &Call<'_>) -> Result<Box<dyn Aggregate>> {
    let ([one, two], [factor]) = (call.arguments()?, call.parameters()?);
    let Literal::Float(factor) = *factor else {
        return Err(Error::Plan(format!("dot_product: {factor:?} is not a float")));
    };
    match [one, two] {
        [DataType::Int64, DataType::Int64 | DataType::UInt64] => {
            Ok(Box::new(DotProduct { factor }))
        }
        [_, other] => Err(call.refuse(other, "it takes two columns of integers")),
    }
}

/// The sum of the products of two columns, modulo 2^64, times a factor. State: the sum of the
/// products, and the number of rows.
#[derive(Debug)]
struct DotProduct {
    factor: f64,
}

fn product(args: &[Value<'_>]) -> u64 {
    let whole = |value: &Value<'_>| match value {
        Value::I64(v) => *v as u64,
        Value::I128(v) => *v as u64,
        Value::Unit | Value::F64(_) | Value::Bytes(_) => 0,
    };
    whole(&args[0]).wrapping_mul(whole(&args[1]))
}

impl Aggregate for DotProduct {
    fn words(&self) -> usize {
        2
    }

    fn output_type(&self) -> &DataType {
        &DataType::Float64
    }

    fn update(&self, cell: Cell<'_>, args: &[Value<'_>], _: Moment) {
        cell.words[0] = cell.words[0].wrapping_add(product(args));
        cell.words[1] += 1;
    }

    fn merge(&self, into: Cell<'_>, from: CellRef<'_>) {
        into.words[0] = into.words[0].wrapping_add(from.words[0]);
        into.words[1] += from.words[1];
    }

    fn retract(&self, cell: Cell<'_>, args: &[Value<'_>], _: Moment) -> Retract {
        cell.words[0] = cell.words[0].wrapping_sub(product(args));
        cell.words[1] = cell.words[1].saturating_sub(1);
        Retract::Done
    }

    fn inverts(&self) -> bool {
        true
    }

    fn evaluate<'a>(&self, cell: CellRef<'a>) -> Answer<'a> {
        match cell.words[1] {
            0 => Answer::Null,
            _ => Answer::F64(cell.words[0] as i64 as f64 * self.factor),
        }
    }

    fn save(&self, cell: CellRef<'_>, out: &mut Vec<u8>) {
        cell.words.iter().for_each(|word| put_u64(out, *word));
    }

    fn load(&self, cell: Cell<'_>, bytes: &mut &[u8]) -> Result<()> {
        let words = [take_u64(bytes)?, super::codec::take_count(bytes)?];
        cell.words.copy_from_slice(&words);
        Ok(())
    }

    fn clear(&self, cell: Cell<'_>) {
        cell.words.fill(0);
    }
}

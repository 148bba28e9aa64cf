//! count: how many rows, or how many rows with a value.

use arrow_schema::DataType;

use super::codec::{put_u64, take_u64};
use super::{Aggregate, Answer, Cell, CellRef, Kind, Moment, Retract, Value};
use crate::error::{Error, Result};

/// `count()` and `count(x)`; a NaN is a value.
pub const KIND: Kind =
    Kind { name: "count", about: "how many rows, or how many with a value", build };

fn build(args: &[DataType]) -> Result<Box<dyn Aggregate>> {
    match args {
        [] | [_] => Ok(Box::new(Count)),
        more => Err(Error::Plan(format!("count takes at most one argument, not {}", more.len()))),
    }
}

#[derive(Debug)]
struct Count;

impl Aggregate for Count {
    fn words(&self) -> usize {
        1
    }

    fn output_type(&self) -> &DataType {
        &DataType::Int64
    }

    #[inline(always)]
    fn update(&self, cell: Cell<'_>, _value: Value<'_>, _at: Moment) {
        cell.words[0] += 1;
    }

    fn merge(&self, into: Cell<'_>, from: CellRef<'_>) {
        into.words[0] += from.words[0];
    }

    fn retract(&self, cell: Cell<'_>, _value: Value<'_>, _at: Moment) -> Retract {
        cell.words[0] -= 1;
        Retract::Done
    }

    fn evaluate<'a>(&self, cell: CellRef<'a>) -> Answer<'a> {
        Answer::I64(cell.words[0] as i64)
    }

    fn nan(&self, _value: Value<'_>) -> bool {
        false
    }

    fn save(&self, cell: CellRef<'_>, out: &mut Vec<u8>) {
        put_u64(out, cell.words[0]);
    }

    fn load(&self, cell: Cell<'_>, bytes: &mut &[u8]) -> Result<()> {
        cell.words[0] = take_u64(bytes)?;
        Ok(())
    }

    fn clear(&self, cell: Cell<'_>) {
        cell.words[0] = 0;
    }
}

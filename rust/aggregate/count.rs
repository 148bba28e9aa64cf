//! `count()`: rows; `count(x)`: rows where `x` is not null. NaN counts.

use arrow_schema::DataType;

use super::codec::{put_u64, take_count};
use super::{Aggregate, Answer, Call, Cell, CellRef, Kind, Moment, Retract, Value};
use crate::error::{Error, Result};

/// `count`, of rows or of any type.
pub const KIND: Kind =
    Kind { name: "count", about: "how many rows, or rows where the argument is not null", build };

fn build(call: &Call<'_>) -> Result<Box<dyn Aggregate>> {
    let [] = call.parameters()?;
    match call.types {
        [] | [_] => Ok(Box::new(Count)),
        more => Err(Error::Plan(format!("count takes at most one argument, not {}", more.len()))),
    }
}

/// State: one word, the count.
#[derive(Debug)]
struct Count;

impl Aggregate for Count {
    #[inline(always)]
    fn words(&self) -> usize {
        1
    }

    fn output_type(&self) -> &DataType {
        &DataType::Int64
    }

    #[inline(always)]
    fn update(&self, cell: Cell<'_>, _: &[Value<'_>], _: Moment) {
        cell.words[0] += 1;
    }

    fn merge(&self, into: Cell<'_>, from: CellRef<'_>) {
        into.words[0] += from.words[0];
    }

    fn inverts(&self) -> bool {
        true
    }

    #[inline(always)]
    fn retract(&self, cell: Cell<'_>, _: &[Value<'_>], _: Moment) -> Retract {
        cell.words[0] = cell.words[0].saturating_sub(1);
        Retract::Done
    }

    #[inline(always)]
    fn evaluate<'a>(&self, cell: CellRef<'a>) -> Answer<'a> {
        i64::try_from(cell.words[0]).map_or(Answer::Overflow, Answer::I64)
    }

    fn nan(&self, _: &[Value<'_>]) -> bool {
        false
    }

    fn save(&self, cell: CellRef<'_>, out: &mut Vec<u8>) {
        put_u64(out, cell.words[0]);
    }

    fn load(&self, cell: Cell<'_>, bytes: &mut &[u8]) -> Result<()> {
        cell.words[0] = take_count(bytes)?;
        Ok(())
    }

    fn clear(&self, cell: Cell<'_>) {
        cell.words[0] = 0;
    }
}

//! min and max: never subtract; when the extreme itself leaves, the rows are folded again.

use std::cmp::Ordering;

use arrow_schema::DataType;

use super::{Aggregate, Answer, Cell, CellRef, Class, Kind, Moment, Retract, Value};
use super::{one, refuse, stored};
use crate::error::Result;

/// The least value.
pub const MIN: Kind = Kind { name: "min", about: "the least value", build: build_min };
/// The greatest value.
pub const MAX: Kind = Kind { name: "max", about: "the greatest value", build: build_max };

fn build_min(args: &[DataType]) -> Result<Box<dyn Aggregate>> {
    build("min", args, Ordering::Less)
}

fn build_max(args: &[DataType]) -> Result<Box<dyn Aggregate>> {
    build("max", args, Ordering::Greater)
}

fn build(kind: &str, args: &[DataType], wanted: Ordering) -> Result<Box<dyn Aggregate>> {
    let arg = one(kind, args)?;
    if Class::of(arg) == Class::Unit {
        return Err(refuse(kind, arg, "it takes numbers, text, binary, bool and times"));
    }
    Ok(Box::new(Extreme { output: arg.clone(), wanted }))
}

#[derive(Debug)]
struct Extreme {
    output: DataType,
    wanted: Ordering,
}

/// Bytes by bytes, floats with -0.0 below 0.0.
fn order(a: Value<'_>, b: Value<'_>) -> Ordering {
    match (a, b) {
        (Value::I64(a), Value::I64(b)) => a.cmp(&b),
        (Value::I128(a), Value::I128(b)) => a.cmp(&b),
        (Value::F64(a), Value::F64(b)) => a.total_cmp(&b),
        (Value::Bytes(a), Value::Bytes(b)) => a.cmp(b),
        _ => Ordering::Equal,
    }
}

impl Aggregate for Extreme {
    fn words(&self) -> usize {
        stored::WORDS
    }

    fn output_type(&self) -> &DataType {
        &self.output
    }

    #[inline(always)]
    fn update(&self, cell: Cell<'_>, value: Value<'_>, _at: Moment) {
        if self.nan(value) {
            return;
        }
        if stored::get(cell.peek()).is_none_or(|old| order(value, old) == self.wanted) {
            stored::set(cell, value);
        }
    }

    fn merge(&self, into: Cell<'_>, from: CellRef<'_>) {
        if let Some(value) = stored::get(from) {
            self.update(into, value, Moment { time: 0, seq: 0 });
        }
    }

    fn retract(&self, cell: Cell<'_>, value: Value<'_>, _at: Moment) -> Retract {
        match stored::get(cell.peek()) {
            Some(old) if !self.nan(value) && order(value, old) == Ordering::Equal => Retract::Stale,
            _ => Retract::Done,
        }
    }

    fn evaluate<'a>(&self, cell: CellRef<'a>) -> Answer<'a> {
        stored::answer(cell)
    }

    fn save(&self, cell: CellRef<'_>, out: &mut Vec<u8>) {
        stored::save(cell, out);
    }

    fn load(&self, cell: Cell<'_>, bytes: &mut &[u8]) -> Result<()> {
        stored::load(cell, bytes)
    }

    fn clear(&self, cell: Cell<'_>) {
        stored::clear(cell);
    }
}

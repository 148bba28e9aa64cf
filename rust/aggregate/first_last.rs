//! first and last: the value of the first or last row by event time, then arrival.

use arrow_schema::DataType;

use super::codec::{put_u64, take_u64};
use super::{Aggregate, Answer, Cell, CellRef, Class, End, Kind, Moment, Retract, Value};
use super::{one, refuse, stored};
use crate::error::Result;

/// The first row's value.
pub const FIRST: Kind = Kind { name: "first", about: "the earliest value", build: build_first };
/// The last row's value.
pub const LAST: Kind = Kind { name: "last", about: "the latest value", build: build_last };

fn build_first(args: &[DataType]) -> Result<Box<dyn Aggregate>> {
    build("first", args, End::First)
}

fn build_last(args: &[DataType]) -> Result<Box<dyn Aggregate>> {
    build("last", args, End::Last)
}

fn build(kind: &str, args: &[DataType], end: End) -> Result<Box<dyn Aggregate>> {
    let arg = one(kind, args)?;
    if Class::of(arg) == Class::Unit {
        return Err(refuse(kind, arg, "it takes numbers, text, binary, bool and times"));
    }
    Ok(Box::new(FirstLast { output: arg.clone(), end }))
}

#[derive(Debug)]
struct FirstLast {
    output: DataType,
    end: End,
}

const TIME: usize = stored::WORDS;
const SEQ: usize = stored::WORDS + 1;

fn moment(cell: CellRef<'_>) -> Moment {
    Moment { time: cell.words[TIME] as i64, seq: cell.words[SEQ] }
}

impl Aggregate for FirstLast {
    fn words(&self) -> usize {
        stored::WORDS + 2
    }

    fn output_type(&self) -> &DataType {
        &self.output
    }

    fn update(&self, mut cell: Cell<'_>, value: Value<'_>, at: Moment) {
        if self.nan(value) {
            return;
        }
        let known = stored::get(cell.peek()).map(|_| moment(cell.peek()));
        let better = known.is_none_or(|known| match self.end {
            End::First => at < known,
            End::Last => at >= known,
        });
        if better {
            stored::set(cell.reborrow(), value);
            cell.words[TIME] = at.time as u64;
            cell.words[SEQ] = at.seq;
        }
    }

    fn merge(&self, into: Cell<'_>, from: CellRef<'_>) {
        if let Some(value) = stored::get(from) {
            self.update(into, value, moment(from));
        }
    }

    fn retract(&self, cell: Cell<'_>, value: Value<'_>, at: Moment) -> Retract {
        match stored::get(cell.peek()) {
            Some(_) if !self.nan(value) && moment(cell.peek()) == at => Retract::Stale,
            _ => Retract::Done,
        }
    }

    fn evaluate<'a>(&self, cell: CellRef<'a>) -> Answer<'a> {
        stored::answer(cell)
    }

    fn end(&self) -> Option<End> {
        Some(self.end)
    }

    fn save(&self, cell: CellRef<'_>, out: &mut Vec<u8>) {
        stored::save(cell, out);
        put_u64(out, cell.words[TIME]);
        put_u64(out, cell.words[SEQ]);
    }

    fn load(&self, mut cell: Cell<'_>, bytes: &mut &[u8]) -> Result<()> {
        stored::load(cell.reborrow(), bytes)?;
        cell.words[TIME] = take_u64(bytes)?;
        cell.words[SEQ] = take_u64(bytes)?;
        Ok(())
    }

    fn clear(&self, mut cell: Cell<'_>) {
        stored::clear(cell.reborrow());
        cell.words.fill(0);
    }
}

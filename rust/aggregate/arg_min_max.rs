//! `arg_min` and `arg_max`: the value of `x` in the row where `y` is least or greatest. Of several such
//! rows the earliest counts, by event time, then by arrival.
//!
//! `y` is ordered as by `min` and `max`, and a row without `x` or `y` does not count.

use std::cmp::Ordering;

use arrow_schema::DataType;

use super::codec::{damaged, put_u64, take_u64};
use super::stored::AnyStored;
use super::{Aggregate, Answer, Call, Cell, CellRef, Kind, Moment, Retract, Value};
use crate::error::Result;

/// `arg_min(x, y)`, of the type of `x`.
pub const ARG_MIN: Kind = Kind {
    name: "arg_min",
    about: "the first argument in the row where the second is least",
    build: build::<false>,
};

/// `arg_max(x, y)`, of the type of `x`.
pub const ARG_MAX: Kind = Kind {
    name: "arg_max",
    about: "the first argument in the row where the second is greatest",
    build: build::<true>,
};

fn build<const MAX: bool>(call: &Call<'_>) -> Result<Box<dyn Aggregate>> {
    let [x, y] = call.plain()?;
    let stored = |argument: &DataType, hint| {
        AnyStored::for_type(argument).ok_or_else(|| call.refuse(argument, hint))
    };
    Ok(Box::new(ArgExtreme {
        output: x.clone(),
        x: stored(x, "lists are not kept; unnest them first")?,
        y: stored(y, "its values have no order; unnest them first")?,
        max: MAX,
    }))
}

/// State: time and seq + 1 (0 = no row yet) of the row, then its `y`, then its `x`.
#[derive(Debug)]
struct ArgExtreme {
    output: DataType,
    x: AnyStored,
    y: AnyStored,
    max: bool,
}

const TIME: usize = 0;
const SEQ: usize = 1;
const VALUES: usize = 2;

/// The position of the stored row.
fn moment(words: &[u64]) -> Option<Moment> {
    let seq = words[SEQ].checked_sub(1)?;
    Some(Moment { time: words[TIME] as i64, seq })
}

impl ArgExtreme {
    /// The words of `y` and of `x`.
    fn halves<'a>(&self, words: &'a [u64]) -> (&'a [u64], &'a [u64]) {
        words[VALUES..].split_at(self.y.words())
    }

    fn halves_mut<'a>(&self, words: &'a mut [u64]) -> (&'a mut [u64], &'a mut [u64]) {
        words[VALUES..].split_at_mut(self.y.words())
    }

    /// Keeps the row if it is more extreme than the stored one, or equal and earlier.
    fn take(&self, cell: Cell<'_>, [x, y]: [Value<'_>; 2], at: Moment) {
        let better = moment(cell.words).is_none_or(|kept| {
            let known = self.y.read(self.halves(cell.words).0, cell.heap);
            let rank = self.y.compare(y, known);
            match if self.max { rank } else { rank.reverse() } {
                Ordering::Greater => true,
                Ordering::Equal => at < kept,
                Ordering::Less => false,
            }
        });
        if better {
            cell.words[TIME] = at.time as u64;
            cell.words[SEQ] = at.seq.saturating_add(1);
            let (of_y, of_x) = self.halves_mut(cell.words);
            self.y.put(of_y, cell.heap, y);
            self.x.put(of_x, cell.heap, x);
        }
    }
}

impl Aggregate for ArgExtreme {
    fn words(&self) -> usize {
        VALUES + self.y.words() + self.x.words()
    }

    fn output_type(&self) -> &DataType {
        &self.output
    }

    fn update(&self, cell: Cell<'_>, args: &[Value<'_>], at: Moment) {
        if let &[x, y] = args
            && self.x.accepts(x)
            && self.y.accepts(y)
        {
            self.take(cell, [x, y], at);
        }
    }

    fn merge(&self, into: Cell<'_>, from: CellRef<'_>) {
        if let Some(at) = moment(from.words) {
            let (y, x) = self.halves(from.words);
            self.take(into, [self.x.read(x, from.heap), self.y.read(y, from.heap)], at);
        }
    }

    fn retract(&self, cell: Cell<'_>, args: &[Value<'_>], at: Moment) -> Retract {
        let kept = !self.nan(args) && moment(cell.words) == Some(at);
        if kept { Retract::Stale } else { Retract::Done }
    }

    fn evaluate<'a>(&self, cell: CellRef<'a>) -> Answer<'a> {
        match moment(cell.words) {
            Some(_) => self.x.read(self.halves(cell.words).1, cell.heap).into(),
            None => Answer::Null,
        }
    }

    fn save(&self, cell: CellRef<'_>, out: &mut Vec<u8>) {
        put_u64(out, cell.words[SEQ]);
        if cell.words[SEQ] > 0 {
            put_u64(out, cell.words[TIME]);
            let (y, x) = self.halves(cell.words);
            self.y.save(y, cell.heap, out);
            self.x.save(x, cell.heap, out);
        }
    }

    fn load(&self, mut cell: Cell<'_>, bytes: &mut &[u8]) -> Result<()> {
        let seq = take_u64(bytes)?;
        if seq == 0 {
            return Ok(());
        }
        if seq == u64::MAX {
            return Err(damaged("an ordinal of arrival"));
        }
        let time = take_u64(bytes)?;
        let Cell { words, heap } = cell.reborrow();
        let (y, x) = self.halves_mut(words);
        let read = self.y.load(y, heap, bytes).and_then(|()| self.x.load(x, heap, bytes));
        if read.is_err() {
            self.clear(cell);
            return read;
        }
        (cell.words[TIME], cell.words[SEQ]) = (time, seq);
        Ok(())
    }

    fn clear(&self, cell: Cell<'_>) {
        let (y, x) = self.halves_mut(cell.words);
        self.y.release(y, cell.heap);
        self.x.release(x, cell.heap);
        cell.words.fill(0);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Layout, build};
    use super::*;

    /// The answer over rows of time, seq, `y`; `x` is the letter of the row.
    fn found(kind: &str, rows: &[(i64, u64, f64)]) -> String {
        let layout = Layout::new(vec![build(kind, &[DataType::Utf8, DataType::Float64]).unwrap()]);
        let mut hot = layout.hot();
        let row = hot.push();
        let (aggregate, _) = &layout.items[0];
        for (&(time, seq, y), x) in rows.iter().zip(["a", "b", "c", "d"]) {
            let args = [Value::Bytes(x.as_bytes()), Value::F64(y)];
            aggregate.update(hot.cell(row, 0, aggregate.words()), &args, Moment { time, seq });
        }
        match layout.evaluate(&hot, row, 0) {
            Answer::Bytes(x) => String::from_utf8_lossy(x).into(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn y_decides_then_time_then_arrival() {
        let rows = [(5, 0, 1.0), (5, 1, 7.0), (0, 2, 7.0), (0, 3, 7.0)];
        assert_eq!((found("arg_max", &rows), found("arg_min", &rows)), ("c".into(), "a".into()));
        assert_eq!(found("arg_max", &rows[..2]), "b");
        assert_eq!(found("arg_max", &[]), "Null");
    }

    #[test]
    fn nan_is_skipped_and_zeros_are_ordered() {
        let rows = [(0, 0, f64::NAN), (1, 1, -0.0), (2, 2, 0.0), (3, 3, f64::NAN)];
        assert_eq!((found("arg_max", &rows), found("arg_min", &rows)), ("c".into(), "b".into()));
        assert_eq!(found("arg_max", &rows[..1]), "Null");
    }

    #[test]
    fn it_takes_two_arguments_of_stored_types() {
        let list = DataType::new_list(DataType::Int64, true);
        for types in [vec![], vec![DataType::Int64], vec![DataType::Int64, list.clone()]] {
            assert!(build("arg_max", &types).is_err());
        }
        let error = build("arg_min", &[list, DataType::Int64]).unwrap_err();
        assert!(error.message().starts_with("arg_min of list[i64]\nhint: "), "{error}");
    }
}

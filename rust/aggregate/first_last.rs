//! `first` and `last`: the value of the earliest or latest row, by event time, then by arrival.

use std::marker::PhantomData;

use arrow_schema::DataType;

use super::codec::{damaged, put_u64, take_u64};
use super::stored::{Ints, Stored, StoredFloats, StoredTexts, Wides, release};
use super::{Aggregate, Answer, Call, Cell, CellRef, Class, End, Kind, Moment, Retract, Value};
use crate::error::Result;

/// `first`, of its argument's type.
pub const FIRST: Kind = Kind {
    name: "first",
    about: "the value of the row with the least event time",
    build: build::<false>,
};

/// `last`, of its argument's type.
pub const LAST: Kind = Kind {
    name: "last",
    about: "the value of the row with the greatest event time",
    build: build::<true>,
};

fn build<const LAST: bool>(call: &Call<'_>) -> Result<Box<dyn Aggregate>> {
    let [arg] = call.plain()?;
    Ok(match Class::for_type(arg) {
        Class::I64 => Edge::<Ints, LAST>::boxed(arg),
        Class::I128 => Edge::<Wides, LAST>::boxed(arg),
        Class::F64 => Edge::<StoredFloats, LAST>::boxed(arg),
        Class::Bytes => Edge::<StoredTexts, LAST>::boxed(arg),
        Class::Unit => return Err(call.refuse(arg, "lists are not kept; unnest them first")),
    })
}

/// State: time, seq + 1 (0 = no row yet), and the value.
#[derive(Debug)]
struct Edge<S, const LAST: bool> {
    output: DataType,
    how: PhantomData<S>,
}

const TIME: usize = 0;
const SEQ: usize = 1;
const VALUE: usize = 2;

impl<S: Stored, const LAST: bool> Edge<S, LAST> {
    fn boxed(arg: &DataType) -> Box<dyn Aggregate> {
        Box::new(Edge::<S, LAST> { output: arg.clone(), how: PhantomData })
    }

    /// The position of the stored row.
    #[inline(always)]
    fn moment(words: &[u64]) -> Option<Moment> {
        let seq = words[SEQ].checked_sub(1)?;
        Some(Moment { time: words[TIME] as i64, seq })
    }

    #[inline(always)]
    fn take(cell: Cell<'_>, value: Value<'_>, at: Moment) {
        let better = match Self::moment(cell.words) {
            None => true,
            Some(kept) if LAST => at >= kept,
            Some(kept) => at < kept,
        };
        if better {
            cell.words[TIME] = at.time as u64;
            cell.words[SEQ] = at.seq.saturating_add(1);
            S::put(&mut cell.words[VALUE..], cell.heap, value);
        }
    }
}

impl<S: Stored, const LAST: bool> Aggregate for Edge<S, LAST> {
    #[inline(always)]
    fn words(&self) -> usize {
        VALUE + S::WORDS
    }

    fn output_type(&self) -> &DataType {
        &self.output
    }

    #[inline(always)]
    fn update(&self, cell: Cell<'_>, args: &[Value<'_>], at: Moment) {
        if S::accepts(args[0]) {
            Self::take(cell, args[0], at);
        }
    }

    fn merge(&self, into: Cell<'_>, from: CellRef<'_>) {
        if let Some(at) = Self::moment(from.words) {
            Self::take(into, S::read(&from.words[VALUE..], from.heap), at);
        }
    }

    fn retract(&self, cell: Cell<'_>, args: &[Value<'_>], at: Moment) -> Retract {
        let kept = S::accepts(args[0]) && Self::moment(cell.words) == Some(at);
        if kept { Retract::Stale } else { Retract::Done }
    }

    fn evaluate<'a>(&self, cell: CellRef<'a>) -> Answer<'a> {
        match Self::moment(cell.words) {
            Some(_) => S::read(&cell.words[VALUE..], cell.heap).into(),
            None => Answer::Null,
        }
    }

    fn end(&self) -> Option<End> {
        Some(if LAST { End::Last } else { End::First })
    }

    fn save(&self, cell: CellRef<'_>, out: &mut Vec<u8>) {
        put_u64(out, cell.words[SEQ]);
        if cell.words[SEQ] > 0 {
            put_u64(out, cell.words[TIME]);
            S::save(&cell.words[VALUE..], cell.heap, out);
        }
    }

    fn load(&self, cell: Cell<'_>, bytes: &mut &[u8]) -> Result<()> {
        let seq = take_u64(bytes)?;
        if seq == 0 {
            return Ok(());
        }
        if seq == u64::MAX {
            return Err(damaged("an ordinal of arrival"));
        }
        let time = take_u64(bytes)?;
        S::load(&mut cell.words[VALUE..], cell.heap, bytes)?;
        (cell.words[TIME], cell.words[SEQ]) = (time, seq);
        Ok(())
    }

    fn clear(&self, cell: Cell<'_>) {
        release::<S>(&mut cell.words[VALUE..], cell.heap);
        cell.words.fill(0);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{StateRows, build};
    use super::*;

    fn edge(kind: &str, rows: &[(i64, u64, f64)]) -> String {
        let aggregate = build(kind, &[DataType::Float64]).unwrap();
        let mut hot = StateRows::new(aggregate.words());
        let row = hot.push();
        for (time, seq, value) in rows {
            let at = Moment { time: *time, seq: *seq };
            aggregate.update(hot.cell(row, 0, aggregate.words()), &[Value::F64(*value)], at);
        }
        format!("{:?}", aggregate.evaluate(hot.peek(row, 0, aggregate.words())))
    }

    #[test]
    fn time_decides_then_arrival() {
        // time   -5     0     0     9
        // seq     3     1     2     0
        let rows = [(9, 0, f64::NAN), (0, 1, 1.0), (0, 2, 2.0), (-5, 3, 3.0)];
        assert_eq!(edge("first", &rows), "F64(3.0)");
        assert_eq!(edge("last", &rows), "F64(2.0)");
        assert_eq!(edge("first", &rows[..3]), "F64(1.0)");
        assert_eq!(edge("last", &rows[..1]), "Null");
    }

    #[test]
    fn rows_of_one_moment_count_in_the_order_given() {
        let rows = [(0, 7, 1.0), (0, 7, 2.0)];
        assert_eq!(
            (edge("first", &rows), edge("last", &rows)),
            ("F64(1.0)".into(), "F64(2.0)".into())
        );
    }
}

//! `min` and `max` of anything ordered: -0.0 is less than 0.0, text compares by bytes.
//!
//! A cell counts the rows with the extreme value, so that one of several equal ones can be removed
//! without recomputing.

use std::cmp::Ordering;
use std::marker::PhantomData;

use arrow_schema::DataType;

use super::codec::{put_u64, take_count};
use super::stored::{Ints, Stored, StoredFloats, StoredTexts, Wides, release};
use super::{Aggregate, Answer, Call, Cell, CellRef, Class, Kind, Moment, Retract, Value};
use crate::error::Result;

/// `min`, of its argument's type.
pub const MIN: Kind = Kind { name: "min", about: "the least value", build: build::<false> };

/// `max`, of its argument's type.
pub const MAX: Kind = Kind { name: "max", about: "the greatest value", build: build::<true> };

fn build<const MAX: bool>(call: &Call<'_>) -> Result<Box<dyn Aggregate>> {
    let [arg] = call.plain()?;
    Ok(match Class::for_type(arg) {
        Class::I64 => Extreme::<Ints, MAX>::boxed(arg),
        Class::I128 => Extreme::<Wides, MAX>::boxed(arg),
        Class::F64 => Extreme::<StoredFloats, MAX>::boxed(arg),
        Class::Bytes => Extreme::<StoredTexts, MAX>::boxed(arg),
        Class::Unit => {
            return Err(call.refuse(arg, "its values have no order; unnest them first"));
        }
    })
}

/// State: the number of rows with the extreme value, and the value.
#[derive(Debug)]
struct Extreme<S, const MAX: bool> {
    output: DataType,
    how: PhantomData<S>,
}

impl<S: Stored, const MAX: bool> Extreme<S, MAX> {
    fn boxed(arg: &DataType) -> Box<dyn Aggregate> {
        Box::new(Extreme::<S, MAX> { output: arg.clone(), how: PhantomData })
    }

    /// Adds a value shared by `rows` rows.
    #[inline(always)]
    fn take(cell: Cell<'_>, value: Value<'_>, rows: u64) {
        let Some((held, kept)) = cell.words.split_first_mut() else { return };
        let rank = match *held {
            0 => Ordering::Greater,
            _ => Self::rank(value, S::read(kept, cell.heap)),
        };
        match rank {
            Ordering::Greater => {
                S::put(kept, cell.heap, value);
                *held = rows;
            }
            Ordering::Equal => *held += rows,
            Ordering::Less => {}
        }
    }

    /// `Greater` if `a` is more extreme than `b`.
    #[inline(always)]
    fn rank(a: Value<'_>, b: Value<'_>) -> Ordering {
        if MAX { S::compare(a, b) } else { S::compare(b, a) }
    }
}

impl<S: Stored, const MAX: bool> Aggregate for Extreme<S, MAX> {
    #[inline(always)]
    fn words(&self) -> usize {
        1 + S::WORDS
    }

    fn output_type(&self) -> &DataType {
        &self.output
    }

    #[inline(always)]
    fn update(&self, cell: Cell<'_>, args: &[Value<'_>], _: Moment) {
        if S::accepts(args[0]) {
            Self::take(cell, args[0], 1);
        }
    }

    fn merge(&self, into: Cell<'_>, from: CellRef<'_>) {
        if from.words[0] > 0 {
            Self::take(into, S::read(&from.words[1..], from.heap), from.words[0]);
        }
    }

    fn retract(&self, cell: Cell<'_>, args: &[Value<'_>], _: Moment) -> Retract {
        if !S::accepts(args[0]) || Self::rank(args[0], S::read(&cell.words[1..], cell.heap)).is_lt()
        {
            return Retract::Done;
        }
        if cell.words[0] <= 1 {
            return Retract::Stale;
        }
        cell.words[0] -= 1;
        Retract::Done
    }

    fn evaluate<'a>(&self, cell: CellRef<'a>) -> Answer<'a> {
        match cell.words[0] {
            0 => Answer::Null,
            _ => S::read(&cell.words[1..], cell.heap).into(),
        }
    }

    fn save(&self, cell: CellRef<'_>, out: &mut Vec<u8>) {
        put_u64(out, cell.words[0]);
        if cell.words[0] > 0 {
            S::save(&cell.words[1..], cell.heap, out);
        }
    }

    fn load(&self, cell: Cell<'_>, bytes: &mut &[u8]) -> Result<()> {
        let held = take_count(bytes)?;
        if held > 0 {
            S::load(&mut cell.words[1..], cell.heap, bytes)?;
            cell.words[0] = held;
        }
        Ok(())
    }

    fn clear(&self, cell: Cell<'_>) {
        release::<S>(&mut cell.words[1..], cell.heap);
        cell.words[0] = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Layout, build};
    use super::*;

    const AT: Moment = Moment { time: 0, seq: 0 };

    fn extreme(kind: &str, arg: DataType, values: &[Value<'_>]) -> String {
        let layout = Layout::new(vec![build(kind, &[arg]).unwrap()]);
        let mut hot = layout.hot();
        let row = hot.push();
        let (aggregate, _) = &layout.items[0];
        for value in values {
            aggregate.update(hot.cell(row, 0, aggregate.words()), &[*value], AT);
        }
        format!("{:?}", layout.evaluate(&hot, row, 0))
    }

    #[test]
    fn each_class_has_its_order() {
        let zeros = [Value::F64(0.0), Value::F64(-0.0), Value::F64(f64::NAN)];
        assert_eq!(extreme("min", DataType::Float64, &zeros), "F64(-0.0)");
        assert_eq!(extreme("max", DataType::Float64, &zeros), "F64(0.0)");
        assert_eq!(extreme("max", DataType::Float64, &zeros[2..]), "Null");
        let bools = [Value::I64(1), Value::I64(0)];
        assert_eq!(extreme("min", DataType::Boolean, &bools), "I64(0)");
        let texts = [Value::Bytes(b"b"), Value::Bytes(b"abc"), Value::Bytes(b"")];
        assert_eq!(extreme("max", DataType::Utf8, &texts), "Bytes([98])");
        assert_eq!(extreme("min", DataType::Utf8, &texts), "Bytes([])");
        let wides = [Value::I128(-1), Value::I128(1 << 64)];
        assert_eq!(extreme("min", DataType::Decimal128(38, 0), &wides), "I128(-1)");
    }

    #[test]
    fn only_the_last_of_the_equal_extremes_is_missed() {
        let min = build("min", &[DataType::Int64]).unwrap();
        let mut hot = super::super::StateRows::new(min.words());
        let row = hot.push();
        for value in [3, 3, 5] {
            min.update(hot.cell(row, 0, 2), &[Value::I64(value)], AT);
        }
        let mut retract = |value| min.retract(hot.cell(row, 0, 2), &[Value::I64(value)], AT);
        assert_eq!([5, 3, 3].map(&mut retract), [Retract::Done, Retract::Done, Retract::Stale]);
    }
}

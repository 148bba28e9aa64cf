//! `sum_distinct`: the exact sum of the different values, each counted once. -0.0 is 0.0; NaN is
//! skipped.

use std::marker::PhantomData;

use arrow_schema::DataType;

use super::codec::put_u64;
use super::distinct::{Item, ValueSet};
use super::heap::OwnState;
use super::sum::{Decimals, FloatSums, Integers, Summation};
use super::{Aggregate, Answer, Call, Cell, CellRef, Class, Kind, Moment, Retract, Value};
use crate::error::Result;

/// `sum_distinct` of what `sum` takes, of the same type.
pub const KIND: Kind =
    Kind { name: "sum_distinct", about: "the exact sum of the different values", build };

fn build(call: &Call<'_>) -> Result<Box<dyn Aggregate>> {
    let [argument] = call.plain()?;
    let output = super::sum::output(call, argument)?;
    let class = Class::for_type(argument);
    Ok(match (class, &output) {
        (Class::F64, _) => SumDistinct::<i64, FloatSums>::boxed(class, output),
        (Class::I128, DataType::Int64) => SumDistinct::<i128, Integers>::boxed(class, output),
        (Class::I128, _) => SumDistinct::<i128, Decimals>::boxed(class, output),
        _ => SumDistinct::<i64, Integers>::boxed(class, output),
    })
}

impl<T: Item> OwnState for ValueSet<T> {
    fn bytes(&self) -> usize {
        ValueSet::bytes(self)
    }
}

/// State: the handle of the values, and then their sum.
#[derive(Debug)]
struct SumDistinct<T, S> {
    class: Class,
    output: DataType,
    of: PhantomData<(T, S)>,
}

impl<T: Item, S: Summation> SumDistinct<T, S> {
    fn boxed(class: Class, output: DataType) -> Box<dyn Aggregate> {
        Box::new(SumDistinct::<T, S> { class, output, of: PhantomData })
    }

    fn set(cell: CellRef<'_>) -> Option<&ValueSet<T>> {
        cell.heap.own(cell.words[0])
    }

    /// Adds rows with a value.
    fn add(&self, cell: Cell<'_>, value: &T::Key, rows: u64, of: Value<'_>) {
        let Cell { words, heap } = cell;
        let (handle, sum) = words.split_at_mut(1);
        let is_new = heap.change_own(&mut handle[0], |own: &mut ValueSet<T>| own.add(value, rows));
        if is_new == Some(true) {
            S::add(Cell { words: sum, heap }, of);
        }
    }
}

/// The value as it is summed: all zeros are the same.
fn summed(value: Value<'_>) -> Value<'_> {
    if let Value::F64(v) = value { Value::F64(v + 0.0) } else { value }
}

impl<T: Item, S: Summation> Aggregate for SumDistinct<T, S> {
    fn words(&self) -> usize {
        1 + S::WORDS
    }

    fn output_type(&self) -> &DataType {
        &self.output
    }

    fn update(&self, cell: Cell<'_>, args: &[Value<'_>], _: Moment) {
        T::with_key(args[0], |key| self.add(cell, key, 1, summed(args[0])));
    }

    fn merge(&self, mut into: Cell<'_>, from: CellRef<'_>) {
        if let Some(other) = Self::set(from) {
            other.each(|value, rows| {
                self.add(into.reborrow(), value.borrow(), rows, value.value(self.class));
            });
        }
    }

    fn inverts(&self) -> bool {
        true
    }

    fn grows(&self) -> bool {
        true
    }

    fn retract(&self, mut cell: Cell<'_>, args: &[Value<'_>], _: Moment) -> Retract {
        let Cell { words, heap } = cell.reborrow();
        let (handle, sum) = words.split_at_mut(1);
        let left = T::with_key(args[0], |key| {
            heap.change_own(&mut handle[0], |own: &mut ValueSet<T>| {
                (own.remove(key), own.is_empty())
            })
        });
        match left.flatten() {
            Some((_, true)) => self.clear(cell),
            Some((true, false)) => S::subtract(Cell { words: sum, heap }, summed(args[0])),
            _ => {}
        }
        Retract::Done
    }

    fn evaluate<'a>(&self, cell: CellRef<'a>) -> Answer<'a> {
        let sum = CellRef { words: &cell.words[1..], heap: cell.heap };
        if S::count(sum) == 0 { Answer::Null } else { S::sum(sum) }
    }

    fn save(&self, cell: CellRef<'_>, out: &mut Vec<u8>) {
        match Self::set(cell) {
            Some(set) => set.save(out),
            None => put_u64(out, 0),
        }
    }

    fn load(&self, mut cell: Cell<'_>, bytes: &mut &[u8]) -> Result<()> {
        let set = ValueSet::<T>::load(bytes)?;
        set.each(|value, rows| {
            self.add(cell.reborrow(), value.borrow(), rows, value.value(self.class));
        });
        Ok(())
    }

    fn clear(&self, cell: Cell<'_>) {
        let Cell { words, heap } = cell;
        let (handle, sum) = words.split_at_mut(1);
        heap.release(&mut handle[0]);
        S::clear(Cell { words: sum, heap });
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Layout, build};
    use super::*;

    #[test]
    fn each_value_counts_once() {
        let layout = Layout::new(vec![build("sum_distinct", &[DataType::Float64]).unwrap()]);
        let (sum, _) = &layout.items[0];
        let mut hot = layout.hot();
        let row = hot.push();
        let at = Moment { time: 0, seq: 0 };
        for value in [0.1, 1e300, 0.1, -0.0, 0.0, 0.2] {
            sum.update(hot.cell(row, 0, sum.words()), &[Value::F64(value)], at);
        }
        for value in [1e300, 0.1] {
            sum.retract(hot.cell(row, 0, sum.words()), &[Value::F64(value)], at);
        }
        assert_eq!(layout.evaluate(&hot, row, 0), Answer::F64(0.1 + 0.2));
        assert!(build("sum_distinct", &[DataType::Utf8]).is_err());
    }
}

//! `count_distinct`: the exact number of different values. -0.0 equals 0.0; NaN is skipped.
//!
//! Each value is stored with the number of rows that have it, so that rows can be removed again.

use std::marker::PhantomData;

use arrow_schema::DataType;

use super::codec::put_u64;
use super::distinct::{Item, ValueSet};
use super::{Aggregate, Answer, Big, Call, Cell, CellRef, Class, Kind, Moment, Retract, Value};
use crate::error::Result;

/// `count_distinct` of any comparable type.
pub const KIND: Kind =
    Kind { name: "count_distinct", about: "how many different values, exactly", build };

fn build(call: &Call<'_>) -> Result<Box<dyn Aggregate>> {
    let [arg] = call.plain()?;
    Ok(match Class::for_type(arg) {
        Class::I64 | Class::F64 => Box::new(CountDistinct::<i64>(PhantomData)),
        Class::I128 => Box::new(CountDistinct::<i128>(PhantomData)),
        Class::Bytes => Box::new(CountDistinct::<Box<[u8]>>(PhantomData)),
        Class::Unit => {
            return Err(call.refuse(arg, "lists are not compared; unnest them first"));
        }
    })
}

/// State: one word, the handle of the set.
#[derive(Debug)]
struct CountDistinct<T>(PhantomData<T>);

fn set<T: Item>(cell: CellRef<'_>) -> Option<&ValueSet<T>> {
    match cell.heap.get(cell.words[0] as u32)? {
        Big::Distinct(distinct) => T::unwrap(distinct),
        Big::Exact(_) | Big::Bytes(_) | Big::Own(_) => None,
    }
}

/// Changes the set of a cell, creating it if needed.
fn change<T: Item, R>(cell: Cell<'_>, change: impl FnOnce(&mut ValueSet<T>) -> R) -> Option<R> {
    let Cell { words, heap } = cell;
    if words[0] == 0 {
        words[0] = heap.alloc(Big::Distinct(T::wrap(ValueSet::default()))).into();
    }
    heap.change(words[0] as u32, |big| match big {
        Big::Distinct(distinct) => T::unwrap_mut(distinct).map(change),
        Big::Exact(_) | Big::Bytes(_) | Big::Own(_) => None,
    })?
}

impl<T: Item> Aggregate for CountDistinct<T> {
    #[inline(always)]
    fn words(&self) -> usize {
        1
    }

    fn output_type(&self) -> &DataType {
        &DataType::Int64
    }

    #[inline]
    fn update(&self, cell: Cell<'_>, args: &[Value<'_>], _: Moment) {
        T::with_key(args[0], |key| change::<T, bool>(cell, |set| set.add(key, 1)));
    }

    fn merge(&self, into: Cell<'_>, from: CellRef<'_>) {
        if let Some(other) = set::<T>(from) {
            change::<T, ()>(into, |own| {
                other.each(|value, rows| {
                    own.add(value.borrow(), rows);
                })
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
        let is_empty = T::with_key(args[0], |key| {
            change::<T, bool>(cell.reborrow(), |own| {
                own.remove(key);
                own.is_empty()
            })
        });
        if is_empty == Some(Some(true)) {
            self.clear(cell);
        }
        Retract::Done
    }

    fn evaluate<'a>(&self, cell: CellRef<'a>) -> Answer<'a> {
        Answer::I64(set::<T>(cell).map_or(0, ValueSet::len) as i64)
    }

    fn save(&self, cell: CellRef<'_>, out: &mut Vec<u8>) {
        match set::<T>(cell) {
            Some(set) => set.save(out),
            None => put_u64(out, 0),
        }
    }

    fn load(&self, cell: Cell<'_>, bytes: &mut &[u8]) -> Result<()> {
        let set = ValueSet::<T>::load(bytes)?;
        if !set.is_empty() {
            cell.words[0] = cell.heap.alloc(Big::Distinct(T::wrap(set))).into();
        }
        Ok(())
    }

    fn clear(&self, cell: Cell<'_>) {
        cell.heap.free(cell.words[0] as u32);
        cell.words.fill(0);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{StateRows, build};
    use super::*;

    const AT: Moment = Moment { time: 0, seq: 0 };

    #[test]
    fn values_are_counted_once_and_may_leave() {
        let aggregate = build("count_distinct", &[DataType::Int64]).unwrap();
        let mut hot = StateRows::new(1);
        hot.push();
        // More values than the list holds before it becomes a table, then fewer again.
        for value in (0..100).chain(0..50) {
            aggregate.update(hot.cell(0, 0, 1), &[Value::I64(value)], AT);
        }
        assert_eq!(aggregate.evaluate(hot.peek(0, 0, 1)), Answer::I64(100));
        for value in 0..100 {
            aggregate.retract(hot.cell(0, 0, 1), &[Value::I64(value)], AT);
        }
        assert_eq!(aggregate.evaluate(hot.peek(0, 0, 1)), Answer::I64(50));
        assert!(hot.heap().bytes() > 50 * 16);
        for value in 0..50 {
            aggregate.retract(hot.cell(0, 0, 1), &[Value::I64(value)], AT);
        }
        assert!(hot.heap().is_empty());
    }

    #[test]
    fn a_saved_set_is_ordered_and_every_value_is_held() {
        let aggregate = build("count_distinct", &[DataType::Int64]).unwrap();
        let load = |numbers: &[u64]| {
            let bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
            let mut hot = StateRows::new(1);
            hot.push();
            aggregate.load(hot.cell(0, 0, 1), &mut bytes.as_slice())
        };
        assert!(load(&[2, 5, 1, 6, 1]).is_ok());
        assert!(load(&[2, 6, 1, 5, 1]).is_err());
        assert!(load(&[2, 5, 1, 5, 1]).is_err());
        assert!(load(&[1, 5, 0]).is_err());
        assert!(load(&[3, 5, 1, 6, 1]).is_err());
    }

    #[test]
    fn zeros_are_one_value_and_nan_is_none() {
        let aggregate = build("count_distinct", &[DataType::Float64]).unwrap();
        let mut hot = StateRows::new(1);
        hot.push();
        for value in [0.0, -0.0, f64::NAN] {
            aggregate.update(hot.cell(0, 0, 1), &[Value::F64(value)], AT);
        }
        assert_eq!(aggregate.evaluate(hot.peek(0, 0, 1)), Answer::I64(1));
    }
}

//! `mode` and `top_k`: the most frequent value, or the `k` most frequent ones in a list. Of equally
//! frequent ones the least comes first. -0.0 is 0.0; NaN is skipped.
//!
//! The values are counted exactly, and a result walks the different values of its key.

use std::cmp::Reverse;
use std::fmt::{self, Debug, Formatter};
use std::marker::PhantomData;

use arrow_schema::DataType;

use super::codec::put_u64;
use super::distinct::{Item, ValueSet};
use super::heap::OwnState;
use super::stored::AnyStored;
use super::value::ListValues;
use super::{Aggregate, Answer, Call, Cell, CellRef, Class, Kind, Moment, Retract, Value};
use crate::error::{Error, Result};
use crate::expr::Literal;
use crate::schema::list;

/// `mode`, of its argument's type.
pub const MODE: Kind = Kind { name: "mode", about: "the most frequent value", build: mode };

/// `top_k`, a list of its argument's type.
pub const TOP_K: Kind =
    Kind { name: "top_k", about: "the most frequent values, in a list", build: top_k };

fn mode(call: &Call<'_>) -> Result<Box<dyn Aggregate>> {
    let [argument] = call.plain()?;
    build(call, argument, None)
}

fn top_k(call: &Call<'_>) -> Result<Box<dyn Aggregate>> {
    let [argument] = call.arguments()?;
    match call.parameters()? {
        [Literal::Int(k @ 1..)] => build(call, argument, Some(*k as usize)),
        [other] => {
            let hint = "write how many values to list, as 3";
            Err(Error::Plan(format!("top_k with k={other}\nhint: {hint}")))
        }
    }
}

fn build(call: &Call<'_>, argument: &DataType, k: Option<usize>) -> Result<Box<dyn Aggregate>> {
    let Some(order) = AnyStored::for_type(argument) else {
        return Err(call.refuse(argument, "lists are not compared; unnest them first"));
    };
    let output = if k.is_some() { list(argument.clone()) } else { argument.clone() };
    let how = Ranking { k, class: Class::for_type(argument), order };
    Ok(match how.class {
        Class::I64 | Class::F64 => Frequent::<i64>::boxed(how, output),
        Class::I128 => Frequent::<i128>::boxed(how, output),
        Class::Bytes | Class::Unit => Frequent::<Box<[u8]>>::boxed(how, output),
    })
}

/// Ranking many values are listed, and how they are ordered.
#[derive(Clone, Copy, Debug)]
struct Ranking {
    k: Option<usize>,
    class: Class,
    order: AnyStored,
}

/// The values of a cell, and how they are asked for.
#[derive(Clone)]
struct Counted<T> {
    set: ValueSet<T>,
    how: Option<Ranking>,
}

impl<T: Item> Default for Counted<T> {
    fn default() -> Counted<T> {
        Counted { set: ValueSet::default(), how: None }
    }
}

impl<T: Item> Debug for Counted<T> {
    /// The values that are listed: the set has an arbitrary order.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut list = f.debug_list();
        self.each(&mut |value| {
            list.entry(&value);
        });
        list.finish()
    }
}

impl<T: Item> OwnState for Counted<T> {
    fn bytes(&self) -> usize {
        self.set.bytes()
    }
}

impl<T: Item> Counted<T> {
    /// The most frequent value.
    fn first(&self) -> Option<Value<'_>> {
        let how = self.how?;
        let mut best: Option<(Value<'_>, u64)> = None;
        for (value, rows) in self.set.iter() {
            let value = value.value(how.class);
            let better = best.is_none_or(|(kept, most)| {
                rows > most || (rows == most && how.order.compare(value, kept).is_lt())
            });
            if better {
                best = Some((value, rows));
            }
        }
        best.map(|(value, _)| value)
    }
}

impl<T: Item> ListValues for Counted<T> {
    fn each(&self, visit: &mut dyn FnMut(Value<'_>)) {
        let Some(Ranking { k: Some(k), class, order }) = self.how else { return };
        let mut all: Vec<_> = self.set.iter().map(|(v, rows)| (v.value(class), rows)).collect();
        all.sort_by(|(a, rows), (b, others)| {
            Reverse(rows).cmp(&Reverse(others)).then_with(|| order.compare(*a, *b))
        });
        all.into_iter().take(k).for_each(|(value, _)| visit(value));
    }
}

/// State: one word, the handle of the values.
#[derive(Debug)]
struct Frequent<T> {
    how: Ranking,
    output: DataType,
    of: PhantomData<T>,
}

impl<T: Item> Frequent<T> {
    fn boxed(how: Ranking, output: DataType) -> Box<dyn Aggregate> {
        Box::new(Frequent::<T> { how, output, of: PhantomData })
    }

    fn counted(cell: CellRef<'_>) -> Option<&Counted<T>> {
        cell.heap.own(cell.words[0])
    }

    fn change<R>(&self, cell: Cell<'_>, change: impl FnOnce(&mut ValueSet<T>) -> R) -> Option<R> {
        cell.heap.change_own(&mut cell.words[0], |own: &mut Counted<T>| {
            own.how = Some(self.how);
            change(&mut own.set)
        })
    }
}

impl<T: Item> Aggregate for Frequent<T> {
    fn words(&self) -> usize {
        1
    }

    fn output_type(&self) -> &DataType {
        &self.output
    }

    fn update(&self, cell: Cell<'_>, args: &[Value<'_>], _: Moment) {
        T::with_key(args[0], |key| self.change(cell, |set| set.add(key, 1)));
    }

    fn merge(&self, into: Cell<'_>, from: CellRef<'_>) {
        if let Some(other) = Self::counted(from) {
            self.change(into, |own| {
                other.set.each(|value, rows| {
                    own.add(value.borrow(), rows);
                });
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
            self.change(cell.reborrow(), |own| {
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
        match Self::counted(cell) {
            Some(counted) if self.how.k.is_some() => Answer::List(counted),
            Some(counted) => counted.first().map_or(Answer::Null, Answer::from),
            None => Answer::Null,
        }
    }

    fn save(&self, cell: CellRef<'_>, out: &mut Vec<u8>) {
        match Self::counted(cell) {
            Some(counted) => counted.set.save(out),
            None => put_u64(out, 0),
        }
    }

    fn load(&self, cell: Cell<'_>, bytes: &mut &[u8]) -> Result<()> {
        let set = ValueSet::<T>::load(bytes)?;
        if !set.is_empty() {
            self.change(cell, |own| *own = set);
        }
        Ok(())
    }

    fn clear(&self, cell: Cell<'_>) {
        cell.heap.release(&mut cell.words[0]);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Registry, StateRows};
    use super::*;

    #[test]
    fn the_most_frequent_come_first_and_of_equals_the_least() {
        let call = |kind, parameters| Call { kind, types: &[DataType::Utf8], parameters };
        let registry = Registry::default();
        let mode = registry.build(&call("mode", &[])).unwrap();
        let top = registry.build(&call("top_k", &[Literal::Int(2)])).unwrap();
        let (mut one, mut two) = (StateRows::new(1), StateRows::new(1));
        one.push();
        two.push();
        for text in ["b", "c", "a", "c", "b"] {
            let (args, at) = ([Value::Bytes(text.as_bytes())], Moment { time: 0, seq: 0 });
            mode.update(one.cell(0, 0, 1), &args, at);
            top.update(two.cell(0, 0, 1), &args, at);
        }
        assert_eq!(mode.evaluate(one.peek(0, 0, 1)), Answer::Bytes(b"b"));
        let Answer::List(list) = top.evaluate(two.peek(0, 0, 1)) else { panic!("no list") };
        let mut found = vec![];
        list.each(&mut |value| found.push(format!("{value:?}")));
        assert_eq!(found, ["Bytes([98])", "Bytes([99])"]);
        let error = registry.build(&call("top_k", &[Literal::Int(0)])).unwrap_err();
        assert!(error.message().starts_with("top_k with k=0\nhint: "), "{error}");
    }
}
